"""
Tell whether the attention is alive: how far the map of trained runs differs between windows.

    python benchmarks/attention.py RUN [RUN ...] [--out JSON]

For the test windows of each run: the mean weight of each number of the map, its deviation between windows,
and for LCA the same of the counterfactual branch with the mean distance of the two (the attention term of
equation 1; 2 / numbers at most where both have sum 1). A dead map (the released softmax axis) is 0.25
everywhere with no deviation.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from whosings.collection.catalogue import open_collection
from whosings.collection.features import FeatureStore, default_cache
from whosings.collection.splits import Split
from whosings.evidence.branch import CounterfactualNetwork
from whosings.files import write_json
from whosings.identify.ladder import BATCH, Track2Windows
from whosings.models import load_model
from whosings.training.record import BRANCH, SPLIT, read_record


def attention_maps(run: Path) -> dict[str, Tensor]:
    """Give the maps of every test window, of the main and, where there is one, the other branch."""
    network, card = load_model(run)
    attending: Any = network
    modules = {"main": attending.attention}
    if (run / BRANCH).is_file():
        modules["counterfactual"] = CounterfactualNetwork(attending, run).branch.module
    collection = open_collection(Path(read_record(run)["arguments"]["collection"]))
    to_windows = Track2Windows(FeatureStore(default_cache()), card)
    maps: dict[str, list[Tensor]] = {name: [] for name in modules}
    with torch.inference_mode():
        for name in Split.load(run / SPLIT).test:
            windows = to_windows(collection.track(name))
            for first in range(0, len(windows.starts), BATCH):
                state = attending.encode(windows.batch(first))
                for branch, module in modules.items():
                    maps[branch].append(module(state).flatten(1))
    return {branch: torch.cat(rows) for branch, rows in maps.items()}


def summary(run: Path) -> dict[str, Any]:
    """Give mean and deviation of each number of the maps (n,), and how far the branches lie apart."""
    maps = attention_maps(run)
    told: dict[str, Any] = {
        branch: {"mean": rows.mean(dim=0).tolist(), "deviation": rows.std(dim=0).tolist()}
        for branch, rows in maps.items()
    }
    if "counterfactual" in maps:
        told["distance"] = (maps["main"] - maps["counterfactual"]).abs().mean().item()
    return told


def main() -> None:
    """Print a row a branch of each run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    table = Table("run", "branch", "mean of each number", "deviation between windows", "distance")
    told = {run.name: summary(run) for run in given.runs}
    for name, branches in told.items():
        distance = f"{branches['distance']:.4f}" if "distance" in branches else ""
        for branch in ("main", "counterfactual"):
            if branch in branches:
                rows = (branches[branch]["mean"], branches[branch]["deviation"])
                table.add_row(
                    name, branch, *(" ".join(f"{value:.3f}" for value in row) for row in rows), distance
                )
    Console().print(table)
    if given.out:
        write_json(given.out, told)


if __name__ == "__main__":
    main()
