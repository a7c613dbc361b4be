"""
CAM++ (Wang et al. 2023) up to its pooling, laid out as 3D-Speaker's so that its weights fit.

A small 2-D network over bands and time, then densely connected convolutions over time, each masked by what is
heard around it. T is the number of frames of 10 ms; every second one is left where the dense blocks begin.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BANDS = 80
MAPS = 32  # channels of the 2-D network
WIDTH = 128  # channels that enter the dense blocks, and of each layer's bottleneck
GROWTH = 32  # channels that each dense layer adds
BLOCKS = ((12, 1), (24, 2), (16, 2))  # layers of each dense block and their dilation
FRAMES = 512  # channels of what is pooled
SEGMENT = 100  # frames, 2 s, that share a mean in the mask
FLOOR_DB = 10 * math.log10(torch.finfo(torch.float32).eps)  # the least power of a cell in training
NEPERS = math.log(10) / 10  # natural logarithms of power, for each dB


def norm_relu(channels: int) -> nn.Sequential:
    """Give batch norm and ReLU, under the names they have in the weights."""
    return nn.Sequential(OrderedDict(batchnorm=nn.BatchNorm1d(channels), relu=nn.ReLU()))


class Residual(nn.Module):
    """Two 2-D convolutions with a residual connection: (B, 32, bands, T) -> (B, 32, bands / stride, T)."""

    def __init__(self, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(MAPS, MAPS, 3, (stride, 1), padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(MAPS)
        self.conv2 = nn.Conv2d(MAPS, MAPS, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(MAPS)
        self.shortcut = nn.Sequential()
        if stride > 1:
            shorter = nn.Conv2d(MAPS, MAPS, 1, (stride, 1), bias=False)
            self.shortcut = nn.Sequential(shorter, nn.BatchNorm2d(MAPS))

    def forward(self, x: Tensor) -> Tensor:
        """Give the activations."""
        convolved = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(convolved + self.shortcut(x))


class BandConvolution(nn.Module):
    """The 2-D network, which forgives small shifts in pitch: (B, 80, T) -> (B, 320, T), 10 bands each."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, MAPS, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(MAPS)
        self.layer1 = nn.Sequential(Residual(2), Residual(1))
        self.layer2 = nn.Sequential(Residual(2), Residual(1))
        self.conv2 = nn.Conv2d(MAPS, MAPS, 3, (2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(MAPS)

    def forward(self, x: Tensor) -> Tensor:
        """Give the activations."""
        x = self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x.unsqueeze(1))))))
        return F.relu(self.bn2(self.conv2(x))).flatten(1, 2)


class ContextMask(nn.Module):
    """
    A convolution over time under a mask from 0 to 1, (B, 128, T) -> (B, 32, T).

    The mask comes from the mean of the whole window and that of each 2 s of it (section 2.2 of CAM++).
    """

    def __init__(self, dilation: int):
        super().__init__()
        self.linear_local = nn.Conv1d(WIDTH, GROWTH, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(WIDTH, WIDTH // 2, 1)
        self.linear2 = nn.Conv1d(WIDTH // 2, GROWTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and mask."""
        segments = F.avg_pool1d(x, SEGMENT, SEGMENT, ceil_mode=True)
        context = x.mean(dim=2, keepdim=True) + segments
        mask = torch.sigmoid(self.linear2(F.relu(self.linear1(context))))
        return cast(Tensor, self.linear_local(x) * mask.repeat_interleave(SEGMENT, dim=2)[..., : x.shape[2]])


class DenseLayer(nn.Module):
    """A bottleneck and a masked convolution whose output joins its input: (B, C, T) -> (B, C + 32, T)."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.nonlinear1 = norm_relu(channels)
        self.linear1 = nn.Conv1d(channels, WIDTH, 1, bias=False)
        self.nonlinear2 = norm_relu(WIDTH)
        self.cam_layer = ContextMask(dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Give the input with 32 channels more."""
        return torch.cat([x, self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))], dim=1)


def dense_block(channels: int, layers: int, dilation: int) -> nn.Sequential:
    """Give dense layers one after the other, under their names in the weights."""
    return nn.Sequential(
        OrderedDict(
            (f"tdnnd{number + 1}", DenseLayer(channels + number * GROWTH, dilation))
            for number in range(layers)
        )
    )


def transition(channels: int) -> nn.Sequential:
    """Give what halves the channels behind a dense block: (B, C, T) -> (B, C / 2, T)."""
    halved = nn.Conv1d(channels, channels // 2, 1, bias=False)
    return nn.Sequential(OrderedDict(nonlinear=norm_relu(channels), linear=halved))


class CAMPlusPlus(nn.Module):
    """Windows (B, 80, T) in dB of the `KALDI` front end -> frames (B, 512, T / 2), before any pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = FRAMES
        self.head = BandConvolution()
        first = nn.Conv1d(MAPS * BANDS // 8, WIDTH, 5, stride=2, padding=2, bias=False)
        self.xvector = nn.Sequential(
            OrderedDict(tdnn=nn.Sequential(OrderedDict(linear=first, nonlinear=norm_relu(WIDTH))))
        )
        channels = WIDTH
        for number, (layers, dilation) in enumerate(BLOCKS, start=1):
            self.xvector.add_module(f"block{number}", dense_block(channels, layers, dilation))
            channels += layers * GROWTH
            self.xvector.add_module(f"transit{number}", transition(channels))
            channels //= 2
        self.xvector.add_module("out_nonlinear", norm_relu(channels))

    def forward(self, windows: Tensor) -> Tensor:
        """Encode windows, each made as in the encoder's own training: in nepers, of mean 0 in each band."""
        x = windows.clamp(min=FLOOR_DB) * NEPERS
        x = x - x.mean(dim=2, keepdim=True)
        return cast(Tensor, self.xvector(self.head(x)))
