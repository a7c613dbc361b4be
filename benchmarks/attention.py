"""
Tell whether the attention is alive: how far the map of trained runs differs between windows.

    python benchmarks/attention.py RUN [RUN ...]

For the test windows of each run: the mean weight of each channel roll and its deviation between windows. A
dead map (the released softmax axis) is 0.25 everywhere with no deviation.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from whosings.collection.catalogue import open_collection
from whosings.collection.features import FeatureStore, default_cache
from whosings.collection.splits import Split
from whosings.identify.ladder import BATCH, Track2Windows
from whosings.models import load_model
from whosings.training.record import SPLIT, read_record


def attention_maps(run: Path) -> torch.Tensor:
    """Give the attention map of every test window: (windows, rolls)."""
    network, card = load_model(run)
    attending: Any = network
    collection = open_collection(Path(read_record(run)["arguments"]["collection"]))
    to_windows = Track2Windows(FeatureStore(default_cache()), card)
    maps = []
    with torch.inference_mode():
        for name in Split.load(run / SPLIT).test:
            windows = to_windows(collection.track(name))
            for first in range(0, len(windows.starts), BATCH):
                maps.append(attending.attention(attending.encode(windows.batch(first))))
    return torch.cat(maps)


def main() -> None:
    """Print a row a run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    table = Table("run", "mean weight of each roll", "deviation between windows")
    for run in parser.parse_args().runs:
        maps = attention_maps(run)
        mean, deviation = maps.mean(dim=0).tolist(), maps.std(dim=0).tolist()
        table.add_row(run.name, *(" ".join(f"{value:.4f}" for value in row) for row in (mean, deviation)))
    Console().print(table)


if __name__ == "__main__":
    main()
