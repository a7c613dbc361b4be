"""Precision: bfloat16 where the machine multiplies it and enough is gained."""

from __future__ import annotations

import torch
from torch import nn

from whosings.models.voiceprint.campplus import CAMPlusPlus
from whosings.models.voiceprint.ecapa import ECAPA


def multiplies_bfloat16(device: torch.device | str) -> bool:
    """Tell whether a device multiplies bfloat16 in hardware: newer GPUs, CPUs with AVX512-BF16 or AMX."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def answering(network: nn.Module, device: torch.device | str) -> torch.autocast:
    """
    Give the context in which a trained network answers on a device.

    A speaker encoder answers in bfloat16 where the device multiplies it, any other network in single
    precision.
    """
    # The encoder needs less than half the time. The paper's networks would save 0.02 s of 0.06 s a window,
    # too little for tables that change in the third digit with the machine.
    large = any(isinstance(module, ECAPA | CAMPlusPlus) for module in network.modules())
    device_type = torch.device(device).type
    return torch.autocast(device_type, torch.bfloat16, enabled=large and multiplies_bfloat16(device))
