"""Sine waves are no singing; where a test is not about that, everything counts as sung."""

from __future__ import annotations

import numpy as np
import pytest

from whosings.audio.activity import ACTIVITY_RATE
from whosings.collection.features import FeatureStore
from whosings.collection.track import Source, Track


@pytest.fixture
def all_is_sung(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the activity of every track be singing over music."""

    def activity(store: FeatureStore, track: Track, source: Source) -> np.ndarray:
        features = store.features(track, source)
        frames = int(np.ceil(features.frames / features.front_end.frame_rate * ACTIVITY_RATE))
        return np.tile(np.array([[0], [1], [1]], dtype=np.float32), frames)

    monkeypatch.setattr(FeatureStore, "activity", activity)
