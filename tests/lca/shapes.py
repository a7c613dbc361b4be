"""A network without any sound in it: it classifies shapes of a few named measures."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whosings.lca import row_dropout

GROUPS, MEASURES, CLASSES = 3, 4, 5
USUAL_DROPOUT = 0.5


class State(NamedTuple):
    """What lies before the attention: the groups of measures, and their size besides."""

    groups: Tensor
    """(B, groups, measures)"""
    size: Tensor
    """(B, 1)"""


class GroupAttention(nn.Module):
    """One weight for each group: State -> (B, groups)."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(MEASURES, 1)

    def forward(self, state: State) -> Tensor:
        return cast(Tensor, self.score(state.groups).squeeze(-1).softmax(dim=-1))


class Shapes(nn.Module):
    """An `AttentionNetwork`: (B, 12) -> (B, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.Linear(GROUPS * MEASURES, GROUPS * MEASURES)
        self.attention = self.new_attention()
        self.dense = nn.Linear(MEASURES + 1, CLASSES)

    def new_attention(self) -> GroupAttention:
        return GroupAttention()

    def encode(self, x: Tensor) -> State:
        return State(self.lift(x).reshape(-1, GROUPS, MEASURES), x.norm(dim=1, keepdim=True))

    def decode(self, state: State, attention: Tensor, dropout: Tensor | None = None) -> Tensor:
        pooled = (state.groups * attention[:, :, None]).sum(dim=1)
        embedding = torch.cat([pooled, state.size], dim=1)
        if dropout is None:
            embedding = F.dropout(embedding, USUAL_DROPOUT, self.training)
        else:
            embedding = row_dropout(embedding, dropout, self.training)
        return cast(Tensor, self.dense(embedding))

    def forward(self, x: Tensor) -> Tensor:
        state = self.encode(x)
        return self.decode(state, self.attention(state))
