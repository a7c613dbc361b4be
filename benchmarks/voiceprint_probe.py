"""
What a speaker encoder knows of singers: equal error rate between songs, and logistic regression by split.

    python benchmarks/voiceprint_probe.py COLLECTION [--encoder campplus|ecapa] [--run RUN]
        [--hear mix|vocals|separated] [--mix-db 0] [--splits SPLIT.json ...] [--only ARTIST ...] [--out JSON]

`separated` hears what Spleeter takes out of the mix, `vocals` the collection's own stems. The encoder is a
pretrained one, or that of a run; `--only` keeps the songs of artists that a run has never heard. The print of
a song is the mean of its windows, weighted by singing; the score of two songs their cosine, plain and after
adaptive score normalisation by the nearest songs of other singers (their voices are known here, so this is
what a library of strangers would give). Prints are kept in the feature cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from heard import parser_of, prints_of, voiceprinter_of
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from whosings.collection.catalogue import open_collection
from whosings.collection.splits import Split
from whosings.evidence.metrics import evaluate
from whosings.files import write_json
from whosings.voices.prints import Prints
from whosings.voices.thresholds import equal_error_rate

COHORT = 20  # nearest songs that normalise a score
STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)  # inverse regularisation tried on validation


def song_pairs(prints: dict[str, Prints]) -> dict[str, float]:
    """Give the equal error rate between whole songs, plain and normalised."""
    songs = np.stack([given.song for given in prints.values()])
    artist = np.array([name.split("/")[0] for name in prints])
    scores = songs @ songs.T
    first, second = np.triu_indices(len(songs), 1)
    same = artist[first] == artist[second]
    normal = np.zeros(len(first))
    for pair, (a, b) in enumerate(zip(first, second, strict=True)):
        others = (artist != artist[a]) & (artist != artist[b])
        for song in (a, b):
            near = np.sort(scores[song, others])[-COHORT:]
            normal[pair] += (scores[a, b] - near.mean()) / near.std() / 2
    return {
        "songs": len(songs),
        "pairs": len(first),
        "equal_error_rate": equal_error_rate(scores[first, second], same)[0],
        "normalised": equal_error_rate(normal, same)[0],
    }


def regression(prints: dict[str, Prints], split: Split) -> dict[str, Any]:
    """Fit on the training side, choose on validation, score the test side once."""
    sides = {
        side: [name for name in getattr(split, side) if name in prints]
        for side in ("train", "validation", "test")
    }
    x = {side: np.concatenate([prints[name].vectors for name in names]) for side, names in sides.items()}
    songs = {
        side: np.repeat(names, [len(prints[name].vectors) for name in names]) for side, names in sides.items()
    }
    y = {side: np.array([name.split("/")[0] for name in names]) for side, names in songs.items()}
    fitted = {
        strength: LogisticRegression(C=strength, max_iter=3000, class_weight="balanced").fit(
            x["train"], y["train"]
        )
        for strength in STRENGTHS
    }
    chosen = max(
        STRENGTHS,
        key=lambda c: f1_score(y["validation"], fitted[c].predict(x["validation"]), average="macro"),
    )
    rows, classes = fitted[chosen].predict_log_proba(x["test"]), fitted[chosen].classes_
    answers = [classes[rows[songs["test"] == name].mean(axis=0).argmax()] for name in sides["test"]]
    true = [name.split("/")[0] for name in sides["test"]]
    return {
        "inverse_regularisation": chosen,
        "window": evaluate(y["test"], classes[rows.argmax(axis=1)], split.singers, songs["test"]),
        "song": evaluate(true, answers, split.singers, sides["test"]),
        "split_sha256": split.sha256,
    }


def main() -> None:
    """Parse, hear, measure, print, write."""
    parser = parser_of(__doc__, ("mix", "vocals", "separated"))
    parser.add_argument("--run", type=Path)
    parser.add_argument("--splits", type=Path, nargs="*", default=[])
    parser.add_argument("--only", nargs="*")
    given = parser.parse_args()
    printer = voiceprinter_of(given, given.run)
    opened = open_collection(given.collection)
    tracks = [track for track in opened.tracks if not given.only or track.artist in given.only]
    prints, failed = prints_of(tracks, printer)
    prints = {name: some for name, some in prints.items() if (some.weights > 0).any()}
    found: dict[str, Any] = {"encoder": printer.id, "hears": given.hear, "mix_db": given.mix_db}
    found |= {"failed": failed, **song_pairs(prints)}
    found["splits"] = [regression(prints, Split.load(path)) for path in given.splits]
    print({name: found[name] for name in ("encoder", "songs", "equal_error_rate", "normalised")})
    for path, row in zip(given.splits, found["splits"], strict=True):
        print(path, {level: round(row[level]["f1_macro"], 3) for level in ("window", "song")})
    if given.out:
        write_json(given.out, found)


if __name__ == "__main__":
    main()
