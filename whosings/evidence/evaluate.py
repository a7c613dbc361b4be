"""Scoring a run: songs in; metrics.json, the answers as CSV, pictures and a report out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from whosings.collection.catalogue import Collection, open_collection
from whosings.collection.features import FeatureStore, default_cache
from whosings.collection.splits import WARNINGS, Split
from whosings.collection.track import Track
from whosings.errors import WhosingsError
from whosings.evidence import metrics as measure
from whosings.evidence import pictures
from whosings.evidence.answers import Answers, SongRow, WindowRow, write_answers
from whosings.evidence.branch import CounterfactualNetwork
from whosings.evidence.report import write_report
from whosings.files import write_json
from whosings.identify.calibration import window_probabilities
from whosings.identify.identifier import best_device
from whosings.identify.ladder import (
    LEAST_KNOWN,
    LogProbabilities2Answer,
    Track2LogProbabilities,
    Track2Sung,
)
from whosings.identify.tracks import TrackLogProbabilities, log_probabilities, of_side, trained_on
from whosings.identify.votes import Voters, of_voters
from whosings.lca import AttentionNetwork
from whosings.models import ModelCard, load_model
from whosings.models.ensemble import Member, load_members
from whosings.progress import Bar, bar
from whosings.training.record import CURVES

BranchName = Literal["main", "counterfactual"]

METRICS = "metrics.json"
REPORT = "report.html"
CONFUSION = "confusion.png"
RELIABILITY = "reliability.png"


@dataclass(frozen=True)
class Evaluation:
    """The content of metrics.json, the answers (songs by confidence, ascending), and the report's place."""

    metrics: dict[str, Any]
    answers: Answers
    report: Path


def evaluate(
    run: Path,
    *,
    collection: Path | None = None,
    branch: BranchName = "main",
    out: Path | None = None,
    store: FeatureStore | None = None,
    voters: Voters = "sung",
    quiet: bool = False,
) -> Evaluation:
    """
    Score the test songs of a run's split, or every track of `collection` whose singer the model knows.

    All windows are scored; on a song its sung windows vote, as where a file is identified, or `all`, as in
    the papers. A song without a sung window is not passed over, since someone sings it: there all vote.

    `branch` may ask for the counterfactual branch in place of the model (table 4). Writes into `out`, by
    default `scores_folder`. Songs that cannot be read are named in `metrics["failed"]` and left out of the
    figures. Raises WhosingsError where there is nothing to score, or the run has no such branch.
    """
    members, card = _asked(run, branch)
    arguments, split = trained_on(run)
    opened, tracks = _tracks_to_score(Path(arguments["collection"]), split, card, collection)
    strangers = [track for track in opened.tracks if track.artist not in card.singers]
    store = store or FeatureStore(default_cache())
    to_log_probabilities = Track2LogProbabilities(members, store, best_device())
    with bar("Scoring songs", len(tracks) + len(strangers), quiet=quiet) as progress:
        scored, strange = (
            log_probabilities(some, to_log_probabilities, progress.step) for some in (tracks, strangers)
        )
    if collection is None:
        scored.rows = of_side(scored.rows, split, "test")
        scored.starts = of_side(scored.starts, split, "test")
    if not scored.rows:
        reason = next(iter(scored.failed.values()), "its songs are too short for windows to test")
        raise WhosingsError(f"{opened.root}: no song could be scored ({reason.rstrip('.')}); give others.")
    folder = out or scores_folder(run, branch=branch, collection=collection)
    about = {
        "system": card.system,
        "branch": branch,
        "collection": opened.root.resolve().name,
        "protocol": split.protocol if collection is None else None,
        "warning": _warning(Path(arguments["collection"]), split, collection),
        "window_seconds": card.window_seconds,
        "members": card.members,
        "source": " and ".join(dict.fromkeys(member.card.source for member in members)),
        "mix_db": card.mix_db,
        "vote": card.vote,
        "voters": f"{voters} windows",
        "split_sha256": split.sha256,
        "seed": arguments["seed"],
    }
    singer_of = {track.id: track.artist for track in (*tracks, *strangers)}
    starts = scored.starts | strange.starts
    with bar("Listening for singing", len(starts), quiet=quiet) as progress:
        sung = _sung((*tracks, *strangers), starts, Track2Sung(store, card, voters), progress)
    answers = Answers(_windows(singer_of, scored, sung, card), _songs(singer_of, scored, sung, card))
    about["unknown"] = _unknown(answers.songs, _songs(singer_of, strange, sung, card), card)
    return _write(folder, run, about, card, answers, scored.failed)


def scores_folder(run: Path, *, branch: BranchName = "main", collection: Path | None = None) -> Path:
    """Give the folder of scores: the run's own for its test songs, else one in it."""
    folder = run if branch == "main" else run / branch
    return folder if collection is None else folder / f"on-{collection.resolve().name}"


def _asked(run: Path, branch: BranchName) -> tuple[list[Member], ModelCard]:
    """Load what is scored: the model of a run, or its counterfactual branch."""
    if branch == "main":
        return load_members(run)
    network, card = load_model(run)
    card = card.model_copy(update={"calibration": None})  # fitted on the model itself
    return [Member(CounterfactualNetwork(cast(AttentionNetwork, network), run), card)], card


def _tracks_to_score(
    trained_on: Path, split: Split, card: ModelCard, collection: Path | None
) -> tuple[Collection, list[Track]]:
    if collection is not None:
        return _known_tracks(card, collection)
    if not split.test:
        raise WhosingsError(
            f"This run's split ({split.protocol}) has no test songs; give other songs with --collection."
        )
    if not trained_on.exists():
        raise WhosingsError(
            f"{trained_on}: the songs of this run are no longer there; put them back, or give other songs "
            "with --collection."
        )
    opened = open_collection(trained_on)
    return opened, [opened.track(name) for name in split.test]


def _known_tracks(card: ModelCard, collection: Path) -> tuple[Collection, list[Track]]:
    """Give the tracks of a collection whose singers the model knows."""
    opened = open_collection(collection)
    known = [track for track in opened.tracks if track.artist in card.singers]
    if not known:
        raise WhosingsError(
            f"{collection}: no artist here ({_some(opened.artists)}) is a singer of this model "
            f"({_some(card.singers)}); give a collection of the same names."
        )
    return opened, known


def _warning(trained_on: Path, split: Split, collection: Path | None) -> str:
    """Say what is wrong with the figures; empty where nothing is known to be."""
    if collection is None:
        return WARNINGS.get(split.protocol, "")
    if collection.resolve() == trained_on:
        return (
            "The model was trained on songs of this collection: such figures say what it remembers, not whom "
            "it recognises."
        )
    return ""


def _some(names: Sequence[str]) -> str:
    """Name the first three."""
    return ", ".join([*names[:3], "..."] if len(names) > 3 else names)


def _write(
    folder: Path, run: Path, about: dict[str, Any], card: ModelCard, answers: Answers, failed: dict[str, str]
) -> Evaluation:
    figures = {
        **about,
        "window": _figures(answers.windows, card.singers),
        "song": _figures(answers.songs, card.singers),
        "failed": failed,
    }
    write_answers(folder, answers)
    images = _pictures(folder, run, answers.songs, card)
    report = folder / REPORT
    intro = "" if about["protocol"] else "Every song of this collection by a singer that the model knows."
    write_report(
        report, metrics=figures, songs=answers.songs, images=images, intro=intro, warning=about["warning"]
    )
    write_json(folder / METRICS, figures)  # last, since a run that has it counts as scored
    return Evaluation(figures, answers, report)


def _sung(
    tracks: Sequence[Track], starts: Mapping[str, np.ndarray], to_sung: Track2Sung, progress: Bar
) -> dict[str, np.ndarray]:
    """Give how much of each window is sung, (windows,) by track id, where `starts` has the track."""
    sung = {}
    for track in tracks:
        if track.id in starts:
            sung[track.id] = to_sung(track, starts[track.id])
            progress.step()
    return sung


def _windows(
    singer_of: Mapping[str, str],
    scored: TrackLogProbabilities,
    sung: Mapping[str, np.ndarray],
    card: ModelCard,
) -> list[WindowRow]:
    """Answer every window."""
    rows = []
    for name, values in scored.rows.items():
        probabilities = np.exp(values)
        if card.calibration is not None:
            probabilities = window_probabilities(values, card.calibration.window_temperature)
        columns = (scored.starts[name], values.argmax(axis=1), probabilities.max(axis=1), sung[name])
        for start, code, sure, share in zip(*columns, strict=True):
            answer = (card.singers[code], float(sure), float(share))
            rows.append(WindowRow(name, float(start), singer_of[name], *answer))
    return rows


def _songs(
    singer_of: Mapping[str, str],
    scored: TrackLogProbabilities,
    sung: Mapping[str, np.ndarray],
    card: ModelCard,
) -> list[SongRow]:
    """Answer every song, the least sure first."""
    to_answer = LogProbabilities2Answer(card.singers, card.vote, card.calibration)
    songs = []
    for name, rows in scored.rows.items():
        answer = to_answer(of_voters(rows, sung[name]))
        row = (answer.singer, answer.confidence, answer.runner_up, answer.known)
        songs.append(SongRow(name, singer_of[name], *row))
    return sorted(songs, key=lambda song: song.confidence)


def _unknown(
    known: Sequence[SongRow], strangers: Sequence[SongRow], card: ModelCard
) -> dict[str, Any] | None:
    """
    Score the answer "unknown" on the songs of artists that the model was never given.

    None where the collection has no such artist, or nothing was fitted that could tell.
    """
    from sklearn.metrics import roc_auc_score

    if not strangers or card.calibration is None or card.calibration.unknown is None:
        return None
    songs = [*known, *strangers]
    truth = np.arange(len(songs)) < len(known)
    refused = np.array([song.known < LEAST_KNOWN for song in songs])
    return {
        "songs": len(strangers),
        "singers": len({song.singer for song in strangers}),
        "answered_unknown": float(refused[~truth].mean()),
        "known_answered_unknown": float(refused[truth].mean()),
        "auroc": float(roc_auc_score(truth, [song.known for song in songs])),
    }


def _figures(rows: Sequence[WindowRow] | Sequence[SongRow], singers: list[str]) -> dict[str, Any]:
    """Score windows or songs."""
    true, answers = [row.singer for row in rows], [row.answer for row in rows]
    figures: dict[str, Any] = measure.evaluate(true, answers, singers, [row.track for row in rows])
    confidence = np.array([row.confidence for row in rows])
    right = np.array(true) == np.array(answers)
    figures["calibration_error"] = measure.expected_calibration_error(confidence, right)
    return figures


def _pictures(folder: Path, run: Path, songs: list[SongRow], card: ModelCard) -> dict[str, Path]:
    """Draw what the report shows; give the pictures by their captions."""
    true, answers = [song.singer for song in songs], [song.answer for song in songs]
    matrix = measure.confusion(true, answers, card.singers)
    pictures.confusion_matrix(folder / CONFUSION, matrix, card.singers, f"{len(songs)} songs")
    right = np.array([song.right for song in songs])
    table = measure.reliability(np.array([song.confidence for song in songs]), right)
    pictures.reliability_diagram(folder / RELIABILITY, table, "songs")
    images = {"Who is taken for whom": folder / CONFUSION, "Is the confidence honest?": folder / RELIABILITY}
    if (run / CURVES).is_file():
        images["Learning"] = run / CURVES
    return images
