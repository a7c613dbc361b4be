from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

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


def test_without_scores_there_is_one_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    subplots = Figure.subplots

    def count(self: Figure, rows: int, *more: Any, **settings: Any) -> Any:
        drawn.append(rows)
        return subplots(self, rows, *more, **settings)

    monkeypatch.setattr(Figure, "subplots", count)
    history = [{"epoch": epoch, "train/main": 1.0, "validation/f1_macro": 0.5} for epoch in range(3)]
    for scores in ([], ["validation/f1_macro"]):
        learning_curves(tmp_path / "curves.png", history, losses=["train/main"], scores=scores)
    assert drawn == [1, 2]
