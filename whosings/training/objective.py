"""What is minimised: the six LCA terms by schedule, and the penalties of the released dense layer."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whosings.errors import WhosingsError
from whosings.lca import AttentionNetwork, Counterfactual, LossWeights, loss_terms, total_loss
from whosings.models.layers import HEAD_DROPOUT, RecurrentHead
from whosings.training.recipe import Recipe
from whosings.training.windows import DB_PER_NEPER


def penalties(head: RecurrentHead, logits: Tensor, recipe: Recipe) -> dict[str, Tensor]:
    """Give the released penalties that the recipe asks for, weighed, from logits (B, singers)."""
    terms = {}
    if recipe.logit_l1:
        terms["logit_l1"] = recipe.logit_l1 * logits.float().abs().sum() / len(logits)
    if recipe.dense_l2:
        terms["dense_l2"] = recipe.dense_l2 * head.dense.weight.float().square().sum()
    return terms


def part_of(network: nn.Module, name: str) -> nn.Module:
    """Give a part of a network by its name in a recipe; raises WhosingsError where there is none."""
    parts = dict(network.named_children())
    if name not in parts:
        raise WhosingsError(f"This network has no part named {name!r}; its parts are {', '.join(parts)}.")
    return parts[name]


def recast(voice: Tensor, band: Tensor, singer: Tensor) -> Tensor:
    """
    Lay another voice of the batch over each band, or none where that is of the same singer.

    Voices and bands are log-mel windows (B, n_mels, T) in dB, or (B, 2, n_mels, T) with their melodies, of
    which that of the other voice is heard; `singer` is (B,). Powers are added, as in remixes.
    """
    other = voice.roll(1, dims=0)
    powers = torch.logaddexp(other / DB_PER_NEPER, band / DB_PER_NEPER) * DB_PER_NEPER
    heard = torch.stack([powers[:, 0], other[:, 1]], dim=1) if voice.dim() == 4 else powers
    same = (singer == singer.roll(1)).view(-1, *[1] * (voice.dim() - 1))
    return torch.where(same, band, heard)


class Objective(nn.Module):
    """
    A network with its counterfactual branch, where the recipe has one, and the loss of both.

    `weights` (singers,) says how much a window of each counts in the cross-entropy; None: all alike. Raises
    WhosingsError where the recipe asks for what the network lacks (a part to freeze, attention for a branch,
    a dense layer to penalise), or freezes all of it.
    """

    weights: Tensor | None

    def __init__(self, network: nn.Module, recipe: Recipe, weights: Tensor | None = None):
        super().__init__()
        self.register_buffer("weights", weights, persistent=False)
        self.recipe = recipe
        self.network = network
        self.schedule = recipe.counterfactual.schedule
        self.frozen = [part_of(network, name) for name in recipe.frozen]
        for part in self.frozen:
            part.requires_grad_(False).eval()  # Lightning begins in the mode it finds
        self.counterfactual = self._counterfactual()
        if not any(parameter.requires_grad for parameter in self.parameters()):
            raise WhosingsError("This recipe freezes all of its network; let a part learn, such as the head.")
        if recipe.dense_l2 and not hasattr(network.head, "dense"):
            raise WhosingsError(f"The head of {recipe.system!r} is no dense layer; set dense_l2=0.")
        # no part of what learns or is saved: the network as it was pretrained
        self.teacher = [copy.deepcopy(network).eval().requires_grad_(False)] if recipe.distil else []
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
        rates = {part_of(self.network, name): rate for name, rate in self.recipe.learning_rates.items()}
        own = {id(p): rate for part, rate in rates.items() for p in part.parameters()}
        learning = [p for p in self.parameters() if p.requires_grad]
        groups: dict[float, list[nn.Parameter]] = {}
        for parameter in learning:
            groups.setdefault(own.get(id(parameter), self.recipe.learning_rate), []).append(parameter)
        return [{"params": parameters, "lr": rate} for rate, parameters in groups.items()]

    def forward(
        self,
        x: Tensor,
        target: Tensor,
        epoch: int,
        voice: Tensor | None = None,
        band: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """
        Give every term and their `total`, scalars.

        In the first step of the schedule the counterfactual branch is not even run.

        Args:
            x: windows (B, ..., n_mels, T).
            target: (B,) class indices.
            epoch: from 0.
            voice: the voices of `x` alone, of its shape, where the recipe distils or recasts.
            band: the bands of `x` alone, of its shape, where the recipe recasts.

        """
        weights, extra = self.schedule.at(epoch), {}
        if self.counterfactual is not None and weights != LossWeights(main=weights.main):
            branches = self.counterfactual(x, self._recast(voice, band, target))
            lowered = branches._replace(logits=self._lowered(branches.logits, target))
            logits, terms = branches.logits, loss_terms(lowered, target, self.recipe.counterfactual.effect)
        else:
            if self.teacher and voice is not None:
                voiceprints = self.network.embed(x)  # type: ignore[operator]
                logits = self.network.head(voiceprints)  # type: ignore[operator]
                extra["distil"] = self.recipe.distil * self._distance(voiceprints, voice)
            else:
                logits = self.network(x)
            lowered = self._lowered(logits, target).float()
            terms = {"main": F.cross_entropy(lowered, target, self.weights)}
        extra |= penalties(cast(RecurrentHead, self.network.head), logits, self.recipe)
        total = total_loss(terms, weights) + sum(extra.values())
        return {**terms, **extra, "total": total}

    def _recast(self, voice: Tensor | None, band: Tensor | None, target: Tensor) -> Tensor | None:
        """Give the input of a branch that hears another; None for the others, which may have stems too."""
        if (
            self.counterfactual is None
            or self.counterfactual.kind != "recast"
            or voice is None
            or band is None
        ):
            return None
        return recast(voice, band, target)

    def _lowered(self, logits: Tensor, target: Tensor) -> Tensor:
        """Lower the true singer's logits (B, S) by the margin."""
        if not self.recipe.margin:
            return logits
        return logits - self.recipe.margin * F.one_hot(target, logits.shape[1])

    def _distance(self, voiceprints: Tensor, voice: Tensor) -> Tensor:
        """Give the mean of 1 - cosine to what the pretrained network makes of the voice alone."""
        (teacher,) = self.teacher
        with torch.no_grad():
            wanted = teacher.to(voice.device).embed(voice)  # type: ignore[operator]
        return (1 - F.cosine_similarity(voiceprints.float(), wanted.float())).mean()
