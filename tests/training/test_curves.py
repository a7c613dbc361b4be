from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import image

from whosings.drawing import INK, VERMILION
from whosings.errors import WhosingsError
from whosings.training.curves import learning_curves

KEYS = {"losses": ["main", "effect"], "scores": ["f1"]}


def share_of(colour: str, path: Path) -> float:
    """How much of a picture has about this colour, 0 to 1."""
    pixels = image.imread(path)[:, :, :3]
    return float(np.mean(np.all(np.abs(pixels - np.array(mpl.colors.to_rgb(colour))) < 0.02, axis=-1)))


def test_they_mark_what_is_asked_and_leave_gaps(tmp_path: Path) -> None:
    history = [{"epoch": epoch, "main": 1 / (1 + epoch), "f1": epoch / 10} for epoch in range(8)]
    for row in history[4:]:
        row["effect"] = 2.0
    history[0]["f1"] = float("nan")
    plain, marked = tmp_path / "plain.png", tmp_path / "marked.png"
    learning_curves(plain, history, **KEYS)
    learning_curves(marked, history, **KEYS, best_epoch=7, second_step_epoch=4, title="a run")
    assert share_of(VERMILION, plain) > 0
    assert share_of(INK, marked) > share_of(INK, plain)
    learning_curves(tmp_path / "short.png", history[:1], **KEYS)


def test_no_epoch_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WhosingsError, match=r"no\.png: there is no epoch"):
        learning_curves(tmp_path / "no.png", [], **KEYS)
    assert not list(tmp_path.iterdir())
