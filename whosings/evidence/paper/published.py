"""
The published figures of tables 1 to 4, to stand beside ours.

All are F1 on artist20, average and best of three runs, with windows of 3, 5 or 10 s ("frame level" in the
papers, `window` here) and songs. The papers print "F1"; the code that their forerunners released computes it
weighted by the items of each singer, so weighted F1 is what ours stands beside. The three runs are three
splits by album, and the printed best is the best of them on test songs: it is no estimate of anything.

The rows are named as in `whosings.evidence.paper.plan`. The paper leaves out two systems that Kuo 2021 prints
(CRNN-large and CRNNM_FGNL); of these only the averages of songs are known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["window", "song"]
LEVELS: tuple[Level, ...] = ("window", "song")

LCA_PAPER = "Learnable Counterfactual Attention for Singer Identification (anonymous, under review)"
KUO = "Kuo, Wei and Lin 2021 (AAAI)"
KUO_IN_LCA = f"{KUO}, as printed in table 3 of the LCA paper"

Key = tuple[str, str, str, str]
"""table, row label, source, level"""
Figures = tuple[float, ...]


@dataclass(frozen=True)
class Published:
    """Average and best weighted F1 of three runs (no best where none is printed), and who printed them."""

    average: float
    best: float | None
    paper: str


@dataclass(frozen=True)
class _Line:
    """Averages and bests of a row at one source and level, window by window."""

    averages: Figures
    bests: Figures | None
    paper: str = LCA_PAPER


def published(table: str, label: str, window: int, source: str, level: str) -> Published | None:
    """Find what the papers print for a row, a window length (seconds), a source and a level, if anything."""
    windows = _WINDOWS.get(table, ())
    line = _LINES.get((table, label, source, level))
    if line is None or window not in windows:
        return None
    at = windows.index(window)
    return Published(line.averages[at], line.bests[at] if line.bests else None, line.paper)


def published_parameters(table: str, label: str) -> float | None:
    """Find the printed number of parameters of a row, in millions, if any."""
    return _PARAMETERS.get((table, label))


_WINDOWS: dict[str, tuple[int, ...]] = {
    "table1": (5,),
    "table2": (5,),
    "table3": (3, 5, 10),
    "table4": (3, 5, 10),
}

_LINES: dict[Key, _Line] = {
    # Table 1: with early stopping
    ("table1", "CRNN_FGNL (main)", "mix", "window"): _Line((0.53,), (0.55,)),
    ("table1", "CRNN_FGNL (main)", "mix", "song"): _Line((0.70,), (0.77,)),
    ("table1", "CRNN_FGNL (w/ CAL) (main + effect)", "mix", "window"): _Line((0.53,), (0.55,)),
    ("table1", "CRNN_FGNL (w/ CAL) (main + effect)", "mix", "song"): _Line((0.70,), (0.77,)),
    ("table1", "CRNN_FGNL (w/ LCA) (main + effect + cf)", "mix", "window"): _Line((0.56,), (0.56,)),
    ("table1", "CRNN_FGNL (w/ LCA) (main + effect + cf)", "mix", "song"): _Line((0.73,), (0.80,)),
    ("table1", "CRNN_FGNL (w/ LCA) (main + effect + cf - ent_cf - ent_main)", "mix", "window"): _Line(
        (0.56,), (0.58,)
    ),
    ("table1", "CRNN_FGNL (w/ LCA) (main + effect + cf - ent_cf - ent_main)", "mix", "song"): _Line(
        (0.73,), (0.80,)
    ),
    ("table1", "CRNN_FGNL (w/ LCA) (main + effect + cf - ent_cf - ent_main - att)", "mix", "window"): _Line(
        (0.55,), (0.57,)
    ),
    ("table1", "CRNN_FGNL (w/ LCA) (main + effect + cf - ent_cf - ent_main - att)", "mix", "song"): _Line(
        (0.74,), (0.81,)
    ),
    # Table 2: with early stopping
    ("table2", "CRNN_FGNL (w/ LCA), without two-step training", "mix", "window"): _Line((0.56,), (0.58,)),
    ("table2", "CRNN_FGNL (w/ LCA), without two-step training", "mix", "song"): _Line((0.72,), (0.77,)),
    ("table2", "CRNN_FGNL (w/ LCA), with two-step training", "mix", "window"): _Line((0.55,), (0.57,)),
    ("table2", "CRNN_FGNL (w/ LCA), with two-step training", "mix", "song"): _Line((0.74,), (0.81,)),
    # Table 3: 800 epochs; 3, 5, 10 s
    ("table3", "CRNN", "mix", "window"): _Line((0.44, 0.45, 0.48), (0.46, 0.47, 0.53), KUO_IN_LCA),
    ("table3", "CRNN", "mix", "song"): _Line((0.57, 0.55, 0.58), (0.62, 0.59, 0.60), KUO_IN_LCA),
    ("table3", "CRNN", "vocals", "window"): _Line((0.42, 0.46, 0.51), (0.44, 0.48, 0.53), KUO_IN_LCA),
    ("table3", "CRNN", "vocals", "song"): _Line((0.72, 0.74, 0.74), (0.76, 0.79, 0.77), KUO_IN_LCA),
    ("table3", "CRNN-large", "mix", "song"): _Line((0.64, 0.63, 0.59), None, KUO),
    ("table3", "CRNNM", "mix", "window"): _Line((0.47, 0.47, 0.51), (0.48, 0.50, 0.53), KUO_IN_LCA),
    ("table3", "CRNNM", "mix", "song"): _Line((0.62, 0.61, 0.65), (0.67, 0.68, 0.69), KUO_IN_LCA),
    ("table3", "CRNNM", "vocals", "window"): _Line((0.42, 0.46, 0.49), (0.43, 0.47, 0.50), KUO_IN_LCA),
    ("table3", "CRNNM", "vocals", "song"): _Line((0.73, 0.75, 0.73), (0.75, 0.79, 0.75), KUO_IN_LCA),
    ("table3", "CRNN_FGNL", "mix", "window"): _Line((0.52, 0.54, 0.55), (0.54, 0.57, 0.58), KUO_IN_LCA),
    ("table3", "CRNN_FGNL", "mix", "song"): _Line((0.72, 0.73, 0.73), (0.76, 0.79, 0.78), KUO_IN_LCA),
    ("table3", "CRNN_FGNL", "vocals", "window"): _Line((0.44, 0.47, 0.51), (0.44, 0.48, 0.53), KUO_IN_LCA),
    ("table3", "CRNN_FGNL", "vocals", "song"): _Line((0.79, 0.80, 0.79), (0.81, 0.82, 0.83), KUO_IN_LCA),
    ("table3", "CRNN_FGNL (w/ LCA)", "mix", "window"): _Line((0.53, 0.56, 0.59), (0.56, 0.59, 0.62)),
    ("table3", "CRNN_FGNL (w/ LCA)", "mix", "song"): _Line((0.74, 0.78, 0.75), (0.79, 0.80, 0.80)),
    ("table3", "CRNN_FGNL (w/ LCA)", "vocals", "window"): _Line((0.44, 0.51, 0.54), (0.45, 0.51, 0.56)),
    ("table3", "CRNN_FGNL (w/ LCA)", "vocals", "song"): _Line((0.80, 0.81, 0.80), (0.83, 0.83, 0.83)),
    ("table3", "CRNNM_FGNL", "mix", "song"): _Line((0.74, 0.74, 0.73), None, KUO),
    ("table3", "CRNNM_FGNL", "vocals", "song"): _Line((0.77, 0.83, 0.81), None, KUO),
    # Table 4: averages only; 3, 5, 10 s
    ("table4", "Counterfactual attention branch", "mix", "window"): _Line((0.20, 0.16, 0.41), None),
    ("table4", "Counterfactual attention branch", "mix", "song"): _Line((0.26, 0.21, 0.51), None),
    ("table4", "Main branch", "mix", "window"): _Line((0.53, 0.56, 0.59), None),
    ("table4", "Main branch", "mix", "song"): _Line((0.74, 0.78, 0.75), None),
}

_PARAMETERS: dict[tuple[str, str], float] = {
    ("table3", "CRNN"): 0.39,
    ("table3", "CRNNM"): 0.78,
    ("table3", "CRNN_FGNL"): 0.58,
    ("table3", "CRNN_FGNL (w/ LCA)"): 0.58,
}
