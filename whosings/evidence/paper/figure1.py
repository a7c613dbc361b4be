"""
Figure 1: does a network hear the artist, or noise that only this artist's recordings have.

Of a few artists one gets noise in 3 to 5 kHz in all recordings; CRNN_FGNL is trained on them without and
with LCA. Then

- Grad-CAM of that artist's test windows: the share of its heat that lies in the band. Grad-CAM divides each
  window by its own maximum, so a share is taken within a window, and all windows count alike; one in which
  nothing spoke for the artist has no share and is counted in `silent`.
- The same noise in the others' test songs: how far artists still lie apart in the embedding, how often the
  others are still recognised, and how often they are taken for the noisy artist.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from torch import nn

from whosings.audio.frontend import SINGER
from whosings.audio.units import FRAME_RATE, N_MELS
from whosings.collection.catalogue import Collection
from whosings.collection.features import FeatureStore
from whosings.collection.noise import LEVEL_DB, NoisySongs, add_noise
from whosings.collection.splits import SIDES, Split
from whosings.collection.track import Source
from whosings.drawing import VERMILION, page, short
from whosings.errors import WhosingsError
from whosings.evidence.gradcam import heat_maps
from whosings.evidence.paper.embedding import (
    DIFFERENCE,
    Heard,
    MeanOfWindows,
    Silhouette,
    Statistic,
    compare,
    hear,
    scatter,
)
from whosings.evidence.paper.estimate import Estimate, estimate
from whosings.evidence.paper.figures import (
    PICTURE,
    SYSTEMS,
    FigureReport,
    Line,
    check_draws,
    number,
    told_run,
    told_settings,
    verdict,
    write_figure,
    written,
)
from whosings.evidence.paper.grid import Grid, Settings
from whosings.evidence.paper.plan import FGNL, LCA, Cell, Draw, Row
from whosings.evidence.pictures import mel_places
from whosings.identify.identifier import best_device
from whosings.identify.ladder import LogProbabilities2Answer, Windows
from whosings.models import ModelCard, load_model
from whosings.progress import bar
from whosings.wording import counted

ARTISTS = 5
WINDOW = 5  # seconds
LOW, HIGH = 3000.0, 5000.0  # Hz
NOISE_SEED = 0  # of all draws, so that a song has one noise
CAM_BATCH = 8  # windows explained at once
MEL_TICKS = (500, 1000, 2000, 4000)  # Hz

CAM, APART, TAKEN = "cam_share", "silhouette", "taken_for_noisy"
LABELS = {
    CAM: "noisy artist's test windows: share of Grad-CAM in 3 to 5 kHz",
    APART: "all test windows noisy: silhouette by artist",
    TAKEN: "others' test windows with noise: share taken for the noisy artist",
    "taken_for_noisy_clean": "others' test windows as they are: share taken for the noisy artist",
    "accuracy_clean": "others' test windows as they are: accuracy",
    "accuracy_noisy": "others' test windows with noise: accuracy",
    "song_accuracy_clean": "others' test songs as they are: accuracy",
    "song_accuracy_noisy": "others' test songs with noise: accuracy",
    "accuracy_own": "noisy artist's test windows: accuracy",
}


@dataclass(frozen=True)
class _Trial:
    """One draw: who sings, who is noisy, and the songs; `split` names these artists alone."""

    draw: Draw
    noisy: str
    split: Split
    biased: NoisySongs
    """all songs, those of the noisy artist with noise"""
    others: NoisySongs
    """the others' test songs with noise"""


@dataclass(frozen=True)
class _Measured:
    """What one system made of a trial; each list in the order of the split."""

    card: ModelCard
    run: Path
    own: list[Heard]
    """the noisy artist's test songs"""
    clean: list[Heard]
    """the others' test songs as they are"""
    noisy: list[Heard]
    """the others' test songs with noise"""
    shares: list[np.ndarray]
    """of heat in the band, (windows,) for each of `own`; NaN where nothing spoke for the artist"""
    network: nn.Module


def figure1(
    grid_settings: Settings,
    draws: Sequence[Draw],
    store: FeatureStore,
    *,
    artists: Sequence[str] | None = None,
    noisy: str | None = None,
    level_db: float = LEVEL_DB,
    on_estimate: Callable[[Estimate], None] | None = None,
    quiet: bool = False,
) -> FigureReport:
    """
    Put noise into one artist's songs, train CRNN_FGNL without and with LCA, and see which one listens to it.

    Each draw has its own five artists and noisy one, drawn by its seed among those with a test song, where
    `artists` and `noisy` do not name them. `level_db` is explained by `whosings.collection.noise.add_noise`.
    The picture shows the first draw, and the window in which both systems' shares are nearest to their means.
    Writes songs, runs, picture, numbers, table and page into `out/figure1`; what is there already is kept.
    `on_estimate` hears what the runs will take, once the songs are written.

    Raises WhosingsError where there is no draw, an artist cannot be used, or songs cannot be read or trained
    on.
    """
    check_draws(draws)
    folder = grid_settings.out / "figure1"
    grid = Grid(grid_settings, store)
    draws = grid.distinct(draws)
    trials = [
        _trial(grid, draw, _chosen(grid, draw, artists, noisy), folder, level_db, quiet) for draw in draws
    ]
    grids = [_grid(trial, grid, folder) for trial in trials]
    if on_estimate:
        on_estimate(_estimate(trials, grids))
    measured = [
        {row.label: _measure(row, trial, its_grid, quiet) for row in SYSTEMS}
        for trial, its_grid in zip(trials, grids, strict=True)
    ]
    lines = _lines(trials, measured)
    _draw_picture(folder / PICTURE, trials[0], measured[0])
    numbers = {
        "figure": "figure1",
        "band": {"low": LOW, "high": HIGH, "level_db": level_db, "noise_seed": NOISE_SEED},
        "cam_chance": float(_band().mean()),
        "draws": [_told(trial, of, lines) for trial, of in zip(trials, measured, strict=True)],
        **told_settings(grid_settings),
    }
    return write_figure(
        folder,
        lines,
        numbers,
        title="Figure 1: the artist or the noise?",
        caption=_caption(trials[0], level_db),
        sentences=_sentences(trials, lines),
    )


def _chosen(
    grid: Grid, draw: Draw, artists: Sequence[str] | None, noisy: str | None
) -> tuple[tuple[str, ...], str]:
    """Name the artists of a draw in the order of its split, and the noisy one; raises WhosingsError."""
    split = grid.split(draw)
    tested = {grid.collection.track(name).artist for name in split.test}
    usable = [name for name in split.singers if name in tested]
    named = [*(artists or ()), *([noisy] if noisy else [])]
    if strange := [name for name in named if name not in usable]:
        raise WhosingsError(
            f"{grid.settings.collection}: {strange[0]!r} has no test song; choose among {', '.join(usable)}."
        )
    generator = np.random.default_rng([draw.seed, draw.fold or 0])
    drawn = [usable[at] for at in generator.permutation(len(usable))]
    chosen = list(artists) if artists else list(dict.fromkeys([*named, *drawn]))[:ARTISTS]
    noisy = noisy or next(name for name in drawn if name in chosen)
    if len(set(chosen)) < 2 or noisy not in chosen:
        raise WhosingsError("Figure 1 needs two or more artists, the noisy one among them; name others.")
    return tuple(name for name in usable if name in chosen), noisy


def _trial(
    grid: Grid, draw: Draw, chosen: tuple[tuple[str, ...], str], folder: Path, level_db: float, quiet: bool
) -> _Trial:
    """Write the songs of a draw; those that cannot be read are left out of its split."""
    artists, noisy = chosen
    split, artist_of = grid.split(draw), {track.id: track.artist for track in grid.collection.tracks}
    sides = {
        side: tuple(name for name in getattr(split, side) if artist_of[name] in artists) for side in SIDES
    }
    every = dict.fromkeys(name for names in sides.values() for name in names)
    source = Source("mix", grid.settings.mix_db)

    def written_songs(kind: str, tracks: dict[str, bool]) -> NoisySongs:
        out = (
            folder
            / f"songs-{kind}-{_key(str(grid.collection.root.resolve()), tracks, level_db, str(source))}"
        )
        return _written(grid.collection, tracks, out, level_db, source, quiet)

    biased = written_songs("biased", {name: artist_of[name] == noisy for name in every})
    others = written_songs("noisy", {name: True for name in sides["test"] if artist_of[name] != noisy})
    train, validation, test = (
        tuple(name for name in sides[side] if name in biased.collection.by_id) for side in SIDES
    )
    alone = replace(split, singers=artists, train=train, validation=validation, test=test, left_out={})
    return _Trial(draw, noisy, alone, biased, others)


def _written(
    collection: Collection, tracks: dict[str, bool], out: Path, level_db: float, source: Source, quiet: bool
) -> NoisySongs:
    with bar("Writing songs", len(tracks), quiet=quiet) as progress:
        return add_noise(
            collection,
            tracks,
            out,
            low=LOW,
            high=HIGH,
            level_db=level_db,
            seed=NOISE_SEED,
            source=source,
            on_done=progress.step,
        )


def _key(*what: Any) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:8]


def _grid(trial: _Trial, grid: Grid, folder: Path) -> Grid:
    """Give the grid of the two runs of a trial."""
    biased = trial.biased.collection.root
    out = folder / f"trained-{_key(biased.name, trial.split.sha256)}"
    settings = replace(grid.settings, collection=biased, out=out, split=trial.split, mix_db=None)
    return Grid(settings, grid.store)


def _cell(row: Row, trial: _Trial) -> Cell:
    return Cell(row.recipe, WINDOW, "mix", trial.draw)


def _estimate(trials: Sequence[_Trial], grids: Sequence[Grid]) -> Estimate:
    """Join the estimates of all trials."""
    expected = [
        estimate(grid, [_cell(row, trial) for row in SYSTEMS])
        for trial, grid in zip(trials, grids, strict=True)
    ]
    return Estimate({cell: seconds for one in expected for cell, seconds in one.runs.items()}, 0.0)


def _measure(row: Row, trial: _Trial, grid: Grid, quiet: bool) -> _Measured:
    """Train a system on a trial and hear the test songs."""
    biased, split = trial.biased.collection, trial.split
    run = grid.train(_cell(row, trial), quiet=quiet)
    network, card = load_model(run)
    network.to(best_device())
    tested = [biased.track(name) for name in split.test]
    own, clean, noisy = (
        hear(network, card, tracks, split, grid.store)[0]
        for tracks in (
            [track for track in tested if track.artist == trial.noisy],
            [track for track in tested if track.artist != trial.noisy],
            trial.others.collection.tracks,
        )
    )
    if not (own and clean and noisy):
        raise WhosingsError(f"{biased.root}: no test song is left of the noisy artist or of the others.")
    target = card.singers.index(trial.noisy)
    shares = [cam_shares(network, song.windows, target, _band()) for song in own]
    return _Measured(card, run, own, clean, noisy, shares, network)


def _band() -> np.ndarray:
    """Say which mel bands have their centre in the noise: (128,) of bool."""
    centres = SINGER.centres
    inside: np.ndarray = (centres >= LOW) & (centres <= HIGH)
    return inside


def _heat(network: nn.Module, windows: Windows, singer: int, first: int, count: int) -> np.ndarray:
    """Give Grad-CAM of some windows: (at most count, 128, length)."""
    device = next(network.parameters()).device
    batch = windows.batch(first, count).to(device)
    heat: np.ndarray = heat_maps(network, batch, singer).cpu().numpy()
    return heat


def cam_shares(network: nn.Module, windows: Windows, singer: int, inside: np.ndarray) -> np.ndarray:
    """
    Give the share of each window's Grad-CAM for a singer that lies in the mel bands `inside` (128,).

    (windows,) from 0 to 1; NaN where nothing spoke for the singer.
    """
    shares = []
    for first in range(0, len(windows.starts), CAM_BATCH):
        by_band = _heat(network, windows, singer, first, CAM_BATCH).sum(axis=2, dtype=np.float64)
        total = by_band.sum(axis=1)
        inner = by_band[:, inside].sum(axis=1)
        shares.append(np.divide(inner, total, out=np.full(len(total), np.nan), where=total > 0))
    return np.concatenate(shares)


def energy_share(songs: Sequence[Heard], inside: np.ndarray) -> float:
    """Give the share of mel power in the bands `inside` (128,): the mean over all windows of all songs."""
    shares = []
    for song in songs:
        for at in range(len(song.windows.starts)):
            power = 10 ** (song.windows.batch(at, 1)[0].double().numpy() / 10)
            shares.append(power[inside].sum() / power.sum())
    return float(np.mean(shares))


def _lines(trials: Sequence[_Trial], measured: Sequence[dict[str, _Measured]]) -> list[Line]:
    """Estimate all figures."""
    statistics = [
        {label: _statistics(of, trial.noisy) for label, of in by_system.items()}
        for trial, by_system in zip(trials, measured, strict=True)
    ]
    lines = []
    for name, label in LABELS.items():
        systems = {row.label: [of_draw[row.label][name] for of_draw in statistics] for row in SYSTEMS}
        estimate = compare(systems, (-1.0, 1.0) if name == APART else (0.0, 1.0))
        lines.append(Line(name, label, estimate, float(_band().mean()) if name == CAM else None))
    return lines


def _statistics(of: _Measured, noisy: str) -> dict[str, Statistic]:
    singers = of.card.singers
    target = singers.index(noisy)

    def answered(songs: list[Heard], singer: int | None = None) -> MeanOfWindows:
        """How many windows are given to `singer`, or to the right one."""
        wanted = [singers.index(song.track.artist) if singer is None else singer for song in songs]
        pairs = zip(songs, wanted, strict=True)
        return MeanOfWindows(songs, [song.log_probabilities.argmax(axis=1) == code for song, code in pairs])

    def recognised(songs: list[Heard]) -> MeanOfWindows:
        """How many songs are given to the right singer."""
        to_answer = LogProbabilities2Answer(singers, of.card.vote)
        answers = [to_answer(song.log_probabilities).singer for song in songs]
        right = [answer == song.track.artist for answer, song in zip(answers, songs, strict=True)]
        return MeanOfWindows(songs, [np.array([value]) for value in right])

    return {
        CAM: MeanOfWindows(of.own, of.shares),
        APART: Silhouette([*of.own, *of.noisy]),
        TAKEN: answered(of.noisy, target),
        "taken_for_noisy_clean": answered(of.clean, target),
        "accuracy_clean": answered(of.clean),
        "accuracy_noisy": answered(of.noisy),
        "song_accuracy_clean": recognised(of.clean),
        "song_accuracy_noisy": recognised(of.noisy),
        "accuracy_own": answered(of.own),
    }


def _told(trial: _Trial, measured: dict[str, _Measured], lines: Sequence[Line]) -> dict[str, Any]:
    """Give all that there is to know of a draw, as plain JSON values."""
    some = measured[FGNL.label]
    songs = {"own": some.own, "clean": some.clean, "noisy": some.noisy}
    return {
        "seed": trial.draw.seed,
        "fold": trial.draw.fold,
        "artists": list(trial.split.singers),
        "noisy": trial.noisy,
        "split_sha256": trial.split.sha256,
        "songs": {"biased": trial.biased.collection.root.name, "noisy": trial.others.collection.root.name},
        "failed": {**trial.biased.failed, **trial.others.failed},
        "test_songs": {name: [song.track.id for song in heard] for name, heard in songs.items()},
        "test_windows": {name: sum(len(song.embeddings) for song in heard) for name, heard in songs.items()},
        "energy_share": energy_share(some.own, _band()),
        "silent": {name: int(np.isnan(np.concatenate(of.shares)).sum()) for name, of in measured.items()},
        "runs": {name: told_run(of.run) for name, of in measured.items()},
    }


def _sentences(trials: Sequence[_Trial], lines: Sequence[Line]) -> list[str]:
    cam, apart, taken = (next(line for line in lines if line.name == name) for name in (CAM, APART, TAKEN))
    names = list(dict.fromkeys(trial.noisy for trial in trials))
    who = f"of {names[0]}" if len(names) == 1 else f"of one artist a draw ({', '.join(names)})"
    without, with_lca = FGNL.label, LCA.label
    return [
        f"With noise from 3 to 5 kHz in all songs {who} ({counted(len(trials), 'draw')}), "
        f"{written(cam.estimate[without])} of the Grad-CAM of {without} on that artist's test windows lies "
        f"in the band (by chance {number(cam.chance or 0)}) and {written(cam.estimate[with_lca])} with LCA, "
        f"a difference of {verdict(cam.estimate[DIFFERENCE])}.",
        f"With the same noise in the others' test songs, {written(taken.estimate[without])} of their windows "
        f"are taken for the noisy artist without LCA and {written(taken.estimate[with_lca])} with it, a "
        f"difference of {verdict(taken.estimate[DIFFERENCE])}; the silhouette by artist is "
        f"{written(apart.estimate[without])} and {written(apart.estimate[with_lca])}, a difference of "
        f"{verdict(apart.estimate[DIFFERENCE])}.",
    ]


def _caption(trial: _Trial, level_db: float) -> str:
    return (
        f"First draw: (a) a test window of {trial.noisy}, whose songs alone had noise in training (framed; "
        f"its power {level_db:+g} dB to the song's); (b), (c) Grad-CAM of that window for {trial.noisy}; "
        "(d), (e) test windows of all artists by t-SNE, all with noise now. The window is the one in which "
        "the two shares of heat in the band come nearest to their means over this draw's windows."
    )


def typical(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> tuple[int, int]:
    """
    Find the song and window in which two systems' shares (windows,) come nearest to their two means.

    The first window of the first song where none has a share in both.
    """
    places = [(song, at) for song, shares in enumerate(first) for at in range(len(shares))]
    pairs = np.stack([np.concatenate(first), np.concatenate(second)])
    both = np.isfinite(pairs).all(axis=0)
    if not both.any():
        return places[0]
    means = [of_system[np.isfinite(of_system)].mean() for of_system in pairs]
    far = np.hypot(pairs[0] - means[0], pairs[1] - means[1])
    return places[int(np.where(both, far, np.inf).argmin())]


def _draw_picture(path: Path, trial: _Trial, measured: dict[str, _Measured]) -> None:
    systems = [(row.label, measured[row.label]) for row in SYSTEMS]
    song, at = typical(*(of.shares for _, of in systems))
    with page(path, 10.5, 8) as figure:
        upper, lower = cast(Any, figure.subfigures(2, 1, height_ratios=(1, 1.35)))
        panels = upper.subplots(1, 3, sharey=True)
        windows = systems[0][1].own[song].windows
        _spectrogram(upper, panels[0], windows.batch(at, 1)[0].numpy())
        panels[0].set_title(f"(a) {short(trial.noisy)}, with noise")
        for axes, letter, (name, of) in zip(panels[1:], "bc", systems, strict=True):
            singer = of.card.singers.index(trial.noisy)
            heat = _heat(of.network, of.own[song].windows, singer, at, 1)[0]
            share = of.shares[song][at]
            inside = "no heat" if np.isnan(share) else f"{100 * share:.0f} % in the band"
            _cam(axes, heat)
            axes.set_title(f"({letter}) {name}: {inside}")
        _planes(lower, trial, systems)


def _spectrogram(figure: Figure | SubFigure, axes: Axes, log_mel: np.ndarray) -> None:
    image = axes.imshow(log_mel, cmap="Greys", origin="lower", aspect="auto", extent=_extent(log_mel))
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
    bar.set_label("dB", fontsize=8)
    bar.outline.set_visible(False)
    _frame(axes, log_mel)


def _cam(axes: Axes, heat: np.ndarray) -> None:
    axes.imshow(heat, cmap="magma", vmin=0, vmax=1, origin="lower", aspect="auto", extent=_extent(heat))
    _frame(axes, heat)


def _frame(axes: Axes, values: np.ndarray) -> None:
    """Mark the band, and name seconds and Hz."""
    inside = np.flatnonzero(_band())
    left, right, _, _ = _extent(values)
    corner, height = (left, inside[0] - 0.5), inside[-1] - inside[0] + 1
    axes.add_patch(
        Rectangle(corner, right - left, height, fill=False, edgecolor=VERMILION, linewidth=1.6, clip_on=False)
    )
    ticks = mel_places(np.array(MEL_TICKS))
    axes.set_yticks(ticks, [str(hertz) for hertz in MEL_TICKS])
    axes.set(xlabel="seconds", ylabel="Hz" if axes.get_subplotspec().is_first_col() else "")  # type: ignore[union-attr]


def _extent(values: np.ndarray) -> tuple[float, float, float, float]:
    return (0, values.shape[1] / FRAME_RATE, -0.5, N_MELS - 0.5)


def _planes(figure: SubFigure, trial: _Trial, systems: Sequence[tuple[str, _Measured]]) -> None:
    panels = figure.subplots(1, len(systems))
    for axes, letter, (name, of) in zip(panels, "de", systems, strict=True):
        scatter(axes, [*of.own, *of.noisy], trial.split.singers, trial.draw.seed)
        axes.set_title(f"({letter}) {name}")
    handles, labels = panels[0].get_legend_handles_labels()
    labels[trial.split.singers.index(trial.noisy)] += " (noise in training)"
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
