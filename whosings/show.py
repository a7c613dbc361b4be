"""What the command line shows: sentences and tables for people, JSON for programs, all on standard output."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whosings.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from whosings.collection.catalogue import Collection
    from whosings.collection.confounded import Confounded
    from whosings.collection.findings import Finding
    from whosings.collection.splits import Split
    from whosings.evidence.explain import Explained
    from whosings.evidence.paper.estimate import Estimate
    from whosings.evidence.paper.reproduce import Reproduction
    from whosings.identify.ladder import Identification
    from whosings.identify.timeline import Segment
    from whosings.voices.desk import FileAnswer
    from whosings.voices.library import Hit, Singer

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
    for answer, name in zip(given, _short([answer.file for answer in given]), strict=True):
        sung = answer.nearest is not None
        table.add_row(
            _plain(name),
            _plain(answer.label + (f" (nearest {answer.nearest})" if answer.kind == "unknown" else "")),
            f"{answer.confidence:.0%}",
            _plain(f"{answer.runner_up} {answer.runner_up_confidence:.0%}") if sung else "",
            f"{clock(answer.listen_from)} to {clock(answer.listen_to)}" if sung else "",
        )
    _console().print(table)
    if len(given) == 1 and len(given[0].segments) > 1:
        _timeline(given[0].segments)


def _short(files: Sequence[str]) -> list[str]:
    """Give files by their names, those of one name with their folders."""
    names = Counter(Path(file).name for file in files)
    return [Path(file).name if names[Path(file).name] == 1 else file for file in files]


def _timeline(segments: Sequence[Segment]) -> None:
    """Print who sings when."""
    from rich.table import Table

    table = Table("from", "to", "who", "confidence")
    for segment in segments:
        times = (clock(segment.start), clock(segment.end))
        table.add_row(*times, _plain(segment.label), f"{segment.confidence:.0%}")
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
        table.add_row(_plain(singer.name), *counts, singer.enrolled, _plain(singer.consent or "none told"))
    _console().print(table)


def found(given: Sequence[FileAnswer]) -> None:
    """Print a row for each file: who of the enrolled sings, how alike, and where to listen."""
    from rich.table import Table

    from whosings.voices.library import EVIDENCE

    table = Table()
    table.add_column("file", overflow="fold")
    for heading in ("singer", "score", "lead"):
        table.add_column(heading)
    table.add_column("listen to", no_wrap=True)
    for answer, name in zip(given, _short([answer.file for answer in given]), strict=True):
        match = answer.match
        if match is None:
            table.add_row(_plain(name), answer.label, "", "", "")
            continue
        table.add_row(
            _plain(name),
            _plain(answer.label + (f" (nearest {match.nearest})" if answer.kind == "unknown" else "")),
            f"{match.score:.2f}",
            f"{match.lead:.2f}" if math.isfinite(match.lead) else "",
            f"{clock(match.start)} to {clock(match.start + match.seconds)}",
        )
    _console().print(table)
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
        table.add_row(_plain(hit.name), _plain(hit.file), f"{hit.score:.2f}", times)
    _console().print(table)
    sentence(EVIDENCE)


def confounded(made: Confounded, commands: Sequence[str]) -> None:
    """Print the size of a benchmark of bias, and what to run next."""
    from rich.table import Table

    sentence(f"{made.root}: {counted(len(made.singers), 'singer')}: {', '.join(made.singers)}.")
    table = Table("side", "clips", "seconds", "seconds lost")
    for side, clips in made.clips.items():
        table.add_row(side, f"{clips}", f"{made.seconds[side]:.1f}", f"{made.lost[side]:.1f}")
    _console().print(table)
    sentence("Lost is what of a voice comes after the end of its band. Next:")
    for command in commands:
        sentence(f"  {command}")


def note(text: str) -> None:
    """Print what is good to know."""
    _labelled("note", COLOURS["note"], text)


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
