"""Report pages: one HTML file with its pictures inside, to be opened in any browser, with no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whosings.evidence.answers import SongRow
from whosings.files import write_text


@dataclass(frozen=True)
class SongStory:
    """One song told in full: what was answered, the picture of it, and its sound beside the page."""

    track: str
    singer: str
    answer: str
    confidence: float
    runner_up: str
    listen_from: float
    listen_to: float
    picture: Path
    sound: str
    """relative address of the sound"""


def write_report(
    path: Path,
    *,
    metrics: Mapping[str, Any],
    songs: Sequence[SongRow],
    images: Mapping[str, Path],
    title: str = "",
    intro: str = "",
    warning: str = "",
    story: SongStory | None = None,
) -> None:
    """
    Write a report: scores with intervals, pictures by caption, every song by doubt, one song in full.

    Raises WhosingsError where `path` cannot be written.
    """
    write_page(
        path,
        "report.html",
        title=title or f"{metrics['system']} on {metrics['collection']}",
        intro=intro,
        warning=warning,
        metrics=metrics,
        songs=songs,
        images=images,
        story=story,
    )


def write_page(path: Path, template: str, /, **values: Any) -> None:
    """
    Fill a template of this room with `values`, escaped, and write the page whole or not at all.

    The filter `embedded` gives a PNG on disk as an address that holds it. Raises WhosingsError where `path`
    cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("whosings.evidence"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["embedded"] = lambda picture: data_address(picture.read_bytes(), "image/png")
    write_text(path, environment.get_template(template).render(**values))


def data_address(content: bytes, kind: str) -> str:
    """Give an address that holds `content` of the media type `kind`, such as image/png."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
