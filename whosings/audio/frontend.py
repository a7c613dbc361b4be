"""Front ends: how the sound of a song becomes the log-mel spectrogram that a network reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from whosings.audio.units import AMIN, HOP, N_FFT, N_MELS, SAMPLE_RATE, TOP_DB

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True)
class FrontEnd:
    """
    A power spectrogram in mel bands, in dB with reference 1.0.

    Frame t is centred on sample `hop` * t, with zeros beyond both ends of the song.
    """

    name: str
    frame: int
    """samples to a frame"""
    hop: int
    """samples from frame to frame"""
    n_mels: int
    taper: Callable[[int], np.ndarray]
    """samples of a frame -> their weights (frame,)"""
    lowest: float
    """Hz where the first band begins; the last one ends with the spectrum"""
    htk: bool
    """whether bands are even on the mel scale of HTK, else on Slaney's"""
    filters: Callable[[FrontEnd], np.ndarray]
    """gives the weights of the bins in the bands, (n_mels, 1 + n_fft // 2)"""
    top_db: float | None
    """dB kept below the loudest cell of a song; None leaves that to the network, window by window"""
    padded: int | None = None
    """points of the transform, where a frame is longer with zeros after its samples"""
    emphasis: float | None = None
    """how much of the sample before each sample of a frame loses, once the frame has lost its mean"""

    @property
    def n_fft(self) -> int:
        """Points of the transform of a frame."""
        return self.padded or self.frame

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return SAMPLE_RATE / self.hop

    @property
    def edges(self) -> np.ndarray:
        """Points even on the mel scale, in Hz (n_mels + 2,): the bands peak at all but the outer two."""
        from librosa import mel_frequencies

        edges: np.ndarray = mel_frequencies(
            self.n_mels + 2, fmin=self.lowest, fmax=SAMPLE_RATE / 2, htk=self.htk
        )
        return edges

    @property
    def centres(self) -> np.ndarray:
        """The frequency in Hz that each band hears best, (n_mels,)."""
        return self.edges[1:-1]

    @property
    def settings(self) -> tuple[str | int | float | None, ...]:
        """All that decides the numbers, for the keys of caches."""
        return (SAMPLE_RATE, self.frame, self.hop, self.n_mels, AMIN, self.top_db)

    def window_frames(self, seconds: float) -> int:
        """Give the frames of a window: 94, 157 and 313 for 3, 5 and 10 s of the singers' front end."""
        return int(-(-seconds * SAMPLE_RATE // self.hop))


def _hann(samples: int) -> np.ndarray:
    """Give the periodic Hann window (samples,), float64."""
    window: np.ndarray = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / samples)
    return window


def _hamming(samples: int) -> np.ndarray:
    """Give the periodic Hamming window (samples,), float64."""
    window: np.ndarray = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(samples) / samples)
    return window


def _povey(samples: int) -> np.ndarray:
    """Give Kaldi's window (samples,), float64: a symmetric Hann window to the power 0.85."""
    window: np.ndarray = np.hanning(samples) ** 0.85
    return window


def _slaney_filters(front_end: FrontEnd) -> np.ndarray:
    """Give librosa's mel filters: Slaney's scale, each of area 1."""
    from librosa.filters import mel

    filters: np.ndarray = mel(sr=SAMPLE_RATE, n_fft=front_end.n_fft, n_mels=front_end.n_mels)
    return filters


def _symmetric_filters(front_end: FrontEnd) -> np.ndarray:
    """
    Give SpeechBrain's mel filters: centres on the HTK scale, height 1.

    Each triangle is as wide to the right as to the left, where the next centre on the mel scale would lie
    further off; encoders trained on these filters need the same ones.
    """
    width, centres = np.diff(front_end.edges)[:-1, None], front_end.centres[:, None]
    bins = np.linspace(0, SAMPLE_RATE / 2, 1 + front_end.n_fft // 2)
    filters: np.ndarray = np.maximum(1 - np.abs(bins - centres) / width, 0)
    return filters


def _kaldi_filters(front_end: FrontEnd) -> np.ndarray:
    """Give Kaldi's mel filters: triangles on the mel scale itself, height 1."""
    from librosa import hz_to_mel

    edges = hz_to_mel(front_end.edges, htk=True)
    bins = hz_to_mel(np.linspace(0, SAMPLE_RATE / 2, 1 + front_end.n_fft // 2), htk=True)
    filters: np.ndarray = np.maximum(1 - np.abs(bins - edges[1:-1, None]) / (edges[1] - edges[0]), 0)
    return filters


SINGER = FrontEnd("log-mel", N_FFT, HOP, N_MELS, _hann, 0, False, _slaney_filters, TOP_DB)
"""What the paper's systems hear (Kuo 2021): long frames, fine bands."""

SPEAKER = FrontEnd("log-mel-speaker", 400, 160, 80, _hamming, 0, True, _symmetric_filters, None)
"""What speaker encoders trained with SpeechBrain hear: 25 ms every 10 ms."""

KALDI = FrontEnd("log-mel-kaldi", 400, 160, 80, _povey, 20, True, _kaldi_filters, None, 512, 0.97)
"""What speaker encoders trained on Kaldi's filter banks hear, such as 3D-Speaker's: 25 ms every 10 ms."""


@lru_cache
def mel_filters(front_end: FrontEnd) -> csr_array:
    """Give the filters `(n_mels, 1 + n_fft // 2)`, float32; nearly all of a dense matrix would be zeros."""
    from scipy.sparse import csr_array

    return csr_array(front_end.filters(front_end).astype(np.float32))


@lru_cache
def taper(front_end: FrontEnd) -> np.ndarray:
    """Give the weights `(frame,)` of the samples of a frame, float64."""
    return front_end.taper(front_end.frame)
