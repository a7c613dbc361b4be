"""CRNN (Nasrullah & Zhao 2019): four convolution blocks and two GRUs on a log-mel spectrogram."""

from __future__ import annotations

from typing import cast

from einops import rearrange
from torch import Tensor, nn

from whosings.audio.units import N_MELS
from whosings.models.layers import (
    CONV_CHANNELS,
    ConvBlock,
    MelNorm,
    RecurrentHead,
    as_image,
    prepare,
)

POOLS = ((2, 2), (4, 2), (4, 2), (4, 2))  # (frequency, time)


class CRNN(nn.Module):
    """CRNN of 394,516 parameters at 20 singers; it has no attention, so no counterfactual branch either."""

    def __init__(self, num_singers: int):
        super().__init__()
        self.norm = MelNorm(N_MELS)
        channels = (1, *CONV_CHANNELS)
        self.blocks = nn.Sequential(
            *(ConvBlock(channels[i], channels[i + 1], pool) for i, pool in enumerate(POOLS))
        )
        self.head = RecurrentHead(CONV_CHANNELS[-1], num_singers)
        prepare(self)

    @property
    def cam_layer(self) -> nn.Module:
        """The layer whose activations Grad-CAM reads."""
        return cast(nn.Module, cast(ConvBlock, self.blocks[-1]).norm)

    def sequence(self, log_mel: Tensor) -> Tensor:
        """Give what the GRUs read: (B, 128, T) -> (B, T // 16, 128)."""
        return rearrange(self.blocks(as_image(self.norm(log_mel))), "b c f t -> b t (f c)")

    def forward(self, log_mel: Tensor) -> Tensor:
        """Classify windows: (B, 128, T) in dB -> logits (B, singers)."""
        return cast(Tensor, self.head(self.sequence(log_mel)))

    def embed(self, log_mel: Tensor) -> Tensor:
        """Give an embedding a window: (B, 128, T) in dB -> (B, 32)."""
        return self.head.embed(self.sequence(log_mel))
