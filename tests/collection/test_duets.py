"""Duets put together from stems."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.collection.sounds import RATE, write
from whosings.collection.duets import INTERLUDE, LONGEST, Duet, bridged, make_duet, make_duets
from whosings.collection.track import Part, SoundFile, Track
from whosings.errors import WhosingsError

HERTZ = {"Ada": 300.0, "Bo": 700.0, "Cy": 1500.0, "Di": 2500.0}
BAND = 5000.0  # Hz


def tone(hertz: float, seconds: float, level: float = 0.3) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)


def song(root: Path, artist: str, vocals: np.ndarray | None = None) -> Track:
    """A song of one tone a singer over a high one of the band, in two parts."""
    if vocals is None:
        vocals = tone(HERTZ[artist], 10, level=HERTZ[artist] / 3000)
    paths = [write(root / f"{artist} {stem}.wav", sound) for stem, sound in
             (("voice", vocals), ("band", tone(BAND, 7)))]  # fmt: skip
    part = Part(vocals=SoundFile(paths[0]), accompaniment=SoundFile(paths[1]))
    return Track(artist, "One", "Song", (part, part))


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> list[Track]:
    root = tmp_path_factory.mktemp("songs")
    return [song(root, artist) for artist in HERTZ]


def power_at(samples: np.ndarray, hertz: float) -> float:
    time = np.arange(len(samples)) / RATE
    return float(2 * np.abs(np.mean(samples * np.exp(-2j * np.pi * hertz * time))) ** 2)


def check_turns(duet: Duet) -> None:
    assert duet.turns[0].start == 0
    assert duet.turns[-1].end == pytest.approx(duet.duration)
    for one, other in pairwise(duet.turns):
        assert one.end == other.start
        assert one.singer != other.singer


def test_who_is_said_to_sing_is_heard(songs: list[Track]) -> None:
    duet = make_duet(songs[:3], songs[3], seed=1)
    check_turns(duet)
    assert {turn.singer for turn in duet.turns} == {"Ada", "Bo", "Cy", None}
    assert duet.samples.dtype == np.float32
    assert np.abs(duet.samples).max() == pytest.approx(0.9)
    assert (duet.voices, duet.band) == (tuple(track.id for track in songs[:3]), songs[3].id)
    for turn in duet.turns:
        piece = duet.samples[round(turn.start * RATE) : round(turn.end * RATE)]
        band = power_at(piece, BAND)
        assert band > 0
        for artist in ("Ada", "Bo", "Cy"):
            expected = band if artist == turn.singer else 0
            assert power_at(piece, HERTZ[artist]) == pytest.approx(expected, abs=0.06 * band)
        if turn.singer:
            assert 4 - 0.05 <= turn.end - turn.start <= LONGEST + 0.05
        else:
            assert turn.end - turn.start == pytest.approx(INTERLUDE)


def test_the_level_is_that_of_the_voice_over_the_band(songs: list[Track]) -> None:
    duet = make_duet(songs[:2], songs[3], seed=1, mix_db=10)
    turn = next(turn for turn in duet.turns if turn.singer == "Ada")
    piece = duet.samples[round(turn.start * RATE) : round(turn.end * RATE)]
    level = 10 * np.log10(power_at(piece, HERTZ["Ada"]) / power_at(piece, BAND))
    assert level == pytest.approx(10, abs=0.3)


def test_speech_is_no_singing(songs: list[Track]) -> None:
    speech = tone(1000, 20)
    duet = make_duet(songs[:2], songs[3], seed=2, speech=speech)
    plain = make_duet(songs[:2], songs[3], seed=2)
    check_turns(duet)
    assert duet.duration == pytest.approx(plain.duration + INTERLUDE)
    spoken = [
        turn
        for turn in duet.turns
        if power_at(duet.samples[round(turn.start * RATE) : round(turn.end * RATE)], 1000) > 1e-3
    ]
    assert [turn.singer for turn in spoken] == [None]


def test_pauses_within_a_turn_are_no_singing(tmp_path: Path, songs: list[Track]) -> None:
    phrase = tone(HERTZ["Ada"], 2.5)
    halting = song(tmp_path, "Ada", np.concatenate([phrase, np.zeros(int(1.5 * RATE))] * 4))
    breathing = song(tmp_path, "Bo", np.concatenate([tone(HERTZ["Bo"], 2.0), np.zeros(RATE // 2)] * 4))
    duet = make_duet([halting, breathing], songs[3], seed=0)
    check_turns(duet)
    lengths = {name: [t.end - t.start for t in duet.turns if t.singer == name] for name in ("Ada", "Bo")}
    assert max(lengths["Ada"]) <= 2.5 + 0.1 + 1  # a rest of at most a second ends a turn
    assert max(lengths["Bo"]) > 4 - 0.6
    assert any(turn.end - turn.start == pytest.approx(1.5, abs=0.1) for turn in duet.turns if not turn.singer)


def test_equal_seeds_give_equal_duets(songs: list[Track]) -> None:
    one, same, other = (make_duet(songs[:2], songs[2], seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.samples, same.samples)
    assert one.turns == same.turns
    assert one.turns != other.turns


def test_many_duets(songs: list[Track]) -> None:
    duets = list(make_duets(songs, 12, seed=3))
    assert {len(duet.voices) for duet in duets} == {2, 3}
    for duet in duets:
        assert duet.band not in duet.voices
        assert {turn.singer for turn in duet.turns} == {name.split("/")[0] for name in duet.voices} | {None}
    again = list(make_duets(songs, 2, seed=3))
    assert [duet.turns for duet in again] == [duet.turns for duet in duets[:2]]
    assert len({duet.turns for duet in duets}) == 12


def test_only_the_songs_given_are_used(songs: list[Track]) -> None:
    duets = list(make_duets(songs[:3], 5))
    assert {name for duet in duets for name in (*duet.voices, duet.band)} <= {track.id for track in songs[:3]}
    assert {len(duet.voices) for duet in duets} == {2}


def test_what_cannot_be_put_together(tmp_path: Path, songs: list[Track]) -> None:
    with pytest.raises(WhosingsError, match="songs of 2"):
        list(make_duets(songs[:2], 1))
    for voices, band in (([songs[0]], songs[1]), ([songs[0], songs[0]], songs[1]), (songs[:2], songs[1])):
        with pytest.raises(WhosingsError, match="different singers"):
            make_duet(voices, band, 0)
    silent = song(tmp_path, "Ada", np.zeros(5 * RATE))
    with pytest.raises(WhosingsError, match="silent vocal stem"):
        make_duet([silent, songs[1]], songs[2], 0)
    with pytest.raises(WhosingsError, match="speech for a duet is silent"):
        make_duet(songs[:2], songs[2], 0, speech=np.zeros(RATE))
    mixed = replace(songs[1], parts=(Part(mix=songs[1].parts[0].vocals),))
    with pytest.raises(WhosingsError, match="no vocal stem"):
        make_duet([songs[0], mixed], songs[2], 0)
    mute = write(tmp_path / "mute.wav", np.zeros(RATE))
    band = replace(songs[2], parts=(Part(vocals=SoundFile(mute), accompaniment=SoundFile(mute)),))
    with pytest.raises(WhosingsError, match="silent accompaniment"):
        make_duet(songs[:2], band, 0)


@pytest.mark.parametrize(
    ("sung", "filled"),
    [
        ("0011", "1111"),
        ("00011", "00011"),
        ("1001", "1111"),
        ("10001", "10001"),
        ("1100", "1111"),
        ("11000", "11000"),
        ("00", "00"),
        ("1", "1"),
    ],
)
def test_short_gaps_are_bridged(sung: str, filled: str) -> None:
    given = np.array([mark == "1" for mark in sung])
    assert "".join("01"[int(here)] for here in bridged(given, 2)) == filled
