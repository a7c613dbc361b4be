"""What a run answered, window by window and song by song, as CSV files that can be compared later."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from whosings.errors import WhosingsError
from whosings.files import write_text

WINDOWS = "windows.csv"
SONGS = "predictions.csv"


@dataclass(frozen=True)
class WindowRow:
    """A scored window."""

    track: str
    start: float
    """seconds"""
    singer: str
    answer: str
    confidence: float
    sung: float = 1.0
    """share with singing, which decides whether it votes on its song; files of earlier versions lack it"""


@dataclass(frozen=True)
class SongRow:
    """A scored song: who sings it and what the model answered, with its score in the vote."""

    track: str
    singer: str
    answer: str
    confidence: float
    runner_up: str
    known: float
    """probability that the singer is one of those the model knows; 1 where nothing tells"""

    @property
    def right(self) -> bool:
        """Whether the answer is the singer."""
        return self.answer == self.singer


@dataclass(frozen=True)
class Answers:
    """All that a run answered on one set of songs."""

    windows: list[WindowRow]
    songs: list[SongRow]


AnyRow = TypeVar("AnyRow", WindowRow, SongRow)


def write_answers(folder: Path, answers: Answers) -> None:
    """Write `windows.csv` and `predictions.csv`, each whole or not at all."""
    write_text(folder / WINDOWS, _as_csv(answers.windows, WindowRow))
    write_text(folder / SONGS, _as_csv(answers.songs, SongRow))


def read_answers(folder: Path) -> Answers:
    """Read what `write_answers` wrote; raises WhosingsError where a file is missing or broken."""
    return Answers(_from_csv(folder / WINDOWS, WindowRow), _from_csv(folder / SONGS, SongRow))


def _as_csv(rows: Sequence[Any], kind: type) -> str:
    text = io.StringIO()
    names = [field.name for field in fields(kind)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        values = (getattr(row, name) for name in names)
        writer.writerow(f"{value:.4f}" if isinstance(value, float) else value for value in values)
    return text.getvalue()


def _from_csv(path: Path, kind: type[AnyRow]) -> list[AnyRow]:
    numbers = {field.name for field in fields(kind) if field.type == "float"}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
        for row in rows:
            row.update({name: float(row[name]) for name in numbers & row.keys()})
        return [kind(**row) for row in rows]
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError):
        raise WhosingsError(f"{path}: these answers cannot be read; score the run again.") from None
