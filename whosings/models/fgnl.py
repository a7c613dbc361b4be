"""The fully generalized non-local module (Kuo et al. 2021), its attention map open to exchange."""

from __future__ import annotations

from typing import Literal, NamedTuple, cast, get_args

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

SoftmaxAxis = Literal["keys", "queries"]

GAUSSIAN_TAPS = 5
GAUSSIAN_SIGMA = 0.707
MOSE_UNITS = 16
SE_REDUCTION = 4


def gaussian_kernel() -> Tensor:
    """Give the fixed smoothing kernel (5, 5), of sum 1."""
    offsets = torch.arange(GAUSSIAN_TAPS, dtype=torch.float64) - GAUSSIAN_TAPS // 2
    taps = torch.exp(-(offsets**2) / (2 * GAUSSIAN_SIGMA**2))
    taps /= taps.sum()
    return torch.outer(taps, taps).float()


class Projection(nn.Module):
    """
    A 1x1 convolution, flattened over positions: (B, C, F, T) -> (B, F*T, c).

    Args:
        inputs: channels C.
        outputs: channels c.
        gaussian: whether fixed Gaussian smoothing of each channel follows.

    """

    def __init__(self, inputs: int, outputs: int, gaussian: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size=1)
        self.gaussian: Tensor | None
        self.register_buffer("gaussian", gaussian_kernel().repeat(outputs, 1, 1, 1) if gaussian else None)

    def forward(self, x: Tensor) -> Tensor:
        """Project, smooth and flatten; a position is frequency * T + time."""
        x = self.conv(x)
        if self.gaussian is not None:
            x = F.conv2d(x, self.gaussian, padding=GAUSSIAN_TAPS // 2, groups=len(self.gaussian))
        return rearrange(x, "b c f t -> b (f t) c")


class FGNLState(NamedTuple):
    """All that the module knows before its attention map acts."""

    features: Tensor
    """(B, C, F, T), the map that the result is added to"""
    responses: Tensor
    """(B, rolls, F*T, c): the non-local response R_k of each channel roll k"""


class MoSE(nn.Module):
    """Modified squeeze-and-excitation: one weight for each channel roll, of sum 1. This is the map A."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Linear(1, MOSE_UNITS)
        self.excite = nn.Linear(MOSE_UNITS, 1)

    def forward(self, state: FGNLState) -> Tensor:
        """Pool each roll's response over positions and channels and weigh them: (B, rolls)."""
        pooled = state.responses.mean(dim=(2, 3)).unsqueeze(-1)
        return cast(Tensor, self.excite(F.relu(self.squeeze(pooled))).squeeze(-1).softmax(dim=-1))


class SE(nn.Module):
    """
    Squeeze-and-excitation (Hu et al. 2018) in place of MoSE: 0 to 1 for each channel of each roll.

    The original's usual reduction of 16 would leave a single unit for 16 channels; here it is 4.

    Args:
        channels: rolls * c.

    """

    def __init__(self, channels: int):
        super().__init__()
        units = max(1, channels // SE_REDUCTION)
        self.squeeze = nn.Linear(channels, units)
        self.excite = nn.Linear(units, channels)

    def forward(self, state: FGNLState) -> Tensor:
        """Pool each channel of each roll over positions and weigh them: (B, rolls, c)."""
        pooled = state.responses.mean(dim=2)
        return cast(Tensor, self.excite(F.relu(self.squeeze(pooled.flatten(1)))).sigmoid().view_as(pooled))


class FGNL(nn.Module):
    """
    Attention of block 4's positions to those of blocks 4 and 3, for every roll of the reduced channels.

    The softmax runs over the keys, "on each row" as the FGNL paper says. The released code has it over the
    queries; then the pooled responses are the same for every roll, the map is uniform for any input, and MoSE
    gets no gradient. That axis is here only to match the release.

    Args:
        channels: channels of both feature maps.
        denominator: channels / reduced channels; the number of reduced channels is also that of the rolls.
        softmax_axis: `keys`, or `queries` as released.
        gaussian: whether theta, phi and g are smoothed.

    Raises ValueError for another axis, or a denominator that does not divide the channels.

    """

    def __init__(
        self,
        channels: int,
        denominator: int = 32,
        softmax_axis: SoftmaxAxis = "keys",
        gaussian: bool = True,
    ):
        super().__init__()
        if softmax_axis not in get_args(SoftmaxAxis):
            raise ValueError(f"softmax_axis is one of {get_args(SoftmaxAxis)}, not {softmax_axis!r}")
        if denominator < 1 or channels % denominator:
            raise ValueError(f"{channels} channels cannot be divided by {denominator}")
        reduced = channels // denominator
        self.rolls = reduced
        self.softmax_axis = softmax_axis
        self.theta = Projection(channels, reduced, gaussian)
        self.phi4, self.phi3 = (Projection(channels, reduced, gaussian) for _ in range(2))
        self.g4, self.g3 = (Projection(channels, reduced, gaussian) for _ in range(2))
        self.out = nn.Linear(reduced * reduced, channels)

    def respond(self, block4: Tensor, block3: Tensor) -> FGNLState:
        """Give R_k for all rolls k: block4 (B, C, F, T), block3 (B, C, F', T')."""
        theta = self.theta(block4)
        phi = torch.cat([self.phi4(block4), self.phi3(block3)], dim=1)
        g = torch.cat([self.g4(block4), self.g3(block3)], dim=1)
        # Rolling phi by k equals rolling theta by -k, so that all rolls share their keys and values.
        rolled = torch.stack([theta.roll(-k, dims=-1) for k in range(self.rolls)], dim=1)
        return FGNLState(block4, self._attend(rolled, phi, g))

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Non-local attention without scaling: (B, k, q, c), (B, n, c), (B, n, c) -> (B, k, q, c)."""
        if self.softmax_axis == "queries":
            weights = torch.einsum("bkqc,bnc->bkqn", queries, keys).softmax(dim=2)
            return torch.einsum("bkqn,bnc->bkqc", weights, values)
        flat = rearrange(queries, "b k q c -> b 1 (k q) c")
        out = F.scaled_dot_product_attention(flat, keys.unsqueeze(1), values.unsqueeze(1), scale=1.0)
        return rearrange(out, "b 1 (k q) c -> b k q c", k=self.rolls)

    def combine(self, state: FGNLState, attention: Tensor) -> Tensor:
        """
        Weigh the responses, join them and add the features: (B, C, F, T).

        `attention` is (B, rolls), or (B, rolls, c) with a weight for each channel.
        """
        weighed = state.responses * rearrange(attention, "b k ... -> b k 1 (...)")
        joined = self.out(rearrange(weighed, "b k q c -> b q (c k)"))
        height = state.features.shape[2]
        return state.features + rearrange(joined, "b (f t) c -> b c f t", f=height)
