"""Figure 4: test windows of 10 s in the embeddings of CRNN_FGNL without and with LCA, drawn and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from whosings.collection.features import FeatureStore
from whosings.drawing import page
from whosings.errors import WhosingsError
from whosings.evidence.paper.embedding import DIFFERENCE, Heard, Silhouette, compare, hear, scatter
from whosings.evidence.paper.estimate import Estimate, estimate
from whosings.evidence.paper.figures import (
    PICTURE,
    SYSTEMS,
    FigureReport,
    Line,
    check_draws,
    told_run,
    told_settings,
    verdict,
    write_figure,
    written,
)
from whosings.evidence.paper.grid import Grid, Settings
from whosings.evidence.paper.plan import FGNL, LCA, Cell, Draw
from whosings.identify.identifier import best_device
from whosings.models import load_model
from whosings.wording import counted

WINDOW = 10  # seconds


def figure4(
    grid_settings: Settings,
    draws: Sequence[Draw],
    store: FeatureStore,
    *,
    on_estimate: Callable[[Estimate], None] | None = None,
    quiet: bool = False,
) -> FigureReport:
    """
    Draw test windows of 10 s by t-SNE, CRNN_FGNL without and with LCA; measure how artists lie apart.

    The runs are those of the tables at 10 s, trained where they are missing; `on_estimate` hears what that
    will take. The picture is of the first draw. Writes picture, numbers, table and page into `out/figure4`.
    Raises WhosingsError where there is no draw, songs cannot be heard or trained on, or the folder holds runs
    of other settings.
    """
    check_draws(draws)
    grid, folder = Grid(grid_settings, store), grid_settings.out / "figure4"
    draws = grid.distinct(draws)
    if on_estimate:
        cells = [Cell(row.recipe, WINDOW, "mix", draw) for draw in draws for row in SYSTEMS]
        on_estimate(estimate(grid, cells))
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
        f"windows in {counted(draws, 'draw')}) is {written(line.estimate[FGNL.label])} for {FGNL.label} and "
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
