"""What spoke for a singer in a song: the heat over all of it, and the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

import whosings
from tests.collection.sounds import melody, write
from whosings.collection.features import FeatureStore
from whosings.collection.track import Source
from whosings.collection.windows import window_starts
from whosings.errors import WhosingsError
from whosings.evidence.explain import explain, song_heat
from whosings.evidence.gradcam import grad_cam
from whosings.identify.ladder import Track2Windows, Windows, lone_track
from whosings.models import ModelCard, create, load_model, save_model

SINGERS = ["Ada", "Bo", "[live] <a>", "Dee"]
LENGTH = 94  # frames of 3 s


@pytest.fixture(scope="module", params=["crnn", "crnn_fgnl"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model, made to have opinions: larger weights in its last layer."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(4)
    network = create(request.param, len(SINGERS))
    with torch.no_grad():
        network.get_parameter("head.dense.weight").mul_(20)
    save_model(folder, network, ModelCard(system=request.param, singers=SINGERS, window_seconds=3))
    return folder


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven seconds: three windows of 3 s and a fourth that overlaps."""
    return write(tmp_path_factory.mktemp("song") / "song.flac", melody(1, 11.0))


@pytest.fixture
def windows(song: Path, tmp_path: Path) -> Windows:
    return Track2Windows(FeatureStore(tmp_path / "cache"), Source(), 3)(lone_track(song))


def test_the_heat_covers_the_song_to_its_last_piece(run: Path, windows: Windows) -> None:
    """Window by window with Grad-CAM alone; the larger counts where two overlap."""
    network, _ = load_model(run)
    expected = np.zeros(windows.log_mel.shape, dtype=np.float32)
    for start in windows.starts:
        piece = np.array(windows.log_mel[:, start : start + LENGTH])[None]
        layer = cast(nn.Module, network.cam_layer)
        alone = grad_cam(network, layer, torch.from_numpy(piece), 1)[0].numpy()
        expected[:, start : start + LENGTH] = np.maximum(expected[:, start : start + LENGTH], alone)
    heat = song_heat(network, windows, 1)
    assert heat.shape == windows.log_mel.shape == (128, 344)
    np.testing.assert_allclose(heat, expected, atol=1e-3)
    assert heat.min() >= 0
    assert heat.max() == pytest.approx(1)
    assert heat[:, 282:].max() > 0  # beyond the third window


def test_the_network_is_left_as_it_was(run: Path, windows: Windows) -> None:
    network, _ = load_model(run)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    song_heat(network, windows, 0)
    assert not any(module.training for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_song_shorter_than_a_window(run: Path, windows: Windows) -> None:
    short = Windows(windows.log_mel[:, :20], window_starts(20, LENGTH), LENGTH)
    heat = song_heat(load_model(run)[0], short, 2)
    assert heat.shape == (128, 20)
    assert 0 <= heat.min() <= heat.max() <= 1


def test_many_windows_go_in_batches(run: Path, monkeypatch: pytest.MonkeyPatch, windows: Windows) -> None:
    network, _ = load_model(run)
    whole = song_heat(network, windows, 0)
    monkeypatch.setattr("whosings.evidence.explain.BATCH", 3)
    batch = Windows.batch
    monkeypatch.setattr(Windows, "batch", lambda self, first: batch(self, first, 3))
    np.testing.assert_allclose(song_heat(network, windows, 0), whole, atol=1e-3)


def test_the_answer_and_its_seconds_are_the_identifiers(
    run: Path, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[Any, ...]] = []
    monkeypatch.setattr("whosings.evidence.explain.song_picture", lambda *words: drawn.append(words))
    network, card = load_model(run)
    found = explain(network, card, lone_track(song), FeatureStore(tmp_path), tmp_path / "p.png", "T")
    answer = whosings.load(run).identify(song)
    assert (found.answer.singer, found.answer.runner_up) == (answer.singer, answer.runner_up)
    assert found.answer.confidence == pytest.approx(answer.confidence, abs=5e-5)
    assert found.listen_from == pytest.approx(answer.listen_from, abs=0.005)
    assert found.listen_to == pytest.approx(answer.listen_to, abs=0.02)
    ((path, log_mel, heat, probabilities, starts, singers, title),) = drawn
    assert (path, title, singers) == (tmp_path / "p.png", "T", SINGERS)
    assert log_mel.shape == heat.shape == (128, 344)
    assert probabilities.shape == (4, 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert list(starts) == pytest.approx([0, 3.008, 6.016, 8.0])
    code = SINGERS.index(answer.singer)
    np.testing.assert_allclose(
        heat, song_heat(network, Windows(log_mel, window_starts(344, LENGTH), LENGTH), code), atol=1e-3
    )


def test_a_picture_is_written(run: Path, song: Path, tmp_path: Path) -> None:
    network, card = load_model(run)
    explain(network, card, lone_track(song), FeatureStore(tmp_path / "cache"), tmp_path / "song.png", "$ <a>")
    assert (tmp_path / "song.png").read_bytes().startswith(b"\x89PNG")


def test_an_unreadable_song_draws_nothing(run: Path, tmp_path: Path) -> None:
    network, card = load_model(run)
    store = FeatureStore(tmp_path / "cache")
    with pytest.raises(WhosingsError, match=r"none\.wav"):
        explain(network, card, lone_track(tmp_path / "none.wav"), store, tmp_path / "song.png")
    assert not (tmp_path / "song.png").exists()
