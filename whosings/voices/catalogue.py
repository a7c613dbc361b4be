"""The voiceprints of a whole collection, each track heard once and kept on disk."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import numpy as np

from whosings.audio.activity import ACTIVITY_SETTINGS
from whosings.collection.features import FeatureStore
from whosings.collection.track import Source, Track
from whosings.errors import UnreadableSoundError, WhosingsError
from whosings.files import replacing
from whosings.voices.prints import Prints

FORMAT = 1  # of prints on disk; a new number makes all of them anew
FOLDER = "prints"  # in the store
FIELDS = ("starts", "seconds", "vectors", "weights")


class TrackEncoder(Protocol):
    """What makes prints of tracks: `id` names it, `source` is what it hears."""

    source: Source

    @property
    def id(self) -> str:
        """Name and weights hash: prints of different encoders never mix."""
        ...

    def of_track(self, track: Track, store: FeatureStore) -> Prints:
        """Hear a track by way of a store; raises WhosingsError where it cannot be heard."""
        ...


def print_tracks(
    tracks: Iterable[Track],
    encoder: TrackEncoder,
    store: FeatureStore,
    on_done: Callable[[Track], object] | None = None,
) -> tuple[dict[str, Prints], dict[str, str]]:
    """
    Give the prints of tracks by id, and in sentences why others have none.

    `on_done` hears of each track. What was heard once, also by a run that was cut off, comes from the store.
    Raises WhosingsError where two tracks fail with one and the same sentence that blames no sound file: such
    as missing weights, which no other track would find either.
    """
    prints: dict[str, Prints] = {}
    failed: dict[str, str] = {}
    for track in tracks:
        try:
            prints[track.id] = print_of(track, encoder, store)
        except UnreadableSoundError as error:
            failed[track.id] = str(error)
        except WhosingsError as error:
            if str(error) in failed.values():
                raise
            failed[track.id] = str(error)
        if on_done is not None:
            on_done(track)
    return prints, failed


def print_of(track: Track, encoder: TrackEncoder, store: FeatureStore) -> Prints:
    """Give the prints of a track from the store, made and kept there where they are missing."""
    source = encoder.source.of(track)
    # what the encoder takes apart it names in its id
    heard = Source("mix", source.mix_db) if source.separated else source
    key = store.key(track, heard, [FORMAT, encoder.id, ACTIVITY_SETTINGS])
    path = store.root / FOLDER / key[:2] / f"{key}.npz"
    kept = _read(path)
    if kept is None:
        kept = encoder.of_track(track, store)
        with replacing(path) as temporary:
            np.savez(temporary, **{name: getattr(kept, name) for name in FIELDS})
    return kept


def _read(path: Path) -> Prints | None:
    """Read prints; None where they are missing or damaged."""
    try:
        with np.load(path) as arrays:
            starts, seconds, vectors, weights = (arrays[name] for name in FIELDS)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return Prints(starts, float(seconds), vectors, weights)
