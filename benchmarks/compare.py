"""
Tell whether one run is better than another on the same test songs, or only luckier.

    python benchmarks/compare.py RUN_A RUN_B [--out comparison.json]

Both must share their split and be scored (`whosings evaluate`). Prints A less B for windows and songs, with
95 % intervals by bootstrap over songs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from whosings.collection.splits import Split
from whosings.errors import WhosingsError
from whosings.evidence.answers import SongRow, WindowRow, read_answers
from whosings.evidence.metrics import FIGURES, paired_difference
from whosings.files import write_json
from whosings.training.record import SPLIT


def compare(run_a: Path, run_b: Path) -> dict[str, Any]:
    """Give the paired differences of windows and songs; raises WhosingsError where the splits differ."""
    split = Split.load(run_a / SPLIT)
    if split.sha256 != Split.load(run_b / SPLIT).sha256:
        raise WhosingsError(
            f"{run_a} and {run_b} were tested on different splits; compare runs of one split."
        )
    a, b = read_answers(run_a), read_answers(run_b)
    return {
        "a": run_a.name,
        "b": run_b.name,
        "window": _difference(a.windows, b.windows, split),
        "song": _difference(a.songs, b.songs, split),
        "split_sha256": split.sha256,
    }


def _difference(
    a: Sequence[WindowRow] | Sequence[SongRow], b: Sequence[WindowRow] | Sequence[SongRow], split: Split
) -> dict[str, Any]:
    """Compare the answers to the same items, which need not be in the same order."""
    theirs = {(row.track, getattr(row, "start", 0.0)): row.answer for row in b}
    return paired_difference(
        [row.singer for row in a],
        [row.answer for row in a],
        [theirs[row.track, getattr(row, "start", 0.0)] for row in a],
        split.singers,
        [row.track for row in a],
    ).to_dict()


def main() -> None:
    """Print a line for each level and figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_a", type=Path)
    parser.add_argument("run_b", type=Path)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    result = compare(given.run_a, given.run_b)
    for level in ("window", "song"):
        for figure in FIGURES:
            low, high = result[level]["interval"][figure]
            difference = result[level]["difference"][figure]
            print(f"{level} {figure}: {difference:+.3f} ({low:+.3f} to {high:+.3f})")
    if given.out:
        write_json(given.out, result)


if __name__ == "__main__":
    main()
