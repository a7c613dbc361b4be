"""The run folder of real, tiny trainings, whole after every interruption."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.command import whosings as command
from tests.training.songs import QUICK, songs, stop_in_epoch, training_of
from whosings.collection.catalogue import Collection, open_collection
from whosings.collection.features import FeatureStore
from whosings.collection.splits import Split, make_split
from whosings.collection.track import Source
from whosings.errors import WhosingsError
from whosings.models import create, load_model
from whosings.training.module import BEST_BY, SingerModule
from whosings.training.recipe import load_recipe
from whosings.training.record import read_record
from whosings.training.run import _WholeFiles, train

TERMS = {"main", "effect", "cf", "ent_cf", "att", "ent_main"}
LCA = ("epochs=3", "counterfactual.first_step=1")
CRNN = ("epochs=3",)


@pytest.fixture(scope="module")
def whole(collection: Collection, store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An LCA run of three epochs, the first of the main branch alone, that nothing interrupted."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    result = train(training_of(collection, "crnn_fgnl_lca", *LCA), out, store, quiet=True)
    assert (result.folder, result.failed) == (out, {})
    return out


def history(run: Path) -> list[dict[str, str]]:
    """Rows of history.csv but for the clock."""
    with (run / "history.csv").open(encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def same_model(one: Path, other: Path) -> bool:
    names = ("model.safetensors", "branch.safetensors")
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def script_scores(patch: pytest.MonkeyPatch, scores: Sequence[float]) -> None:
    """Let validation find these macro F1, epoch by epoch."""

    def scripted(self: SingerModule, batch: object, index: int) -> None:
        self.log(BEST_BY, torch.tensor(scores[self.current_epoch]), on_epoch=True, batch_size=1)

    patch.setattr(SingerModule, "validation_step", scripted)


def test_a_run_folder_is_complete(whole: Path) -> None:
    names = {path.name for path in whole.iterdir()}
    assert names == {
        "model.safetensors",
        "model.json",
        "branch.safetensors",
        "split.json",
        "run.json",
        "history.csv",
        "curves.png",
        "tensorboard",
        "checkpoints",
    }
    assert any(path.name.startswith("events.") for path in (whole / "tensorboard").iterdir())
    assert (whole / "checkpoints" / "last.ckpt").is_file()
    assert (whole / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_record_says_what_was_done(whole: Path, collection: Collection) -> None:
    record, rows = read_record(whole), history(whole)
    split = Split.load(whole / "split.json")
    assert split == make_split(collection)
    assert record["complete"] is True
    assert record["failed"] == {}
    assert record["windows"] == {"train": 4, "validation": 4}
    assert record["arguments"]["split_sha256"] == split.sha256
    assert record["arguments"]["seed"] == 0
    assert record["arguments"]["recipe"]["counterfactual"]["first_step"] == 1
    assert record["machine"]["torch"] == torch.__version__
    scores = [float(row[BEST_BY]) for row in rows]
    assert record["best_epoch"] == scores.index(max(scores))
    assert record["best"][BEST_BY] == pytest.approx(max(scores))


def test_the_first_step_has_one_term_and_the_second_all_six(whole: Path) -> None:
    rows = history(whole)
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    for epoch, row in enumerate(rows):
        filled = {name.removeprefix("train/") for name, value in row.items() if value}
        assert filled & TERMS == ({"main"} if epoch == 0 else TERMS)
        assert {"logit_l1", "dense_l2", "total", BEST_BY, "validation/accuracy"} <= filled
    first = {name: float(value) for name, value in rows[0].items() if value}
    weight = load_recipe("crnn_fgnl_lca").counterfactual.weights.main
    total = weight * first["train/main"] + first["train/logit_l1"] + first["train/dense_l2"]
    assert first["train/total"] == pytest.approx(total, rel=1e-5)


def test_the_model_can_be_loaded_and_has_no_branch(whole: Path) -> None:
    network, card = load_model(whole)
    assert card.singers == ["Ada", "Bo"]
    assert (card.system, card.window_seconds, card.source) == ("crnn_fgnl", 3, "mix")
    assert not network.training
    assert not any("branch" in name for name in load_file(whole / "model.safetensors"))
    assert sum(tensor.numel() for tensor in load_file(whole / "branch.safetensors").values()) == 49


def test_both_branches_were_trained(whole: Path, collection: Collection) -> None:
    torch.manual_seed(0)
    training = training_of(collection, "crnn_fgnl_lca", *LCA)
    module = SingerModule(create("crnn_fgnl", 2), training.recipe, 2, seed=0)
    start = module.objective
    assert start.counterfactual is not None
    last = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    for name, parameter in start.named_parameters():
        assert not torch.equal(last[f"objective.{name}"], parameter), name


def test_a_run_that_is_complete_is_left_alone(
    whole: Path, collection: Collection, store: FeatureStore
) -> None:
    before = content(whole)
    result = train(training_of(collection, "crnn_fgnl_lca", *LCA), whole, store, quiet=True)
    assert (result.folder, result.failed) == (whole, {})
    assert content(whole) == before


@pytest.mark.parametrize(
    ("recipe", "overrides", "named"),
    [
        ("crnn_fgnl_lca", ("epochs=4", "counterfactual.first_step=1"), "recipe"),
        ("crnn", CRNN, "recipe"),
        ("split", LCA, "split_sha256"),
    ],
)
def test_a_folder_of_another_run_is_refused(
    whole: Path,
    collection: Collection,
    store: FeatureStore,
    recipe: str,
    overrides: tuple[str, ...],
    named: str,
) -> None:
    before = content(whole)
    if recipe == "split":
        other = training_of(collection, "crnn_fgnl_lca", *overrides, split=make_split(collection, seed=5))
    else:
        other = training_of(collection, recipe, *overrides)
    with pytest.raises(WhosingsError, match="choose another --out") as caught:
        train(other, whole, store, quiet=True)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    assert content(whole) == before


def test_a_run_of_before_a_setting_was_there_is_the_run_that_leaves_it_alone(
    whole: Path, tmp_path: Path, collection: Collection, store: FeatureStore
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    record = read_record(run)
    del record["arguments"]["recipe"]["balanced"]
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    train(training_of(collection, "crnn_fgnl_lca", *LCA), run, store, quiet=True)
    assert read_record(run) == record


def test_the_end_is_made_again_where_only_the_end_is_missing(
    whole: Path, tmp_path: Path, collection: Collection, store: FeatureStore
) -> None:
    """Cut off after the last epoch, before the model was written."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    record = read_record(run)
    (run / "run.json").write_text(json.dumps({**record, "complete": False}), encoding="utf-8")
    (run / "model.safetensors").unlink()
    (run / "branch.safetensors").unlink()
    train(training_of(collection, "crnn_fgnl_lca", *LCA), run, store, quiet=True)
    assert read_record(run)["complete"] is True
    assert same_model(run, whole)
    assert history(run) == history(whole)


KILLED = """
import os, signal, sys
from whosings.cli import main
from whosings.training.module import SingerModule

step = SingerModule.training_step

def killing(self, batch, index):
    if (self.current_epoch, index) == (1, 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, index)

SingerModule.training_step = killing
main()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_run_goes_on_to_the_same_bits(
    whole: Path, tmp_path: Path, collection: Collection, store: FeatureStore
) -> None:
    """The real command, killed in the middle of its second epoch and given again."""
    out = tmp_path / "run"
    words = ["train", str(collection.root), "--out", str(out), "--recipe", "crnn_fgnl_lca"]
    words += ["--window", "3", "--epochs", "3", "--set", "counterfactual.first_step=1"]
    for setting in QUICK:
        words += ["--set", setting]
    environment = {
        **os.environ,
        "WHOSINGS_CACHE": str(store.root),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }

    def run(*python: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *python, *words], env=environment, capture_output=True, text=True
        )

    killed = run("-c", KILLED)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert read_record(out)["complete"] is False
    assert not (out / "model.safetensors").exists()
    assert history(out)[0]["epoch"] == "0"
    assert len(history(out)) == 1
    assert not list(out.rglob(".*"))

    resumed = run("-m", "whosings")
    assert resumed.returncode == 0, resumed.stderr
    assert "best of 3 epochs" in resumed.stdout
    assert read_record(out)["complete"] is True
    assert same_model(out, whole)
    assert history(out) == history(whole)


def test_the_earliest_of_the_best_epochs_is_kept(
    tmp_path: Path, collection: Collection, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    script_scores(monkeypatch, [0.2, 0.9, 0.9])
    train(training_of(collection, "crnn", "epochs=3"), tmp_path / "three", store, quiet=True)
    train(training_of(collection, "crnn", "epochs=2"), tmp_path / "two", store, quiet=True)
    assert [read_record(tmp_path / name)["best_epoch"] for name in ("three", "two")] == [1, 1]
    three, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("three", "two"))
    assert three == two
    last = torch.load(tmp_path / "three" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["epoch"] == 2
    kept = load_file(tmp_path / "three" / "model.safetensors")
    assert not torch.equal(
        last["state_dict"]["objective.network.head.dense.weight"], kept["head.dense.weight"]
    )


def test_a_run_cut_off_and_moved_goes_on_after_its_last_epoch_and_keeps_its_best(
    tmp_path: Path, collection: Collection, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    script_scores(monkeypatch, [0.9, 0.2, 0.3])
    training = training_of(collection, "crnn", "epochs=3")
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 2)
        with pytest.raises(RuntimeError, match="lights"):
            train(training, tmp_path / "old", store, quiet=True)
    done = (tmp_path / "old" / "history.csv").read_text()
    (tmp_path / "old").rename(tmp_path / "new")
    train(training, tmp_path / "new", store, quiet=True)
    # with the clock of both epochs, so neither was trained again
    assert (tmp_path / "new" / "history.csv").read_text().startswith(done)
    assert len(history(tmp_path / "new")) == 3

    train(training_of(collection, "crnn", "epochs=1"), tmp_path / "one", store, quiet=True)
    assert read_record(tmp_path / "new")["best_epoch"] == 0
    new, one = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("new", "one"))
    assert new == one


def test_an_unreadable_song_is_reported_and_the_rest_trained(
    tmp_path: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = songs(tmp_path / "songs", albums=4)
    split = make_split(collection)
    bad = collection.by_id[split.train[0]]
    sound = bad.parts[0].mix
    assert sound is not None
    sound.path.write_text("no sound at all")
    training = training_of(open_collection(tmp_path / "songs"), "crnn", "epochs=1", split=split)
    result = train(training, tmp_path / "run", store, quiet=True)
    assert result.failed.keys() == {bad.id}
    assert str(sound.path) in result.failed[bad.id]
    record = read_record(tmp_path / "run")
    assert record["failed"] == result.failed
    assert record["windows"] == {"train": 6, "validation": 4}

    monkeypatch.setenv("WHOSINGS_CACHE", str(store.root))
    split.save(tmp_path / "split.json")
    settings = [word for setting in QUICK for word in ("--set", setting)]
    words = ["--recipe", "crnn", "--window", 3, "--epochs", 1, "--split", tmp_path / "split.json", *settings]
    done = command("train", tmp_path / "songs", "--out", tmp_path / "run", *words)
    assert done.status == 1
    assert done.err.count(str(sound.path)) == 1
    assert "best of 1 epoch is 0" in done.out


def test_nothing_to_train_on(tmp_path: Path, store: FeatureStore) -> None:
    collection = songs(tmp_path / "songs")
    for path in (tmp_path / "songs").rglob("*.flac"):
        path.write_text("no sound at all")
    with pytest.raises(WhosingsError, match="no train track can be used"):
        train(training_of(collection, "crnn", *CRNN), tmp_path / "run", store, quiet=True)


def test_a_collection_that_lost_a_song(tmp_path: Path, collection: Collection, store: FeatureStore) -> None:
    fewer = Collection(collection.root, collection.layout, (), ())
    training = training_of(fewer, "crnn", *CRNN, split=make_split(collection))
    with pytest.raises(WhosingsError, match="not in this collection"):
        train(training, tmp_path / "run", store, quiet=True)


def test_a_branch_beside_a_network_without_attention(
    tmp_path: Path, collection: Collection, store: FeatureStore
) -> None:
    training = training_of(collection, "crnn_fgnl_lca", "system=crnn", *LCA)
    with pytest.raises(WhosingsError, match="'crnn' has no attention"):
        train(training, tmp_path / "run", store, quiet=True)


def test_ctrl_c_is_handed_on_and_the_run_goes_on(
    tmp_path: Path, collection: Collection, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    training, before = training_of(collection, "crnn", "epochs=1"), signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SingerModule, "training_step", pressed)
        train(training, tmp_path / "run", store, quiet=True)
    assert signal.getsignal(signal.SIGINT) is before, "the next Ctrl-C would be ignored"
    train(training, tmp_path / "run", store, quiet=True)
    assert read_record(tmp_path / "run")["complete"]


def test_checkpoints_are_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise OSError("the lights went out")

    monkeypatch.setattr(Path, "replace", killed)  # all is written, and nothing in its place
    kept = tmp_path / "last.ckpt"
    kept.write_bytes(b"earlier")
    with pytest.raises(OSError, match="lights"):
        _WholeFiles().save_checkpoint({"epoch": 1}, kept)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert kept.read_bytes() == b"earlier"


@pytest.mark.parametrize("text", ["[]", "{}", '{"arguments": 3}'])
def test_a_file_that_is_no_record(
    tmp_path: Path, collection: Collection, store: FeatureStore, text: str
) -> None:
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(WhosingsError, match="this is no run record"):
        train(training_of(collection, "crnn"), tmp_path, store, quiet=True)


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(WhosingsError, match="not a run folder"):
        read_record(tmp_path)


def test_checkpoints_without_a_record_are_refused(
    tmp_path: Path, collection: Collection, store: FeatureStore
) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(WhosingsError, match=r"no run\.json"):
        train(training_of(collection, "crnn", *CRNN), tmp_path / "run", store, quiet=True)


def test_a_start_that_fails_leaves_nothing_and_blocks_nothing(
    tmp_path: Path, collection: Collection, store: FeatureStore
) -> None:
    good = training_of(collection, "crnn", "epochs=1")
    without_stems = replace(good, source=Source("vocals"))
    with pytest.raises(WhosingsError, match="no vocal stem"):
        train(without_stems, tmp_path / "run", store, quiet=True)
    for wrong in ("pretrained=true", "frozen=[ears]", "counterfactual.branch=learned"):
        with pytest.raises(WhosingsError):
            train(training_of(collection, "crnn", wrong), tmp_path / "run", store, quiet=True)
    assert not (tmp_path / "run").exists()
    train(good, tmp_path / "run", store, quiet=True)
    assert read_record(tmp_path / "run")["complete"]


def test_a_broken_checkpoint_is_a_sentence(
    collection: Collection, store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = training_of(collection, "crnn", "epochs=2")
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        stop_in_epoch(patch, 1)
        train(training, tmp_path / "run", store, quiet=True)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(WhosingsError, match=r"last\.ckpt: this checkpoint cannot be read"):
        train(training, tmp_path / "run", store, quiet=True)
