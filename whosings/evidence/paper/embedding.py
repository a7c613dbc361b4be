"""
How test songs lie in a network's embedding: silhouettes, intervals over songs, and the t-SNE picture.

Intervals
---------
Songs are drawn with replacement, 1000 times, within each artist and among songs that the same draws of a grid
test, as `metrics.mean_interval` draws them: n - 1 of n songs, scaled to n. A song is one song in every
draw that tests it and for both systems, so that differences are paired. Songs that no other song shares all
this with are put together. Nothing is trained again: what other seeds would change is the spread
over draws, and not in the interval. A figure of fewer than FEWEST_SONGS different songs has the whole range
for its interval: so few say nothing of others.

Where a song is drawn twice its artist is tighter, so silhouettes of rounds lie above the measured one; every
interval is therefore shifted to have the measured value where the mean of the rounds was. (In simulations of
five artists, 95 % intervals then held the true value in .87 of cases with two songs an artist and in .95 or
more with three to twelve; without the shift, in less than .8.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import nn

from whosings.collection.features import FeatureStore
from whosings.collection.splits import Split
from whosings.collection.track import Track
from whosings.drawing import LINES, short
from whosings.errors import WhosingsError
from whosings.evidence import metrics
from whosings.identify.ladder import BATCH, Track2Windows, Windows
from whosings.models import ModelCard

LEVEL = 0.95
ROUNDS = 1000
FEWEST_SONGS = 5  # different ones, in all draws together
SEED = 0
DIFFERENCE = "difference"

DOTS = ("o", "^", "s", "D")  # when the colours are used up

PERPLEXITY = 30.0
FEWEST_POINTS = 4
MOST_POINTS = 3000  # in a picture; numbers are of all windows


@dataclass(frozen=True)
class Heard:
    """The test windows of a song as a network knows them."""

    track: Track
    windows: Windows
    embeddings: np.ndarray
    """(windows, 32)"""
    log_probabilities: np.ndarray
    """(windows, singers)"""


def hear(
    network: nn.Module, card: ModelCard, tracks: Iterable[Track], split: Split, store: FeatureStore
) -> tuple[list[Heard], dict[str, str]]:
    """Embed and classify the windows of tracks that `split` tests; tell why others failed, by track id."""
    to_windows = Track2Windows(store, card)
    heard, failed = [], {}
    for track in tracks:
        try:
            every = to_windows(track)
        except WhosingsError as error:
            failed[track.id] = str(error)
            continue
        tested = every.starts[split.window_indices("test", track.id, len(every.starts))]
        if len(tested):
            windows = Windows(every.features, tested, every.length)
            heard.append(Heard(track, windows, *_answers(network, windows)))
    return heard, failed


def _answers(network: nn.Module, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Give embeddings (windows, 32) and log-probabilities (windows, singers)."""
    network.eval()  # then an embedding is all that the last layer reads
    device = next(network.parameters()).device
    embeddings, rows = [], []
    with torch.inference_mode():
        for first in range(0, len(windows.starts), BATCH):
            embedding = cast(Any, network).embed(windows.batch(first).to(device))
            logits = cast(Any, network).head.dense(embedding)
            embeddings.append(embedding.float().cpu().numpy())
            rows.append(logits.float().log_softmax(dim=-1).cpu().numpy())
    return np.concatenate(embeddings), np.concatenate(rows)


class Statistic(Protocol):
    """A figure of some songs in one draw, for any number of times that each song counts."""

    songs: tuple[str, ...]
    """track ids"""
    artists: tuple[str, ...]

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Give the figure for each row of `weights` (rounds, songs): (rounds,), NaN where there is none."""


class MeanOfWindows:
    """The mean of `values`, an array for each song; NaN in them is no value. Every window counts alike."""

    def __init__(self, songs: Sequence[Heard], values: Sequence[np.ndarray]):
        self.songs, self.artists = _names(songs)
        self.sums = np.array([np.nansum(of_song) for of_song in values], dtype=np.float64)
        self.counts = np.array([np.isfinite(of_song).sum() for of_song in values], dtype=np.float64)

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Give the mean for each row of `weights` (rounds, songs)."""
        counts = weights @ self.counts
        means: np.ndarray = np.divide(
            weights @ self.sums, counts, out=np.full(len(weights), np.nan), where=counts > 0
        )
        return means


class Silhouette:
    """
    The mean silhouette of windows by artist (Rousseeuw 1987): how much nearer its own artist than the next.

    Distances are Euclidean, between embeddings and never between points of a picture. 1 is far apart, 0
    mixed up, below 0 nearer to another artist. A window counts as often as its song, but is never compared
    with itself; the only window of an artist has 0, and one that only a round leaves alone sits it out.
    """

    def __init__(self, songs: Sequence[Heard]):
        songs = sorted(songs, key=lambda song: song.track.artist)
        self.songs, self.artists = _names(songs)
        self._counts = np.array([len(song.embeddings) for song in songs], dtype=np.float64)
        self._song = np.repeat(np.arange(len(songs)), self._counts.astype(int))
        _, self._first, artist = np.unique(self.artists, return_index=True, return_inverse=True)
        self._artist = artist[self._song]
        self._always_alone = np.bincount(self._artist)[self._artist] == 1
        self._distances = self._summed(np.concatenate([song.embeddings for song in songs]))

    def _summed(self, embeddings: np.ndarray) -> np.ndarray:
        """Sum the distances of each window to all windows of each song: (windows, songs)."""
        from scipy.spatial.distance import cdist

        starts = np.concatenate([[0], np.cumsum(self._counts)[:-1]]).astype(int)
        rows = [
            np.add.reduceat(cdist(embeddings[first : first + 1024], embeddings), starts, axis=1)
            for first in range(0, len(embeddings), 1024)
        ]
        return np.concatenate(rows)

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Give the mean silhouette for each row of `weights` (rounds, songs)."""
        return np.array([self._mean(row) for row in weights])

    def _mean(self, weights: np.ndarray) -> float:
        mass = np.add.reduceat(weights * self._counts, self._first)  # (artists,)
        if np.count_nonzero(mass) < 2:
            return float("nan")
        sums = np.add.reduceat(self._distances * weights, self._first, axis=1)  # (windows, artists)
        window, weight = np.arange(len(sums)), weights[self._song]
        others = np.divide(sums, mass, out=np.full(sums.shape, np.inf), where=mass > 0)
        others[window, self._artist] = np.inf
        nearest = others.min(axis=1)
        own_mass = mass[self._artist] - weight
        alone = own_mass <= 1e-9
        own = sums[window, self._artist] / np.where(alone, 1, own_mass)
        largest = np.maximum(own, nearest)
        values = np.where(alone | (largest == 0), 0, (nearest - own) / np.where(largest == 0, 1, largest))
        weight = np.where(alone & ~self._always_alone, 0, weight)
        return float(np.average(values, weights=weight)) if weight.any() else float("nan")


def compare(
    systems: Mapping[str, Sequence[Statistic]], bounds: tuple[float, float] = (0.0, 1.0)
) -> dict[str, Any]:
    """
    Estimate a figure for two systems, and the difference: the second less the first.

    `systems` holds a statistic a draw by the name of the system, of the same songs in both. Gives by name,
    and by "difference", the mean over draws with its interval, and `draws` with the same for each; a figure
    that cannot be is None. `bounds` are the lowest and highest value that it can have.
    """
    whole = _estimate(systems, bounds)
    count = len(next(iter(systems.values())))
    each = [_estimate({name: [of[at]] for name, of in systems.items()}, bounds) for at in range(count)]
    return {name: {**whole[name], "draws": [draw[name] for draw in each]} for name in whole}


def _estimate(
    systems: Mapping[str, Sequence[Statistic]], bounds: tuple[float, float]
) -> dict[str, dict[str, Any]]:
    some = next(iter(systems.values()))
    once = [np.ones((1, len(statistic.songs))) for statistic in some]
    weights = _weights(some)
    values = {name: float(_mean(of_draws, once)[0]) for name, of_draws in systems.items()}
    rounds = {name: _mean(of_draws, weights) for name, of_draws in systems.items()} if weights else {}
    low, high = bounds
    found = {name: _figure(values[name], rounds.get(name), bounds) for name in systems}
    first, second = systems
    drawn = rounds[second] - rounds[first] if rounds else None
    found[DIFFERENCE] = _figure(values[second] - values[first], drawn, (low - high, high - low))
    return found


def _weights(statistics: Sequence[Statistic]) -> list[np.ndarray]:
    """Draw how often each song counts, (rounds, songs) for each draw; none where songs are too few."""
    artist_of = {song: artist for of in statistics for song, artist in zip(of.songs, of.artists, strict=True)}
    songs = sorted(artist_of)
    if len(songs) < FEWEST_SONGS:
        return []
    tested = np.array([[song in of.songs for of in statistics] for song in songs])
    by_draws = np.unique(tested, axis=0, return_inverse=True)[1].ravel()
    artist = np.unique([artist_of[song] for song in songs], return_inverse=True)[1]
    strata = [alike[part] for alike in metrics.strata(by_draws) for part in metrics.strata(artist[alike])]
    weights = np.zeros((ROUNDS, len(songs)))
    for drawn, times, scale in metrics.song_draws(strata, ROUNDS, SEED):
        weights[:, drawn] = scale * times
    place = {song: at for at, song in enumerate(songs)}
    return [weights[:, [place[song] for song in of.songs]] for of in statistics]


def _mean(statistics: Sequence[Statistic], weights: Sequence[np.ndarray]) -> np.ndarray:
    """
    Give the mean over draws for each round: (rounds,), NaN where no draw has a value.

    A draw weighs by the songs it was given: as all others where it keeps its number of songs, and as often as
    its song was drawn where it has but one.
    """
    values = np.stack([of(drawn) for of, drawn in zip(statistics, weights, strict=True)])
    mass = np.stack([drawn.mean(axis=1) for drawn in weights]) * np.isfinite(values)
    total = mass.sum(axis=0)
    means: np.ndarray = np.divide(
        (mass * np.nan_to_num(values)).sum(axis=0), total, out=np.full(total.shape, np.nan), where=total > 0
    )
    return means


def _figure(value: float, drawn: np.ndarray | None, bounds: tuple[float, float]) -> dict[str, Any]:
    """Give a value and its interval as plain JSON values."""
    if not np.isfinite(value):
        return {"value": None, "interval": None}
    interval = list(bounds)
    kept = drawn[np.isfinite(drawn)] if drawn is not None else np.empty(0)
    if len(kept):
        tails = np.quantile(kept, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        interval = [float(end) for end in np.clip(tails - kept.mean() + value, *bounds)]
    return {"value": value, "interval": interval}


def _names(songs: Sequence[Heard]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(song.track.id for song in songs), tuple(song.track.artist for song in songs)


def plane(embeddings: np.ndarray, seed: int) -> np.ndarray:
    """
    Lay embeddings (n, 32) out in the plane by t-SNE: (n, 2).

    Raises WhosingsError where there are fewer than 4.
    """
    from sklearn.manifold import TSNE

    count = len(embeddings)
    if count < FEWEST_POINTS:
        raise WhosingsError(
            f"A t-SNE picture needs at least {FEWEST_POINTS} windows, and there are {count}; add songs."
        )
    if not np.ptp(embeddings, axis=0).any():  # t-SNE divides by their spread
        return np.zeros((count, 2))
    tsne = TSNE(perplexity=min(PERPLEXITY, (count - 1) / 3), init="pca", random_state=seed)
    points: np.ndarray = tsne.fit_transform(embeddings)
    return points


def scatter(axes: Axes, songs: Sequence[Heard], artists: Sequence[str], seed: int) -> None:
    """Draw the windows of songs by t-SNE (at most 3000, drawn by the seed), a colour and mark an artist."""
    embeddings = np.concatenate([song.embeddings for song in songs])
    artist = np.repeat([song.track.artist for song in songs], [len(song.embeddings) for song in songs])
    if len(embeddings) > MOST_POINTS:
        kept = np.sort(np.random.default_rng(seed).choice(len(embeddings), MOST_POINTS, replace=False))
        embeddings, artist = embeddings[kept], artist[kept]
    points = plane(embeddings, seed)
    for at, name in enumerate(artists):
        here = points[artist == name]
        mark, colour = DOTS[at // len(LINES) % len(DOTS)], LINES[at % len(LINES)]
        axes.scatter(
            here[:, 0], here[:, 1], s=14, c=colour, marker=mark, label=short(name), alpha=0.75, linewidths=0
        )
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
