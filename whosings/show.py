"""What the command line shows: sentences and tables for people, JSON for programs, all on standard output."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whosings.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from whosings.collection.catalogue import Collection
    from whosings.collection.findings import Finding
    from whosings.collection.splits import Split
    from whosings.evidence.explain import Explained
    from whosings.evidence.paper.estimate import Estimate
    from whosings.evidence.paper.reproduce import Reproduction
    from whosings.identify.ladder import Identification

COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def sentence(text: str) -> None:
    """Print a sentence as it is: brackets in names are no markup."""
    _console().print(_plain(text))


def as_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def findings(collection: Collection, found: Sequence[Finding]) -> None:
    """Print what a collection holds, and what is wrong with it."""
    tracks, artists = len(collection.tracks), len(collection.artists)
    sentence(
        f"{collection.root}: {counted(tracks, 'track')} by {counted(artists, 'artist')}, "
        f"layout {collection.layout}."
    )
    for finding in found:
        _labelled(finding.severity, COLOURS[finding.severity], finding.text)
    if not found:
        sentence("Nothing wrong was found.")


def split(dealt: Split) -> None:
    """Print the size of a split, whom it leaves out and why, and what is wrong with its protocol."""
    from whosings.collection.splits import WARNINGS

    sentence(
        f"Split {dealt.protocol}, seed {dealt.seed}: {len(dealt.singers)} singers; {len(dealt.train)} songs "
        f"train, {len(dealt.validation)} validate, {len(dealt.test)} test ({dealt.sha256[:12]})."
    )
    for artist, reason in dealt.left_out.items():
        _labelled("left out", "yellow", f"{artist}: {reason}")
    warning(WARNINGS.get(dealt.protocol, ""))


def warning(text: str) -> None:
    """Print what is wrong with figures; nothing where `text` is empty."""
    if text:
        _labelled("warning", "red", text)


def metrics(figures: Mapping[str, Any]) -> None:
    """Print the scores of windows and songs with their intervals."""
    from rich.table import Table

    table = Table("", "macro F1", "weighted F1", "accuracy", "n")
    for level in ("window", "song"):
        scores = figures[level]
        cells = []
        for figure in ("f1_macro", "f1_weighted", "accuracy"):
            low, high = scores["interval"][figure]
            cells.append(f"{scores[figure]:.3f} ({low:.2f}-{high:.2f})")
        table.add_row(level, *cells, str(scores["n"]))
    _console().print(table)


def answers(given: Sequence[Identification]) -> None:
    """Print a row for each identified file; files of one name are shown with their folders."""
    from rich.table import Table

    table = Table()
    table.add_column("file", overflow="fold")
    for heading in ("singer", "confidence", "runner-up"):
        table.add_column(heading)
    table.add_column("listen to", no_wrap=True)
    names = Counter(Path(answer.file).name for answer in given)
    for answer in given:
        name = Path(answer.file).name
        table.add_row(
            _plain(name if names[name] == 1 else answer.file),
            _plain(answer.singer),
            f"{answer.confidence:.0%}",
            f"{_plain(answer.runner_up)} {answer.runner_up_confidence:.0%}",
            f"{clock(answer.listen_from)} to {clock(answer.listen_to)}",
        )
    _console().print(table)


def explained(given: Explained) -> None:
    """Print for whom a song was explained, the most telling seconds, and where to see more."""
    from rich.table import Table

    sentence(
        f"{given.file}: the answer is {given.answer.singer} ({given.answer.confidence:.0%}), next "
        f"{given.answer.runner_up} ({given.answer.runner_up_confidence:.0%}). What spoke for {given.singer}:"
    )
    table = Table("listen to", "share of the evidence")
    for moment in given.moments:
        table.add_row(f"{clock(moment.start)} to {clock(moment.stop)}", f"{moment.share:.0%}")
    if given.moments:
        _console().print(table)
    else:
        sentence("Nothing did.")
    files({"picture": given.picture, "page": given.page})


def estimate(expected: Estimate) -> None:
    """Print how long a grid will take."""
    runs = counted(len(expected.runs), "run")
    if not expected.runs:
        sentence("All runs are done.")
        return
    sentence(
        f"{runs} to make, about {duration(sum(expected.runs.values()))} on this machine as it is now, and "
        f"{duration(expected.features)} before that to hear melodies and take mixes apart."
        if expected.features
        else f"{runs} to make, about {duration(sum(expected.runs.values()))} on this machine as it is now."
    )


def run(name: str, seconds: float) -> None:
    """Print which run begins."""
    if seconds:
        sentence(f"{name}: about {duration(seconds)}")


def reproduction(result: Reproduction) -> None:
    """Print what became of a grid, and where its table lies."""
    files(result.files)
    if result.left:
        sentence(f"{counted(len(result.left), 'run')} left for another time; the same command goes on.")


def files(named: Mapping[str, Path]) -> None:
    """Print where files lie."""
    for name, path in named.items():
        sentence(f"{name}: {path}")


def systems(rows: Sequence[tuple[str, str, int, int | None]]) -> None:
    """Print systems: name, what it is, parameters, and what a learned branch adds in training."""
    from rich.table import Table

    table = Table("system", "parameters", "LCA adds", "what")
    for name, about, parameters, added in rows:
        table.add_row(name, f"{parameters:,}", "" if added is None else f"{added}", about)
    _console().print(table)
    sentence(
        "Parameters are those in use, at 20 singers. A learned counterfactual branch (LCA) adds the given "
        "number in training and is dropped afterwards; random counterfactual attention (CAL) adds none. "
        "Systems without a number have no attention map to exchange."
    )


def duration(seconds: float) -> str:
    """Give `5 min` or `2.5 h`."""
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{max(seconds / 60, 1):.0f} min"


def clock(seconds: float) -> str:
    """Give m:ss.s, or h:mm:ss.s from an hour on."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def _labelled(label: str, colour: str, text: str) -> None:
    _console().print(f"[{colour}]{label}[/] {_plain(text)}")


def _plain(text: str) -> str:
    """Keep brackets in names from being read as markup."""
    from rich.markup import escape

    return escape(text)


def _console() -> Console:
    from rich.console import Console

    return Console(soft_wrap=True, emoji=False)
