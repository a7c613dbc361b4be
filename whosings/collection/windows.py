"""Windows: the pieces of 3, 5 or 10 s that the networks see."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from whosings.audio.units import HOP, SAMPLE_RATE

if TYPE_CHECKING:
    import numpy as np


class Features(NamedTuple):
    """A track as networks read it."""

    log_mel: np.ndarray
    """(128, frames) in dB"""
    contour: np.ndarray | None = None
    """(frames,) mel band of the melody, -1 for none; None for networks that do not hear it"""

    @property
    def frames(self) -> int:
        """How many frames the track has."""
        return int(self.log_mel.shape[1])

    def window(self, start: int, length: int) -> np.ndarray:
        """Copy a window out: float32 (128, length), or (2, 128, length) with the melody, one-hot."""
        import numpy as np

        piece = cut(self.log_mel, start, length)
        if self.contour is None:
            return piece
        from whosings.audio.melody import one_hot

        return np.stack([piece, one_hot(cut(self.contour[None], start, length)[0])])


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


def cut(array: np.ndarray, start: int, length: int) -> np.ndarray:
    """
    Copy a window out of an array (rows, frames): (rows, length).

    What is left of a track shorter than the window is repeated, so that the network never sees invented
    silence.
    """
    import numpy as np

    piece = array[:, start : start + length]
    if piece.shape[1] == length:
        return np.array(piece, order="C")
    return np.take(piece, np.arange(length), axis=1, mode="wrap")
