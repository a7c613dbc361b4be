"""Coarse fingerprints: whether two files hold the same recording, however they are encoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whosings.audio.units import SAMPLE_RATE

if TYPE_CHECKING:
    import numpy as np

CELL = 2  # frames: 64 ms
SMOOTHED = 4  # cells averaged before comparing, so that encodings may lie part of a cell apart
BANDS = 16  # of six mel bands each; the top quarter (above 4.5 kHz) is left to the lossy encoders
MELS_PER_BAND = 6
FLOOR = 50.0  # dB kept below the loudest cell, so that the noise of an encoder does not count
SHIFT = 16  # cells that two encodings may begin apart: 1 s
SAME_LENGTH = 1.0  # seconds that their durations may differ
# Correlation from which two recordings are one. Measured on MIR-1K: 0.965 or more for an mp3 of 40 to
# 60 kbit/s and 0.976 for a copy that begins up to 0.6 s late; 0.932 or less for two singers over one backing
# at 0 dB, and 0.695 for their voices.
SAME = 0.95


@dataclass(frozen=True)
class Heard:
    """What one hearing leaves: duration in seconds, peak amplitude, fingerprint in dB (BANDS, cells)."""

    seconds: float
    peak: float
    cells: np.ndarray


def hear(blocks: Iterable[np.ndarray]) -> Heard:
    """Listen to a stream of samples once, whatever its length, in bounded memory."""
    import numpy as np

    from whosings.audio import logmel

    samples, peak = 0, 0.0

    def counted() -> Iterator[np.ndarray]:
        nonlocal samples, peak
        for block in blocks:
            samples += len(block)
            peak = max(peak, float(np.abs(block).max(initial=0.0)))
            yield block

    rest, cells = np.zeros((BANDS, 0), np.float32), []
    for log_mel in logmel.log_mel_blocks(counted()):
        bands = log_mel[: BANDS * MELS_PER_BAND].reshape(BANDS, MELS_PER_BAND, -1).mean(axis=1)
        rest = np.concatenate([rest, bands], axis=1)
        whole = rest.shape[1] // CELL * CELL
        cells.append(rest[:, :whole].reshape(BANDS, -1, CELL).mean(axis=2))
        rest = rest[:, whole:]
    return Heard(samples / SAMPLE_RATE, peak, np.concatenate(cells, axis=1))


def similarity(first: Heard, second: Heard) -> float:
    """Give the correlation of two fingerprints, each band without its mean, at their best shift: -1 to 1."""
    a, b = _smooth(first.cells), _smooth(second.cells)
    if abs(first.seconds - second.seconds) > SAME_LENGTH or min(a.shape[1], b.shape[1]) <= SHIFT:
        return -1.0
    shift = _best_shift(a, b)
    a, b = a[:, max(shift, 0) :], b[:, max(-shift, 0) :]
    length = min(a.shape[1], b.shape[1])
    return _correlation(a[:, :length], b[:, :length])


def _smooth(cells: np.ndarray) -> np.ndarray:
    """Average each band of (BANDS, cells) over neighbouring cells, above the floor."""
    import numpy as np

    cells = np.maximum(cells, cells.max() - FLOOR)
    sums = np.cumsum(np.pad(cells, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    return (sums[:, SMOOTHED:] - sums[:, :-SMOOTHED]) / SMOOTHED


def _best_shift(a: np.ndarray, b: np.ndarray) -> int:
    """Give the cells that `a` (BANDS, cells) lies behind `b`, by the peak of their cross-correlation."""
    import numpy as np
    from scipy import fft

    size = fft.next_fast_len(max(a.shape[1], b.shape[1]) + SHIFT, real=True)
    spectra = [fft.rfft(x - x.mean(axis=1, keepdims=True), size, axis=1) for x in (a, b)]
    lags = fft.irfft(np.sum(spectra[0] * spectra[1].conj(), axis=0), size)
    return int(np.argmax(np.roll(lags, SHIFT)[: 2 * SHIFT + 1])) - SHIFT


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    import numpy as np

    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    scale = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return float(np.sum(a * b)) / scale if scale else -1.0
