"""Learning curves: the loss terms and the validation scores of a run, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from whosings.drawing import DASHES, FAINT, INK, LINES, page, short
from whosings.errors import WhosingsError


def learning_curves(
    path: Path,
    history: Sequence[Mapping[str, float]],
    *,
    losses: Sequence[str],
    scores: Sequence[str],
    best_epoch: int | None = None,
    second_step_epoch: int | None = None,
    title: str = "",
) -> None:
    """
    Draw the loss terms `losses` above and the validation figures `scores` (0 to 1) below, over epochs.

    Each row of `history` has a key `epoch` and the keys named; where one of these is missing or NaN (a term
    of the second step in the first), its line has a gap. `best_epoch` and `second_step_epoch` are marked on
    both. Without `scores` there is one panel.

    Raises WhosingsError where `history` is empty or `path` cannot be written.
    """
    if not history:
        raise WhosingsError(f"{path}: there is no epoch to draw yet.")
    epochs = np.array([row["epoch"] for row in history])
    with page(path, 7.5, 5.2) as figure:
        panels = [("loss terms", losses), *([("validation", scores)] if scores else [])]
        rows = figure.subplots(len(panels), sharex=True, height_ratios=(3, 2)[: len(panels)], squeeze=False)
        for axes, (name, keys) in zip(rows[:, 0], panels, strict=True):
            for index, key in enumerate(keys):
                values = np.array([row.get(key, np.nan) for row in history], dtype=np.float64)
                colour, dash = LINES[index % len(LINES)], DASHES[index // len(LINES) % len(DASHES)]
                marker = "o" if np.isfinite(values).sum() == 1 else ""
                axes.plot(epochs, values, color=colour, linestyle=dash, marker=marker, label=short(key))
            axes.set_ylabel(name)
            axes.grid(axis="y", color=FAINT, alpha=0.3, linewidth=0.6)
            _mark(axes, second_step_epoch, "second step", FAINT)
            _mark(axes, best_epoch, "best epoch", INK)
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
            if keys is scores:
                axes.set_ylim(0, 1.02)
        rows[0, 0].set_title(title)
        axes.set(xlabel="epoch", xlim=(epochs.min() - 0.5, epochs.max() + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.align_ylabels()


def _mark(axes: Axes, epoch: int | None, name: str, colour: str) -> None:
    """Mark an epoch by a vertical line that the legend names."""
    if epoch is not None:
        axes.axvline(epoch, color=colour, linewidth=0.9, linestyle=(0, (4, 2)), label=f"{name} ({epoch})")
