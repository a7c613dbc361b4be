"""Windows: the pieces of 3, 5 or 10 s that the networks see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whosings.audio.units import HOP, SAMPLE_RATE

if TYPE_CHECKING:
    import numpy as np


def window_frames(seconds: int) -> int:
    """Give the frames of a window: 94, 157 and 313 for 3, 5 and 10 seconds."""
    return -(-seconds * SAMPLE_RATE // HOP)


def window_starts(frames: int, length: int, hop: int | None = None) -> np.ndarray:
    """
    Give the first frame of each window of a track: int64 (windows,).

    Windows of `length` frames follow each other every `hop` frames (by default without overlap). Where they
    leave a rest, one more window ends with the track and overlaps the one before; a track shorter than a
    window has one. Raises ValueError for a track without frames or a hop or length below 1.
    """
    import numpy as np

    hop = length if hop is None else hop
    if min(frames, length, hop) < 1:
        raise ValueError(f"frames {frames}, length {length} and hop {hop} must all be at least 1")
    last = max(frames - length, 0)
    starts = np.arange(0, last + 1, hop)
    return starts if starts[-1] == last else np.append(starts, last)


def cut(log_mel: np.ndarray, start: int, length: int) -> np.ndarray:
    """
    Copy a window out of a log-mel (128, frames): float32 (128, length).

    What is left of a track shorter than the window is repeated, so that the network never sees invented
    silence.
    """
    import numpy as np

    piece = log_mel[:, start : start + length]
    if piece.shape[1] == length:
        return np.array(piece, order="C")
    return np.take(piece, np.arange(length), axis=1, mode="wrap")
