"""
The yardstick of docs/results.md: MFCC statistics and logistic regression on the windows of a split.

    python benchmarks/mfcc_probe.py COLLECTION --split SPLIT.json --window 3 --mix-db 0 --out metrics.json

Mean and deviation over time of 20 MFCCs and their differences, standardised; the regularisation strength is
chosen on the validation windows and the test side is scored once. Songs vote by mean log-probability.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from whosings.audio.frontend import SINGER
from whosings.collection.catalogue import Collection, open_collection
from whosings.collection.features import FeatureStore, default_cache
from whosings.collection.splits import Side, Split
from whosings.collection.track import Source
from whosings.collection.windows import cut, window_starts
from whosings.evidence.metrics import evaluate
from whosings.files import write_json

COEFFICIENTS = 20  # MFCCs
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)  # inverse regularisation tried on validation


def statistics(window: np.ndarray) -> np.ndarray:
    """Describe a log-mel window (128, T): mean and deviation of MFCCs and their differences, (80,)."""
    import librosa

    mfcc = librosa.feature.mfcc(S=window, n_mfcc=COEFFICIENTS)
    rows = np.concatenate([mfcc, librosa.feature.delta(mfcc)])
    return np.concatenate([rows.mean(axis=1), rows.std(axis=1)])


def side_features(
    collection: Collection, split: Split, side: Side, source: Source, seconds: int, store: FeatureStore
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give features (windows, 80), singers (windows,) and song ids (windows,) of a side."""
    length = SINGER.window_frames(seconds)
    rows, singers, songs = [], [], []
    for name in getattr(split, side):
        track = collection.track(name)
        log_mel = store.log_mel(track, source)
        for start in window_starts(log_mel.shape[1], length):
            rows.append(statistics(cut(log_mel, int(start), length)))
            singers.append(track.artist)
            songs.append(name)
    return np.array(rows), np.array(singers), np.array(songs)


def song_answers(log_probabilities: np.ndarray, classes: np.ndarray, songs: np.ndarray) -> dict[str, str]:
    """Let the windows of each song vote by mean log-probability."""
    return {
        name: str(classes[log_probabilities[songs == name].mean(axis=0).argmax()])
        for name in np.unique(songs)
    }


def probe(collection: Collection, split: Split, source: Source, seconds: int) -> dict[str, Any]:
    """Fit on the training side, choose on validation, score the test side once."""
    store = FeatureStore(default_cache())
    sides = {
        side: side_features(collection, split, side, source, seconds, store)
        for side in ("train", "validation", "test")
    }
    fitted: dict[float, Pipeline] = {}
    for strength in STRENGTHS:
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
        fitted[strength] = pipeline.fit(sides["train"][0], sides["train"][1])
    features, singers, _ = sides["validation"]
    chosen = max(
        STRENGTHS,
        key=lambda c: f1_score(singers, fitted[c].predict(features), average="macro", zero_division=0),
    )
    features, singers, songs = sides["test"]
    log_probabilities = fitted[chosen].predict_log_proba(features)
    classes = fitted[chosen].classes_
    answers = song_answers(log_probabilities, classes, songs)
    singer_of = {name: collection.track(name).artist for name in answers}
    return {
        "system": "MFCC statistics and logistic regression",
        "inverse_regularisation": chosen,
        "window": evaluate(singers, classes[log_probabilities.argmax(axis=1)], split.singers, songs),
        "song": evaluate(list(singer_of.values()), list(answers.values()), split.singers, list(answers)),
        "split_sha256": split.sha256,
    }


def main() -> None:
    """Parse, probe, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("collection", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--window", type=int, default=3)
    parser.add_argument("--source", choices=("mix", "vocals", "accompaniment"), default="mix")
    parser.add_argument("--mix-db", type=float, default=None)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    source = Source(given.source, given.mix_db)
    figures = probe(open_collection(given.collection), Split.load(given.split), source, given.window)
    for level in ("window", "song"):
        print(
            level, {name: round(figures[level][name], 3) for name in ("f1_macro", "f1_weighted", "accuracy")}
        )
    if given.out:
        write_json(given.out, figures)


if __name__ == "__main__":
    main()
