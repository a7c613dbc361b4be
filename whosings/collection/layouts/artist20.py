"""artist20 (Ellis 2007) as LabROSA distributes it: `artist20/mp3s-32k/artist/album/NN-Title.mp3`."""

from __future__ import annotations

from pathlib import Path

from whosings.collection.layouts.folders import read_folders
from whosings.collection.layouts.scan import Scan, identity
from whosings.errors import WhosingsError

ARTISTS = (
    *("aerosmith", "beatles", "creedence_clearwater_revival", "cure", "dave_matthews_band", "depeche_mode"),
    *(
        "fleetwood_mac",
        "garth_brooks",
        "green_day",
        "led_zeppelin",
        "madonna",
        "metallica",
        "prince",
        "queen",
    ),
    *("radiohead", "roxette", "steely_dan", "suzanne_vega", "tori_amos", "u2"),
)
ALBUMS_PER_ARTIST = 6
TRACKS = 1413
_ENOUGH = 15  # artists that make a folder artist20
_PLACES = (".", "mp3s-32k", "artist20", "artist20/mp3s-32k")
_SIDES = {"train": "trn", "validation": "val", "test": "tst"}


def read_artist20(root: Path) -> Scan | None:
    """Read artist20 from its own folder or one above; None where fewer than 15 of its artists lie there."""
    folder = _sound_folder(root)
    return None if folder is None else read_folders(folder)


def _sound_folder(root: Path) -> Path | None:
    for folder in (root / place for place in _PLACES):
        if folder.is_dir() and sum((folder / artist).is_dir() for artist in ARTISTS) >= _ENOUGH:
            return folder
    return None


def album_lists(root: Path) -> dict[str, set[tuple[str, str]]] | None:
    """
    Read Ellis's canonical sides: a set of (artist, album) for each of train, validation and test.

    They come with the baseline package as `lists/a20-{trn,val,tst}-albums.list` or `-tracks.list`, a line
    `artist/album[/track]` each, and are looked for beside the songs. None where the three are not there.
    """
    folder = _sound_folder(root) or root
    for place in (root, root / "lists", root / "artist20/lists", folder / "lists", folder.parent / "lists"):
        for kind in ("albums", "tracks"):
            paths = {side: place / f"a20-{short}-{kind}.list" for side, short in _SIDES.items()}
            if all(path.is_file() for path in paths.values()):
                return {side: _albums(path) for side, path in paths.items()}
    return None


def _albums(path: Path) -> set[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise WhosingsError(f"{path}: this list of albums cannot be read ({error}).") from error
    parts = [line.strip().split("/") for line in lines if line.strip()]
    if any(len(part) < 2 for part in parts):
        raise WhosingsError(f"{path}: a list of albums has lines artist/album, and this one has others.")
    return {(identity(part[0]), identity(part[1])) for part in parts}
