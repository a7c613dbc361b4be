"""Commands on a collection: `data check`, `data split`, `data render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whosings import show
from whosings.cli.options import SOME_FAILED, CollectionPath

commands = typer.Typer(help="Look at a collection, split it, render one.", no_args_is_help=True)


@commands.command("check")
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


@commands.command("split")
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
