"""What the command line shows: sentences and tables for people, JSON for programs, all on standard output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whosings.show import voices as voices
from whosings.show.words import (
    COLOURS,
    clock,
    console,
    duration,
    labelled,
    note,
    plain,
    sentence,
    short,
    warning,
)
from whosings.show.words import as_json as as_json
from whosings.wording import counted

if TYPE_CHECKING:
    from whosings.collection.catalogue import Collection
    from whosings.collection.confounded import Confounded
    from whosings.collection.findings import Finding
    from whosings.collection.splits import Split
    from whosings.evidence.explain import Explained
    from whosings.evidence.paper.estimate import Estimate
    from whosings.evidence.paper.reproduce import Reproduction
    from whosings.identify.join import Joined
    from whosings.identify.ladder import Identification
    from whosings.identify.timeline import Segment


def findings(collection: Collection, found: Sequence[Finding]) -> None:
    """Print what a collection holds, and what is wrong with it."""
    tracks, artists = len(collection.tracks), len(collection.artists)
    sentence(
        f"{collection.root}: {counted(tracks, 'track')} by {counted(artists, 'artist')}, "
        f"layout {collection.layout}."
    )
    for finding in found:
        labelled(finding.severity, COLOURS[finding.severity], finding.text)
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
        labelled("left out", "yellow", f"{artist}: {reason}")
    warning(WARNINGS.get(dealt.protocol, ""))


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
    console().print(table)


def joined(result: Joined, out: Path) -> None:
    """Print the weights in an ensemble, and what it and its members reach on validation songs."""
    from rich.table import Table

    table = Table()
    table.add_column("model", overflow="fold")
    for heading in ("weight", "log-likelihood", "macro F1, windows", "macro F1, songs"):
        table.add_column(heading)
    weights = {name: f"{weight:.2f}" for name, weight in result.card.members.items()}
    for name, score in {**result.members, "together": result.ensemble}.items():
        figures = (score.log_likelihood, score.window_f1, score.song_f1)
        table.add_row(plain(name), weights.get(name, ""), *(f"{figure:.3f}" for figure in figures))
    console().print(table)
    idle = [name for name, weight in result.card.members.items() if not weight]
    if idle:
        note(f"{', '.join(idle)}: of no weight on validation songs; join the others without.")
    sentence(f"{out}: {counted(len(weights), 'model')} joined; the figures are those of validation songs.")


def answers(given: Sequence[Identification]) -> None:
    """Print a row for each identified file; files of one name are shown with their folders."""
    from rich.table import Table

    table = Table()
    table.add_column("file", overflow="fold")
    for heading in ("singer", "confidence", "runner-up"):
        table.add_column(heading)
    table.add_column("listen to", no_wrap=True)
    for answer, name in zip(given, short([answer.file for answer in given]), strict=True):
        sung = answer.nearest is not None
        table.add_row(
            plain(name),
            plain(answer.label + (f" (nearest {answer.nearest})" if answer.kind == "unknown" else "")),
            f"{answer.confidence:.0%}",
            plain(f"{answer.runner_up} {answer.runner_up_confidence:.0%}") if sung else "",
            f"{clock(answer.listen_from)} to {clock(answer.listen_to)}" if sung else "",
        )
    console().print(table)
    if len(given) == 1 and len(given[0].segments) > 1:
        _timeline(given[0].segments)


def _timeline(segments: Sequence[Segment]) -> None:
    """Print who sings when."""
    from rich.table import Table

    table = Table("from", "to", "who", "confidence")
    for segment in segments:
        times = (clock(segment.start), clock(segment.end))
        table.add_row(*times, plain(segment.label), f"{segment.confidence:.0%}")
    console().print(table)


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
        console().print(table)
    else:
        sentence("Nothing did.")
    files({"picture": given.picture, "page": given.page})


def confounded(made: Confounded, commands: Sequence[str]) -> None:
    """Print the size of a benchmark of bias, and what to run next."""
    from rich.table import Table

    sentence(f"{made.root}: {counted(len(made.singers), 'singer')} ({', '.join(made.singers)}).")
    table = Table("side", "clips", "seconds", "seconds lost")
    for side, clips in made.clips.items():
        table.add_row(side, f"{clips}", f"{made.seconds[side]:.1f}", f"{made.lost[side]:.1f}")
    console().print(table)
    sentence("Lost is what of a voice comes after the end of its band. Next:")
    for command in commands:
        sentence(f"  {command}")


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
        table.add_row(name, f"{parameters:,}", "" if added is None else f"{added:,}", about)
    console().print(table)
    sentence(
        "Parameters are those in use, at 20 singers. A learned counterfactual branch (LCA) adds the given "
        "number in training and is dropped afterwards; random counterfactual attention (CAL) adds none. "
        "Systems without a number have no attention map to exchange."
    )
