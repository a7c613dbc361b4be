"""Only sung windows vote: on a file, in scoring and in what is fitted on validation songs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

import whosings
from tests.collection.sounds import melody, track_of, write
from tests.command import whosings as command
from tests.identify.untrained import CARD, SINGERS, untrained
from whosings.audio.activity import SINGING
from whosings.collection.features import FeatureStore
from whosings.collection.track import Part, SoundFile, Source, Track
from whosings.evidence.explain import explain_file
from whosings.identify.identifier import rows_of_voters
from whosings.identify.ladder import (
    LogProbabilities2Answer,
    Track2LogProbabilities,
    Track2Sung,
    lone_track,
)
from whosings.identify.tracks import log_probabilities
from whosings.identify.votes import LEAST_SUNG, of_voters, voters
from whosings.models import load_model
from whosings.models.ensemble import Member


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("run"), sureness=4)


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four seconds: eight windows of 3 s, the last of which overlaps the one before by a little."""
    return write(tmp_path_factory.mktemp("song") / "song.flac", melody(5, 24.0))


@pytest.fixture
def sung(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Let singing be where a test says, in tenths of a second of 24 s, over music from end to end."""
    probabilities = np.zeros((3, 240), np.float32)
    probabilities[2] = 1
    monkeypatch.setattr(FeatureStore, "activity", lambda *_: probabilities)
    return probabilities[SINGING]


def test_windows_with_enough_singing_vote() -> None:
    sung = np.array([0.0, LEAST_SUNG - 0.01, LEAST_SUNG, 1.0])
    assert voters(sung).tolist() == [False, False, True, True]
    rows = np.arange(24).reshape(4, 2, 3)
    np.testing.assert_array_equal(of_voters(rows, sung), rows[2:])
    np.testing.assert_array_equal(of_voters(rows, sung[:2].repeat(2)), rows)


def test_the_sung_windows_alone_decide(run: Path, song: Path, sung: np.ndarray, tmp_path: Path) -> None:
    """An intro of 7 s and a solo from 12 to 15 s do not count, on any way to the answer."""
    sung[70:120] = sung[150:180] = 1
    network, _ = load_model(run)
    windows, rows = Track2LogProbabilities([Member(network, CARD)], FeatureStore(tmp_path))(lone_track(song))
    assert np.round(windows.start_seconds).tolist() == [0, 3, 6, 9, 12, 15, 18, 21]
    voting = [2, 3, 5]
    to_answer = LogProbabilities2Answer(SINGERS, CARD.vote)
    expected = to_answer(rows[voting])
    explained = explain_file(run, song, tmp_path / "explained").answer
    assert (explained.singer, explained.best_window) == (expected.singer, voting[expected.best_window])
    assert explained.confidence == pytest.approx(expected.confidence, abs=1e-5)
    assert expected.confidence != pytest.approx(to_answer(rows).confidence, abs=1e-3)

    python = whosings.load(run).identify(song)
    assert (python.singer, python.runner_up) == (expected.singer, expected.runner_up)
    assert python.confidence == pytest.approx(expected.confidence, abs=5e-5)
    assert python.windows == 3
    assert python.listen_from == pytest.approx(windows.start_seconds[voting[expected.best_window]], abs=0.005)
    assert json.loads(command("identify", run, song, "--json").out) == [python.to_dict()]
    (line,) = csv.DictReader(io.StringIO(command("identify", run, song, "--csv").out))
    assert (line["singer"], line["windows"]) == (python.singer, "3")
    assert float(line["confidence"]) == python.confidence


def test_singing_too_thin_for_any_window_is_no_singing(run: Path, song: Path, sung: np.ndarray) -> None:
    """Bursts of 0.8 s are 6.4 s in all, enough for a file to count as sung, but no window holds enough."""
    sung[np.arange(240) % 30 < 8] = 1
    answer = whosings.load(run).identify(song)
    assert (answer.kind, answer.singer, answer.windows) == ("no singing", None, 0)
    assert [segment.kind for segment in answer.segments] == ["no singing"]
    sung[np.arange(240) % 30 < 10] = 1
    assert whosings.load(run).identify(song).windows == 8


def test_only_the_part_of_a_window_that_the_track_fills_counts(sung: np.ndarray, tmp_path: Path) -> None:
    sung[225:] = 1
    to_sung = Track2Sung(FeatureStore(tmp_path), CARD)
    starts = np.array([0.0, 20.0, 21.0, 22.5, 23.5])
    track = lone_track(tmp_path / "song.flac")
    np.testing.assert_allclose(to_sung(track, starts), [0, 0.5 / 3, 0.5, 1, 1], atol=1e-6)


def test_what_is_fitted_on_validation_songs_is_of_voters(
    run: Path, song: Path, sung: np.ndarray, tmp_path: Path
) -> None:
    sung[90:] = 1
    network, _ = load_model(run)
    store = FeatureStore(tmp_path)
    tracks = [track_of(song), lone_track(tmp_path / "missing.wav")]
    heard = log_probabilities(tracks, Track2LogProbabilities([Member(network, CARD)], store))
    kept = rows_of_voters(heard, tracks, Track2Sung(store, CARD))
    assert list(kept) == [tracks[0].id] and list(heard.failed) == [tracks[1].id]
    np.testing.assert_array_equal(kept[tracks[0].id], heard.rows[tracks[0].id][3:])


@pytest.mark.parametrize(
    ("parts", "card", "expected"),
    [
        (("mix",), {}, Source()),
        (("mix",), {"source": "vocals", "separator": "spleeter", "mix_db": 0.0}, Source()),
        (("mix", "vocals", "accompaniment"), {"mix_db": 3.0}, Source("mix", 3.0)),
        (("vocals", "accompaniment"), {"source": "vocals", "mix_db": 3.0}, Source("mix", 3.0)),
        (("vocals",), {"source": "vocals", "mix_db": 3.0}, Source("vocals")),
    ],
)
def test_singing_is_heard_in_the_mix_where_there_is_one(
    parts: tuple[str, ...], card: dict[str, object], expected: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Source] = []

    def activity(store: FeatureStore, track: Track, source: Source) -> np.ndarray:
        asked.append(source)
        return np.ones((3, 30), np.float32)

    monkeypatch.setattr(FeatureStore, "activity", activity)
    part = Part(**{name: SoundFile(Path(f"{name}.wav")) for name in parts})
    track = Track("Ada", "One", "Song", (part,))
    shares = Track2Sung(FeatureStore(Path("none")), CARD.model_copy(update=card))(track, np.zeros(1))
    assert shares == [1]
    assert asked == [expected]


def test_a_time_line_has_windows_that_do_not_vote(run: Path, song: Path, sung: np.ndarray) -> None:
    """Segments come of all windows, those between included; only the answer is the voters'."""
    sung[60:] = 1
    answer = whosings.load(run).identify(song)
    assert answer.windows == 6
    assert answer.segments[0].kind == "no singing"
    assert answer.segments[-1].end == pytest.approx(24.0, abs=0.1)
