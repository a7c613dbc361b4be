"""The table: the figures of rows, and how they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from whosings.evidence.metrics import evaluate, paired_difference
from whosings.progress import bar

from .folds import TUNED, Fold, Row, Scored, answers_of, macro_f1


def results(rows: Sequence[Row], folds: Sequence[Fold], tuned: int = 0) -> list[dict[str, Any]]:
    """Score rows; those which hear tuned encoders only in the first `tuned` folds."""
    found: dict[str, list[Scored]] = {}
    table = []
    with bar("Scoring rows", len(rows)) as progress:
        for row in rows:
            wanted = folds[:tuned] if any(member.hear == TUNED for member in row.members) else folds
            found[row.name] = [fold.scored(row) for fold in wanted]
            if wanted:
                against = found[row.against] if row.against else None
                table.append(_told(row, found[row.name], against, folds[0].singers))
            progress.step()
    return table


def _told(
    row: Row, scored: Sequence[Scored], against: Sequence[Scored] | None, singers: Sequence[str]
) -> dict[str, Any]:
    """Give the figures of a row, in each fold and over the songs of all, and how it differs from another."""
    folds = [
        {
            "fold": one.fold,
            "settings": one.settings,
            "weights": one.weights,
            "validation": macro_f1(one.validation, singers),
            "window": macro_f1(one.test, singers),
            "song": macro_f1(one.test, singers, "song"),
        }
        for one in scored
    ]
    told: dict[str, Any] = {**asdict(row), "folds": folds}
    told["mean"] = {
        level: float(np.mean([fold[level] for fold in folds])) for level in ("validation", "window", "song")
    }
    pooled = _pooled(scored, singers)
    told["pooled"] = {
        level: evaluate(true, answers, singers, songs) for level, (true, answers, songs) in pooled.items()
    }
    if against is not None:
        here = {one.fold for one in scored}
        other = _pooled([one for one in against if one.fold in here], singers)
        told["difference"] = {
            level: paired_difference(true, answers, other[level][1], singers, songs).to_dict()
            for level, (true, answers, songs) in pooled.items()
        }
    return told


def _pooled(
    scored: Sequence[Scored], singers: Sequence[str]
) -> dict[str, tuple[list[str], list[str], list[str]]]:
    """Join the answers of folds, no song of which is tested twice."""
    return answers_of({name: rows for one in scored for name, rows in one.test.items()}, singers)


def markdown(table: Sequence[Mapping[str, Any]], folds: int) -> str:
    """Write the table: macro F1 of windows / songs by fold, and differences in windows."""
    heads = [
        "row",
        *(f"fold {number}" for number in range(folds)),
        "mean",
        "validation",
        "less",
        "windows",
        "songs",
    ]
    lines = [heads, ["---"] * len(heads)]
    for row in table:
        by_fold = {fold["fold"]: fold for fold in row["folds"]}
        cells = [_pair(by_fold[number]) if number in by_fold else "" for number in range(folds)]
        differences = ["", ""]
        if "difference" in row:
            differences = [_signed(row["difference"][level]) for level in ("window", "song")]
        validation = f"{row['mean']['validation']:.3f}"
        lines.append(
            [row["name"], *cells, _pair(row["mean"]), validation, row["against"] or "", *differences]
        )
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _pair(figures: Mapping[str, float]) -> str:
    return f"{figures['window']:.3f} / {figures['song']:.3f}"


def _signed(difference: Mapping[str, Any]) -> str:
    low, high = difference["interval"]["f1_macro"]
    return f"{difference['difference']['f1_macro']:+.3f} ({low:+.3f} to {high:+.3f})"
