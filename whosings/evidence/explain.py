"""What spoke for a singer in a song: Grad-CAM over all its windows, and the picture of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from torch import nn

from whosings.collection.features import FeatureStore
from whosings.collection.track import Track
from whosings.evidence.gradcam import grad_cam
from whosings.evidence.pictures import song_picture
from whosings.identify.ladder import (
    BATCH,
    Answer,
    LogProbabilities2Answer,
    Track2Windows,
    Windows,
    Windows2LogProbabilities,
)
from whosings.models import ModelCard


@dataclass(frozen=True)
class Explanation:
    """An answer, and the seconds that speak most for it."""

    answer: Answer
    listen_from: float
    listen_to: float


def song_heat(network: nn.Module, windows: Windows, singer: int) -> np.ndarray:
    """Give Grad-CAM for a class over a song: (128, frames) from 0 to 1; where windows overlap, the larger."""
    layer = cast(nn.Module, network.cam_layer)
    frames = windows.log_mel.shape[1]
    heat = np.zeros(windows.log_mel.shape, dtype=np.float32)
    for first in range(0, len(windows.starts), BATCH):
        maps = grad_cam(network, layer, windows.batch(first), singer).cpu().numpy()
        for start, window_map in zip(windows.starts[first:], maps, strict=False):
            stop = min(int(start) + windows.length, frames)
            part = heat[:, start:stop]
            np.maximum(part, window_map[:, : stop - start], out=part)
    return heat


def explain(
    network: nn.Module, card: ModelCard, track: Track, store: FeatureStore, picture: Path, title: str = ""
) -> Explanation:
    """Answer for a track and draw its spectrogram, what spoke for the singer, and each window's singer."""
    windows = Track2Windows(store, card.sound, card.window_seconds)(track)
    rows = Windows2LogProbabilities(network)(windows)
    answer = LogProbabilities2Answer(card.singers, card.vote)(rows)
    heat = song_heat(network, windows, card.singers.index(answer.singer))
    song_picture(
        picture, np.asarray(windows.log_mel), heat, np.exp(rows), windows.start_seconds, card.singers, title
    )
    return Explanation(answer, *windows.span(answer.best_window))
