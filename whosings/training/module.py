"""The Lightning module: what happens in a step of training and in a round of validation."""

from __future__ import annotations

import math
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from whosings.training.objective import Objective
from whosings.training.recipe import Recipe
from whosings.training.windows import Example

WARM_UP = 30  # steps in which a scheduled learning rate rises
LEAST_RATE = 0.02  # share of it that is left in the end
BEST_BY = "validation/f1_macro"
"""What chooses the checkpoint: macro F1 over the windows of the validation side."""


def cosine(step: int, steps: int) -> float:
    """Give the share of the learning rate at a step: a short rise, then half a cosine down."""
    rise = min(1.0, (step + 1) / min(WARM_UP, steps))
    return rise * (LEAST_RATE + (1 - LEAST_RATE) * (1 + math.cos(math.pi * min(step / steps, 1.0))) / 2)


class SingerModule(L.LightningModule):
    """
    A network under a recipe's objective. Logs every loss term and the validation scores of each epoch.

    `weights` (singers,) as for `Objective`.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        num_singers: int,
        seed: int,
        weights: Tensor | None = None,
    ):
        super().__init__()
        self.objective = Objective(network, recipe, weights)
        self.recipe = recipe
        self.seed = seed
        self.f1 = MulticlassF1Score(num_singers, average="macro")
        self.accuracy = MulticlassAccuracy(num_singers, average="micro")

    def configure_optimizers(self) -> Any:
        """Adam, at a constant learning rate (section 4.1) unless the recipe has another schedule."""
        optimiser = torch.optim.Adam(self.objective.parameter_groups(), eps=self.recipe.adam_epsilon)
        if self.recipe.schedule == "constant":
            return optimiser
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: cosine(step, steps))
        return [optimiser], [{"scheduler": schedule, "interval": "step"}]

    def on_train_batch_start(self, batch: Example, batch_idx: int) -> None:
        """
        Draw dropout from seed and step alone, so that a resumed run repeats an unbroken one.

        Once an epoch would not do: a resumed run has drawn other numbers before its first batch.
        """
        torch.manual_seed((self.seed << 32) + self.global_step)

    def training_step(self, batch: Example, _: int) -> Tensor:
        """Give the total loss of a batch."""
        stems = {name: getattr(batch, name, None) for name in ("voice", "band")}
        terms = self.objective(batch.x, batch.singer, self.current_epoch, **stems)
        self.log_dict(
            {f"train/{name}": value.detach() for name, value in terms.items()},
            on_step=False,
            on_epoch=True,
            batch_size=len(batch.x),
        )
        return terms["total"]

    def validation_step(self, batch: Example, _: int) -> None:
        """Score the main branch, as it will be used."""
        logits = self.objective.network(batch.x).float()
        self.f1.update(logits, batch.singer)
        self.accuracy.update(logits, batch.singer)
        scores: dict[str, Any] = {"f1_macro": self.f1, "accuracy": self.accuracy}
        scores["loss"] = F.cross_entropy(logits, batch.singer)
        self.log_dict(
            {f"validation/{name}": value for name, value in scores.items()},
            on_epoch=True,
            batch_size=len(batch.x),
        )
