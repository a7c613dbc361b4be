"""
ECAPA-TDNN (Desplanques et al. 2020) up to its pooling, laid out as SpeechBrain's so that its weights fit.

Convolutions over time alone; mel bands are channels. T is the number of frames of 10 ms.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BANDS = 80
WIDTH = 1024  # channels of the blocks
FRAMES = 3 * WIDTH  # channels of what is pooled
RES2_SCALE = 8
SE_UNITS = 128
DILATIONS = (2, 3, 4)
TOP_DB = 80.0  # dB kept below the loudest cell of a window


class Conv(nn.Module):
    """A 1-D 'same' convolution that mirrors the sound at its ends: (B, inputs, T) -> (B, outputs, T)."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1):
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, dilation=dilation)
        self.border = dilation * (kernel - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        if self.border:
            x = F.pad(x, (self.border, self.border), mode="reflect")
        return cast(Tensor, self.conv(x))


class Norm(nn.Module):
    """Batch norm under the name it has in the weights."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, channels, ...)."""
        return cast(Tensor, self.norm(x))


class TDNN(nn.Module):
    """Convolution, ReLU, batch norm: (B, inputs, T) -> (B, outputs, T)."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1):
        super().__init__()
        self.conv = Conv(inputs, outputs, kernel, dilation)
        self.norm = Norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Give the activations."""
        return cast(Tensor, self.norm(F.relu(self.conv(x))))


class Res2(nn.Module):
    """Groups of channels, each convolved after the one before was added: (B, C, T) -> same (Res2Net)."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        group = channels // RES2_SCALE
        self.blocks = nn.ModuleList(TDNN(group, group, 3, dilation) for _ in range(RES2_SCALE - 1))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; the first group stays as it is."""
        first, *groups = x.chunk(RES2_SCALE, dim=1)
        done = [first]
        for number, (block, group) in enumerate(zip(self.blocks, groups, strict=True)):
            done.append(block(group + done[-1] if number else group))
        return torch.cat(done, dim=1)


class SqueezeExcite(nn.Module):
    """A gate for each channel from its mean over time: (B, C, T) -> same."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1, self.conv2 = Conv(channels, SE_UNITS), Conv(SE_UNITS, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the channels."""
        return x * torch.sigmoid(self.conv2(F.relu(self.conv1(x.mean(dim=2, keepdim=True)))))


class Block(nn.Module):
    """SE-Res2Block with its residual connection: (B, C, T) -> same."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.tdnn1, self.tdnn2 = TDNN(channels, channels), TDNN(channels, channels)
        self.res2net_block = Res2(channels, dilation)
        self.se_block = SqueezeExcite(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Give the activations."""
        return x + cast(Tensor, self.se_block(self.tdnn2(self.res2net_block(self.tdnn1(x)))))


class ECAPA(nn.Module):
    """Windows (B, 80, T) in dB of the `SPEAKER` front end -> frames (B, 3072, T), before any pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = FRAMES
        first = TDNN(BANDS, WIDTH, kernel=5)
        self.blocks = nn.ModuleList([first, *(Block(WIDTH, dilation) for dilation in DILATIONS)])
        self.mfa = TDNN(3 * WIDTH, FRAMES)

    def forward(self, windows: Tensor) -> Tensor:
        """Encode windows, each made as in the encoder's own training: clipped, and of mean 0 in each band."""
        loudest = windows.amax(dim=(1, 2), keepdim=True)
        x = windows.maximum(loudest - TOP_DB)
        x = x - x.mean(dim=2, keepdim=True)
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return cast(Tensor, self.mfa(torch.cat(maps[1:], dim=1)))
