"""Windows: the pieces of 3, 5 or 10 s that the networks see."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from whosings.audio.frontend import SINGER, FrontEnd

if TYPE_CHECKING:
    import numpy as np


class Hearing(NamedTuple):
    """What a system hears of a song."""

    front_end: FrontEnd = SINGER
    melody: bool = False
    """whether it hears the melody beside the log-mel"""


HEARING = Hearing()
"""What the paper's systems hear."""


class Features(NamedTuple):
    """A track as networks read it."""

    log_mel: np.ndarray
    """(n_mels, frames) in dB"""
    contour: np.ndarray | None = None
    """(frames,) mel band of the melody, -1 for none; None for networks that do not hear it"""
    front_end: FrontEnd = SINGER

    @property
    def frames(self) -> int:
        """How many frames the track has."""
        return int(self.log_mel.shape[1])

    def window(self, start: int, length: int) -> np.ndarray:
        """Copy a window out: float32 (n_mels, length), or (2, 128, length) with the melody, one-hot."""
        import numpy as np

        piece = cut(self.log_mel, start, length)
        if self.contour is None:
            return piece
        from whosings.audio.melody import one_hot

        return np.stack([piece, one_hot(cut(self.contour[None], start, length)[0])])


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
