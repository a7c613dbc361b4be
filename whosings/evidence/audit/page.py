"""The page of an audit and its pictures: for people who know music and need not know networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from whosings.drawing import BLUE, FAINT, INK, LINES, ORANGE, VERMILION, page
from whosings.evidence.audit.measures import LEVELS, Figure
from whosings.evidence.audit.swaps import BAND, BAND_SWAPPED, MIX, VOICE
from whosings.evidence.audit.verdict import chance_level, percent
from whosings.evidence.report import write_page

HEARD = {
    MIX: "the song as it is",
    VOICE: "its voice alone",
    BAND: "its band alone",
    BAND_SWAPPED: "its voice over\nanother's band",
}
COLOURS = {MIX: INK, VOICE: BLUE, BAND: ORANGE, BAND_SWAPPED: LINES[2]}
SWAPS = {
    "band_swapped_stay": "band swapped:\nthe answer stays",
    "voice_swapped_change": "voice swapped:\nit changes",
}
GOES_BY = {
    "voice": ("the voice's\nsinger", BLUE),
    "band": ("the band's\nsinger", ORANGE),
    "others": ("somebody\nelse", FAINT),
}
WIDTH = 5.2  # inches; two pictures lie side by side on a desk, and a phone shows one as wide as itself
BAR = 0.62


def write_audit_page(path: Path, found: Figure, verdict: Sequence[str]) -> None:
    """Draw the pictures beside `path` and write the page that holds them, both whole or not at all."""
    drawn = {"swaps": draw_swaps, "crossed": draw_crossed, "parts": draw_parts, "noise": draw_noise}
    pictures = {name: path.parent / f"{name}.png" for name in drawn}
    for name, draw in drawn.items():
        draw(pictures[name], found)
    write_page(
        path,
        "audit.html",
        title=f"Voice or band? {found['model']} on {found['collection']}",
        found=found,
        verdict=verdict,
        pictures=pictures,
        heard={sound: text.replace("\n", " ") for sound, text in HEARD.items()},
        by_singer=sorted(found["by_singer"], key=_owed, reverse=True),
        chance={level: percent(chance_level(found, level)) for level in LEVELS},
        percent=percent,
    )


def _owed(row: Figure) -> tuple[float, float]:
    """Put the singers first whom the model loses without their own band, then those it knows by it alone."""
    return row["lost_by_swap"]["value"], row[BAND]["value"]


def draw_swaps(path: Path, found: Figure) -> None:
    """Draw how many answers stay when the band is swapped, and change when the voice is, with intervals."""
    with page(path, WIDTH, 2.0) as figure:
        axes = figure.add_subplot()
        for row, what in enumerate(SWAPS):
            _bar(axes, row, found["voice_reliance"]["window"][what], BLUE)
        _rows(axes, list(SWAPS.values()), "All of both: a model of voices. None: one of bands.")


def draw_crossed(path: Path, found: Figure) -> None:
    """Draw whom the answers name where one singer's voice lies over another's band, with intervals."""
    with page(path, WIDTH, 2.6) as figure:
        axes = figure.add_subplot()
        for row, (who, (_, colour)) in enumerate(GOES_BY.items()):
            _bar(axes, row, found["crossed"]["window"][who], colour)
        _rows(axes, [label for label, _ in GOES_BY.values()], "A's voice over B's band: who is named")


def draw_parts(path: Path, found: Figure) -> None:
    """Draw how often the singer is named right, by what is heard of a song, with intervals and chance."""
    with page(path, WIDTH, 3.3) as figure:
        axes = figure.add_subplot()
        for row, sound in enumerate(HEARD):
            scored = found["accuracy"][sound]["window"]
            shown = {"value": scored["accuracy"], "interval": scored["interval"]["accuracy"]}
            _bar(axes, row, shown, COLOURS[sound])
        chance = chance_level(found, "window")
        axes.axvline(chance, color=VERMILION, linestyle="--", linewidth=1, zorder=3)
        _rows(axes, list(HEARD.values()), "Answers that are right (dashed: by chance)")


def draw_noise(path: Path, found: Figure) -> None:
    """Draw what noise in one band of frequencies at a time does: answers that change, and accuracy left."""
    bands = found["noise"]
    places = np.arange(len(bands))
    whole = found["accuracy"][MIX]["window"]["accuracy"]
    with page(path, WIDTH, 4.2) as figure:
        upper, lower = figure.subplots(2, sharex=True)
        _columns(upper, places, [band["changed"] for band in bands], VERMILION)
        upper.set_title("Answers that change with noise in one band")
        _columns(lower, places, [band["accuracy"] for band in bands], BLUE)
        lower.axhline(whole, color=INK, linestyle="--", linewidth=1)
        lower.set_title("Answers that are right (dashed: without noise)")
        edges = [bands[0]["low"], *(band["high"] for band in bands)]
        lower.set_xticks(np.arange(len(edges)) - 0.5, [_hertz(edge) for edge in edges], fontsize=8)
        lower.set(xlabel="where the noise is, Hz", xlim=(-0.55, len(bands) - 0.45))
        for axes in (upper, lower):
            axes.set_ylim(0, 1)
            _percent_axis(axes.yaxis)


def _bar(axes: Axes, row: int, figure: Figure, colour: str) -> None:
    """Draw a share as a bar with its interval and its number."""
    value, interval = figure["value"], figure["interval"]
    low, high = interval or (value, value)
    axes.barh(row, value, BAR, color=colour, alpha=0.75)
    axes.plot([low, high], [row, row], color=INK, linewidth=1.4, solid_capstyle="butt", zorder=4)
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # so that no line crosses the number
    axes.text(max(high, value) + 0.02, row, percent(value), va="center", fontsize=9, zorder=5, bbox=behind)


def _rows(axes: Axes, names: Sequence[str], title: str) -> None:
    """Finish a picture of bars from top to bottom."""
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(0, 1.15), ylim=(len(names) - 0.5, -0.5))
    _percent_axis(axes.xaxis)


def _columns(axes: Axes, places: np.ndarray, figures: Sequence[Figure], colour: str) -> None:
    axes.bar(places, [figure["value"] for figure in figures], 0.92, color=colour, alpha=0.6)
    for place, figure in zip(places, figures, strict=True):
        if figure["interval"]:
            axes.plot([place, place], figure["interval"], color=INK, linewidth=1.2)


def _percent_axis(axis: Any) -> None:
    axis.set_ticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])


def _hertz(edge: float) -> str:
    return f"{edge:.0f}" if edge < 1000 else f"{edge / 1000:.1f}k".replace(".0k", "k")
