"""The saved form of a model: weights as safetensors, everything else as JSON; nothing in it can run code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from whosings.collection.track import SeparatorName, Source, SourceName
from whosings.errors import WhosingsError
from whosings.files import read_json, replacing, write_json
from whosings.models.calibration import Calibration
from whosings.models.factory import create

WEIGHTS = "model.safetensors"
CARD = "model.json"
ENSEMBLE = "ensemble"
MEMBERS = "members"

VoteName = Literal["majority", "thresholded_majority", "mean_log_probability"]


class ModelCard(BaseModel):
    """What a saved model is and how to use it."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    format_version: Literal[1] = 1
    system: str
    options: dict[str, Any] = {}
    singers: list[str]
    window_seconds: int
    source: SourceName = "mix"
    mix_db: float | None = None
    separator: SeparatorName = "stems"
    vote: VoteName = "mean_log_probability"
    calibration: Calibration | None = None
    members: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}
    """of an ensemble: the weight of each, by the folder in `members/` that it lies in"""

    @property
    def sound(self) -> Source:
        """The sound that the model listens to."""
        return Source(self.source, self.mix_db, self.separator)


def save_model(folder: Path, network: nn.Module, card: ModelCard) -> None:
    """Write `model.safetensors` and `model.json` into `folder`, each whole or not at all."""
    with replacing(folder / WEIGHTS) as temporary:
        save_file({name: t.contiguous() for name, t in network.state_dict().items()}, temporary)
    save_card(folder, card)


def save_card(folder: Path, card: ModelCard) -> None:
    """Write `model.json` alone."""
    write_json(folder / CARD, card.model_dump())


def load_card(folder: Path) -> ModelCard:
    """Read `model.json`; raises WhosingsError where it is missing or is not one."""
    if not (folder / CARD).is_file():
        raise WhosingsError(f"{folder}: this is not a trained model (it has no {CARD}); give a run folder.")
    try:
        return ModelCard.model_validate(read_json(folder / CARD, "model"))
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(str(key) for key in wrong["loc"])
        raise WhosingsError(f"{folder / CARD}: {place}: {wrong['msg']}; train the model again.") from None


def load_model(folder: Path) -> tuple[nn.Module, ModelCard]:
    """
    Load a saved single model in evaluation mode; `whosings.models.ensemble` loads either kind.

    Raises WhosingsError where a file is missing or does not fit, or `folder` is an ensemble.
    """
    card = load_card(folder)
    if card.system == ENSEMBLE:
        raise WhosingsError(
            f"{folder}: this is an ensemble, which is explained and worked on by its members; give one of "
            f"them, such as {folder / MEMBERS / next(iter(card.members), '...')}."
        )
    network = create(card.system, len(card.singers), **card.options)
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise WhosingsError(f"{folder / WEIGHTS}: these weights cannot be used ({reason}).") from None
    return network.eval(), card
