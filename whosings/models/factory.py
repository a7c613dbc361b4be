"""One factory for all systems, and their sizes counted as the papers count them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from whosings.errors import WhosingsError
from whosings.models.crnn import CRNN
from whosings.models.crnn_fgnl import CRNNFGNL

SYSTEMS: dict[str, Callable[..., nn.Module]] = {"crnn": CRNN, "crnn_fgnl": CRNNFGNL}
"""Systems by name; each is called with the number of singers and its own options."""


def create(name: str, num_singers: int, **options: Any) -> nn.Module:
    """
    Give a freshly initialised system: (B, 128, T) log-mel in dB -> logits (B, num_singers).

    Raises WhosingsError for an unknown name or option.
    """
    if name not in SYSTEMS:
        raise WhosingsError(f"There is no system named {name!r}; choose one of {', '.join(SYSTEMS)}.")
    try:
        return SYSTEMS[name](num_singers, **options)
    except TypeError as error:
        raise WhosingsError(f"The system {name!r} does not take these options: {error}.") from None


def count_parameters(network: nn.Module) -> int:
    """Count all arrays of a network the Keras way: weights, batch statistics and fixed taps together."""
    return sum(
        tensor.numel()
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    )
