"""A table for readers and programs: Markdown, CSV, HTML, JSON, a picture; published figures beside ours."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from whosings.evidence.paper.published import LEVELS
from whosings.evidence.paper.tables import (
    NOISE,
    PAPER_FIGURE,
    Comparison,
    Entry,
    Estimate,
    Place,
    TableReport,
    draw_name,
    places,
)
from whosings.evidence.report import write_page
from whosings.files import write_json, write_text
from whosings.wording import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAPER_EPOCHS = 800
PAPER_FIRST_STEP = 20
PAPER_RUNS = 3
PAPER_SEPARATOR = "openunmix"
EARLY_STOPPED = ("table1", "table2")  # in the paper, at epochs that it does not print

SOURCES = {"mix": "Original audio", "vocals": "Vocals only", "accompaniment": "Accompaniment only"}
LEVEL_NAMES = {"window": "windows", "song": "songs"}
NOTHING = "-"


def write_table(report: TableReport, folder: Path) -> dict[str, Path]:
    """
    Write a table into `folder`; give the files by what they are: md, csv, html, json, png.

    They are named after the table. Raises WhosingsError where the folder cannot be written.
    """
    paths = {kind: folder / f"{report.table.name}.{kind}" for kind in ("md", "csv", "html", "json", "png")}
    _forest(paths["png"], report)
    write_text(paths["md"], _markdown(report))
    write_text(paths["csv"], _csv(report))
    write_page(
        paths["html"],
        "table.html",
        title=_title(report),
        sheets=_sheets(report),
        levels=[LEVEL_NAMES[level] for level in LEVELS],
        picture=paths["png"],
        notes=notes(report),
        facts=_facts(report),
        command=report.provenance.command,
    )
    write_json(paths["json"], {**asdict(report), "notes": notes(report)})
    return paths


# What is shown


@dataclass(frozen=True)
class _Cell:
    text: str
    aside: str = ""
    bold: bool = False


@dataclass(frozen=True)
class _Line:
    name: str
    cells: tuple[_Cell, ...]
    published: bool = False


@dataclass(frozen=True)
class _Sheet:
    """What is shown of one source."""

    title: str
    windows: tuple[int, ...]
    columns: tuple[Place, ...]
    systems: tuple[tuple[str, tuple[_Line, ...]], ...]
    tests: tuple[_Line, ...]


def _sheets(report: TableReport) -> list[_Sheet]:
    sheets = []
    for source in report.table.sources:
        columns = tuple(place for place in places(report.table) if place.source == source)
        systems = []
        for row in report.table.rows:
            entries = [report.entry(row, place) for place in columns]
            systems.append((row.label, tuple(_lines(report, entries))))
        title = SOURCES[source]
        sheets.append(
            _Sheet(title, report.table.windows, columns, tuple(systems), tuple(_tests(report, columns)))
        )
    return sheets


def _lines(report: TableReport, entries: Sequence[Entry]) -> list[_Line]:
    """Show a system: its average, best and spread, macro F1 and calibration, what is published."""
    ours = max((entry.parameters for entry in entries if entry.parameters), default=None)
    theirs = entries[0].published_parameters
    lines = [
        _Line(
            "average",
            (
                *(_average(entry, bold=report.leads(entry.row, entry.place)) for entry in entries),
                _Cell(f"{ours / 1e6:.2f} M" if ours else ""),
            ),
        )
    ]
    if any(len(entry.draws) > 1 for entry in entries):
        lines.append(_Line("best, spread", (*map(_best, entries), _Cell(""))))
    if any(entry.draws for entry in entries):
        lines.append(_Line("macro F1, calibration error", (*map(_macro, entries), _Cell(""))))
    if theirs or any(entry.published for entry in entries):
        printed = _Cell(f"{theirs:.2f} M" if theirs else "")
        lines.append(_Line("published", (*map(_published, entries), printed), published=True))
    return lines


def _average(entry: Entry, bold: bool) -> _Cell:
    count = f"{len(entry.draws)} of {entry.planned} runs" if len(entry.draws) < entry.planned else ""
    if entry.f1_weighted is None:
        return _Cell(NOTHING, count)
    low, high = entry.f1_weighted.interval
    aside = f"({_decimal(low, 2)}-{_decimal(high, 2)})"
    return _Cell(_decimal(entry.f1_weighted.average), f"{aside}, {count}" if count else aside, bold)


def _best(entry: Entry) -> _Cell:
    found = entry.f1_weighted
    if found is None or found.spread is None:
        return _Cell("")
    return _Cell(f"{_decimal(found.best)},", f"±{_decimal(found.spread)}")


def _macro(entry: Entry) -> _Cell:
    if entry.f1_macro is None or entry.calibration_error is None:
        return _Cell("")
    return _Cell(f"{_decimal(entry.f1_macro.average)},", _decimal(entry.calibration_error))


def _published(entry: Entry) -> _Cell:
    found = entry.published
    if found is None:
        return _Cell("")
    return _Cell(
        _decimal(found.average, 2), "" if found.best is None else f"(best {_decimal(found.best, 2)})"
    )


def _tests(report: TableReport, columns: Sequence[Place]) -> list[_Line]:
    """Show a line for each pair of rows."""
    made = {(one.row, one.other, one.place): one for one in report.comparisons}
    pairs = dict.fromkeys((one.row, one.other, not one.neighbours) for one in report.comparisons)
    order = {row: at for at, row in enumerate(report.table.rows)}
    lines = []
    for row, other, _ in sorted(pairs, key=lambda pair: (pair[2], order[pair[0]])):
        cells = tuple(_test(made.get((row, other, place))) for place in columns)
        lines.append(_Line(f"{row.label} less {other.label}", cells))
    return lines


def _test(made: Comparison | None) -> _Cell:
    if made is None:
        return _Cell(NOTHING)
    low, high = made.interval[PAPER_FIGURE]
    p_value = f"p {_p(made.p_value[PAPER_FIGURE])}"
    if made.holm_p is not None:
        p_value += f", Holm {_p(made.holm_p)}"
    difference = _signed(made.difference[PAPER_FIGURE], 3)
    return _Cell(difference, f"({_signed(low, 2)} to {_signed(high, 2)}), {p_value}")


def _decimal(value: float, places: int = 3) -> str:
    """Write a figure between -1 and 1 as tables do, without the 0 before the point."""
    text = f"{value:.{places}f}"
    return text.replace("0.", ".", 1) if abs(float(text)) < 1 else text


def _signed(value: float, places: int) -> str:
    text = _decimal(value, places)
    zero = float(text) == 0
    return text.lstrip("-") if zero else (text if value < 0 else f"+{text}")


def _p(value: float) -> str:
    if value < 0.001:
        return "< .001"
    return "1" if value > 0.995 else _decimal(value, 3 if value < 0.1 else 2)


# What is told beside it


def notes(report: TableReport) -> list[str]:
    """Say in sentences how the figures are to be read, and what is missing from them."""
    about = (_about_data, _about_runs, _about_intervals, _about_tests, _about_training)
    return [note for tell in about for note in tell(report)]


def _about_data(report: TableReport) -> Iterator[str]:
    given = report.provenance
    if given.warning:
        yield given.warning
    if any(entry.published for entry in report.entries):
        ours = (
            "" if given.artist20 else f", ours on {given.collection}: other data, only to be seen beside it"
        )
        yield (
            f"Published figures are weighted F1 on artist20{ours}. Their runs are {PAPER_RUNS} splits, and "
            "the code that forerunners released chooses the checkpoint by its test score; ours is chosen on "
            "validation songs."
        )
    others = [name for name in given.separators if name != PAPER_SEPARATOR]
    if others:
        yield f"Vocals were separated by {_and(others)}; the papers use Open-Unmix."
    elif not given.separators and any(e.draws for e in report.entries if e.place.source != "mix"):
        yield "Vocals are the collection's own stems; the papers separate them with Open-Unmix."
    if given.mix_db is not None:
        yield f"The mix is made from stems, the voice {given.mix_db:g} dB above the band."
    if given.failed:
        yield f"Up to {counted(given.failed, 'song')} of a run could not be scored and left out."


def _about_runs(report: TableReport) -> Iterator[str]:
    table = report.table
    planned = len(table.rows) * len(table.sources) * len(table.windows) * len(report.provenance.draws)
    if report.missing_runs:
        yield (
            f"{report.missing_runs} of {planned} runs are not there yet: their cells are empty or say so; "
            "rows are tested on the draws that both have."
        )
    counts = {len(entry.draws) for entry in report.entries if entry.draws}
    if counts == {1}:
        yield "One run each: average and best are the same and say nothing of spread."
    elif 1 in counts:
        yield "Where there is one run, average and best are the same and say nothing of spread."
    if 1 < max(counts) < PAPER_RUNS:
        yield f"The papers have {PAPER_RUNS} runs, this table at most {max(counts)}."
    if max(counts) > 1:
        yield "The best run is chosen by its test score, as in the papers: it says how lucky one can be."


def _about_intervals(report: TableReport) -> Iterator[str]:
    brackets = "In brackets: 95 % intervals over songs (bootstrap within singers, runs on the same songs)"
    if report.spread:
        yield f"{brackets}; ± is the {report.spread} (standard deviation over runs), which is not in them."
    else:
        yield f"{brackets}."
    yield "Calibration error is that of confidences as they are, averaged over runs."


def _about_tests(report: TableReport) -> Iterator[str]:
    if report.comparisons:
        family = sum(one.holm_p is not None for one in report.comparisons)
        pooled = ", those of common draws pooled" if report.spread else ""
        yield (
            f"Differences are of weighted F1 on the same windows and songs{pooled}; p by bootstrap over "
            f"songs, Holm over {counted(family, 'test')} of songs between neighbouring rows. They are about "
            "songs: other seeds may differ."
        )
    if report.missing_tests:
        yield f"{report.missing_tests} paired tests could not be made: the rows have no run in common yet."
    left_out = max((one.left_out for one in report.comparisons), default=0)
    if left_out:
        yield f"Up to {left_out} windows or songs of a pair were tested in one row only and left out."
    yield (
        "Bold: the best average of a column where its paired difference to the next has p < "
        f"{_decimal(NOISE, 2)} (not corrected); a column without bold has no row that stands out."
    )


def _about_training(report: TableReport) -> Iterator[str]:
    given = report.provenance
    epochs = [number for number in given.epochs if number != PAPER_EPOCHS]
    if report.table.name in EARLY_STOPPED:
        yield f"{_and(given.epochs)} epochs; the paper stops these early, at epochs that it does not print."
    elif epochs:
        yield f"Epochs: {_and(epochs)} instead of {PAPER_EPOCHS}."
    steps = [number for number in given.first_steps if number not in (0, PAPER_FIRST_STEP)]
    if steps:
        yield f"Epochs before the second step of training: {_and(steps)} instead of {PAPER_FIRST_STEP}."
    if given.best_was_last:
        yield (
            f"{given.best_was_last} of {len(given.best_epochs)} trainings were best at their last epoch: "
            "longer training may change their rows."
        )
    if len(given.commits) > 1:
        yield "The runs come from more than one commit."
    if len(given.machines) > 1:
        yield "The runs come from more than one machine."
    changed = [commit for commit in given.commits if commit.endswith("-dirty")]
    if changed:
        yield f"The code was changed after commit {_and(changed)}."


def _facts(report: TableReport) -> list[tuple[str, str]]:
    """List where the figures come from."""
    given = report.provenance
    short = {name: sha256[:12] for name, sha256 in given.splits.items()}
    draws = ", ".join(map(draw_name, given.draws))
    if len(set(short.values())) == 1:
        splits = f"split {next(iter(short.values()))}" + (" for all" if given.shared_split else "")
    else:
        splits = "splits " + ", ".join(f"{sha256} ({name})" for name, sha256 in short.items())
    first = f", the first {_and(given.first_steps)} without the second step" if given.first_steps else ""
    best = f"; the best is epoch {_range(given.best_epochs)}, counted from 0"
    return [
        ("collection", f"{given.collection}, {given.singers} singers"),
        ("protocol", f"{given.protocol}; {splits}"),
        ("draws", draws),
        ("tested, each run", _tested(report)),
        ("epochs", f"{_and(given.epochs)}{first}{best}"),
        ("overrides", ", ".join(given.overrides) or "none"),
        ("machine", "; ".join(given.machines)),
        ("commit", ", ".join(given.commits)),
        ("training", f"{given.hours:.1f} hours, all runs together"),
    ]


def _tested(report: TableReport) -> str:
    """Count the songs and windows of a run."""
    songs = [n for entry in report.entries if entry.place.level == "song" for n in entry.items]
    parts = [f"{_range(songs)} songs"]
    for window in report.table.windows:
        counts = [
            n
            for entry in report.entries
            if (entry.place.window, entry.place.level) == (window, "window")
            for n in entry.items
        ]
        if counts:
            parts.append(f"{_range(counts)} windows of {window} s")
    return ", ".join(parts)


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def _and(values: Sequence[Any]) -> str:
    return " and ".join(map(str, values))


# How it is written


def _title(report: TableReport) -> str:
    return f"Table {report.table.name.removeprefix('table')}: {report.table.caption}"


def _markdown(report: TableReport) -> str:
    parts = [f"### {_plain(_title(report))}"]
    for sheet in _sheets(report):
        heads = [f"{LEVEL_NAMES[place.level]} {place.window} s" for place in sheet.columns]
        rows = [
            [
                _plain(label) if at == 0 else "",
                _italic(line.name, line),
                *(_cell(cell, line) for cell in line.cells),
            ]
            for label, lines in sheet.systems
            for at, line in enumerate(lines)
        ]
        parts.append(f"**{sheet.title}**, weighted F1")
        parts.append(_grid(["system", "", *heads, "parameters"], rows, names=2))
        if sheet.tests:
            parts.append(f"**{sheet.title}**, row less row on the same songs, weighted F1")
            tests = [[_plain(line.name), *(_cell(cell, line) for cell in line.cells)] for line in sheet.tests]
            parts.append(_grid(["", *heads], tests, names=1))
    parts.append("\n".join(f"- {_plain(note)}" for note in notes(report)))
    parts.append("\n".join(f"- {name}: {_plain(text)}" for name, text in _facts(report)))
    parts.append(f"```\n{report.provenance.command}\n```")
    return "\n\n".join(parts) + "\n"


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]], names: int) -> str:
    """Write a Markdown table whose first `names` columns hold words."""
    rules = ["---"] * names + ["--:"] * (len(heads) - names)
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, rules, *rows))


def _cell(cell: _Cell, line: _Line) -> str:
    text = f"**{cell.text}**" if cell.bold else cell.text
    return _italic(f"{text} {cell.aside}".strip(), line)


def _italic(text: str, line: _Line) -> str:
    """Set off what is published."""
    return f"*{text}*" if line.published and text else text


def _plain(text: str) -> str:
    """Keep a name or sentence from being taken for Markdown or HTML."""
    marks = {"&": "&amp;", "<": "&lt;", "|": "\\|", "*": "\\*", "`": "\\`", "[": "\\["}
    return "".join(marks.get(letter, letter) for letter in " ".join(text.split()))


def _csv(report: TableReport) -> str:
    """Write a line for each row, source, window length and level, all figures in full."""
    first = report.table.rows[0]
    above = {row: other for other, row in pairwise(report.table.rows)}
    made = {(one.row, one.other, one.place): one for one in report.comparisons}
    lines = []
    for entry in report.entries:
        other = above.get(entry.row)
        lines.append(
            {
                **_described(report, entry),
                **_estimated("f1_weighted", entry.f1_weighted),
                **_estimated("f1_macro", entry.f1_macro),
                "calibration_error": entry.calibration_error,
                "parameters": entry.parameters,
                "published_average": entry.published.average if entry.published else None,
                "published_best": entry.published.best if entry.published else None,
                "published_parameters_millions": entry.published_parameters,
                "published_in": entry.published.paper if entry.published else None,
                **_compared("above", made.get((entry.row, other, entry.place)) if other else None),
                **_compared("first", made.get((entry.row, first, entry.place))),
            }
        )
    text = io.StringIO()
    writer = csv.DictWriter(text, lines[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _described(report: TableReport, entry: Entry) -> dict[str, Any]:
    return {
        "table": report.table.name,
        "row": entry.row.label,
        "recipe": entry.row.recipe,
        "branch": entry.row.branch,
        "source": entry.place.source,
        "window_seconds": entry.place.window,
        "level": entry.place.level,
        "runs": len(entry.draws),
        "planned": entry.planned,
        "draws": "; ".join(map(draw_name, entry.draws)),
        "items": "; ".join(map(str, entry.items)),
    }


def _estimated(name: str, found: Estimate | None) -> dict[str, Any]:
    low, high = found.interval if found else (None, None)
    return {
        f"{name}_average": found.average if found else None,
        f"{name}_best": found.best if found else None,
        f"{name}_low": low,
        f"{name}_high": high,
        f"{name}_spread": found.spread if found else None,
        f"{name}_runs": "; ".join(map(repr, found.runs)) if found else None,
    }


def _compared(name: str, made: Comparison | None) -> dict[str, Any]:
    """Weighted F1 less that of the row above, or of the first row."""
    low, high = made.interval[PAPER_FIGURE] if made else (None, None)
    return {
        f"less_{name}": made.difference[PAPER_FIGURE] if made else None,
        f"less_{name}_low": low,
        f"less_{name}_high": high,
        f"less_{name}_p": made.p_value[PAPER_FIGURE] if made else None,
        f"less_{name}_holm_p": made.holm_p if made else None,
        f"less_{name}_mcnemar_p": made.mcnemar_p if made else None,
    }


def _forest(path: Path, report: TableReport) -> None:
    """Draw averages with their intervals, and what is published as hollow marks."""
    from whosings.drawing import LINES, page

    rows, table = report.table.rows, report.table
    height = 1.3 + len(table.sources) * (0.5 + len(rows) * (0.2 + 0.13 * len(table.windows)))
    with page(path, 9, height) as figure:
        panels = figure.subplots(len(table.sources), len(LEVELS), sharex=True, sharey=True, squeeze=False)
        for at, source in enumerate(table.sources):
            for panel, level in zip(panels[at], LEVELS, strict=True):
                columns = [Place(source, window, level) for window in table.windows]
                _draw_panel(panel, report, columns, LINES)
                panel.set_title(f"{SOURCES[source]}, {LEVEL_NAMES[level]}")
        for panel in panels[-1]:
            panel.set_xlabel("weighted F1, average of the runs")
        handles, names = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names))


def _draw_panel(panel: Axes, report: TableReport, columns: Sequence[Place], colours: Sequence[str]) -> None:
    rows = report.table.rows
    for at, place in enumerate(columns):
        colour = colours[at % len(colours)]
        offset = 0.6 * ((at + 0.5) / len(columns) - 0.5)
        entries = [(y + offset, report.entry(row, place)) for y, row in enumerate(rows)]
        ours = [(y, entry.f1_weighted) for y, entry in entries if entry.f1_weighted]
        printed = [(y, entry.published) for y, entry in entries if entry.published]
        for y, found in ours:
            panel.hlines(y, *found.interval, color=colour, linewidth=1.4)
        panel.plot(
            [found.average for _, found in ours],
            [y for y, _ in ours],
            "o",
            color=colour,
            markersize=4.5,
            label=f"{place.window} s windows",
        )
        panel.plot(
            [found.average for _, found in printed],
            [y for y, _ in printed],
            "o",
            markeredgecolor=colour,
            markerfacecolor="white",
            markersize=4.5,
            label=f"{place.window} s, published (artist20)",
        )
    panel.set_yticks(range(len(rows)), [fill(row.label, 34) for row in rows], fontsize=8)
    panel.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x", color="#e8e8e8", linewidth=0.6)
    panel.set_axisbelow(True)
