"""Layers that the convolutional recurrent networks share, in the conventions of the published Keras code."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from whosings.lca import row_dropout

BN_EPSILON = 1e-3  # Keras
BN_MOMENTUM = 0.01  # share of the new batch; Keras calls it 0.99
CONV_DROPOUT = 0.1
HEAD_DROPOUT = 0.3
GRU_UNITS = 32


class MelNorm(nn.BatchNorm1d):
    """Batch normalisation of each mel band on its own, over batch and time: (B, bands, T) -> same."""

    def __init__(self, bands: int):
        super().__init__(bands, eps=BN_EPSILON, momentum=BN_MOMENTUM)


class ConvBlock(nn.Sequential):
    """3x3 'same' convolution, ELU, batch norm, max-pooling over (frequency, time) or none, dropout."""

    def __init__(self, inputs: int, outputs: int, pool: tuple[int, int] | None):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding="same")
        self.elu = nn.ELU()
        self.norm = nn.BatchNorm2d(outputs, eps=BN_EPSILON, momentum=BN_MOMENTUM)
        self.pool = nn.MaxPool2d(pool) if pool else nn.Identity()
        self.dropout = nn.Dropout(CONV_DROPOUT)


class RecurrentHead(nn.Module):
    """Two GRUs, dropout, dense: a sequence (B, T, features) -> logits (B, singers)."""

    def __init__(self, features: int, num_singers: int):
        super().__init__()
        self.gru1 = nn.GRU(features, GRU_UNITS, batch_first=True)
        self.gru2 = nn.GRU(GRU_UNITS, GRU_UNITS, batch_first=True)
        self.dense = nn.Linear(GRU_UNITS, num_singers)

    def forward(self, sequence: Tensor, dropout: Tensor | None = None) -> Tensor:
        """Classify; `dropout` (B,) gives each row a rate of its own in place of 0.3."""
        embedding = self.embed(sequence)
        if dropout is None:
            embedding = F.dropout(embedding, HEAD_DROPOUT, self.training)
        else:
            embedding = row_dropout(embedding, dropout, self.training)
        return cast(Tensor, self.dense(embedding))

    def embed(self, sequence: Tensor) -> Tensor:
        """Give the last state of the second GRU: (B, 32)."""
        return cast(Tensor, self.gru2(self.gru1(sequence)[0])[0][:, -1])


def initialise_as_keras(module: nn.Module) -> None:
    """Draw weights as Keras does: Glorot uniform kernels, orthogonal recurrent kernels, zero biases."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.GRU):
            for name, parameter in layer.named_parameters():
                if name.startswith("bias"):
                    nn.init.zeros_(parameter)
                elif name.startswith("weight_hh"):
                    nn.init.orthogonal_(parameter)
                else:
                    nn.init.xavier_uniform_(parameter)


def prepare(network: nn.Module) -> None:
    """Initialise a new network as Keras does and lay its kernels out for quick convolutions."""
    initialise_as_keras(network)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def as_image(spectrogram: Tensor) -> Tensor:
    """Give (B, bands, T) as a one-channel image (B, 1, bands, T), channels last for quick convolutions."""
    return spectrogram.unsqueeze(1).contiguous(memory_format=torch.channels_last)


def as_sequence(maps: Tensor) -> Tensor:
    """Give maps (B, C, F, T) as a sequence (B, T, F * C), frequency major."""
    return rearrange(maps, "b c f t -> b t (f c)")
