"""Songs on disk: layouts, tracks, findings, splits, cached log-mels, windows."""
