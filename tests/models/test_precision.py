"""What answers in bfloat16, what does not, and how near the answers are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from whosings.audio.frontend import SPEAKER
from whosings.collection.windows import Features
from whosings.identify.ladder import Windows, Windows2LogProbabilities
from whosings.models import create
from whosings.models.precision import answering, multiplies_bfloat16
from whosings.models.voiceprint.network import Voiceprint
from whosings.models.voiceprint.pretrained import load_pretrained
from whosings.training.recipe import load_recipe
from whosings.training.run import precision_of


def able(monkeypatch: pytest.MonkeyPatch, **what: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: what)


@pytest.mark.parametrize(
    ("what", "multiplies"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx512_bf16": False, "avx512_f": True}, False),
        ({}, False),
    ],
)
def test_training_and_answers_agree_on_what_a_cpu_can_do(
    what: dict[str, bool], multiplies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    able(monkeypatch, **what)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert multiplies_bfloat16("cpu") == multiplies
    assert precision_of(load_recipe("crnn")) == ("bf16-mixed" if multiplies else "32-true")


@pytest.mark.parametrize("multiplies", [True, False])
def test_a_gpu_that_only_emulates_bfloat16_does_not_count(
    multiplies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    able(monkeypatch, avx512_bf16=not multiplies)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: multiplies)
    assert multiplies_bfloat16(torch.device("cuda", 0)) == multiplies_bfloat16("cuda") == multiplies
    assert precision_of(load_recipe("crnn")) == ("bf16-mixed" if multiplies else "32-true")


def test_only_a_speaker_encoder_answers_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, paper = Voiceprint(2), create("crnn", 2)
    able(monkeypatch, avx512_bf16=True)
    for network, expected in ((encoder, True), (nn.Sequential(encoder), True), (paper, False)):
        with answering(network, "cpu"):
            assert torch.is_autocast_enabled("cpu") == expected
    able(monkeypatch)
    with answering(encoder, "cpu"):
        assert not torch.is_autocast_enabled("cpu")


def test_answers_are_nearly_those_of_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window's voiceprint keeps its direction, and probabilities move by little."""
    torch.manual_seed(0)
    network = Voiceprint(4)
    load_pretrained(network)
    log_mel = np.random.default_rng(0).normal(-40, 10, (80, 600)).astype(np.float32)
    windows = Windows(Features(log_mel, front_end=SPEAKER), np.array([0, 300]), 300)
    rows, prints = {}, {}
    for multiplies in (True, False):
        able(monkeypatch, amx_bf16=multiplies)
        rows[multiplies] = Windows2LogProbabilities(network)(windows)
        with torch.inference_mode(), answering(network, "cpu"):
            prints[multiplies] = network.embed(windows.batch(0)).float()
    assert rows[True].dtype == rows[False].dtype == np.float32
    assert not np.array_equal(rows[True], rows[False])
    np.testing.assert_allclose(np.exp(rows[True]), np.exp(rows[False]), atol=0.03)
    assert torch.cosine_similarity(prints[True], prints[False]).min() > 0.999
