"""Scoring a run: the figures by hand, which songs are scored, and what cannot be."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.collection.sounds import melody, write
from tests.command import whosings as command
from tests.evidence.runs import SINGERS, run_on, songs
from tests.training.songs import MIX, QUICK
from whosings.audio import decode, logmel
from whosings.collection.catalogue import open_collection
from whosings.collection.features import FeatureStore
from whosings.collection.splits import WARNINGS, Split
from whosings.errors import WhosingsError
from whosings.evidence.answers import read_answers
from whosings.evidence.evaluate import Evaluation, evaluate
from whosings.identify.calibration import fit, song_probabilities
from whosings.identify.identifier import calibrate
from whosings.identify.votes import LEAST_SUNG, VOTES
from whosings.models import load_model
from whosings.training.recipe import load_recipe
from whosings.training.record import Training

FIGURES = ("f1_macro", "f1_weighted", "accuracy")
WRITTEN = {
    "metrics.json",
    "predictions.csv",
    "windows.csv",
    "report.html",
    "confusion.png",
    "reliability.png",
}
LENGTH = 94  # frames of 3 s
SUNG_AT_FIRST = np.float32(np.arange(90) < 25) * np.float32([[0], [1], [1]])  # tenths of a second


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `songs` and a `run` trained on them."""
    home = tmp_path_factory.mktemp("home")
    run_on(songs(home / "songs"), home / "run", FeatureStore(home / "cache"))
    return home


@pytest.fixture(scope="module")
def scored(home: Path) -> Evaluation:
    return evaluate(home / "run", store=FeatureStore(home / "cache"), quiet=True)


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may spoil."""
    kept = shutil.ignore_patterns("checkpoints", "tensorboard", *WRITTEN, "on-*")
    return Path(shutil.copytree(home / "run", tmp_path / "run", ignore=kept))


@pytest.fixture(autouse=True)
def _cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOSINGS_CACHE", str(home / "cache"))


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def by_hand(run: Path, song: Path) -> np.ndarray:
    """Probabilities (windows, singers) from file to softmax, without the ladder."""
    network, _ = load_model(run)
    log_mel = logmel.log_mel(decode.read(song))
    last = log_mel.shape[1] - LENGTH
    starts = sorted({*range(0, last + 1, LENGTH), last})
    pieces = np.stack([log_mel[:, start : start + LENGTH] for start in starts])
    with torch.inference_mode():
        logits = network(torch.from_numpy(pieces)).double().numpy()
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: np.ndarray = odds / odds.sum(axis=1, keepdims=True)
    return result


def figures_by_hand(true: list[str], answers: list[str]) -> dict[str, float]:
    pairs = list(zip(true, answers, strict=True))
    f1 = {
        singer: 2 * pairs.count((singer, singer)) / (true.count(singer) + answers.count(singer))
        for singer in set(true)
    }
    return {
        "f1_macro": sum(f1.values()) / len(f1),
        "f1_weighted": sum(f1[singer] for singer in true) / len(true),
        "accuracy": sum(singer == answer for singer, answer in pairs) / len(true),
    }


def test_metrics_keep_the_contract(home: Path, scored: Evaluation) -> None:
    metrics = json.loads((home / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics == scored.metrics
    assert {"window", "song", "split_sha256", "seed", "vote", "failed"} <= set(metrics)
    for level in ("window", "song"):
        block = metrics[level]
        assert {*FIGURES, "n", "interval"} <= set(block)
        assert set(block["interval"]) == set(FIGURES)
        for figure in FIGURES:
            low, high = block["interval"][figure]
            assert 0 <= low <= high <= 1
    assert metrics["split_sha256"] == Split.load(home / "run" / "split.json").sha256
    assert metrics["seed"] == 0
    assert metrics["vote"] == load_model(home / "run")[1].vote
    assert metrics["failed"] == {}
    assert (metrics["collection"], metrics["protocol"], metrics["warning"]) == ("songs", "kuo", "")


def test_songs_that_were_trained_on_are_scored_with_a_warning(home: Path, tmp_path: Path) -> None:
    done = command("evaluate", home / "run", "--collection", home / "songs", "--out", tmp_path / "all")
    assert done.status == 0
    assert "what it remembers" in " ".join(done.out.split())
    metrics = json.loads((tmp_path / "all" / "metrics.json").read_text())
    assert metrics["song"]["n"] == len(open_collection(home / "songs").tracks)
    assert "what it remembers" in (tmp_path / "all" / "report.html").read_text()


def test_the_figures_are_those_worked_out_by_hand(home: Path, scored: Evaluation) -> None:
    _, card = load_model(home / "run")
    test = Split.load(home / "run" / "split.json").test
    singers, answers = {"window": [], "song": []}, {"window": [], "song": []}  # type: ignore[var-annotated]
    for name in test:
        rows = by_hand(home / "run", home / "songs" / f"{name}.wav")
        singer = name.split("/")[0]
        singers["window"] += [singer] * len(rows)
        answers["window"] += [card.singers[code] for code in rows.argmax(axis=1)]
        singers["song"].append(singer)
        answers["song"].append(card.singers[int(VOTES[card.vote](np.log(rows)).argmax())])
    assert len(set(answers["window"])) > 1, "the model has no opinions: this test says nothing"
    for level in ("window", "song"):
        expected = figures_by_hand(singers[level], answers[level])
        assert {figure: scored.metrics[level][figure] for figure in FIGURES} == pytest.approx(expected)
        assert scored.metrics[level]["n"] == len(singers[level])
    assert {song.track: song.answer for song in scored.answers.songs} == dict(
        zip(test, answers["song"], strict=True)
    )


def test_sung_windows_vote_and_all_are_scored(
    home: Path, scored: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tests in one: the songs of `scored`, of tones that nobody sings, had the vote of all windows."""
    assert {row.sung for row in scored.answers.windows} == {0.0}
    monkeypatch.setattr(FeatureStore, "activity", lambda *_: SUNG_AT_FIRST)
    partly = evaluate(home / "run", out=tmp_path, store=FeatureStore(home / "cache"), quiet=True)
    assert partly.metrics["voters"] == "sung windows"
    assert partly.metrics["window"] == scored.metrics["window"]
    _, card = load_model(home / "run")
    assert card.calibration is not None
    for song in partly.answers.songs:
        windows = [row for row in partly.answers.windows if row.track == song.track]
        voting = [row.sung >= LEAST_SUNG for row in windows]
        assert 0 < sum(voting) < len(voting)
        rows = np.log(by_hand(home / "run", home / "songs" / f"{song.track}.wav"))[voting]
        scores = song_probabilities(VOTES[card.vote](rows), card.calibration.song_temperature)
        assert song.answer == card.singers[int(scores.argmax())]
        assert song.confidence == pytest.approx(scores.max(), abs=1e-3)
    assert [song.confidence for song in partly.answers.songs] != [
        song.confidence for song in scored.answers.songs
    ]
    assert read_answers(tmp_path).windows[0].sung == pytest.approx(2.5 / 3, abs=1e-4)
    every = evaluate(home / "run", out=tmp_path, store=FeatureStore(home / "cache"), voters="all", quiet=True)
    assert every.metrics["voters"] == "all windows"
    assert every.answers.songs == scored.answers.songs


def test_calibration_is_fitted_on_the_windows_that_vote(
    home: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = Split.load(run / "split.json")
    collection, store = open_collection(home / "songs"), FeatureStore(home / "cache")
    recipe = load_recipe("crnn", [*QUICK, "epochs=1", "batch_size=6"])
    training = Training(collection, split, recipe, 3, MIX, seed=0)
    calibrate(run, training, store)
    of_all = load_model(run)[1].calibration
    monkeypatch.setattr(FeatureStore, "activity", lambda *_: SUNG_AT_FIRST)
    calibrate(run, training, store)
    card = load_model(run)[1]
    rows = {name: np.log(by_hand(run, home / "songs" / f"{name}.wav"))[:1] for name in split.validation}
    codes = {name: card.singers.index(name.split("/")[0]) for name in rows}
    by_first = fit(rows, codes, card.vote)
    assert card.calibration is not None
    assert card.calibration.window_temperature == pytest.approx(by_first.window_temperature, rel=1e-3)
    assert card.calibration.song_temperature == pytest.approx(by_first.song_temperature, rel=1e-3)
    assert card.calibration != of_all


def test_only_test_songs_are_scored_and_listed_by_doubt(home: Path, scored: Evaluation) -> None:
    split = Split.load(home / "run" / "split.json")
    assert sorted(song.track for song in scored.answers.songs) == sorted(split.test)
    confidence = [song.confidence for song in scored.answers.songs]
    assert confidence == sorted(confidence)
    with (home / "run" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["track"] for row in rows] == [song.track for song in scored.answers.songs]
    for row, song in zip(rows, scored.answers.songs, strict=True):
        assert (row["singer"], row["answer"]) == (song.track.split("/")[0], song.answer)
        assert float(row["confidence"]) == pytest.approx(song.confidence, abs=5e-5)
        assert row["runner_up"] == song.runner_up != song.answer
    right = sum(row["singer"] == row["answer"] for row in rows) / len(rows)
    assert right == pytest.approx(scored.metrics["song"]["accuracy"])


def test_pictures_and_report_lie_beside_the_metrics(home: Path, scored: Evaluation) -> None:
    assert scored.report == home / "run" / "report.html"
    assert files(home / "run") >= WRITTEN
    for name in ("confusion.png", "reliability.png"):
        assert (home / "run" / name).read_bytes().startswith(b"\x89PNG")
    page = scored.report.read_text(encoding="utf-8")
    assert "scored on songs that training never saw" in page
    assert all(song.track in page for song in scored.answers.songs)
    assert page.count("data:image/png;base64,") == 3


def test_scoring_is_repeatable(home: Path, scored: Evaluation, tmp_path: Path) -> None:
    again = evaluate(home / "run", out=tmp_path / "out", store=FeatureStore(tmp_path / "cache"), quiet=True)
    assert again.metrics == scored.metrics
    assert files(tmp_path / "out") == WRITTEN
    for name in ("metrics.json", "predictions.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (home / "run" / name).read_bytes()


def test_another_collection_is_scored_where_the_singer_is_known(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    good = [
        write(other / f"{singer}/live/song.wav", melody(at, 4.0)) for at, singer in enumerate(SINGERS[:2])
    ]
    write(other / "Zed/live/song.wav", melody(7, 4.0))
    (other / "Ada/live/bad.wav").write_text("no sound")
    (run / "metrics.json").write_text("the run's own")
    done = command("evaluate", run, "--collection", other)
    assert done.status == 1
    (complaint,) = [line for line in done.err.splitlines() if line]
    assert complaint.startswith("whosings: ")
    assert "bad.wav" in complaint
    assert (run / "metrics.json").read_text() == "the run's own"
    assert files(run / "on-other") == WRITTEN
    metrics = json.loads((run / "on-other" / "metrics.json").read_text())
    assert metrics["song"]["n"] == len(good)
    assert metrics["window"]["n"] == 4
    assert list(metrics["failed"]) == ["Ada/live/bad"]
    assert (metrics["collection"], metrics["protocol"]) == ("other", None)
    page = (run / "on-other" / "report.html").read_text(encoding="utf-8")
    assert "training never saw" not in page
    assert "bad.wav" in page


def test_the_current_folder_is_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "here/Ada/live/song.wav", melody(3, 4.0))
    monkeypatch.chdir(tmp_path / "here")
    assert evaluate(run, collection=Path("."), quiet=True).report.parent.name == "on-here"


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def strangers(home: Path, run: Path, tmp_path: Path) -> list[object]:
    write(tmp_path / "strangers/Zed/live/song.wav", melody(7, 4.0))
    return [run, "--collection", tmp_path / "strangers"]


def nothing_readable(home: Path, run: Path, tmp_path: Path) -> list[object]:
    bad = tmp_path / "dull/Ada/live/song.wav"
    bad.parent.mkdir(parents=True)
    bad.write_text("no sound")
    return [run, "--collection", tmp_path / "dull"]


def empty(home: Path, run: Path, tmp_path: Path) -> list[object]:
    (tmp_path / "empty").mkdir()
    return [run, "--collection", tmp_path / "empty"]


def lost(home: Path, run: Path, tmp_path: Path) -> list[object]:
    arguments = json.loads((run / "run.json").read_text())["arguments"]
    change(run / "run.json", arguments={**arguments, "collection": str(tmp_path / "gone")})
    return [run]


def no_run(home: Path, run: Path, tmp_path: Path) -> list[object]:
    return [home / "songs"]


def no_record(home: Path, run: Path, tmp_path: Path) -> list[object]:
    (run / "run.json").unlink()
    return [run]


def spoilt_record(home: Path, run: Path, tmp_path: Path) -> list[object]:
    (run / "run.json").write_text("[]")
    return [run]


def other_split(home: Path, run: Path, tmp_path: Path) -> list[object]:
    assert command("data", "split", home / "songs", "--out", run / "split.json", "--seed", 5).status == 0
    return [run]


def out_is_a_file(home: Path, run: Path, tmp_path: Path) -> list[object]:
    (tmp_path / "file").write_text("")
    return [run, "--out", tmp_path / "file"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (strangers, "no artist here"),
        (nothing_readable, "no song could be scored"),
        (empty, "no usable songs"),
        (lost, "no longer there"),
        (no_run, "not a trained model"),
        (no_record, "not a run folder"),
        (spoilt_record, "no run record"),
        (other_split, "not the split"),
        (out_is_a_file, "cannot be written"),
    ],
)
def test_what_cannot_be_scored_is_one_sentence(
    spoil: Any, words: str, home: Path, run: Path, tmp_path: Path
) -> None:
    arguments = spoil(home, run, tmp_path)
    before = files(tmp_path)
    done = command("evaluate", *arguments)
    assert done.status == 2
    assert done.out == ""
    lines = [line for line in done.err.splitlines() if line]  # a progress bar may leave an empty one
    assert len(lines) == 1
    assert lines[0].startswith("whosings: ")
    assert words in lines[0]
    assert files(tmp_path) == before


def test_metrics_come_last(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grid takes a run with metrics for scored; so one that was killed while it was scored has none."""

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("whosings.evidence.evaluate.write_report", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluate(run, quiet=True)
    assert not (run / "metrics.json").exists()
    assert (run / "windows.csv").exists()


def test_a_split_without_test_songs(tmp_path: Path) -> None:
    collection = songs(tmp_path / "songs", albums=2, per_album=1)
    run = run_on(collection, tmp_path / "run", FeatureStore(tmp_path / "cache"), "none")
    with pytest.raises(WhosingsError, match="has no test songs"):
        evaluate(run, quiet=True)
    assert not files(run) & WRITTEN


def test_a_snippet_split_scores_its_test_windows_alone(tmp_path: Path) -> None:
    """Songs of 10 windows have one to test, a song of two windows has none."""
    write(tmp_path / "songs/Ada/album 0/short.wav", melody(55, 5.0))
    collection = songs(tmp_path / "songs", albums=1, per_album=2, seconds=28.0)
    store = FeatureStore(tmp_path / "cache")
    run = run_on(collection, tmp_path / "run", store, "snippet")
    result = evaluate(run, store=store, quiet=True)
    split, (_, card) = Split.load(run / "split.json"), load_model(run)
    expected = []
    for name in split.test:
        rows = by_hand(run, tmp_path / "songs" / f"{name}.wav")
        kept = rows[split.window_indices("test", name, len(rows))]
        expected += [card.singers[code] == name.split("/")[0] for code in kept.argmax(axis=1)]
    assert result.metrics["window"]["n"] == len(expected) == 6
    assert result.metrics["window"]["accuracy"] == pytest.approx(np.mean(expected))
    assert "Ada/album 0/short" not in {song.track for song in result.answers.songs}
    page = result.report.read_text(encoding="utf-8")
    assert WARNINGS["snippet"] in page
    assert "training never saw" not in page
