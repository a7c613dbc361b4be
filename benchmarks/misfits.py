"""
How well `whosings data check --voices` finds tracks that stand under a wrong artist.

    python benchmarks/misfits.py COLLECTION [--encoder campplus|ecapa] [--hear mix|vocals] [--mix-db 0]
        [--moved 5] [--draws 50] [--out JSON]

A draw sets some tracks under other artists, by chance, and asks for the misfits. Prints the average precision
of their confidence over all tracks that can be judged; precision and recall of those that the command names
(from one half on); and how many of the moved that were named come with the artist they were taken from. Also
how many tracks are named in the collection as it is. The command hears the mix by CAM++, as this does by
itself. Prints are kept in the feature cache.

The parameters of `whosings.identify.misfits` were chosen on MIR-1K, on mixes at 0 dB with 5 % moved: the
figures of these songs are a little hopeful. Draws share their songs, so the range over draws is no interval.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from heard import parser_of, prints_of, voiceprinter_of
from sklearn.metrics import average_precision_score

from whosings.collection.catalogue import open_collection
from whosings.files import write_json
from whosings.identify.misfits import find_misfits

SEED = 0
NAMED = 0.5  # confidence from which a track is named


def moved_tracks(artist_of: Mapping[str, str], count: int, generator: np.random.Generator) -> dict[str, str]:
    """Draw tracks and another artist for each: artists by track id."""
    artists = sorted(set(artist_of.values()))
    chosen = generator.choice(sorted(artist_of), count, replace=False)
    return {
        str(name): str(generator.choice([artist for artist in artists if artist != artist_of[name]]))
        for name in chosen
    }


def find_moved(
    prints: Mapping[str, np.ndarray], artist_of: Mapping[str, str], moved: Mapping[str, str]
) -> dict[str, Any]:
    """Ask for the misfits of a catalogue with moved tracks: the average precision, and counts."""
    judged = find_misfits(prints, {**artist_of, **moved}, threshold=0.0)
    wrong = [misfit.track_id in moved for misfit in judged]
    named = [misfit for misfit in judged if misfit.confidence >= NAMED]
    found = [misfit for misfit in named if misfit.track_id in moved]
    return {
        "average_precision": float(average_precision_score(wrong, [misfit.confidence for misfit in judged])),
        "moved": sum(wrong),
        "named": len(named),
        "found": len(found),
        "right_artist": sum(misfit.other == artist_of[misfit.track_id] for misfit in found),
    }


def summed_up(draws: list[dict[str, Any]]) -> dict[str, Any]:
    """Join draws: the mean of average precisions with its range, and shares of all counts."""
    counts = {key: sum(draw[key] for draw in draws) for key in ("moved", "named", "found", "right_artist")}
    precisions = [draw["average_precision"] for draw in draws]
    return {
        "average_precision": float(np.mean(precisions)),
        "range": [min(precisions), max(precisions)],
        "precision": counts["found"] / counts["named"] if counts["named"] else None,
        "recall": counts["found"] / counts["moved"],
        **counts,
    }


def main() -> None:
    """Parse, hear, move, find, print, write."""
    parser = parser_of(__doc__)
    parser.add_argument("--moved", type=int, default=5)
    parser.add_argument("--draws", type=int, default=50)
    given = parser.parse_args()
    printer = voiceprinter_of(given)
    opened = open_collection(given.collection)
    heard, failed = prints_of(opened.tracks, printer)
    prints = {name: some.sung().vectors for name, some in heard.items()}
    artist_of = {name: opened.track(name).artist for name in prints}
    generator = np.random.default_rng(SEED)
    draws = [
        find_moved(prints, artist_of, moved_tracks(artist_of, given.moved, generator))
        for _ in range(given.draws)
    ]
    found: dict[str, Any] = {"encoder": printer.id, "mix_db": given.mix_db, "failed": failed}
    found |= {"tracks": len(prints), "moved_a_draw": given.moved, "draws": given.draws}
    found |= summed_up(draws) | {"named_as_it_is": len(find_misfits(prints, artist_of))}
    print(json.dumps(found, indent=2))
    if given.out:
        write_json(given.out, found)


if __name__ == "__main__":
    main()
