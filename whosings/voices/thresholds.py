"""Thresholds for "the same voice" and "unknown", fitted on songs with known singers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from whosings.errors import WhosingsError
from whosings.voices.scoring import Scale, scale_of, scores, voices_of

FEWEST_SINGERS = 5  # with other songs beside the one asked about
FEWEST_SONGS = 20  # of such singers
MOST_SONGS = 500  # songs asked about when fitting, spread evenly over the library


@dataclass(frozen=True)
class Thresholds:
    """
    Where scores part the same singer from others.

    `same`: equal error between one song and one singer; `eer` is the share of errors there. `known`: the best
    score from which a song is taken for one of the enrolled, at equal error between songs of enrolled singers
    and songs of strangers; `unknown_eer` is the share of errors there. It lies higher, since a stranger may
    resemble any of many. `margin`: the lead over the second singer. `scale` is that of the scores; `songs`
    and `singers` say how many were fitted on.
    """

    same: float
    eer: float
    known: float
    unknown_eer: float
    margin: float
    scale: Scale
    songs: int
    singers: int

    def to_dict(self) -> dict[str, Any]:
        """Give the fields by name."""
        return asdict(self)


def equal_error_rate(values: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    """
    Give the equal error rate (0 to 1) of scores (n,) of the same singer or not (n,), and its threshold.

    Both error rates are interpolated between neighbouring thresholds; scores that part without error give the
    middle of the gap. Raises WhosingsError where one of the kinds is missing.
    """
    from sklearn.metrics import roc_curve

    values, same = np.asarray(values, dtype=float), np.asarray(same, dtype=bool)
    if same.all() or not same.any():
        raise WhosingsError(
            "An equal error rate needs pairs of the same and of other singers; add the missing."
        )
    if values[same].min() > values[~same].max():
        return 0.0, float((values[same].min() + values[~same].max()) / 2)
    false_alarms, hits, thresholds = roc_curve(same, values, drop_intermediate=False)
    gap = false_alarms + hits - 1  # false alarms minus misses, rising from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    eer = false_alarms[after - 1] + share * (false_alarms[after] - false_alarms[after - 1])
    if after == 1:  # the threshold before the first is infinite
        return float(eer), float(thresholds[1])
    return float(eer), float(thresholds[after - 1] + share * (thresholds[after] - thresholds[after - 1]))


def fit_thresholds(songs: np.ndarray, singers: np.ndarray, cohort: np.ndarray | None) -> Thresholds | None:
    """
    Fit thresholds on the songs (n, dim) of singers numbered (n,), or give None where there are too few.

    Each song is left out and asked about twice: with the other songs of its singer in the library, and as a
    stranger's, with none of them.
    """
    numbers, singers, counts = np.unique(singers, return_inverse=True, return_counts=True)
    several = counts[singers] > 1
    if len(np.unique(singers[several])) < FEWEST_SINGERS or several.sum() < FEWEST_SONGS:
        return None
    chosen = np.unique(np.linspace(0, len(songs) - 1, min(len(songs), MOST_SONGS)).astype(int))
    trials = [trial for song in chosen for trial in _trials(song, songs, singers, cohort)]
    known_trials, strangers = [t for t in trials if t.enrolled], [t for t in trials if not t.enrolled]
    same = np.array([trial.values[trial.singer] for trial in known_trials])
    other = np.concatenate([trial.values for trial in strangers])
    eer, threshold = equal_error_rate(*_two_kinds(same, other))
    floor = min(same.min(), other.min()) - 1  # a song taken for another singer's is missed at any threshold
    best = np.array([trial.best if trial.right else floor for trial in known_trials])
    unknown_eer, known = equal_error_rate(*_two_kinds(best, np.array([trial.best for trial in strangers])))
    margin = _margin(known_trials, strangers, known)
    return Thresholds(threshold, eer, known, unknown_eer, margin, scale_of(cohort), len(chosen), len(numbers))


def _two_kinds(same: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join scores of two kinds into scores and which of them are of the same singer."""
    return np.concatenate([same, other]), np.arange(len(same) + len(other)) < len(same)


@dataclass(frozen=True)
class _Trial:
    """The scores (singers,) of a song that was left out, and the place of its singer; -1 for a stranger."""

    values: np.ndarray
    singer: int

    @property
    def enrolled(self) -> bool:
        return self.singer >= 0

    @property
    def best(self) -> float:
        return float(self.values.max())

    @property
    def right(self) -> bool:
        return int(self.values.argmax()) == self.singer

    @property
    def lead(self) -> float:
        return lead_of(self.values)


def lead_of(values: np.ndarray) -> float:
    """Give the lead of the best score over the second; endless where there is no second."""
    if len(values) < 2:
        return float("inf")
    second, best = np.partition(values, -2)[-2:]
    return float(best - second)


def _trials(song: int, songs: np.ndarray, singers: np.ndarray, cohort: np.ndarray | None) -> Iterator[_Trial]:
    """Ask about a song with the others of its singer in the library, if there are any, and with none."""
    others, singer = np.arange(len(songs)) != song, int(singers[song])
    voices = voices_of(songs[others], singers[others], int(singers.max()) + 1)
    if np.any(singers[others] == singer):
        yield _Trial(scores(songs[song], voices, cohort), singer)
    yield _Trial(scores(songs[song], np.delete(voices, singer, axis=0), cohort), -1)


def _margin(enrolled: list[_Trial], strangers: list[_Trial], known: float) -> float:
    """Give the smallest lead that, beside the score `known`, makes the most answers of both kinds right."""

    def answered(trials: list[_Trial], margin: float) -> np.ndarray:
        return np.array([trial.best >= known and trial.lead >= margin for trial in trials])

    right = np.array([trial.right for trial in enrolled])
    candidates = [0.0, *sorted({trial.lead for trial in strangers + enrolled if trial.best >= known})]
    gains = [
        np.mean(answered(enrolled, margin) & right) - np.mean(answered(strangers, margin))
        for margin in candidates
    ]
    return candidates[int(np.argmax(gains))]
