"""What commands have in common: choices, options, how their words are read, and how they end."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whosings.errors import WhosingsError

if TYPE_CHECKING:
    from whosings.collection.track import SeparatorName

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
RunPath = Annotated[Path, typer.Argument(help="A run folder, of train, join or refit.")]
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


def songs_named(given: list[Path]) -> tuple[list[Path], dict[str, str]]:
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


def separator_for(chosen: SeparatorChoice | None, source: SourceChoice) -> SeparatorName:
    """Give the separator: the one chosen, else Spleeter where a mix has to be taken apart."""
    if chosen is not None:
        return chosen.value
    return "stems" if source is SourceChoice.mix else "spleeter"


def whole_numbers(option: str, text: str) -> list[int]:
    """Read whole numbers such as 0,21,42."""
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise WhosingsError(f"{option} {text}: give whole numbers with commas, such as 0,21,42.") from None


def seeds_in(text: str) -> list[int]:
    """Read the seeds of draws."""
    seeds = whole_numbers("--seeds", text)
    if not all(0 <= seed <= LARGEST_SEED for seed in seeds):
        raise WhosingsError(f"--seeds {text}: seeds are from 0 to {LARGEST_SEED}; choose others.")
    return seeds


def fail(text: str) -> None:
    """Say on standard error what went wrong."""
    print(f"whosings: {text}", file=sys.stderr)


def end(failed: dict[str, str], *, nothing_done: bool = False) -> None:
    """Name what failed and leave with the fitting status."""
    for reason in failed.values():
        fail(reason)
    if failed:
        raise typer.Exit(WRONG_INPUT if nothing_done else SOME_FAILED)
