"""A network that takes seconds of sound at its own rate, run over hours of sound at 16 kHz."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import soxr

from whosings.audio.units import SAMPLE_RATE


@dataclass(frozen=True)
class Windows:
    """How a network hears a sound: at `rate` Hz, `length` samples at a time, starting every `hop` samples."""

    rate: int
    length: int
    hop: int

    @property
    def overlap(self) -> int:
        """Samples that a window shares with the next."""
        return self.length - self.hop


def separate_stream(
    blocks: Iterator[np.ndarray], separate: Callable[[np.ndarray], np.ndarray], windows: Windows
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """
    Run `separate` over mono float32 blocks (samples,) at 16 kHz; give as many samples of each stem.

    `separate` takes a window (samples,) at the rate of the network and gives vocals and accompaniment
    (2, samples). The last window of a sound is as short as what is left. Overlapping windows are cross-faded.
    """
    taken = given = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal taken
        for block in blocks:
            taken += len(block)
            yield block

    heard = _resampled(counted(), SAMPLE_RATE, windows.rate)
    stems = _cross_faded(map(separate, _cut(heard, windows)), windows.overlap)
    for pair in _resampled((stem.T for stem in stems), windows.rate, SAMPLE_RATE, channels=2):
        pair = pair[: taken - given]  # rounding may leave a sample too many, and only at the end
        given += len(pair)
        yield pair[:, 0].copy(), pair[:, 1].copy()
    if given < taken:
        yield np.zeros(taken - given, np.float32), np.zeros(taken - given, np.float32)


def _resampled(
    blocks: Iterator[np.ndarray], rate: int, wanted: int, channels: int = 1
) -> Iterator[np.ndarray]:
    """Resample blocks (samples,), or (samples, channels) where there are several."""
    stream = soxr.ResampleStream(rate, wanted, channels, "float32", "HQ")
    for block in blocks:
        resampled = stream.resample_chunk(np.ascontiguousarray(block, dtype=np.float32))
        if len(resampled):
            yield resampled
    rest = stream.resample_chunk(np.empty((0, channels)[:channels], np.float32), last=True)
    if len(rest):
        yield rest


def _cut(blocks: Iterator[np.ndarray], windows: Windows) -> Iterator[np.ndarray]:
    """Cut a stream (samples,) into windows; the last is shorter, but longer than what they overlap."""
    held: list[np.ndarray] = []
    for block in blocks:
        held.append(block)
        while sum(map(len, held)) > windows.length:
            sound = np.concatenate(held)
            yield sound[: windows.length]
            held = [sound[windows.hop :]]
    if held:
        yield np.concatenate(held)


def _cross_faded(pieces: Iterator[np.ndarray], overlap: int) -> Iterator[np.ndarray]:
    """
    Join pieces (2, samples), each of which starts `overlap` samples before the end of the one before.

    A network knows least at the borders of its window, so the outer quarters of the overlap are not heard.
    """
    quarter = overlap // 4
    ramp = np.clip((np.arange(overlap, dtype=np.float32) - quarter) / max(1, overlap - 2 * quarter), 0, 1)
    tail: np.ndarray | None = None
    for piece in pieces:
        if tail is not None:
            head = tail + ramp * (piece[:, :overlap] - tail)
            piece = np.concatenate([head, piece[:, overlap:]], axis=1)
        border = max(0, piece.shape[1] - overlap)
        yield piece[:, :border]
        tail = piece[:, border:]
    if tail is not None:
        yield tail
