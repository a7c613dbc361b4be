from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import mutagen
import numpy as np
import pytest

from tests.collection.sounds import empty, melody, write
from tests.shared_data import mir1k
from whosings.collection.catalogue import open_collection
from whosings.collection.layouts.artist20 import ARTISTS
from whosings.collection.layouts.manifest import read_labels
from whosings.collection.sound import track_blocks
from whosings.collection.track import Source
from whosings.errors import WhosingsError


def ids(folder: Path) -> list[str]:
    return [track.id for track in open_collection(folder).tracks]


def test_folders_in_natural_order_with_stems(tmp_path: Path) -> None:
    ada = tmp_path / "Ada" / "One"
    empty(
        ada / "song 10.flac", ada / "song 2.mp3", ada / "song 2.vocals.flac", ada / "song 2.Accompaniment.wav"
    )
    empty(ada / "cover.jpg", ada / "._song 2.mp3", ada / ".hidden.wav", ada / "CD2" / "song 2.mp3")
    empty(
        tmp_path / "Ben" / "hit.m4a",
        tmp_path / "Ben" / "Two" / "x.voice.ogg",
        tmp_path / "Ben" / "Two" / "x.acc.ogg",
    )
    collection = open_collection(tmp_path)
    assert collection.layout == "folders"
    assert [track.id for track in collection.tracks] == [
        *("Ada/One/CD2 song 2", "Ada/One/song 2", "Ada/One/song 10", "Ben/no album/hit", "Ben/Two/x"),
    ]
    assert collection.skipped == ()
    assert collection.artists == ("Ada", "Ben")
    assert collection.albums("Ben") == ("no album", "Two")
    (part,) = collection.by_id["Ada/One/song 2"].parts
    assert part.mix and part.vocals and part.accompaniment
    assert part.accompaniment.path.name == "song 2.Accompaniment.wav"
    (part,) = collection.track("Ben/Two/x").parts
    assert part.mix is None and part.vocals and part.accompaniment


def test_one_song_in_two_formats_counts_once(tmp_path: Path) -> None:
    empty(tmp_path / "Ada" / "One" / "a.flac", tmp_path / "Ada" / "One" / "a.mp3")
    collection = open_collection(tmp_path)
    assert len(collection.tracks) == 1
    assert "a.mp3" in collection.skipped[0] and "a.flac" in collection.skipped[0]


def test_names_are_composed_and_loops_end(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Beyoncé")
    empty(tmp_path / decomposed / "One" / "é.flac")
    (tmp_path / decomposed / "One" / "loop").symlink_to(tmp_path)
    (tmp_path / decomposed / "One" / "dead.wav").symlink_to(tmp_path / "nowhere")
    collection = open_collection(tmp_path)
    assert [track.id for track in collection.tracks] == ["Beyoncé/One/é"]
    assert "leads nowhere" in collection.skipped[0]


def test_folders_behind_links_are_read(tmp_path: Path) -> None:
    empty(tmp_path / "disk" / "One" / "a.flac")
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "Ada").symlink_to(tmp_path / "disk")
    assert ids(tmp_path / "music") == ["Ada/One/a"]


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".ogg", ".wav"])
def test_flat_files_go_by_their_tags(tmp_path: Path, suffix: str) -> None:
    tagged, bare = (write(tmp_path / f"{name}{suffix}", melody(1, 1.0)) for name in ("tagged", "bare"))
    tags = mutagen.File(tagged, easy=True)
    if suffix == ".wav":
        from mutagen.id3 import TALB, TIT2, TPE1

        tags.add_tags()
        for frame, text in ((TPE1, "AC/DC"), (TALB, "High"), (TIT2, "Way")):
            tags.tags.add(frame(text=[text]))
    else:
        tags.update({"artist": "AC/DC", "album": "High", "title": "Way"})
    tags.save()
    collection = open_collection(tmp_path)
    assert [track.id for track in collection.tracks] == ["AC-DC/High/Way"]
    assert len(collection.skipped) == 1 and str(bare) in collection.skipped[0]


def test_broken_tags_are_told(tmp_path: Path) -> None:
    (tmp_path / "x.flac").write_bytes(b"fLaC" + bytes(range(200)))
    empty(tmp_path / "Ada" / "One" / "a.flac")
    assert "x.flac" in open_collection(tmp_path).skipped[0]


def test_manifest(tmp_path: Path) -> None:
    empty(tmp_path / "a.wav", tmp_path / "b.wav", tmp_path / "v.wav")
    (tmp_path / "Manifest.CSV").write_text(
        "\ufeffSinger;Album;Song;Path;Voice\nAda;One;x;b.wav;v.wav\nAda;One;x;a.wav;\n"
        "Ada;;;gone.wav;\n;;;a.wav;\n\nBen;;;a.wav;gone.wav\n",
        encoding="utf-8",
    )
    collection = open_collection(tmp_path)
    assert collection.layout == "manifest"
    assert [track.id for track in collection.tracks] == ["Ada/One/x", "Ben/no album/a"]
    first, second = collection.tracks[0].parts
    assert first.mix and first.mix.path.name == "b.wav" and first.vocals and second.vocals is None
    assert len(collection.skipped) == 3
    assert collection.tracks == open_collection(tmp_path / "Manifest.CSV").tracks


def test_a_manifest_names_channels(tmp_path: Path) -> None:
    voice, band = melody(1, 1.0), melody(2, 1.0)
    write(tmp_path / "a.wav", np.stack([band, voice], axis=1))
    (tmp_path / "manifest.csv").write_text(
        "artist,title,voice,vocals_channel,acc,accompaniment_channel,path,mix_channel\n"
        "Ada,x,a.wav,1,a.wav,0,a.wav,\nAda,y,a.wav,left,a.wav,-1,a.wav,\n"
    )
    collection = open_collection(tmp_path)
    first, second = collection.tracks
    for name, wanted in (("vocals", voice), ("accompaniment", band), ("mix", (voice + band) / 2)):
        heard = np.concatenate(list(track_blocks(first, Source(name))))  # type: ignore[arg-type]
        assert np.abs(heard - wanted).max() < 1e-3
    assert second.parts[0].vocals is None and second.parts[0].accompaniment is None
    assert "row 3: vocals_channel is left" in collection.skipped[0] and "-1" in collection.skipped[1]


def test_what_a_manifest_says_of_works_and_bands(tmp_path: Path) -> None:
    empty(tmp_path / "a.wav")
    (tmp_path / "manifest.csv").write_text(
        "artist,album,title,path,work_id,band\nAda,One,x,a.wav,,B\nAda,One,x,a.wav,w1,C\nBen,,,a.wav,w2,\n"
        "Cy,,gone,none.wav,w3,\n"
    )
    for root in (tmp_path, tmp_path / "manifest.csv"):
        assert read_labels(root, "work") == {"Ada/One/x": "w1", "Ben/no album/a": "w2"}
        assert read_labels(root, "band") == {"Ada/One/x": "B"}
    (tmp_path / "songs").mkdir()
    assert read_labels(tmp_path / "songs", "work") == {}


@pytest.mark.parametrize("text", ["", "artist,title\nA,b\n", "path\na.wav\n"])
def test_manifest_without_its_columns(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(WhosingsError, match="needs a column artist"):
        open_collection(tmp_path / "m.csv")


def test_manifest_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes(os.urandom(300) + b"\xff\xfe")
    with pytest.raises(WhosingsError, match="UTF-8"):
        open_collection(tmp_path)


@pytest.mark.parametrize("make", ["missing", "sound", "empty", "texts"])
def test_what_is_no_collection_is_said(tmp_path: Path, make: str) -> None:
    path = tmp_path / make
    if make == "sound":
        path = write(tmp_path / "a.wav", melody(1, 1.0))
    elif make != "missing":
        path.mkdir()
        (path / ("a.txt" if make == "texts" else ".x.wav")).write_text("x")
    with pytest.raises(WhosingsError) as caught:
        open_collection(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_artist20_is_recognised_from_above_and_within(tmp_path: Path) -> None:
    for artist in ARTISTS[:16]:
        empty(tmp_path / "artist20" / "mp3s-32k" / artist / "An_Album" / "01-A_Song.mp3")
    for folder in (tmp_path, tmp_path / "artist20", tmp_path / "artist20" / "mp3s-32k"):
        collection = open_collection(folder)
        assert collection.layout == "artist20"
        assert collection.tracks[0].id == "aerosmith/An_Album/01-A_Song"


def test_mir1k_clips_of_a_song_are_one_track(tmp_path: Path) -> None:
    voice, band = melody(1, 1.0), melody(2, 1.0)
    for name in ("Ani_1_10", "Ani_1_02", "Ani_12_01", "bob_1_01"):
        write(tmp_path / "Wavfile" / f"{name}.wav", np.stack([band, voice], axis=1))
    collection = open_collection(tmp_path)
    assert collection.layout == "mir1k" and collection.tracks == open_collection(tmp_path / "Wavfile").tracks
    assert [track.id for track in collection.tracks] == [
        *("Ani/song01/Ani_1", "Ani/song12/Ani_12", "bob/song01/bob_1"),
    ]
    names = [part.vocals.path.name for part in collection.tracks[0].parts if part.vocals]
    assert names == ["Ani_1_02.wav", "Ani_1_10.wav"]
    heard = np.concatenate(list(track_blocks(collection.tracks[2], Source("vocals"))))
    assert np.abs(heard - voice).max() < 1e-3


def test_mono_files_named_like_clips_are_no_mir1k(tmp_path: Path) -> None:
    write(tmp_path / "Ada" / "a_1_01.wav", melody(1, 1.0))
    assert open_collection(tmp_path).layout == "folders"


def test_the_real_mir1k_manifest_and_its_unpacked_form_agree(tmp_path: Path) -> None:
    packed = open_collection(mir1k())
    assert (len(packed.artists), len(packed.tracks)) == (19, 92)
    assert sum(len(track.parts) for track in packed.tracks) == 838
    assert all(
        part.mix is None and part.vocals and part.accompaniment for t in packed.tracks for part in t.parts
    )
    some = [packed.track(name) for name in ("abjones/song01/abjones_1", "Ani/song01/Ani_1")]
    for track in some:
        for part in track.parts[:2]:
            stems = [
                np.concatenate(list(track_blocks(type(track)("x", "x", "x", (part,)), Source(name))))
                for name in ("accompaniment", "vocals")
            ]
            name = part.vocals.path.name.split(".")[0] if part.vocals else ""
            length = min(map(len, stems))
            write(tmp_path / "Wavfile" / f"{name}.wav", np.stack([stem[:length] for stem in stems], axis=1))
    unpacked = open_collection(tmp_path)
    assert unpacked.layout == "mir1k"
    assert [track.id for track in unpacked.tracks] == [track.id for track in some]
    for before, after in zip(some, unpacked.tracks, strict=True):
        cut = type(before)(before.artist, before.album, before.title, before.parts[:2])
        a, b = (np.concatenate(list(track_blocks(track, Source("mix", 0.0)))) for track in (cut, after))
        assert len(a) == len(b) and np.abs(a - b).max() < 1e-3
