"""Open-Unmix (Stöter et al. 2019), model umxhq, with weights that the user fetched."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from whosings.audio.separation.streaming import Windows, separate_stream
from whosings.weights import damaged, digest, find_weights, package_version

if TYPE_CHECKING:
    import torch

VOCALS = "vocals-b62c91ce.pth"  # its name ends in the beginning of its SHA-256
URL = f"https://zenodo.org/records/3370489/files/{VOCALS}"
RATE = 44_100  # Hz
N_FFT = 4096  # samples
HOP = 1024  # samples
BINS = N_FFT // 2 + 1
WIENER_FRAMES = 300  # that the Wiener filter takes together: the package's default
ITERATIONS = 1  # of the Wiener filter: the package's default
WINDOWS = Windows(rate=RATE, length=9 * WIENER_FRAMES * HOP, hop=8 * WIENER_FRAMES * HOP)  # 62.7 s, 55.7 s


class OpenUnmix:
    """
    Separate with umxhq's vocals and the residual that its Wiener filter leaves.

    Raises WhosingsError where the package or the weights are missing.
    """

    name = "openunmix"

    def __init__(self) -> None:
        package = package_version("openunmix", self.name, "pip install --no-deps openunmix")
        self._weights = find_weights(VOCALS, URL, f"the separator {self.name}", also=[_hub_folder()])
        found = digest(self._weights)
        if not self._weights.stem.endswith(found):
            raise damaged(self._weights, URL, f"their SHA-256 starts with {found}")
        self.version = f"openunmix {package} umxhq {found} residual {ITERATIONS}"

    def __call__(self, blocks: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Separate mono float32 blocks (samples,) at 16 kHz into pairs (vocals, accompaniment)."""
        return separate_stream(blocks, self.separate, WINDOWS)

    def separate(self, sound: np.ndarray) -> np.ndarray:
        """Separate one window (samples,) at 44.1 kHz into vocals and accompaniment (2, samples)."""
        import torch

        padded = np.pad(sound, (0, max(0, N_FFT - len(sound))))  # it mirrors half a transform at each border
        stereo = torch.from_numpy(padded).expand(1, 2, -1).contiguous()
        with torch.inference_mode():
            stems = self._network(stereo.to(self._device))  # (1, 2 stems, 2 channels, samples)
        mono: np.ndarray = stems[0].mean(dim=1).cpu().numpy()
        return mono[:, : len(sound)]

    @cached_property
    def _device(self) -> str:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def _network(self) -> torch.nn.Module:
        import pickle

        import torch

        with _without_torchaudio():
            from openunmix.model import OpenUnmix as Network
            from openunmix.model import Separator
        try:
            state = torch.load(self._weights, map_location="cpu", weights_only=True)
            vocals = Network(
                nb_bins=BINS,
                nb_channels=2,
                hidden_size=state["fc1.weight"].shape[0],
                max_bin=state["input_mean"].shape[0],
            )
            vocals.load_state_dict(state, strict=False)  # as the package does: files hold more
        except (OSError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
            raise damaged(self._weights, URL, error) from error
        separator: torch.nn.Module = Separator(
            target_models={"vocals": vocals},
            niter=ITERATIONS,
            residual=True,
            n_fft=N_FFT,
            n_hop=HOP,
            wiener_win_len=WIENER_FRAMES,
        )
        return separator.eval().to(self._device)


def _hub_folder() -> Path:
    """Give the folder where torch.hub, and so the package itself, keeps weights."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


@contextlib.contextmanager
def _without_torchaudio() -> Iterator[None]:
    """
    Let the package be imported where torchaudio is missing or broken.

    It imports torchaudio for reading and resampling files, which is not asked of it here.
    """
    if "torchaudio" in sys.modules:
        yield
        return
    sys.modules["torchaudio"] = types.ModuleType("torchaudio")
    try:
        yield
    finally:
        del sys.modules["torchaudio"]
