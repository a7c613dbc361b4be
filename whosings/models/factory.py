"""One factory for all systems, and their sizes counted as the papers count them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from whosings.audio.frontend import KALDI, SPEAKER, FrontEnd
from whosings.collection.windows import HEARING, Hearing
from whosings.errors import WhosingsError
from whosings.models.crnn import CRNN, CRNNM, CRNNLarge
from whosings.models.crnn_fgnl import CRNNFGNL, CRNNMFGNL, CRNNFGNLLight
from whosings.models.crnn_nl import CRNNNL
from whosings.models.voiceprint.network import EncoderName, Voiceprint
from whosings.models.voiceprint.pretrained import load_pretrained

WITH_MELODY = Hearing(melody=True)


@dataclass(frozen=True)
class System:
    """A system that can be created by name."""

    build: Callable[..., nn.Module]
    """called with the number of singers and the system's own options"""
    about: str
    """a few words and the source"""
    hearing: Hearing = HEARING
    """its windows are (B, n_mels, T) of the front end, or (B, 2, 128, T) where it hears the melody as well"""
    load_pretrained: Callable[[Any], None] | None = None
    """loads pretrained weights into a network of the system; None where there are none"""
    encoder: EncoderName | None = None
    """the speaker encoder by which it gives voiceprints, if it does"""


def _voiceprint(encoder: EncoderName, about: str, front_end: FrontEnd) -> System:
    return System(partial(Voiceprint, encoder=encoder), about, Hearing(front_end), load_pretrained, encoder)


SYSTEMS: dict[str, System] = {
    "crnn": System(CRNN, "four convolution blocks and two GRUs (Nasrullah & Zhao 2019)"),
    "crnn_large": System(CRNNLarge, "CRNN as large as CRNN_FGNL, without attention (Kuo et al. 2021)"),
    "crnnm": System(CRNNM, "CRNN that hears the melody as well (Hsieh et al. 2020)", WITH_MELODY),
    "crnn_fgnl": System(CRNNFGNL, "CRNN with fully generalized non-local attention (Kuo et al. 2021)"),
    "crnnm_fgnl": System(CRNNMFGNL, "CRNN_FGNL that hears the melody as well (Kuo et al. 2021)", WITH_MELODY),
    "crnn_nl": System(CRNNNL, "CRNN_FGNL with a plain non-local block (Wang et al. 2018)"),
    "crnn_fgnl_se": System(
        partial(CRNNFGNL, scheme="se"), "CRNN_FGNL with squeeze-and-excitation for MoSE (Hu et al. 2018)"
    ),
    "crnn_fgnl_no_gaussian": System(
        partial(CRNNFGNL, gaussian=False), "CRNN_FGNL without Gaussian smoothing (Kuo et al. 2021)"
    ),
    "crnn_fgnl_light": System(CRNNFGNLLight, "CRNN_FGNL with block 1 pooled as well: a quarter of the work"),
    "voiceprint": _voiceprint(
        "ecapa", "ECAPA-TDNN, pretrained on the speech of 7,205 people (Desplanques et al. 2020)", SPEAKER
    ),
    "voiceprint_campplus": _voiceprint(
        "campplus", "CAM++, pretrained on speech in Mandarin and English (Wang et al. 2023)", KALDI
    ),
}
"""Systems by name."""


def create(name: str, num_singers: int, **options: Any) -> nn.Module:
    """
    Give a freshly initialised system: windows, (B, 128, T) or (B, 2, 128, T) -> logits (B, num_singers).

    Raises WhosingsError for an unknown name or option.
    """
    system = find_system(name)
    try:
        return system.build(num_singers, **options)
    except (TypeError, ValueError) as error:
        raise WhosingsError(f"The system {name!r} does not take these options: {error}.") from None


def find_system(name: str) -> System:
    """Give the system of that name; raises WhosingsError where there is none."""
    if name not in SYSTEMS:
        raise WhosingsError(f"There is no system named {name!r}; choose one of {', '.join(SYSTEMS)}.")
    return SYSTEMS[name]


def count_parameters(network: nn.Module) -> int:
    """Count all arrays of a network the Keras way: weights, batch statistics and fixed taps together."""
    return sum(
        tensor.numel()
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    )


def attention_parameters(network: nn.Module) -> int | None:
    """Count what a learned counterfactual branch adds in training; None where there is no attention map."""
    if not hasattr(network, "new_attention"):
        return None
    return count_parameters(network.new_attention())  # type: ignore[operator]
