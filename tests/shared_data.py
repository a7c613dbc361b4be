"""Where the data lies that is not part of the project; tests that need it are skipped where it is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "shared"


def _need(name: str) -> Path:
    folder = Path(os.environ.get("WHOSINGS_TEST_DATA", ROOT)) / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not beside this checkout")
    return folder


def mir1k() -> Path:
    """The folder of MIR-1K clips with its MANIFEST.csv."""
    return _need("mir1k")


def golden() -> Path:
    """The folder of golden vectors of the published CRNN_FGNL code."""
    return _need("golden")
