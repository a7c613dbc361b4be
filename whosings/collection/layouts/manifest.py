"""A CSV manifest: a row a part, with artist, album, title and the paths of mix and stems."""

from __future__ import annotations

import csv
from pathlib import Path

from whosings.collection.layouts.scan import NO_ALBUM, Scan, add_part, identity
from whosings.collection.track import Part, SoundFile, Track
from whosings.errors import WhosingsError

# the first name present wins
COLUMNS = {
    "artist": ("artist", "singer"),
    "album": ("album",),
    "title": ("title", "song", "track"),
    "mix": ("mix", "path", "file", "path_mix"),
    "vocals": ("vocals", "voice", "path_vocals", "path_voice"),
    "accompaniment": ("accompaniment", "acc", "path_accompaniment", "path_acc"),
}
SOUNDS = ("mix", "vocals", "accompaniment")


def read_manifest_folder(root: Path) -> Scan | None:
    """Read the manifest.csv of a folder, whatever its case; None where there is none."""
    names = sorted(path for path in root.iterdir() if path.name.lower() == "manifest.csv" and path.is_file())
    return read_manifest(names[0]) if names else None


def read_manifest(path: Path) -> Scan:
    """
    Read a manifest; rows of one artist, album and title are the parts of one track in the order of the rows.

    Paths are relative to the folder of the manifest. Raises WhosingsError where the file cannot be read as
    text or lacks the columns needed; missing sound files are told in `skipped`.
    """
    rows = _rows(path)
    columns = _columns(path, rows[0] if rows else [])
    scan, tracks = Scan(), dict[str, Track]()
    for number, row in enumerate(rows[1:], start=2):
        if not any(row):
            continue
        cells = {name: row[at].strip() for name, at in columns.items() if at < len(row)}
        part, problems = _part(path.parent, cells)
        scan.skipped += [f"{path}, row {number}: {problem}" for problem in problems]
        artist = identity(cells.get("artist", ""))
        if not artist:
            scan.skipped.append(f"{path}, row {number}: no artist is named.")
        elif part is not None:
            first = part.mix or part.vocals or part.accompaniment
            title = identity(cells.get("title", "")) or identity(first.path.stem if first else "")
            add_part(tracks, artist, identity(cells.get("album", "")) or NO_ALBUM, title, part)
    scan.tracks = list(tracks.values())
    return scan


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=header.count)
            return list(csv.reader(file, delimiter=delimiter))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WhosingsError(
            f"{path}: this manifest cannot be read ({error}); save it as CSV in UTF-8."
        ) from error


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    names = [name.strip().lower() for name in header]
    columns = {
        column: names.index(present[0])
        for column, aliases in COLUMNS.items()
        if (present := [alias for alias in aliases if alias in names])
    }
    if "artist" not in columns or not any(sound in columns for sound in SOUNDS):
        raise WhosingsError(
            f"{path}: a manifest needs a column artist and one or more of path, vocals and accompaniment, "
            f"and this one has {', '.join(names) or 'none'}."
        )
    return columns


def _part(folder: Path, cells: dict[str, str]) -> tuple[Part | None, list[str]]:
    files: dict[str, SoundFile] = {}
    problems: list[str] = []
    for name in SOUNDS:
        if not cells.get(name):
            continue
        path = folder / cells[name]
        if path.is_file():
            files[name] = SoundFile(path)
        else:
            problems.append(f"{path} does not exist.")
    if not files and not problems:
        problems.append("no sound file is named.")
    return (Part(**files) if files else None), problems
