"""What a collection has to mix: the voices of its songs, and its bands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from whosings.collection.catalogue import Collection
from whosings.collection.layouts.manifest import read_labels
from whosings.collection.layouts.scan import NO_ALBUM
from whosings.collection.track import SoundFile, SourceName, Track
from whosings.errors import WhosingsError
from whosings.files import read_json

STUDIO = "studio.json"  # beside rendered songs


@dataclass(frozen=True)
class Clip:
    """A stretch of a stem, from a recording of `work`."""

    sound: SoundFile
    seconds: float
    work: str


@dataclass(frozen=True)
class Song:
    """A track and the clips of its voice."""

    track: Track
    clips: tuple[Clip, ...]

    @property
    def work(self) -> str:
        """The composition."""
        return self.clips[0].work


@dataclass(frozen=True)
class Band:
    """Clips of accompaniment that sound alike."""

    name: str
    clips: tuple[Clip, ...]


Bands = list[Band]


@dataclass(frozen=True)
class Stems:
    """All songs with a voice and all bands of a collection, and in words by what works and bands go."""

    root: Path
    songs: tuple[Song, ...]
    bands: tuple[Band, ...]
    known_by: dict[str, str]


def read_stems(collection: Collection) -> Stems:
    """
    Gather voices and bands; raises WhosingsError where no track has both.

    Of the recordings of a work only the one with the most clips lends its band, as others may have the very
    same samples.
    """
    work, band, known_by = _labels(collection)
    songs, lenders = [], dict[str, tuple[str, tuple[Clip, ...]]]()
    for track in collection.tracks:
        voice, backing = (_clips(track, name, work[track.id]) for name in ("vocals", "accompaniment"))
        if voice:
            songs.append(Song(track, voice))
        known = lenders.get(work[track.id])
        if backing and (known is None or len(backing) > len(known[1])):
            lenders[work[track.id]] = (band[track.id], backing)
    if not songs or not lenders:
        raise WhosingsError(
            f"{collection.root}: no track here has a voice and an accompaniment apart, of which mixes could "
            "be made; give a collection with stems."
        )
    bands: dict[str, tuple[Clip, ...]] = {}
    for name, backing in lenders.values():
        bands[name] = (*bands.get(name, ()), *backing)
    return Stems(collection.root, tuple(songs), tuple(Band(*named) for named in bands.items()), known_by)


def _labels(collection: Collection) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Give work and band by track id, and in words by what each is known."""
    tracks = collection.tracks
    album = {t.id: t.id if t.album == NO_ALBUM else f"{t.artist}/{t.album}" for t in tracks}
    title = {t.id: t.title.casefold() for t in tracks}
    studio = collection.root / STUDIO
    if studio.is_file():  # each rendered song is a work of its own
        known_by = {"works": "each its own", "bands": STUDIO}
        return {t.id: t.id for t in tracks}, album | _played(studio), known_by
    work, band = read_labels(collection.root, "work"), read_labels(collection.root, "band")
    known_by = {"works": "manifest" if work else "title", "bands": "manifest" if band else "album"}
    return title | work, album | band, known_by


def _played(studio: Path) -> dict[str, str]:
    """Give the band by track id from the record of rendered songs."""
    try:
        return {song["file"]: song["band"] for song in read_json(studio, "record of rendered songs")["songs"]}
    except (KeyError, TypeError) as error:
        raise WhosingsError(
            f"{studio}: this is no record of rendered songs; render them anew or remove it."
        ) from error


def _clips(track: Track, name: SourceName, work: str) -> tuple[Clip, ...]:
    """Give the stem of a track part by part; none where a part lacks it."""
    from whosings.audio import decode

    stems = [part.vocals if name == "vocals" else part.accompaniment for part in track.parts]
    if not all(stems):
        return ()
    return tuple(Clip(stem, decode.duration(stem.path), work) for stem in stems if stem)


def beside(song: Song, bands: Bands) -> Bands:
    """Give what may be laid under a song: the clips of other works, by band."""
    others = (Band(band.name, tuple(clip for clip in band.clips if clip.work != song.work)) for band in bands)
    return [band for band in others if band.clips]
