"""What figures 1 and 4 share: two systems beside each other, lines of numbers, and the files they end in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from whosings.errors import WhosingsError
from whosings.evidence.paper.embedding import DIFFERENCE, FEWEST_SONGS, LEVEL, PERPLEXITY, ROUNDS, SEED
from whosings.evidence.paper.grid import Settings
from whosings.evidence.paper.plan import FGNL, LCA, Draw
from whosings.evidence.paper.tables import draw_name
from whosings.evidence.report import write_page
from whosings.files import write_json, write_text
from whosings.training.record import read_record

SYSTEMS = (FGNL, LCA)
PICTURE, NUMBERS, TABLE, PAGE = "figure.png", "figure.json", "figure.md", "figure.html"


@dataclass(frozen=True)
class FigureReport:
    """Where a figure of the paper was written, and all its numbers (the content of `record`)."""

    picture: Path
    record: Path
    table: Path
    page: Path
    numbers: dict[str, Any]

    @property
    def unheard(self) -> dict[str, str]:
        """Name the songs that could not be trained on or tested, with the reason."""
        told = [
            failed
            for draw in self.numbers["draws"]
            for failed in (draw["failed"], *(run["record"]["failed"] for run in draw["runs"].values()))
        ]
        return {name: reason for failed in told for name, reason in failed.items()}


@dataclass(frozen=True)
class Line:
    """A figure for both systems, as `embedding.compare` gives it, and what it says to a reader."""

    name: str
    label: str
    estimate: Mapping[str, Any]
    chance: float | None = None
    """what a network that knows nothing has"""


def check_draws(draws: Sequence[Draw]) -> None:
    """Raise WhosingsError where there is no draw, or one twice."""
    if not draws or len(set(draws)) != len(draws):
        raise WhosingsError("A figure needs at least one draw, and no draw twice; give other seeds.")


def told_settings(settings: Settings) -> dict[str, Any]:
    """Give what decides a figure besides its draws, as plain JSON values."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    values |= {name: str(value.resolve()) for name, value in values.items() if isinstance(value, Path)}
    values["split"] = settings.split and settings.split.sha256
    values["overrides"] = list(settings.overrides)
    return {
        "settings": values,
        "bootstrap": {
            "over": "songs",
            "level": LEVEL,
            "rounds": ROUNDS,
            "seed": SEED,
            "fewest_songs": FEWEST_SONGS,
        },
        "tsne": {"perplexity": PERPLEXITY, "init": "pca", "seed": "that of the first draw"},
        "silhouette": "Euclidean, on embeddings",
    }


def told_run(run: Path) -> dict[str, Any]:
    """Give the name of a run and what its record says."""
    return {"folder": run.name, "record": read_record(run)}


def write_figure(
    folder: Path,
    lines: Sequence[Line],
    numbers: dict[str, Any],
    *,
    title: str,
    caption: str,
    sentences: Sequence[str],
) -> FigureReport:
    """Write numbers, table and page beside the picture that lies in `folder`; give the report of it all."""
    figures = {line.name: {"label": line.label, "chance": line.chance, **line.estimate} for line in lines}
    numbers = {**numbers, "figures": figures, "summary": list(sentences)}
    report = FigureReport(folder / PICTURE, folder / NUMBERS, folder / TABLE, folder / PAGE, numbers)
    names = [row.label for row in SYSTEMS]
    columns = [*names, DIFFERENCE]
    rows = [(labelled(line), [written(line.estimate[column]) for column in columns]) for line in lines]
    write_json(report.record, numbers)
    head = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    body = ["| " + " | ".join([label, *cells]) + " |" for label, cells in rows]
    write_text(report.table, "\n".join([*head, *body, "", " ".join(sentences), ""]))
    write_page(
        report.page,
        "figure.html",
        title=title,
        caption=caption,
        sentences=sentences,
        picture=report.picture,
        columns=columns,
        rows=rows,
        draws=_draw_rows(lines, numbers["draws"], columns),
        numbers=numbers,
    )
    return report


def _draw_rows(
    lines: Sequence[Line], draws: Sequence[Mapping[str, Any]], columns: Sequence[str]
) -> list[Any]:
    """Give a heading and the rows (label, cells) of each draw."""
    return [
        (
            draw_name(Draw(draw["seed"], draw["fold"])),
            [
                (line.label, [written(line.estimate[column]["draws"][at]) for column in columns])
                for line in lines
            ],
        )
        for at, draw in enumerate(draws)
    ]


def labelled(line: Line) -> str:
    """Give the label of a line with its chance level."""
    return line.label + (f" (chance {number(line.chance)})" if line.chance is not None else "")


def written(estimate: Mapping[str, Any]) -> str:
    """Write a value with its interval as docs/results.md does: .394 (.30 to .56)."""
    if estimate["value"] is None:
        return "none"
    low, high = estimate["interval"]
    return f"{number(estimate['value'], 3)} ({number(low)} to {number(high)})"


def verdict(difference: Mapping[str, Any]) -> str:
    """Write a difference and whether its interval leaves 0 out."""
    if difference["value"] is None:
        return "none that can be told"
    low, high = difference["interval"]
    return f"{written(difference)}, {'outside' if low > 0 or high < 0 else 'inside'} the noise"


def number(value: float, digits: int = 2) -> str:
    """Write a share or a difference without its leading zero; never -.00."""
    text = f"{value:.{digits}f}"
    text = text.removeprefix("-") if float(text) == 0 else text
    return text.replace("0.", ".", 1) if abs(float(text)) < 1 else text
