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
    BAND_SWAPPED: "its voice over another\nsinger's band",
}
COLOURS = {MIX: INK, VOICE: BLUE, BAND: ORANGE, BAND_SWAPPED: LINES[2]}
ITEMS = {"window": "windows", "song": "songs"}
GOES_BY = {
    "voice": (BLUE, "the voice's singer"),
    "band": (ORANGE, "the band's singer"),
    "others": (FAINT, "others"),
}
NARROWEST = 0.04  # share from which a block has room for its number


def write_audit_page(path: Path, found: Figure, verdict: Sequence[str]) -> None:
    """Draw the pictures beside `path` and write the page that holds them, both whole or not at all."""
    pictures = {name: path.parent / f"{name}.png" for name in ("parts", "crossed", "noise")}
    draw_parts(pictures["parts"], found)
    draw_crossed(pictures["crossed"], found)
    draw_noise(pictures["noise"], found)
    write_page(
        path,
        "audit.html",
        title=f"Voice or band? {found['model']} on {found['collection']}",
        found=found,
        verdict=verdict,
        pictures=pictures,
        heard={sound: text.replace("\n", " ") for sound, text in HEARD.items()},
        chance={level: percent(chance_level(found, level)) for level in LEVELS},
        percent=percent,
    )


def draw_parts(path: Path, found: Figure) -> None:
    """Draw how often the singer is named right, by what is heard of a song, with intervals and chance."""
    with page(path, 9, 2.9) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, level in zip(panels, LEVELS, strict=True):
            for row, sound in enumerate(HEARD):
                scored = found["accuracy"][sound][level]
                _bar(axes, row, scored["accuracy"], scored["interval"]["accuracy"], COLOURS[sound])
            chance = chance_level(found, level)
            axes.axvline(chance, color=VERMILION, linestyle="--", linewidth=1, zorder=3)
            axes.text(chance, -0.62, " chance", color=VERMILION, fontsize=8, va="bottom")
            axes.set(xlim=(0, 1.12), ylim=(len(HEARD) - 0.45, -0.75))
            axes.set_title(f"{found[ITEMS[level]]} {ITEMS[level]}", pad=12)
            _percent_axis(axes.xaxis)
        panels[0].set_yticks(range(len(HEARD)), list(HEARD.values()))
        panels[0].tick_params(axis="y", length=0)
        panels[1].tick_params(axis="y", length=0)
        figure.supxlabel("named right", fontsize=9, color=INK)


def _bar(axes: Axes, row: int, value: float, interval: Sequence[float], colour: str) -> None:
    axes.barh(row, value, 0.62, color=colour, alpha=0.75)
    low, high = interval
    axes.plot([low, high], [row, row], color=INK, linewidth=1.2, solid_capstyle="butt", zorder=4)
    axes.text(max(high, value) + 0.02, row, percent(value), va="center", fontsize=8)


def draw_crossed(path: Path, found: Figure) -> None:
    """Draw whom the answers name where one singer's voice lies over another's band."""
    with page(path, 9, 1.9) as figure:
        axes = figure.add_subplot()
        for row, level in enumerate(LEVELS):
            left = 0.0
            for who, (colour, _) in GOES_BY.items():
                share = found["voice_reliance"][level][who]["value"]
                axes.barh(row, share, 0.62, left=left, color=colour, alpha=0.85)
                if share >= NARROWEST:
                    ink = INK if who == "others" else "white"
                    axes.text(
                        left + share / 2, row, percent(share), ha="center", va="center", color=ink, fontsize=9
                    )
                left += share
        axes.set_yticks(range(len(LEVELS)), [f"{found[ITEMS[level]]} {ITEMS[level]}" for level in LEVELS])
        axes.set(xlim=(0, 1), ylim=(1.5, -0.5))
        axes.tick_params(axis="y", length=0)
        _percent_axis(axes.xaxis)
        handles = [
            axes.barh(9, 0, color=colour, alpha=0.85, label=label) for colour, label in GOES_BY.values()
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), title="the answer is")


def draw_noise(path: Path, found: Figure) -> None:
    """Draw what noise in one band of frequencies at a time does: answers that change, and accuracy left."""
    bands = found["noise"]
    places = np.arange(len(bands))
    whole = found["accuracy"][MIX]["window"]["accuracy"]
    with page(path, 9, 4.6) as figure:
        upper, lower = figure.subplots(2, sharex=True)
        _columns(upper, places, [band["changed"] for band in bands], VERMILION)
        upper.set(title="answers that change", ylim=(0, 1))
        _columns(lower, places, [band["accuracy"] for band in bands], BLUE)
        lower.axhline(whole, color=INK, linestyle="--", linewidth=1)
        lower.text(len(bands) - 0.45, whole, "no noise", fontsize=8, va="center")
        lower.set(title="named right", ylim=(0, 1))
        edges = [bands[0]["low"], *(band["high"] for band in bands)]
        lower.set_xticks(np.arange(len(edges)) - 0.5, [_hertz(edge) for edge in edges])
        lower.set(xlabel="where the noise is, Hz", xlim=(-0.55, len(bands) - 0.45))
        for axes in (upper, lower):
            _percent_axis(axes.yaxis)


def _columns(axes: Axes, places: np.ndarray, figures: Sequence[Figure], colour: str) -> None:
    axes.bar(places, [figure["value"] for figure in figures], 0.92, color=colour, alpha=0.6)
    for place, figure in zip(places, figures, strict=True):
        if figure["interval"]:
            axes.plot([place, place], figure["interval"], color=INK, linewidth=1.2)


def _percent_axis(axis: Any) -> None:
    axis.set_ticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])


def _hertz(edge: float) -> str:
    return f"{edge:.0f}" if edge < 1000 else f"{edge / 1000:.1f}k".replace(".0k", "k")
