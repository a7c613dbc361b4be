"""What all that is shown is made of: sentences, labels, times, JSON, on standard output."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def sentence(text: str) -> None:
    """Print a sentence as it is: brackets in names are no markup."""
    console().print(plain(text))


def as_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def warning(text: str) -> None:
    """Print what is wrong with figures; nothing where `text` is empty."""
    if text:
        labelled("warning", "red", text)


def note(text: str) -> None:
    """Print what is good to know."""
    labelled("note", COLOURS["note"], text)


def duration(seconds: float) -> str:
    """Give `5 min` or `2.5 h`."""
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{max(seconds / 60, 1):.0f} min"


def clock(seconds: float) -> str:
    """Give m:ss.s, or h:mm:ss.s from an hour on."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def short(files: Sequence[str]) -> list[str]:
    """Give files by their names, those of one name with their folders."""
    names = Counter(Path(file).name for file in files)
    return [Path(file).name if names[Path(file).name] == 1 else file for file in files]


def labelled(label: str, colour: str, text: str) -> None:
    """Print a sentence after a label in a colour."""
    console().print(f"[{colour}]{label}[/] {plain(text)}")


def plain(text: str) -> str:
    """Keep brackets in names from being read as markup."""
    from rich.markup import escape

    return escape(text)


def console() -> Console:
    """Give where all is printed."""
    from rich.console import Console

    return Console(soft_wrap=True, emoji=False)
