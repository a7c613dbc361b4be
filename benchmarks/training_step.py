"""
Time a training step of each system: `python benchmarks/training_step.py [--return-memory]`.

Batches of 16 windows of 3 s of noise, bf16 where the hardware has it, all systems in turn, so that a busy
machine slows them alike; medians. `--return-memory` leaves the allocator as it is, for the cost of that.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from whosings.models import create
from whosings.training.memory import keep_freed_memory
from whosings.training.objective import Objective
from whosings.training.recipe import load_recipe
from whosings.training.run import precision_of

RECIPES = ("crnn", "crnn_fgnl", "crnn_fgnl_cal", "crnn_fgnl_lca")
SINGERS, WINDOWS, FRAMES = 20, 16, 94
SECOND_STEP = 20  # an epoch in which the counterfactual branch is trained


def seconds(objective: Objective, optimiser: torch.optim.Optimizer, bf16: bool) -> float:
    """Take one step; give its wall time in seconds."""
    log_mel = torch.randn(WINDOWS, 128, FRAMES) * 12 - 20
    target = torch.randint(SINGERS, (WINDOWS,))
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        total = objective(log_mel, target, SECOND_STEP)["total"]
    optimiser.zero_grad()
    total.backward()
    optimiser.step()
    return time.perf_counter() - started


def main() -> None:
    """Print a line a recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--return-memory", action="store_true")
    given = parser.parse_args()
    if not given.return_memory:
        keep_freed_memory()
    steps = {}
    for name in RECIPES:
        recipe = load_recipe(name)
        objective = Objective(create(recipe.system, SINGERS, **recipe.options), recipe).train()
        bf16 = precision_of(recipe) == "bf16-mixed"
        steps[name] = (objective, torch.optim.Adam(objective.parameters(), lr=recipe.learning_rate), bf16)
    taken: dict[str, list[float]] = {name: [] for name in RECIPES}
    for _ in range(1 + given.rounds):  # the first round warms up
        for name, step in steps.items():
            taken[name].append(seconds(*step))
    medians = {name: statistics.median(times[1:]) for name, times in taken.items()}
    for name, median in medians.items():
        print(f"{name:16} {median:.3f} s, {median / medians['crnn_fgnl']:.2f} times crnn_fgnl")


if __name__ == "__main__":
    main()
