"""
Who sings when: window scores become segments that follow each other from the start of a file to its end.

    window probabilities -> scores of voices on a grid of cells -> two Viterbi passes -> merged segments

The first pass parts singing from no singing, the second gives the sung cells to voices. It runs over the
sung cells alone, so that a singer who pauses needs no new evidence to go on, and a bar of the band between
two phrases costs nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

Kind = Literal["singer", "unknown", "no singing"]

CELL = 0.5  # seconds of a cell, in which nothing changes
SWITCHING_PENALTY = 4.0
"""Nats that a change of voice, or from singing to none, must gain. Of 0 to 16, 4 had about the least error on
8 duets of MIR-1K validation songs, heard by a frozen voice encoder with logistic regression; for a
trained run, `benchmarks/duets.py --side validation --penalties` tells."""
LEAST_VOICE = 2.0  # seconds that a voice sings at least, pauses left out
LEAST_CHANGE = 1.0  # seconds that singing, or none, lasts at least
DOUBT = 0.01  # share of windows and cells taken to say nothing, so that none rules anything out
LEAST_SUNG = 0.02  # weight of a window without singing beside one that is all sung


@dataclass(frozen=True)
class Segment:
    """A stretch of a file, `start` to `end` in seconds, in which one voice or none is heard."""

    start: float
    end: float
    kind: Kind
    singer: str | None
    """None unless `kind` is "singer\""""
    nearest: str | None
    """the known singer who sounds most like an unknown voice, None for other kinds"""
    confidence: float
    """mean probability of the answer over the segment, 0 to 1"""

    @property
    def label(self) -> str:
        """The singer, or what is heard in place of one."""
        return self.singer if self.singer is not None else self.kind

    def to_dict(self) -> dict[str, Any]:
        """Give plain values: times to the millisecond, the confidence to four digits."""
        rounded = {"start": round(self.start, 3), "end": round(self.end, 3)}
        return {**asdict(self), **rounded, "confidence": round(self.confidence, 4)}


class Singing(NamedTuple):
    """Probability of singing over time; each value holds until the next one's start."""

    starts: np.ndarray
    """(frames,) seconds, ascending"""
    probability: np.ndarray
    """(frames,) 0 to 1"""


class Windows2Timeline:
    """
    Segments from the probabilities of windows, overlapping or not.

    A cell takes the mean log-probability of the windows over it, by triangular weights (a window says most
    about its middle) and by how much of each window is sung. The confidence of a segment is the mean over
    its cells of the probabilities that enter Viterbi, scaled to sum 1 in each cell. It is not the posterior
    of a forward-backward pass: that would count the same seconds anew for each window over them, and be sure
    of nearly everything.
    """

    def __init__(self, singers: Sequence[str], switching_penalty: float = SWITCHING_PENALTY):
        self.singers = list(singers)
        self.switching_penalty = switching_penalty

    def __call__(
        self,
        starts: np.ndarray,
        window_seconds: float,
        duration: float,
        probabilities: np.ndarray,
        known: np.ndarray | None = None,
        singing: Singing | None = None,
    ) -> list[Segment]:
        """
        Give segments in order, without gaps or overlaps, from 0 to `duration` seconds.

        Args:
            starts: (windows,) seconds, ascending.
            window_seconds: length of a window; where the file ends within one, it counts up to there.
            duration: of the file in seconds.
            probabilities: (windows, singers) of each singer, given that the voice is a known one.
            known: (windows,) probability that the voice is a known one; None where that is not told.
            singing: from an activity detector; None where there is none: all counts as sung.

        Raises ValueError where there is no window, the shapes do not fit, a value is no number or `duration`
        is not above 0.

        """
        import numpy as np

        starts, voices = np.asarray(starts, dtype=np.float64), _voices(probabilities, known)
        _check(starts, duration, voices, len(self.singers), singing)
        edges = _edges(duration)
        ends = np.minimum(starts + window_seconds, duration)
        sung, weights = np.ones(len(edges) - 1), np.ones(len(starts))
        if singing is not None:
            sung = _mean_between(singing, edges[:-1], edges[1:], duration)
            weights = np.maximum(_mean_between(singing, starts, ends, duration), LEAST_SUNG)
        scores = _cell_scores(starts, ends, weights, voices, edges)
        return self._merged(edges, *self._path(sung, scores), sung, scores)

    def _path(self, sung: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tell the cells that are sung and whose voice each has: (cells,) bool and (cells,) int64."""
        import numpy as np

        heard = np.log(_doubted(np.stack([1 - sung, sung], axis=1)))
        least = np.full(2, round(LEAST_CHANGE / CELL))
        is_sung = best_path(heard, self.switching_penalty, least) == 1
        voice = np.zeros(len(sung), dtype=np.int64)
        if is_sung.any():
            least = np.full(scores.shape[1], round(LEAST_VOICE / CELL))
            voice[is_sung] = best_path(scores[is_sung], self.switching_penalty, least)
        return is_sung, voice

    def _merged(
        self, edges: np.ndarray, is_sung: np.ndarray, voice: np.ndarray, sung: np.ndarray, scores: np.ndarray
    ) -> list[Segment]:
        """Join neighbouring cells of one answer."""
        import numpy as np

        states = np.where(is_sung, voice, -1)
        bounds = np.flatnonzero(np.diff(states, prepend=-2, append=-2))
        segments = []
        for first, last in pairwise(bounds):
            state, span = int(states[first]), slice(first, last)
            here = sung[span] * np.exp(scores[span, state]) if state >= 0 else 1 - sung[span]
            known = 0 <= state < len(self.singers)
            nearest = self.singers[int(scores[span, :-1].mean(axis=0).argmax())]
            segments.append(
                Segment(
                    start=float(edges[first]),
                    end=float(edges[last]),
                    kind="singer" if known else "unknown" if state >= 0 else "no singing",
                    singer=self.singers[state] if known else None,
                    nearest=nearest if state == len(self.singers) else None,
                    confidence=float(np.average(here, weights=np.diff(edges)[span])),
                )
            )
        return segments


def best_path(scores: np.ndarray, penalty: float, least: np.ndarray) -> np.ndarray:
    """
    Give the best state of each cell (cells,) by Viterbi, each change costing `penalty`.

    Args:
        scores: (cells, states) finite log-probabilities.
        penalty: nats, at least 0.
        least: (states,) cells that a stay in each state lasts at least, in a longer file.

    A minimum is one step of the recursion: a stay either goes on by a cell, or enters with all its first
    `least` cells at once.

    """
    import numpy as np

    cells, states = scores.shape
    least = np.clip(least, 1, cells)
    columns = np.arange(states)
    sums = np.concatenate([np.zeros((1, states)), np.cumsum(scores, axis=0)])
    best = np.full(cells + 1, -np.inf)  # of any path that may end before a cell
    best[0] = penalty  # the first stay is no change
    stay = np.full(states, -np.inf)
    entered = np.zeros((cells + 1, states), dtype=bool)
    winner = np.zeros(cells + 1, dtype=np.int64)
    for end in range(1, cells + 1):
        begin = end - least
        enter = np.where(begin >= 0, best[begin] - penalty + sums[end] - sums[begin, columns], -np.inf)
        stay = stay + scores[end - 1]
        entered[end] = enter > stay
        stay = np.maximum(stay, enter)
        winner[end] = stay.argmax()
        best[end] = stay[winner[end]]
    path = np.empty(cells, dtype=np.int64)
    end = cells
    while end > 0:
        state = winner[end]
        begin = end
        while not entered[begin, state]:
            begin -= 1
        begin -= least[state]
        path[begin:end] = state
        end = begin
    return path


def _voices(probabilities: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """Join the probabilities of singers and of an unknown voice: (windows, singers + 1)."""
    import numpy as np

    probabilities = np.asarray(probabilities, dtype=np.float64)
    known = np.ones(len(probabilities)) if known is None else np.asarray(known, dtype=np.float64)
    return np.concatenate([known[:, None] * probabilities, 1 - known[:, None]], axis=1)


def _check(
    starts: np.ndarray, duration: float, voices: np.ndarray, singers: int, singing: Singing | None
) -> None:
    import numpy as np

    if not (np.isfinite(duration) and duration > 0):
        raise ValueError(f"a file of {duration} seconds has no time-line")
    if starts.ndim != 1 or not len(starts) or voices.shape != (len(starts), singers + 1):
        raise ValueError(f"{starts.shape} windows and {voices.shape} voices do not fit {singers} singers")
    if singing is not None and (not len(singing.starts) or len(singing.starts) != len(singing.probability)):
        raise ValueError("singing needs at least one frame, and a start for each")
    grids = (starts, voices) if singing is None else (starts, voices, *singing)
    if not all(np.isfinite(values).all() for values in grids):
        raise ValueError("windows, probabilities and singing must be finite numbers")
    if (np.diff(starts) < 0).any():
        raise ValueError("windows must be in order")


def _edges(duration: float) -> np.ndarray:
    """Give where cells begin and the last ends: (cells + 1,) seconds; the last may be shorter."""
    import numpy as np

    cells = max(1, int(np.ceil(duration / CELL - 1e-6)))
    return np.append(np.arange(cells) * CELL, duration)


def _doubted(probabilities: np.ndarray) -> np.ndarray:
    """Mix distributions (n, states) with the even one, so that nothing is impossible."""
    return (1 - DOUBT) * probabilities + DOUBT / probabilities.shape[1]


def _mean_between(singing: Singing, begin: np.ndarray, end: np.ndarray, duration: float) -> np.ndarray:
    """Give the mean probability of singing from `begin` (n,) to `end` (n,) seconds; 0 where that is empty."""
    import numpy as np

    bounds = np.clip(np.concatenate([[0.0], singing.starts[1:], [duration]]), 0, duration)
    area = np.concatenate([[0.0], np.cumsum(np.diff(bounds) * singing.probability)])
    within = np.interp(end, bounds, area) - np.interp(begin, bounds, area)
    mean: np.ndarray = np.clip(within / np.maximum(end - begin, 1e-9), 0, 1)
    return mean


def _cell_scores(
    starts: np.ndarray, ends: np.ndarray, weights: np.ndarray, voices: np.ndarray, edges: np.ndarray
) -> np.ndarray:
    """
    Average the log-probabilities of the windows over each cell: (cells, voices), exp of which sums to 1.

    `starts`, `ends` (windows,) in seconds, `weights` (windows,) above 0, `voices` (windows, voices). A cell
    beside all windows takes the nearest.
    """
    import numpy as np
    from scipy.sparse import csr_array
    from scipy.special import log_softmax

    logs = np.log(_doubted(voices))
    cells, windows = len(edges) - 1, len(starts)
    middles, centres = (edges[:-1] + edges[1:]) / 2, (starts + ends) / 2
    halves = np.maximum((ends - starts) / 2, 1e-9)
    reach = int(np.ceil(2 * halves.max() / CELL)) + 1  # cells that a window can touch
    cell = (starts // CELL).astype(np.int64)[:, None] + np.arange(reach)
    window = np.broadcast_to(np.arange(windows)[:, None], cell.shape)
    inside = (cell >= 0) & (cell < cells)
    cell, window = cell[inside], window[inside]
    near = np.clip(1 - np.abs(middles[cell] - centres[window]) / halves[window], 0, None) * weights[window]
    over = csr_array((near, (cell, window)), shape=(cells, windows))
    total = over.sum(axis=1)
    means = (over @ logs) / np.where(total > 0, total, 1)[:, None]
    bare = total <= 0
    means[bare] = logs[np.searchsorted((centres[1:] + centres[:-1]) / 2, middles[bare])]
    scores: np.ndarray = log_softmax(means, axis=1)
    return scores
