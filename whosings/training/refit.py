"""The last step before a model is put to use: the validation songs, their part done, are learnt too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from whosings.collection.features import FeatureStore
from whosings.collection.splits import Split
from whosings.errors import WhosingsError
from whosings.files import write_json
from whosings.models.store import ENSEMBLE, MEMBERS, ModelCard, load_card, save_card
from whosings.training.recipe import Recipe
from whosings.training.record import RECORD, SPLIT, machine, read_record, training_of
from whosings.training.run import TrainingResult, train


def refit(run: Path, out: Path, store: FeatureStore, *, quiet: bool = False) -> TrainingResult:
    """
    Train a run, or each member of an ensemble, once more on its training and validation songs together.

    What validation songs chose stays: the number of epochs, an ensemble's weights, the vote, and the
    calibration, which is that of the model before (one that has learnt more is as a rule a little surer than
    it says). Called again on the same folder it goes on.

    Raises WhosingsError where `run` is no finished run or has been refit already, its collection or its songs
    cannot be read, or `out` holds another run.
    """
    card, record = load_card(run), read_record(run)
    before = Split.load(run / SPLIT)
    try:
        split = before.with_validation_learnt()
    except WhosingsError as error:
        raise WhosingsError(f"{run}: {error}") from None
    if card.system != ENSEMBLE:
        return _refit(run, out, record, card, split, store, quiet)
    members = _records_of_members(run, card, record)
    record = {
        "arguments": record["arguments"] | {"split_sha256": split.sha256},
        "complete": True,
        "machine": machine(),
        "refit_of": str(run.resolve()),
        "members": record["members"],
    }
    _claim(out, record)
    failed: dict[str, str] = {}
    for name, of_member in members.items():
        folder, place = (ensemble / MEMBERS / name for ensemble in (run, out))
        failed |= _refit(folder, place, of_member, load_card(folder), split, store, quiet).failed
    split.save(out / SPLIT)
    write_json(out / RECORD, record | {"failed": failed})
    save_card(out, card)
    return TrainingResult(out, failed)


def _refit(
    folder: Path,
    out: Path,
    record: dict[str, Any],
    card: ModelCard,
    split: Split,
    store: FeatureStore,
    quiet: bool,
) -> TrainingResult:
    """Train what a record tells on a wider split; the model answers as that of `card` in `folder`."""
    if not record.get("complete"):
        raise WhosingsError(f"{folder}: this training has not ended; let `whosings train` finish it first.")
    if card.calibration is None:
        raise WhosingsError(f"{folder}: this model was not calibrated; let `whosings train` finish it first.")
    training = training_of(folder, record, split)
    epochs = _epochs(training.recipe, record["best_epoch"])
    training = replace(training, recipe=training.recipe.model_copy(update={"epochs": epochs}))
    result = train(training, out, store, quiet=quiet)
    update = {"vote": card.vote, "calibration": card.calibration}
    save_card(out, load_card(out).model_copy(update=update))
    write_json(out / RECORD, read_record(out) | {"refit_of": str(folder.resolve())})
    return result


def _records_of_members(run: Path, card: ModelCard, record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give the record of each member by name; raises WhosingsError where that of the ensemble lacks one."""
    try:
        members = {name: record["members"][name]["record"] for name in card.members}
    except (KeyError, TypeError):
        members = {}
    if not members:
        raise WhosingsError(
            f"{run / RECORD}: this does not tell how the members were trained; join them again."
        )
    return members


def _epochs(recipe: Recipe, best_epoch: int) -> int:
    """Give as many epochs as chosen; a falling learning rate is only meant to be used to its end."""
    return best_epoch + 1 if recipe.schedule == "constant" else recipe.epochs


def _claim(out: Path, record: dict[str, Any]) -> None:
    """Raise WhosingsError where `out` holds a run that is not this ensemble refit."""
    if (out / RECORD).is_file() and read_record(out).get("refit_of") != record["refit_of"]:
        raise WhosingsError(f"{out}: there is another run here already; choose another --out.")
