"""The gap of the confounded benchmark: how much better a network is where each voice has its own band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from whosings.collection.confounded import TESTS
from whosings.errors import WhosingsError
from whosings.evidence.answers import WindowRow
from whosings.evidence.metrics import song_draws, strata

FIGURES = (*TESTS, "gap")

Tested = Mapping[str, Sequence[WindowRow]]
"""the windows of a run in each of the tests tied, free and swapped"""


@dataclass(frozen=True)
class Estimated:
    """A figure over the runs of a recipe: mean, percentile interval over voice songs, and each run's own."""

    mean: float
    interval: tuple[float, float]
    runs: list[float]


@dataclass(frozen=True)
class _Counts:
    """Right windows and windows, each (runs, tests, songs), and the draws of songs (rounds, songs)."""

    right: np.ndarray
    windows: np.ndarray
    draws: np.ndarray

    def figures(self, weights: np.ndarray) -> np.ndarray:
        """Give the accuracy of each test and the gap (..., runs, 4) for weights of songs (..., songs)."""
        with np.errstate(invalid="ignore"):  # a run none of whose songs was drawn
            accuracy = np.einsum("...s,rts->...rt", weights, self.right) / np.einsum(
                "...s,rts->...rt", weights, self.windows
            )
        return np.concatenate([accuracy, accuracy[..., :1] - accuracy[..., 2:3]], axis=-1)


def estimates(
    runs: Sequence[Tested], *, level: float = 0.95, rounds: int = 2000, seed: int = 0
) -> dict[str, Estimated]:
    """
    Give window accuracy in each test, and the gap tied less swapped, as means over runs.

    Songs are drawn with replacement within each singer, a voice song with all its windows in all tests and
    all runs together: that is what makes the gap a paired difference. Raises WhosingsError where a test is
    missing or there is no window.
    """
    counts = _counts([runs], rounds, seed)[0]
    whole, drawn = counts.figures(np.ones(counts.right.shape[2])), counts.figures(counts.draws)
    return _estimated(whole, np.nanmean(drawn, axis=1), level)


def differences(
    a: Sequence[Tested], b: Sequence[Tested], *, level: float = 0.95, rounds: int = 2000, seed: int = 0
) -> dict[str, Estimated]:
    """
    Give what `a` has more than `b` of each figure, run by run (of one seed each) and on the same draws.

    Raises WhosingsError as `estimates` does, and where the runs do not pair.
    """
    if len(a) != len(b):
        raise WhosingsError(f"{len(a)} runs cannot be paired with {len(b)}; give as many seeds of both.")
    first, second = _counts([a, b], rounds, seed)
    ones = np.ones(first.right.shape[2])
    whole = first.figures(ones) - second.figures(ones)
    drawn = first.figures(first.draws) - second.figures(first.draws)
    return _estimated(whole, np.nanmean(drawn, axis=1), level)


def _estimated(whole: np.ndarray, drawn: np.ndarray, level: float) -> dict[str, Estimated]:
    """Put together figures of runs (runs, 4) and their mean in each round (rounds, 4)."""
    tails = [(1 - level) / 2, (1 + level) / 2]
    found = {}
    for place, name in enumerate(FIGURES):
        low, high = np.nanquantile(drawn[:, place], tails)
        of_runs = [float(value) for value in whole[:, place]]
        found[name] = Estimated(float(np.mean(of_runs)), (float(low), float(high)), of_runs)
    return found


def _counts(groups: Sequence[Sequence[Tested]], rounds: int, seed: int) -> list[_Counts]:
    """Count by voice song, the songs of all groups in one order and drawn together."""
    tested = [run for runs in groups for run in runs]
    if not tested or any(not run.get(test) for run in tested for test in TESTS):
        raise WhosingsError(f"Each run needs windows in the tests {', '.join(TESTS)}; score all of them.")
    songs = sorted({_song(row) for run in tested for test in TESTS for row in run[test]})
    place = {song: number for number, song in enumerate(songs)}
    singer = np.unique([artist for artist, _ in songs], return_inverse=True)[1]
    draws = _draws(singer, rounds, seed)
    result = []
    for runs in groups:
        both = np.zeros((2, len(runs), len(TESTS), len(songs)))
        for at, run in enumerate(runs):
            for number, test in enumerate(TESTS):
                for row in run[test]:
                    both[:, at, number, place[_song(row)]] += (row.answer == row.singer, 1)
        result.append(_Counts(both[0], both[1], draws))
    return result


def _song(row: WindowRow) -> tuple[str, str]:
    """Tell the voice song of a window: artist and album; the title names the band that it is laid over."""
    artist, album, *_ = row.track.split("/")
    return artist, album


def _draws(singer: np.ndarray, rounds: int, seed: int) -> np.ndarray:
    """Draw songs within each singer: their weights (rounds, songs); a song without another always counts."""
    weights = np.ones((rounds, len(singer)))
    among = [songs for songs in strata(singer) if len(songs) > 1]
    for songs, times, scale in song_draws(among, rounds, seed):
        weights[:, songs] = times * scale
    return weights
