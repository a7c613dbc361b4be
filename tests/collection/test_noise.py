"""Noise in a band: where it lies, how loud it is, and that nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.collection.sounds import RATE, melody, write
from whosings.audio import decode
from whosings.collection import noise
from whosings.collection.catalogue import Collection, open_collection
from whosings.collection.noise import add_noise
from whosings.collection.sound import track_blocks
from whosings.collection.track import Source
from whosings.errors import WhosingsError

NAMES = ("Ada/one/a", "Ada/one/b", "Bo/one/c")


@pytest.fixture
def songs(tmp_path: Path) -> Collection:
    for seed, name in enumerate(NAMES):
        write(tmp_path / "songs" / f"{name}.wav", melody(seed, 6.0))
    return open_collection(tmp_path / "songs")


def sound(collection: Collection, name: str, source: Source | None = None) -> np.ndarray:
    return np.concatenate(list(track_blocks(collection.track(name), source or Source())))


def test_the_noise_lies_in_its_band_and_has_its_level(songs: Collection, tmp_path: Path) -> None:
    noisy = add_noise(songs, dict.fromkeys(NAMES, True), tmp_path / "out", level_db=-12).collection
    for name in NAMES:
        plain = sound(songs, name).astype(np.float64)
        added = sound(noisy, name) - plain
        power = np.abs(np.fft.rfft(added * np.hanning(len(added)))) ** 2
        hertz = np.fft.rfftfreq(len(added), 1 / RATE)
        inside = (hertz >= 3000) & (hertz <= 5000)
        assert power[~inside].sum() < 1e-6 * power[inside].sum()
        level = 10 * np.log10(np.mean(added**2) / np.mean(plain**2))
        assert level == pytest.approx(-12, abs=0.3)
        # white: each fifth of the band, edges apart, has a fifth of the power
        fifths = [power[(hertz >= low) & (hertz < low + 360)].sum() for low in range(3100, 4900, 360)]
        np.testing.assert_allclose(np.array(fifths) / sum(fifths), 0.2, atol=0.03)


def test_songs_without_noise_keep_every_sample(songs: Collection, tmp_path: Path) -> None:
    written = add_noise(songs, dict.fromkeys(NAMES, False), tmp_path / "out")
    assert written.failed == {}
    for name in NAMES:
        np.testing.assert_array_equal(sound(written.collection, name), sound(songs, name))


def test_full_scale_songs_keep_every_sample(tmp_path: Path) -> None:
    """A 16-bit song that touches both ends of its scale does not clip, and is not made quieter."""
    steps = np.tile(np.array([-32768, 32767, 0, 5], dtype=np.int16), RATE)
    for name in ("Ada/one/a", "Bo/one/b"):
        path = tmp_path / "songs" / f"{name}.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, steps, RATE)
    songs = open_collection(tmp_path / "songs")
    written = add_noise(songs, {"Ada/one/a": False}, tmp_path / "out").collection
    np.testing.assert_array_equal(sound(written, "Ada/one/a"), sound(songs, "Ada/one/a"))


def test_what_would_clip_is_made_quieter_as_a_whole(tmp_path: Path) -> None:
    loud = 0.9 * np.sign(melody(3, 6.0)).astype(np.float32)
    write(tmp_path / "songs" / "Ada" / "one" / "a.wav", loud)
    write(tmp_path / "songs" / "Bo" / "one" / "b.wav", loud)
    songs = open_collection(tmp_path / "songs")
    made = add_noise(songs, {"Ada/one/a": True}, tmp_path / "out", level_db=0).collection
    heard, plain = sound(made, "Ada/one/a").astype(np.float64), sound(songs, "Ada/one/a")
    assert 0.999 < np.abs(heard).max() < 1
    spectrum, before = np.fft.rfft(heard), np.fft.rfft(plain)
    low = slice(0, int(2500 * len(heard) / RATE))
    gain = np.vdot(before[low], spectrum[low]).real / np.vdot(before[low], before[low]).real
    assert gain < 0.8
    np.testing.assert_allclose(spectrum[low], gain * before[low], atol=0.02 * np.abs(before).max() ** 0.5)


def test_noise_depends_on_seed_and_track_alone(songs: Collection, tmp_path: Path) -> None:
    every = add_noise(songs, dict.fromkeys(NAMES, True), tmp_path / "every", seed=5).collection
    alone = add_noise(songs, {NAMES[2]: True}, tmp_path / "alone", seed=5).collection
    other = add_noise(songs, {NAMES[2]: True}, tmp_path / "other", seed=6).collection
    np.testing.assert_array_equal(sound(every, NAMES[2]), sound(alone, NAMES[2]))
    assert np.abs(sound(every, NAMES[2]) - sound(other, NAMES[2])).max() > 0.01
    first, second = (sound(every, name) - sound(songs, name) for name in NAMES[:2])
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


def test_blocks_leave_no_seam(songs: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = add_noise(songs, {NAMES[0]: True}, tmp_path / "whole").collection
    monkeypatch.setattr(decode, "CHUNK", 777)
    pieces = add_noise(songs, {NAMES[0]: True}, tmp_path / "pieces").collection
    np.testing.assert_allclose(sound(pieces, NAMES[0]), sound(whole, NAMES[0]), atol=3e-7)


def test_what_is_written_is_kept(songs: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, wanted = tmp_path / "out", dict.fromkeys(NAMES, True)
    write_song = noise._write_song
    left = iter([True, False])

    def cut_off(*words: object) -> None:
        if not next(left):
            raise KeyboardInterrupt
        write_song(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(noise, "_write_song", cut_off)
    with pytest.raises(KeyboardInterrupt):
        add_noise(songs, wanted, out)
    (first,) = out.rglob("*.flac")
    before = first.stat().st_mtime_ns
    monkeypatch.undo()
    done: list[str] = []
    again = add_noise(songs, wanted, out, on_done=lambda track: done.append(track.id))
    assert first.stat().st_mtime_ns == before
    assert done == [track.id for track in again.collection.tracks] == list(NAMES)


def test_other_settings_need_another_folder(songs: Collection, tmp_path: Path) -> None:
    add_noise(songs, {NAMES[0]: True}, tmp_path / "out")
    with pytest.raises(WhosingsError, match="other settings"):
        add_noise(songs, {NAMES[0]: False}, tmp_path / "out")
    with pytest.raises(WhosingsError, match="other settings"):
        add_noise(songs, {NAMES[0]: True}, tmp_path / "out", level_db=-3)


def test_names_survive_any_file_system(tmp_path: Path) -> None:
    names = [
        'A:C?/"one"/con',
        "A:C?/two/x.vocals",
        "A:C?/two/X.vocals",
        "Ñandú 歌/... /" + "长" * 70,
        "CON/b./c",
    ]
    rows = ["artist,album,title,path"]
    for at, name in enumerate(names):
        write(tmp_path / f"{at}.wav", melody(at, 1.0))
        rows.append(",".join('"' + part.replace('"', '""') + '"' for part in name.split("/")) + f",{at}.wav")
    (tmp_path / "songs.csv").write_text("\n".join(rows), encoding="utf-8")
    songs = open_collection(tmp_path / "songs.csv")
    ids = {track.id for track in songs.tracks}
    assert len(ids) == 5
    made = add_noise(songs, dict.fromkeys(ids, False), tmp_path / "out").collection
    assert {track.id for track in made.tracks} == ids
    for name in ids:
        np.testing.assert_array_equal(sound(made, name), sound(songs, name))
    for path in (tmp_path / "out").rglob("*"):
        assert not set(path.name) & set('<>:"/\\|?*')
        assert len(path.name.encode()) < 200
        assert not path.is_dir() or path.name == path.name.rstrip(". ")
        assert path.stem.lower() != "con"
    paths = [str(path).casefold() for path in (tmp_path / "out").rglob("*.flac")]
    assert len(set(paths)) == 5


def test_a_mix_at_a_level_is_made_from_stems(tmp_path: Path) -> None:
    for name in ("Ada/one/a", "Bo/one/b"):
        write(tmp_path / "songs" / f"{name}.vocals.wav", melody(1, 3.0))
        write(tmp_path / "songs" / f"{name}.accompaniment.wav", melody(2, 3.0))
    songs, source = open_collection(tmp_path / "songs"), Source("mix", 6.0)
    made = add_noise(songs, {"Ada/one/a": False}, tmp_path / "out", source=source).collection
    plain = sound(songs, "Ada/one/a", source)
    np.testing.assert_allclose(sound(made, "Ada/one/a"), plain * min(1, 1 / np.abs(plain).max()), atol=2e-7)


def test_damaged_songs_are_told(songs: Collection, tmp_path: Path) -> None:
    (tmp_path / "songs" / "Ada" / "one" / "b.wav").write_bytes(b"no sound")
    written = add_noise(songs, dict.fromkeys(NAMES, True), tmp_path / "out")
    assert list(written.failed) == [NAMES[1]]
    assert "b.wav" in written.failed[NAMES[1]]
    assert [track.id for track in written.collection.tracks] == [NAMES[0], NAMES[2]]
    with pytest.raises(WhosingsError, match="no song could be written"):
        add_noise(songs, {NAMES[1]: True}, tmp_path / "none")


def test_silence_stays_silent(tmp_path: Path) -> None:
    for name in ("Ada/one/a", "Bo/one/b"):
        write(tmp_path / "songs" / f"{name}.wav", np.zeros(RATE, dtype=np.float32))
    songs = open_collection(tmp_path / "songs")
    made = add_noise(songs, {"Ada/one/a": True}, tmp_path / "out").collection
    assert not sound(made, "Ada/one/a").any()


@pytest.mark.parametrize(("low", "high"), [(0, 5000), (5000, 3000), (3000, 3100), (3000, 9000)])
def test_a_band_must_make_sense(songs: Collection, tmp_path: Path, low: float, high: float) -> None:
    with pytest.raises(WhosingsError, match="band"):
        add_noise(songs, {NAMES[0]: True}, tmp_path / "out", low=low, high=high)
    assert not (tmp_path / "out").exists()


def test_unknown_tracks_are_refused(songs: Collection, tmp_path: Path) -> None:
    with pytest.raises(WhosingsError, match="Nobody"):
        add_noise(songs, {"Nobody/x/y": True}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
