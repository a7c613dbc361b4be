"""Ensembles: several models that hear the same windows of a song, and what they say averaged."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from whosings.errors import WhosingsError
from whosings.files import replacing
from whosings.models.store import (
    CARD,
    ENSEMBLE,
    MEMBERS,
    WEIGHTS,
    ModelCard,
    load_card,
    load_model,
    save_card,
)

if TYPE_CHECKING:
    from torch import nn


class Member(NamedTuple):
    """A model that is asked: one of an ensemble, or a single model, which is asked alone."""

    network: nn.Module
    card: ModelCard
    weight: float = 1.0
    """share in the average"""
    temperature: float | None = None
    """divides its log-probabilities before they are averaged; None leaves them as they are"""
    columns: Sequence[int] | slice = slice(None)
    """where the singers of the ensemble stand among its own"""


def load_members(folder: Path) -> tuple[list[Member], ModelCard]:
    """Load a saved model of either kind: who is asked, and the card; raises WhosingsError as `load_model`."""
    card = load_card(folder)
    if card.system != ENSEMBLE:
        network, _ = load_model(folder)
        return [Member(network, card)], card
    if not card.members:
        raise WhosingsError(f"{folder / CARD}: this ensemble has no members; join models again.")
    asked = {name: load_model(folder / MEMBERS / name) for name in card.members}
    return [
        in_ensemble(network, own, card, folder / MEMBERS / name, card.members[name])
        for name, (network, own) in asked.items()
    ], card


def in_ensemble(
    network: nn.Module, card: ModelCard, ensemble: ModelCard, place: Path, weight: float = 1.0
) -> Member:
    """Make a model a member; raises WhosingsError, which names `place`, where it answers something else."""
    if set(card.singers) != set(ensemble.singers):
        raise WhosingsError(
            f"{place}: this model knows other singers than the ensemble; join models of one split."
        )
    if (card.window_seconds, card.mix_db) != (ensemble.window_seconds, ensemble.mix_db):
        raise WhosingsError(
            f"{place}: this model hears windows of {_heard(card)}, and the ensemble {_heard(ensemble)}; "
            "join models that hear alike."
        )
    temperature = card.calibration.window_temperature if card.calibration else 1.0
    columns = [card.singers.index(singer) for singer in ensemble.singers]
    return Member(network, card, weight, temperature, columns)


def _heard(card: ModelCard) -> str:
    level = "" if card.mix_db is None else f" of mixes at {card.mix_db:g} dB"
    return f"{card.window_seconds} s{level}"


def save_ensemble(folder: Path, card: ModelCard, members: Mapping[str, Path]) -> None:
    """Copy the models in the folders of `members`, by name, into `folder`; its `model.json` comes last."""
    for name, source in members.items():
        for file in (WEIGHTS, CARD):
            with replacing(folder / MEMBERS / name / file) as temporary:
                shutil.copyfile(source / file, temporary)
    save_card(folder, card)


def average(log_probabilities: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """Give weighted geometric means: (windows, members, singers) -> log-probabilities (windows, singers)."""
    from scipy.special import log_softmax

    shares = np.asarray(weights, dtype=np.float64)
    means = np.einsum("wms,m->ws", log_probabilities, shares)
    averaged: np.ndarray = log_softmax(means, axis=1)
    return averaged
