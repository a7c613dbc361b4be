"""What all layouts share: walking a folder, names in their natural order, names as parts of an identity."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from whosings.collection.track import Part, Track

NO_ALBUM = "no album"


@dataclass
class Scan:
    """Tracks found by one layout, and sentences about what was left out."""

    tracks: list[Track] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def natural_key(text: str) -> tuple[list[tuple[int, int | str]], str]:
    """Sort `song 2` before `song 10`, and letters without regard to case."""
    pieces = re.split(r"(\d+)", text.casefold())
    return [(0, int(piece)) if piece.isdecimal() else (1, piece) for piece in pieces if piece], text


def identity(text: str) -> str:
    """Make a name fit for a track id: composed Unicode, one line, no slash; empty where nothing is left."""
    one_line = " ".join(unicodedata.normalize("NFC", text).replace("/", "-").split())
    return "".join(character for character in one_line if unicodedata.category(character) not in ("Cc", "Cs"))


def sound_files(root: Path, skipped: list[str]) -> list[Path]:
    """
    List the sound files under `root` in natural order of their relative paths.

    Hidden files (AppleDouble's `._x` among them) are ignored. Folders behind symbolic links are walked after
    the real ones and each only once, so that loops end. Unreadable folders and dead links are told in
    `skipped`.
    """
    found: list[Path] = []
    links: list[Path] = [root]
    visited: set[str] = set()
    while links:
        for folder, names, files in os.walk(
            links.pop(0), onerror=lambda error: skipped.append(_unreadable(error))
        ):
            if os.path.realpath(folder) in visited:
                names.clear()
                continue
            visited.add(os.path.realpath(folder))
            names[:] = sorted((name for name in names if not name.startswith(".")), key=natural_key)
            links += [Path(folder, name) for name in names if Path(folder, name).is_symlink()]
            found += _sounds(Path(folder), files, skipped)
    return sorted(found, key=lambda path: [natural_key(part) for part in path.relative_to(root).parts])


def _sounds(folder: Path, names: Iterable[str], skipped: list[str]) -> list[Path]:
    from whosings.audio.decode import is_sound

    paths = [folder / name for name in names if not name.startswith(".") and is_sound(folder / name)]
    for path in paths:
        if not path.exists():
            skipped.append(f"{path}: this link leads nowhere.")
    return [path for path in paths if path.is_file()]


def _unreadable(error: OSError) -> str:
    return f"{error.filename}: this folder cannot be read ({error.strerror})."


def add_part(tracks: dict[str, Track], artist: str, album: str, title: str, part: Part) -> None:
    """Append a part to the track of that identity, which is made where it is new."""
    track = Track(artist, album, title, (part,))
    before = tracks.get(track.id)
    tracks[track.id] = track if before is None else Track(artist, album, title, (*before.parts, part))
