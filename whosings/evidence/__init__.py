"""What a figure is worth: metrics with intervals, pictures, Grad-CAM, reports."""
