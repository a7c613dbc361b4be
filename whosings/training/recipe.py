"""Recipes: what to train and how, as short YAML files that include a base."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from whosings.errors import WhosingsError
from whosings.files import write_text
from whosings.lca import BranchKind, Effect, LossWeights, TwoStepSchedule


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CounterfactualRecipe(_Strict):
    """The counterfactual side of a recipe; `whosings.lca` explains the words."""

    branch: BranchKind = "none"
    effect: Effect = "probabilities"
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Dropout rate of the counterfactual rows before the dense layer; None: that of the main branch."""
    first_step: int = Field(default=20, ge=0)
    """epochs of the main branch alone"""
    weights: LossWeights = LossWeights()

    @field_validator("weights", mode="before")
    @classmethod
    def _known_terms(cls, weights: Any) -> Any:
        known = {field.name for field in fields(LossWeights)}
        if isinstance(weights, dict) and not weights.keys() <= known:
            raise ValueError(f"unknown term {sorted(weights.keys() - known)}, the terms are {sorted(known)}")
        return weights

    @field_validator("weights")
    @classmethod
    def _usable_weights(cls, weights: LossWeights) -> LossWeights:
        wrong = [name for name, weight in vars(weights).items() if not 0 <= weight < math.inf]
        if wrong:
            raise ValueError(f"{wrong[0]} must be a number of at least 0 (the signs are in equation 1)")
        if not weights.main:
            raise ValueError("main must be above 0, since the first step trains it alone")
        return weights

    @property
    def schedule(self) -> TwoStepSchedule:
        """The two-step schedule of the six terms."""
        return TwoStepSchedule(self.weights, self.first_step)


class Recipe(_Strict):
    """Everything that decides a training besides the data, the window length and the seed."""

    system: str
    options: dict[str, Any] = {}
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    adam_epsilon: float = Field(gt=0)
    pretrained: bool = False
    """start from the pretrained weights of the system, where it has any"""
    frozen: tuple[str, ...] = ()
    """parts of the network that stay as they are, such as encoder"""
    learning_rates: dict[str, Annotated[float, Field(gt=0)]] = {}
    """of parts of the network that learn at another rate than the rest, such as a fresh head"""
    imprint: bool = False
    """begin each singer's direction at the mean of the singer's voiceprints; only the head may learn"""
    logit_l1: float = Field(default=0.0, ge=0)
    """weight of sum |logits| / batch, an activity term of the released CRNN_FGNL"""
    dense_l2: float = Field(default=0.0, ge=0)
    """weight of the sum of squares of the dense kernel, likewise"""
    batch_norm_momentum: float = Field(default=0.01, gt=0, le=1)
    """share of a new batch in the running statistics; short trainings need more than Keras's 0.01"""
    remix_db: tuple[float, float] | None = None
    """Lowest and highest level in dB of the voice over the band of another song, drawn anew for each training
    window, or once where there are `remixes`; None: songs as they are. Needs stems."""
    remixes: int = Field(default=0, ge=0)
    """how many of each training window are drawn once and learnt beside it, none anew; needs `remix_db`"""
    voices: bool = False
    """The voice alone of each training window is learnt beside it: its stem, or of a mix what the separator
    takes out; beside separated vocals the stem, of songs that have stems."""
    piece_seconds: float | None = Field(default=None, ge=1)
    """Learn from sung pieces of this length, drawn anew at random, all singers alike often, in place of the
    windows one after the other; an epoch has as many. Needs `remix_db`."""
    distil: float = Field(default=0.0, ge=0)
    """weight of 1 - cosine between the voiceprint of a remixed piece and the one that the pretrained network
    gives its voice alone; needs `pretrained` and `piece_seconds`"""
    margin: float = Field(default=0.0, ge=0)
    """what the true singer's logit is lowered by in training, for voices to lie further apart"""
    balanced: bool = False
    """Every singer counts alike, however many windows there are of each: these are weighed in the loss."""
    schedule: Literal["constant", "cosine"] = "constant"
    """of the learning rate: cosine rises over the first steps and falls to next to nothing"""
    gradient_clip: float | None = Field(default=None, gt=0)
    """largest norm of the gradient"""
    precision: Literal["auto", "bf16", "32"] = "auto"
    counterfactual: CounterfactualRecipe = CounterfactualRecipe()

    @property
    def hears_bands(self) -> bool:
        """Whether training hears bands apart from their voices."""
        return self.remix_db is not None or self.counterfactual.branch == "recast"

    @property
    def hears_stems(self) -> bool:
        """Whether training hears voices or bands apart from each other."""
        return self.hears_bands or self.voices

    @field_validator("remix_db")
    @classmethod
    def _low_before_high(cls, levels: tuple[float, float] | None) -> tuple[float, float] | None:
        if levels is not None and not levels[0] <= levels[1]:
            raise ValueError("give the lower level first, such as [0, 9]")
        return levels

    @model_validator(mode="after")
    def _what_belongs_together(self) -> Recipe:
        if self.piece_seconds is not None and self.remix_db is None:
            raise ValueError("piece_seconds needs remix_db, such as [0, 9]")
        if self.remixes and self.remix_db is None:
            raise ValueError("remixes needs remix_db, such as [0, 9]")
        if (self.remixes or self.voices) and (self.piece_seconds or self.counterfactual.branch == "recast"):
            given = "remixes" if self.remixes else "voices"
            raise ValueError(f"{given} cannot be combined with piece_seconds or the branch recast")
        if self.voices and self.remix_db is not None and not self.remixes:
            raise ValueError("voices beside remixes needs remixes, such as 1")
        if self.distil and not (self.pretrained and self.piece_seconds is not None):
            raise ValueError("distil needs pretrained and piece_seconds")
        if self.balanced and self.piece_seconds is not None:
            raise ValueError("pieces are drawn evenly from all singers; set balanced=false")
        if (self.distil or self.balanced) and self.counterfactual.branch != "none":
            given = "distil" if self.distil else "balanced"
            raise ValueError(f"{given} cannot be combined with a counterfactual branch")
        return self

    @field_validator("precision", mode="before")
    @classmethod
    def _precision_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value  # YAML reads a bare 32 as a number


def recipe_names() -> list[str]:
    """List the recipes that come with whosings."""
    folder = resources.files("whosings.training") / "recipes"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """
    Load a recipe by name, or by path where `name` ends in .yaml, with `key.key=value` overrides.

    Raises WhosingsError for an unknown recipe, key or value.
    """
    settings = _read(name, seen=())
    for override in overrides:
        settings = _merge(settings, _parse_override(override))
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        wrong = error.errors()[0]
        key = ".".join(str(part) for part in wrong["loc"])  # none where settings do not belong together
        reason = wrong["msg"].removeprefix("Value error, ")
        raise WhosingsError(": ".join(filter(None, (f"Recipe {name}", key, f"{reason}.")))) from None


def write_recipe(path: Path, recipe: Recipe, base: str | None = None, comment: str = "") -> None:
    """
    Write a recipe that `load_recipe` gives back, below `comment` (lines without their #).

    With `base`, the name of a recipe, the file holds what differs from it and, where there is a
    counterfactual branch, all six weights; without one, or where it has an option too many, everything.
    """
    settings = recipe.model_dump(mode="json")
    if base is not None:
        of_base = load_recipe(base).model_dump(mode="json")
        changes = _changes(of_base, settings)
        if recipe.counterfactual.branch != "none":
            changes.setdefault("counterfactual", {})["weights"] = settings["counterfactual"]["weights"]
        if _merge(of_base, changes) == settings:
            settings = {"base": base, **changes}
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    write_text(path, lines + text)


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Give what `_merge` needs to turn `old` into `new`, but for keys that only `old` has."""
    changes = {}
    for key, value in new.items():
        if key not in old or old[key] != value:
            both = isinstance(value, dict) and isinstance(old.get(key), dict)
            changes[key] = _changes(old[key], value) if both else value
    return changes


def _read(name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name in seen:
        raise WhosingsError(f"Recipe {name} includes itself; mend its 'base'.")
    shipped = resources.files("whosings.training") / "recipes" / f"{name}.yaml"
    path = Path(name) if name.endswith((".yaml", ".yml")) else shipped
    if not path.is_file():
        raise WhosingsError(
            f"There is no recipe {name}; give the path of a .yaml file or one of {', '.join(recipe_names())}."
        )
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WhosingsError(f"Recipe {name}: not YAML ({str(error).splitlines()[0]}).") from None
    if not isinstance(settings, dict):
        raise WhosingsError(f"Recipe {name}: a recipe is a list of 'key: value' lines.")
    base = settings.pop("base", None)
    if not isinstance(base, str | None):
        raise WhosingsError(f"Recipe {name}: base: give the name or the path of one recipe.")
    return _merge(_read(base, (*seen, name)), settings) if base else settings


def _merge(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _parse_override(override: str) -> dict[str, Any]:
    keys, equals, value = override.partition("=")
    if not equals:
        raise WhosingsError(f"--set {override}: write it as key=value, such as learning_rate=0.001.")
    try:
        nested = yaml.safe_load(value)
    except yaml.YAMLError:
        raise WhosingsError(f"--set {override}: {value!r} is not a YAML value; put it in quotes.") from None
    for key in reversed(keys.split(".")):
        nested = {key: nested}
    return dict(nested)
