"""Units of the front end that all systems share (Kuo 2021; section 1 of the notes on the paper)."""

from __future__ import annotations

SAMPLE_RATE = 16_000  # Hz
N_FFT = 2048  # samples
HOP = 512  # samples
N_MELS = 128  # Slaney mel bands
AMIN = 1e-10  # smallest power before the logarithm
TOP_DB = 80.0  # dB kept below the loudest cell of a song

# derived
FRAME_RATE = SAMPLE_RATE / HOP  # frames per second: 31.25
