"""Counterfactual attention on a network of measures: nothing here is a sound."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from torch import Tensor

import whosings.lca
from tests.lca.shapes import CLASSES, GROUPS, MEASURES, Shapes
from whosings.lca import AttentionNetwork, BranchKind, Counterfactual, loss_terms, row_dropout

TARGET = torch.tensor([0, 1, 2, 3])


def measures() -> Tensor:
    return torch.randn(4, GROUPS * MEASURES, generator=torch.Generator().manual_seed(1))


def counterfactual(kind: BranchKind, dropout: tuple[float, float] | None = None) -> Counterfactual:
    torch.manual_seed(0)
    network: AttentionNetwork = Shapes()
    assert kind != "none"
    return Counterfactual(network, kind, dropout)


def test_lca_knows_nothing_of_the_other_rooms() -> None:
    folder = Path(whosings.lca.__file__).parent
    sources = sorted(folder.rglob("*.py"))
    assert len(sources) >= 4
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                assert not name.startswith("whosings") or name.startswith("whosings.lca"), (source, name)


@pytest.mark.parametrize("kind", ["random", "learned"])
def test_the_main_rows_are_the_networks_own_output(kind: BranchKind) -> None:
    training = counterfactual(kind).eval()
    network = training.network
    branches = training(measures())
    torch.testing.assert_close(branches.logits, network(measures()))
    torch.testing.assert_close(branches.attention, network.attention(network.encode(measures())))
    assert branches.cf_logits.shape == (4, CLASSES)
    assert branches.cf_attention.shape == (4, GROUPS)


@pytest.mark.parametrize("kind", ["random", "learned"])
def test_the_counterfactual_rows_are_the_same_state_under_the_other_map(kind: BranchKind) -> None:
    training = counterfactual(kind).eval()
    branches = training(measures())
    state = training.network.encode(measures())
    torch.testing.assert_close(branches.cf_logits, training.network.decode(state, branches.cf_attention))
    assert not torch.allclose(branches.cf_logits, branches.logits)


def test_a_random_map_is_even_between_0_and_2_and_always_new() -> None:
    training = counterfactual("random")
    many = measures().repeat(500, 1)
    first, second = training(many).cf_attention, training(many).cf_attention
    assert not torch.equal(first, second)
    both = torch.cat([first, second]).flatten()
    assert both.min() >= 0
    assert both.max() <= 2
    # 12,000 draws: standard errors are 0.0053 for the mean, 0.004 for the quarters
    assert both.mean().item() == pytest.approx(1.0, abs=0.03)
    assert (both < 0.5).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert (both > 1.5).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert not list(training.branch.parameters())


def test_the_learned_branch_is_a_module_of_its_own() -> None:
    training = counterfactual("learned")
    own = {id(parameter) for parameter in training.network.parameters()}
    branch = list(training.branch.parameters())
    assert branch
    assert not own & {id(parameter) for parameter in branch}
    assert len(list(training.parameters())) == len(own) + len(branch)
    assert not any("branch" in name for name in training.network.state_dict())


@pytest.mark.parametrize(
    ("term", "moves"),
    [("main", False), ("ent_main", False), ("effect", True), ("cf", True), ("ent_cf", True), ("att", True)],
)
def test_which_terms_move_the_learned_branch(term: str, moves: bool) -> None:
    training = counterfactual("learned").eval()
    loss_terms(training(measures()), TARGET)[term].backward()
    gradient = training.branch.module.score.weight.grad
    assert (gradient is not None and bool(gradient.abs().max() > 1e-6)) is moves


def test_one_pass_runs_the_shared_layers_once() -> None:
    training = counterfactual("learned")
    rows: list[int] = []
    training.network.lift.register_forward_hook(lambda module, args, out: rows.append(len(out)))
    training.network.dense.register_forward_hook(lambda module, args, out: rows.append(len(out)))
    training(measures())
    assert rows == [4, 8]


def test_row_dropout_keeps_to_the_rate_of_each_row() -> None:
    torch.manual_seed(0)
    rates = torch.tensor([0.0, 0.3, 0.6])
    dropped = row_dropout(torch.ones(3, 50, 400), rates, training=True)
    # 20,000 elements a row: the standard error of the share is below 0.0035
    share = (dropped == 0).float().mean(dim=(1, 2))
    torch.testing.assert_close(share, rates, atol=0.015, rtol=0)
    assert share[0] == 0
    for row, rate in zip(dropped, rates, strict=True):
        torch.testing.assert_close(row[row != 0].unique(), (1 / (1 - rate)).reshape(1))


def test_row_dropout_is_the_identity_in_evaluation() -> None:
    x = torch.randn(3, 4)
    assert row_dropout(x, torch.tensor([0.0, 0.5, 0.9]), training=False) is x


def _kept(training: Counterfactual, calls: int = 300) -> tuple[float, float]:
    """Give the share of elements that reach the dense layer alive, in main and counterfactual rows."""
    alive: list[Tensor] = []
    training.network.dense.register_forward_pre_hook(lambda module, args: alive.append(args[0] != 0))
    torch.manual_seed(0)
    for _ in range(calls):
        training(measures())
    main, other = torch.stack(alive).float().mean(dim=(0, 2)).chunk(2)
    return main.mean().item(), other.mean().item()


def test_each_branch_has_its_own_dropout() -> None:
    # 6,000 elements a branch: the standard error is below 0.0065
    assert _kept(counterfactual("learned", (0.1, 0.6))) == pytest.approx((0.9, 0.4), abs=0.03)


def test_without_rates_both_branches_have_the_networks_usual_dropout() -> None:
    assert _kept(counterfactual("learned")) == pytest.approx((0.5, 0.5), abs=0.03)


def other_measures() -> Tensor:
    return torch.randn(4, GROUPS * MEASURES, generator=torch.Generator().manual_seed(2))


def test_the_main_rows_do_not_hear_the_input_recast() -> None:
    training = counterfactual("recast").eval()
    branches = training(measures(), other_measures())
    torch.testing.assert_close(branches.logits, training.network(measures()))
    assert not torch.allclose(branches.cf_attention, training(measures(), measures()).cf_attention)


def test_a_recast_branch_is_the_network_on_the_input_recast() -> None:
    training = counterfactual("recast").eval()
    branches = training(measures(), other_measures())
    torch.testing.assert_close(branches.cf_logits, training.network(other_measures()))
    assert not list(training.branch.parameters())


@pytest.mark.parametrize("kind", ["random", "learned", "recast"])
def test_the_input_recast_is_given_where_it_is_heard(kind: BranchKind) -> None:
    with pytest.raises(ValueError, match="another subject"):
        counterfactual(kind)(measures(), None if kind == "recast" else other_measures())


def test_both_inputs_are_encoded_in_one_pass() -> None:
    training = counterfactual("recast")
    rows: list[int] = []
    training.network.lift.register_forward_hook(lambda module, args, out: rows.append(len(out)))
    training(measures(), other_measures())
    assert rows == [8]
