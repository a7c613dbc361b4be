"""Commands around the paper: `reproduce`, `models`, `demo`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whosings import show
from whosings.cli.options import (
    CollectionPath,
    EpochsOption,
    HoursOption,
    MixOption,
    PaperChoice,
    SeparatorOption,
    SetOption,
    SourceChoice,
    end,
    seeds_in,
    separator_for,
    whole_numbers,
)
from whosings.errors import WhosingsError

if TYPE_CHECKING:
    from whosings.collection.features import FeatureStore
    from whosings.evidence.paper.estimate import Estimate
    from whosings.evidence.paper.grid import Settings
    from whosings.evidence.paper.plan import Draw


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
        separator=separator_for(separator, SourceChoice.vocals),
        epochs=epochs,
        first_step=first_step,
        overrides=tuple(overrides or []),
    )
    draws = draws_of(protocol, seeds_in(seeds))
    if what in {PaperChoice.figure1, PaperChoice.figure4}:
        if windows or source:
            raise WhosingsError(
                f"{what.value} has one window length and hears the mix; leave out --windows and --source."
            )
        _reproduce_figure(what, settings, draws, FeatureStore(default_cache()), max_hours, plan)
        return
    lengths = whole_numbers("--windows", windows) if windows else None
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
    end({**result.failed, **result.unheard})


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
    end(figure.unheard)


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


def demo(
    out: Annotated[Path, typer.Option(help="Where songs, model and report go.")] = Path("demo"),
) -> None:
    """Render songs, train on them, score unseen albums, identify a song, and write a report page."""
    from whosings.evidence.demo import run_demo

    result = run_demo(out)
    show.metrics(result.metrics)
    show.answers([result.identification])
    show.sentence(f"Report: {result.report}")
