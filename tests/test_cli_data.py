"""The commands on a collection that listen to voices, leave artists out, or make a benchmark of bias."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.collection.sounds import imagined, melody, write
from tests.collection.test_confounded import collection_of
from tests.command import whosings as command
from tests.training.songs import songs
from whosings.audio import decode
from whosings.collection.catalogue import Collection, open_collection
from whosings.collection.features import FeatureStore
from whosings.collection.splits import PROTOCOLS, SIDES, Split, make_split
from whosings.collection.track import Part, SoundFile, Source, Track
from whosings.errors import UnreadableSoundError, WhosingsError
from whosings.voices.catalogue import print_of, print_tracks
from whosings.voices.prints import Prints, unit

ARTISTS = ("Ada", "Bo", "[Cleo]")
DIM = 48


class FakePrinter:
    """Hears the voice that `voice_of` names for a track, else that of its artist."""

    id = "fake 1"
    source = Source()
    voice_of: dict[str, str]
    heard: list[str]

    def __init__(self, run: Path | None = None):
        self.run = run

    def of_track(self, track: Track, store: FeatureStore) -> Prints:
        self.heard.append(track.id)
        voice = self.voice_of.get(track.id, track.artist)
        if voice == "broken":
            raise WhosingsError(f"{track.id} cannot be heard; give another.")
        if voice == "no weights":
            raise WhosingsError("The weights are not there; fetch them.")
        of_voice = np.random.default_rng(list(voice.encode())).standard_normal(DIM)
        of_song = np.random.default_rng(list(track.id.encode())).standard_normal((6, DIM))
        starts = 5.0 * np.arange(6)
        return Prints(starts, 5.0, unit(of_voice + 0.5 * of_song), np.full(6, float(voice != "silence")))


@pytest.fixture
def voices(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Whose voice sings a track, where it is not that of its artist."""
    monkeypatch.setattr("whosings.voices.encoder.Voiceprinter", FakePrinter)
    monkeypatch.setattr(FakePrinter, "heard", [], raising=False)
    monkeypatch.setattr(FakePrinter, "voice_of", voice_of := {}, raising=False)
    return voice_of


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOSINGS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def catalogue(tmp_path: Path) -> Collection:
    """Three singers with two albums of two short songs."""
    for number, artist in enumerate(ARTISTS):
        for song in range(4):
            path = tmp_path / "songs" / artist / f"album {song // 2}" / f"song {song}.wav"
            write(path, melody(10 * number + song, 3.0))
    return open_collection(tmp_path / "songs")


def test_a_song_of_another_voice_is_found(catalogue: Collection, voices: dict[str, str]) -> None:
    voices["Ada/album 0/song 1"] = "[Cleo]"
    voices["Bo/album 1/song 3"] = "silence"
    words = ("data", "check", catalogue.root, "--no-listen")
    quiet = command(*words)
    assert "its voice" not in quiet.out and not FakePrinter.heard
    done = command(*words, "--voices")
    assert done.status == 0
    assert "warning Ada/album 0/song 1: its voice fits [Cleo] better than Ada (" in done.out
    assert "note Bo/album 1/song 3: no singing was heard in it" in done.out
    assert set(quiet.out.splitlines()) <= set(done.out.splitlines())
    found = json.loads(command(*words, "--voices", "--json").out)
    severities = [row["severity"] for row in found]
    assert severities == sorted(severities, reverse=True)  # warning, note
    assert ("warning", "Ada/album 0/song 1") in [(row["severity"], row["subject"]) for row in found]


def test_songs_are_heard_once(catalogue: Collection, voices: dict[str, str]) -> None:
    words = ("data", "check", catalogue.root, "--no-listen", "--voices")
    voices["Bo/album 0/song 0"] = "broken"
    done = command(*words)
    assert done.status == 1
    assert "error Bo/album 0/song 0 cannot be heard; give another." in done.out
    assert sorted(FakePrinter.heard) == sorted(catalogue.by_id)
    FakePrinter.heard.clear()
    voices.clear()
    assert command(*words).status == 0
    assert FakePrinter.heard == ["Bo/album 0/song 0"]


def test_what_no_track_is_to_blame_for_ends_the_work(catalogue: Collection, voices: dict[str, str]) -> None:
    voices.update(dict.fromkeys(catalogue.by_id, "no weights"))
    done = command("data", "check", catalogue.root, "--no-listen", "--voices")
    assert (done.status, done.err) == (2, "whosings: The weights are not there; fetch them.\n")
    assert len(FakePrinter.heard) == 2


def test_too_few_songs_for_voices(tmp_path: Path, voices: dict[str, str]) -> None:
    root = songs(tmp_path / "songs", seconds=3.0).root
    done = command("data", "check", root, "--no-listen", "--voices")
    assert done.status == 0
    assert "warning The voices cannot be judged. Of 2 artists, 6 tracks can be compared" in done.out


def test_prints_are_kept_by_content_and_encoder(
    tmp_path: Path, voices: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, printer = FeatureStore(tmp_path / "store"), FakePrinter()
    path = write(tmp_path / "a.wav", melody(1, 3.0))
    track = Track("Ada", "One", "A", (Part(mix=SoundFile(path)),))
    first = print_of(track, printer, store)
    copy = write(tmp_path / "copy.wav", melody(1, 3.0))
    again = print_of(Track("Bo", "Two", "B", (Part(mix=SoundFile(copy)),)), printer, store)
    assert len(FakePrinter.heard) == 1 and again.seconds == 5.0
    for name in ("starts", "vectors", "weights"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    (kept,) = (tmp_path / "store" / "prints").rglob("*.npz")
    kept.write_bytes(kept.read_bytes()[:50])  # damaged: made anew
    print_of(track, printer, store)
    assert len(FakePrinter.heard) == 2
    with monkeypatch.context() as patch:
        patch.setattr(FakePrinter, "id", "fake 2")
        print_of(track, printer, store)
    write(path, melody(2, 3.0))
    print_of(track, printer, store)
    assert len(FakePrinter.heard) == 4
    assert len(list((tmp_path / "store" / "prints").rglob("*.npz"))) == 3


def test_unreadable_files_never_end_the_work(catalogue: Collection, tmp_path: Path) -> None:
    class Deaf(FakePrinter):
        def of_track(self, track: Track, store: FeatureStore) -> Prints:
            raise UnreadableSoundError("shared.wav: this sound file cannot be read.")

    prints, failed = print_tracks(catalogue.tracks, Deaf(), FeatureStore(tmp_path / "store"))
    assert prints == {} and set(failed) == set(catalogue.by_id)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_leaving_an_artist_out_changes_nothing_else(protocol: str) -> None:
    six = imagined({"Ada": 6, "Ben": 6, "Cleo": 6})
    whole, split = make_split(six, protocol, 3), make_split(six, protocol, 3, leave_out=["Ben"])
    assert make_split(six, protocol, 3, leave_out=[]).sha256 == whole.sha256 != split.sha256
    assert split.singers == ("Ada", "Cleo") and split.left_out == {"Ben": "left out as asked"}
    for side in SIDES:
        kept = tuple(name for name in getattr(whole, side) if not name.startswith("Ben/"))
        assert getattr(split, side) == kept


def test_the_hashes_of_splits_are_what_they_were() -> None:
    """Frozen: a split made before artists could be left out is the same split."""
    six = imagined({"Ada": 6, "Ben": 6, "Cleo": 6})
    assert make_split(six, "kuo", 21).sha256[:16] == "087ee97c22371f4f"
    assert make_split(six, "song", 0).sha256[:16] == "7921429f2d42f237"


def test_leave_out(catalogue: Collection, tmp_path: Path) -> None:
    words = ("data", "split", catalogue.root, "--protocol", "none", "--out", tmp_path / "s.json")
    done = command(*words, "--leave-out", "[Cleo]")
    assert done.status == 0
    assert "left out [Cleo]: left out as asked" in done.out
    assert Split.load(tmp_path / "s.json").singers == ("Ada", "Bo")
    (tmp_path / "s.json").unlink()
    wrong = command(*words, "--leave-out", "Bo", "--leave-out", "ADE")
    assert (wrong.status, wrong.err.count("\n")) == (2, 1)
    assert "there is no artist ADE to leave out; there is Ada," in wrong.err
    assert "there is [Cleo], Ada, Bo, of 3" in command(*words, "--leave-out", "Quentin").err
    assert "a none split needs two artists" in command(*words, "--leave-out", "Bo", "--leave-out", "Ada").err
    assert not (tmp_path / "s.json").exists()


def test_confound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "duration", lambda path: 5.0)
    collection_of(tmp_path / "songs", {"Ada": 9, "Bo": 9, "Cleo": 2, "Dee": 2})
    out = tmp_path / "a benchmark"
    words = ("data", "confound", tmp_path / "songs", out, "--tie", 0.9, "--singers", 2, "--seed", 1)
    done = command(*words)
    assert (done.status, done.err) == (0, "")
    assert f"{out}: 2 singers (Ada, Bo)." in done.out
    assert all(side in done.out for side in ("train", "validation", "tied", "free", "swapped"))
    commands = [shlex.split(line) for line in done.out.splitlines() if line.startswith("  whosings")]
    assert [line[1] for line in commands] == ["train", "evaluate", "evaluate", "evaluate", "search"]
    assert Split.load(Path(commands[0][4])).singers == ("Ada", "Bo")
    assert [Path(line[-1]).name for line in commands[2:4]] == ["free.csv", "swapped.csv"]
    for place in (commands[0][2], commands[2][-1], commands[3][-1], commands[4][2]):
        assert open_collection(Path(place)).artists == ("Ada", "Bo")
    assert command(*words).out == done.out
    other = command(*words[:-1], 2)
    assert (other.status, other.err.count("\n")) == (2, 1) and "another one" in other.err
    assert command(*words, "--tie", 1.5).status == 2
