"""What is minimised: the six LCA terms by schedule, and the penalties of the released dense layer."""

from __future__ import annotations

from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from whosings.errors import WhosingsError
from whosings.lca import AttentionNetwork, Counterfactual, LossWeights, loss_terms, total_loss
from whosings.models.layers import HEAD_DROPOUT, RecurrentHead
from whosings.training.recipe import Recipe


def penalties(head: RecurrentHead, logits: Tensor, recipe: Recipe) -> dict[str, Tensor]:
    """Give the released penalties that the recipe asks for, weighed, from logits (B, singers)."""
    terms = {}
    if recipe.logit_l1:
        terms["logit_l1"] = recipe.logit_l1 * logits.float().abs().sum() / len(logits)
    if recipe.dense_l2:
        terms["dense_l2"] = recipe.dense_l2 * head.dense.weight.float().square().sum()
    return terms


def _part(network: nn.Module, name: str) -> nn.Module:
    """Give a part of a network by its name in a recipe."""
    parts = dict(network.named_children())
    if name not in parts:
        raise WhosingsError(f"This network has no part named {name!r}; its parts are {', '.join(parts)}.")
    return parts[name]


class Objective(nn.Module):
    """
    A network with its counterfactual branch, where the recipe has one, and the loss of both.

    Raises WhosingsError where the recipe asks for a branch beside a network without attention, or freezes a
    part that the network does not have.
    """

    def __init__(self, network: nn.Module, recipe: Recipe):
        super().__init__()
        self.recipe = recipe
        self.network = network
        self.schedule = recipe.counterfactual.schedule
        self.frozen = [_part(network, name) for name in recipe.frozen]
        for part in self.frozen:
            part.requires_grad_(False)
        self.counterfactual = self._counterfactual()
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.momentum = recipe.batch_norm_momentum

    def _counterfactual(self) -> Counterfactual | None:
        wanted = self.recipe.counterfactual
        if wanted.branch == "none":
            return None
        if not hasattr(self.network, "new_attention"):
            raise WhosingsError(
                f"The system {self.recipe.system!r} has no attention, so it cannot be trained with a "
                f"{wanted.branch} counterfactual branch; choose a recipe with an attention network."
            )
        dropout = None if wanted.dropout is None else (HEAD_DROPOUT, wanted.dropout)
        return Counterfactual(cast(AttentionNetwork, self.network), wanted.branch, dropout)

    def train(self, mode: bool = True) -> Objective:
        """Set the mode; frozen parts stay in evaluation mode, so that their batch statistics stay too."""
        super().train(mode)
        for part in self.frozen:
            part.eval()
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Give what learns, by its learning rate, as optimisers take it."""
        rates = {_part(self.network, name): rate for name, rate in self.recipe.learning_rates.items()}
        own = {id(p): rate for part, rate in rates.items() for p in part.parameters()}
        learning = [p for p in self.parameters() if p.requires_grad]
        groups: dict[float, list[nn.Parameter]] = {}
        for parameter in learning:
            groups.setdefault(own.get(id(parameter), self.recipe.learning_rate), []).append(parameter)
        return [{"params": parameters, "lr": rate} for rate, parameters in groups.items()]

    def forward(self, x: Tensor, target: Tensor, epoch: int) -> dict[str, Tensor]:
        """
        Give every term and their `total`, scalars: x (B, ..., 128, T), target (B,), epoch from 0.

        In the first step of the schedule the counterfactual branch is not even run.
        """
        weights = self.schedule.at(epoch)
        if self.counterfactual is not None and weights != LossWeights(main=weights.main):
            branches = self.counterfactual(x)
            logits, terms = branches.logits, loss_terms(branches, target, self.recipe.counterfactual.effect)
        else:
            logits = self.network(x)
            terms = {"main": F.cross_entropy(logits.float(), target)}
        extra = penalties(cast(RecurrentHead, self.network.head), logits, self.recipe)
        total = total_loss(terms, weights) + sum(extra.values())
        return {**terms, **extra, "total": total}
