"""The counterfactual branch, scored beside the model (table 4)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.command import whosings as command
from tests.training.songs import songs, store_in, training_of
from whosings.errors import WhosingsError
from whosings.evidence.answers import read_answers
from whosings.evidence.branch import CounterfactualNetwork
from whosings.evidence.evaluate import evaluate
from whosings.lca import Counterfactual
from whosings.models import load_model
from whosings.training.record import BRANCH
from whosings.training.run import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    recipe = ("crnn_fgnl_lca", "epochs=1", "counterfactual.first_step=0")
    train(training_of(songs(home / "songs"), *recipe), home / "run", store_in(home), quiet=True)
    return home / "run"


def test_it_is_the_branch_of_training(run: Path) -> None:
    network, _ = load_model(run)
    training = Counterfactual(network, "learned").eval()
    training.branch.load_state_dict(load_file(run / BRANCH))
    x = torch.randn(3, 128, 94) * 10 - 30
    with torch.inference_mode():
        expected = training(x)
        found = CounterfactualNetwork(network, run).eval()(x)
    torch.testing.assert_close(found, expected.cf_logits)
    assert not torch.equal(found, expected.logits)


def test_both_branches_are_scored_side_by_side(run: Path) -> None:
    store = store_in(run.parent)
    main = evaluate(run, store=store, quiet=True)
    branch = evaluate(run, branch="counterfactual", store=store, quiet=True)
    assert branch.report.parent == run / "counterfactual"
    assert (main.metrics["branch"], branch.metrics["branch"]) == ("main", "counterfactual")
    ours, theirs = read_answers(run).windows, read_answers(run / "counterfactual").windows
    assert [(row.track, row.start, row.singer) for row in ours] == [
        (row.track, row.start, row.singer) for row in theirs
    ]
    assert [row.confidence for row in ours] != [row.confidence for row in theirs]
    assert json.loads((run / "metrics.json").read_text())["branch"] == "main"


def test_a_run_without_a_branch_says_so(run: Path, tmp_path: Path) -> None:
    training = training_of(songs(tmp_path / "songs"), "crnn_fgnl", "epochs=1")
    train(training, tmp_path / "run", store_in(tmp_path), quiet=True)
    network, _ = load_model(tmp_path / "run")
    with pytest.raises(WhosingsError, match="no counterfactual branch"):
        CounterfactualNetwork(network, tmp_path / "run")
    done = command("evaluate", tmp_path / "run", "--branch", "counterfactual")
    assert done.status == 2
    assert "give one with a learned branch" in done.err
