"""A grid of runs: estimated, trained and scored one by one, resumed where it was cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whosings.collection.catalogue import open_collection
from whosings.collection.features import FeatureStore
from whosings.collection.splits import Split, make_split
from whosings.collection.track import SeparatorName, Source
from whosings.errors import WhosingsError
from whosings.evidence.answers import Answers, read_answers
from whosings.evidence.evaluate import METRICS, evaluate, scores_folder
from whosings.evidence.paper.plan import Cell, Draw, Row
from whosings.files import read_json
from whosings.identify.identifier import calibrate
from whosings.identify.votes import Voters
from whosings.training.recipe import Recipe, load_recipe
from whosings.training.record import RECORD, Training, read_record
from whosings.training.run import train

RUNS = "runs"
VOTERS: Voters = "all"  # windows, as in the papers


@dataclass(frozen=True)
class Settings:
    """What all runs of a grid share."""

    collection: Path
    out: Path
    protocol: str = "kuo"
    split: Split | None = None
    """One frozen split for all draws, which then differ by the seed of weights and order alone; without it
    each draw has a split of its own by `protocol`, as in the papers."""
    mix_db: float | None = None
    separator: SeparatorName = "spleeter"
    """where vocals come from"""
    epochs: int | None = None
    first_step: int | None = None
    """epochs of the first of two training steps; None: the recipe's, but no more than a quarter of all"""
    overrides: tuple[str, ...] = ()
    """such as learning_rate=0.001"""

    def recipe(self, name: str) -> Recipe:
        """
        Give a recipe with what the grid changes.

        Raises WhosingsError for an unknown name or key, and where the second step would never begin.
        """
        changes = [*self.overrides, *([f"epochs={self.epochs}"] if self.epochs else [])]
        recipe = load_recipe(name, changes)
        usual = recipe.counterfactual.first_step
        if recipe.counterfactual.branch == "none" or not usual:
            return recipe
        first_step = min(usual, recipe.epochs // 4) if self.first_step is None else self.first_step
        if first_step >= recipe.epochs:
            raise WhosingsError(
                f"A first step of {first_step} epochs leaves none of {recipe.epochs} to the second; give "
                "more epochs or a shorter first step."
            )
        return load_recipe(name, [*changes, f"counterfactual.first_step={first_step}"])

    def source(self, cell: Cell) -> Source:
        """Give the sound that a cell hears."""
        return Source(cell.source, self.mix_db, "stems" if cell.source == "mix" else self.separator)


@dataclass(frozen=True)
class Scored:
    """A run of the grid as one row of a table sees it."""

    row: Row
    cell: Cell
    metrics: dict[str, Any]
    """the content of metrics.json"""
    answers: Answers
    parameters: int
    folder: Path
    """of the run"""


class Grid:
    """The runs of some settings, each in a folder of its own under `out/runs`."""

    def __init__(self, settings: Settings, store: FeatureStore):
        self.settings, self.store = settings, store
        self.collection = open_collection(settings.collection)

    def split(self, draw: Draw) -> Split:
        """Give the split of a draw; raises WhosingsError where it cannot be made or tests nothing."""
        settings = self.settings
        split = settings.split or make_split(self.collection, settings.protocol, draw.seed, draw.fold or 0)
        if not split.test:
            raise WhosingsError(
                f"{settings.collection}: a split by the protocol {split.protocol} has no test songs; choose "
                "kuo, canonical or sixfold."
            )
        return split

    def distinct(self, draws: Sequence[Draw]) -> list[Draw]:
        """
        Leave out draws that would make the runs of an earlier one again: same seed, same songs on each side.

        Such are folds beyond the albums of all artists, which count round, and the folds of one frozen split.
        """
        first: dict[Any, Draw] = {}
        for draw in draws:
            split = self.split(draw)
            first.setdefault((draw.seed, split.train, split.validation, split.test), draw)
        return list(first.values())

    def training(self, cell: Cell) -> Training:
        """Give what decides the run of a cell."""
        recipe, source = self.settings.recipe(cell.recipe), self.settings.source(cell)
        return Training(self.collection, self.split(cell.draw), recipe, cell.window, source, cell.draw.seed)

    def folder(self, cell: Cell) -> Path:
        """Give the run folder of a cell."""
        source = self.settings.source(cell)
        sound = f"{source.name}-{source.separator}" if source.separated else source.name
        name = f"{cell.recipe}-{cell.window}s-{sound}-seed{cell.draw.seed}"
        fold = "" if cell.draw.fold is None else f"-fold{cell.draw.fold}"
        return self.settings.out / RUNS / (name + fold)

    def trained(self, cell: Cell) -> bool:
        """Say whether a cell is trained to its end, whatever its settings were."""
        folder = self.folder(cell)
        return (folder / RECORD).is_file() and bool(read_record(folder).get("complete"))

    def done(self, cell: Cell) -> bool:
        """Say whether a cell is trained, its vote set and its test songs scored."""
        return (self.folder(cell) / METRICS).is_file()

    def train(self, cell: Cell, *, quiet: bool = False) -> Path:
        """
        Train a cell and set its vote, going on where that was cut off; give the run folder.

        Raises WhosingsError where the folder holds a run of other settings, or the run cannot be made.
        """
        training, folder = self.training(cell), self.folder(cell)
        train(training, folder, self.store, quiet=quiet)
        if not self.done(cell):
            calibrate(folder, training, self.store, VOTERS)
        return folder

    def score(self, row: Row, cell: Cell) -> Scored:
        """Score a row's branch of a trained cell, once and for all; read what was scored before."""
        run = self.folder(cell)
        scores = scores_folder(run, branch=row.branch)
        if not (scores / METRICS).is_file():
            evaluate(run, branch=row.branch, store=self.store, voters=VOTERS, quiet=True)
        metrics = read_json(scores / METRICS, "metrics")
        return Scored(row, cell, metrics, read_answers(scores), read_record(run)["parameters"], run)
