"""The identifier: a trained model put to use, its vote and its calibration set by validation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from whosings.errors import WhosingsError
from whosings.identify.calibration import fit
from whosings.identify.ladder import (
    File2Identification,
    Identification,
    Track2Windows,
    Windows2LogProbabilities,
)
from whosings.identify.tracks import choose_vote, log_probabilities, of_side

if TYPE_CHECKING:
    from whosings.collection.features import FeatureStore
    from whosings.models.store import VoteName
    from whosings.training.record import Training


class Identifier:
    """Says who sings in a file. Load one with `whosings.load(path)`."""

    def __init__(self, folder: Path):
        """Load the model in `folder`; raises WhosingsError where there is none."""
        from whosings.models import load_model

        network, self.card = load_model(folder)
        self._to_identification = File2Identification(network, self.card, best_device())

    @property
    def singers(self) -> list[str]:
        """The singers that the model can name."""
        return list(self.card.singers)

    def identify(self, path: str | Path) -> Identification:
        """Identify the singer of a sound file; raises UnreadableSoundError where it cannot be read."""
        return self._to_identification(Path(path))


def best_device() -> str:
    """Give the device that inference should use."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def calibrate(run: Path, training: Training, store: FeatureStore) -> dict[VoteName, float]:
    """
    Settle on validation songs how a fresh run answers, and write that into the model: vote and calibration.

    Gives the macro F1 of all votes. Raises WhosingsError where no validation song can be answered.
    """
    from whosings.models import load_model
    from whosings.models.store import save_card

    network, card = load_model(run)
    tracks = training.tracks("validation")
    to_windows = Track2Windows(store, card)
    validation = log_probabilities(tracks, to_windows, Windows2LogProbabilities(network, best_device()))
    singer_of = {track.id: track.artist for track in tracks}
    rows = of_side(validation.rows, training.split, "validation")
    if not rows:
        reason = next(iter(validation.failed.values()), "the split names none")
        raise WhosingsError(f"{run}: no validation song can be answered ({reason.rstrip('.')}).")
    vote, scores = choose_vote(singer_of, rows, card.singers)
    codes = {name: card.singers.index(singer_of[name]) for name in rows}
    save_card(run, card.model_copy(update={"vote": vote, "calibration": fit(rows, codes, vote)}))
    return scores
