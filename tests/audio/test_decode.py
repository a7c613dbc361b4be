from __future__ import annotations

import math
import os
import tracemalloc
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from tests.audio.sounds import noise, tone, write, write_silent_film
from whosings.audio import decode
from whosings.audio.units import SAMPLE_RATE
from whosings.errors import UnreadableSoundError

PLAIN = [".wav", ".flac", ".mp3", ".ogg"]
OTHER = [".m4a", ".opus", ".mp4", ".mkv", ".webm"]


def strip_first_frame(mp3: bytes) -> bytes:
    """Drop the frame with the Xing header: the file no longer says how long it is."""
    return mp3[mp3.index(b"\xff\xfb", 4) :]


def sentence(path: Path, **arguments: int) -> str:
    """The one sentence that reading `path` fails with."""
    with pytest.raises(UnreadableSoundError) as caught:
        decode.read(path, **arguments)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith(".")
    assert "\n" not in message
    assert ". " not in message
    return message


@pytest.mark.parametrize("suffix", PLAIN + OTHER)
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_tone_keeps_its_pitch_and_level(tmp_path: Path, suffix: str, rate: int) -> None:
    if rate == 44_100 and suffix in {".opus", ".webm"}:
        pytest.skip("Opus knows no 44.1 kHz")
    path = write(tmp_path / f"tone{suffix}", [tone(3, rate)] * 2, rate)
    samples = decode.read(path)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    middle = samples[SAMPLE_RATE // 2 :][: 2 * SAMPLE_RATE]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.3 / math.sqrt(2), rel=0.01)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(middle) == pytest.approx(440, abs=0.5)
    assert decode.duration(path) == pytest.approx(len(samples) / SAMPLE_RATE, abs=0.03)
    assert decode.duration(path) == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 96_000])
@pytest.mark.parametrize("extra", [0, 1, 7])
def test_the_samples_are_those_of_librosa(tmp_path: Path, rate: int, extra: int) -> None:
    count = 2 * rate + extra
    path = tmp_path / "noise.wav"
    soundfile.write(path, np.stack([noise(count, 1), noise(count, 2)], 1), rate, subtype="FLOAT")
    samples = decode.read(path)
    expected, _ = librosa.load(path, sr=SAMPLE_RATE)
    assert len(samples) == math.ceil(count * SAMPLE_RATE / rate)
    np.testing.assert_allclose(samples, expected, atol=2e-6)


def test_one_sample_is_enough(tmp_path: Path) -> None:
    for rate in (8_000, 16_000, 44_100):
        path = write(tmp_path / f"{rate}.wav", [np.full(1, 0.5, np.float32)], rate)
        assert len(decode.read(path)) == math.ceil(SAMPLE_RATE / rate)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".m4a"])
def test_channels_are_picked_and_averaged(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"two{suffix}", [tone(2, 16_000, 440), tone(2, 16_000, 1_000, 0.1)], 16_000)
    left, right, both = (decode.read(path, channel) for channel in (0, 1, None))
    assert np.std(left[4_000:20_000]) == pytest.approx(0.3 / math.sqrt(2), rel=0.02)
    assert np.std(right[4_000:20_000]) == pytest.approx(0.1 / math.sqrt(2), rel=0.02)
    np.testing.assert_allclose(both, (left + right) / 2, atol=1e-6)


def test_a_channel_that_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "two.wav", [tone(0.1, 16_000)] * 2, 16_000)
    assert "no channel 2 among its 2" in sentence(path, channel=2)
    assert "no channel -1 among its 2" in sentence(path, channel=-1)


def test_the_mean_of_more_than_two_channels(tmp_path: Path) -> None:
    path = tmp_path / "five.wav"
    sound = np.stack([noise(4_000, seed) for seed in range(5)], 1)
    soundfile.write(path, sound, 16_000, subtype="FLOAT")
    np.testing.assert_allclose(decode.read(path), sound.mean(axis=1), atol=1e-6)


def test_a_long_file_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    minute = noise(60 * 44_100)
    with soundfile.SoundFile(path, "w", 44_100, 1) as file:
        for _ in range(30):
            file.write(minute)
    next(decode.blocks(path))  # what is imported on first use is not counted
    tracemalloc.start()
    try:
        total = sum(len(block) for block in decode.blocks(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == 30 * 60 * SAMPLE_RATE
    assert peak < 10e6


def test_an_mp3_without_a_length_is_heard_to_its_end(tmp_path: Path) -> None:
    loud_then_silent = np.concatenate([noise(10 * 44_100, level=0.3), np.zeros(20 * 44_100, np.float32)])
    whole = tmp_path / "whole.mp3"
    soundfile.write(whole, loud_then_silent, 44_100, compression_level=0.5, bitrate_mode="VARIABLE")
    bare = tmp_path / "bare.mp3"
    bare.write_bytes(strip_first_frame(whole.read_bytes()))
    assert decode.duration(whole) == pytest.approx(30)
    assert decode.duration(bare) == pytest.approx(30, abs=0.1)
    assert len(decode.read(bare)) / SAMPLE_RATE == pytest.approx(30, abs=0.1)


def test_bare_aac_frames_are_counted(tmp_path: Path) -> None:
    quiet_then_loud = np.concatenate([np.zeros(20 * 44_100, np.float32), noise(5 * 44_100, level=0.3)])
    path = write(tmp_path / "bare.aac", [quiet_then_loud], 44_100)
    assert decode.duration(path) == pytest.approx(25, abs=0.1)


@pytest.mark.parametrize("junk", [bytes(6_000), b"LYRICSBEGIN" + b"la " * 900, b"TAG" + bytes(125)])
@pytest.mark.parametrize("bare", [False, True])
def test_junk_behind_an_mp3_is_no_damage(tmp_path: Path, junk: bytes, bare: bool) -> None:
    path = write(tmp_path / "song.mp3", [noise(5 * 44_100)], 44_100)
    body = path.read_bytes()
    path.write_bytes((strip_first_frame(body) if bare else body) + junk)
    assert len(decode.read(path)) / SAMPLE_RATE == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".ogg"])
def test_a_file_cut_short_is_heard_as_far_as_it_goes(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / f"song{suffix}", [noise(10 * 44_100)], 44_100)
    body = path.read_bytes()
    path.write_bytes(body[: len(body) // 2])
    assert 4 < len(decode.read(path)) / SAMPLE_RATE < 6
    assert decode.duration(path) == pytest.approx(len(decode.read(path)) / SAMPLE_RATE, abs=0.01)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", [".mp3", ".m4a"])
def test_less_than_a_second_of_a_song_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"song{suffix}", [noise(20 * 44_100)], 44_100)
    body = path.read_bytes()
    path.write_bytes(body[: len(body) // 40])
    sentence(path)


def test_a_damaged_flac_says_when(tmp_path: Path) -> None:
    path = write(tmp_path / "song.flac", [noise(10 * 44_100)], 44_100)
    body = path.read_bytes()
    path.write_bytes(body[: len(body) // 2])
    assert "damaged after 4" in sentence(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20])
def test_samples_that_are_no_sound(tmp_path: Path, value: float) -> None:
    sound = noise(200_000)
    sound[150_000] = value
    path = tmp_path / "bad.wav"
    soundfile.write(path, sound, 16_000, subtype="FLOAT")
    assert "NaN" in sentence(path)


def test_infinities_that_cancel_are_found(tmp_path: Path) -> None:
    path = tmp_path / "bad.wav"
    soundfile.write(path, np.array([[np.inf, -np.inf]] * 10), 16_000, subtype="FLOAT")
    assert "NaN" in sentence(path)


def test_there_is_no_such_file(tmp_path: Path) -> None:
    assert "no such file" in sentence(tmp_path / "none.wav")
    with pytest.raises(UnreadableSoundError, match="no such file"):
        decode.duration(tmp_path / "none.wav")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "folder" in sentence(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", [tone(0.1, 16_000)], 16_000)
    path.chmod(0)
    assert "cannot be opened" in sentence(path)


@pytest.mark.parametrize("suffix", [*PLAIN, *OTHER, ".raw", ""])
def test_what_is_no_sound(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"text{suffix}"
    path.write_bytes(b"")
    assert "empty" in sentence(path)
    path.write_text("These are words, and not at all sound.\n" * 100)
    sentence(path)
    with pytest.raises(UnreadableSoundError):
        decode.duration(path)


def test_a_playlist_reaches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    sentence(path)


def test_no_samples_at_all(tmp_path: Path) -> None:
    path = tmp_path / "none.wav"
    soundfile.write(path, np.empty(0), 44_100)
    assert "not one sample" in sentence(path)
    with pytest.raises(UnreadableSoundError, match="not one sample"):
        decode.duration(path)


def test_a_film_without_sound(tmp_path: Path) -> None:
    assert "no audio stream" in sentence(write_silent_film(tmp_path / "silent.mp4"))


def test_names_with_odd_characters(tmp_path: Path) -> None:
    for name in ("Live: song #1 %20.m4a", "åäö 日本.wav"):
        assert len(decode.read(write(tmp_path / name, [tone(1, 16_000)], 16_000))) >= SAMPLE_RATE


def test_a_relative_name_with_a_colon_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "http:song.m4a", [tone(1, 16_000)], 16_000)
    monkeypatch.chdir(tmp_path)
    assert len(decode.read(Path("http:song.m4a"))) >= SAMPLE_RATE


def test_what_a_folder_scan_takes_for_sound() -> None:
    for name in ("a.wav", "a.MP3", "a.b.flac", "a.webm", "a.opus"):
        assert decode.is_sound(Path(name)), name
    for name in ("a.txt", "a.jpg", "mp3", "._a.mp3", ".wav", "a.wav.part"):
        assert not decode.is_sound(Path(name)), name
