"""The command line: parse, call one function, show. Exit: 0 done, 1 some files failed, 2 wrong input."""

from __future__ import annotations

import io
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from whosings import show
from whosings.errors import WhosingsError
from whosings.wording import counted

if TYPE_CHECKING:
    from whosings.collection.features import FeatureStore
    from whosings.collection.track import SeparatorName
    from whosings.evidence.paper.estimate import Estimate
    from whosings.evidence.paper.grid import Settings
    from whosings.evidence.paper.plan import Draw
    from whosings.training.record import Training


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


class SeparatorChoice(StrEnum):
    """Where vocals and accompaniment come from."""

    spleeter = "spleeter"
    openunmix = "openunmix"
    demucs = "demucs"
    stems = "stems"


class BranchChoice(StrEnum):
    """Which branch of a network is scored."""

    main = "main"
    counterfactual = "counterfactual"


class PaperChoice(StrEnum):
    """What can be reproduced."""

    table1 = "table1"
    table2 = "table2"
    table3 = "table3"
    table4 = "table4"
    figure1 = "figure1"
    figure4 = "figure4"


CollectionPath = Annotated[Path, typer.Argument(help="A folder of songs, or a CSV manifest.")]
RunPath = Annotated[Path, typer.Argument(help="A run folder written by 'whosings train'.")]
WindowOption = Annotated[int, typer.Option(min=1, help="Window length in seconds; published: 3, 5, 10.")]
SplitOption = Annotated[
    Path | None, typer.Option(help="A split file; without it a kuo split of the seed is drawn.")
]
SeedOption = Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="What weights and order depend on.")]
SourceOption = Annotated[SourceChoice, typer.Option(help="What is heard.")]
SeparatorOption = Annotated[
    SeparatorChoice | None,
    typer.Option(help="What takes mixes apart; stems: the collection's own. Else spleeter, where needed."),
]
MixOption = Annotated[float | None, typer.Option(help="Mix stems with the voice this many dB over the band.")]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="In place of the recipe's.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Change the recipe, such as learning_rate=0.001.")
]
HoursOption = Annotated[
    float | None, typer.Option(min=0, help="Begin nothing that would end later than this.")
]


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
        show.as_json([vars(finding) for finding in findings])
    else:
        show.findings(opened, findings)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(SOME_FAILED)


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
    show.split(split)


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
    show.sentence(f"{singers * albums * songs} songs in {out}")


@app.command()
def train(
    collection: CollectionPath,
    out: Annotated[Path, typer.Option(help="The run folder; an interrupted run in it goes on.")],
    recipe: Annotated[str, typer.Option(help="A recipe's name or a .yaml file.")] = "crnn_fgnl_lca",
    window: WindowOption = 5,
    split: SplitOption = None,
    seed: SeedOption = 0,
    source: SourceOption = SourceChoice.mix,
    separator: SeparatorOption = None,
    mix_db: MixOption = None,
    epochs: EpochsOption = None,
    overrides: SetOption = None,
) -> None:
    """Train a model; choose its best epoch and its vote on validation songs."""
    from whosings.collection.features import FeatureStore, default_cache
    from whosings.identify.identifier import set_vote
    from whosings.training.record import read_record

    training = _training(
        collection, recipe, window, split, seed, source, separator, mix_db, epochs, overrides
    )
    counterfactual, epochs_in_all = training.recipe.counterfactual, training.recipe.epochs
    if counterfactual.branch != "none" and counterfactual.first_step >= epochs_in_all:
        show.warning(
            f"{counted(epochs_in_all, 'epoch')} end within the first step of "
            f"{counterfactual.first_step}, which has no counterfactual loss: the branch will have no part "
            "in this model. Give more epochs, or --set counterfactual.first_step=0."
        )
    store = FeatureStore(default_cache())
    from whosings.training.run import train as train_run  # imports Lightning, which takes seconds

    result = train_run(training, out, store)
    votes = set_vote(out, training, store)
    best = read_record(out)
    show.sentence(
        f"{out}: best of {counted(training.recipe.epochs, 'epoch')} is {best['best_epoch']}, counted "
        f"from 0; on validation its macro F1 is {best['best']['validation/f1_macro']:.3f} for windows and "
        f"{max(votes.values()):.3f} for songs."
    )
    _end(result.failed)


@app.command()
def search(
    collection: CollectionPath,
    out: Annotated[Path, typer.Option(help="The search folder; an interrupted search in it goes on.")],
    trials: Annotated[int, typer.Option(min=1, help="Trainings in all.")] = 20,
    recipe: Annotated[str, typer.Option(help="A recipe with a learned branch.")] = "crnn_fgnl_lca",
    window: WindowOption = 5,
    split: SplitOption = None,
    seed: SeedOption = 0,
    source: SourceOption = SourceChoice.mix,
    separator: SeparatorOption = None,
    mix_db: MixOption = None,
    epochs: EpochsOption = None,
    overrides: SetOption = None,
    max_hours: HoursOption = None,
) -> None:
    """Search the six loss weights of LCA on validation songs; write the best as a recipe."""
    from whosings.collection.features import FeatureStore, default_cache

    training = _training(
        collection, recipe, window, split, seed, source, separator, mix_db, epochs, overrides
    )
    store = FeatureStore(default_cache())
    from whosings.training.search import search_weights

    found = search_weights(training, out, store, trials=trials, max_hours=max_hours)
    weights = ", ".join(f"{name} {value:.3g}" for name, value in vars(found.weights).items())
    show.sentence(
        f"{found.recipe}: best of {counted(found.trials, 'trial')}, macro F1 {found.score:.3f} over "
        f"validation windows, with {weights}."
    )
    _end(found.failed)


@app.command()
def evaluate(
    run: RunPath,
    collection: Annotated[
        Path | None, typer.Option(help="Score every track of this collection whose singer is known.")
    ] = None,
    branch: Annotated[
        BranchChoice, typer.Option(help="The model, or its counterfactual branch (table 4).")
    ] = BranchChoice.main,
    out: Annotated[
        Path | None, typer.Option(help="Where metrics and report go; without it the run folder.")
    ] = None,
) -> None:
    """Score a model on its test songs, or on another collection; write metrics.json and a report."""
    from whosings.evidence.evaluate import evaluate as evaluate_run

    result = evaluate_run(run, collection=collection, branch=branch.value, out=out)
    show.metrics(result.metrics)
    show.warning(result.metrics["warning"])
    show.sentence(f"Report: {result.report}")
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
    paths, failed = _songs(files)
    with bar("Listening", len(paths), quiet=len(paths) < 2) as progress:
        for path in paths:
            try:
                answers.append(identifier.identify(path))
            except WhosingsError as error:
                failed[str(path)] = str(error)
            progress.step()
    if as_json:
        show.as_json([answer.to_dict() for answer in answers])
    elif as_csv:
        sys.stdout.write(to_csv(answers))
    elif answers:
        show.answers(answers)
    _end(failed, nothing_done=not answers)


@app.command()
def explain(
    run: RunPath,
    file: Annotated[Path, typer.Argument(help="A sound file.")],
    out: Annotated[Path, typer.Option(help="The folder of picture and page.")] = Path("explained"),
    singer: Annotated[str | None, typer.Option(help="Explain this singer in place of the answer.")] = None,
) -> None:
    """Show what in a song spoke for its singer: Grad-CAM as a picture, and as a page with the sound."""
    from whosings.evidence.explain import explain_file

    show.explained(explain_file(run, file, out, singer=singer))


@app.command()
def reproduce(
    what: Annotated[PaperChoice, typer.Argument(help="A table or figure of the paper.")],
    collection: CollectionPath,
    out: Annotated[Path, typer.Option(help="Where runs, tables and figures go; an earlier grid goes on.")],
    protocol: Annotated[str, typer.Option(help="kuo, canonical or sixfold.")] = "kuo",
    seeds: Annotated[str, typer.Option(help="One draw each, such as 0,21,42.")] = "0,21,42",
    split: Annotated[
        Path | None, typer.Option(help="One split for all seeds; without it each draws its own.")
    ] = None,
    epochs: EpochsOption = None,
    first_step: Annotated[
        int | None, typer.Option(min=0, help="Epochs before the second of two training steps.")
    ] = None,
    windows: Annotated[str | None, typer.Option(help="Only these window lengths, such as 3,5.")] = None,
    source: Annotated[SourceChoice | None, typer.Option(help="Only this source.")] = None,
    separator: SeparatorOption = None,
    mix_db: MixOption = None,
    overrides: SetOption = None,
    max_hours: HoursOption = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what it would take.")] = False,
) -> None:
    """Make a table or figure of the paper, the published figures beside ours, run by run."""
    from whosings.collection.features import FeatureStore, default_cache
    from whosings.collection.splits import Split
    from whosings.evidence.paper.grid import Settings
    from whosings.evidence.paper.plan import TABLES, draws_of, narrowed
    from whosings.evidence.paper.reproduce import reproduce_table

    settings = Settings(
        collection=collection,
        out=out,
        protocol=protocol,
        split=Split.load(split) if split else None,
        mix_db=mix_db,
        separator=_separator(separator, SourceChoice.vocals),
        epochs=epochs,
        first_step=first_step,
        overrides=tuple(overrides or []),
    )
    draws = draws_of(protocol, _seeds(seeds))
    if what in {PaperChoice.figure1, PaperChoice.figure4}:
        if windows or source:
            raise WhosingsError(
                f"{what.value} has one window length and hears the mix; leave out --windows and --source."
            )
        _reproduce_figure(what, settings, draws, FeatureStore(default_cache()), max_hours, plan)
        return
    lengths = _numbers("--windows", windows) if windows else None
    table = narrowed(TABLES[what.value], lengths, source.value if source else None)
    result = reproduce_table(
        table,
        settings,
        draws,
        FeatureStore(default_cache()),
        max_hours=max_hours,
        plan_only=plan,
        command=shlex.join(["whosings", *sys.argv[1:]]),
        on_estimate=show.estimate,
        on_run=show.run,
    )
    show.reproduction(result)
    _end({**result.failed, **result.unheard})


@app.command()
def models() -> None:
    """List every system with its exact number of parameters at 20 singers, and what training adds."""
    from whosings.models import SYSTEMS, attention_parameters, count_parameters, create

    networks = {name: create(name, 20) for name in SYSTEMS}
    show.systems(
        [
            (name, SYSTEMS[name].about, count_parameters(network), attention_parameters(network))
            for name, network in networks.items()
        ]
    )


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where songs, model and report go.")] = Path("demo"),
) -> None:
    """Render songs, train on them, score unseen albums, identify a song, and write a report page."""
    from whosings.evidence.demo import run_demo

    result = run_demo(out)
    show.metrics(result.metrics)
    show.answers([result.identification])
    show.sentence(f"Report: {result.report}")


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


def _songs(given: list[Path]) -> tuple[list[Path], dict[str, str]]:
    """Give the files named and the songs of folders named, and why folders have none."""
    from whosings.collection.layouts.folders import songs_under

    files: list[Path] = []
    failed = {}
    for path in given:
        found = songs_under(path) if path.is_dir() else [path]
        if not found:
            failed[str(path)] = f"{path}: there are no sound files in this folder; name another."
        files += found
    return files, failed


def _training(
    collection: Path,
    recipe: str,
    window: int,
    split: Path | None,
    seed: int,
    source: SourceChoice,
    separator: SeparatorChoice | None,
    mix_db: float | None,
    epochs: int | None,
    overrides: list[str] | None,
) -> Training:
    """Put together what is to be trained, and show its split."""
    from whosings.collection.catalogue import open_collection
    from whosings.collection.splits import Split, make_split
    from whosings.collection.track import Source
    from whosings.training.recipe import load_recipe
    from whosings.training.record import Training

    chosen = load_recipe(recipe, [*(overrides or []), *([f"epochs={epochs}"] if epochs else [])])
    opened = open_collection(collection)
    drawn = Split.load(split) if split else make_split(opened, "kuo", seed)
    show.split(drawn)
    sound = Source(source.value, mix_db, _separator(separator, source))
    return Training(opened, drawn, chosen, window, sound, seed)


def _separator(chosen: SeparatorChoice | None, source: SourceChoice) -> SeparatorName:
    """Give the separator: the one chosen, else Spleeter where a mix has to be taken apart."""
    if chosen is not None:
        return chosen.value
    return "stems" if source is SourceChoice.mix else "spleeter"


def _numbers(option: str, text: str) -> list[int]:
    """Read whole numbers such as 0,21,42."""
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise WhosingsError(f"{option} {text}: give whole numbers with commas, such as 0,21,42.") from None


def _seeds(text: str) -> list[int]:
    """Read the seeds of draws."""
    seeds = _numbers("--seeds", text)
    if not all(0 <= seed <= LARGEST_SEED for seed in seeds):
        raise WhosingsError(f"--seeds {text}: seeds are from 0 to {LARGEST_SEED}; choose others.")
    return seeds


def _reproduce_figure(
    what: PaperChoice,
    settings: Settings,
    draws: list[Draw],
    store: FeatureStore,
    max_hours: float | None,
    plan: bool,
) -> None:
    """Make a figure, once it is known what its runs will take."""
    from whosings.evidence.paper.figure1 import figure1
    from whosings.evidence.paper.figure4 import figure4

    def begin(expected: Estimate) -> None:
        show.estimate(expected)
        if plan:
            raise typer.Exit
        if max_hours is not None and expected.hours > max_hours:
            raise WhosingsError(
                f"{settings.out}: a figure needs all its runs, which take longer than {max_hours:g} hours; "
                "allow more, or fewer seeds or epochs."
            )

    draw = figure1 if what is PaperChoice.figure1 else figure4
    figure = draw(settings, draws, store, on_estimate=begin)
    show.files({"picture": figure.picture, "page": figure.page, "numbers": figure.record})
    _end(figure.unheard)


def _fail(text: str) -> None:
    print(f"whosings: {text}", file=sys.stderr)


def _end(failed: dict[str, str], *, nothing_done: bool = False) -> None:
    """Name what failed and leave with the fitting status."""
    for reason in failed.values():
        _fail(reason)
    if failed:
        raise typer.Exit(WRONG_INPUT if nothing_done else SOME_FAILED)
