from __future__ import annotations

import numpy as np
import pytest

from whosings.errors import WhosingsError
from whosings.identify.misfits import audit, find_misfits

DIM = 48


class Catalogue:
    """Prints of voices over a louder band that all songs share."""

    def __init__(self, artists: int = 8, songs: int = 6, seed: int = 0):
        self.generator = np.random.default_rng(seed)
        self.band = 4.0 * self.generator.standard_normal(DIM)
        self.voices = {f"Artist {at}": self.generator.standard_normal(DIM) for at in range(artists)}
        self.prints: dict[str, np.ndarray] = {}
        self.artist_of: dict[str, str] = {}
        for artist, voice in self.voices.items():
            for song in range(songs):
                self.add(artist, song, voice)

    def add(self, artist: str, song: int, *voices: np.ndarray) -> str:
        name = f"{artist}/One/song {song}"
        self.artist_of[name] = artist
        self.prints[name] = np.concatenate([self.sung(voice) for voice in voices])
        return name

    def sung(self, voice: np.ndarray) -> np.ndarray:
        song = voice + self.band + 0.5 * self.generator.standard_normal(DIM)
        windows = song + 0.8 * self.generator.standard_normal((8, DIM))
        unit: np.ndarray = windows / np.linalg.norm(windows, axis=1, keepdims=True)
        return unit


@pytest.mark.parametrize("seed", range(5))
def test_a_catalogue_in_order_has_no_misfit(seed: int) -> None:
    songs = Catalogue(seed=seed)
    assert find_misfits(songs.prints, songs.artist_of) == []
    (finding,) = audit(songs.prints, songs.artist_of)
    assert finding.severity == "note"
    assert finding.text.startswith("48 voices compared with the other tracks of the same artist: all fit, ")


def test_moved_tracks_are_found_with_the_artist_they_fit() -> None:
    songs = Catalogue()
    moved = {
        "Artist 0/One/song 1": "Artist 5",
        "Artist 3/One/song 0": "Artist 1",
        "Artist 7/One/song 2": "Artist 1",
    }
    misfits = find_misfits(songs.prints, songs.artist_of | moved)
    assert {misfit.track_id: misfit.artist for misfit in misfits} == moved
    assert all(misfit.kind == "moved" and misfit.confidence > 0.9 for misfit in misfits)
    assert all(misfit.other == songs.artist_of[misfit.track_id] for misfit in misfits)
    assert all(misfit.likeness > misfit.own for misfit in misfits)
    findings = audit(songs.prints, songs.artist_of | moved)
    assert [finding.severity for finding in findings] == ["warning"] * 3 + ["note"]
    assert findings[-1].text.endswith("same artist: 3 fit badly.")
    finding = misfits[0].to_finding()
    assert finding == findings[0] and (finding.severity, finding.subject) == ("warning", misfits[0].track_id)
    assert f"fits {misfits[0].other} better than {misfits[0].artist} (" in finding.text


def test_a_voice_of_nobody_here_is_a_stranger() -> None:
    songs = Catalogue()
    name = songs.add("Artist 2", 9, songs.generator.standard_normal(DIM))
    (misfit,) = find_misfits(songs.prints, songs.artist_of)
    assert (misfit.track_id, misfit.kind) == (name, "stranger")
    assert "no other artist here fits" in misfit.to_finding().text


def test_two_voices_are_a_duet() -> None:
    songs = Catalogue()
    name = songs.add("Artist 2", 9, songs.voices["Artist 2"], songs.voices["Artist 6"])
    (misfit,) = find_misfits(songs.prints, songs.artist_of)
    assert (misfit.track_id, misfit.kind, misfit.other) == (name, "duet", "Artist 6")
    assert "is like both Artist 2 and Artist 6" in misfit.to_finding().text


def test_the_surest_comes_first_and_the_threshold_counts() -> None:
    songs = Catalogue()
    everything = find_misfits(songs.prints, songs.artist_of, threshold=0.0)
    assert sorted(misfit.track_id for misfit in everything) == sorted(songs.prints)
    confidences = [misfit.confidence for misfit in everything]
    assert confidences == sorted(confidences, reverse=True) and confidences[0] < 0.5
    assert everything == find_misfits(songs.prints, songs.artist_of, threshold=0.0)


def test_neither_the_length_of_prints_nor_their_order_matters() -> None:
    songs = Catalogue()
    wrong = songs.artist_of | {"Artist 0/One/song 1": "Artist 5"}
    loud = {name: 300 * rows for name, rows in songs.prints.items()}
    assert find_misfits(loud, wrong) == find_misfits(songs.prints, wrong)
    backwards = find_misfits(dict(reversed(songs.prints.items())), wrong)
    assert [misfit.track_id for misfit in backwards] == ["Artist 0/One/song 1"]


def test_what_cannot_be_judged_is_a_note() -> None:
    songs = Catalogue()
    songs.add("Alone", 0, songs.generator.standard_normal(DIM))
    songs.prints["Artist 1/One/song 0"] = np.zeros((0, DIM))
    assert find_misfits(songs.prints, songs.artist_of) == []
    summary, *findings = audit(songs.prints, songs.artist_of)
    assert summary.text.startswith("47 voices compared")
    assert [(finding.severity, finding.subject) for finding in findings] == [
        ("note", "Artist 1/One/song 0"),
        ("note", "Alone"),
    ]
    assert "no singing" in findings[0].text and "one track" in findings[1].text


def test_two_artists_are_enough() -> None:
    songs = Catalogue(artists=2, songs=12)
    wrong = songs.artist_of | {"Artist 0/One/song 1": "Artist 1"}
    assert [misfit.track_id for misfit in find_misfits(songs.prints, wrong)] == ["Artist 0/One/song 1"]


def test_too_little_or_spoilt_is_a_sentence() -> None:
    songs = Catalogue(artists=3, songs=2)
    with pytest.raises(WhosingsError, match="Of 3 artists, 6 tracks can be compared"):
        find_misfits(songs.prints, songs.artist_of)
    with pytest.raises(WhosingsError, match="Of 0 artists, 0 tracks"):
        find_misfits({}, {})
    one = Catalogue(artists=1, songs=12)
    with pytest.raises(WhosingsError, match="Of 1 artist, 12 tracks"):
        find_misfits(one.prints, one.artist_of)
    name = "Artist 0/One/song 0"
    for rows, says in ((np.ones((2, 5)), "differ in size"), (np.full((2, DIM), np.nan), "holds no numbers")):
        with pytest.raises(WhosingsError, match=says):
            find_misfits(songs.prints | {name: rows}, songs.artist_of)
    with pytest.raises(WhosingsError, match="no artist is named"):
        find_misfits(songs.prints | {"new": songs.prints[name]}, songs.artist_of)
