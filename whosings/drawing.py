"""
The one style of all pictures, as PNG files that are whole or absent.

Restrained and colour-blind-safe (Okabe and Ito's colours for lines, single-hue scales for areas). Names
are drawn as they are: `$` is no mathematics, and Chinese, Japanese or Korean names find a font where there
is one.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from whosings.files import replacing

INK = "#333333"
FAINT = "#b0b0b0"
BLUE = "#0072b2"
ORANGE = "#e69f00"
VERMILION = "#d55e00"
LINES = (BLUE, VERMILION, "#009e73", "#cc79a7", ORANGE, "#56b4e9", "#000000")
DASHES = ("-", "--", ":")  # a line beyond the seventh gets the next one

DPI = 150
NAME_LENGTH = 24  # characters of a name that a picture shows
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Source Han Sans",
    "Microsoft YaHei",
    "PingFang SC",
)

STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "text.usetex": False,
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.6,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.3,
    "figure.facecolor": "white",
}

_drawing = (
    threading.Lock()
)  # matplotlib's settings belong to the process, and a server draws from several threads


def short(name: str) -> str:
    """Put a name on one line of at most NAME_LENGTH characters."""
    name = " ".join(name.split())
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1].rstrip() + "…"


@contextmanager
def page(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Give a figure of `width` by `height` inches in the shared style; save it to `path` in the end."""
    installed = set(fontManager.get_font_names())
    fonts = [name for name in FONTS if name in installed]
    with _drawing, mpl.rc_context({**STYLE, "font.family": fonts}), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing from font"
        )  # shown as a box, which says enough
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.1)
