"""A CSV manifest: a row a part, with artist, album, title and the paths of mix and stems."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

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
    "mix_channel": ("mix_channel",),
    "vocals_channel": ("vocals_channel",),
    "accompaniment_channel": ("accompaniment_channel",),
    "work": ("work", "work_id"),
    "band": ("band",),
}
SOUNDS = ("mix", "vocals", "accompaniment")


def read_manifest_folder(root: Path) -> Scan | None:
    """Read the manifest.csv of a folder, whatever its case; None where there is none."""
    path = _manifest_in(root)
    return None if path is None else read_manifest(path)


def _manifest_in(root: Path) -> Path | None:
    names = (path for path in root.iterdir() if path.name.lower() == "manifest.csv" and path.is_file())
    return min(names, default=None)


def read_manifest(path: Path) -> Scan:
    """
    Read a manifest; rows of one artist, album and title are the parts of one track in the order of the rows.

    Paths are relative to the folder of the manifest. A column such as `vocals_channel` names the one channel,
    counted from 0, that is heard of a file; where it is empty, all are. Raises WhosingsError where the file
    cannot be read as text or lacks the columns needed; missing sound files are told in `skipped`.
    """
    scan, tracks = Scan(), dict[str, Track]()
    for number, cells in _cells(path):
        part, problems = _part(path.parent, cells)
        scan.skipped += [f"{path}, row {number}: {problem}" for problem in problems]
        if not identity(cells.get("artist", "")):
            scan.skipped.append(f"{path}, row {number}: no artist is named.")
        elif part is not None:
            add_part(tracks, *_names(cells, part), part)
    scan.tracks = list(tracks.values())
    return scan


def read_labels(root: Path, column: Literal["work", "band"]) -> dict[str, str]:
    """
    Give what a manifest says of its tracks by track id: the work they record, or the band that plays.

    `root` is a manifest, or a folder, which says nothing where no manifest lies in it. The first row of a
    track that says something counts; tracks of which nothing is said are left out. Raises WhosingsError as
    `read_manifest` does.
    """
    path = _manifest_in(root) if root.is_dir() else root
    labels: dict[str, str] = {}
    if path is None:
        return labels
    for _, cells in _cells(path):
        part, _ = _part(path.parent, cells)
        if part is not None and cells.get(column):
            labels.setdefault("/".join(_names(cells, part)), cells[column])
    return labels


def _cells(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Give the number of each row that is not empty, and its cells by column."""
    rows = _rows(path)
    columns = _columns(path, rows[0] if rows else [])
    for number, row in enumerate(rows[1:], start=2):
        if any(row):
            yield number, {name: row[at].strip() for name, at in columns.items() if at < len(row)}


def _names(cells: dict[str, str], part: Part) -> tuple[str, str, str]:
    """Give artist, album and title; a track without a title goes by its file."""
    first = part.mix or part.vocals or part.accompaniment
    title = identity(cells.get("title", "")) or identity(first.path.stem if first else "")
    return identity(cells.get("artist", "")), identity(cells.get("album", "")) or NO_ALBUM, title


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
        path, channel = folder / cells[name], cells.get(f"{name}_channel", "")
        if not path.is_file():
            problems.append(f"{path} does not exist.")
        elif channel and not channel.isdecimal():
            problems.append(f"{name}_channel is {channel}, and channels are counted 0, 1, 2.")
        else:
            files[name] = SoundFile(path, int(channel) if channel else None)
    if not files and not problems:
        problems.append("no sound file is named.")
    return (Part(**files) if files else None), problems
