from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from whosings.lca import (
    MAXIMISED,
    Branches,
    Effect,
    LossWeights,
    TwoStepSchedule,
    effect_logits,
    entropy,
    loss_terms,
    total_loss,
)

TERMS = [field.name for field in fields(LossWeights)]


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def cross_entropy(logits: np.ndarray, target: np.ndarray) -> float:
    return float(-np.log(softmax(logits)[np.arange(len(target)), target]).mean())


def mean_entropy(logits: np.ndarray) -> float:
    p = softmax(logits)
    return float(-(p * np.log(p)).sum(axis=1).mean())


def drawn() -> tuple[Branches, Tensor]:
    """Six rows, seven classes, an attention map of two axes."""
    generator = torch.Generator().manual_seed(3)
    shapes = ((6, 7), (6, 2, 3), (6, 7), (6, 2, 3))
    branches = Branches(*(2 * torch.randn(shape, generator=generator) for shape in shapes))
    return branches, torch.tensor([0, 6, 3, 3, 1, 5])


@pytest.mark.parametrize("effect", ["probabilities", "logits"])
def test_the_six_terms_by_hand(effect: Effect) -> None:
    branches, target = drawn()
    y, a, cf, cf_a = (tensor.double().numpy() for tensor in branches)
    difference = y - cf if effect == "logits" else softmax(y) - softmax(cf)
    expected = {
        "main": cross_entropy(y, target.numpy()),
        "effect": cross_entropy(difference, target.numpy()),
        "cf": cross_entropy(cf, target.numpy()),
        "ent_cf": mean_entropy(cf),
        "att": float(np.abs(a - cf_a).sum() / (6 * 2 * 3)),
        "ent_main": mean_entropy(y),
    }
    terms = loss_terms(branches, target, effect)
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(expected, rel=2e-6)
    assert all(value.shape == () and value.dtype == torch.float32 for value in terms.values())


def test_probabilities_are_the_default_effect() -> None:
    branches, target = drawn()
    default = loss_terms(branches, target)["effect"]
    assert default == loss_terms(branches, target, "probabilities")["effect"]
    assert default != loss_terms(branches, target, "logits")["effect"]


def test_half_precision_outputs_give_terms_in_single() -> None:
    branches, target = drawn()
    halved = Branches(*(tensor.bfloat16() for tensor in branches))
    single = Branches(*(tensor.float() for tensor in halved))
    terms, expected = loss_terms(halved, target), loss_terms(single, target)
    assert all(terms[name] == expected[name] for name in TERMS)


def test_confident_logits_have_finite_entropy_and_gradient() -> None:
    logits = torch.tensor([[1e4, 0.0, -1e4]], requires_grad=True)
    value = entropy(logits)
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_entropy_of_even_odds_is_the_log_of_the_classes() -> None:
    assert entropy(torch.zeros(3, 20)).item() == pytest.approx(math.log(20))


def test_climbing_the_entropy_evens_out_the_odds() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]], requires_grad=True)
    entropy(logits).backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] < 0
    climbed = (logits + 0.1 * logits.grad).detach()
    assert entropy(climbed) > entropy(logits)


def test_the_floor_of_the_probabilities_effect_at_20_classes() -> None:
    """The best case: sure of the target, while the counterfactual spreads over the 19 others."""
    target = torch.zeros(1, dtype=torch.long)
    logits, cf_logits = torch.full((1, 20), -200.0), torch.zeros(1, 20)
    logits[0, 0], cf_logits[0, 0] = 200.0, -200.0
    nothing = torch.zeros(1, 4)
    best = Branches(logits, nothing, cf_logits, nothing)
    floor = math.log(math.e + 19 * math.exp(-1 / 19)) - 1
    assert floor == pytest.approx(2.03, abs=0.005)
    assert loss_terms(best, target)["effect"].item() == pytest.approx(floor, abs=1e-5)
    assert loss_terms(best, target, "logits")["effect"].item() == pytest.approx(0, abs=1e-5)
    for seed in range(20):
        rows = 30 * torch.randn(2, 500, 20, generator=torch.Generator().manual_seed(seed))
        effect = effect_logits(Branches(rows[0], nothing, rows[1], nothing), "probabilities")
        assert effect.abs().max() <= 1
        assert F.cross_entropy(effect, effect.argmax(dim=1), reduction="none").min() > floor - 1e-5


def test_the_total_is_the_weighted_sum_with_three_signs() -> None:
    terms = {name: torch.tensor(float(index + 1)) for index, name in enumerate(TERMS)}
    weights = LossWeights(main=0.7, effect=1.0, cf=0.6, ent_cf=2.0, att=3.0, ent_main=1.5)
    expected = 0.7 * 1 + 1.0 * 2 + 0.6 * 3 - 2.0 * 4 - 3.0 * 5 - 1.5 * 6
    assert total_loss(terms, weights).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", TERMS)
def test_which_terms_lower_the_total_when_they_grow(name: str) -> None:
    weights = LossWeights(**dict.fromkeys(TERMS, 1.0))
    terms = {term: torch.tensor(1.0) for term in TERMS}
    grown = {**terms, name: torch.tensor(1.5)}
    change = (total_loss(grown, weights) - total_loss(terms, weights)).item()
    assert change == pytest.approx(-0.5 if name in {"ent_cf", "att", "ent_main"} else 0.5)
    assert (name in MAXIMISED) == (change < 0)


@pytest.mark.parametrize("name", TERMS[1:])
def test_a_weight_of_zero_takes_no_part(name: str) -> None:
    weights = LossWeights(**{**dict.fromkeys(TERMS, 1.0), name: 0.0})
    terms = {term: torch.tensor(1.0) for term in TERMS}
    expected = total_loss(terms, weights)
    assert total_loss({**terms, name: torch.tensor(math.nan)}, weights) == expected
    del terms[name]
    assert total_loss(terms, weights) == expected


def test_two_steps() -> None:
    weights = LossWeights(main=0.7, effect=1.0, cf=0.6, ent_cf=2.0, att=2.0, ent_main=1.5)
    schedule = TwoStepSchedule(weights)
    assert [schedule.at(epoch) for epoch in (0, 19)] == [LossWeights(main=0.7)] * 2
    assert [schedule.at(epoch) for epoch in (20, 799)] == [weights] * 2
    assert TwoStepSchedule(weights, first_step=0).at(0) == weights
