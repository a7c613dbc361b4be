"""The counterfactual branch beside a network's own attention (sections 3.1 and 3.2, figures 2 and 3)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from whosings.lca.network import AttentionNetwork

BranchKind = Literal["none", "random", "learned"]


class Branches(NamedTuple):
    """What one training pass gives: y and A of the main branch, y~ and A~ of the counterfactual one."""

    logits: Tensor
    """(B, classes)"""
    attention: Tensor
    """(B, ...)"""
    cf_logits: Tensor
    """(B, classes)"""
    cf_attention: Tensor
    """(B, ...), like `attention`"""


class RandomAttention(nn.Module):
    """Attention uniform in [0, 2], new at every call: counterfactual attention learning (Rao et al. 2021)."""

    def forward(self, state: Any, attention: Tensor) -> Tensor:
        """Give a random map of the shape of `attention`; the state is not looked at."""
        return torch.empty_like(attention).uniform_(0.0, 2.0)


class LearnedAttention(nn.Module):
    """Attention that a second module of the network's own kind learns from the state: LCA (figure 2 b)."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, state: Any, attention: Tensor) -> Tensor:
        """Give A~ (B, ...) from the state; the main map is not looked at."""
        return cast(Tensor, self.module(state))


class Counterfactual(nn.Module):
    """
    A network in training with a counterfactual branch at its side.

    The branch is only another attention map: everything after it is shared, and both maps are decoded in one
    pass, stacked on the batch axis. The network itself never holds the branch, so what is saved of it is
    the same with and without LCA.

    Args:
        network: any `AttentionNetwork`.
        kind: `random` for CAL, `learned` for LCA.
        dropout: rates of (main, counterfactual) rows in `decode`; None leaves the network's own to both.

    """

    def __init__(
        self,
        network: AttentionNetwork,
        kind: Literal["random", "learned"],
        dropout: tuple[float, float] | None = None,
    ):
        super().__init__()
        self.network = network
        self.branch = RandomAttention() if kind == "random" else LearnedAttention(network.new_attention())
        self.dropout = dropout

    def forward(self, x: Tensor) -> Branches:
        """Run both branches on `x` (B, ...)."""
        state = self.network.encode(x)
        attention = self.network.attention(state)
        cf_attention = self.branch(state, attention)
        twice = tree_map(lambda tensor: torch.cat([tensor, tensor]), state)
        logits = self.network.decode(twice, torch.cat([attention, cf_attention]), self._rates(attention))
        main, counterfactual = logits.chunk(2)
        return Branches(main, attention, counterfactual, cf_attention)

    def _rates(self, attention: Tensor) -> Tensor | None:
        if self.dropout is None:
            return None
        return attention.new_tensor(self.dropout).repeat_interleave(len(attention))
