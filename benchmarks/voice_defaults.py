"""
Fit the thresholds of small voices libraries: those of `whosings.voices.desk.DEFAULTS`.

    python benchmarks/voice_defaults.py COLLECTION [--hear mix|vocals] [--mix-db 0] [--out JSON]

Until a library has enough songs to fit its own, these decide. They are fitted on many small libraries drawn
from a collection with stems: four singers with three songs each are enrolled; other songs of theirs, and
songs of singers not enrolled, are asked about. `mix` hears the mixes (`voices add`), `vocals` the
collection's own stems (`voices add --voices-alone`). Prints are kept in the feature cache.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from heard import parser_of, prints_of, voiceprinter_of

from whosings.collection.catalogue import open_collection
from whosings.files import write_json
from whosings.voices.encoder import Voiceprinter
from whosings.voices.scoring import scores, voices_of
from whosings.voices.thresholds import Thresholds, equal_error_rate, lead_of

SINGERS = 4
SONGS = 3
DRAWS = 2000
MARGINS = np.linspace(0, 0.2, 41)  # leads tried


def small_libraries(songs: np.ndarray, artists: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Draw libraries from songs (n, dim) by artists (n,): scores (draws, singers) of songs asked about.

    Each is asked about another song of its first singer, and about one of a stranger: two arrays.
    """
    generator = np.random.default_rng(0)
    able = [artist for artist in np.unique(artists) if (artists == artist).sum() > SONGS]
    known: list[np.ndarray] = []
    strange: list[np.ndarray] = []
    for _ in range(DRAWS):
        enrolled = generator.choice(able, SINGERS, replace=False)
        taken = [generator.choice(np.flatnonzero(artists == one), SONGS, replace=False) for one in enrolled]
        voices = voices_of(songs[np.concatenate(taken)], np.repeat(np.arange(SINGERS), SONGS), SINGERS)
        own = generator.choice(np.setdiff1d(np.flatnonzero(artists == enrolled[0]), taken[0]))
        stranger = generator.choice(np.flatnonzero(~np.isin(artists, enrolled)))
        known.append(scores(songs[own], voices, None))
        strange.append(scores(songs[stranger], voices, None))
    return np.array(known), np.array(strange)


def fit(known: np.ndarray, strange: np.ndarray, songs: int, singers: int) -> Thresholds:
    """Fit on scores (draws, singers) of songs by the first of the singers, and of strangers' songs."""
    eer, same = rate(known[:, 0], np.concatenate([strange.ravel(), known[:, 1:].ravel()]))
    # a song taken for another singer's is missed at any threshold
    best = np.where(known.argmax(axis=1) == 0, known[:, 0], -1.0)
    unknown_eer, least = rate(best, strange.max(axis=1))
    gains = [np.subtract(*named(known, strange, least, margin)) for margin in MARGINS]
    margin = MARGINS[int(np.argmax(gains))]
    fitted = (round(float(value), 3) for value in (same, eer, least, unknown_eer, margin))
    return Thresholds(*fitted, scale="cosine", songs=songs, singers=singers)


def named(known: np.ndarray, strange: np.ndarray, least: float, margin: float) -> tuple[float, float]:
    """Give the shares of songs of the enrolled that are rightly named, and of strangers' that are named."""

    def sure(rows: np.ndarray) -> np.ndarray:
        return np.array([row.max() >= least and lead_of(row) >= margin for row in rows])

    return float(np.mean(sure(known) & (known.argmax(axis=1) == 0))), float(np.mean(sure(strange)))


def rate(same: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Give the equal error rate of scores of two kinds, and its threshold."""
    both = np.concatenate([same, other])
    return equal_error_rate(both, np.arange(len(both)) < len(same))


def heard(collection: Path, printer: Voiceprinter) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """Give the prints (songs, dim) of the songs that are sung, their artists, and why others have none."""
    tracks = open_collection(collection).tracks
    prints, failed = prints_of(tracks, printer)
    sung = [track for track in tracks if track.id in prints and (prints[track.id].weights > 0).any()]
    return np.stack([prints[track.id].song for track in sung]), np.array([t.artist for t in sung]), failed


def main() -> None:
    """Parse the arguments, hear, fit, print, write."""
    given = parser_of(__doc__).parse_args()
    printer = voiceprinter_of(given)
    songs, artists, failed = heard(given.collection, printer)
    known, strange = small_libraries(songs, artists)
    thresholds = fit(known, strange, len(songs), len(np.unique(artists)))
    own, strangers = named(known, strange, thresholds.known, thresholds.margin)
    found: dict[str, Any] = {
        "encoder": printer.id,
        "hears": given.hear,
        "mix_db": given.mix_db,
        "failed": failed,
    }
    found |= {"thresholds": thresholds.to_dict(), "named": own, "strangers_named": strangers}
    print(json.dumps(found, indent=2))
    if given.out:
        write_json(given.out, found)


if __name__ == "__main__":
    main()
