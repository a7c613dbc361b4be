"""The two sides that a training hears: which of their tracks can be read, and the windows of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from whosings.collection.features import FeatureStore
from whosings.collection.splits import Side
from whosings.collection.track import Source, Track
from whosings.collection.windows import Hearing
from whosings.errors import WhosingsError
from whosings.progress import bar
from whosings.training.recipe import Recipe
from whosings.training.record import Training
from whosings.training.windows import (
    ApartWindows,
    FixedRemixes,
    JoinedWindows,
    RemixedPieces,
    RemixedWindows,
    WindowDataset,
    Windows,
)


def readable_sides(
    training: Training, store: FeatureStore, *, workers: int = 2, quiet: bool = False
) -> tuple[dict[Side, list[Track]], dict[str, str]]:
    """
    Give the training and validation tracks that can be read, and the reason for each other one.

    A refit has no validation side. Features are made on the way, which takes long where mixes have to be
    separated first. Raises WhosingsError where a side has no track left.
    """
    wanted: dict[Side, list[Track]] = {"train": training.tracks("train")}
    if not training.is_refit:
        wanted["validation"] = training.tracks("validation")
    sounds = list(_sounds(training, wanted))
    failed: dict[str, WhosingsError] = {}
    with bar("Reading songs", sum(len(tracks) for _, _, tracks in sounds), quiet=quiet) as progress:
        for source, hearing, tracks in sounds:
            failed |= store.prepare(tracks, source, workers, progress.step, hearing)
    sides = {side: [track for track in tracks if track.id not in failed] for side, tracks in wanted.items()}
    for side, kept in sides.items():
        if not kept:
            reason = next(iter(failed.values()), "the split names none")
            raise WhosingsError(f"{training.collection.root}: no {side} track can be used ({reason})")
    return sides, {name: str(error) for name, error in failed.items()}


def _sounds(
    training: Training, wanted: Mapping[Side, list[Track]]
) -> Iterator[tuple[Source, Hearing, list[Track]]]:
    """Give what is heard of which tracks: of those that train the stems too, if the recipe asks."""
    recipe, source, hearing = training.recipe, training.source, training.hearing
    yield source, hearing, list({track.id: track for side in wanted.values() for track in side}.values())
    if recipe.hears_bands:
        yield replace(source, name="vocals"), hearing, wanted["train"]
        yield replace(source, name="accompaniment"), hearing._replace(melody=False), wanted["train"]
    elif recipe.voices:
        voices, tracks = _voices_beside(source, wanted["train"])
        yield voices, hearing, tracks


def windows_of(training: Training, side: Side, tracks: list[Track], store: FeatureStore) -> Windows:
    """
    Give the windows of a side; only those of training are ever remixed, taken apart or joined by others.

    Raises WhosingsError where there is none, or a stem is missing.
    """
    recipe = training.recipe
    common: dict[str, Any] = {
        "tracks": tracks,
        "side": side,
        "split": training.split,
        "store": store,
        "source": training.source,
        "window_seconds": training.window_seconds,
        "hearing": training.hearing,
    }
    remixed: dict[str, Any] = {"levels_db": recipe.remix_db, "seed": training.seed}
    windows: Windows
    if side != "train" or not recipe.hears_stems:
        windows = WindowDataset(**common)
    elif recipe.remixes or recipe.voices:
        windows = _joined(recipe, common, remixed)
    elif recipe.remix_db is None:
        windows = ApartWindows(**common)
    elif recipe.piece_seconds is None:
        windows = RemixedWindows(**common, **remixed)
    else:
        windows = RemixedPieces(**common, **remixed, piece_seconds=recipe.piece_seconds)
    if not len(windows):
        raise WhosingsError(f"{training.collection.root}: the {side} side has no window; make another split.")
    return windows


def _joined(recipe: Recipe, common: dict[str, Any], remixed: dict[str, Any]) -> JoinedWindows:
    """Give the songs as they are, and what the recipe has learnt beside them."""
    parts = [WindowDataset(**common)]
    if recipe.remixes:
        parts.append(FixedRemixes(**common, **remixed, draws=recipe.remixes))
    if recipe.voices:
        source, tracks = _voices_beside(common["source"], common["tracks"])
        parts.append(WindowDataset(**common | {"source": source, "tracks": tracks}))
    return JoinedWindows(parts)


def _voices_beside(source: Source, tracks: list[Track]) -> tuple[Source, list[Track]]:
    """Say where voices are heard alone: beside separated vocals, only in songs that have stems."""
    if source.name == "mix":
        return replace(source, name="vocals"), tracks
    return Source("vocals"), [track for track in tracks if track.has_stems]
