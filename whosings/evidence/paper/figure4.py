"""Figure 4: test windows of 10 s in the embeddings of CRNN_FGNL without and with LCA, drawn and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from whosings.collection.features import FeatureStore
from whosings.drawing import page
from whosings.errors import WhosingsError
from whosings.evidence.paper.embedding import (
    DIFFERENCE,
    LEVEL,
    PERPLEXITY,
    ROUNDS,
    SEED,
    Heard,
    Silhouette,
    compare,
    hear,
    scatter,
)
from whosings.evidence.paper.grid import Grid, Settings
from whosings.evidence.paper.plan import FGNL, LCA, Cell, Draw
from whosings.evidence.report import write_page
from whosings.files import write_json, write_text
from whosings.identify.identifier import best_device
from whosings.models import load_model
from whosings.training.record import read_record

WINDOW = 10  # seconds
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


@dataclass(frozen=True)
class Line:
    """A figure for both systems, as `embedding.compare` gives it, and what it says to a reader."""

    name: str
    label: str
    estimate: Mapping[str, Any]
    chance: float | None = None
    """what a network that knows nothing has"""


def figure4(
    grid_settings: Settings, draws: Sequence[Draw], store: FeatureStore, *, quiet: bool = False
) -> FigureReport:
    """
    Draw test windows of 10 s by t-SNE, CRNN_FGNL without and with LCA; measure how artists lie apart.

    The runs are those of the tables at 10 s, trained where they are missing. The picture is of the first
    draw. Writes picture, numbers, table and page into `out/figure4`. Raises WhosingsError where there is no
    draw, songs cannot be heard or trained on, or the folder holds runs of other settings.
    """
    check_draws(draws)
    grid, folder = Grid(grid_settings, store), grid_settings.out / "figure4"
    songs: dict[str, list[list[Heard]]] = {row.label: [] for row in SYSTEMS}
    told = []
    for draw in draws:
        split = grid.split(draw)
        tracks = [grid.collection.track(name) for name in split.test]
        runs: dict[str, Any] = {}
        failed: dict[str, str] = {}
        for row in SYSTEMS:
            run = grid.train(Cell(row.recipe, WINDOW, "mix", draw), quiet=quiet)
            network, card = load_model(run)
            heard, failed = hear(network.to(best_device()), card, tracks, split, store)
            if not heard:
                raise WhosingsError(f"{grid_settings.collection}: no test song of {draw} can be heard.")
            songs[row.label].append(heard)
            runs[row.label] = told_run(run)
        told.append({"seed": draw.seed, "fold": draw.fold, "runs": runs, "failed": failed})
    apart = {name: [Silhouette(heard) for heard in of_draws] for name, of_draws in songs.items()}
    line = Line("silhouette", "silhouette by artist, test windows of 10 s", compare(apart, (-1.0, 1.0)))
    _draw_picture(folder / PICTURE, {name: of_draws[0] for name, of_draws in songs.items()}, draws[0].seed)
    windows = [sum(len(song.embeddings) for song in heard) for heard in songs[FGNL.label]]
    numbers = {"figure": "figure4", "windows": windows, "draws": told, **told_settings(grid_settings)}
    return write_figure(
        folder,
        [line],
        numbers,
        title="Figure 4: test windows in the embedding",
        caption=f"Test windows of {WINDOW} s by t-SNE, first draw; a colour and mark an artist.",
        sentences=_sentences(line, windows, len(draws)),
    )


def _sentences(line: Line, windows: Sequence[int], draws: int) -> list[str]:
    return [
        f"The silhouette of test windows by artist (Euclidean, on embeddings; {sum(windows)} "
        f"windows in {count_of(draws, 'draw')}) is {written(line.estimate[FGNL.label])} for {FGNL.label} and "
        f"{written(line.estimate[LCA.label])} for {LCA.label}.",
        f"That is a difference of {verdict(line.estimate[DIFFERENCE])}; the picture says no more than this, "
        "since t-SNE keeps neither distances nor the sizes of clusters.",
    ]


def _draw_picture(path: Path, songs: Mapping[str, Sequence[Heard]], seed: int) -> None:
    artists = sorted({song.track.artist for heard in songs.values() for song in heard})
    with page(path, 10, 5.4) as figure:
        panels = figure.subplots(1, len(songs))
        for axes, letter, (name, heard) in zip(panels, "ab", songs.items(), strict=True):
            scatter(axes, heard, artists, seed)
            axes.set_title(f"({letter}) {name}")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(6, len(artists)))


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
        "bootstrap": {"over": "songs", "level": LEVEL, "rounds": ROUNDS, "seed": SEED},
        "tsne": {"perplexity": PERPLEXITY, "init": "pca", "seed": "that of the first draw"},
        "silhouette": "Euclidean, on embeddings",
    }


def told_run(run: Path) -> dict[str, Any]:
    """Give where a run lies and what its record says."""
    return {"folder": str(run.resolve()), "record": read_record(run)}


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
            f"Seed {draw['seed']}" + (f", fold {draw['fold']}" if draw["fold"] else ""),
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


def count_of(count: int, what: str) -> str:
    """Count things in words: 1 draw, 3 draws."""
    return f"{count} {what}{'' if count == 1 else 's'}"
