"""Many tracks of a collection at once, and what validation tracks decide: the vote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whosings.collection.splits import Side, Split
from whosings.collection.track import Track
from whosings.errors import WhosingsError
from whosings.identify.ladder import LogProbabilities2Answer, Windows
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
    to_log_probabilities: Callable[[Track], tuple[Windows, np.ndarray]],
    on_done: Callable[[Track], None] = lambda track: None,
) -> TrackLogProbabilities:
    """
    Classify all windows of all tracks, by way of a `Track2LogProbabilities`, or one of its methods.

    A track that cannot be read is noted and passed over.
    """
    result = TrackLogProbabilities()
    for track in tracks:
        try:
            windows, result.rows[track.id] = to_log_probabilities(track)
            result.starts[track.id] = windows.start_seconds
        except WhosingsError as error:
            result.failed[track.id] = str(error)
        on_done(track)
    return result


def of_side(rows: Mapping[str, np.ndarray], split: Split, side: Side) -> dict[str, np.ndarray]:
    """Keep what belongs to windows of one side of a split (all, but for snippet); drop tracks without any."""
    kept = {name: values[split.window_indices(side, name, len(values))] for name, values in rows.items()}
    return {name: values for name, values in kept.items() if len(values)}


def on_side(
    side: Side,
    tracks: Sequence[Track],
    split: Split,
    to_log_probabilities: Callable[[Track], tuple[Windows, np.ndarray]],
    on_done: Callable[[Track], None] = lambda track: None,
) -> TrackLogProbabilities:
    """Classify one side of a split, of whose `tracks` one at least must have windows, or WhosingsError."""
    result = log_probabilities(tracks, to_log_probabilities, on_done)
    result.rows = of_side(result.rows, split, side)
    result.starts = of_side(result.starts, split, side)
    if not result.rows:
        reason = next(iter(result.failed.values()), "the split gives none that is long enough")
        raise WhosingsError(
            f"No {side} song can be answered ({reason.rstrip('.')}); put the songs back, or train on others."
        )
    return result


def trained_on(run: Path) -> tuple[dict[str, Any], Split]:
    """Give the arguments in the record of a run, and its split; raises WhosingsError unless they agree."""
    from whosings.training.record import RECORD, SPLIT, read_record

    record, split = read_record(run), Split.load(run / SPLIT)
    arguments: dict[str, Any] = record["arguments"]
    if not {"collection", "split_sha256", "seed"} <= arguments.keys():
        raise WhosingsError(f"{run / RECORD}: this is no run record; train the model again.")
    if arguments["split_sha256"] != split.sha256:
        raise WhosingsError(
            f"{run / SPLIT}: this is not the split that the run was trained on; put the right one back."
        )
    return arguments, split


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
