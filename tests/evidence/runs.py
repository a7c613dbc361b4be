"""Tiny runs to score: three singers of tones over noise, one epoch, and a last layer with opinions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.collection.sounds import melody, write
from tests.training.songs import MIX, QUICK
from whosings.collection.catalogue import Collection, open_collection
from whosings.collection.features import FeatureStore
from whosings.collection.splits import make_split
from whosings.identify.identifier import calibrate
from whosings.identify.ladder import Track2LogProbabilities
from whosings.identify.tracks import log_probabilities
from whosings.models import load_model, save_model
from whosings.models.ensemble import Member
from whosings.training.recipe import load_recipe
from whosings.training.record import Training
from whosings.training.run import train

SINGERS = ("Ada", "Bo", "Cy")


def songs(root: Path, albums: int = 3, per_album: int = 2, seconds: float = 5.0) -> Collection:
    """Write singer/album/song.wav and open it as a collection."""
    for number, singer in enumerate(SINGERS):
        for at in range(albums * per_album):
            album, song = divmod(at, per_album)
            path = root / singer / f"album {album}" / f"song {song}.wav"
            write(path, melody(100 * number + at, seconds + at % 3))
    return open_collection(root)


def run_on(collection: Collection, out: Path, store: FeatureStore, protocol: str = "kuo") -> Path:
    """Train for an epoch, then make the model sure of itself, so that windows differ."""
    recipe = load_recipe("crnn", [*QUICK, "epochs=1", "batch_size=6"])
    training = Training(collection, make_split(collection, protocol), recipe, 3, MIX, seed=0)
    train(training, out, store, quiet=True)
    network, card = load_model(out)
    with torch.no_grad():
        network.get_parameter("head.dense.weight").mul_(30)
        to_log_probabilities = Track2LogProbabilities([Member(network, card)], store)
        rows = log_probabilities(collection.tracks, to_log_probabilities).rows
        usual = torch.from_numpy(np.concatenate(list(rows.values()))).mean(dim=0)
        network.get_parameter("head.dense.bias").sub_(usual)  # so that no singer gets all windows
    save_model(out, network, card)
    calibrate(out, training, store)
    return out
