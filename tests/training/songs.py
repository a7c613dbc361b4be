"""Tiny collections to train on: tones over noise, two singers, one song an album."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.collection.sounds import melody, write
from whosings.collection.catalogue import Collection, open_collection
from whosings.collection.features import FeatureStore
from whosings.collection.splits import Split, make_split
from whosings.collection.track import Source
from whosings.training.module import SingerModule
from whosings.training.recipe import load_recipe
from whosings.training.record import Training

SINGERS = ("Ada", "Bo")
QUICK = ("batch_size=2", "learning_rate=0.001", "precision=32")
MIX = Source()


def songs(root: Path, albums: int = 3, seconds: float = 5.0) -> Collection:
    """Write singer/album/song.flac, by default of two windows of 3 s, and open it as a collection."""
    for number, singer in enumerate(SINGERS):
        for album in range(albums):
            write(root / singer / f"album {album}" / "song.flac", melody(10 * number + album, seconds))
    return open_collection(root)


def training_of(collection: Collection, recipe: str, *overrides: str, split: Split | None = None) -> Training:
    """Give a quick training of a recipe on the songs."""
    chosen = load_recipe(recipe, [*QUICK, *overrides])
    return Training(collection, split or make_split(collection), chosen, 3, MIX, seed=0)


def store_in(folder: Path) -> FeatureStore:
    return FeatureStore(folder / "cache")


def stop_in_epoch(patch: pytest.MonkeyPatch, epoch: int) -> None:
    """Fail at the second batch of an epoch."""
    step = SingerModule.training_step

    def stopping(self: SingerModule, batch: Any, index: int) -> torch.Tensor:
        if (self.current_epoch, index) == (epoch, 1):
            raise RuntimeError("the lights went out")
        return step(self, batch, index)

    patch.setattr(SingerModule, "training_step", stopping)
