"""Where every system begins: a convolution stack over the log-mel, and for some a second over the melody."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, cast

import torch
from einops import rearrange
from torch import Tensor, nn

from whosings.audio.units import N_MELS
from whosings.models.layers import ConvBlock, MelNorm, RecurrentHead, as_image

Pool = tuple[int, int] | None
"""Max-pooling over (frequency, time), or none."""


class ConvStack(nn.Module):
    """
    Mel norm and four convolution blocks over one spectrogram.

    Args:
        channels: of each block.
        pools: of each block.

    """

    def __init__(self, channels: tuple[int, ...], pools: tuple[Pool, ...]):
        super().__init__()
        self.norm = MelNorm(N_MELS)
        sizes = zip((1, *channels[:-1]), channels, pools, strict=True)
        self.blocks = nn.ModuleList(ConvBlock(inputs, outputs, pool) for inputs, outputs, pool in sizes)

    def maps(self, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        """Give the maps (B, C, F, T) of blocks 3 and 4 from a spectrogram (B, 128, T)."""
        block1, block2, block3, block4 = self.blocks
        third = block3(block2(block1(as_image(self.norm(spectrogram)))))
        return third, block4(third)


class SingerNetwork(ConvStack, ABC):
    """
    What all systems share: windows -> maps -> sequence -> logits. A system says how maps become a sequence.

    It is itself the stack over the log-mel, so a system of one stack has no further level of names.

    `windows` are log-mel in dB (B, 128, T). Where the system `hears_melody` they are (B, 2, 128, T): log-mel
    in dB, then the melody contour, each frame one-hot over the mel bands, or all 0 where there is none.
    """

    hears_melody: ClassVar[bool] = False
    conv_channels: ClassVar[tuple[int, ...]] = (64, 128, 128, 128)
    pools: ClassVar[tuple[Pool, ...]]

    head: RecurrentHead

    def __init__(self) -> None:
        super().__init__(self.conv_channels, self.pools)
        self.channels = self.conv_channels[-1]
        if self.hears_melody:
            self.melody = ConvStack(self.conv_channels, self.pools)
            self.channels *= 2

    @property
    def cam_layer(self) -> nn.Module:
        """The layer whose activations Grad-CAM reads: the last norm over the log-mel."""
        return cast(ConvBlock, self.blocks[-1]).norm

    def joined_maps(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Give the maps (B, C, F, T) of blocks 3 and 4, those of both stacks joined on their channels."""
        if not self.hears_melody:
            return self.maps(windows)
        log_mel, melody = rearrange(windows, "b heard f t -> heard b f t", heard=2)
        third, fourth = zip(self.maps(log_mel), self.melody.maps(melody), strict=True)
        return torch.cat(third, dim=1), torch.cat(fourth, dim=1)

    @abstractmethod
    def sequence(self, windows: Tensor) -> Tensor:
        """Give what the GRUs read, (B, steps, features)."""

    def forward(self, windows: Tensor) -> Tensor:
        """Classify windows: logits (B, singers)."""
        return cast(Tensor, self.head(self.sequence(windows)))

    def embed(self, windows: Tensor) -> Tensor:
        """Give an embedding (B, 32) of windows."""
        return self.head.embed(self.sequence(windows))
