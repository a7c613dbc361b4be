"""What the commands on a voices library show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from whosings.show.words import clock, console, duration, plain, sentence, short
from whosings.wording import counted

if TYPE_CHECKING:
    from whosings.voices.desk import FileAnswer
    from whosings.voices.library import Hit, Singer


def enrolled(name: str, prints: Sequence[int], folder: Path) -> None:
    """Print how many songs of a singer were enrolled, of so many prints each; 0 were there before."""
    new = [count for count in prints if count]
    known = len(prints) - len(new)
    sentence(
        f"{name}: {counted(len(new), 'song')} enrolled with {counted(sum(new), 'voiceprint')}"
        + (f", {known} there before" if known else "")
        + f", in {folder}."
    )


def singers(listed: Sequence[Singer], folder: Path, encoder: str) -> None:
    """Print who is enrolled, since when and with what consent."""
    from rich.table import Table

    sentence(f"{folder}: {counted(len(listed), 'singer')}, heard by {encoder}.")
    if not listed:
        return
    table = Table("singer", "songs", "voiceprints", "sound", "since")
    table.add_column("consent", overflow="fold")
    for singer in listed:
        counts = (str(singer.files), str(singer.prints), duration(singer.seconds))
        table.add_row(plain(singer.name), *counts, singer.enrolled, plain(singer.consent or "none told"))
    console().print(table)


def found(given: Sequence[FileAnswer]) -> None:
    """Print a row for each file: who of the enrolled sings, how alike, and where to listen."""
    from rich.table import Table

    from whosings.voices.library import EVIDENCE

    table = Table()
    table.add_column("file", overflow="fold")
    for heading in ("singer", "score", "lead"):
        table.add_column(heading)
    table.add_column("listen to", no_wrap=True)
    for answer, name in zip(given, short([answer.file for answer in given]), strict=True):
        match = answer.match
        if match is None:
            table.add_row(plain(name), answer.label, "", "", "")
            continue
        table.add_row(
            plain(name),
            plain(answer.label + (f" (nearest {match.nearest})" if answer.kind == "unknown" else "")),
            f"{match.score:.2f}",
            f"{match.lead:.2f}" if math.isfinite(match.lead) else "",
            f"{clock(match.start)} to {clock(match.start + match.seconds)}",
        )
    console().print(table)
    decided = next((answer.match.thresholds for answer in given if answer.match), None)
    if decided:
        sentence(
            f"Named from a score of {decided.known:.2f} and a lead of {decided.margin:.2f} on, fitted on "
            f"{counted(decided.songs, 'song')} by {counted(decided.singers, 'singer')}."
        )
    sentence(EVIDENCE)


def hits(given: Sequence[Hit]) -> None:
    """Print songs by how alike their voice is, and where to listen."""
    from rich.table import Table

    from whosings.voices.library import EVIDENCE

    table = Table("singer")
    table.add_column("song", overflow="fold")
    table.add_column("score")
    table.add_column("listen to", no_wrap=True)
    for hit in given:
        times = f"{clock(hit.start)} to {clock(hit.start + hit.seconds)}"
        table.add_row(plain(hit.name), plain(hit.file), f"{hit.score:.2f}", times)
    console().print(table)
    sentence(EVIDENCE)
