"""Put the weights of the golden vectors (Keras layout) into our networks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
GRU_ORDER = [1, 0, 2]  # Keras z, r, h -> PyTorch r, z, n


def _conv(kernel: np.ndarray) -> np.ndarray:
    return kernel.transpose(3, 2, 0, 1)


def _gru(matrix: np.ndarray) -> np.ndarray:
    """(inputs, 3 * units) -> (3 * units, inputs), blocks reordered."""
    blocks = np.split(matrix, 3, axis=-1)
    return np.concatenate([blocks[i] for i in GRU_ORDER], axis=-1).T


def _layer(kind: str, arrays: Mapping[str, np.ndarray], target: str) -> dict[str, np.ndarray]:
    if kind == "bn":
        return {f"{target}.{BATCH_NORM[name]}": value for name, value in arrays.items()}
    if kind == "conv":
        return {f"{target}.weight": _conv(arrays["kernel"]), f"{target}.bias": arrays["bias"]}
    if kind == "pointwise":
        return {f"{target}.weight": arrays["kernel"][0, 0].T, f"{target}.bias": arrays["bias"]}
    if kind == "dense":
        return {f"{target}.weight": arrays["kernel"].T, f"{target}.bias": arrays["bias"]}
    bias = _gru(arrays["bias"]).T
    return {
        f"{target}.weight_ih_l0": _gru(arrays["kernel"]),
        f"{target}.weight_hh_l0": _gru(arrays["recurrent_kernel"]),
        f"{target}.bias_ih_l0": bias[0],
        f"{target}.bias_hh_l0": bias[1],
    }


LAYERS = {
    "bn_in": ("bn", "norm"),
    **{f"conv{i}": ("conv", f"blocks.{i - 1}.conv") for i in range(1, 5)},
    **{f"bn{i}": ("bn", f"blocks.{i - 1}.norm") for i in range(1, 5)},
    "theta": ("conv", "fgnl.theta.conv"),
    "phi_cb4": ("conv", "fgnl.phi4.conv"),
    "phi_cb3": ("conv", "fgnl.phi3.conv"),
    "g_cb4": ("conv", "fgnl.g4.conv"),
    "g_cb3": ("conv", "fgnl.g3.conv"),
    "mose1": ("pointwise", "attention.squeeze"),
    "mose2": ("pointwise", "attention.excite"),
    "out_conv": ("pointwise", "fgnl.out"),
    "gru1": ("gru", "head.gru1"),
    "gru2": ("gru", "head.gru2"),
    "dense": ("dense", "head.dense"),
}


def from_keras(npz: Mapping[str, np.ndarray], prefix: str) -> dict[str, Tensor]:
    """Give the arrays under `prefix` (such as `w/`) by our names and in our layout, where present."""
    state: dict[str, np.ndarray] = {}
    for layer, (kind, target) in LAYERS.items():
        start = f"{prefix}{layer}/"
        arrays = {key[len(start) :]: npz[key] for key in npz if key.startswith(start)}
        if arrays:
            state |= _layer(kind, arrays, target)
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()}
