"""Many tracks of a collection at once, and what validation tracks decide: the vote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from whosings.collection.splits import Side, Split
from whosings.collection.track import Track
from whosings.errors import WhosingsError
from whosings.identify.ladder import LogProbabilities2Answer, Track2Windows, Windows2LogProbabilities
from whosings.identify.votes import VOTES
from whosings.models.store import VoteName

if TYPE_CHECKING:
    import numpy as np


@dataclass
class TrackLogProbabilities:
    """By track id: log-probabilities (windows, singers), window starts in seconds; why others have none."""

    rows: dict[str, np.ndarray] = field(default_factory=dict)
    starts: dict[str, np.ndarray] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def log_probabilities(
    tracks: Iterable[Track],
    to_windows: Track2Windows,
    to_log_probabilities: Windows2LogProbabilities,
    on_done: Callable[[Track], None] = lambda track: None,
) -> TrackLogProbabilities:
    """Classify all windows of all tracks; a track that cannot be read is noted and passed over."""
    result = TrackLogProbabilities()
    for track in tracks:
        try:
            windows = to_windows(track)
            result.rows[track.id] = to_log_probabilities(windows)
            result.starts[track.id] = windows.start_seconds
        except WhosingsError as error:
            result.failed[track.id] = str(error)
        on_done(track)
    return result


def of_side(rows: Mapping[str, np.ndarray], split: Split, side: Side) -> dict[str, np.ndarray]:
    """Keep what belongs to windows of one side of a split (all, but for snippet); drop tracks without any."""
    kept = {name: values[split.window_indices(side, name, len(values))] for name, values in rows.items()}
    return {name: values for name, values in kept.items() if len(values)}


def choose_vote(
    singer_of: Mapping[str, str], rows: Mapping[str, np.ndarray], singers: Sequence[str]
) -> tuple[VoteName, dict[VoteName, float]]:
    """
    Choose the vote with the highest macro F1 over songs, the first named of equals; give all the scores.

    Args:
        singer_of: the true singer by track id.
        rows: log-probabilities (windows, singers) by track id, of validation tracks only.
        singers: the classes in order.

    """
    from sklearn.metrics import f1_score

    true = [singer_of[name] for name in rows]
    scores: dict[VoteName, float] = {}
    for vote in VOTES:
        to_answer = LogProbabilities2Answer(list(singers), vote)
        answers = [to_answer(row).singer for row in rows.values()]
        scores[vote] = float(f1_score(true, answers, average="macro", zero_division=0))
    return max(scores, key=lambda vote: scores[vote]), scores
