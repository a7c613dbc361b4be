"""Commands that train and score: `train`, `search`, `evaluate`, `join`, `refit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whosings import show
from whosings.cli.options import (
    BranchChoice,
    CollectionPath,
    EpochsOption,
    HoursOption,
    MixOption,
    RunPath,
    SeedOption,
    SeparatorChoice,
    SeparatorOption,
    SetOption,
    SourceChoice,
    SourceOption,
    SplitOption,
    WindowOption,
    end,
    separator_for,
)
from whosings.errors import WhosingsError
from whosings.wording import counted

if TYPE_CHECKING:
    from whosings.training.record import Training


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
    from whosings.identify.identifier import calibrate
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
    votes = calibrate(out, training, store)
    best = read_record(out)
    show.sentence(
        f"{out}: best of {counted(training.recipe.epochs, 'epoch')} is {best['best_epoch']}, counted "
        f"from 0; on validation its macro F1 is {best['best']['validation/f1_macro']:.3f} for windows and "
        f"{max(votes.values()):.3f} for songs."
    )
    end(result.failed)


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
    end(found.failed)


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
    end(result.metrics["failed"])


def join(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, trained on one split.")],
    out: Annotated[Path, typer.Option(help="The run folder of the ensemble.")],
) -> None:
    """Join models, such as one of the mix and one of the vocals, into one that averages what they say."""
    from whosings.collection.features import FeatureStore, default_cache
    from whosings.identify.join import join as join_runs

    result = join_runs(runs, out, FeatureStore(default_cache()))
    show.joined(result, out)
    end(result.failed)


def refit(
    run: RunPath,
    out: Annotated[Path, typer.Option(help="The run folder of the model refit; an interrupted one goes on.")],
) -> None:
    """Train a model once more, its validation songs learnt too; what they chose stays as it is."""
    from whosings.collection.features import FeatureStore, default_cache
    from whosings.collection.splits import Split
    from whosings.training.record import SPLIT
    from whosings.training.refit import refit as refit_run  # imports Lightning, which takes seconds

    result = refit_run(run, out, FeatureStore(default_cache()))
    before, after = (len(Split.load(folder / SPLIT).train) for folder in (run, out))
    show.sentence(
        f"{out}: learnt {counted(after, 'song')} in place of {before}; vote, confidence and thresholds are "
        f"those that validation songs set for {run}."
    )
    end(result.failed)


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
    if not drawn.validation:
        raise WhosingsError(
            f"{split}: this split has no validation songs, which choose the best epoch and the vote; give "
            "one that has, and learn them too by `whosings refit` in the end."
        )
    show.split(drawn)
    sound = Source(source.value, mix_db, separator_for(separator, source))
    return Training(opened, drawn, chosen, window, sound, seed)
