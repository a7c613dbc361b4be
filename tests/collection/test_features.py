from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from tests.collection.sounds import melody, track_of, write
from whosings.audio import decode, logmel
from whosings.collection import features
from whosings.collection.features import FeatureStore, default_cache
from whosings.collection.track import Part, SoundFile, Source, Track
from whosings.errors import UnreadableSoundError, WhosingsError


def files(store: FeatureStore) -> list[Path]:
    return sorted(store.root.rglob("*.npy"))


def test_equals_the_log_mel_of_the_whole_song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "BLOCK_FRAMES", 50)
    song = np.concatenate([melody(1, 5.0), 1e-5 * melody(2, 5.0)])
    path = write(tmp_path / "a.flac", song)
    found = FeatureStore(tmp_path / "store").log_mel(track_of(path), Source())
    expected = logmel.log_mel(decode.read(path))
    assert found.shape == expected.shape == (128, 1 + len(song) // 512)
    assert found.dtype == np.float32 and isinstance(found, np.memmap)
    assert found.flags.f_contiguous and not found.flags.writeable
    np.testing.assert_array_equal(found, expected)
    assert found.min() == pytest.approx(found.max() - 80)


def test_is_computed_once_for_a_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.wav", melody(1))
    store = FeatureStore(tmp_path / "store")
    first = np.array(store.log_mel(track_of(path), Source()))
    moved = tmp_path / "b.wav"
    moved.write_bytes(path.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(features, "_write_log_mel", lambda *_: pytest.fail("computed again"))
        patch.setattr(features, "sha256_of", lambda p: pytest.fail("read again") if p == path else real(p))
        np.testing.assert_array_equal(FeatureStore(store.root).log_mel(track_of(path), Source()), first)
        np.testing.assert_array_equal(store.log_mel(track_of(moved), Source()), first)
    write(path, melody(2))
    assert not np.array_equal(store.log_mel(track_of(path), Source()), first)
    assert len(files(store)) == 2


real = features.sha256_of


def test_settings_make_keys(tmp_path: Path) -> None:
    voice, band = (SoundFile(write(tmp_path / f"{n}.wav", melody(n))) for n in range(2))
    track = Track("Ada", "One", "Song", (Part(vocals=voice, accompaniment=band),))
    store = FeatureStore(tmp_path / "store")
    sources = [
        Source("mix"),
        Source("mix", 0.0),
        Source("mix", 3.0),
        Source("vocals"),
        Source("accompaniment"),
    ]
    assert len({store.key(track, source) for source in sources}) == 5
    assert store.key(track, Source("vocals", 3.0)) == store.key(track, Source("vocals"))
    twice = Track("Ada", "One", "Song", track.parts * 2)
    assert store.key(twice, Source()) != store.key(track, Source())
    left = Track("Ada", "One", "Song", (Part(mix=SoundFile(voice.path, 0)),))
    assert store.key(left, Source()) != store.key(track_of(voice.path), Source())
    assert store.key(track, Source(), (1, 2)) != store.key(track, Source(), (1, 3))


def test_a_song_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "a.wav", melody(1)), tmp_path / "bad.wav"
    bad.write_bytes(b"no sound" * 100)
    store = FeatureStore(tmp_path / "store")
    with pytest.raises(UnreadableSoundError, match=r"bad\.wav"):
        store.log_mel(track_of(good, bad), Source())
    with pytest.raises(UnreadableSoundError, match=r"gone\.wav"):
        store.log_mel(track_of(tmp_path / "gone.wav"), Source())
    assert not [path for path in (store.root / "log-mel").rglob("*") if path.is_file()]


def test_a_store_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", melody(1))
    (tmp_path / "store").write_text("a file")
    with pytest.raises(WhosingsError) as caught:
        FeatureStore(tmp_path / "store").log_mel(track_of(path), Source())
    assert "\n" not in str(caught.value)


def test_prepare_reports_the_bad_and_goes_on(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.wav", melody(n)) for n in range(3)]
    paths[1].write_bytes(b"")
    tracks = [Track("Ada", "One", path.stem, track_of(path).parts) for path in paths]
    told: list[tuple[str, bool]] = []
    store = FeatureStore(tmp_path / "store")
    errors = store.prepare(
        tracks, Source(), on_done=lambda track, error: told.append((track.title, error is None))
    )
    assert list(errors) == ["Ada/One/1"] and "1.wav" in str(errors["Ada/One/1"])
    assert sorted(told) == [("0", True), ("1", False), ("2", True)]
    assert len(files(store)) == 2


def _compute(root: Path, path: Path) -> float:
    return float(FeatureStore(root).log_mel(track_of(path), Source()).sum())


def test_two_processes_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", melody(1, 60.0))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        sums = pool.starmap(_compute, [(tmp_path / "store", path)] * 4, chunksize=1)
    assert len(set(sums)) == 1
    assert len([file for file in (tmp_path / "store" / "log-mel").rglob("*") if file.is_file()]) == 1


def test_the_cache_is_where_it_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOSINGS_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("WHOSINGS_CACHE")
    assert default_cache().name == "whosings" and os.environ.get("WHOSINGS_CACHE") is None
