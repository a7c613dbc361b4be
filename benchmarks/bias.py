"""
Is it the voice or the band? Train recipes on the confounded benchmark and measure the gap tied - swapped.

    python benchmarks/bias.py COLLECTION --out FOLDER --recipes crnn_fgnl_light,crnn_fgnl_light:vocals \\
        [--ties 0,0.9] [--seeds 0,1,2] [--singers 8] [--window 5] [--mix-db 0] [--set KEY=VALUE ...] \\
        [--report]

One run for each recipe, tie and seed, each trained and scored once: the same command goes on where it was
cut off. A seed draws pools, songs and splits as well as weights; recipes share those of a seed, so that their
differences are paired. `--report` trains nothing and writes the table of what is finished.

RECIPE:vocals is trained, calibrated and tested on vocals that Spleeter takes out of the mixes (stems are kept
by content: the tests of a seed are taken apart once for all its ties), and RECIPE:accompaniment on what is
left. The stems that the mixes were made of would be no rival: there the band is absent, all three tests sound
alike and the gap is 0 by construction.

Writes FOLDER/bias.json and FOLDER/bias.md, tie by tie over the seeds that all recipes have: window accuracy
in the tests tied, free and swapped; the gap tied - swapped; how much more it is than the recipe's own at tie
0, which luck in pools and songs keeps from being none; differences from the first recipe; and how honest
confidence is on `free`. Intervals are over voice songs, not over seeds.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from whosings.collection.catalogue import open_collection
from whosings.collection.confounded import TESTS, Confounded, confound
from whosings.collection.features import FeatureStore, default_cache
from whosings.collection.splits import Split
from whosings.collection.track import Source, SourceName
from whosings.errors import WhosingsError
from whosings.evidence.answers import read_answers
from whosings.evidence.bias import FIGURES, Estimated, Tested, differences, estimates
from whosings.evidence.evaluate import METRICS, evaluate, scores_folder
from whosings.evidence.metrics import expected_calibration_error
from whosings.files import write_json, write_text
from whosings.identify.identifier import calibrate
from whosings.training.recipe import load_recipe
from whosings.training.record import SPLIT, Training, as_of_today, read_record
from whosings.training.run import train

APART: tuple[SourceName, ...] = ("vocals", "accompaniment")


@dataclass(frozen=True)
class Row:
    """A row of the table: a recipe, and what it hears of the songs."""

    recipe: str
    heard: SourceName = "mix"

    @classmethod
    def parse(cls, text: str) -> Row:
        """Read RECIPE, or RECIPE:vocals and the like."""
        heard = next((name for name in APART if text.endswith(f":{name}")), None)
        return cls(text.removesuffix(f":{heard}"), heard) if heard else cls(text)

    def __str__(self) -> str:
        """Give what was parsed."""
        return self.recipe if self.heard == "mix" else f"{self.recipe}:{self.heard}"

    def source(self, mix_db: float) -> Source:
        """Give what it hears of mixes at a level."""
        return Source(self.heard, mix_db, "stems" if self.heard == "mix" else "spleeter")


@dataclass(frozen=True)
class Cell:
    """A run of the grid."""

    row: Row
    tie: float
    seed: int

    @property
    def name(self) -> str:
        """The name of its folder; the name of no recipe has a slash."""
        apart = "" if self.row.heard == "mix" else f"{self.row.heard}/"
        return f"{apart}{Path(self.row.recipe).stem}-tie{self.tie:g}-seed{self.seed}"

    def run(self, given: argparse.Namespace) -> Path:
        """Its run folder."""
        return Path(given.out) / "runs" / self.name

    def benchmark(self, given: argparse.Namespace) -> Path:
        """The folder of its benchmark, which all rows share."""
        return Path(given.out) / f"tie{self.tie:g}-seed{self.seed}"


Runs = Mapping[Cell, Tested]


def cells(given: argparse.Namespace) -> Iterator[Cell]:
    """Give the grid, whole seeds first, so that a grid cut off can be compared."""
    for seed in given.seeds:
        for tie in given.ties:
            for row in given.recipes:
                yield Cell(row, tie, seed)


def finished(cell: Cell, given: argparse.Namespace) -> Tested | None:
    """
    Give the windows of a cell by test where all are scored.

    Raises WhosingsError where that run is not the one asked for.
    """
    if not all((folder / METRICS).is_file() for folder in _scores(cell, given).values()):
        return None
    _check(cell, given)
    return _tested(cell, given)


def _scores(cell: Cell, given: argparse.Namespace) -> dict[str, Path]:
    """Give the folder of scores of each test."""
    run, benchmark = cell.run(given), cell.benchmark(given)
    return {test: scores_folder(run, collection=benchmark / f"{test}.csv") for test in TESTS}


def _tested(cell: Cell, given: argparse.Namespace) -> Tested:
    return {test: read_answers(folder).windows for test, folder in _scores(cell, given).items()}


def _check(cell: Cell, given: argparse.Namespace) -> None:
    """Raise WhosingsError where the run of a cell was asked for in other words."""
    run, source = cell.run(given), cell.row.source(given.mix_db)
    arguments = read_record(run)["arguments"]
    recipe = load_recipe(cell.row.recipe, given.set)
    same = {
        "recipe": as_of_today(arguments["recipe"]) == recipe.model_dump(mode="json"),
        "number of singers": len(Split.load(run / SPLIT).singers) == given.singers,
        "window": arguments["window_seconds"] == given.window,
        "source": (arguments["source"], arguments["mix_db"]) == (source.name, source.mix_db),
        "seed": arguments["seed"] == cell.seed,
    }
    differing = [name for name, is_same in same.items() if not is_same]
    if differing:
        raise WhosingsError(
            f"{run}: the run here has another {' and '.join(differing)}; choose another --out, or give the "
            "arguments that it was made with."
        )


def made(cell: Cell, given: argparse.Namespace, store: FeatureStore) -> Tested:
    """Train and score a cell, or go on with it; give its windows by test."""
    benchmark, run = confounded(cell, given), cell.run(given)
    training = Training(
        open_collection(benchmark.root),
        Split.load(benchmark.split),
        load_recipe(cell.row.recipe, given.set),
        given.window,
        cell.row.source(given.mix_db),
        cell.seed,
    )
    train(training, run, store)
    calibrate(run, training, store)
    for path in benchmark.tests.values():
        evaluate(run, collection=path, store=store, quiet=True)
    return _tested(cell, given)


def confounded(cell: Cell, given: argparse.Namespace) -> Confounded:
    """Make the benchmark of a cell, or find it made."""
    collection, out = open_collection(given.collection), cell.benchmark(given)
    return confound(collection, out, tie=cell.tie, singers=given.singers, seed=cell.seed)


def results(runs: Runs, given: argparse.Namespace) -> dict[str, Any]:
    """Put the figures of all recipes together, tie by tie."""
    return {
        "command": shlex.join(["python", "benchmarks/bias.py", *sys.argv[1:]]),
        "window_seconds": given.window,
        "tests": list(TESTS),
        "ties": {f"{tie:g}": _of_tie(tie, runs, given) for tie in given.ties},
    }


def _of_tie(tie: float, runs: Runs, given: argparse.Namespace) -> dict[str, Any]:
    """Put the recipes of a tie together over the seeds that all of them have."""
    here = _together(tie, runs, given)
    untied = _together(0.0, runs, given) if tie else {}
    seeds = list(next(iter(here.values()), {}))
    both = [seed for seed in seeds if seed in next(iter(untied.values()), {})]
    rows: dict[str, Any] = {}
    first: list[Tested] = []
    for row, by_seed in here.items() if seeds else ():
        own = list(by_seed.values())
        against = _plain(differences(own, first)) if first else None
        first = first or own
        more = None
        if row in untied and both:
            pair = ([by_seed[seed] for seed in both], [untied[row][seed] for seed in both])
            more = _plain(differences(*pair))
        rows[str(row)] = {
            "figures": _plain(estimates(own)),
            "less_first": against,
            "less_tie_0": more,
            "calibration_error_free": _calibration_error(own),
        }
    return {
        "seeds": seeds,
        "seeds_also_at_tie_0": both,
        "unfinished": [str(row) for row in given.recipes if row not in here],
        "recipes": rows,
    }


def _together(tie: float, runs: Runs, given: argparse.Namespace) -> dict[Row, dict[int, Tested]]:
    """Give the runs of a tie by recipe and seed: recipes that have any, over the seeds that these share."""
    have = {row: [seed for seed in given.seeds if Cell(row, tie, seed) in runs] for row in given.recipes}
    have = {row: seeds for row, seeds in have.items() if seeds}
    shared = [seed for seed in given.seeds if all(seed in seeds for seeds in have.values())]
    return {row: {seed: runs[Cell(row, tie, seed)] for seed in shared} for row in have}


def _calibration_error(runs: Sequence[Tested]) -> dict[str, Any]:
    """Give the expected calibration error of the windows of `free`: the mean over runs, and each run's."""
    errors = []
    for run in runs:
        confidence = np.array([window.confidence for window in run["free"]])
        right = np.array([window.answer == window.singer for window in run["free"]])
        errors.append(expected_calibration_error(confidence, right))
    return {"mean": float(np.mean(errors)), "runs": errors}


def _plain(figures: dict[str, Estimated]) -> dict[str, Any]:
    return {name: asdict(value) for name, value in figures.items()}


def table(found: dict[str, Any]) -> str:
    """Give the results as Markdown."""
    lines = [f"`{found['command']}`", ""]
    for tie, of in found["ties"].items():
        lines += [f"Tie {tie}: accuracy of {found['window_seconds']} s windows, {_seeds(of['seeds'])}.", ""]
        also = of["seeds_also_at_tie_0"]
        if of["recipes"]:
            lines += [*_table(of), ""]
        if also and also != of["seeds"]:
            lines += [f"The gap at tie 0 is that of {_seeds(also)}.", ""]
        if of["unfinished"]:
            names = ", ".join(f"`{name}`" for name in of["unfinished"])
            lines += [f"Left out, as no seed is finished: {names}.", ""]
    return "\n".join(lines)


def _table(of: dict[str, Any]) -> list[str]:
    """Give the table of a tie, line by line."""
    untied = bool(of["seeds_also_at_tie_0"])
    heads = ["recipe", *FIGURES, *(["gap less that at tie 0"] if untied else [])]
    heads += ["gap less the first's", "free less the first's", "calibration error on free"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, row in of["recipes"].items():
        parts = [f"`{name}`", *(_cell(row["figures"], figure) for figure in FIGURES)]
        parts += [_cell(row["less_tie_0"], "gap")] if untied else []
        parts += [_cell(row["less_first"], figure) for figure in ("gap", "free")]
        parts += [f"{row['calibration_error_free']['mean']:.3f}"]
        lines.append(f"| {' | '.join(parts)} |")
    return lines


def _cell(figures: dict[str, Any] | None, name: str) -> str:
    """Give a figure with its interval; nothing where there is none."""
    if figures is None:
        return ""
    low, high = figures[name]["interval"]
    return f"{figures[name]['mean']:.3f} ({low:.2f} to {high:.2f})"


def _seeds(seeds: Sequence[int]) -> str:
    if not seeds:
        return "no seed that all have"
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def parser() -> argparse.ArgumentParser:
    """Give the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipes", type=lambda text: [*map(Row.parse, text.split(","))], required=True)
    parser.add_argument("--ties", type=lambda text: [*map(float, text.split(","))], default=[0.0, 0.9])
    parser.add_argument("--seeds", type=lambda text: [*map(int, text.split(","))], default=[0, 1, 2])
    parser.add_argument("--singers", type=int, default=8)
    parser.add_argument("--window", type=int, default=5)
    parser.add_argument("--mix-db", type=float, default=0.0)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--report", action="store_true", help="only write the table of what is finished")
    return parser


def main() -> None:
    """Parse and run; an expected error is one sentence."""
    try:
        benchmark(parser().parse_args())
    except WhosingsError as error:
        raise SystemExit(str(error)) from None


def benchmark(given: argparse.Namespace) -> None:
    """Run what is left of the grid, write its table after every run, and print it."""
    console = Console()
    found = {cell: finished(cell, given) for cell in cells(given)}
    runs = {cell: tested for cell, tested in found.items() if tested is not None}
    _write(runs, given)
    store = FeatureStore(default_cache())
    for cell in [] if given.report else [cell for cell in found if cell not in runs]:
        runs[cell] = made(cell, given, store)
        _write(runs, given)
        console.print(f"{cell.name} done", highlight=False)
    console.print(table(results(runs, given)), markup=False, soft_wrap=True)


def _write(runs: Runs, given: argparse.Namespace) -> None:
    found = results(runs, given)
    write_json(given.out / "bias.json", found)
    write_text(given.out / "bias.md", table(found))


if __name__ == "__main__":
    main()
