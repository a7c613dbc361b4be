"""
What each ingredient gives a singer classifier on frozen voiceprints: an ablation over song-disjoint folds.

    python benchmarks/voiceprint_ablation COLLECTION --splits SPLIT.json ... --out FOLDER
        [--system voiceprint] [--draws 1] [--also half louder] [--tuned RUN ...] [--mix-db 0]

`--system` is that of the frozen encoder, voiceprint (ECAPA-TDNN) or voiceprint_campplus.

A row is one classifier, or several whose log-probabilities are averaged, on the prints of 5 s windows.
Settings (and weights of the average) are chosen on the validation songs of each fold; test songs are scored
once, also where the classifier then learns the validation songs too (refit). `--also` adds rows with windows
halfway between the others, and with the separated vocals made louder in the mix; `--tuned` such with encoders
tuned by the recipe voiceprint_tuned, RUNs in the order of the splits, and folds without one are left out.
The collection needs stems.

Remixed windows lay the band of another song under a voice, at a level of -5 to 10 dB: of samples (wave) or of
log-mel powers (power, as recipes with `remix_db` do), the same draws for both. The other song trains in every
fold in which that of the voice does. Singers with many songs have a share of their windows remixed.

Writes FOLDER/ablation.json and FOLDER/ablation.md; prints are kept in FOLDER/prints, song by song, so that
the same command goes on where it was cut off. Intervals of differences are by bootstrap over test songs, of
all folds together. Prints of the mix and of the voices alone come from the feature cache.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from whosings.collection.catalogue import open_collection
from whosings.collection.features import FeatureStore, default_cache
from whosings.collection.splits import Split
from whosings.errors import WhosingsError
from whosings.files import read_json, write_json, write_text
from whosings.voices.encoder import ENCODERS

# Python puts a script's folder on its path, but of a folder that is run, the folder itself.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from voiceprint_ablation.folds import TUNED, Fold
from voiceprint_ablation.hearing import LEVELS_DB, Ear
from voiceprint_ablation.rows import rows_of
from voiceprint_ablation.table import markdown, results


def benchmark(given: argparse.Namespace) -> dict[str, Any]:
    """Hear what is new, and score all rows; raises WhosingsError where prints or splits do not fit."""
    splits = [Split.load(path) for path in given.splits]
    tested = [name for split in splits for name in split.test]
    if len(set(tested)) < len(tested) or len({split.singers for split in splits}) > 1:
        raise WhosingsError(
            "A song is tested in two splits, or they differ in singers; give folds of one protocol."
        )
    used = {name for split in splits for side in (split.train, split.validation, split.test) for name in side}
    tracks = [track for track in open_collection(given.collection).tracks if track.id in used]
    about = {
        "system": given.system,
        "splits": [split.sha256 for split in splits],
        "mix_db": given.mix_db,
    }
    folder = given.out / "prints"
    if (folder / "about.json").is_file() and read_json(folder / "about.json", "prints") != about:
        raise WhosingsError(
            f"{folder}: these prints are of another encoder, splits or level; choose another --out."
        )
    write_json(folder / "about.json", about)
    ear = Ear(tracks, splits, FeatureStore(default_cache()), given.mix_db, folder, given.system)
    ear.runs = {f"{TUNED}-{number}": run for number, run in enumerate(given.tuned)}
    folds = [Fold(number, split, ear.prints) for number, split in enumerate(splits)]
    rows = results(rows_of(given.draws, given.also), folds, len(given.tuned))
    return {**about, "levels_db": LEVELS_DB, "draws": given.draws, "rows": rows}


def parser() -> argparse.ArgumentParser:
    """Give the command line."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("collection", type=Path)
    asked.add_argument("--splits", type=Path, nargs="+", required=True)
    asked.add_argument("--out", type=Path, required=True)
    asked.add_argument("--system", choices=list(ENCODERS), default="voiceprint")
    asked.add_argument("--tuned", type=Path, nargs="*", default=[])
    asked.add_argument("--mix-db", type=float, default=0.0)
    asked.add_argument("--draws", type=int, default=1)
    asked.add_argument("--also", nargs="*", choices=("half", "louder"), default=[])
    return asked


def main() -> None:
    """Parse, hear, score, write, print."""
    given = parser().parse_args()
    try:
        found = benchmark(given)
    except WhosingsError as error:
        raise SystemExit(str(error)) from None
    table = markdown(found["rows"], len(given.splits))
    write_json(given.out / "ablation.json", found)
    write_text(given.out / "ablation.md", table)
    print(table)


if __name__ == "__main__":
    main()
