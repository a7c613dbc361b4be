"""The packages that only the studio needs, asked for in one place."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from types import ModuleType

from whosings.errors import WhosingsError

_PACKAGES = ("espeakng_loader", "pyworld", "pkg_resources", "pretty_midi", "tinysoundfont")


def need_extras() -> None:
    """Raise a WhosingsError that says what to install where a package of the studio is missing."""
    if any(importlib.util.find_spec(name) is None for name in _PACKAGES):
        raise WhosingsError(
            '`whosings demo` needs the studio extra: pip install "whosings[studio]" '
            "and pip install --no-deps tinysoundfont"
        )


def world() -> ModuleType:
    """Import pyworld without the warning about pkg_resources that it gives every user."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        import pyworld
    return pyworld


def soundfont() -> Path:
    """Find TimGM6mb.sf2, the General MIDI soundfont inside pretty_midi."""
    spec = importlib.util.find_spec("pretty_midi")
    if spec is None or spec.origin is None:
        raise WhosingsError("pretty_midi: its soundfont is missing; install the package again.")
    return Path(spec.origin).with_name("TimGM6mb.sf2")
