"""A collection of songs: what lies in a folder or a manifest, whatever its layout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from whosings.collection.layouts import LAYOUTS
from whosings.collection.layouts.manifest import read_manifest
from whosings.collection.layouts.scan import Scan, natural_key
from whosings.collection.track import Track
from whosings.errors import WhosingsError


@dataclass(frozen=True)
class Collection:
    """Tracks found under `root` in natural order; `skipped` says in sentences what was left out, and why."""

    root: Path
    layout: str
    tracks: tuple[Track, ...]
    skipped: tuple[str, ...]

    @cached_property
    def by_id(self) -> dict[str, Track]:
        """Map each track id to its track."""
        return {track.id: track for track in self.tracks}

    def track(self, track_id: str) -> Track:
        """Give the track of that id; raises WhosingsError where the collection has none."""
        try:
            return self.by_id[track_id]
        except KeyError:
            raise WhosingsError(
                f"{self.root}: there is no track {track_id} in this collection; use the one it was named in."
            ) from None

    @cached_property
    def artists(self) -> tuple[str, ...]:
        """Name the artists in natural order."""
        return tuple(sorted({track.artist for track in self.tracks}, key=natural_key))

    def of_artist(self, artist: str) -> tuple[Track, ...]:
        """Give the tracks of one artist in natural order."""
        return self._by_artist.get(artist, ())

    def albums(self, artist: str) -> tuple[str, ...]:
        """Name the albums of one artist in natural order."""
        return tuple(dict.fromkeys(track.album for track in self.of_artist(artist)))

    @cached_property
    def _by_artist(self) -> dict[str, tuple[Track, ...]]:
        groups: dict[str, list[Track]] = {}
        for track in self.tracks:
            groups.setdefault(track.artist, []).append(track)
        return {artist: tuple(tracks) for artist, tracks in groups.items()}


def _recognised(folder: Path) -> tuple[str, Scan]:
    try:
        return next((name, scan) for name, read in LAYOUTS if (scan := read(folder)) is not None)
    except OSError as error:
        raise WhosingsError(
            f"{folder}: this folder cannot be read ({error.strerror}); mend its rights."
        ) from error


def open_collection(path: Path) -> Collection:
    """
    Open a folder of songs or a CSV manifest; its layout is recognised from what lies there.

    Raises WhosingsError where `path` does not exist, cannot be read or holds no usable song.
    """
    path = Path(path)
    if not path.exists():
        raise WhosingsError(f"{path}: there is no such folder or manifest; check the path.")
    if path.is_file():
        if path.suffix.lower() != ".csv":
            raise WhosingsError(f"{path}: a collection is a folder or a .csv manifest; name one of these.")
        layout, scan = "manifest", read_manifest(path)
    else:
        layout, scan = _recognised(path)
    if not scan.tracks:
        hint = f" (for one: {scan.skipped[0].rstrip('.')})" if scan.skipped else ""
        raise WhosingsError(
            f"{path}: no usable songs were found{hint}; lay them out as artist/album/song or give a manifest."
        )
    tracks = sorted(
        scan.tracks, key=lambda track: [natural_key(x) for x in (track.artist, track.album, track.title)]
    )
    return Collection(path, layout, tuple(tracks), tuple(scan.skipped))
