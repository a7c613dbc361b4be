"""
Answers laid before people: a CSV for a spreadsheet, sorted by doubt, and their decisions back as labels.

A person fills in `decision`: accept; reject; rename, with the right `name`; or unknown. Where a spreadsheet
would take text for a formula, a ' is written before the = + - or @: at the beginning of a cell, and after a
comma, semicolon, tab or new line in it, since a spreadsheet that divides cells by another sign than ours
begins one there. Reading takes exactly that ' away again, so that names come back letter for letter; only
file names that are not UTF-8 do not, and are written escaped.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from whosings.collection.layouts.folders import names_in_tags
from whosings.collection.layouts.scan import identity
from whosings.collection.tags import NOBODY
from whosings.errors import WhosingsError
from whosings.files import write_text
from whosings.identify.ladder import Identification

Word = Literal["", "accept", "reject", "rename", "unknown"]
WORDS: tuple[Word, ...] = get_args(Word)
COLUMNS = (
    "file",
    "answer",
    "confidence",
    "runner_up",
    "runner_up_confidence",
    "nearest",
    "listen_from",
    "listen_to",
    "decision",
    "name",
    "note",
)
NEEDED = ("file", "answer", "decision", "name")
BY_PEOPLE = ("decision", "name", "note")
LABELS = ("artist", "album", "title", "path")
# where a formula would begin (the wide signs are those of Japanese keyboards), and the ' before it
_FORMULA = re.compile(r"""((?:^|[,;\t\r\n])["\s]*)('*)(?=[=+\-@＝＋－＠])""")

Row = dict[str, str]


@dataclass(frozen=True)
class _Sheet:
    """A review as it lies on disk: rows by file, in order; their row numbers; what divides the cells."""

    rows: dict[str, Row]
    numbers: dict[str, int]
    delimiter: str


@dataclass(frozen=True)
class Decision:
    """What a person said of the answer for one file."""

    file: str
    answer: str
    """as reviewed: a singer, `unknown` or `no singing`"""
    word: Word
    """empty where the person has not decided"""
    name: str = ""
    """who sings instead, where the word is `rename`"""
    note: str = ""

    @property
    def singer(self) -> str | None:
        """Who sings by this decision; None where nobody is named."""
        if self.word == "rename":
            return self.name
        return self.answer if self.word == "accept" and self.answer not in NOBODY else None


def write_review(path: Path, identifications: Iterable[Identification]) -> None:
    """
    Write answers for review, the least sure first, into a new CSV or into the one that is there.

    Rows are matched by file. Decisions, names and notes stay, and so do other rows and columns of a person's
    own. Where an answer is no longer the one decided on, `accept` becomes `rename` to the answer that was
    accepted, and `reject` is asked anew, with a note.

    Raises WhosingsError where the CSV there is no review, or cannot be written.
    """
    sheet = _read(path) if path.exists() else _Sheet({}, {}, ",")
    before, rows = sheet.rows, dict(sheet.rows)
    for identification in identifications:
        row = _row(identification)
        rows[row["file"]] = _merged(before[row["file"]], row) if row["file"] in before else row
    own = [column for row in before.values() for column in row if column not in COLUMNS]
    columns = list(dict.fromkeys([*COLUMNS, *own]))
    ordered = sorted(rows.values(), key=lambda row: (_number(row.get("confidence", "")), row["file"]))
    guarded = ([_guarded(row.get(column, "")) for column in columns] for row in ordered)
    # Excel takes a file for UTF-8 by its mark only
    write_text(path, "\ufeff" + _csv([columns, *guarded], sheet.delimiter))


def read_review(path: Path) -> list[Decision]:
    """
    Read decisions back, one a row, those not yet made with an empty word.

    Commas, semicolons or tabs may divide the cells, and capitals and spaces in a decision do not matter.
    Raises WhosingsError where the file is no review, or names the row with an unknown decision word, a rename
    without a name or a name without a rename.
    """
    sheet = _read(path)
    return [_decision(f"{path}, row {sheet.numbers[file]}", row) for file, row in sheet.rows.items()]


def write_labels(path: Path, decisions: Iterable[Decision], base: Path | None = None) -> int:
    """
    Write who sings by decisions as a CSV manifest that `open_collection` reads; give the number of songs.

    Accepted answers and given names are the artists; rejected, unknown and undecided files are left out.
    Album and title come from the tags of a file, or else are its folder and its name. `base` is where
    relative file names start, by default the current folder. Names are written exactly, with no guard against
    formulas, since the manifest is for training and not for a spreadsheet.

    Raises WhosingsError where no decision names a singer, or `path` cannot be written.
    """
    rows: dict[tuple[str, ...], list[str]] = {}
    for decision in decisions:
        if decision.singer is None:
            continue
        file = Path(os.path.abspath((base or Path()) / decision.file))
        album, title = _album_and_title(file)
        key, copy = (decision.singer, album, title), 1
        # rows of one name would be parts of one song
        while key in rows:
            copy += 1
            key = (decision.singer, album, f"{title} ({copy})")
        rows[key] = [*key, _from(path, file)]
    if not rows:
        raise WhosingsError(f"{path}: no decision names a singer yet; accept or rename some answers first.")
    write_text(path, _csv([list(LABELS), *rows.values()], ","))
    return len(rows)


def _row(identification: Identification) -> Row:
    values = vars(identification) | {"answer": identification.label}
    texts = {column: "" if values.get(column) is None else str(values[column]) for column in COLUMNS}
    # as `write_text` writes it, so that the row is found again
    return texts | {"file": texts["file"].encode("utf-8", "backslashreplace").decode()}


def _merged(before: Row, row: Row) -> Row:
    """Give the new row with what a person said of the one before."""
    merged = {**before, **row, **{column: before.get(column, "") for column in BY_PEOPLE}}
    earlier, word = before["answer"], _word(before)
    if earlier == row["answer"] or word not in ("accept", "reject"):
        return merged
    if word == "reject":
        notes = [merged["note"], f"rejected before: {earlier}"]
        return merged | {"decision": "", "note": "; ".join(filter(None, notes))}
    if earlier in NOBODY:
        return merged | {"decision": "unknown"}
    return merged | {"decision": "rename", "name": earlier}


def _word(row: Mapping[str, str]) -> str:
    return "".join(row["decision"].split()).casefold()


def _decision(where: str, row: Mapping[str, str]) -> Decision:
    word, name = _word(row), " ".join(row["name"].split())
    if word not in WORDS:
        raise WhosingsError(
            f"{where}: {row['decision'].strip()!r} is no decision; write accept, reject, rename or unknown."
        )
    if word == "rename" and not name:
        raise WhosingsError(f"{where}: rename needs to know who sings; write it into the column name.")
    if name and word != "rename" and (word != "accept" or name != row["answer"]):
        raise WhosingsError(
            f"{where}: it is named {name} and the decision is {word or 'empty'}; write rename, or clear the "
            "name."
        )
    if word == "rename" and name.casefold() in NOBODY:
        raise WhosingsError(f"{where}: {name} is no singer to rename to; write unknown as the decision.")
    return Decision(row["file"], row["answer"], word, name, row.get("note", "").strip())


def _read(path: Path) -> _Sheet:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        # a first line may tell Excel what divides the cells
        told = re.match(r"sep=[,;\t]\r?\n", text)
        header = text[told.end() if told else 0 :].partition("\n")[0]
        delimiter = max(",;\t", key=header.count)
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))[1 if told else 0 :]
    except FileNotFoundError:
        raise WhosingsError(f"{path}: there is no such review; check its name.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WhosingsError(
            f"{path}: this review cannot be read ({error}); save it as CSV in UTF-8."
        ) from error
    columns = [name.strip().lower() for name in lines[0]] if lines else []
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise WhosingsError(
            f"{path}: this is no review, for it has no column {missing[0]}; name another file."
        )
    sheet = _Sheet({}, {}, delimiter)
    for number, cells in enumerate(lines[1:], start=2):
        if any(cell.strip() for cell in cells):
            row = dict(zip(columns, [*map(_unguarded, cells), *[""] * len(columns)], strict=False))
            _add(path, sheet, number, row)
    return sheet


def _add(path: Path, sheet: _Sheet, number: int, row: Row) -> None:
    file = row["file"]
    if not file.strip():
        raise WhosingsError(f"{path}, row {number}: no file is named; name it, or delete the row.")
    if file in sheet.rows:
        raise WhosingsError(
            f"{path}, row {number}: {file} stands in row {sheet.numbers[file]} too; delete one of them."
        )
    sheet.rows[file], sheet.numbers[file] = row, number


def _csv(rows: Iterable[Sequence[str]], delimiter: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _guarded(text: str) -> str:
    return _FORMULA.sub(r"\1'\2", text)


def _unguarded(text: str) -> str:
    return _FORMULA.sub(lambda found: found[1] + found[2][1:], text)


def _number(text: str) -> float:
    """Give a confidence, which a spreadsheet may have written with a comma; what is none comes first."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return -1.0


def _album_and_title(file: Path) -> tuple[str, str]:
    import mutagen

    names: dict[str, str] = {}
    # a file that cannot be read goes by its folder; opening the collection tells of it
    with contextlib.suppress(mutagen.MutagenError):
        names = names_in_tags(file)
    return names.get("album") or identity(file.parent.name), names.get("title") or identity(file.stem)


def _from(manifest: Path, file: Path) -> str:
    """Give the path of a file for a manifest: relative to the folder of that where it lies in there."""
    folder = Path(os.path.abspath(manifest)).parent
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file)
