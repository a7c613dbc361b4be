"""
How good runs are on the test songs of all their folds together, and whether others do better or had luck.

    python benchmarks/compare.py RUN ... [--against RUN ...] [--out comparison.json]

All must be scored (`whosings evaluate`). A RUN is a fold, or the only one; no song is tested in two of them.
Those of `--against` are tested on the same songs. Prints macro F1, weighted F1 and accuracy of windows and
songs, with 95 % intervals by bootstrap over songs, their means over the runs, and expected calibration error;
then RUNs less the others, paired.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from whosings.collection.splits import Split
from whosings.errors import WhosingsError
from whosings.evidence.answers import SongRow, WindowRow, read_answers
from whosings.evidence.metrics import (
    FIGURES,
    evaluate,
    expected_calibration_error,
    paired_difference,
    scores,
)
from whosings.files import write_json
from whosings.training.record import SPLIT

Rows = Sequence[WindowRow] | Sequence[SongRow]
LEVELS = ("window", "song")


@dataclass(frozen=True)
class Tested:
    """What runs answered, by level one list of rows a run."""

    runs: Sequence[Path]
    singers: tuple[str, ...]
    rows: Mapping[str, Sequence[Rows]]

    @classmethod
    def read(cls, runs: Sequence[Path]) -> Tested:
        """Read what was scored; raises WhosingsError where runs know other singers, or share a test song."""
        splits = [Split.load(run / SPLIT) for run in runs]
        if len({split.singers for split in splits}) > 1:
            raise WhosingsError(f"{runs[0]}: the other runs know other singers; give folds of one protocol.")
        songs = list(chain.from_iterable(split.test for split in splits))
        if len(set(songs)) < len(songs):
            raise WhosingsError(f"{runs[0]}: a song is tested by two of the runs; give each fold once.")
        answers = [read_answers(run) for run in runs]
        rows: dict[str, Sequence[Rows]] = {
            "window": [answer.windows for answer in answers],
            "song": [answer.songs for answer in answers],
        }
        return cls(runs, splits[0].singers, rows)

    def pooled(self, level: str) -> dict[tuple[str, float], WindowRow | SongRow]:
        """Give all rows by track and start."""
        return {(row.track, getattr(row, "start", 0.0)): row for row in chain(*self.rows[level])}


def figures(tested: Tested, level: str) -> dict[str, Any]:
    """Give the figures of a level: pooled with intervals, of each run, and how honest confidence is."""
    rows = list(tested.pooled(level).values())
    true, answers, songs = ([getattr(row, name) for row in rows] for name in ("singer", "answer", "track"))
    right = np.array(true) == np.array(answers)
    each = [
        scores([row.singer for row in run], [row.answer for row in run], tested.singers).to_dict()
        for run in tested.rows[level]
    ]
    return {
        **evaluate(true, answers, tested.singers, songs),
        "calibration_error": expected_calibration_error(np.array([row.confidence for row in rows]), right),
        "mean": {name: float(np.mean([run[name] for run in each])) for name in FIGURES},
        "runs": each,
    }


def difference(a: Tested, b: Tested, level: str) -> dict[str, Any]:
    """Give A less B, item by item; raises WhosingsError where they were not tested on the same."""
    ours, theirs = a.pooled(level), b.pooled(level)
    if ours.keys() != theirs.keys() or a.singers != b.singers:
        raise WhosingsError(
            f"{a.runs[0]} and {b.runs[0]} were not tested on the same {level}s; compare runs of one split."
        )
    return paired_difference(
        [row.singer for row in ours.values()],
        [row.answer for row in ours.values()],
        [theirs[item].answer for item in ours],
        a.singers,
        [row.track for row in ours.values()],
    ).to_dict()


def compare(runs: Sequence[Path], against: Sequence[Path]) -> dict[str, Any]:
    """Give the figures of runs, and their differences from others, by level."""
    a = Tested.read(runs)
    found: dict[str, Any] = {
        "runs": [run.name for run in runs],
        **{name: figures(a, name) for name in LEVELS},
    }
    if against:
        b = Tested.read(against)
        found["against"] = [run.name for run in against]
        found["difference"] = {level: difference(a, b, level) for level in LEVELS}
    return found


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Tell what was found, a line for each level and figure."""
    for level in LEVELS:
        of = found[level]
        for name in FIGURES:
            mean = of["mean"][name]
            yield f"{level} {name}: {of[name]:.3f} {_interval(of, name, '.3f')}, mean of runs {mean:.3f}"
        yield f"{level} calibration error: {of['calibration_error']:.3f}"
    for level, of in found.get("difference", {}).items():
        for name in FIGURES:
            yield f"{level} {name}, difference: {of['difference'][name]:+.3f} {_interval(of, name, '+.3f')}"


def _interval(of: Mapping[str, Any], name: str, form: str) -> str:
    low, high = of["interval"][name]
    return f"({low:{form}} to {high:{form}})"


def main() -> None:
    """Parse, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--against", type=Path, nargs="+", default=[])
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    try:
        found = compare(given.runs, given.against)
    except WhosingsError as error:
        raise SystemExit(str(error)) from None
    print("\n".join(lines(found)))
    if given.out:
        write_json(given.out, found)


if __name__ == "__main__":
    main()
