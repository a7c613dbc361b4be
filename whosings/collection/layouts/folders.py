"""Folders of artist/album/song, with stems beside the songs; files in no folder go by their tags."""

from __future__ import annotations

import re
from pathlib import Path

from whosings.collection.layouts.scan import NO_ALBUM, Scan, identity, sound_files
from whosings.collection.track import Part, SoundFile, Track

_STEM = re.compile(
    r"(?P<song>.+)\.(?:(?P<vocals>vocals|vocal|voice)|(?P<accompaniment>accompaniment|acc|instrumental|no_vocals))",
    re.IGNORECASE,
)
# easy names first, then those of formats for which mutagen has no easy names (WAV, AIFF, WMA)
_TAGS = {
    "artist": ("artist", "albumartist", "TPE1", "TPE2", "Author", "WM/AlbumArtist"),
    "album": ("album", "TALB", "WM/AlbumTitle"),
    "title": ("title", "TIT2", "Title"),
}


def songs_under(folder: Path) -> list[Path]:
    """List the sound files under a folder in natural order, without stems of songs that lie beside them."""
    paths = sound_files(folder, skipped=[])
    songs = {(path.parent, path.stem) for path in paths}

    def is_stem(path: Path) -> bool:
        match = _STEM.fullmatch(path.stem)
        return match is not None and (path.parent, match["song"]) in songs

    return [path for path in paths if not is_stem(path)]


def read_folders(root: Path) -> Scan:
    """
    Read artist/album/song.

    A disc below the album joins the title, artist/song has no album, and a file right in `root` goes by its
    tags. `song.vocals.flac` and `song.accompaniment.flac` belong to `song.flac`, which may be absent. Of two
    files for the same thing the first in natural order is taken.
    """
    scan = Scan()
    songs: dict[tuple[Path, str], dict[str, Path]] = {}
    for path in sound_files(root, scan.skipped):
        match = _STEM.fullmatch(path.stem)
        song = match["song"] if match else path.stem
        kind = "mix" if match is None else "vocals" if match["vocals"] else "accompaniment"
        files = songs.setdefault((path.parent, song), {})
        if kind in files:
            scan.skipped.append(f"{path}: left out, since {files[kind].name} beside it is the same song.")
        files.setdefault(kind, path)
    tracks: dict[str, Path] = {}
    for (folder, song), files in songs.items():
        first = files.get("mix") or next(iter(files.values()))
        name = _by_tags(first, song) if folder == root else _by_folder(folder.relative_to(root), song)
        if isinstance(name, str):
            scan.skipped.append(name)
            continue
        track = Track(*name, (Part(**{kind: SoundFile(path) for kind, path in files.items()}),))
        if track.id in tracks:
            scan.skipped.append(
                f"{first}: left out, since {tracks[track.id]} is named {track.id} too; rename one."
            )
            continue
        tracks[track.id] = first
        scan.tracks.append(track)
    return scan


def _by_folder(folder: Path, song: str) -> tuple[str, str, str]:
    artist, *rest = (identity(part) or "_" for part in folder.parts)
    return artist, rest[0] if rest else NO_ALBUM, " ".join([*rest[1:], identity(song) or "_"])


def _by_tags(path: Path, song: str) -> tuple[str, str, str] | str:
    """Give artist, album and title, or the sentence that says why not."""
    import mutagen

    try:
        names = names_in_tags(path)
    except mutagen.MutagenError as error:
        return f"{path}: its tags cannot be read ({error}); put it into artist/album or mend it."
    if not names["artist"]:
        return f"{path}: it has no artist tag and lies in no folder; tag it or put it into artist/album."
    return names["artist"], names["album"] or NO_ALBUM, names["title"] or identity(song)


def names_in_tags(path: Path) -> dict[str, str]:
    """Give artist, album and title as tagged, empty where not; raises mutagen.MutagenError if unreadable."""
    import mutagen

    tags = mutagen.File(path, easy=True)
    return {name: _first(tags, keys) for name, keys in _TAGS.items()}


def _first(tags: object, keys: tuple[str, ...]) -> str:
    """Give the first value that is not empty of the first key that has one."""
    for key in keys:
        value = tags.get(key) if tags is not None else None  # type: ignore[attr-defined]
        for text in [value] if isinstance(value, str) else value or ():
            if name := identity(str(text)):
                return name
    return ""
