from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.collection.sounds import empty, melody, write
from whosings.collection.catalogue import open_collection
from whosings.collection.findings import Finding, check
from whosings.collection.layouts.artist20 import ARTISTS
from whosings.collection.splits import Split

NOTES = 44_100


def texts(findings: list[Finding], severity: str) -> str:
    return "\n".join(finding.text for finding in findings if finding.severity == severity)


def fill(root: Path, artist: str, albums: int = 3, songs: int = 2, seed: int = 0) -> None:
    for album in range(albums):
        for song in range(songs):
            number = seed + 10 * album + song
            write(root / artist / f"album {album}" / f"song {song}.wav", melody(number, 4.0, NOTES), NOTES)


def test_a_sound_collection_has_no_findings(tmp_path: Path) -> None:
    fill(tmp_path, "Ada")
    fill(tmp_path, "Ben", seed=100)
    done: list[tuple[int, int]] = []
    assert check(open_collection(tmp_path), on_progress=lambda *progress: done.append(progress)) == []
    assert done == [(n, 12) for n in range(1, 13)]


@pytest.mark.parametrize("listen", [True, False])
def test_identical_files_are_found(tmp_path: Path, listen: bool) -> None:
    fill(tmp_path, "Ada")
    fill(tmp_path, "Ben", seed=100)
    copy = tmp_path / "Ben" / "album 2" / "zz.wav"
    copy.write_bytes((tmp_path / "Ada" / "album 0" / "song 1.wav").read_bytes())
    collection = open_collection(tmp_path)
    findings = check(collection, listen=listen)
    assert [finding.severity for finding in findings] == ["error"]
    assert "Ada/album 0/song 1 and Ben/album 2/zz are one recording (identical files)" in findings[0].text
    pair = ("Ada/album 0/song 1", "Ben/album 2/zz")
    apart = Split("kuo", 0, 0, ("Ada", "Ben"), (pair[0],), (), (pair[1],))
    (leak,) = check(collection, split=apart, listen=listen)
    assert "(train)" in leak.text and "(test)" in leak.text and "two sides" in leak.text
    together = Split("kuo", 0, 0, ("Ada", "Ben"), pair, (), ())
    assert check(collection, split=together, listen=listen) == findings


def test_a_quieter_mp3_of_a_song_is_found(tmp_path: Path) -> None:
    fill(tmp_path, "Ada")
    late = np.concatenate([np.zeros(4000, np.float32), 0.4 * melody(0, 4.0, NOTES)])
    write(tmp_path / "Ada" / "album 1" / "zz.mp3", late, NOTES)
    findings = check(open_collection(tmp_path))
    assert [finding.severity for finding in findings] == ["warning"]
    assert "Ada/album 0/song 0 and Ada/album 1/zz are one recording (the same sound)" in findings[0].text
    assert check(open_collection(tmp_path), listen=False) == []


def test_two_singers_over_one_band_are_two_recordings(tmp_path: Path) -> None:
    for number, artist in enumerate(("Ada", "Ben")):
        write(tmp_path / artist / "One" / "a.vocals.wav", melody(number))
        write(tmp_path / artist / "One" / "a.acc.wav", melody(9))
    assert "one recording" not in str(check(open_collection(tmp_path)))


@pytest.mark.parametrize("listen", [True, False])
def test_unreadable_and_short_files_are_found(tmp_path: Path, listen: bool) -> None:
    fill(tmp_path, "Ada")
    (tmp_path / "Ada" / "album 0" / "empty.wav").write_bytes(b"")
    (tmp_path / "Ada" / "album 0" / "broken.flac").write_bytes(b"fLaC nothing")
    write(tmp_path / "Ada" / "album 0" / "short.wav", melody(70, 1.0))
    findings = check(open_collection(tmp_path), listen=listen)
    assert [finding.severity for finding in findings] == ["error", "error", "warning"]
    assert "broken.flac" in findings[0].text and "empty.wav" in findings[1].text
    assert "it lasts 1.0 s" in findings[2].text


def test_silence_is_found(tmp_path: Path) -> None:
    fill(tmp_path, "Ada")
    silence = np.zeros(4 * NOTES, np.float32)
    write(tmp_path / "Ada" / "album 0" / "song 0.vocals.wav", melody(0, 4.0, NOTES), NOTES)
    write(tmp_path / "Ada" / "album 0" / "song 0.acc.wav", silence, NOTES)
    write(tmp_path / "Ada" / "album 1" / "zz.wav", silence, NOTES)
    assert [finding.text for finding in check(open_collection(tmp_path))] == [
        "Ada/album 0/song 0: its accompaniment is silent throughout.",
        "Ada/album 1/zz: its mix is silent throughout.",
    ]


def test_artists_with_little_are_found(tmp_path: Path) -> None:
    fill(tmp_path, "Ada")
    fill(tmp_path, "Ben", albums=1, songs=5, seed=100)
    fill(tmp_path, "Cleo", albums=2, songs=1, seed=200)
    fill(tmp_path, "CLEO", seed=300)
    empty(tmp_path / "loose.wav")
    findings = check(open_collection(tmp_path), listen=False)
    assert "Ben has one album" in texts(findings, "warning")
    assert "CLEO and Cleo differ in capital letters" in texts(findings, "warning")
    assert "loose.wav" in texts(findings, "warning")
    assert "Cleo has two albums" in texts(findings, "note") and "Cleo has 2 songs" in texts(findings, "note")
    assert "Ada" not in str(findings).replace(str(tmp_path), "")


def test_what_artist20_lacks_is_found(tmp_path: Path) -> None:
    for artist in ARTISTS[:-1]:
        for album in range(5 if artist == "queen" else 6):
            empty(tmp_path / artist / f"album{album}" / "01-x.mp3")
    found = texts(check(open_collection(tmp_path), listen=False), "warning")
    assert "the artist u2 is missing" in found
    assert "queen has 5 of 6 albums" in found
    assert "it has 113 of 1413 tracks" in found
    assert "prince" not in found
