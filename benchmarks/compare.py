"""
Tell whether one run is better than another on the same test songs, or only luckier.

    python benchmarks/compare.py RUN_A RUN_B [--out comparison.json]

Both must share their split. Prints A less B for windows and songs, with 95 % intervals by bootstrap over
songs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from whosings.collection.catalogue import open_collection
from whosings.collection.features import FeatureStore, default_cache
from whosings.collection.splits import Split
from whosings.errors import WhosingsError
from whosings.evidence.metrics import FIGURES, paired_difference
from whosings.files import write_json
from whosings.identify.ladder import LogProbabilities2Answer, Track2Windows, Windows2LogProbabilities
from whosings.models import load_model
from whosings.training.record import SPLIT, read_record


def answers(run: Path, split: Split) -> dict[str, tuple[list[str], str]]:
    """Give, for each test song, the answers of its windows and the answer of its vote."""
    network, card = load_model(run)
    collection = open_collection(Path(read_record(run)["arguments"]["collection"]))
    to_windows = Track2Windows(FeatureStore(default_cache()), card)
    to_rows, to_answer = (
        Windows2LogProbabilities(network),
        LogProbabilities2Answer(card.singers, card.vote),
    )
    given = {}
    for name in split.test:
        rows = to_rows(to_windows(collection.track(name)))
        given[name] = ([card.singers[code] for code in rows.argmax(axis=1)], to_answer(rows).singer)
    return given


def compare(run_a: Path, run_b: Path) -> dict[str, Any]:
    """Give the paired differences of windows and songs; raises WhosingsError where the splits differ."""
    split = Split.load(run_a / SPLIT)
    if split.sha256 != Split.load(run_b / SPLIT).sha256:
        raise WhosingsError(
            f"{run_a} and {run_b} were tested on different splits; compare runs of one split."
        )
    a, b = answers(run_a, split), answers(run_b, split)
    singer_of = {name: name.split("/")[0] for name in split.test}
    songs = list(split.test)
    windows = [name for name in songs for _ in a[name][0]]
    return {
        "a": run_a.name,
        "b": run_b.name,
        "window": paired_difference(
            [singer_of[name] for name in windows],
            [answer for name in songs for answer in a[name][0]],
            [answer for name in songs for answer in b[name][0]],
            split.singers,
            windows,
        ).to_dict(),
        "song": paired_difference(
            [singer_of[name] for name in songs],
            [a[name][1] for name in songs],
            [b[name][1] for name in songs],
            split.singers,
            songs,
        ).to_dict(),
        "split_sha256": split.sha256,
    }


def main() -> None:
    """Print a line for windows and one for songs."""
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
