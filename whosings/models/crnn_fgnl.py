"""CRNN_FGNL (Kuo et al. 2021): the network that the paper equips with LCA (figure 3)."""

from __future__ import annotations

from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn

from whosings.audio.units import N_MELS
from whosings.models.fgnl import FGNL, FGNLState, MoSE, SoftmaxAxis
from whosings.models.layers import (
    CONV_CHANNELS,
    ConvBlock,
    MelNorm,
    RecurrentHead,
    as_image,
    initialise_as_keras,
    prepare,
)

POOLS = (None, (2, 2), (2, 2), (2, 2))  # (frequency, time)


class CRNNFGNL(nn.Module):
    """
    CRNN_FGNL of 584,141 parameters at 20 singers, an `AttentionNetwork` of `whosings.lca`.

    Args:
        num_singers: classes.
        softmax_axis: `keys` (attention that learns) or `queries` (as released, dead).
        channel_denominator: 128 / this = reduced channels = rolls = numbers in the attention map.

    """

    def __init__(self, num_singers: int, softmax_axis: SoftmaxAxis = "keys", channel_denominator: int = 32):
        super().__init__()
        self.norm = MelNorm(N_MELS)
        channels = (1, *CONV_CHANNELS)
        self.blocks = nn.ModuleList(
            ConvBlock(channels[i], channels[i + 1], pool) for i, pool in enumerate(POOLS)
        )
        self.fgnl = FGNL(CONV_CHANNELS[-1], channel_denominator, softmax_axis)
        self.attention = self.new_attention()
        self.head = RecurrentHead(CONV_CHANNELS[-1] * (N_MELS // 8), num_singers)
        prepare(self)

    @property
    def cam_layer(self) -> nn.Module:
        """The layer whose activations Grad-CAM reads."""
        return cast(nn.Module, cast(ConvBlock, self.blocks[-1]).norm)

    def new_attention(self) -> MoSE:
        """Give a fresh MoSE; the counterfactual branch is a second one (figure 3, orange)."""
        attention = MoSE()
        initialise_as_keras(attention)
        return attention

    def encode(self, log_mel: Tensor) -> FGNLState:
        """Give block 4's features and the non-local responses: (B, 128, T) in dB -> state."""
        x = as_image(self.norm(log_mel))
        block1, block2, block3, block4 = self.blocks
        third = block3(block2(block1(x)))
        fourth = block4(third)
        # The module is small and its softmax is unscaled: single precision costs nothing here.
        with torch.autocast(x.device.type, enabled=False):
            return self.fgnl.respond(fourth.float(), third.float())

    def decode(self, state: FGNLState, attention: Tensor, dropout: Tensor | None = None) -> Tensor:
        """Weigh the responses by `attention` (B, rolls) and classify: logits (B, singers)."""
        return cast(Tensor, self.head(self._sequence(state, attention), dropout))

    def forward(self, log_mel: Tensor) -> Tensor:
        """Classify windows: (B, 128, T) in dB -> logits (B, singers)."""
        state = self.encode(log_mel)
        return self.decode(state, self.attention(state))

    def embed(self, log_mel: Tensor) -> Tensor:
        """Give an embedding a window: (B, 128, T) in dB -> (B, 32)."""
        state = self.encode(log_mel)
        return self.head.embed(self._sequence(state, self.attention(state)))

    def _sequence(self, state: FGNLState, attention: Tensor) -> Tensor:
        """What the GRUs read: (B, T // 8, 2048), frequency major."""
        return rearrange(self.fgnl.combine(state, attention), "b c f t -> b t (f c)")
