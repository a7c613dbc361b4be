"""The voiceprint system: a speaker encoder, attentive pooling, and a cosine to each singer."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whosings.lca import row_dropout
from whosings.models.voiceprint.ecapa import ECAPA, FRAMES, Conv, Norm
from whosings.models.voiceprint.pooling import TimeAttention, pool

DIM = 192  # of a voiceprint
SCALE = 20.0  # of the cosines: a cosine 0.2 ahead is a probability 50 times as high
DROPOUT = 0.0


class CosineHead(nn.Module):
    """Voiceprints (B, 192) -> logits (B, singers): scaled cosines to one direction for each singer."""

    def __init__(self, num_singers: int):
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_singers, DIM)))

    def forward(self, voiceprints: Tensor) -> Tensor:
        """Compare."""
        return SCALE * F.linear(F.normalize(voiceprints, dim=1), F.normalize(self.weight, dim=1))


class Voiceprint(nn.Module):
    """
    ECAPA-TDNN with a head for known singers, an `AttentionNetwork` of `whosings.lca`.

    Its map is the weight of each channel at each frame in the pooling; the counterfactual branch is a second
    attention over the same frames. Windows are log-mel (B, 80, T) of the `SPEAKER` front end.
    """

    def __init__(self, num_singers: int):
        super().__init__()
        self.encoder = ECAPA()
        self.attention = self.new_attention()
        self.norm = Norm(2 * FRAMES)
        self.project = Conv(2 * FRAMES, DIM)
        self.head = CosineHead(num_singers)

    def new_attention(self) -> TimeAttention:
        """Give a fresh attention over the encoder's frames."""
        return TimeAttention(FRAMES)

    def encode(self, windows: Tensor) -> Tensor:
        """Give frames (B, 3072, T) of windows (B, 80, T)."""
        return cast(Tensor, self.encoder(windows))

    def decode(self, state: Tensor, attention: Tensor, dropout: Tensor | None = None) -> Tensor:
        """Pool frames by `attention` (B, 3072, T) and classify: (B, singers)."""
        voiceprints = self.join(state, attention)
        if dropout is not None:
            voiceprints = row_dropout(voiceprints, dropout, self.training)
        return cast(Tensor, self.head(voiceprints))

    def join(self, frames: Tensor, attention: Tensor) -> Tensor:
        """Give voiceprints (B, 192) of frames (B, 3072, T) under a map of the same shape."""
        pooled = self.norm(pool(frames, attention))
        return cast(Tensor, self.project(pooled.unsqueeze(2))).squeeze(2)

    def embed(self, windows: Tensor) -> Tensor:
        """Give voiceprints (B, 192) of windows (B, 80, T), of any length."""
        frames = self.encode(windows)
        return self.join(frames, self.attention(frames))

    def forward(self, windows: Tensor) -> Tensor:
        """Classify windows: logits (B, singers)."""
        return cast(Tensor, self.head(self.embed(windows)))
