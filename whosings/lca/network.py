"""What a network must offer to be trained with counterfactual attention."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn


class AttentionNetwork(Protocol):
    """
    A classifier whose attention map can be exchanged: `logits = decode(state, attention(state))`.

    Any `nn.Module` with these four members can be trained by `Counterfactual`; nothing else is asked of it.
    """

    attention: nn.Module
    """state -> attention map A, batch first: (B, ...)."""

    def encode(self, x: Tensor) -> Any:
        """Give all that lies before the attention acts: a tensor, or a tuple of tensors, each batch first."""

    def decode(self, state: Any, attention: Tensor, dropout: Tensor | None = None) -> Tensor:
        """
        Weigh `state` by `attention` and classify: logits (B, classes).

        `dropout` (B,) asks for a dropout rate of its own for each row (see `row_dropout`); None means the
        network's usual rate.
        """

    def new_attention(self) -> nn.Module:
        """Give a freshly initialised module of the kind of `attention`: the counterfactual branch."""


def row_dropout(x: Tensor, rates: Tensor, training: bool) -> Tensor:
    """
    Drop elements of `x` (B, ...) with a rate of its own for each row, `rates` (B,), scaling up the rest.

    This lets the main and the counterfactual branch share one pass and still differ in dropout.
    """
    if not training:
        return x
    keep = 1.0 - rates.to(x.dtype).reshape(-1, *[1] * (x.dim() - 1))
    return x * torch.bernoulli(keep.expand_as(x)) / keep
