from __future__ import annotations

import os
import shutil
from fractions import Fraction
from pathlib import Path

import av
import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.id3 import ID3, TPE1, TXXX, TYER

from tests.collection.sounds import melody
from whosings.audio import decode
from whosings.collection import tags
from whosings.collection.layouts.folders import names_in_tags
from whosings.collection.tags import Tag, read_answer, remove_answer, write_answer
from whosings.errors import WhosingsError

RATE = 48_000
TAG = Tag("Björk & 宇多田", 0.9312, "voices-20")
ENCODED = {"m4a": "aac", "wma": "wmav2", "wv": "wavpack", "tta": "tta"}
KINDS = ("flac", "mp3", "ogg", "opus", "wav", "aiff", *ENCODED)


def encode(path: Path, codec: str) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        stream.bit_rate = 128_000
        stream.codec_context.open()
        resampler = av.AudioResampler(stream.format, "mono", RATE, frame_size=stream.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(melody(1, 2.0, RATE)[None], "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for kind in KINDS:
        path = folder / f"song.{kind}"
        if kind in ENCODED:
            encode(path, ENCODED[kind])
        elif kind == "opus":
            soundfile.write(path, melody(1, 2.0, RATE), RATE, format="OGG", subtype="OPUS")
        else:
            soundfile.write(path, melody(1, 2.0, RATE), RATE)
    return folder


def song(made: Path, folder: Path, kind: str) -> Path:
    return Path(shutil.copy(made / f"song.{kind}", folder / f"song.{kind}"))


def set_artist(path: Path, artist: str) -> None:
    file = mutagen.File(path, easy=True)
    if file.tags is None:
        file.add_tags()
    if isinstance(file.tags, ID3):
        file.tags.add(TPE1(encoding=3, text=[artist]))
    else:
        file["Author" if path.suffix == ".wma" else "artist"] = [artist]
    file.save()


def artist_of(path: Path) -> str:
    return names_in_tags(path)["artist"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_written_read_and_removed_and_the_sound_stays(
    made: Path, tmp_path: Path, kind: str
) -> None:
    path = song(made, tmp_path, kind)
    set_artist(path, "Old Name")
    sound = decode.read(path)
    assert read_answer(path) is None
    for tag in (Tag("earlier", 0.1, "another"), TAG):
        write_answer(path, tag)
        assert read_answer(path) == tag
        assert artist_of(path) == "Old Name"
        assert np.array_equal(decode.read(path), sound)
    remove_answer(path)
    assert read_answer(path) is None and "WHOSINGS" not in str(mutagen.File(path).tags).upper()
    assert artist_of(path) == "Old Name"
    assert np.array_equal(decode.read(path), sound)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("artist", ["Old Name", ""])
def test_force_sets_the_artist_and_removing_puts_the_earlier_back(
    made: Path, tmp_path: Path, kind: str, artist: str
) -> None:
    path = song(made, tmp_path, kind)
    if artist:
        set_artist(path, artist)
    for singer in ("Ada", "Ben"):
        write_answer(path, Tag(singer, 0.5, "m"), force=True)
        assert artist_of(path) == singer
    remove_answer(path)
    assert artist_of(path) == artist


def test_an_artist_changed_since_stays(made: Path, tmp_path: Path) -> None:
    path = song(made, tmp_path, "flac")
    set_artist(path, "Old Name")
    write_answer(path, TAG, force=True)
    assert mutagen.File(path)["WHOSINGS_EARLIER_ARTIST"] == ["Old Name"]
    set_artist(path, "By Hand")
    remove_answer(path)
    assert artist_of(path) == "By Hand"


@pytest.mark.parametrize("verdict", ["unknown", "no singing", "Unknown "])
def test_nobody_never_becomes_the_artist(made: Path, tmp_path: Path, verdict: str) -> None:
    path = song(made, tmp_path, "mp3")
    set_artist(path, "Old Name")
    write_answer(path, Tag(verdict, 0.9, "m"), force=True)
    assert artist_of(path) == "Old Name"
    assert "WHOSINGS_EARLIER_ARTIST" not in str(mutagen.File(path).tags)


def test_fields_have_the_documented_names(made: Path, tmp_path: Path) -> None:
    for kind, key in (
        ("mp3", "TXXX:WHOSINGS_SINGER"),
        ("wav", "TXXX:WHOSINGS_SINGER"),
        ("opus", "WHOSINGS_SINGER"),
        ("m4a", "----:org.whosings:SINGER"),
        ("wv", "WHOSINGS_SINGER"),
        ("wma", "WHOSINGS_SINGER"),
    ):
        path = song(made, tmp_path, kind)
        write_answer(path, TAG)
        assert key in mutagen.File(path).tags


def test_other_tags_and_their_version_stay(made: Path, tmp_path: Path) -> None:
    path = song(made, tmp_path, "mp3")
    old = ID3()
    old.add(TYER(encoding=1, text=["1999"]))
    old.add(TXXX(encoding=1, desc="MOOD", text=["calm", "blue"]))
    old.save(path, v2_version=3, v23_sep=None)
    write_answer(path, TAG)
    new = ID3(path, translate=False)
    assert new.version == (2, 3, 0)
    assert new["TYER"].text == ["1999"] and new["TXXX:MOOD"].text == ["calm", "blue"]
    assert read_answer(path) == TAG


def test_a_spoilt_confidence_is_none(made: Path, tmp_path: Path) -> None:
    path = song(made, tmp_path, "flac")
    write_answer(path, Tag("Ada", None, ""))
    assert read_answer(path) == Tag("Ada", None, "")
    for text in ("high", "nan", "7"):
        file = mutagen.File(path)
        file["WHOSINGS_CONFIDENCE"] = text
        file.save()
        assert read_answer(path) == Tag("Ada", None, "")


@pytest.mark.parametrize("tag", [Tag(" ", 0.5, "m"), Tag("Ada", 1.5, "m"), Tag("Ada", float("nan"), "m")])
def test_senseless_answers_are_refused(made: Path, tmp_path: Path, tag: Tag) -> None:
    path = song(made, tmp_path, "flac")
    before = path.read_bytes()
    with pytest.raises(WhosingsError, match="cannot be written"):
        write_answer(path, tag)
    assert path.read_bytes() == before


def test_rights_and_links_stay_and_the_time_is_now(made: Path, tmp_path: Path) -> None:
    path = song(made, tmp_path, "flac")
    path.chmod(0o640)
    os.utime(path, (1e9, 1e9))
    link = tmp_path / "link.flac"
    link.symlink_to(path)
    write_answer(link, TAG)
    assert link.is_symlink() and read_answer(path) == TAG
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.stat().st_mtime > 1.5e9
    remove_answer(path)
    untouched = path.stat()
    remove_answer(path)
    assert path.stat().st_ino == untouched.st_ino


@pytest.mark.parametrize("kind", ["flac", "mp3", "m4a"])
def test_a_failure_while_writing_leaves_the_song_whole(
    made: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = song(made, tmp_path, kind)
    before = path.read_bytes()

    def full(file: mutagen.FileType, copy: Path) -> None:
        copy.write_bytes(before[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tags, "_save", full)
    with pytest.raises(WhosingsError, match=rf"song\.{kind}: .*No space left"):
        write_answer(path, TAG)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_files_that_cannot_be_tagged_are_a_sentence(made: Path, tmp_path: Path) -> None:
    read_only = song(made, tmp_path, "flac")
    read_only.chmod(0o444)
    for name, content in (("notes.txt", b"no sound" * 50), ("x.mp3", b"\0" * 500), ("y.flac", b"fLaC no")):
        (tmp_path / name).write_bytes(content)
    encode(tmp_path / "raw.aac", "aac")
    encode(tmp_path / "video.mkv", "flac")
    for name, says in (
        ("song.flac", "read-only"),
        ("notes.txt", "holds no tags"),
        ("video.mkv", "holds no tags"),
        ("raw.aac", "tags"),
        ("x.mp3", "cannot be read"),
        ("y.flac", "cannot be read"),
        ("absent.mp3", "no such file"),
        ("", "folder"),
    ):
        path = tmp_path / name
        before = path.read_bytes() if path.is_file() else b""
        with pytest.raises(WhosingsError, match=says) as caught:
            write_answer(path, TAG)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)
        assert not path.is_file() or path.read_bytes() == before
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]
