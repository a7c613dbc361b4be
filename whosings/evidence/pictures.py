"""Pictures for reports: confusion, reliability, and a song with what spoke for its singer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from whosings.audio.frontend import SINGER, FrontEnd
from whosings.audio.units import TOP_DB
from whosings.drawing import BLUE, FAINT, INK, VERMILION, page, short
from whosings.errors import WhosingsError
from whosings.evidence.metrics import ReliabilityBin, calibration_error

MOST_NUMBERS = 30  # singers up to which a confusion matrix shows its counts
MOST_ROWS = 9  # of a song's ribbon; where more singers win a window, the last row holds the rarest
MOST_COLUMNS = 4000  # of a spectrogram, more than its pixels; matplotlib would need 1 GB for an hour
MEL_TICKS = (250, 500, 1000, 2000, 4000)  # Hz


def confusion_matrix(path: Path, matrix: np.ndarray, labels: Sequence[str], title: str = "") -> None:
    """
    Draw the counts `matrix` (S, S), rows true singers, columns answers, both in the order of `labels`.

    The colour is the share of the row, so that singers with few songs are seen as well.

    Raises WhosingsError where shapes do not fit or `path` cannot be written.
    """
    matrix = np.asarray(matrix)
    singers = len(labels)
    if not singers or matrix.shape != (singers, singers):
        raise WhosingsError(
            f"{path}: a confusion matrix of {singers} singers cannot have shape {matrix.shape}."
        )
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(0.27 * singers, 2.2, 12))  # inches
    with page(path, side + 2.8, side + 2.2) as figure:
        axes = figure.add_subplot()
        image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        size = min(8.0, 72 * side / singers * 0.8)  # points: a row is no lower than its name
        names = [short(label) for label in labels]
        axes.set_xticks(range(singers), names, rotation=90, fontsize=size)
        axes.set_yticks(range(singers), names, fontsize=size)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(True)
        axes.set(xlabel="answer", ylabel="true singer", title=title)
        if singers <= MOST_NUMBERS:
            for row, column in zip(*np.nonzero(matrix), strict=True):
                colour = "white" if share[row, column] > 0.55 else INK
                number = f"{matrix[row, column]:g}"
                axes.text(column, row, number, ha="center", va="center", color=colour, fontsize=size * 0.8)
        _colour_bar(figure, image, axes, "share of the true singer's items")


def reliability_diagram(path: Path, table: Sequence[ReliabilityBin], title: str = "") -> None:
    """
    Draw how often each bin of confidence is right, and below how many items it holds.

    Raises WhosingsError where `table` is empty or `path` cannot be written.
    """
    if not table:
        raise WhosingsError(f"{path}: there is no answer whose confidence could be drawn.")
    left = [row.lower for row in table]
    width = [row.upper - row.lower for row in table]
    with page(path, 4.4, 5.2) as figure:
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(4, 1))
        accuracy = [row.accuracy for row in table]
        upper.bar(
            left, accuracy, width, align="edge", color=BLUE, alpha=0.35, edgecolor="white", linewidth=0.8
        )
        upper.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1, label="honest")
        confidence = [row.confidence for row in table]
        upper.plot(confidence, accuracy, "o", color=BLUE, markersize=4, label="mean of a bin")
        upper.legend(
            loc="upper left", title=f"calibration error {calibration_error(table):.3f}", title_fontsize=8
        )
        upper.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1), title=title)
        lower.bar(left, [row.count for row in table], width, align="edge", color=FAINT, edgecolor="white")
        lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        lower.set(xlabel="confidence", ylabel="items")
        figure.align_ylabels()


def song_picture(
    path: Path,
    log_mel: np.ndarray,
    heat: np.ndarray | None,
    window_probabilities: np.ndarray,
    starts_seconds: Sequence[float] | np.ndarray,
    singers: Sequence[str],
    title: str = "",
    front_end: FrontEnd = SINGER,
) -> None:
    """
    Draw a song: its spectrogram, what spoke for the singer over it, and who is heard in each window below.

    `log_mel` (n_mels, frames) of `front_end` is in dB, `heat` of the same shape from 0 to 1 or None,
    `window_probabilities` (W, S) in the order of `singers`, `starts_seconds` (W,) ascending. The ribbon has a
    row for each singer who wins a window, the most frequent first. A window is shown from its start to the
    next one's; the darker, the surer.

    Raises WhosingsError where shapes do not fit or `path` cannot be written.
    """
    log_mel, probabilities = np.asarray(log_mel), np.asarray(window_probabilities)
    starts = np.asarray(starts_seconds, dtype=np.float64)
    fits = log_mel.ndim == 2 and log_mel.shape[0] == front_end.n_mels and log_mel.shape[1] > 0
    fits = fits and (heat is None or heat.shape == log_mel.shape)
    if not fits or len(starts) == 0 or probabilities.shape != (len(starts), len(singers)):
        raise WhosingsError(
            f"{path}: the spectrogram, heat, windows and singers to draw do not fit together."
        )
    seconds = log_mel.shape[1] / front_end.frame_rate
    rows = min(len(np.unique(probabilities.argmax(axis=1))), MOST_ROWS)
    with page(path, 10, 3.6 + 0.22 * rows) as figure:
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(12, rows))
        _spectrogram(figure, upper, log_mel, heat, front_end)
        upper.set(title=title)
        _ribbon(lower, probabilities, starts, seconds, singers)
        lower.set(xlim=(0, seconds), xlabel="seconds")


def pooled(values: np.ndarray, step: int) -> np.ndarray:
    """Keep the largest of every `step` columns of `values` (rows, columns)."""
    largest: np.ndarray = np.maximum.reduceat(values, np.arange(0, values.shape[1], step), axis=1)
    return largest


def _spectrogram(
    figure: Figure, axes: Axes, log_mel: np.ndarray, heat: np.ndarray | None, front_end: FrontEnd
) -> None:
    """Draw dB in grey and the heat as a translucent colour over it."""
    step = -(-log_mel.shape[1] // MOST_COLUMNS)  # frames to a column
    log_mel, heat = pooled(log_mel, step), None if heat is None else pooled(heat, step)
    extent = (0, log_mel.shape[1] * step / front_end.frame_rate, -0.5, front_end.n_mels - 0.5)
    loudest = float(log_mel.max())
    image = axes.imshow(
        log_mel,
        cmap="Greys",
        vmin=loudest - TOP_DB,
        vmax=loudest,
        origin="lower",
        aspect="auto",
        extent=extent,
    )
    _colour_bar(figure, image, axes, "dB")
    if heat is not None:
        overlay = axes.imshow(
            heat, cmap=_translucent(VERMILION), vmin=0, vmax=1, origin="lower", aspect="auto", extent=extent
        )
        _colour_bar(figure, overlay, axes, "spoke for the singer")
    axes.set_yticks(mel_places(np.array(MEL_TICKS), front_end), [str(tick) for tick in MEL_TICKS])
    axes.set_ylabel("Hz")
    axes.tick_params(axis="x", labelbottom=False)


def _ribbon(
    axes: Axes, probabilities: np.ndarray, starts: np.ndarray, seconds: float, singers: Sequence[str]
) -> None:
    """Draw a row of blocks for each singer who wins a window; the rarest share a row where they are many."""
    winner = probabilities.argmax(axis=1)
    lengths = np.maximum(np.append(starts[1:], max(seconds, starts[-1])) - starts, 0)
    codes, windows = np.unique(winner, return_counts=True)
    codes = codes[np.argsort(-windows, kind="stable")]
    named, others = np.split(codes, [len(codes) if len(codes) <= MOST_ROWS else MOST_ROWS - 1])
    groups = [(short(singers[code]), winner == code) for code in named]
    if len(others):
        groups.append((f"{len(others)} others", np.isin(winner, others)))
    blue = np.array(to_rgb(BLUE))
    for row, (_, here) in enumerate(groups):
        sure = probabilities[here].max(axis=1, keepdims=True)
        colours = 1 - (1 - blue) * (0.15 + 0.85 * np.clip(sure, 0, 1))  # the least sure block is still seen
        spans = list(zip(starts[here], lengths[here], strict=True))
        axes.broken_barh(spans, (row - 0.4, 0.8), facecolors=colours)
        axes.axhline(row + 0.5, color=FAINT, alpha=0.3, linewidth=0.6)
    axes.set_yticks(range(len(groups)), [name for name, _ in groups])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def mel_places(hertz: np.ndarray, front_end: FrontEnd = SINGER) -> np.ndarray:
    """Place frequencies in Hz among the mel bands: 0.0 is the centre of the first, and what lies below it."""
    places: np.ndarray = np.interp(hertz, front_end.centres, np.arange(front_end.n_mels))
    return places


def _translucent(colour: str) -> ListedColormap:
    """Give a scale from nothing to `colour`, never quite opaque."""
    scale = np.empty((256, 4))
    scale[:, :3] = to_rgb(colour)
    scale[:, 3] = np.linspace(0, 0.75, 256)
    return ListedColormap(scale)


def _colour_bar(figure: Figure, image: mpl.cm.ScalarMappable, axes: Axes, label: str) -> None:
    """Add a slim colour bar to the right of `axes`."""
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.015, aspect=25)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7, length=2)
    bar.outline.set_visible(False)
