"""Voice or band: `audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whosings import show
from whosings.cli.options import SeedOption, SeparatorChoice, end
from whosings.errors import WhosingsError

if TYPE_CHECKING:
    from whosings.collection.track import SeparatorName


def audit(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN COLLECTION", help="A run folder and a collection; with --model the latter."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The folder of figures and page; without it RUN/audit.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A model made outside: package.module:object or file.py:object. RUNS ITS CODE."),
    ] = None,
    split: Annotated[
        Path | None, typer.Option(help="Hear the test songs of this split; a run knows its own.")
    ] = None,
    separator: Annotated[
        SeparatorChoice, typer.Option(help="What takes songs apart that have no stems.")
    ] = SeparatorChoice.spleeter,
    mix_db: Annotated[
        float | None,
        typer.Option(help="Lay the voice this many dB over the band; else as the run was trained."),
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Say how much of what a model knows is the band's: swapped bands, stems alone, noise; a page."""
    from whosings.collection.splits import Split
    from whosings.evidence.audit import audit as audit_model
    from whosings.evidence.audit import audit_run, load_outside

    if len(places) != (2 if model is None else 1):
        raise WhosingsError("Give a run folder and a collection, or with --model the collection alone.")
    tested = Split.load(split) if split else None
    takes_apart: SeparatorName = separator.value
    if model is None:
        run, collection = places
        result = audit_run(
            run, collection, out, split=tested, mix_db=mix_db, separator=takes_apart, seed=seed
        )
    else:
        result = audit_model(
            load_outside(model),
            places[0],
            out or Path("audit"),
            name=model,
            split=tested,
            mix_db=mix_db,
            separator=takes_apart,
            seed=seed,
        )
    for sentence in result.verdict:
        show.sentence(sentence)
    show.warning(result.figures["warning"])
    show.files({"page": result.page, "numbers": result.numbers})
    end(result.figures["failed"])
