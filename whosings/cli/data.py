"""Commands on a collection: `data check`, `data split`, `data confound`, `data render`, `data labels`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whosings import show
from whosings.cli.options import SOME_FAILED, CollectionPath
from whosings.errors import WhosingsError
from whosings.wording import counted

if TYPE_CHECKING:
    from whosings.collection.catalogue import Collection
    from whosings.collection.confounded import Confounded
    from whosings.collection.findings import Finding

commands = typer.Typer(help="Look at a collection, split it, make or render one.", no_args_is_help=True)


@commands.command("check")
def data_check(
    collection: CollectionPath,
    split: Annotated[Path | None, typer.Option(help="A split that no recording may lie across.")] = None,
    listen: Annotated[bool, typer.Option(help="Decode every song, not only look at files.")] = True,
    voices: Annotated[
        bool, typer.Option("--voices", help="Find songs whose voice does not fit their artist.")
    ] = False,
    encoder: Annotated[
        Path | None, typer.Option(help="With --voices: a run of a voiceprint recipe; else pretrained.")
    ] = None,
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
    if voices:
        findings = _with_voices(findings, opened, encoder, quiet=as_json)
    if as_json:
        show.as_json([vars(finding) for finding in findings])
    else:
        show.findings(opened, findings)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(SOME_FAILED)


def _with_voices(findings: list[Finding], opened: Collection, run: Path | None, quiet: bool) -> list[Finding]:
    """Add what the voices of a collection say to what its files do, the worst first."""
    from whosings.collection.features import FeatureStore, default_cache
    from whosings.collection.findings import SEVERITIES, Finding
    from whosings.identify.misfits import audit
    from whosings.progress import bar
    from whosings.voices.catalogue import print_tracks
    from whosings.voices.encoder import Voiceprinter

    store, printer = FeatureStore(default_cache()), Voiceprinter(run)
    with bar("Hearing voices", len(opened.tracks), quiet=quiet) as progress:
        prints, failed = print_tracks(opened.tracks, printer, store, progress.step)
    told = {finding.subject for finding in findings if finding.severity == "error"}
    found = [Finding("error", name, text) for name, text in failed.items() if name not in told]
    artist_of = {track.id: track.artist for track in opened.tracks}
    try:
        found += audit({name: heard.sung().vectors for name, heard in prints.items()}, artist_of)
    except WhosingsError as error:
        found.append(Finding("warning", str(opened.root), f"The voices cannot be judged. {error}"))
    return sorted([*findings, *found], key=lambda finding: SEVERITIES.index(finding.severity))


@commands.command("split")
def data_split(
    collection: CollectionPath,
    out: Annotated[Path, typer.Option(help="Where the split goes, a .json file.")],
    protocol: Annotated[str, typer.Option(help="kuo, canonical, sixfold, none, song or snippet.")] = "kuo",
    seed: Annotated[int, typer.Option(help="What the draw depends on.")] = 0,
    fold: Annotated[int, typer.Option(help="Which fold of sixfold, from 0.")] = 0,
    leave_out: Annotated[
        list[str] | None, typer.Option(help="An artist on no side, to be an unknown singer; repeatable.")
    ] = None,
) -> None:
    """Deal the songs out to training, validation and test, as a file with a hash."""
    from whosings.collection.catalogue import open_collection
    from whosings.collection.splits import make_split

    split = make_split(open_collection(collection), protocol, seed, fold, leave_out or ())
    split.save(out)
    show.split(split)


@commands.command("confound")
def data_confound(
    collection: CollectionPath,
    out: Annotated[Path, typer.Argument(help="The folder of the benchmark.")],
    tie: Annotated[
        float, typer.Option(min=0, max=1, help="How firmly each singer is tied to a pool of bands.")
    ] = 0.9,
    singers: Annotated[
        int | None, typer.Option(min=2, help="Those with the most songs; else all with three or more.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="What the draw depends on.")] = 0,
) -> None:
    """Make a benchmark of bias from stems: singers tied to bands in training, the tie cut in tests."""
    from whosings.collection.catalogue import open_collection
    from whosings.collection.confounded import confound

    made = confound(open_collection(collection), out, tie=tie, singers=singers, seed=seed)
    show.confounded(made, _next_commands(made))


def _next_commands(made: Confounded) -> list[str]:
    """Give the commands that train on a benchmark, score on its three tests, and search without its bias."""
    name = made.root.resolve().name
    run, others = f"{name}-run", [made.tests[test] for test in made.tests if test != "tied"]
    commands: list[tuple[str | Path, ...]] = [
        ("train", made.root, "--split", made.split, "--out", run),
        ("evaluate", run),
        *(("evaluate", run, "--collection", test) for test in others),
    ]
    if made.manifest_free:
        commands.append(("search", made.manifest_free, "--split", made.split, "--out", f"{name}-search"))
    return [shlex.join(["whosings", *map(str, words)]) for words in commands]


@commands.command("render")
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


@commands.command("labels")
def data_labels(
    review: Annotated[Path, typer.Argument(help="A CSV of 'whosings identify --review', decided on.")],
    out: Annotated[Path, typer.Option(help="The manifest of accepted and renamed songs, a .csv file.")],
) -> None:
    """Turn the decisions of a review into a collection to train on."""
    from whosings.identify.review import read_review, write_labels

    written = write_labels(out, read_review(review))
    show.sentence(f"{out}: {counted(written, 'song')} with a singer.")
