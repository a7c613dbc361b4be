"""Untrained runs that have opinions."""

from __future__ import annotations

from pathlib import Path

import torch

from whosings.models import ModelCard, create, save_model

SINGERS = ["Ada", "Bo", "Cy", "Dee"]
CARD = ModelCard(system="crnn", singers=SINGERS, window_seconds=3)


def untrained(folder: Path, sureness: float) -> Path:
    """Write an untrained CRNN of `CARD`, the weights of its last layer `sureness` times larger."""
    torch.manual_seed(4)
    network = create(CARD.system, len(SINGERS))
    with torch.no_grad():
        network.get_parameter("head.dense.weight").mul_(sureness)
    save_model(folder, network, CARD)
    return folder
