"""The real encoder on a sound: what a print is, in either precision; and encoders of runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.collection.sounds import melody, write
from whosings.audio.frontend import KALDI, SPEAKER
from whosings.collection.track import Source
from whosings.errors import WhosingsError
from whosings.files import sha256_of
from whosings.models import ModelCard, create, save_model
from whosings.models.store import WEIGHTS, save_card
from whosings.models.voiceprint.pretrained import WEIGHTS as PRETRAINED
from whosings.voices.encoder import Voiceprinter


def test_prints_of_machines_with_and_without_bfloat16_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "song.wav", melody(1, 6.0))
    prints = {}
    for multiplies in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=multiplies: {"avx512_bf16": able})
        prints[multiplies] = Voiceprinter()(path).vectors
        assert prints[multiplies].dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(prints[multiplies], axis=1), 1, atol=1e-5)
    if not torch.cuda.is_available():
        assert not np.array_equal(prints[True], prints[False])
    assert (prints[True] * prints[False]).sum(axis=1).min() > 0.999


def test_the_pretrained_encoder_hears_mixes_as_they_are() -> None:
    printer = Voiceprinter()
    assert printer.source == Source() and printer.hearing.front_end == KALDI
    assert printer.id == f"campplus {PRETRAINED['campplus'].sha256[:12]}, mix"
    ecapa = Voiceprinter(system="voiceprint")
    assert ecapa.source == Source() and ecapa.hearing.front_end == SPEAKER
    assert ecapa.id == f"ecapa {PRETRAINED['ecapa'].sha256[:12]}, mix"


def _run(folder: Path, system: str, **heard: str) -> Path:
    """Write an untrained network as a run."""
    torch.manual_seed(0)
    card = ModelCard(system=system, singers=["Ada", "Bo"], window_seconds=5, **heard)
    save_model(folder, create(system, 2), card)
    return folder


def test_a_run_hears_what_it_was_trained_on(tmp_path: Path) -> None:
    run = _run(tmp_path / "mix", "voiceprint_campplus")
    printer = Voiceprinter(run)
    assert (
        printer.id == f"campplus {sha256_of(run / WEIGHTS)[:12]}, mix" and printer.hearing.front_end == KALDI
    )
    prints = printer(write(tmp_path / "song.wav", melody(1, 6.0)))
    assert prints.vectors.shape == (len(prints.starts), printer.dim)
    np.testing.assert_allclose(np.linalg.norm(prints.vectors, axis=1), 1, atol=1e-5)

    run = _run(tmp_path / "vocals", "voiceprint", source="vocals", separator="spleeter")
    printer = Voiceprinter(run)
    assert printer.id == f"ecapa {sha256_of(run / WEIGHTS)[:12]}, vocals by spleeter"
    assert printer.source == Source("vocals", None, "spleeter") and printer.hearing.front_end == SPEAKER


def test_a_run_without_voiceprints_is_refused(tmp_path: Path) -> None:
    save_card(tmp_path, ModelCard(system="crnn", singers=["Ada", "Bo"], window_seconds=5))
    with pytest.raises(WhosingsError, match="a run of the recipe voiceprint or voiceprint_campplus"):
        Voiceprinter(tmp_path)
