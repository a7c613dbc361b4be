"""The search for the six weights of equation 1, by validation windows alone."""

from __future__ import annotations

import csv
import importlib.util
import io
import math
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from whosings.collection.features import FeatureStore
from whosings.drawing import BLUE, FAINT, VERMILION, page
from whosings.errors import WhosingsError
from whosings.files import read_json, write_json, write_text
from whosings.lca import LossWeights
from whosings.progress import bar
from whosings.training.module import BEST_BY
from whosings.training.recipe import Recipe, load_recipe, recipe_names, write_recipe
from whosings.training.record import Training, read_record
from whosings.training.run import train
from whosings.training.sides import readable_sides

if TYPE_CHECKING:
    from optuna import Study

# Files of a search folder, beside one run folder a trial
SEARCH = "search.json"
STUDY = "study.db"
RECIPE = "recipe.yaml"
TABLE = "trials.csv"
PICTURE = "trials.png"

PRIOR = {
    "main": (0.3, 2.0, True),
    "cf/main": (0.05, 0.99, False),
    "ent_cf": (0.005, 2.0, True),
    "ent_main/ent_cf": (0.02, 0.99, False),
    "att": (0.01, 2.0, True),
}
"""Lowest, highest, and whether spread by logarithm. Ratios below 1 keep the order that the authors of LCA
advise: main > cf and ent_cf > ent_main, beside effect = 1."""


@dataclass(frozen=True)
class SearchResult:
    """
    The best weights so far, and the recipe file that holds them.

    `score` is the macro F1 over validation windows of the run in `best`; `trials` counts the finished ones;
    `failed` has the tracks that could not be read, with the reason.
    """

    folder: Path
    recipe: Path
    best: Path
    weights: LossWeights
    score: float
    trials: int
    failed: dict[str, str]


@dataclass(frozen=True)
class _Finished:
    """A trial that was trained to its end."""

    number: int
    folder: Path
    weights: LossWeights
    score: float
    best_epoch: int
    seconds: float
    failed: dict[str, str]


def search_weights(
    training: Training,
    out: Path,
    store: FeatureStore,
    *,
    trials: int,
    quiet: bool = False,
    max_hours: float | None = None,
) -> SearchResult:
    """
    Search the six weights of a recipe with a learned counterfactual branch, in `trials` trainings in all.

    The first two trials are the recipe's own weights and the released ones (the nearest within PRIOR), the
    others what Optuna suggests by the seed. Called again on the same folder, it finishes the trial that was
    cut off and goes on; one process may search in a folder at a time. After every trial the folder holds the
    best recipe, a table and a picture of all trials. The test side of the split is never read.

    With `max_hours`, no trial but the first is begun that would, at the mean time of the others, end later.

    Raises WhosingsError where Optuna is missing, the recipe has no weights to search, or `out` holds
    something else.
    """
    _check(training.recipe, trials)
    _claim(training, out)
    deadline = math.inf if max_hours is None else time.monotonic() + 3600 * max_hours
    study = _open_study(training, out)
    finished = _finished(study, out)
    if finished:  # the search may have been killed before it wrote the results of the last
        _write_results(training, finished, out)
    readable_sides(training, store, quiet=quiet)  # now, since trials train without a bar of their own
    with bar("Searching weights", trials, quiet=quiet) as progress:
        progress.reach(len(finished), trials)
        while len(finished) < trials and (found := _next(study, training.seed, finished, deadline)):
            number, weights = found
            folder = _folder(out, number)
            train(_with_weights(training, weights), folder, store, quiet=True)
            study.tell(number, read_record(folder)["best"][BEST_BY])
            finished = _finished(study, out)
            _write_results(training, finished, out)
            score, best = finished[-1].score, _best(finished)
            progress.write(
                f"{folder.name}: macro F1 {score:.4f} (best: {best.folder.name}, {best.score:.4f})"
            )
            progress.step()
    best = _best(finished)
    return SearchResult(out, out / RECIPE, best.folder, best.weights, best.score, len(finished), best.failed)


def _check(recipe: Recipe, trials: int) -> None:
    """Raise a WhosingsError where there is nothing to search, or nothing to search with."""
    if importlib.util.find_spec("optuna") is None:
        raise WhosingsError('The search for weights needs the search extra: pip install "whosings[search]"')
    if trials < 1:
        raise WhosingsError(f"A search of {trials} trials finds nothing; ask for at least 1.")
    counterfactual = recipe.counterfactual
    if counterfactual.branch != "learned":
        raise WhosingsError(
            f"The recipe's counterfactual branch is {counterfactual.branch!r}, and only a learned one has "
            "all six weights to search; choose a recipe such as crnn_fgnl_lca."
        )
    if recipe.epochs <= counterfactual.first_step:
        raise WhosingsError(
            f"The recipe ends after {recipe.epochs} epochs, all of them in the first step of "
            f"{counterfactual.first_step}, which the weights have no part in; give it more epochs or a "
            "shorter counterfactual.first_step."
        )


def _claim(training: Training, out: Path) -> None:
    """Make `out` the folder of this search, or find that it is; a search without a trial yet is replaced."""
    if (out / SEARCH).is_file():
        earlier = read_json(out / SEARCH, "record of a search")
        if not isinstance(earlier, dict):
            raise WhosingsError(f"{out / SEARCH}: this is no record of a search; choose another --out.")
        differing = training.differing(earlier)
        if differing and any(out.glob("trial-*")):
            raise WhosingsError(
                f"{out}: the search here has another {' and '.join(differing)}; choose another --out."
            )
        if differing:
            (out / STUDY).unlink(missing_ok=True)
    elif out.is_dir() and any(out.iterdir()):
        raise WhosingsError(f"{out}: there are files here but no search; choose another --out.")
    write_json(out / SEARCH, training.arguments())


def _open_study(training: Training, out: Path) -> Study:
    """Open the study in `out`, or begin one, with the trials that do not wait for Optuna in its queue."""
    import optuna
    from sqlalchemy.engine import URL
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    place = URL.create("sqlite", database=str(out.resolve() / STUDY)).render_as_string()
    try:
        study = optuna.create_study(
            storage=place, study_name="weights", direction="maximize", load_if_exists=True
        )
        for recipe in (training.recipe, load_recipe("crnn_fgnl_lca_released")):
            study.enqueue_trial(_nearest(recipe.counterfactual.weights), skip_if_exists=True)
    except (SQLAlchemyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise WhosingsError(
            f"{out / STUDY}: this study cannot be opened ({reason}); delete it to go through its trials "
            "again."
        ) from error
    return study


def _next(
    study: Study, seed: int, finished: Sequence[_Finished], deadline: float
) -> tuple[int, LossWeights] | None:
    """Give number and weights of the trial that was cut off or of a new one; None where time is short."""
    from optuna.distributions import BaseDistribution, FloatDistribution
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if trial.params.keys() == PRIOR.keys():
            return trial.number, _weights(trial.params)
        study.tell(trial.number, state=TrialState.FAIL)  # killed before all of it was suggested
    if finished and time.monotonic() + statistics.fmean(each.seconds for each in finished) > deadline:
        return None
    # a sampler of its own for each trial: one seed for all would repeat itself in a resumed search
    own_seed = random.Random(f"{seed} {len(study.trials)}").getrandbits(32)
    study.sampler = TPESampler(seed=own_seed)
    prior: dict[str, BaseDistribution] = {
        name: FloatDistribution(low, high, log=log) for name, (low, high, log) in PRIOR.items()
    }
    new = study.ask(prior)
    return new.number, _weights(new.params)


def _weights(suggested: dict[str, float]) -> LossWeights:
    """Turn suggested numbers into weights of four digits, which is what a recipe shows."""
    main, ent_cf = suggested["main"], suggested["ent_cf"]
    weights = {
        "main": main,
        "effect": 1.0,
        "cf": main * suggested["cf/main"],
        "ent_cf": ent_cf,
        "att": suggested["att"],
        "ent_main": ent_cf * suggested["ent_main/ent_cf"],
    }
    return LossWeights(**{name: float(f"{weight:.4g}") for name, weight in weights.items()})


def _nearest(weights: LossWeights) -> dict[str, float]:
    """Give what would have to be suggested for these weights, or for the nearest within PRIOR."""
    wanted = {
        "main": weights.main,
        "cf/main": weights.cf / weights.main,
        "ent_cf": weights.ent_cf,
        "ent_main/ent_cf": weights.ent_main / weights.ent_cf if weights.ent_cf else 0.0,
        "att": weights.att,
    }
    return {name: min(max(wanted[name], low), high) for name, (low, high, _) in PRIOR.items()}


def _with_weights(training: Training, weights: LossWeights) -> Training:
    recipe = training.recipe
    counterfactual = recipe.counterfactual.model_copy(update={"weights": weights})
    return replace(training, recipe=recipe.model_copy(update={"counterfactual": counterfactual}))


def _folder(out: Path, number: int) -> Path:
    return out / f"trial-{number:03}"


def _finished(study: Study, out: Path) -> list[_Finished]:
    """Give the trials that ended, as their run folders tell it."""
    from optuna.trial import TrialState

    finished = []
    for trial in study.get_trials(states=(TrialState.COMPLETE,)):
        folder = _folder(out, trial.number)
        record = read_record(folder)
        weights = LossWeights(**record["arguments"]["recipe"]["counterfactual"]["weights"])
        figures = record["best"][BEST_BY], record["best_epoch"], record["seconds"]
        finished.append(_Finished(trial.number, folder, weights, *figures, record["failed"]))
    return finished


def _best(finished: Sequence[_Finished]) -> _Finished:
    """Choose the highest score, the earliest of equals."""
    return max(finished, key=lambda trial: trial.score)


def _write_results(training: Training, finished: Sequence[_Finished], out: Path) -> None:
    best = _best(finished)
    comment = (
        f"Weights of equation 1 from {best.folder.name} of a search: the best of {len(finished)} by macro F1 "
        f"over validation windows,\n{best.score:.4f} in epoch {best.best_epoch}. Windows of "
        f"{training.window_seconds} s, source {training.source.name}, seed {training.seed}, split\n"
        f"{training.split.sha256}."
    )
    base = next((name for name in recipe_names() if load_recipe(name) == training.recipe), None)
    write_recipe(out / RECIPE, _with_weights(training, best.weights).recipe, base, comment)
    _write_table(out / TABLE, finished)
    _draw(out / PICTURE, finished)


def _write_table(path: Path, finished: Sequence[_Finished]) -> None:
    text = io.StringIO()
    names = [field.name for field in fields(LossWeights)]
    writer = csv.writer(text)
    writer.writerow(["number", *names, BEST_BY, "best_epoch", "seconds", "state"])
    for trial in finished:
        weights = asdict(trial.weights).values()
        writer.writerow([trial.number, *weights, trial.score, trial.best_epoch, trial.seconds, "complete"])
    write_text(path, text.getvalue())


def _draw(path: Path, finished: Sequence[_Finished]) -> None:
    """Draw the score of every trial over each weight and over the trials, the best one marked."""
    scores, best = [trial.score for trial in finished], _best(finished)
    names = [field.name for field in fields(LossWeights) if field.name != "effect"]
    with page(path, 7.5, 4.4) as figure:
        panels = figure.subplots(2, 3, sharey=True)
        for axes, name in zip(panels.flat, names, strict=False):
            weights = [asdict(trial.weights)[name] for trial in finished]
            _points(axes, weights, scores, finished.index(best))
            span = max(weights) / min(weights)
            subs = (1, 2, 5) if span < 20 else (1, 3) if span < 300 else (1,)  # as many as there is room for
            axes.set(xscale="log", xlabel=name)
            axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda weight, _: f"{weight:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        last = panels.flat[len(names)]
        _points(last, [trial.number for trial in finished], scores, finished.index(best))
        last.set(xlabel="trial")
        last.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.supylabel("macro F1, validation windows", fontsize=9)
        figure.suptitle(f"Best of {len(finished)}: {best.folder.name}, {best.score:.4f}", x=0, ha="left")


def _points(axes: Axes, values: Sequence[float], scores: Sequence[float], best: int) -> None:
    axes.grid(axis="y", color=FAINT, alpha=0.3, linewidth=0.6)
    axes.scatter(values, scores, s=16, color=BLUE, alpha=0.7, linewidths=0)
    axes.scatter(values[best], scores[best], s=36, color=VERMILION)
