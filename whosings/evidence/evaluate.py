"""Scoring a run: songs in; metrics.json, predictions.csv, pictures and a report out."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from whosings.collection.catalogue import Collection, open_collection
from whosings.collection.features import FeatureStore, default_cache
from whosings.collection.splits import Split
from whosings.collection.track import Track
from whosings.errors import WhosingsError
from whosings.evidence import metrics as measure
from whosings.evidence import pictures
from whosings.evidence.report import SongRow, write_report
from whosings.files import write_json, write_text
from whosings.identify.identifier import best_device
from whosings.identify.ladder import LogProbabilities2Answer, Track2Windows, Windows2LogProbabilities
from whosings.identify.tracks import TrackLogProbabilities, log_probabilities
from whosings.models import ModelCard, load_model
from whosings.progress import bar
from whosings.training.record import CURVES, SPLIT, read_record

METRICS = "metrics.json"
PREDICTIONS = "predictions.csv"
REPORT = "report.html"
CONFUSION = "confusion.png"
RELIABILITY = "reliability.png"


@dataclass(frozen=True)
class Evaluation:
    """The content of metrics.json, the songs, the one most typical of them, and where the report lies."""

    metrics: dict[str, Any]
    songs: list[SongRow]
    report: Path


def evaluate(
    run: Path,
    *,
    collection: Path | None = None,
    out: Path | None = None,
    store: FeatureStore | None = None,
    quiet: bool = False,
) -> Evaluation:
    """
    Score the test songs of a run's split, or every track of `collection` whose singer the model knows.

    Writes into `out`: the run folder for its test songs, a folder in it named after another collection. Songs
    that cannot be read are named in `metrics["failed"]` and left out of the figures. Raises WhosingsError
    where there is nothing to score.
    """
    network, card = load_model(run)
    record, split = read_record(run), Split.load(run / SPLIT)
    opened, tracks = _tracks_to_score(record, split, card, collection)
    to_windows = Track2Windows(store or FeatureStore(default_cache()), card.sound, card.window_seconds)
    to_log_probabilities = Windows2LogProbabilities(network, best_device())
    with bar("Scoring songs", len(tracks), quiet=quiet) as progress:
        scored = log_probabilities(tracks, to_windows, to_log_probabilities, progress.step)
    if collection is None:
        scored.rows = {
            name: rows[split.window_indices("test", name, len(rows))] for name, rows in scored.rows.items()
        }
    if not scored.rows:
        raise WhosingsError(f"{opened.root}: no song could be scored ({next(iter(scored.failed.values()))})")
    folder = out or (run if collection is None else run / f"on-{opened.root.name}")
    return _write(folder, run, record, card, opened, {t.id: t.artist for t in tracks}, scored)


def _tracks_to_score(
    record: dict[str, Any], split: Split, card: ModelCard, collection: Path | None
) -> tuple[Collection, list[Track]]:
    opened = open_collection(collection or Path(record["arguments"]["collection"]))
    if collection is not None:
        known = [track for track in opened.tracks if track.artist in card.singers]
        if not known:
            raise WhosingsError(
                f"{collection}: none of its {len(opened.artists)} artists is a singer of this model "
                f"({', '.join(card.singers[:3])}, ...); give a collection of the same names."
            )
        return opened, known
    if not split.test:
        raise WhosingsError(
            f"This run's split ({split.protocol}) has no test songs; give songs to score with --collection."
        )
    return opened, [opened.track(name) for name in split.test]


def _write(
    folder: Path,
    run: Path,
    record: dict[str, Any],
    card: ModelCard,
    collection: Collection,
    singer_of: dict[str, str],
    scored: TrackLogProbabilities,
) -> Evaluation:
    windows = _window_table(singer_of, scored, card)
    songs = _songs(singer_of, scored, card)
    figures = {
        "system": card.system,
        "collection": collection.root.name,
        "window_seconds": card.window_seconds,
        "source": card.source,
        "mix_db": card.mix_db,
        "window": _figures(*windows, card.singers),
        "song": _song_figures(songs, card.singers),
        "vote": card.vote,
        "split_sha256": record["arguments"]["split_sha256"],
        "seed": record["arguments"]["seed"],
        "failed": scored.failed,
    }
    write_json(folder / METRICS, figures)
    write_text(folder / PREDICTIONS, _predictions(songs))
    images = _pictures(folder, run, songs, card)
    report = folder / REPORT
    write_report(report, metrics=figures, songs=songs, images=images)
    return Evaluation(figures, songs, report)


def _window_table(
    singer_of: dict[str, str], scored: TrackLogProbabilities, card: ModelCard
) -> tuple[list[str], list[str], list[str], np.ndarray]:
    """True singer, answer, song and confidence of every window."""
    true, answers, groups = [], [], []
    for name, rows in scored.rows.items():
        true += [singer_of[name]] * len(rows)
        groups += [name] * len(rows)
        answers += [card.singers[code] for code in rows.argmax(axis=1)]
    confidence = np.exp(np.concatenate([rows.max(axis=1) for rows in scored.rows.values()]))
    return true, answers, groups, confidence


def _figures(
    true: list[str], answers: list[str], groups: list[str], confidence: np.ndarray, singers: list[str]
) -> dict[str, Any]:
    figures: dict[str, Any] = measure.evaluate(true, answers, singers, groups)
    right = np.array(true) == np.array(answers)
    figures["calibration_error"] = measure.expected_calibration_error(confidence, right)
    return figures


def _song_figures(songs: list[SongRow], singers: list[str]) -> dict[str, Any]:
    true, answers = [song.singer for song in songs], [song.answer for song in songs]
    confidence = np.array([song.confidence for song in songs])
    return _figures(true, answers, [song.track for song in songs], confidence, singers)


def _songs(singer_of: dict[str, str], scored: TrackLogProbabilities, card: ModelCard) -> list[SongRow]:
    """Answer every song, the least sure first."""
    to_answer = LogProbabilities2Answer(card.singers, card.vote)
    songs = []
    for name, rows in scored.rows.items():
        answer = to_answer(rows)
        songs.append(SongRow(name, singer_of[name], answer.singer, answer.confidence, answer.runner_up))
    return sorted(songs, key=lambda song: song.confidence)


def _predictions(songs: list[SongRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["track", "singer", "answer", "confidence", "runner_up"])
    for song in songs:
        writer.writerow([song.track, song.singer, song.answer, f"{song.confidence:.4f}", song.runner_up])
    return text.getvalue()


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
