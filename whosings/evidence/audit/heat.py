"""Where the heat lies: on what the voice sounds louder in, or on what the band does."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import nn

from whosings.audio import logmel
from whosings.audio.units import TOP_DB
from whosings.collection.windows import cut
from whosings.evidence.audit.model import SavedModel
from whosings.evidence.audit.swaps import Stems
from whosings.evidence.gradcam import heat_maps
from whosings.identify.ladder import Windows

CAM_BATCH = 8  # windows explained at once


class HeatShares(NamedTuple):
    """
    How much of each window lies where the voice or the band is the louder: all (windows,), from 0 to 1.

    What is left lies where nothing can be heard. `heat` is Grad-CAM, or HiResCAM, for the singer whom the
    window was given, NaN where nothing spoke for one; `even` is a map that is the same everywhere, and
    `energy` one as loud as the song.
    """

    heat_on_voice: np.ndarray
    heat_on_band: np.ndarray
    even_on_voice: np.ndarray
    even_on_band: np.ndarray
    energy_on_voice: np.ndarray
    energy_on_band: np.ndarray


def heat_shares(model: SavedModel, song: Stems) -> HeatShares | None:
    """
    Say how much of the heat of a song's windows lies on its voice, and how much on its band.

    A cell of the spectrogram is the voice's where the voice alone is louder there than the band alone, else
    the band's; cells further below the song's loudest than TOP_DB are neither's. None for a model that
    has no maps to explain.
    """
    network = model.explained
    if network is None:
        return None
    with model.windows(song.mix) as windows:
        front_end = windows.features.front_end
        mix, voice, band = (logmel.log_mel(sound, front_end) for sound in (song.mix, song.voice, song.band))
        audible = mix > mix.max() - TOP_DB
        sung, played = audible & (voice > band), audible & (voice <= band)
        on_voice, on_band, energy = (
            np.stack([cut(cells, int(start), windows.length) for start in windows.starts])
            for cells in (sung, played, 10 ** (mix.astype(np.float64) / 10))
        )
        heat = _heat(network, windows)
    return HeatShares(
        heat_on_voice=share(heat, on_voice),
        heat_on_band=share(heat, on_band),
        even_on_voice=on_voice.mean(axis=(1, 2)),
        even_on_band=on_band.mean(axis=(1, 2)),
        energy_on_voice=share(energy, on_voice),
        energy_on_band=share(energy, on_band),
    )


def share(maps: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Give how much of each map (windows, bands, frames) lies `inside`: (windows,), NaN for an empty map."""
    total = maps.sum(axis=(1, 2), dtype=np.float64)
    inner = (maps * inside).sum(axis=(1, 2), dtype=np.float64)
    shares: np.ndarray = np.divide(inner, total, out=np.full(len(maps), np.nan), where=total > 0)
    return shares


def _heat(network: nn.Module, windows: Windows) -> np.ndarray:
    """Give the heat of each window for the singer it is given: (windows, bands, frames)."""
    device = next(network.parameters()).device
    maps = [
        heat_maps(network, windows.batch(first, CAM_BATCH).to(device)).cpu().numpy()
        for first in range(0, len(windows.starts), CAM_BATCH)
    ]
    return np.concatenate(maps)
