"""The six terms of the total loss (equation 1), their weights, and the two-step schedule (section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from whosings.lca.counterfactual import Branches

Effect = Literal["probabilities", "logits"]

MAXIMISED = frozenset({"ent_cf", "att", "ent_main"})
"""The terms that equation 1 subtracts."""


def entropy(logits: Tensor) -> Tensor:
    """Give the entropy of softmax(`logits`) (B, classes) in nats, mean over the batch: a scalar."""
    log_probabilities = F.log_softmax(logits, dim=-1)
    return -(log_probabilities.exp() * log_probabilities).sum(dim=-1).mean()


def effect_logits(branches: Branches, effect: Effect) -> Tensor:
    """
    Give y_effect = y - y~ (section 3.1) as the logits (B, classes) of its cross-entropy.

    `probabilities` subtracts softmax outputs, as the authors' later code does: values in [-1, 1], so with 20
    classes the loss cannot fall below 2.03. `logits` subtracts before the softmax, as Rao et al. (2021) do.
    """
    if effect == "logits":
        return branches.logits.float() - branches.cf_logits.float()
    return branches.logits.float().softmax(dim=-1) - branches.cf_logits.float().softmax(dim=-1)


def loss_terms(branches: Branches, target: Tensor, effect: Effect = "probabilities") -> dict[str, Tensor]:
    """
    Give the six terms of equation 1 without weight or sign, each a scalar in float32.

    Args:
        branches: what `Counterfactual` returned.
        target: (B,) class indices.
        effect: see `effect_logits`.

    """
    logits, cf_logits = branches.logits.float(), branches.cf_logits.float()
    return {
        "main": F.cross_entropy(logits, target),
        "effect": F.cross_entropy(effect_logits(branches, effect), target),
        "cf": F.cross_entropy(cf_logits, target),
        "ent_cf": entropy(cf_logits),
        "att": (branches.attention.float() - branches.cf_attention.float()).abs().mean(),
        "ent_main": entropy(logits),
    }


@dataclass(frozen=True)
class LossWeights:
    """The six weights (lambda) of equation 1; a term of weight 0 plays no part."""

    main: float = 1.0
    effect: float = 0.0
    cf: float = 0.0
    ent_cf: float = 0.0
    att: float = 0.0
    ent_main: float = 0.0


def total_loss(terms: Mapping[str, Tensor], weights: LossWeights) -> Tensor:
    """Add up the terms by weight, subtracting those that are to be maximised (equation 1)."""
    signed = [
        terms[name] * (-weight if name in MAXIMISED else weight)
        for name, weight in asdict(weights).items()
        if weight
    ]
    return torch.stack(signed).sum()


@dataclass(frozen=True)
class TwoStepSchedule:
    """First the main branch alone, then all six terms (section 4.1: 20 epochs)."""

    weights: LossWeights
    first_step: int = 20
    """epochs"""

    def at(self, epoch: int) -> LossWeights:
        """Give the weights of an epoch, counted from 0."""
        return LossWeights(main=self.weights.main) if epoch < self.first_step else self.weights
