from __future__ import annotations

import itertools
import tracemalloc
import warnings
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from tests.audio.sounds import noise, tone
from tests.shared_data import mir1k
from whosings.audio import decode, logmel
from whosings.audio.frontend import KALDI, SINGER, SPEAKER, FrontEnd, mel_filters
from whosings.audio.units import HOP, N_MELS, SAMPLE_RATE
from whosings.models.voiceprint.campplus import FLOOR_DB, NEPERS


def librosa_log_mel(samples: np.ndarray, top_db: float | None = 80.0) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sounds shorter than a window
        power = librosa.feature.melspectrogram(y=samples, sr=16_000, n_fft=2048, hop_length=512, n_mels=128)
    return librosa.power_to_db(power, ref=1.0, top_db=top_db)


def song(samples: int) -> np.ndarray:
    """Tones over noise that comes and goes, with a stretch of digital silence."""
    time = np.arange(samples) / SAMPLE_RATE
    sound = 0.3 * np.sin(2 * np.pi * 220 * time) + 0.1 * noise(samples) * np.sin(2 * np.pi * time) ** 4
    sound[samples // 3 : samples // 2] = 0
    return sound.astype(np.float32)


@pytest.mark.parametrize(
    "samples", [1, 511, 512, 1023, 1024, 2047, 2048, 2049, 65_535, 65_536, 67_071, 67_072, 300_001]
)
def test_log_mel_is_that_of_librosa(samples: int) -> None:
    sound = song(samples)
    ours = logmel.log_mel(sound)
    assert ours.dtype == np.float32
    assert ours.shape == (N_MELS, 1 + samples // HOP)
    np.testing.assert_allclose(ours, librosa_log_mel(sound), atol=1e-3)


def test_the_log_mel_of_kaldi_encoders_is_kaldis() -> None:
    """Kaldi's frames begin where ours have their centre: 120 zeros before put both on the same samples."""
    native = pytest.importorskip("kaldi_native_fbank")
    options = native.FbankOptions()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 80
    sound = song(60_000)
    fbank = native.OnlineFbank(options)
    fbank.accept_waveform(SAMPLE_RATE, sound.tolist())
    fbank.input_finished()
    nepers = np.stack([fbank.get_frame(t) for t in range(fbank.num_frames_ready)], axis=1)
    ours = logmel.log_mel(np.pad(sound, (120, 0)), KALDI)[:, 2 : 2 + nepers.shape[1]]
    ours = np.maximum(ours, FLOOR_DB)  # as the network does
    np.testing.assert_allclose(ours * NEPERS, nepers, atol=5e-3)  # Kaldi computes in single precision


@pytest.mark.parametrize("front_end", [SINGER, SPEAKER, KALDI], ids=lambda front_end: front_end.name)
def test_centres_are_where_filters_peak(front_end: FrontEnd) -> None:
    filters = mel_filters(front_end).toarray()
    heard = filters.max(axis=1) > 0  # some bands lie between two bins
    peaks = filters.argmax(axis=1) * SAMPLE_RATE / front_end.n_fft
    assert front_end.centres.shape == (front_end.n_mels,)
    assert np.abs(front_end.centres - peaks)[heard].max() <= SAMPLE_RATE / front_end.n_fft
    assert heard.mean() > 0.95


def test_centres_are_those_of_librosa_and_kaldi() -> None:
    slaney = librosa.mel_frequencies(N_MELS + 2, fmin=0, fmax=SAMPLE_RATE / 2)[1:-1]
    np.testing.assert_allclose(SINGER.centres, slaney)
    mel = 1127 * np.log(1 + np.array([20, 8000]) / 700)  # Kaldi's scale
    kaldi = 700 * np.expm1(np.linspace(*mel, 82)[1:-1] / 1127)
    np.testing.assert_allclose(KALDI.centres, kaldi, rtol=1e-4)


def test_log_mel_blocks_have_no_floor_but_the_smallest_power() -> None:
    sound = song(100_000)
    ours = np.concatenate(list(logmel.log_mel_blocks([sound])), axis=1)
    assert ours.min() == pytest.approx(-100)
    np.testing.assert_allclose(ours, librosa_log_mel(sound, top_db=None), atol=1e-3)


@pytest.mark.parametrize("lengths", [[1_000], [1, 5_000, 0, 77], [131_072], [400_000], [2_047, 2_049]])
def test_how_the_song_is_cut_makes_no_difference(lengths: list[int]) -> None:
    sound = song(300_001)
    cuts, start = [], 0
    for length in itertools.cycle(lengths):
        cuts.append(sound[start : start + length])
        start += length
        if start >= len(sound):
            break
    whole = np.concatenate(list(logmel.log_mel_blocks([sound])), axis=1)
    parts = np.concatenate(list(logmel.log_mel_blocks(iter(cuts))), axis=1)
    np.testing.assert_array_equal(parts, whole)


def test_a_pure_tone_leaves_no_rounding_noise() -> None:
    sound = tone(2, SAMPLE_RATE, 1_000, 0.9)
    np.testing.assert_allclose(logmel.log_mel(sound), librosa_log_mel(sound), atol=1e-3)


def test_silence_is_the_floor() -> None:
    np.testing.assert_allclose(logmel.log_mel(np.zeros(5_000, np.float32)), -100, atol=1e-4)


def test_a_tone_lies_in_its_band() -> None:
    centres = librosa.mel_frequencies(N_MELS + 2, fmin=0, fmax=SAMPLE_RATE / 2)[1:-1]
    band = logmel.log_mel(tone(2, SAMPLE_RATE, 1_000))[:, 20].argmax()
    assert centres[band] == pytest.approx(1_000, rel=0.05)


def test_apply_top_db_works_in_place_and_block_by_block() -> None:
    whole = logmel.log_mel(song(400_000))
    free = np.concatenate(list(logmel.log_mel_blocks([song(400_000)])), axis=1)
    peak = float(free.max())
    assert free.min() < peak - 80
    for start in range(0, free.shape[1], 100):
        assert logmel.apply_top_db(free[:, start : start + 100], peak) is None
    np.testing.assert_array_equal(free, whole)


def test_nothing_and_wrong_shapes_are_refused() -> None:
    for empty in ([], [np.empty(0, np.float32)]):
        with pytest.raises(ValueError, match="not one sample"):
            list(logmel.log_mel_blocks(empty))
    with pytest.raises(ValueError, match="not one sample"):
        logmel.log_mel(np.empty(0, np.float32))
    with pytest.raises(ValueError, match="shape"):
        logmel.log_mel(np.zeros((2, 5_000), np.float32))


def test_a_file_is_heard_as_librosa_hears_it(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    sound = np.stack([tone(20, 44_100, 330), 0.5 * tone(20, 44_100, 550)], 1) + noise(20 * 44_100)[:, None]
    soundfile.write(path, sound, 44_100)
    ours = logmel.log_mel(decode.read(path))
    expected = librosa_log_mel(librosa.load(path, sr=SAMPLE_RATE)[0])
    np.testing.assert_allclose(ours, expected, atol=1e-3)


def test_real_singing_is_heard_as_librosa_hears_it() -> None:
    path = sorted(mir1k().rglob("*.ogg"))[0]
    ours = logmel.log_mel(decode.read(path))
    np.testing.assert_allclose(ours, librosa_log_mel(librosa.load(path, sr=SAMPLE_RATE)[0]), atol=1e-3)


def test_a_long_stream_takes_little_memory() -> None:
    minute = noise(60 * SAMPLE_RATE)
    list(logmel.log_mel_blocks([minute[:5_000]]))  # what is imported on first use is not counted
    tracemalloc.start()
    try:
        frames = sum(part.shape[1] for part in logmel.log_mel_blocks(minute for _ in range(10)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert frames == 1 + 10 * 60 * SAMPLE_RATE // HOP
    assert peak < 25e6
