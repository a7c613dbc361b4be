"""From a file to an answer, three ways: by hand, from Python and from the command line."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

import whosings
from tests.collection.sounds import melody, write
from tests.command import whosings as command
from tests.identify.untrained import CARD, SINGERS, untrained
from tests.sung import all_is_sung
from whosings.audio import decode, logmel
from whosings.collection.features import FeatureStore
from whosings.collection.windows import Features
from whosings.errors import UnreadableSoundError, WhosingsError
from whosings.identify.ladder import (
    Identification,
    LogProbabilities2Answer,
    Track2LogProbabilities,
    Track2Windows,
    Windows,
    Windows2LogProbabilities,
    lone_track,
)
from whosings.identify.tracks import log_probabilities
from whosings.models import load_model, save_model
from whosings.models.ensemble import Member

__all__ = ["all_is_sung"]
pytestmark = pytest.mark.usefixtures("all_is_sung")

FRAME = 512 / 16_000  # seconds


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("run"), sureness=20)


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven seconds: three windows of 3 s and a fourth that overlaps."""
    return write(tmp_path_factory.mktemp("song") / "song.flac", melody(1, 11.0))


def test_the_answer_is_the_same_three_ways(run: Path, song: Path, tmp_path: Path) -> None:
    network, card = load_model(run)
    windows = Track2Windows(FeatureStore(tmp_path), CARD)(lone_track(song))
    answer = LogProbabilities2Answer(card.singers, card.vote)(Windows2LogProbabilities(network)(windows))
    start = windows.start_seconds[answer.best_window]

    python = whosings.load(run).identify(song)
    assert (python.singer, python.runner_up) == (answer.singer, answer.runner_up)
    assert python.confidence == pytest.approx(answer.confidence, abs=5e-5)
    assert python.runner_up_confidence == pytest.approx(answer.runner_up_confidence, abs=5e-5)
    assert python.listen_from == pytest.approx(start, abs=0.005)
    assert python.windows == len(windows.starts) == 4

    done = command("identify", run, song, "--json")
    assert (done.status, done.err) == (0, "")
    assert json.loads(done.out) == [python.to_dict()]


def test_the_ladder_gives_what_librosa_like_steps_give(run: Path, song: Path, tmp_path: Path) -> None:
    """Without the store: decode, log-mel, cut, classify."""
    log_mel = logmel.log_mel(decode.read(song))
    windows = Track2Windows(FeatureStore(tmp_path), CARD)(lone_track(song))
    np.testing.assert_allclose(windows.log_mel, log_mel, atol=1e-4)
    assert windows.starts.tolist() == [0, 94, 188, log_mel.shape[1] - 94]
    network, _ = load_model(run)
    pieces = torch.from_numpy(np.stack([log_mel[:, start : start + 94] for start in windows.starts]))
    with torch.inference_mode():
        expected = network(pieces).log_softmax(-1).numpy()
    np.testing.assert_allclose(Windows2LogProbabilities(network)(windows), expected, atol=1e-4)


def test_many_windows_are_classified_in_batches(run: Path) -> None:
    log_mel = np.random.default_rng(0).normal(-30, 10, (128, 94 * 70)).astype(np.float32)
    windows = Windows(Features(log_mel), np.arange(70) * 94, 94)
    network, _ = load_model(run)
    rows = Windows2LogProbabilities(network)(windows)
    assert rows.shape == (70, 4)
    np.testing.assert_allclose(np.exp(rows).sum(axis=1), 1, atol=1e-5)
    alone = Windows2LogProbabilities(network)(Windows(Features(log_mel), windows.starts[69:], 94))
    np.testing.assert_allclose(rows[69:], alone, atol=1e-4)


@pytest.mark.parametrize("seconds", [0.05, 1.0, 3.0, 3.1, 11.0])
def test_the_seconds_to_listen_to_lie_in_the_song(run: Path, tmp_path: Path, seconds: float) -> None:
    path = write(tmp_path / "song.wav", melody(2, seconds))
    answer = whosings.load(run).identify(path)
    assert 0 <= answer.listen_from < answer.listen_to <= seconds + FRAME + 0.005
    assert answer.listen_to - answer.listen_from <= 94 * FRAME + 0.01
    assert answer.windows == (1 if seconds <= 3.0 else 2 if seconds < 4 else 4)
    assert answer.singer in SINGERS
    assert answer.runner_up in SINGERS
    assert answer.singer != answer.runner_up
    assert 1 >= answer.confidence >= answer.runner_up_confidence >= 0


def test_the_name_of_the_file_says_nothing(run: Path, song: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "Bo - Greatest Hits.flac"
    renamed.write_bytes(song.read_bytes())
    one, other = (whosings.load(run).identify(path).to_dict() for path in (song, renamed))
    assert one.pop("file") == str(song)
    assert other.pop("file") == str(renamed)
    assert one == other


def test_the_vote_of_the_model_is_used(run: Path, song: Path, tmp_path: Path) -> None:
    network, card = load_model(run)
    save_model(tmp_path, network, card.model_copy(update={"vote": "majority"}))
    shares = whosings.load(tmp_path).identify(song).confidence * 4
    assert shares == pytest.approx(round(shares), abs=1e-3)


def test_the_singers_are_known(run: Path) -> None:
    assert whosings.load(str(run)).singers == SINGERS


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(WhosingsError, match="not a trained model"):
        whosings.load(tmp_path)


def test_a_wrong_file_raises_and_exits_with_2(run: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound at all")
    with pytest.raises(UnreadableSoundError, match=r"bad\.wav"):
        whosings.load(run).identify(bad)
    for path in (bad, tmp_path / "none.wav"):
        done = command("identify", run, path)
        assert done.status == 2
        assert done.out == ""
        assert done.err.startswith("whosings: ")
        assert str(path) in done.err
        assert done.err.count("\n") == 1


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_one_bad_file_of_three_does_not_stop_the_others(run: Path, tmp_path: Path, form: list[str]) -> None:
    good = [write(tmp_path / f"{name}.wav", melody(number, 2.0)) for number, name in enumerate("ab")]
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound at all")
    done = command("identify", run, good[0], bad, good[1], *form)
    assert done.status == 1
    assert "a.wav" in done.out
    assert "b.wav" in done.out
    assert "bad.wav" not in done.out
    complaints = [line for line in done.err.splitlines() if "bad.wav" in line]
    assert len(complaints) == 1
    assert complaints[0].startswith("whosings: ")
    if form == ["--json"]:
        assert [Path(answer["file"]).name for answer in json.loads(done.out)] == ["a.wav", "b.wav"]


def test_a_folder_stands_for_the_sounds_in_it(run: Path, tmp_path: Path) -> None:
    for name in ("b.wav", "sub/a.flac"):
        write(tmp_path / name, melody(3, 1.0))
    (tmp_path / "notes.txt").write_text("no sound")
    done = command("identify", run, tmp_path, "--json")
    assert done.status == 0
    assert [Path(answer["file"]).name for answer in json.loads(done.out)] == ["b.wav", "a.flac"]


def test_a_folder_without_sounds(run: Path, tmp_path: Path) -> None:
    done = command("identify", run, tmp_path)
    assert done.status == 2
    assert "no sound files" in done.err


def test_csv_has_a_line_an_answer(run: Path, song: Path) -> None:
    done = command("identify", run, song, "--csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert list(rows[0]) == [field.name for field in fields(Identification) if field.name != "segments"]
    assert rows[0]["singer"] == whosings.load(run).identify(song).singer
    assert len(rows) == 1


def test_the_table_shows_names_with_brackets_as_they_are(run: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "song [live].wav", melody(3, 1.0))
    done = command("identify", run, path)
    assert done.status == 0
    assert "song [live].wav" in done.out
    assert whosings.load(run).identify(path).singer in done.out


def test_tracks_that_cannot_be_read_are_noted(run: Path, song: Path, tmp_path: Path) -> None:
    network, _ = load_model(run)
    heard: list[str] = []
    result = log_probabilities(
        [lone_track(song), lone_track(tmp_path / "none.wav")],
        Track2LogProbabilities([Member(network, CARD)], FeatureStore(tmp_path)),
        lambda track: heard.append(track.title),
    )
    assert [rows.shape for rows in result.rows.values()] == [(4, 4)]
    assert len(result.failed) == 1
    assert "none.wav" in next(iter(result.failed.values()))
    assert heard == ["song.flac", "none.wav"]


@pytest.mark.parametrize("form", [[], ["--json"]], ids=" ".join)
def test_a_model_of_no_numbers_is_a_sentence(run: Path, song: Path, tmp_path: Path, form: list[str]) -> None:
    network, card = load_model(run)
    with torch.no_grad():
        next(network.parameters()).fill_(torch.nan)
    save_model(tmp_path, network, card)
    done = command("identify", tmp_path, song, *form)
    assert done.status == 2
    assert "its training diverged" in done.err
    assert "nan" not in done.out.lower()


def test_a_model_of_the_vocals_refuses_a_whole_song(run: Path, song: Path, tmp_path: Path) -> None:
    network, card = load_model(run)
    save_model(tmp_path, network, card.model_copy(update={"source": "vocals"}))
    with pytest.raises(WhosingsError, match=r"song\.flac: this model hears the vocals of songs with stems"):
        whosings.load(tmp_path).identify(song)
