"""The counterfactual branch beside a network's own attention (sections 3.1 and 3.2, figures 2 and 3)."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from whosings.lca.network import AttentionNetwork

BranchKind = Literal["none", "random", "learned", "recast"]
"""
`random` is CAL, `learned` the paper's LCA. `recast` is ours: the network's answer to the input with *another
subject in the same surroundings*, which training has to supply.
"""


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


class OwnAttention(nn.Module):
    """The network's own attention, turned to the input recast; nothing here learns besides it."""

    def __init__(self, network: AttentionNetwork):
        super().__init__()
        self._network = [network]  # in a list it is no part of the branch

    def forward(self, state: Any, attention: Tensor) -> Tensor:
        """Give A~ (B, ...) from the state; the main map is not looked at."""
        return cast(Tensor, self._network[0].attention(state))


class Counterfactual(nn.Module):
    """
    A network in training with a counterfactual branch at its side.

    The branch is only another attention map (of the kind `recast`, the network's own for another input):
    everything after it is shared, and both maps are decoded in one pass, stacked on the batch axis. The
    network itself never holds the branch, so what is saved of it is the same with and without LCA.

    Args:
        network: any `AttentionNetwork`.
        kind: `random` for CAL, `learned` for LCA, `recast` for the variant with another subject.
        dropout: rates of (main, counterfactual) rows in `decode`; None leaves the network's own to both.

    """

    def __init__(
        self,
        network: AttentionNetwork,
        kind: Literal["random", "learned", "recast"],
        dropout: tuple[float, float] | None = None,
    ):
        super().__init__()
        self.network = network
        self.kind = kind
        self.branch = self._branch()
        self.dropout = dropout

    def _branch(self) -> nn.Module:
        if self.kind == "random":
            return RandomAttention()
        if self.kind == "recast":
            return OwnAttention(self.network)
        return LearnedAttention(self.network.new_attention())

    def forward(self, x: Tensor, recast: Tensor | None = None) -> Branches:
        """
        Run both branches on `x` (B, ...).

        `recast`, of the shape of `x`, has other subjects in the same surroundings, for the kind of that name.
        Both are encoded in one pass, so that they share their batch statistics. Raises ValueError where it is
        missing, or given to another kind.
        """
        if (recast is None) == (self.kind == "recast"):
            raise ValueError("the input with another subject is for the branch 'recast', which needs it")
        if recast is None:
            state = cf_state = self.network.encode(x)
        else:
            encoded = self.network.encode(torch.cat([x, recast]))
            state, cf_state = (tree_map(partial(_half, place=place), encoded) for place in (0, 1))
        attention = self.network.attention(state)
        cf_attention = self.branch(cf_state, attention)
        both = tree_map(lambda main, other: torch.cat([main, other]), state, cf_state)
        logits = self.network.decode(both, torch.cat([attention, cf_attention]), self._rates(attention))
        main, counterfactual = logits.chunk(2)
        return Branches(main, attention, counterfactual, cf_attention)

    def _rates(self, attention: Tensor) -> Tensor | None:
        if self.dropout is None:
            return None
        return attention.new_tensor(self.dropout).repeat_interleave(len(attention))


def _half(tensor: Tensor, place: int) -> Tensor:
    return tensor.chunk(2)[place]
