"""Refitting: validation songs learnt too, and everything that they chose kept."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from tests.command import whosings as command
from tests.sung import all_is_sung
from tests.training.songs import stop_in_epoch, training_of
from whosings.collection.catalogue import Collection
from whosings.collection.features import FeatureStore
from whosings.collection.splits import Split, make_split
from whosings.errors import WhosingsError
from whosings.files import read_json, write_json
from whosings.identify.identifier import calibrate
from whosings.identify.join import join
from whosings.models.store import CARD, ENSEMBLE, MEMBERS, load_card
from whosings.training.record import HISTORY, RECORD, SPLIT, read_record
from whosings.training.refit import refit
from whosings.training.run import train

__all__ = ["all_is_sung"]
pytestmark = pytest.mark.usefixtures("all_is_sung")
BEST = 1  # the epoch that is made to be the best of three


@pytest.fixture(scope="module")
def run(collection: Collection, store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; its record says that the epoch in the middle was the best."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    training = training_of(collection, "crnn", "epochs=3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "whosings.identify.identifier.Track2Sung", lambda *_: lambda _, starts: starts * 0 + 1.0
        )
        train(training, folder, store, quiet=True)
        calibrate(folder, training, store)
    write_json(folder / RECORD, read_record(folder) | {"best_epoch": BEST})
    return folder


def epochs(folder: Path) -> list[dict[str, str]]:
    with (folder / HISTORY).open(newline="") as file:
        return list(csv.DictReader(file))


def test_validation_songs_are_learnt_for_as_many_epochs_as_were_best(
    run: Path, store: FeatureStore, tmp_path: Path
) -> None:
    assert not refit(run, tmp_path / "final", store, quiet=True).failed
    before, after = (Split.load(folder / SPLIT) for folder in (run, tmp_path / "final"))
    assert set(after.train) == {*before.train, *before.validation} and not after.validation
    assert after.test == before.test and after.singers == before.singers
    rows = epochs(tmp_path / "final")
    assert len(rows) == BEST + 1
    assert not any(name.startswith("validation/") for name in rows[0])
    windows = read_record(tmp_path / "final")["windows"]
    assert windows == {"train": sum(read_record(run)["windows"].values())}
    weights = [(folder / "model.safetensors").read_bytes() for folder in (run, tmp_path / "final")]
    assert weights[0] != weights[1]
    assert read_record(tmp_path / "final")["refit_of"] == str(run.resolve())


def test_vote_and_calibration_stay(run: Path, store: FeatureStore, tmp_path: Path) -> None:
    refit(run, tmp_path / "final", store, quiet=True)
    before, after = load_card(run), load_card(tmp_path / "final")
    assert before.calibration is not None
    assert after == before


def test_a_falling_learning_rate_falls_to_its_end(
    collection: Collection, store: FeatureStore, tmp_path: Path
) -> None:
    training = training_of(collection, "crnn", "epochs=3", "schedule=cosine")
    train(training, tmp_path / "run", store, quiet=True)
    with pytest.raises(WhosingsError, match="not calibrated"):
        refit(tmp_path / "run", tmp_path / "final", store, quiet=True)
    calibrate(tmp_path / "run", training, store)
    write_json(tmp_path / "run" / RECORD, read_record(tmp_path / "run") | {"best_epoch": 0})
    refit(tmp_path / "run", tmp_path / "final", store, quiet=True)
    assert len(epochs(tmp_path / "final")) == 3


def test_a_refit_cut_off_goes_on_to_the_same_bits(
    run: Path, store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refit(run, tmp_path / "whole", store, quiet=True)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="lights"):
        stop_in_epoch(patch, 1)
        refit(run, tmp_path / "cut", store, quiet=True)
    refit(run, tmp_path / "cut", store, quiet=True)
    for name in ("model.safetensors", "model.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_an_ensemble_is_refit_member_by_member(
    run: Path, collection: Collection, store: FeatureStore, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    training = training_of(collection, "crnn", "epochs=1", "batch_size=3")
    train(training, other, store, quiet=True)
    calibrate(other, training, store)
    join([run, other], tmp_path / "both", store, quiet=True)
    refit(tmp_path / "both", tmp_path / "final", store, quiet=True)
    assert load_card(tmp_path / "final") == load_card(tmp_path / "both")
    for name, count in (("run", BEST + 1), ("other", 1)):
        member = tmp_path / "final" / MEMBERS / name
        assert len(epochs(member)) == count
        assert load_card(member) == load_card(tmp_path / "both" / MEMBERS / name)
    done = command("evaluate", tmp_path / "final")
    assert done.status == 0, done.err
    assert Split.load(tmp_path / "final" / SPLIT).test == Split.load(run / SPLIT).test


def test_the_command_says_what_was_done(run: Path, tmp_path: Path) -> None:
    for _ in range(2):  # the second time it finds all done
        done = command("refit", run, "--out", tmp_path / "final")
        assert done.status == 0, done.err
        assert "learnt 4 songs in place of 2" in " ".join(done.out.split())


def test_what_cannot_be_refit_is_one_sentence(
    run: Path, collection: Collection, store: FeatureStore, tmp_path: Path
) -> None:
    refit(run, tmp_path / "final", store, quiet=True)
    with pytest.raises(WhosingsError, match="final: This split has no validation songs"):
        refit(tmp_path / "final", tmp_path / "again", store, quiet=True)
    with pytest.raises(WhosingsError, match="another"):
        refit(run, run, store, quiet=True)
    with pytest.raises(WhosingsError, match="join the models as they were before"):
        join(
            [tmp_path / "final", shutil.copytree(tmp_path / "final", tmp_path / "other")],
            tmp_path / "both",
            store,
        )
    shutil.copytree(run, tmp_path / "cut")
    write_json(tmp_path / "cut" / RECORD, read_json(run / RECORD, "record") | {"complete": False})
    with pytest.raises(WhosingsError, match="has not ended"):
        refit(tmp_path / "cut", tmp_path / "out", store, quiet=True)
    shutil.copytree(run, tmp_path / "ensemble")
    write_json(
        tmp_path / "ensemble" / CARD, load_card(run).model_dump() | {"system": ENSEMBLE, "members": {"a": 1}}
    )
    with pytest.raises(WhosingsError, match="does not tell how the members were trained"):
        refit(tmp_path / "ensemble", tmp_path / "out", store, quiet=True)
    with pytest.raises(WhosingsError, match="snippet"):
        make_split(collection, "snippet").with_validation_learnt()
    done = command("train", collection.root, "--split", tmp_path / "final" / SPLIT, "--out", tmp_path / "new")
    assert done.status == 2 and "no validation songs" in done.err
