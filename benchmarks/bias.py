"""
Is it the voice or the band? Train recipes on the confounded benchmark and measure the gap tied - swapped.

    python benchmarks/bias.py COLLECTION --out FOLDER --recipes voiceprint,voiceprint_pooling_lca \\
        [--ties 0,0.9] [--seeds 0,1,2] [--singers 8] [--window 5] [--mix-db 0] [--set KEY=VALUE ...]

One run for each recipe, tie and seed, each trained and scored once: the same command goes on where it was
cut off. A seed draws pools, songs and splits as well as weights; recipes share those of a seed, so that their
differences are paired. Writes FOLDER/bias.json and FOLDER/bias.md: window accuracy in the tests tied, free
and swapped, the gap, and each recipe's differences from the first, with intervals over voice songs.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from whosings.collection.catalogue import open_collection
from whosings.collection.confounded import TESTS, Confounded, confound
from whosings.collection.features import FeatureStore, default_cache
from whosings.collection.splits import Split
from whosings.collection.track import Source
from whosings.evidence.answers import read_answers
from whosings.evidence.bias import FIGURES, Estimated, Tested, differences, estimates
from whosings.evidence.evaluate import METRICS, evaluate, scores_folder
from whosings.files import write_json, write_text
from whosings.identify.identifier import calibrate
from whosings.training.recipe import load_recipe
from whosings.training.record import Training
from whosings.training.run import train


@dataclass(frozen=True)
class Cell:
    """A run of the grid."""

    recipe: str
    tie: float
    seed: int

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{Path(self.recipe).stem}-tie{self.tie:g}-seed{self.seed}"


def cells(given: argparse.Namespace) -> Iterator[Cell]:
    """Give the grid, whole seeds first, so that a grid cut off can be compared."""
    for seed in given.seeds:
        for tie in given.ties:
            for recipe in given.recipes:
                yield Cell(recipe, tie, seed)


def tested(cell: Cell, given: argparse.Namespace, store: FeatureStore) -> Tested:
    """Train and score a cell, once and for all; give its windows by test."""
    benchmark = confounded(cell, given)
    run = given.out / "runs" / cell.name
    folders = {test: scores_folder(run, collection=path) for test, path in benchmark.tests.items()}
    if not all((folder / METRICS).is_file() for folder in folders.values()):
        recipe = load_recipe(cell.recipe, given.set)
        source = Source("mix", given.mix_db)
        opened, split = open_collection(benchmark.root), Split.load(benchmark.split)
        training = Training(opened, split, recipe, given.window, source, cell.seed)
        train(training, run, store)
        calibrate(run, training, store)
        for path in benchmark.tests.values():
            evaluate(run, collection=path, store=store, quiet=True)
    return {test: read_answers(folder).windows for test, folder in folders.items()}


def confounded(cell: Cell, given: argparse.Namespace) -> Confounded:
    """Make the benchmark of a cell, or find it made."""
    collection, out = open_collection(given.collection), given.out / f"tie{cell.tie:g}-seed{cell.seed}"
    return confound(collection, out, tie=cell.tie, singers=given.singers, seed=cell.seed)


def table(found: dict[str, Any]) -> str:
    """Give the results as Markdown."""
    lines = [f"`{found['command']}`", ""]
    for tie, recipes in found["ties"].items():
        lines += [f"Tie {tie}, {found['windows']} s windows, seeds {found['seeds']}:", ""]
        lines += [f"| recipe | {' | '.join(FIGURES)} | gap less that of the first |", "|---|" + "---|" * 5]
        for name, row in recipes.items():
            figures = [_cell(row["figures"][figure]) for figure in FIGURES]
            against = _cell(row["less_first"]["gap"]) if row["less_first"] else ""
            lines.append(f"| `{name}` | {' | '.join(figures)} | {against} |")
        lines.append("")
    return "\n".join(lines)


def _cell(value: dict[str, Any]) -> str:
    low, high = value["interval"]
    return f"{value['mean']:.3f} ({low:.2f} to {high:.2f})"


def results(runs: dict[Cell, Tested], given: argparse.Namespace) -> dict[str, Any]:
    """Put the figures of all recipes together, tie by tie, over the seeds that all of them have."""
    ties: dict[str, Any] = {}
    done = [
        seed
        for seed in given.seeds
        if all(Cell(recipe, tie, seed) in runs for tie in given.ties for recipe in given.recipes)
    ]
    for tie in given.ties if done else []:
        of = {recipe: [runs[Cell(recipe, tie, seed)] for seed in done] for recipe in given.recipes}
        first = of[given.recipes[0]]
        ties[f"{tie:g}"] = {
            recipe: {
                "figures": _plain(estimates(own)),
                "less_first": None if own is first else _plain(differences(own, first)),
            }
            for recipe, own in of.items()
        }
    command = shlex.join(["python", "benchmarks/bias.py", *sys.argv[1:]])
    return {"command": command, "windows": given.window, "seeds": done, "tests": list(TESTS), "ties": ties}


def _plain(figures: dict[str, Estimated]) -> dict[str, Any]:
    return {name: asdict(value) for name, value in figures.items()}


def main() -> None:
    """Run what is left of the grid, and write its table after every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipes", type=lambda text: text.split(","), required=True)
    parser.add_argument(
        "--ties", type=lambda text: [float(tie) for tie in text.split(",")], default=[0.0, 0.9]
    )
    parser.add_argument(
        "--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2]
    )
    parser.add_argument("--singers", type=int, default=8)
    parser.add_argument("--window", type=int, default=5)
    parser.add_argument("--mix-db", type=float, default=0.0)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    store, runs, console = FeatureStore(default_cache()), {}, Console()
    for cell in cells(given):
        runs[cell] = tested(cell, given, store)
        found = results(runs, given)
        write_json(given.out / "bias.json", found)
        write_text(given.out / "bias.md", table(found))
        console.print(f"{cell.name} done", highlight=False)
    console.print(table(results(runs, given)), markup=False)


if __name__ == "__main__":
    main()
