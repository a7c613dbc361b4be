"""
Say who sings in a recording, how sure that is, and whether the voice or the band gave it away.

    import whosings

    identifier = whosings.load("runs/mine")
    identifier.identify("song.mp3").singer
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whosings.errors import WhosingsError

if TYPE_CHECKING:
    from whosings.identify.identifier import Identifier

__all__ = ["WhosingsError", "load"]
__version__ = "0.1.0"

_ROOMS = ("audio", "collection", "evidence", "identify", "lca", "models", "training")


def load(path: str | Path) -> Identifier:
    """Load a trained model from its run folder; raises WhosingsError where there is none."""
    from whosings.identify.identifier import Identifier

    return Identifier(Path(path))


def __getattr__(name: str) -> Any:
    """Import a room at its first use, so that `import whosings` stays quick."""
    if name in _ROOMS:
        return importlib.import_module(f"whosings.{name}")
    raise AttributeError(f"module 'whosings' has no attribute {name!r}")
