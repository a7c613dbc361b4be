"""
Where in the spectrogram a network found its singer: Grad-CAM (Selvaraju 2017), HiResCAM (Draelos 2020).

Grad-CAM weighs each channel of a layer by the mean of its gradient, which blurs what a network that weighs
frequencies apart makes of them. HiResCAM leaves the mean out: each cell of a channel has its own gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from whosings.models.voiceprint.network import Voiceprint

STEP = 10  # frames of the layer whose evidence HiResCAM sums: 0.1 s of CAM++, where single frames are noise

Method = Literal["Grad-CAM", "HiResCAM"]


def method(network: nn.Module) -> Method:
    """
    Say how a system is explained: the paper's networks as in the paper, voiceprints by HiResCAM.

    In 20 windows of MIR-1K, wiping the tenth of the cells that Grad-CAM finds hottest takes 1.7 from CAM++'s
    logit, a tenth drawn at random 1.0, and the one that HiResCAM finds 6.3.
    """
    return "HiResCAM" if isinstance(network, Voiceprint) else "Grad-CAM"


def heat_maps(network: nn.Module, windows: Tensor, target: int | None = None) -> Tensor:
    """Give the heat of windows by the layer and the method of their system, as `grad_cam` does."""
    cam = hires_cam if method(network) == "HiResCAM" else grad_cam
    return cam(network, cast(nn.Module, network.cam_layer), windows, target)


def grad_cam(network: nn.Module, layer: nn.Module, windows: Tensor, target: int | None = None) -> Tensor:
    """
    Heat (B, bands, T) over the log-mel of `windows`, from 0 to 1: what spoke for the singer `target`.

    `windows` are log-mel (B, bands, T), or log-mel and melody (B, 2, bands, T). `network` gives logits
    (B, S); `layer` is one of its layers over the log-mel, with activations (B, C, F', T'), usually the last
    convolution. Without a `target` each window explains the singer it was given. Every window is
    divided by its own maximum; one where nothing spoke for the singer stays 0. The network runs in
    evaluation mode and is left as it was: mode, gradients, hooks. The heat is float32, on the device of
    `windows`, and may be asked for under `torch.no_grad` and `torch.inference_mode` as well.

    Raises ValueError where a shape, the layer or the target does not fit.
    """

    def evidence(activation: Tensor, gradient: Tensor) -> Tensor:
        return gradient.mean(dim=(2, 3), keepdim=True) * activation

    return _heat(network, layer, windows, target, evidence)


def hires_cam(network: nn.Module, layer: nn.Module, windows: Tensor, target: int | None = None) -> Tensor:
    """Heat as that of `grad_cam`, each cell of the layer by its own gradient, `STEP` frames at a time."""

    def evidence(activation: Tensor, gradient: Tensor) -> Tensor:
        return functional.avg_pool2d(gradient * activation, (1, STEP), ceil_mode=True)

    return _heat(network, layer, windows, target, evidence)


def _heat(
    network: nn.Module,
    layer: nn.Module,
    windows: Tensor,
    target: int | None,
    evidence: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Give the heat of what `evidence` makes of activations and gradients (B, C, F', T')."""
    if windows.ndim != 3 and (windows.ndim != 4 or windows.shape[1] != 2):
        raise ValueError(f"Heat needs windows (B, bands, T) or (B, 2, bands, T), not {tuple(windows.shape)}.")
    if all(module is not layer for module in network.modules()):
        raise ValueError("The layer to explain is not part of the network.")
    with torch.inference_mode(False), torch.enable_grad():
        activation, gradient = _activation_and_gradient(network, layer, windows, target)
        heat = evidence(activation.detach().float(), gradient.float()).sum(dim=1, keepdim=True).relu()
        heat = functional.interpolate(heat, size=windows.shape[-2:], mode="bilinear", align_corners=False)
        peak = heat.amax(dim=(2, 3), keepdim=True)
        return (heat / torch.where(peak > 0, peak, 1.0))[:, 0]


def _activation_and_gradient(
    network: nn.Module, layer: nn.Module, windows: Tensor, target: int | None
) -> tuple[Tensor, Tensor]:
    """Run `network` forward and back: what `layer` gave, and the gradient of the target logits by it."""
    seen: list[Tensor] = []
    # a fresh leaf that needs a gradient: the graph exists even where all weights are frozen
    leaf = windows.detach().clone().requires_grad_()
    # cuDNN refuses to go back through a recurrent layer in evaluation mode
    with _evaluating(network), torch.backends.cudnn.flags(enabled=False):
        handle = layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
        try:
            logits = network(leaf)
        finally:
            handle.remove()
        if len(seen) != 1 or not isinstance(seen[0], Tensor) or seen[0].ndim != 4:
            raise ValueError("The layer to explain must run once and give one tensor (B, C, F', T').")
        (gradient,) = torch.autograd.grad(_chosen(logits, target).sum(), seen[0], allow_unused=True)
    if gradient is None:
        raise ValueError("The logits do not depend on the layer to explain.")
    return seen[0], gradient


def _chosen(logits: Tensor, target: int | None) -> Tensor:
    """Pick the logit of `target`, or the highest, of every window: (B,)."""
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise ValueError("Grad-CAM needs a network that gives logits (B, singers).")
    if target is None:
        return logits.max(dim=1).values
    if not 0 <= target < logits.shape[1]:
        raise ValueError(f"There is no singer {target} among {logits.shape[1]}.")
    return logits[:, target]


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode for a while."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
