"""The command line: parse, call one function, show. Exit: 0 done, 1 some files failed, 2 wrong input."""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from whosings.errors import WhosingsError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from whosings.collection.catalogue import Collection
    from whosings.collection.findings import Finding
    from whosings.collection.splits import Split
    from whosings.identify.ladder import Identification


class _StoppedError(Exception):
    """Ctrl-C, under a name that Typer hands on."""


class _Commands(TyperGroup):
    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _StoppedError from error


app = typer.Typer(
    cls=_Commands,
    help="Say who sings in a recording, how sure that is, and where to listen. Evidence, not proof.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data = typer.Typer(help="Look at a collection, split it, render one.", no_args_is_help=True)
app.add_typer(data, name="data")

SOME_FAILED = 1
WRONG_INPUT = 2
STOPPED = 130
LARGEST_SEED = 2**31 - 1


class SourceChoice(StrEnum):
    """What is heard of each track."""

    mix = "mix"
    vocals = "vocals"
    accompaniment = "accompaniment"


CollectionPath = Annotated[Path, typer.Argument(help="A folder of songs, or a CSV manifest.")]
RunPath = Annotated[Path, typer.Argument(help="A run folder written by 'whosings train'.")]


@data.command("check")
def data_check(
    collection: CollectionPath,
    split: Annotated[Path | None, typer.Option(help="A split that no recording may lie across.")] = None,
    listen: Annotated[bool, typer.Option(help="Decode every song, not only look at files.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say in plain words what a collection holds and what is wrong with it."""
    from whosings.collection.catalogue import open_collection
    from whosings.collection.findings import check
    from whosings.collection.splits import Split
    from whosings.progress import bar

    opened = open_collection(collection)
    with bar("Looking at songs", len(opened.tracks), quiet=as_json) as progress:
        chosen = Split.load(split) if split else None
        findings = check(opened, split=chosen, listen=listen, on_progress=progress.reach)
    if as_json:
        _print_json([vars(finding) for finding in findings])
    else:
        _show_findings(opened, findings)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(SOME_FAILED)


def _show_findings(opened: Collection, findings: list[Finding]) -> None:
    console = _console()
    console.print(
        f"{_plain(str(opened.root))}: {_count(len(opened.tracks), 'track')} by "
        f"{_count(len(opened.artists), 'artist')}, layout {opened.layout}."
    )
    colours = {"error": "red", "warning": "yellow", "note": "cyan"}
    for finding in findings:
        console.print(f"[{colours[finding.severity]}]{finding.severity}[/] {_plain(finding.text)}")
    if not findings:
        console.print("Nothing wrong was found.")


@data.command("split")
def data_split(
    collection: CollectionPath,
    out: Annotated[Path, typer.Option(help="Where the split goes, a .json file.")],
    protocol: Annotated[str, typer.Option(help="kuo, canonical, sixfold, none, song or snippet.")] = "kuo",
    seed: Annotated[int, typer.Option(help="What the draw depends on.")] = 0,
    fold: Annotated[int, typer.Option(help="Which fold of sixfold, from 0.")] = 0,
) -> None:
    """Deal the songs out to training, validation and test, as a file with a hash."""
    from whosings.collection.catalogue import open_collection
    from whosings.collection.splits import make_split

    split = make_split(open_collection(collection), protocol, seed, fold)
    split.save(out)
    _show_split(split)


@data.command("render")
def data_render(
    out: Annotated[Path, typer.Argument(help="The folder to fill with songs.")],
    singers: Annotated[int, typer.Option(min=2)] = 8,
    albums: Annotated[int, typer.Option(min=1, help="Albums of each singer.")] = 3,
    songs: Annotated[int, typer.Option(min=1, help="Songs of each album.")] = 3,
    seconds: Annotated[float, typer.Option(min=4, help="Length of each song.")] = 20.0,
    tie: Annotated[
        float, typer.Option(min=0, max=1, help="How firmly each singer is tied to a band of their own.")
    ] = 0.0,
    mix_db: Annotated[float, typer.Option(help="Level of the voice over the band in dB.")] = 3.0,
    seed: Annotated[int, typer.Option(min=0, help="Other seeds sing other songs.")] = 0,
) -> None:
    """Render songs by invented singers, with stems: a collection to try everything on."""
    from whosings.collection.studio import render_collection
    from whosings.progress import bar

    with bar("Rendering songs", singers * albums * songs) as progress:
        render_collection(
            out,
            singers=singers,
            albums=albums,
            songs=songs,
            seconds=seconds,
            tie=tie,
            mix_db=mix_db,
            seed=seed,
            on_song=progress.reach,
        )
    _console().print(f"{singers * albums * songs} songs in {_plain(str(out))}")


@app.command()
def train(
    collection: CollectionPath,
    out: Annotated[Path, typer.Option(help="The run folder; an interrupted run in it goes on.")],
    recipe: Annotated[str, typer.Option(help="A recipe's name or a .yaml file.")] = "crnn_fgnl_lca",
    window: Annotated[int, typer.Option(min=1, help="Window length in seconds; published: 3, 5, 10.")] = 5,
    split: Annotated[
        Path | None, typer.Option(help="A split file; without it a kuo split of the seed is drawn.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="What weights and order depend on.")] = 0,
    source: Annotated[SourceChoice, typer.Option(help="What is heard.")] = SourceChoice.mix,
    mix_db: Annotated[
        float | None, typer.Option(help="Mix stems with the voice this many dB over the band.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="In place of the recipe's.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe, such as learning_rate=0.001.")
    ] = None,
) -> None:
    """Train a model; choose its best epoch and its vote on validation songs."""
    from whosings.collection.catalogue import open_collection
    from whosings.collection.features import FeatureStore, default_cache
    from whosings.collection.splits import Split, make_split
    from whosings.collection.track import Source
    from whosings.identify.identifier import set_vote
    from whosings.training.recipe import load_recipe
    from whosings.training.record import Training, read_record

    changes = [*(overrides or []), *([f"epochs={epochs}"] if epochs else [])]
    chosen = load_recipe(recipe, changes)
    opened = open_collection(collection)
    drawn = Split.load(split) if split else make_split(opened, "kuo", seed)
    _show_split(drawn)
    training = Training(opened, drawn, chosen, window, Source(source.value, mix_db), seed)
    store = FeatureStore(default_cache())
    from whosings.training.run import train as train_run  # imports Lightning, which takes seconds

    result = train_run(training, out, store)
    votes = set_vote(out, training, store)
    best = read_record(out)
    console = _console()
    console.print(
        f"{_plain(str(out))}: best of {_count(chosen.epochs, 'epoch')} is {best['best_epoch']}, counted from "
        "0; on validation its macro F1 is "
        f"{best['best']['validation/f1_macro']:.3f} for windows and {max(votes.values()):.3f} for songs."
    )
    _end(result.failed)


@app.command()
def evaluate(
    run: RunPath,
    collection: Annotated[
        Path | None, typer.Option(help="Score every track of this collection whose singer is known.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where metrics and report go; without it the run folder.")
    ] = None,
) -> None:
    """Score a model on its test songs, or on another collection; write metrics.json and a report."""
    from whosings.evidence.evaluate import evaluate as evaluate_run

    result = evaluate_run(run, collection=collection, out=out)
    _show_metrics(result.metrics)
    _show_warning(result.metrics["protocol"])
    _console().print(f"Report: {_plain(str(result.report))}")
    _end(result.metrics["failed"])


@app.command()
def identify(
    run: RunPath,
    files: Annotated[list[Path], typer.Argument(help="Sound files, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list, for programs.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, for spreadsheets.")] = False,
) -> None:
    """Say who sings in each file, who else it could be, and which seconds to listen to."""
    from whosings import load
    from whosings.identify.exports import to_csv
    from whosings.progress import bar

    if as_json and as_csv:
        raise WhosingsError("--json and --csv cannot both be written; choose one.")
    identifier = load(run)
    answers = []
    paths, failed = _sound_files(files)
    with bar("Listening", len(paths), quiet=len(paths) < 2) as progress:
        for path in paths:
            try:
                answers.append(identifier.identify(path))
            except WhosingsError as error:
                failed[str(path)] = str(error)
            progress.step()
    if as_json:
        _print_json([answer.to_dict() for answer in answers])
    elif as_csv:
        sys.stdout.write(to_csv(answers))
    elif answers:
        _console().print(_answer_table(answers))
    _end(failed, nothing_done=not answers)


@app.command()
def models() -> None:
    """List every system with its exact number of parameters at 20 singers."""
    from rich.table import Table

    from whosings.models import SYSTEMS, count_parameters, create

    table = Table("system", "parameters at 20 singers")
    for name in SYSTEMS:
        table.add_row(name, f"{count_parameters(create(name, 20)):,}")
    _console().print(table)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where songs, model and report go.")] = Path("demo"),
) -> None:
    """Render songs, train on them, score unseen albums, identify a song, and write a report page."""
    from whosings.evidence.demo import run_demo

    result = run_demo(out)
    _show_metrics(result.metrics)
    _console().print(_answer_table([result.identification]))
    _console().print(f"Report: {_plain(str(result.report))}")


def main() -> None:
    """Run the command line; every expected error is one sentence on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show must not end the work
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except WhosingsError as error:
        _fail(str(error))
        sys.exit(WRONG_INPUT)
    except OSError as error:  # such as a full disk
        place = error.filename2 or error.filename or "a file"
        _fail(
            f"{place}: the system refused it ({error.strerror or error}); mend that, or choose another place."
        )
        sys.exit(WRONG_INPUT)
    except (KeyboardInterrupt, _StoppedError):
        _fail("stopped; the same command goes on where it can.")
        sys.exit(STOPPED)


def _sound_files(given: list[Path]) -> tuple[list[Path], dict[str, str]]:
    """Give the files named and the songs of folders named, without their stems, and why folders have none."""
    from whosings.audio.decode import is_sound
    from whosings.collection.layouts.folders import is_stem

    files: list[Path] = []
    failed = {}
    for path in given:
        if path.is_dir():
            found = sorted(
                file for file in path.rglob("*") if file.is_file() and is_sound(file) and not is_stem(file)
            )
            if not found:
                failed[str(path)] = f"{path}: there are no sound files in this folder; name another."
            files += found
        else:
            files.append(path)
    return files, failed


def _show_split(split: Split) -> None:
    console = _console()
    console.print(
        f"Split {split.protocol}, seed {split.seed}: {len(split.singers)} singers; {len(split.train)} songs "
        f"train, {len(split.validation)} validate, {len(split.test)} test ({split.sha256[:12]})."
    )
    for artist, reason in split.left_out.items():
        console.print(f"[yellow]left out[/] {_plain(artist)}: {_plain(reason)}")
    _show_warning(split.protocol)


def _show_warning(protocol: str | None) -> None:
    """Say what is wrong with figures of a protocol, where something is."""
    from whosings.collection.splits import WARNINGS

    if protocol in WARNINGS:
        _console().print(f"[red]warning[/] {WARNINGS[protocol]}")


def _show_metrics(metrics: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("", "macro F1", "weighted F1", "accuracy", "n")
    for level in ("window", "song"):
        scores = metrics[level]
        cells = []
        for figure in ("f1_macro", "f1_weighted", "accuracy"):
            low, high = scores["interval"][figure]
            cells.append(f"{scores[figure]:.3f} ({low:.2f}-{high:.2f})")
        table.add_row(level, *cells, str(scores["n"]))
    _console().print(table)


def _answer_table(answers: list[Identification]) -> Table:
    from rich.table import Table

    table = Table()
    table.add_column("file", overflow="fold")
    for heading in ("singer", "confidence", "runner-up"):
        table.add_column(heading)
    table.add_column("listen to", no_wrap=True)
    names = Counter(Path(answer.file).name for answer in answers)
    for answer in answers:
        name = Path(answer.file).name
        table.add_row(
            _plain(name if names[name] == 1 else answer.file),
            _plain(answer.singer),
            f"{answer.confidence:.0%}",
            f"{_plain(answer.runner_up)} {answer.runner_up_confidence:.0%}",
            f"{_clock(answer.listen_from)} to {_clock(answer.listen_to)}",
        )
    return table


def _clock(seconds: float) -> str:
    """Give m:ss.s, or h:mm:ss.s from an hour on."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _plain(text: str) -> str:
    """Keep brackets in names from being read as markup."""
    from rich.markup import escape

    return escape(text)


def _console() -> Console:
    from rich.console import Console

    return Console(soft_wrap=True, emoji=False)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _fail(text: str) -> None:
    print(f"whosings: {text}", file=sys.stderr)


def _end(failed: dict[str, str], *, nothing_done: bool = False) -> None:
    """Name what failed and leave with the fitting status."""
    for reason in failed.values():
        _fail(reason)
    if failed:
        raise typer.Exit(WRONG_INPUT if nothing_done else SOME_FAILED)
