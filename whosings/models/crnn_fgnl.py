"""CRNN_FGNL (Kuo et al. 2021): the network that the paper equips with LCA (figure 3)."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, cast, get_args

import torch
from torch import Tensor

from whosings.audio.units import N_MELS
from whosings.models.fgnl import FGNL, SE, FGNLState, MoSE, SoftmaxAxis
from whosings.models.layers import RecurrentHead, as_sequence, initialise_as_keras, prepare
from whosings.models.stack import Pool, SingerNetwork

Scheme = Literal["mose", "se"]


class CRNNFGNL(SingerNetwork):
    """
    CRNN_FGNL of 584,141 parameters at 20 singers, an `AttentionNetwork` of `whosings.lca`.

    Args:
        num_singers: classes.
        softmax_axis: `keys` (attention that learns) or `queries` (as released, dead).
        channel_denominator: channels of the maps / this = reduced channels = rolls.
        gaussian: whether the projections are smoothed.
        scheme: what gives the attention map: `mose`, a number for each roll, or `se`, one for each channel
            of each roll.

    Raises ValueError for an option of another value.

    """

    pools: ClassVar[tuple[Pool, ...]] = (None, (2, 2), (2, 2), (2, 2))

    def __init__(
        self,
        num_singers: int,
        softmax_axis: SoftmaxAxis = "keys",
        channel_denominator: int = 32,
        gaussian: bool = True,
        scheme: Scheme = "mose",
    ):
        super().__init__()
        if scheme not in get_args(Scheme):
            raise ValueError(f"scheme is one of {get_args(Scheme)}, not {scheme!r}")
        self.scheme = scheme
        self.fgnl = FGNL(self.channels, channel_denominator, softmax_axis, gaussian)
        self.attention = self.new_attention()
        pooled = math.prod(pool[0] for pool in self.pools if pool)  # mel bands in one of the last map
        self.head = RecurrentHead(self.channels * (N_MELS // pooled), num_singers)
        prepare(self)

    def new_attention(self) -> MoSE | SE:
        """Give a fresh MoSE or SE; the counterfactual branch is a second one (figure 3, orange)."""
        attention = MoSE() if self.scheme == "mose" else SE(self.fgnl.rolls**2)
        initialise_as_keras(attention)
        return attention

    def encode(self, windows: Tensor) -> FGNLState:
        """Give block 4's maps and the non-local responses of windows."""
        third, fourth = self.joined_maps(windows)
        # The module is small and its softmax is unscaled: single precision costs nothing here.
        with torch.autocast(windows.device.type, enabled=False):
            return self.fgnl.respond(fourth.float(), third.float())

    def decode(self, state: FGNLState, attention: Tensor, dropout: Tensor | None = None) -> Tensor:
        """Weigh the responses by `attention`, (B, rolls) or (B, rolls, c), and classify: (B, singers)."""
        return cast(Tensor, self.head(as_sequence(self.fgnl.combine(state, attention)), dropout))

    def sequence(self, windows: Tensor) -> Tensor:
        """Give what the GRUs read, (B, T // 8, 16 * channels)."""
        state = self.encode(windows)
        return as_sequence(self.fgnl.combine(state, self.attention(state)))


class CRNNMFGNL(CRNNFGNL):
    """
    CRNNM_FGNL (Kuo et al. 2021) of 1,175,381 parameters at 20 singers: a second stack hears the melody.

    One module attends over the joined maps: 256 channels, so 8 reduced channels and 8 rolls.
    """

    hears_melody = True


class CRNNFGNLLight(CRNNFGNL):
    """CRNN_FGNL that pools after block 1 as well: a quarter of the work, for studies of many runs."""

    pools = ((2, 2), (2, 2), (2, 2), (2, 2))
