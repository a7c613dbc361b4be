"""Scored runs without a training: answers drawn by the skill of a row, the metrics measured on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from whosings.collection.splits import Split
from whosings.evidence import metrics
from whosings.evidence.answers import Answers, SongRow, WindowRow
from whosings.evidence.paper.grid import Scored
from whosings.evidence.paper.plan import LCA, Cell, Draw, Row, Table
from whosings.evidence.paper.tables import Provenance

SINGERS = tuple(f"singer {letter}" for letter in "abcdef")
DRAWS = (Draw(0), Draw(21), Draw(42))
ROWS = (Row("CRNN", "crnn"), Row("CRNNM", "crnnm"), LCA)
SMALL = Table("table3", "Three systems", ROWS, (5,))
SKILL = {"CRNN": 0.3, "CRNNM": 0.35, LCA.label: 0.95}


def scored(row: Row, cell: Cell, *, split: str = "one", answers: Answers | None = None) -> Scored:
    """Draw answers of six singers, four songs each, six windows a song; `split` names songs and hash."""
    made = answers or _answers(row, cell, split)
    figures: dict[str, Any] = {
        "collection": "songs of six",
        "protocol": "kuo",
        "warning": "",
        "split_sha256": split,
        "failed": {},
    }
    for level, rows in (("window", made.windows), ("song", made.songs)):
        true, given, _ = columns(rows)
        block = metrics.scores(true, given, SINGERS).to_dict()
        figures[level] = {**block, "calibration_error": 0.1 + cell.draw.seed / 1000}
    folder = Path(f"runs/{row.recipe}-{cell.window}-{cell.source}-{cell.draw.seed}")
    return Scored(row, cell, figures, made, 100_000 * len(row.label), folder)


def _answers(row: Row, cell: Cell, split: str) -> Answers:
    generator = np.random.default_rng([len(row.label), cell.draw.seed, cell.window, len(split)])
    skill = SKILL.get(row.label, 0.6)

    def answer(singer: str) -> str:
        return singer if generator.random() < skill else str(generator.choice(SINGERS))

    windows, songs = [], []
    for singer, number in product(SINGERS, range(4)):
        track = f"{singer}/{split}/song {number}"
        windows += [WindowRow(track, 2.5 * at, singer, answer(singer), 0.5) for at in range(6)]
        songs.append(SongRow(track, singer, answer(singer), 0.5, singer, 1.0))
    return Answers(windows, songs)


def runs_of(table: Table = SMALL, draws: Sequence[Draw] = DRAWS, *, own_split: bool = False) -> list[Scored]:
    """Give every run of a table; each draw on a split of its own, or all on one."""
    return [
        scored(row, Cell(row.recipe, window, source, draw), split=f"draw {draw.seed}" if own_split else "one")
        for draw in draws
        for source in table.sources
        for window in table.windows
        for row in table.rows
    ]


def columns(rows: Sequence[WindowRow] | Sequence[SongRow]) -> tuple[list[str], list[str], list[str]]:
    """Singers, answers and songs."""
    return [row.singer for row in rows], [row.answer for row in rows], [row.track for row in rows]


def origin(draws: Sequence[Draw] = DRAWS, **values: Any) -> Provenance:
    """Where the figures come from, as if from run folders."""
    given: dict[str, Any] = {
        "collection": "songs of six",
        "artist20": False,
        "singers": len(SINGERS),
        "protocol": "kuo",
        "draws": tuple(draws),
        "shared_split": True,
        "splits": {"seed 0": "ab" * 32},
        "epochs": (20,),
        "first_steps": (5,),
        "best_epochs": (3, 19),
        "best_was_last": 1,
        "mix_db": None,
        "separators": (),
        "overrides": ("learning_rate=0.0005",),
        "machines": ("2 CPU threads, torch 2.13",),
        "commits": ("abc1234",),
        "hours": 1.5,
        "failed": 0,
        "warning": "",
        "command": "whosings reproduce table3 songs --out runs",
    }
    return Provenance(**{**given, **values})


def write_run(folder: Path, *, source: str = "mix", **record: Any) -> None:
    """Write the record and the split of a run that has ended."""
    recipe = {"epochs": 20, "counterfactual": {"branch": "mose", "first_step": 5}}
    whole = {
        "arguments": {"recipe": recipe, "source": source, "mix_db": 0.0, "separator": None},
        "complete": True,
        "machine": {"device": "2 CPU threads", "torch": "2.13", "commit": "abc1234"},
        "best_epoch": 19,
        "seconds": 1800.0,
        **record,
    }
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(whole), encoding="utf-8")
    Split("kuo", 0, 0, SINGERS, ("t",), ("v",), ("s",)).save(folder / "split.json")
