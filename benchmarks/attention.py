"""
Tell whether the attention is alive, and whether anything hangs on it.

    python benchmarks/attention.py RUN [RUN ...] [--out JSON]

For the test windows of each run: the mean of each number of the map, its deviation between windows, and the
share of windows whose answer changes where the map is replaced by nothing (all 0) or by its mean over all
windows. For LCA the same of the counterfactual branch, and the mean distance of the two (the attention term
of equation 1; 2 / numbers at most where both have sum 1). A dead map (the released softmax axis) is 0.25
everywhere with no deviation.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
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


def test_windows(run: Path) -> Iterator[Tensor]:
    """Give the test windows of a run in batches."""
    _, card = load_model(run)
    collection = open_collection(Path(read_record(run)["arguments"]["collection"]))
    to_windows = Track2Windows(FeatureStore(default_cache()), card)
    for name in Split.load(run / SPLIT).test:
        windows = to_windows(collection.track(name))
        for first in range(0, len(windows.starts), BATCH):
            yield windows.batch(first)


@torch.inference_mode()
def summary(run: Path) -> dict[str, Any]:
    """Give by branch the mean and deviation of each number, and the answers that hang on the map."""
    network, _ = load_model(run)
    attending: Any = network
    modules = {"main": attending.attention}
    if (run / BRANCH).is_file():
        modules["counterfactual"] = CounterfactualNetwork(attending, run).branch.module
    states = [attending.encode(batch) for batch in test_windows(run)]
    maps = {name: [module(state) for state in states] for name, module in modules.items()}
    told: dict[str, Any] = {}
    for name, given in maps.items():
        every = torch.cat(given)
        answers = _answers(attending, states, given)
        replaced = {"nothing": torch.zeros_like(every[:1]), "its_mean": every.mean(dim=0, keepdim=True)}
        told[name] = {
            "mean": every.mean(dim=0).flatten().tolist(),
            "deviation": every.std(dim=0).flatten().tolist(),
            "changed_by": {
                what: _changed(answers, _answers(attending, states, [one.expand_as(each) for each in given]))
                for what, one in replaced.items()
            },
        }
    if "counterfactual" in maps:
        pairs = zip(maps["main"], maps["counterfactual"], strict=True)
        told["distance"] = torch.cat([(a - b).abs().flatten() for a, b in pairs]).mean().item()
    return told


def _answers(network: Any, states: list[Any], maps: list[Tensor]) -> Tensor:
    pairs = zip(states, maps, strict=True)
    return torch.cat([network.decode(state, attention).argmax(dim=1) for state, attention in pairs])


def _changed(answers: Tensor, others: Tensor) -> float:
    return (answers != others).float().mean().item()


def main() -> None:
    """Print a row a branch of each run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    table = Table("run", "branch", "mean", "deviation", "changed by 0", "by its mean", "distance")
    told = {run.name: summary(run) for run in given.runs}
    for name, branches in told.items():
        distance = f"{branches['distance']:.4f}" if "distance" in branches else ""
        for branch in ("main", "counterfactual"):
            if branch in branches:
                of = branches[branch]
                rows = [" ".join(f"{value:.3f}" for value in of[key]) for key in ("mean", "deviation")]
                changed = [f"{share:.3f}" for share in of["changed_by"].values()]
                table.add_row(name, branch, *rows, *changed, distance)
    Console(width=160).print(table)
    if given.out:
        write_json(given.out, told)


if __name__ == "__main__":
    main()
