"""CRNN (Nasrullah & Zhao 2019): four convolution blocks and two GRUs; wider, or hearing the melody too."""

from __future__ import annotations

from torch import Tensor

from whosings.models.layers import RecurrentHead, as_sequence, prepare
from whosings.models.stack import SingerNetwork


class CRNN(SingerNetwork):
    """CRNN of 394,516 parameters at 20 singers; it has no attention, so no counterfactual branch either."""

    pools = ((2, 2), (4, 2), (4, 2), (4, 2))

    def __init__(self, num_singers: int):
        super().__init__()
        self.head = RecurrentHead(self.channels, num_singers)
        prepare(self)

    def sequence(self, windows: Tensor) -> Tensor:
        """Give what the GRUs read, (B, T // 16, channels)."""
        _, fourth = self.joined_maps(windows)
        return as_sequence(fourth)


class CRNNLarge(CRNN):
    """
    CRNN of 582,388 parameters at 20 singers: the size of CRNN_FGNL without its attention (Kuo et al. 2021).

    Its published size is 0.58 M, its widths are not printed. 160 is our choice: with one width for
    blocks 2 to 4 no other comes nearer to the 584,141 of CRNN_FGNL.
    """

    conv_channels = (64, 160, 160, 160)


class CRNNM(CRNN):
    """CRNNM (Hsieh et al. 2020) of 778,772 parameters at 20 singers: a second stack hears the melody."""

    hears_melody = True
