"""
How good the answers are, and how much of that is luck: F1, intervals over songs, paired tests, calibration.

Conventions
-----------
- An *item* is what is scored: a window or a song. `true` and `predicted` hold one singer per item, `labels`
  every singer that may occur in either (an answer such as "unknown" has to be listed as well).
- A *figure* is one of `FIGURES`, from 0 to 1. F1 of a singer is 2 hits / (items of the singer + items given
  to the singer), and 0 where that is 0 / 0.
- `f1_macro` is the plain mean over the singers that occur in `true`. A singer without a test song has no
  recall to speak of; counting that singer as 0 (or as 1) would measure the test set, not the system. A
  wrong answer that names such a singer still costs: it is a miss for the singer who did sing.
- `f1_weighted` weighs the same F1 by the items of each singer; it is the figure of the published papers.
- Windows of one song are alike, so whatever is about chance resamples whole songs (`groups`), never
  windows.
- Whatever is wrong with the input is told by a WhosingsError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from whosings.errors import WhosingsError

FIGURES = ("f1_macro", "f1_weighted", "accuracy")

Items = Sequence[str] | np.ndarray


@dataclass(frozen=True)
class Scores:
    """The three figures (0 to 1) and the number of items behind them."""

    f1_macro: float
    f1_weighted: float
    accuracy: float
    n: int

    def to_dict(self) -> dict[str, float | int]:
        """The fields as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class PairedDifference:
    """
    System A less system B on the same items: positive where A is better.

    `difference`, `interval` (low, high) and `p_value` (two-sided, bootstrap over songs) hold a key per
    figure. `only_a` and `only_b` count the items that one system alone got right; `mcnemar_p` is the exact
    two-sided test on them. McNemar takes the items for independent: believe it for songs, not for windows.
    """

    difference: dict[str, float]
    interval: dict[str, tuple[float, float]]
    p_value: dict[str, float]
    only_a: int
    only_b: int
    mcnemar_p: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return {**asdict(self), "interval": {name: list(pair) for name, pair in self.interval.items()}}


@dataclass(frozen=True)
class ReliabilityBin:
    """Items with a confidence in (lower, upper]: how many, their mean confidence, the share that is right."""

    lower: float
    upper: float
    count: int
    confidence: float
    accuracy: float


def validate(true: Items, predicted: Items, labels: Sequence[str], groups: Items | None = None) -> None:
    """
    Check that the input can be scored.

    Raises WhosingsError where there are no items, lengths differ, a label occurs twice or is not listed, or
    a group (a song) has two true singers.
    """
    if len(true) == 0:
        raise WhosingsError("There is nothing to score: give at least one item with a known singer.")
    for name, values in (("answers", predicted), ("song names", groups)):
        if values is not None and len(values) != len(true):
            raise WhosingsError(f"{len(true)} true singers and {len(values)} {name}: give one for each item.")
    known = set(labels)
    if len(known) != len(labels):
        raise WhosingsError("A singer is listed twice among the labels; list every singer once.")
    strangers = sorted({str(name) for name in (*true, *predicted) if name not in known})
    if strangers:
        raise WhosingsError(f"{strangers[0]!r} is not among the {len(labels)} labels; list it there.")
    if groups is None:
        return
    singer_of: dict[Any, Any] = {}
    for group, singer in zip(groups, true, strict=True):
        if singer_of.setdefault(group, singer) != singer:
            raise WhosingsError(
                f"Two singers are named for the song {str(group)!r}; name each song uniquely."
            )


def scores(true: Items, predicted: Items, labels: Sequence[str]) -> Scores:
    """Score the answers; raises WhosingsError as `validate` does."""
    from sklearn.metrics import accuracy_score, f1_score

    validate(true, predicted, labels)
    truth, answer = _codes(true, labels), _codes(predicted, labels)
    present = np.unique(truth)
    macro, weighted = (
        float(f1_score(truth, answer, labels=present, average=average, zero_division=0))
        for average in ("macro", "weighted")
    )
    return Scores(macro, weighted, float(accuracy_score(truth, answer)), len(truth))


def confusion(true: Items, predicted: Items, labels: Sequence[str]) -> np.ndarray:
    """Count the items (S, S): rows are true singers, columns answers, both in the order of `labels`."""
    from sklearn.metrics import confusion_matrix

    validate(true, predicted, labels)
    codes = np.arange(len(labels))
    counts: np.ndarray = confusion_matrix(_codes(true, labels), _codes(predicted, labels), labels=codes)
    return counts


def bootstrap_interval(
    true: Items,
    predicted: Items,
    labels: Sequence[str],
    groups: Items,
    *,
    level: float = 0.95,
    rounds: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """
    Percentile interval of each figure, resampling songs with replacement within each true singer.

    `groups` names the song of each item; for scores of songs it is the songs themselves. Drawing within a
    singer keeps every singer in every round, as in the test set, so that macro F1 always means the same.
    Singers with one song share a stratum (the collapsed strata of survey sampling; a round may then miss
    some of them), else they would seem to be known exactly. One song tells nothing about others: its
    interval is (0, 1). Resampling cannot invent mistakes: answers without one have the interval (1, 1).

    Raises WhosingsError as `validate` does, and where `level` or `rounds` makes no sense.
    """
    validate(true, predicted, labels, groups)
    truth, answer = _codes(true, labels), _codes(predicted, labels)
    songs, song = _songs(groups)
    if songs < 2:
        return dict.fromkeys(FIGURES, (0.0, 1.0))
    counts = _counts(truth, answer, song, songs, len(labels))
    return _interval(_figures(_resample(counts, strata(_singers(counts)), rounds, seed)), level)


def mean_interval(
    runs: Sequence[tuple[Items, Items, Items]],
    labels: Sequence[str],
    *,
    level: float = 0.95,
    rounds: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """
    Percentile interval of the mean of each figure over `runs`, each (true, predicted, groups).

    A song is one song in every run that tests it: a round draws songs, scores each run on those of its own
    that were drawn, and takes the mean of the runs. Songs are drawn within each true singer as in
    `bootstrap_interval`, and among songs that the same runs test, so that every run keeps its number of
    songs (songs alone in this are put together; a run of which a round draws none sits that round out).
    Runs of one split thus hear the same songs in a round: runs do not stand in for songs. The interval is
    about songs, given these runs; what other seeds or splits would change is the spread over runs.

    One run gives the interval of `bootstrap_interval`; with a run of a single song it is (0, 1). Raises
    WhosingsError as `bootstrap_interval` does, and where two runs name two singers for a song.
    """
    if not runs:
        raise WhosingsError("There is no run to score: give at least one.")
    for true, predicted, groups in runs:
        validate(true, predicted, labels, groups)
    every_true, every_answer, every_group = (
        np.concatenate([np.asarray(run[part]) for run in runs]) for part in range(3)
    )
    validate(every_true, every_answer, labels, every_group)
    names, song = np.unique(every_group, return_inverse=True)
    codes = np.split(song, np.cumsum([len(true) for true, _, _ in runs])[:-1])
    counts = np.stack(
        [
            _counts(_codes(true, labels), _codes(predicted, labels), of_run, len(names), len(labels))
            for (true, predicted, _), of_run in zip(runs, codes, strict=True)
        ],
        axis=1,
    )  # (songs, runs, 3, S)
    tested = counts[:, :, 1].sum(axis=-1) > 0
    if tested.sum(axis=0).min() < 2:
        return dict.fromkeys(FIGURES, (0.0, 1.0))
    singer = _singers(counts.sum(axis=1))
    by_runs = np.unique(tested, axis=0, return_inverse=True)[1].ravel()
    drawn_among = [songs[part] for songs in strata(by_runs) for part in strata(singer[songs])]
    with np.errstate(invalid="ignore"):  # 0 / 0 of a run that sits a round out
        figures = _figures(_resample(counts, drawn_among, rounds, seed))
    return _interval({name: np.nanmean(values, axis=-1) for name, values in figures.items()}, level)


def paired_difference(
    true: Items,
    predicted_a: Items,
    predicted_b: Items,
    labels: Sequence[str],
    groups: Items,
    *,
    level: float = 0.95,
    rounds: int = 1000,
    seed: int = 0,
) -> PairedDifference:
    """
    Compare two systems on the same items, A less B, on songs drawn as in `bootstrap_interval`.

    The bootstrap p is twice the share of rounds on the far side of 0, with one added to both counts so that
    it never is 0. With a single song it is 1 and the interval (-1, 1).

    Raises WhosingsError as `bootstrap_interval` does.
    """
    from scipy.stats import binomtest

    validate(true, predicted_a, labels, groups)
    validate(true, predicted_b, labels)
    truth, a, b = (_codes(items, labels) for items in (true, predicted_a, predicted_b))
    songs, song = _songs(groups)
    counts = [_counts(truth, answer, song, songs, len(labels)) for answer in (a, b)]
    whole_a, whole_b = (_figures(count.sum(axis=0)) for count in counts)
    interval = dict.fromkeys(FIGURES, (-1.0, 1.0))
    p_value = dict.fromkeys(FIGURES, 1.0)
    if songs >= 2:
        both = _resample(np.stack(counts, axis=1), strata(_singers(counts[0])), rounds, seed)
        drawn = {name: values[:, 0] - values[:, 1] for name, values in _figures(both).items()}
        interval = _interval(drawn, level)
        p_value = {name: _two_sided(drawn[name]) for name in FIGURES}
    only_a = int(np.sum((a == truth) & (b != truth)))
    only_b = int(np.sum((b == truth) & (a != truth)))
    either = only_a + only_b
    return PairedDifference(
        difference={name: float(whole_a[name] - whole_b[name]) for name in FIGURES},
        interval=interval,
        p_value=p_value,
        only_a=only_a,
        only_b=only_b,
        mcnemar_p=float(binomtest(only_a, either).pvalue) if either else 1.0,
        n=len(truth),
    )


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> list[ReliabilityBin]:
    """
    Sort items by confidence (n,), 0 to 1, into `bins` of equal width beside `correct` (n,), true or false.

    Bins are closed above; 0 belongs to the first. Empty bins have no accuracy and are left out. Raises
    WhosingsError where there are no items, lengths differ, a confidence is no probability or `bins` is
    below 1.
    """
    confidence, correct = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if confidence.ndim != 1 or confidence.shape != correct.shape or confidence.size == 0:
        raise WhosingsError(
            "Calibration needs at least one item, each with one confidence and one right or wrong."
        )
    if not np.all((confidence >= 0) & (confidence <= 1 + 1e-6)):  # a float32 softmax may end a hair above 1
        raise WhosingsError("A confidence is not between 0 and 1; give probabilities, not logits.")
    if bins < 1:
        raise WhosingsError(f"{bins} bins: give at least one.")
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    table = []
    for index in np.unique(place):
        here = place == index
        table.append(
            ReliabilityBin(
                lower=float(edges[index]),
                upper=float(edges[index + 1]),
                count=int(here.sum()),
                confidence=float(confidence[here].mean()),
                accuracy=float(correct[here].mean()),
            )
        )
    return table


def calibration_error(table: Sequence[ReliabilityBin]) -> float:
    """Mean distance of confidence and accuracy over the bins of a table, by their counts (Guo 2017)."""
    items = sum(row.count for row in table)
    return sum(row.count * abs(row.accuracy - row.confidence) for row in table) / items


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error, 0 (honest) to 1; arguments and errors as for `reliability`."""
    return calibration_error(reliability(confidence, correct, bins))


def evaluate(
    true: Items,
    predicted: Items,
    labels: Sequence[str],
    groups: Items,
    *,
    level: float = 0.95,
    rounds: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Give the figures, `n` and the `interval` [low, high] of each at `level`: a block of `metrics.json`."""
    interval = bootstrap_interval(true, predicted, labels, groups, level=level, rounds=rounds, seed=seed)
    return {
        **scores(true, predicted, labels).to_dict(),
        "level": level,
        "interval": {name: list(pair) for name, pair in interval.items()},
    }


def _codes(items: Items, labels: Sequence[str]) -> np.ndarray:
    """Names as indices into `labels`, (n,)."""
    index = {label: code for code, label in enumerate(labels)}
    return np.fromiter((index[item] for item in items), dtype=np.int64, count=len(items))


def _songs(groups: Items) -> tuple[int, np.ndarray]:
    """How many songs there are, and the index of the song of each item, (n,)."""
    names, song = np.unique(np.asarray(groups), return_inverse=True)
    return len(names), song


def _counts(truth: np.ndarray, answer: np.ndarray, song: np.ndarray, songs: int, singers: int) -> np.ndarray:
    """
    Per song and singer: hits, items of the singer, items given to the singer; (songs, 3, S).

    These margins of a song's confusion matrix are all that the figures need, and add up over songs.
    """

    def per_song(codes: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        flat = np.bincount(song * singers + codes, weights, minlength=songs * singers)
        return flat.reshape(songs, singers)

    return np.stack([per_song(truth, truth == answer), per_song(truth), per_song(answer)], axis=1)


def _figures(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Figures (...,) from summed counts (..., 3, S)."""
    hits, items, given = np.moveaxis(np.asarray(counts, dtype=np.float64), -2, 0)
    f1 = 2 * hits / np.maximum(items + given, 1)
    total = items.sum(-1)
    present = items > 0
    return {
        "f1_macro": (f1 * present).sum(-1) / present.sum(-1),
        "f1_weighted": (f1 * items).sum(-1) / total,
        "accuracy": hits.sum(-1) / total,
    }


def _singers(counts: np.ndarray) -> np.ndarray:
    """Tell the true singer of each song, (songs,), from counts (songs, 3, S)."""
    singers: np.ndarray = counts[:, 1].argmax(axis=-1)
    return singers


def strata(singer: np.ndarray) -> list[np.ndarray]:
    """Songs to be drawn among each other, two or more in each, by true `singer` (songs,)."""
    by_singer = sorted((np.flatnonzero(singer == code) for code in np.unique(singer)), key=len)
    single = [songs for songs in by_singer if len(songs) == 1]
    rest = by_singer[len(single) :]
    if len(single) == 1:  # no other single song to be drawn with: joins the singer with the fewest songs
        single.append(rest.pop(0))
    return [*rest, np.concatenate(single)] if single else rest


def _resample(counts: np.ndarray, drawn_among: list[np.ndarray], rounds: int, seed: int) -> np.ndarray:
    """Sum the counts (songs, ..., 3, S) of the songs drawn: (rounds, ..., 3, S)."""
    if rounds < 1:
        raise WhosingsError(f"{rounds} bootstrap rounds: give at least one.")
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    total = np.zeros((rounds, flat.shape[1]))
    for songs, times, scale in song_draws(drawn_among, rounds, seed):
        total += scale * (times @ flat[songs])
    return total.reshape(rounds, *counts.shape[1:])


def song_draws(
    drawn_among: Sequence[np.ndarray], rounds: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """
    Draw songs with replacement within strata: the songs of each, how often each is drawn, what that is worth.

    A stratum of n songs gives n - 1 draws, scaled to n: with n draws the spread would come out too
    narrow, by sqrt((n - 1) / n), which is a lot for a few songs per singer (Rao and Wu 1988).

    Args:
        drawn_among: strata of two songs or more, as `strata` gives them.
        rounds: of the bootstrap; draws come as (rounds, n).
        seed: equal seeds draw equal songs.

    """
    generator = np.random.default_rng(seed)
    for songs in drawn_among:
        n = len(songs)
        yield songs, generator.multinomial(n - 1, np.full(n, 1 / n), size=rounds), n / (n - 1)


def _interval(drawn: dict[str, np.ndarray], level: float) -> dict[str, tuple[float, float]]:
    """Percentile interval of each figure (rounds,)."""
    if not 0 < level < 1:
        raise WhosingsError(
            f"An interval of level {level} makes no sense; give one between 0 and 1, such as 0.95."
        )
    tails = [(1 - level) / 2, (1 + level) / 2]
    ends = {name: np.quantile(values, tails) for name, values in drawn.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def _two_sided(drawn: np.ndarray) -> float:
    """Bootstrap p of a difference being 0, from its draws (rounds,)."""
    smaller = min(np.sum(drawn <= 0), np.sum(drawn >= 0))
    return float(min(1.0, 2 * (1 + smaller) / (1 + len(drawn))))
