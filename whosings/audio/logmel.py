"""
Log-mel spectrograms with librosa's numbers, faster and from a stream.

The front end of all systems: power spectrogram, 128 Slaney bands, dB with reference 1.0, 80 dB kept below
the loudest cell of a song. It equals librosa's `power_to_db(melspectrogram(y=y, sr=16000), ref=1.0)` within
1e-3 dB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from whosings.audio.frames import frame_batches
from whosings.audio.units import AMIN, N_FFT, N_MELS, SAMPLE_RATE, TOP_DB

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def log_mel(samples: np.ndarray) -> np.ndarray:
    """
    Compute the log-mel `(128, 1 + samples // 512)` of a whole song `(samples,)` at 16 kHz, float32 in dB.

    Raises ValueError where there is no sample, or more than one dimension.
    """
    if samples.ndim != 1:
        raise ValueError(f"samples must have the shape (samples,), not {samples.shape}")
    result = np.concatenate(list(log_mel_blocks([samples])), axis=1)
    apply_top_db(result, float(result.max()))
    return result


def log_mel_blocks(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """
    Turn blocks `(samples,)` of a song at 16 kHz into blocks `(128, frames)` of its log-mel, float32 in dB.

    Frame t is centred on sample 512 t, with zeros beyond both ends; in all there are 1 + samples // 512.
    How the song is cut into blocks makes no difference. The floor under the loudest cell is not applied,
    since that cell is known only at the end: see `apply_top_db`.

    Raises ValueError where there is no sample at all.
    """
    filters, window = _mel_filters(), _window()
    for frames in frame_batches(blocks, N_FFT):
        spectra = fft.rfft(
            frames * window, axis=1
        )  # in float64, as librosa's: float32 shows 60 dB below a tone
        power = np.square(spectra.real) + np.square(spectra.imag)
        mel = filters @ np.ascontiguousarray(power.T, dtype=np.float32)
        yield 10 * np.log10(np.maximum(mel, np.float32(AMIN)))


def apply_top_db(log_mel: np.ndarray, peak: float) -> None:
    """Raise, in place, what lies more than 80 dB below `peak`, the loudest cell of the whole song in dB."""
    np.maximum(log_mel, np.float32(peak - TOP_DB), out=log_mel)


@lru_cache(maxsize=1)
def mel_centres() -> np.ndarray:
    """Give the centres `(128,)` of the mel bands in Hz: the two outer points are only edges."""
    from librosa import mel_frequencies

    centres: np.ndarray = mel_frequencies(N_MELS + 2, fmin=0, fmax=SAMPLE_RATE / 2)[1:-1]
    return centres


@lru_cache(maxsize=1)
def _mel_filters() -> csr_array:
    """Give the Slaney mel filters `(128, 1025)`, float32; nearly all of a dense matrix would be zeros."""
    from librosa.filters import mel
    from scipy.sparse import csr_array

    return csr_array(mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS))


@lru_cache(maxsize=1)
def _window() -> np.ndarray:
    """Give the periodic Hann window `(2048,)`, float64."""
    window: np.ndarray = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    return window
