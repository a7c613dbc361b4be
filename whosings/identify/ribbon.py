"""A picture of who sings when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.patheffects as effects
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MultipleLocator

from whosings.drawing import FAINT, INK, LINES, page, short
from whosings.errors import WhosingsError
from whosings.identify.timeline import Segment
from whosings.wording import counted

COLOURS = LINES[:-1]  # black is too near to the grey of an unknown voice
MOST_NAMED = 2 * len(COLOURS)  # singers with a colour of their own: each colour full, then pale
MOST_TICKS = 12
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)  # seconds between ticks
PER_LINE = 4  # names in a line of the legend


def draw_ribbon(path: Path, segments: Sequence[Segment], duration: float, title: str = "") -> None:
    """
    Draw a time-line of `duration` seconds: a colour for each singer, as high as the answer is sure.

    An unknown voice is hatched grey, no singing is empty. Names stand in the segments that are long enough
    for them; the legend has them all with their time, the longest first. Singers beyond twelve share a grey.

    Raises WhosingsError where there is no segment or no time, or `path` cannot be written.
    """
    if not segments or not duration > 0:
        raise WhosingsError(f"{path}: there is no time-line to draw; identify a file first.")
    seconds: dict[str, float] = {}
    for segment in segments:
        if segment.singer is not None:
            seconds[segment.singer] = seconds.get(segment.singer, 0.0) + segment.end - segment.start
    singers = sorted(seconds, key=lambda name: -seconds[name])
    legend = _legend(singers, seconds, segments)
    lines = -(-len(legend) // PER_LINE)
    with page(path, 10, 2.1 + 0.2 * lines) as figure:
        axes = figure.add_subplot()
        names = [_draw(axes, segment, singers) for segment in segments]
        _time_axis(axes, duration)
        axes.set(ylim=(0, 1), yticks=(0, 0.5, 1), ylabel="confidence")
        axes.set_title(" ".join(title.split()))
        figure.legend(handles=legend, loc="outside lower left", ncols=PER_LINE, handlelength=1.6)
        _hide_what_does_not_fit(figure, axes, names, segments)


def _draw(axes: Axes, segment: Segment, singers: Sequence[str]) -> Text:
    """Draw a segment and its name."""
    span = (segment.start, segment.end - segment.start)
    if segment.kind != "no singing":
        style = _style(None if segment.singer is None else singers.index(segment.singer))
        axes.broken_barh([span], (0, 1), facecolor="#f4f4f4", edgecolor="white", linewidth=0.8)
        axes.broken_barh([span], (0, segment.confidence), **style)
    name = axes.text(span[0] + span[1] / 2, 0.5, short(segment.label), ha="center", va="center", fontsize=8)
    name.set_color(INK if segment.kind != "no singing" else FAINT)
    name.set_path_effects([effects.withStroke(linewidth=2.5, foreground="white")])
    return name


def _style(place: int | None) -> dict[str, Any]:
    """Give the look of the singer of that place, or of an unknown voice."""
    if place is None:
        return {"facecolor": "#c4c4c4", "hatch": "////", "edgecolor": "white", "linewidth": 0.8}
    if place >= MOST_NAMED:
        return {"facecolor": "#8c8c8c", "edgecolor": "white", "linewidth": 0.8}
    paleness, colour = divmod(place, len(COLOURS))
    red, green, blue = (1 - (1 - part) * (1 - 0.55 * paleness) for part in to_rgb(COLOURS[colour]))
    return {"facecolor": (red, green, blue), "edgecolor": "white", "linewidth": 0.8}


def _legend(singers: Sequence[str], seconds: dict[str, float], segments: Sequence[Segment]) -> list[Patch]:
    """Name every voice with its time."""
    named = singers if len(singers) <= MOST_NAMED else singers[:MOST_NAMED]
    patches = [
        Patch(label=f"{short(name)}, {clock(seconds[name])}", **_style(place))
        for place, name in enumerate(named)
    ]
    if len(singers) > len(named):
        time = sum(seconds[name] for name in singers[MOST_NAMED:])
        others = counted(len(singers) - len(named), "other")
        patches.append(Patch(label=f"{others}, {clock(time)}", **_style(MOST_NAMED)))
    unknown = sum(segment.end - segment.start for segment in segments if segment.kind == "unknown")
    if unknown:
        patches.append(Patch(label=f"unknown, {clock(unknown)}", **_style(None)))
    return patches


def clock(seconds: float) -> str:
    """Give m:ss, or h:mm:ss from an hour on, to the nearest second."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _time_axis(axes: Axes, duration: float) -> None:
    """Mark round minutes and seconds."""
    step = next((step for step in STEPS if duration / step <= MOST_TICKS), duration / MOST_TICKS)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: clock(value)))
    axes.set_xlim(0, duration)


def _hide_what_does_not_fit(
    figure: Figure, axes: Axes, names: Sequence[Text], segments: Sequence[Segment]
) -> None:
    """Hide the names that are longer than their segments, which the layout decides."""
    figure.draw_without_rendering()
    for name, segment in zip(names, segments, strict=True):
        ends = axes.transData.transform([(segment.start, 0), (segment.end, 0)])[:, 0]
        name.set_visible(bool(name.get_window_extent().width < 0.95 * (ends[1] - ends[0])))
