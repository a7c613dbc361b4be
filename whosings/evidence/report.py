"""Report pages: one HTML file with its pictures inside, to be opened in any browser, with no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whosings.files import write_text


@dataclass(frozen=True)
class SongRow:
    """A scored song: who sings it and what the model answered, with its score in the vote."""

    track: str
    singer: str
    answer: str
    confidence: float
    runner_up: str

    @property
    def right(self) -> bool:
        """Whether the answer is the singer."""
        return self.answer == self.singer


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
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("whosings.evidence"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["embedded"] = _embedded
    page = environment.get_template("report.html").render(
        title=title or f"{metrics['system']} on {metrics['collection']}",
        intro=intro,
        warning=warning,
        metrics=metrics,
        songs=songs,
        images=images,
        story=story,
    )
    write_text(path, page)


def _embedded(picture: Path) -> str:
    """Give a PNG as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode("ascii")
