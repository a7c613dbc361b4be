"""
Fit the thresholds of small voices libraries: `python benchmarks/voice_defaults.py COLLECTION`.

Until a library has enough songs to fit its own, `whosings.voices.desk.DEFAULTS` decide. They are fitted here
on many small libraries drawn from a collection: four singers with three songs each are enrolled; other songs
of theirs, and songs of singers not enrolled, are asked about. Songs are heard as `whosings voices add` hears
them with the same --separator; of stems, --mix-db 0 makes mixes at 0 dB and --vocals hears the vocals alone.
Prints JSON.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from whosings.collection.catalogue import open_collection
from whosings.collection.features import FeatureStore, default_cache
from whosings.collection.track import Part, Track
from whosings.voices.catalogue import print_tracks
from whosings.voices.encoder import Voiceprinter
from whosings.voices.scoring import scores, voices_of
from whosings.voices.thresholds import Thresholds, equal_error_rate, lead_of

SINGERS = 4
SONGS = 3
DRAWS = 2000


def small_libraries(songs: np.ndarray, artists: np.ndarray) -> Thresholds:
    """Fit on libraries drawn from songs (n, dim) by artists (n,)."""
    generator = np.random.default_rng(0)
    numbers = np.unique(artists)
    able = [artist for artist in numbers if (artists == artist).sum() > SONGS]
    known: list[np.ndarray] = []
    strange: list[np.ndarray] = []
    for _ in range(DRAWS):
        enrolled = generator.choice(able, SINGERS, replace=False)
        taken = [generator.choice(np.flatnonzero(artists == one), SONGS, replace=False) for one in enrolled]
        voices = voices_of(songs[np.concatenate(taken)], np.repeat(np.arange(SINGERS), SONGS), SINGERS)
        own = generator.choice(np.setdiff1d(np.flatnonzero(artists == enrolled[0]), taken[0]))
        stranger = generator.choice(np.flatnonzero(~np.isin(artists, enrolled)))
        known.append(scores(songs[own], voices, None))  # the first is theirs
        strange.append(scores(songs[stranger], voices, None))
    same = np.array([values[0] for values in known])
    other = np.concatenate([*strange, *(values[1:] for values in known)])
    eer, threshold = rate(same, other)
    right = np.array([values.argmax() == 0 for values in known])
    best = np.where(right, same, -1.0)
    unknown_eer, least = rate(best, np.array([values.max() for values in strange]))
    margins = np.linspace(0, 0.2, 41)
    gains = []
    for least_lead in margins:
        named = np.array([own.max() >= least and lead_of(own) >= least_lead for own in known])
        wrong = [other.max() >= least and lead_of(other) >= least_lead for other in strange]
        gains.append(np.mean(named & right) - np.mean(wrong))
    margin = float(margins[int(np.argmax(gains))])
    return Thresholds(threshold, eer, least, unknown_eer, margin, "cosine", len(songs), len(numbers))


def rate(same: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Give the equal error rate of scores of two kinds, and its threshold."""
    both = np.concatenate([same, other])
    return equal_error_rate(both, np.arange(len(both)) < len(same))


def main() -> None:
    """Parse the arguments, hear, fit and print JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("collection", type=Path)
    parser.add_argument("--separator", default="spleeter")
    parser.add_argument("--mix-db", type=float)
    parser.add_argument("--vocals", action="store_true", help="hear the vocal stems as they are")
    arguments = parser.parse_args()
    printer = Voiceprinter(None, arguments.separator)
    if not arguments.vocals:
        printer.source = replace(printer.source, mix_db=arguments.mix_db)
    tracks = open_collection(arguments.collection).tracks
    if arguments.vocals:
        tracks = tuple(vocals_of(track) for track in tracks)
    prints, failed = print_tracks(tracks, printer, FeatureStore(default_cache()))
    heard = {name: some for name, some in prints.items() if (some.weights > 0).any()}
    artists = np.array([track.artist for track in tracks if track.id in heard])
    songs = np.stack([heard[track.id].song for track in tracks if track.id in heard])
    fitted = small_libraries(songs, artists)
    print(json.dumps({"encoder": printer.id, "failed": failed, **fitted.to_dict()}, indent=2))


def vocals_of(track: Track) -> Track:
    """Give a track whose only sound is its vocal stem."""
    return replace(track, parts=tuple(Part(mix=part.vocals) for part in track.parts))


if __name__ == "__main__":
    main()
