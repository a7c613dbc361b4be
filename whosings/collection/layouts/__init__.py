"""Layouts of collections on disk, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from whosings.collection.layouts.artist20 import read_artist20
from whosings.collection.layouts.folders import read_folders
from whosings.collection.layouts.manifest import read_manifest_folder
from whosings.collection.layouts.mir1k import read_mir1k
from whosings.collection.layouts.scan import Scan

LAYOUTS: tuple[tuple[str, Callable[[Path], Scan | None]], ...] = (
    ("manifest", read_manifest_folder),
    ("mir1k", read_mir1k),
    ("artist20", read_artist20),
    ("folders", read_folders),
)
