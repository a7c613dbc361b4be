"""Hybrid Transformer Demucs (Rouard et al. 2023), model htdemucs, with weights that the user fetched."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from whosings.audio.separation.streaming import Windows, separate_stream
from whosings.errors import WhosingsError
from whosings.weights import damaged, digest, find_weights, package_version

if TYPE_CHECKING:
    import torch

WEIGHTS = "955717e8.safetensors"  # htdemucs is a bag of this one model
URL = f"https://huggingface.co/adefossez/HTDemucs/resolve/main/{WEIGHTS}"
NETWORKS = ("demucs.htdemucs.HTDemucs", "demucs.hdemucs.HDemucs")
INSTALL = "pip install 'demucs>=4.1'"  # older ones know no safetensors
OVERLAP = 0.25  # share of a window: Demucs' own default


class Demucs:
    """Separate with htdemucs; raises WhosingsError where the package or the weights are missing."""

    name = "demucs"

    def __init__(self) -> None:
        package = package_version("demucs", self.name, INSTALL)
        self._weights = find_weights(WEIGHTS, URL, f"the separator {self.name}")
        self.version = f"demucs {package} htdemucs {digest(self._weights)} overlap {OVERLAP}"

    def __call__(self, blocks: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Separate mono float32 blocks (samples,) at 16 kHz into pairs (vocals, accompaniment)."""
        length = int(self._network.segment * self._network.samplerate)
        windows = Windows(self._network.samplerate, length, length - int(OVERLAP * length))
        return separate_stream(blocks, self.separate, windows)

    def separate(self, sound: np.ndarray) -> np.ndarray:
        """Separate one window (samples,) at the network's rate into vocals and accompaniment (2, samples)."""
        import torch
        from demucs.apply import apply_model

        stereo = torch.from_numpy(sound).expand(1, 2, -1)
        # random shifts would make two runs differ; the network normalises the level of each window itself
        stems = apply_model(self._network, stereo, shifts=0, split=False, device=self._device)
        mono = stems[0].mean(dim=1).cpu().numpy()  # (sources, samples)
        vocals = self._network.sources.index("vocals")
        return np.stack([mono[vocals], np.delete(mono, vocals, axis=0).sum(axis=0)])

    @cached_property
    def _device(self) -> str:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def _network(self) -> Any:
        from safetensors import SafetensorError, safe_open

        try:
            from demucs.hf import load_safetensors_model
        except ImportError as error:
            raise WhosingsError(
                f"The package demucs is too old or incomplete ({error}); run: {INSTALL}"
            ) from error
        try:
            with safe_open(self._weights, framework="pt") as file:
                kind = (file.metadata() or {}).get("klass")
            if kind not in NETWORKS:  # the loader would call whatever is named there
                raise ValueError(f"they are of a {kind}")
            network: torch.nn.Module = load_safetensors_model(self._weights)
        except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise damaged(self._weights, URL, error) from error
        return network.eval()
