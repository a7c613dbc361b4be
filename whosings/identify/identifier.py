"""The identifier: a trained model put to use, its vote and its calibration set by validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from whosings.identify.calibration import fit
from whosings.identify.ladder import (
    File2Identification,
    Identification,
    Track2LogProbabilities,
    Track2Sung,
)
from whosings.identify.tracks import TrackLogProbabilities, choose_vote, on_side
from whosings.identify.votes import Voters, of_voters

if TYPE_CHECKING:
    import numpy as np

    from whosings.collection.features import FeatureStore
    from whosings.collection.track import Track
    from whosings.models.store import ModelCard, VoteName
    from whosings.training.record import Training


class Identifier:
    """Says who sings in a file. Load one with `whosings.load(path)`."""

    def __init__(self, folder: Path):
        """Load the model in `folder`; raises WhosingsError where there is none."""
        from whosings.models.ensemble import load_members

        members, self.card = load_members(folder)
        self._to_identification = File2Identification(members, self.card, best_device())

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


def calibrate(
    run: Path, training: Training, store: FeatureStore, voters: Voters = "sung"
) -> dict[VoteName, float]:
    """
    Settle on validation songs how a fresh run answers, and write that into the model: vote and calibration.

    `voters` is "all" for tables that keep to the papers, where every window votes. Gives the macro F1 of all
    votes. Raises WhosingsError where no validation song can be answered.
    """
    from whosings.models.ensemble import load_members
    from whosings.models.store import save_card

    members, card = load_members(run)
    tracks = training.tracks("validation")
    to_log_probabilities = Track2LogProbabilities(members, store, best_device())
    validation = on_side("validation", tracks, training.split, to_log_probabilities)
    to_sung = Track2Sung(store, card, voters)
    card, scores = settle(card, tracks, rows_of_voters(validation, tracks, to_sung))
    save_card(run, card)
    return scores


def rows_of_voters(
    heard: TrackLogProbabilities, tracks: Sequence[Track], to_sung: Track2Sung
) -> dict[str, np.ndarray]:
    """Keep of what was heard of `tracks` the rows of windows that vote, (voters, ...) by track id."""
    return {
        track.id: of_voters(heard.rows[track.id], to_sung(track, heard.starts[track.id]))
        for track in tracks
        if track.id in heard.rows
    }


def settle(
    card: ModelCard, tracks: Sequence[Track], rows: Mapping[str, np.ndarray]
) -> tuple[ModelCard, dict[VoteName, float]]:
    """
    Choose the vote and fit the calibration of a model; give its card with both, and macro F1 of all votes.

    Args:
        card: the model's.
        tracks: validation tracks.
        rows: log-probabilities (voters, singers) by track id, of those that could be heard: of the windows
            that vote, as in use.

    """
    singer_of = {track.id: track.artist for track in tracks if track.id in rows}
    vote, scores = choose_vote(singer_of, rows, card.singers)
    codes = {name: card.singers.index(singer) for name, singer in singer_of.items()}
    return card.model_copy(update={"vote": vote, "calibration": fit(rows, codes, vote)}), scores
