"""Joining: several trained models become an ensemble, whose weights validation songs choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whosings.collection.catalogue import open_collection
from whosings.collection.splits import Split
from whosings.errors import WhosingsError
from whosings.files import write_json
from whosings.identify.calibration import fit_temperature, window_probabilities
from whosings.identify.identifier import best_device, rows_of_voters, settle
from whosings.identify.ladder import Track2LogProbabilities, Track2Sung
from whosings.identify.tracks import TrackLogProbabilities, on_side, trained_on
from whosings.identify.votes import VOTES
from whosings.models import ModelCard, load_model
from whosings.models.ensemble import Member, average, in_ensemble, save_ensemble
from whosings.models.store import ENSEMBLE, VoteName
from whosings.progress import bar
from whosings.training.record import RECORD, SPLIT, machine, read_record

if TYPE_CHECKING:
    import numpy as np

    from whosings.collection.features import FeatureStore
    from whosings.collection.track import Track

STEPS = 4  # weights are tried in quarters


@dataclass(frozen=True)
class Score:
    """What a model reaches on validation songs."""

    log_likelihood: float
    """mean over windows of the log-probability of who sings, the model's temperature being fitted"""
    window_f1: float
    """macro F1 over windows"""
    song_f1: float
    """macro F1 over songs, by the model's vote"""


@dataclass(frozen=True)
class Joined:
    """What became of a join; `failed` says why validation songs were left out, by track id."""

    card: ModelCard
    members: dict[str, Score]
    ensemble: Score
    failed: dict[str, str]


def join(runs: Sequence[Path], out: Path, store: FeatureStore, *, quiet: bool = False) -> Joined:
    """
    Make an ensemble of models in the run folder `out`: copies of them, their weights, vote and calibration.

    The first model decides the windows. The weights are those of `weight_grid` under which validation songs
    are most probable. Raises WhosingsError, before anything is written, where the models were not trained
    on one split or do not hear alike, or no validation song can be answered.
    """
    names = _names(runs, out)
    members, card = _members(runs)
    arguments, split = _one_split(runs)
    if not split.validation:
        raise WhosingsError(
            f"{runs[0]}: this model was refit, and its validation songs cannot choose weights; "
            "join the models as they were before, and refit the ensemble."
        )
    opened = open_collection(Path(arguments["collection"]))
    tracks = [opened.track(name) for name in split.validation]
    each = Track2LogProbabilities(members, store, best_device()).each
    with bar("Hearing validation songs", len(tracks), quiet=quiet) as progress:
        heard = on_side("validation", tracks, split, each, progress.step)
    heard.rows = rows_of_voters(heard, tracks, Track2Sung(store, card))
    true = {name: card.singers.index(opened.track(name).artist) for name in heard.rows}
    weights = choose_weights(heard.rows, true)
    card = card.model_copy(update={"members": dict(zip(names, weights, strict=True))})
    joined = _settled(card, members, tracks, heard, true)
    save_ensemble(out, joined.card, dict(zip(names, runs, strict=True)))
    split.save(out / SPLIT)
    write_json(out / RECORD, _record(arguments, joined, dict(zip(names, runs, strict=True))))
    return joined


def weight_grid(members: int) -> list[tuple[float, ...]]:
    """Give the weights that are tried: equal ones, and all quarters of sum 1, the evenest first."""
    quarters = [counts for counts in product(range(STEPS + 1), repeat=members) if sum(counts) == STEPS]
    grid = {(1 / members,) * members, *(tuple(count / STEPS for count in counts) for counts in quarters)}
    return sorted(grid, key=lambda weights: (sum(weight**2 for weight in weights), weights))


def choose_weights(rows: Mapping[str, np.ndarray], true: Mapping[str, int]) -> tuple[float, ...]:
    """
    Choose of `weight_grid` the weights under which songs are most probable, the evenest of equals.

    Args:
        rows: log-probabilities (windows, members, singers) by track id, of validation tracks only.
        true: the code of the true singer by track id.

    """
    each, codes = _windows(rows, true)
    return max(weight_grid(each.shape[1]), key=lambda weights: log_likelihood(average(each, weights), codes))


def log_likelihood(rows: np.ndarray, true: np.ndarray) -> float:
    """Give the mean log-probability of who sings (windows,), from (windows, singers), calibrated."""
    import numpy as np

    probabilities = window_probabilities(rows, fit_temperature(rows, true))
    return float(np.log(probabilities[np.arange(len(true)), true]).mean())


def _names(runs: Sequence[Path], out: Path) -> list[str]:
    """Name the members after their folders, and tell those of one name apart by a number."""
    folders = [run.resolve() for run in runs]
    if len(set(folders)) < max(len(folders), 2):
        raise WhosingsError("An ensemble is made of two models or more, each once; give other run folders.")
    if (out / RECORD).exists():
        raise WhosingsError(f"{out}: there is a run here already; choose another --out.")
    names: list[str] = []
    for folder in folders:
        number = sum(folder.name == other.name for other in folders[: len(names)]) + 1
        names.append(folder.name if number == 1 else f"{folder.name}-{number}")
    return names


def _members(runs: Sequence[Path]) -> tuple[list[Member], ModelCard]:
    """Load the models as members, and begin the card of the ensemble."""
    models = [load_model(run) for run in runs]
    first = models[0][1]
    card = first.model_copy(
        update={"system": ENSEMBLE, "options": {}, "calibration": None, "vote": "mean_log_probability"}
    )
    return [in_ensemble(*model, card, run) for model, run in zip(models, runs, strict=True)], card


def _one_split(runs: Sequence[Path]) -> tuple[dict[str, Any], Split]:
    """Give what the first run was trained on; raises WhosingsError where others were trained otherwise."""
    arguments, split = trained_on(runs[0])
    for run in runs[1:]:
        if trained_on(run)[1].sha256 != split.sha256:
            raise WhosingsError(
                f"{run}: this model was trained on another split than {runs[0]}, so that songs which one is "
                "tested on may have trained the other; join models of one split."
            )
    return arguments, split


def _settled(
    card: ModelCard,
    members: Sequence[Member],
    tracks: Sequence[Track],
    heard: TrackLogProbabilities,
    true: Mapping[str, int],
) -> Joined:
    """Settle how the ensemble answers, and score it beside its members."""
    weights = list(card.members.values())
    averaged = {name: average(rows, weights) for name, rows in heard.rows.items()}
    card, _ = settle(card, tracks, averaged)
    alone = {
        name: _score({track: rows[:, at] for track, rows in heard.rows.items()}, true, member.card.vote)
        for at, (name, member) in enumerate(zip(card.members, members, strict=True))
    }
    return Joined(card, alone, _score(averaged, true, card.vote), heard.failed)


def _score(rows: Mapping[str, np.ndarray], true: Mapping[str, int], vote: VoteName) -> Score:
    """Score log-probabilities (windows, singers) by track id."""
    from sklearn.metrics import f1_score

    windows, codes = _windows(rows, true)
    songs = [int(VOTES[vote](values).argmax()) for values in rows.values()]
    return Score(
        log_likelihood(windows, codes),
        float(f1_score(codes, windows.argmax(axis=1), average="macro", zero_division=0)),
        float(f1_score([true[name] for name in rows], songs, average="macro", zero_division=0)),
    )


def _windows(rows: Mapping[str, np.ndarray], true: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Give the windows of all tracks one after another, and who sings in each, (windows,)."""
    import numpy as np

    codes = np.repeat([true[name] for name in rows], [len(values) for values in rows.values()])
    return np.concatenate(list(rows.values())), codes


def _record(arguments: Mapping[str, Any], joined: Joined, runs: Mapping[str, Path]) -> dict[str, Any]:
    """Give the record of the ensemble: what it was made of, and what validation says of that."""
    card = joined.card
    shared = {name: arguments[name] for name in ("collection", "split_sha256", "seed")}
    members = {
        name: {
            "run": str(run.resolve()),
            "weight": card.members[name],
            "validation": asdict(joined.members[name]),
            "record": read_record(run),
        }
        for name, run in runs.items()
    }
    return {
        "arguments": {**shared, "window_seconds": card.window_seconds, "mix_db": card.mix_db},
        "complete": True,
        "machine": machine(),
        "validation": asdict(joined.ensemble),
        "failed": joined.failed,
        "members": members,
    }
