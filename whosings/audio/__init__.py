"""Sound files in; mono samples and log-mel spectrograms out."""
