"""CRNN with a plain non-local block (Wang et al. 2018), an ablation of CRNN_FGNL."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from whosings.audio.units import N_MELS
from whosings.models.fgnl import Projection
from whosings.models.layers import RecurrentHead, as_sequence, prepare
from whosings.models.stack import SingerNetwork


class NonLocal(nn.Module):
    """
    Embedded-Gaussian attention of every position of a map to every other, added to the map.

    One layer and one roll, no smoothing and no weighing: what FGNL generalises. As in FGNL, and unlike the
    original, there is no batch norm after the last convolution.

    Args:
        channels: channels of the map.
        denominator: channels / reduced channels.

    """

    def __init__(self, channels: int, denominator: int = 32):
        super().__init__()
        reduced = channels // denominator
        self.theta, self.phi, self.g = (Projection(channels, reduced, gaussian=False) for _ in range(3))
        self.out = nn.Linear(reduced, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Attend: (B, C, F, T) -> same."""
        queries, keys, values = (layer(features).unsqueeze(1) for layer in (self.theta, self.phi, self.g))
        responses = F.scaled_dot_product_attention(queries, keys, values, scale=1.0)
        joined = cast(Tensor, self.out(responses))
        return features + rearrange(joined, "b 1 (f t) c -> b c f t", f=features.shape[2])


class CRNNNL(SingerNetwork):
    """
    CRNN_FGNL with a plain non-local block in place of FGNL: 581,024 parameters at 20 singers.

    Nothing weighs its one response. Its only map is the softmax between positions, inside the block and as
    large as positions squared; it is not open to exchange, so there is no counterfactual branch.
    """

    pools = (None, (2, 2), (2, 2), (2, 2))

    def __init__(self, num_singers: int):
        super().__init__()
        self.non_local = NonLocal(self.channels)
        self.head = RecurrentHead(self.channels * (N_MELS // 8), num_singers)
        prepare(self)

    def sequence(self, windows: Tensor) -> Tensor:
        """Give what the GRUs read, (B, T // 8, 2048)."""
        _, fourth = self.joined_maps(windows)
        with torch.autocast(windows.device.type, enabled=False):  # as in FGNL
            return as_sequence(self.non_local(fourth.float()))
