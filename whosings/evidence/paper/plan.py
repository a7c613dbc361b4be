"""What each table of the paper compares, and the runs that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from whosings.collection.track import SourceName
from whosings.errors import WhosingsError
from whosings.evidence.evaluate import BranchName

SIXFOLD = 6  # folds of Ellis's leave-one-album-out: each album of artist20's six tests once

TableName = Literal["table1", "table2", "table3", "table4"]


@dataclass(frozen=True)
class Row:
    """A system as a table names it, the recipe that trains it, and which of its branches is scored."""

    label: str
    recipe: str
    branch: BranchName = "main"


@dataclass(frozen=True)
class Table:
    """A table of the paper: its rows at each window length and source."""

    name: TableName
    caption: str
    rows: tuple[Row, ...]
    windows: tuple[int, ...]
    """seconds"""
    sources: tuple[SourceName, ...] = ("mix",)


@dataclass(frozen=True)
class Draw:
    """One repetition: the seed of weights, order and split, and the fold where the protocol has folds."""

    seed: int
    fold: int | None = None


@dataclass(frozen=True)
class Cell:
    """One run of a grid."""

    recipe: str
    window: int
    """seconds"""
    source: SourceName
    draw: Draw


FGNL = Row("CRNN_FGNL", "crnn_fgnl")
LCA = Row("CRNN_FGNL (w/ LCA)", "crnn_fgnl_lca")

TABLES: dict[str, Table] = {
    "table1": Table(
        "table1",
        "Loss ablation: CRNN_FGNL with CAL and with LCA, 5 s windows of the original audio",
        (
            Row("CRNN_FGNL (main)", "crnn_fgnl"),
            Row("CRNN_FGNL (w/ CAL) (main + effect)", "crnn_fgnl_cal"),
            Row("CRNN_FGNL (w/ LCA) (main + effect + cf)", "crnn_fgnl_lca_cf"),
            Row("CRNN_FGNL (w/ LCA) (main + effect + cf - ent_cf - ent_main)", "crnn_fgnl_lca_entropy"),
            Row("CRNN_FGNL (w/ LCA) (main + effect + cf - ent_cf - ent_main - att)", "crnn_fgnl_lca"),
        ),
        (5,),
    ),
    "table2": Table(
        "table2",
        "LCA without and with two-step training, 5 s windows of the original audio",
        (
            Row("CRNN_FGNL (w/ LCA), without two-step training", "crnn_fgnl_lca_one_step"),
            Row("CRNN_FGNL (w/ LCA), with two-step training", "crnn_fgnl_lca"),
        ),
        (5,),
    ),
    "table3": Table(
        "table3",
        "All systems at three window lengths, original audio and vocals alone",
        (
            Row("CRNN", "crnn"),
            Row("CRNN-large", "crnn_large"),
            Row("CRNNM", "crnnm"),
            FGNL,
            LCA,
            Row("CRNNM_FGNL", "crnnm_fgnl"),
            Row("CRNNM_FGNL (w/ LCA)", "crnnm_fgnl_lca"),
        ),
        (3, 5, 10),
        ("mix", "vocals"),
    ),
    "table4": Table(
        "table4",
        "The counterfactual branch of LCA beside the main branch, original audio",
        (
            Row("Counterfactual attention branch", "crnn_fgnl_lca", "counterfactual"),
            Row("Main branch", "crnn_fgnl_lca"),
        ),
        (3, 5, 10),
    ),
}


def draws_of(protocol: str, seeds: Sequence[int]) -> list[Draw]:
    """Give a draw a seed; with the protocol sixfold, six."""
    folds = range(SIXFOLD) if protocol == "sixfold" else [None]
    return [Draw(seed, fold) for seed in dict.fromkeys(seeds) for fold in folds]


def narrowed(table: Table, windows: Sequence[int] | None, source: SourceName | None) -> Table:
    """
    Keep some window lengths (seconds) or one source of a table.

    Raises WhosingsError where the table lacks one of them.
    """
    wanted = table.windows if windows is None else windows
    sources = table.sources if source is None else (source,)
    if not set(wanted) <= set(table.windows) or not set(sources) <= set(table.sources):
        raise WhosingsError(
            f"{table.name} has windows of {', '.join(map(str, table.windows))} s and hears "
            f"{' and '.join(table.sources)}; choose among these."
        )
    kept = tuple(window for window in table.windows if window in wanted)
    return replace(table, windows=kept, sources=sources)


def cells(table: Table, draws: Sequence[Draw]) -> list[Cell]:
    """
    List the runs that a table takes, each once, one draw after another.

    So a grid that is stopped early has whole draws, and its rows can still be compared.
    """
    every = (
        Cell(row.recipe, window, source, draw)
        for draw in draws
        for source in table.sources
        for window in table.windows
        for row in table.rows
    )
    return list(dict.fromkeys(every))
