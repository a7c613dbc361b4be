"""The voiceprint system: a speaker encoder, attentive pooling, and a cosine to each singer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whosings.lca import row_dropout
from whosings.models.voiceprint.campplus import CAMPlusPlus
from whosings.models.voiceprint.ecapa import ECAPA, Conv, Norm
from whosings.models.voiceprint.pooling import TimeAttention, pool

DIM = 192  # of a voiceprint
SCALE = 20.0  # of the cosines: a cosine 0.2 ahead is a probability 50 times as high
BODY = {"encoder", "attention", "norm", "project"}  # all parts but the head

EncoderName = Literal["ecapa", "campplus"]
ENCODERS: dict[EncoderName, type[ECAPA] | type[CAMPlusPlus]] = {"ecapa": ECAPA, "campplus": CAMPlusPlus}

Split = tuple[Callable[[Tensor], Tensor], nn.Module]


class CosineHead(nn.Module):
    """Voiceprints (B, 192) -> logits (B, singers): scaled cosines to one direction for each singer."""

    def __init__(self, num_singers: int):
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_singers, DIM)))

    def forward(self, voiceprints: Tensor) -> Tensor:
        """Compare."""
        return SCALE * F.linear(F.normalize(voiceprints, dim=1), F.normalize(self.weight, dim=1))


class FromVoiceprints(nn.Module):
    """What is left of a `Voiceprint` where all but the head is fixed: voiceprints (B, 192) -> logits."""

    def __init__(self, head: CosineHead):
        super().__init__()
        self.head = head

    def forward(self, voiceprints: Tensor) -> Tensor:
        """Classify voiceprints: logits (B, singers)."""
        return cast(Tensor, self.head(voiceprints))


class FromFrames(nn.Module):
    """
    A `Voiceprint` from its encoder's frames on, an `AttentionNetwork` whose state is its input.

    `parts` are at least attention, norm, project and head; modules given stay shared with their owner.
    """

    attention: TimeAttention
    norm: nn.Module
    project: nn.Module
    head: CosineHead

    def __init__(self, **parts: nn.Module):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def new_attention(self) -> TimeAttention:
        """Give a fresh attention over the encoder's frames."""
        return TimeAttention(self.attention.channels)

    def encode(self, x: Tensor) -> Tensor:
        """Give frames (B, C, T): here those that came in."""
        return x

    def decode(self, state: Tensor, attention: Tensor, dropout: Tensor | None = None) -> Tensor:
        """
        Pool frames by `attention` (B, C, T) and classify: (B, singers).

        Weights count in proportion to their sum over time, so that a map of any scale (such as the random one
        of counterfactual attention learning, uniform in [0, 2]) still gives a mean and a deviation.
        """
        voiceprints = self.join(state, attention / attention.sum(dim=2, keepdim=True))
        if dropout is not None:
            voiceprints = row_dropout(voiceprints, dropout, self.training)
        return cast(Tensor, self.head(voiceprints))

    def join(self, frames: Tensor, attention: Tensor) -> Tensor:
        """Give voiceprints (B, 192) of frames (B, C, T) under a map of the same shape, of sum 1 over T."""
        pooled = self.norm(pool(frames, attention))
        return cast(Tensor, self.project(pooled.unsqueeze(2))).squeeze(2)

    def embed(self, x: Tensor) -> Tensor:
        """Give voiceprints (B, 192) of what `encode` takes, of any length T."""
        frames = self.encode(x)
        return self.join(frames, self.attention(frames))

    def forward(self, x: Tensor) -> Tensor:
        """Classify what `encode` takes: logits (B, singers)."""
        return cast(Tensor, self.head(self.embed(x)))


class Voiceprint(FromFrames):
    """
    A speaker encoder with a head for known singers, an `AttentionNetwork` of `whosings.lca`.

    Its map is the weight of each channel at each frame in the pooling; the counterfactual branch is a second
    attention over the same frames. Windows are log-mel (B, 80, T) in dB, of the `SPEAKER` front end for
    ECAPA-TDNN (3072 channels) and of `KALDI` for CAM++ (512 channels, T / 2 frames). CAM++ comes without
    attention: its pretrained map is even, plain mean and deviation, until training moves it.
    """

    encoder: ECAPA | CAMPlusPlus

    def __init__(self, num_singers: int, encoder: EncoderName = "ecapa"):
        body = ENCODERS[encoder]()
        super().__init__(
            encoder=body,
            attention=TimeAttention(body.channels),
            norm=Norm(2 * body.channels) if encoder == "ecapa" else nn.Identity(),
            project=Conv(2 * body.channels, DIM),
            head=CosineHead(num_singers),
        )
        self.encoder_name: EncoderName = encoder

    @property
    def cam_layer(self) -> nn.Module | None:
        """The layer that tells what spoke, the last with maps over bands and time; ECAPA-TDNN has none."""
        return self.encoder.head.layer2 if isinstance(self.encoder, CAMPlusPlus) else None

    def encode(self, x: Tensor) -> Tensor:
        """Give frames (B, C, T or T / 2) of windows (B, 80, T)."""
        return cast(Tensor, self.encoder(x))

    def split_after(self, frozen: Collection[str], *, exchange: bool = False) -> Split | None:
        """
        Divide into what windows go through before anything learns, and the rest, of the same parameters.

        The first gives voiceprints (B, 192) where all parts but the head are `frozen`, else frames
        (B, C, T). With `exchange` the rest keeps its attention map, for a counterfactual one. None where
        the encoder itself learns.
        """
        if set(frozen) >= BODY and not exchange:
            return self.embed, FromVoiceprints(self.head)
        if "encoder" not in frozen:
            return None
        parts = {name: part for name, part in self.named_children() if name != "encoder"}
        return self.encode, FromFrames(**parts)
