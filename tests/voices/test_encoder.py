"""The real encoder on a sound: what a print is, in either precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.collection.sounds import melody, write
from whosings.voices.encoder import Voiceprinter


def test_prints_of_machines_with_and_without_bfloat16_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "song.wav", melody(1, 6.0))
    prints = {}
    for multiplies in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=multiplies: {"avx512_bf16": able})
        prints[multiplies] = Voiceprinter(None, "stems")(path).vectors
        assert prints[multiplies].dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(prints[multiplies], axis=1), 1, atol=1e-5)
    if not torch.cuda.is_available():
        assert not np.array_equal(prints[True], prints[False])
    assert (prints[True] * prints[False]).sum(axis=1).min() > 0.999
