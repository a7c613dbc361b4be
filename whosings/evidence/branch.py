"""The counterfactual branch of a trained run as a network of its own, to be scored (table 4)."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from safetensors.torch import load_file
from torch import Tensor, nn

from whosings.errors import WhosingsError
from whosings.lca import AttentionNetwork, LearnedAttention
from whosings.training.record import BRANCH


class CounterfactualNetwork(nn.Module):
    """
    A network that weighs by its counterfactual attention: (B, ..., 128, T) -> logits (B, singers).

    Raises WhosingsError where the run was trained without a learned branch.
    """

    def __init__(self, network: AttentionNetwork, run: Path):
        super().__init__()
        if not (run / BRANCH).is_file():
            raise WhosingsError(
                f"{run}: this run has no counterfactual branch (no {BRANCH}); give one with a learned branch."
            )
        self.network = network
        self.branch = LearnedAttention(network.new_attention())
        self.branch.load_state_dict(load_file(run / BRANCH))

    def forward(self, x: Tensor) -> Tensor:
        """Classify windows by the counterfactual branch."""
        state = self.network.encode(x)
        return self.network.decode(state, cast(Tensor, self.branch.module(state)))
