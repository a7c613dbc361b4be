"""Attentive statistics pooling (Okabe et al. 2018), its map open to exchange: when a voice is heard."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whosings.models.voiceprint.ecapa import TDNN, Conv

ATTENTION_UNITS = 128
SMALLEST_VARIANCE = 1e-12


class TimeAttention(nn.Module):
    """
    Frames (B, C, T) -> the map A (B, C, T): a weight for each channel at each frame, of sum 1 over time.

    It sees each frame beside the mean and the deviation over the window (section 3.1 of ECAPA-TDNN), joined
    on their channels. Both are the same in every frame, so what the first convolution, of a single frame,
    makes of them is computed once and added to what it makes of the frames: a third of the work for the same
    numbers and the same weights, and no copies of mean and deviation over time.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels
        self.tdnn = TDNN(3 * channels, ATTENTION_UNITS)
        self.conv = Conv(ATTENTION_UNITS, channels)

    def forward(self, frames: Tensor) -> Tensor:
        """Weigh the frames."""
        mean = frames.mean(dim=2, keepdim=True)
        deviation = _deviation((frames - mean).square().mean(dim=2, keepdim=True))
        first = self.tdnn.conv.conv
        of_frames, of_window = first.weight.split([frames.shape[1], 2 * frames.shape[1]], dim=1)
        window = F.conv1d(torch.cat([mean, deviation], dim=1), of_window, first.bias)  # (B, units, 1)
        seen = self.tdnn.norm(F.relu(F.conv1d(frames, of_frames) + window))
        return cast(Tensor, self.conv(torch.tanh(seen)).softmax(dim=2))


def pool(frames: Tensor, attention: Tensor) -> Tensor:
    """Give mean and deviation of frames (B, C, T) under weights of the same shape: (B, 2 C)."""
    mean = (attention * frames).sum(dim=2)
    variance = (attention * (frames - mean.unsqueeze(2)).square()).sum(dim=2)
    return torch.cat([mean, _deviation(variance)], dim=1)


def _deviation(variance: Tensor) -> Tensor:
    return variance.clamp(min=SMALLEST_VARIANCE).sqrt()
