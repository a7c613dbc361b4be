from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.collection.sounds import melody, track_of, write
from whosings.audio import decode
from whosings.collection.sound import track_blocks
from whosings.collection.track import Part, SoundFile, Source, Track
from whosings.errors import UnreadableSoundError, WhosingsError


def heard(track: Track, source: Source) -> np.ndarray:
    return np.concatenate(list(track_blocks(track, source)))


def stems(tmp_path: Path, parts: int = 2, silent: bool = False) -> Track:
    made = []
    for number in range(parts):
        voice = write(
            tmp_path / f"v{number}.wav", melody(number, 2.0) * (0.0 if silent else 0.1 * (number + 1))
        )
        band = write(tmp_path / f"a{number}.wav", melody(50 + number, 2.5))
        made.append(Part(vocals=SoundFile(voice), accompaniment=SoundFile(band)))
    return Track("Ada", "One", "Song", tuple(made))


def test_parts_follow_each_other(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.wav", melody(n, 1.0 + n)) for n in range(2)]
    expected = np.concatenate([decode.read(path) for path in paths])
    np.testing.assert_array_equal(heard(track_of(*paths), Source()), expected)


def test_a_recorded_mix_is_taken_as_it_is(tmp_path: Path) -> None:
    mix = write(tmp_path / "m.wav", melody(9, 2.0))
    part = stems(tmp_path, 1).parts[0]
    track = Track("Ada", "One", "Song", (Part(SoundFile(mix), part.vocals, part.accompaniment),))
    np.testing.assert_array_equal(heard(track, Source()), decode.read(mix))
    assert not np.allclose(heard(track, Source("mix", 0.0)), decode.read(mix))


def test_stems_are_summed_up_to_the_shorter(tmp_path: Path) -> None:
    track = stems(tmp_path, 1)
    voice, band = decode.read(tmp_path / "v0.wav"), decode.read(tmp_path / "a0.wav")
    np.testing.assert_allclose(heard(track, Source()), voice + band[: len(voice)], atol=1e-7)
    np.testing.assert_array_equal(heard(track, Source("accompaniment")), band)


@pytest.mark.parametrize("level", [-6.0, 0.0, 10.0])
def test_each_part_is_mixed_at_the_level(tmp_path: Path, level: float) -> None:
    mix = heard(stems(tmp_path), Source("mix", level))
    for number, part in enumerate(np.split(mix, 2)):
        voice = decode.read(tmp_path / f"v{number}.wav")
        band = part - voice
        assert 10 * np.log10(np.sum(voice**2) / np.sum(band**2)) == pytest.approx(level, abs=0.01)
        original = decode.read(tmp_path / f"a{number}.wav")[: len(band)]
        assert np.corrcoef(band, original)[0, 1] > 0.999


def test_beside_a_silent_voice_the_band_stays(tmp_path: Path) -> None:
    mix = heard(stems(tmp_path, 1, silent=True), Source("mix", 0.0))
    np.testing.assert_allclose(mix, decode.read(tmp_path / "a0.wav")[: len(mix)], atol=1e-7)


@pytest.mark.parametrize("source", [Source("vocals"), Source("accompaniment"), Source("mix", 0.0)])
def test_what_a_track_lacks_is_said(tmp_path: Path, source: Source) -> None:
    track = track_of(write(tmp_path / "a.wav", melody(1, 1.0)))
    with pytest.raises(WhosingsError, match=r"^Ada/One/Song has no .* stem"):
        heard(track, source)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSoundError, match=r"gone\.wav"):
        heard(track_of(tmp_path / "gone.wav"), Source())
