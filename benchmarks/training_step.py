"""
Time a training step of each system: `python benchmarks/training_step.py [--return-memory]`.

Batches of 16 windows of noise, 3 s unless told, bf16 where the hardware has it, all systems in turn, so that
a busy machine slows them alike; medians. `--return-memory` leaves the allocator as it is, for the cost of
that.
"""

from __future__ import annotations

import argparse
import statistics

from whosings.training.recipe import load_recipe
from whosings.training.timing import TimedStep

RECIPES = (
    "crnn",
    "crnn_large",
    "crnnm",
    "crnn_fgnl",
    "crnn_fgnl_cal",
    "crnn_fgnl_lca",
    "crnnm_fgnl",
    "crnnm_fgnl_lca",
)
SINGERS = 20


def main() -> None:
    """Print a line a recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--window", type=int, default=3, help="seconds")
    parser.add_argument("--return-memory", action="store_true")
    given = parser.parse_args()
    steps = {
        name: TimedStep(load_recipe(name), SINGERS, given.window, keep_memory=not given.return_memory)
        for name in RECIPES
    }
    taken: dict[str, list[float]] = {name: [] for name in RECIPES}
    for _ in range(1 + given.rounds):  # the first round warms up
        for name, step in steps.items():
            taken[name].append(step())
    medians = {name: statistics.median(times[1:]) for name, times in taken.items()}
    for name, median in medians.items():
        print(f"{name:16} {median:.3f} s, {median / medians['crnn_fgnl']:.2f} times crnn_fgnl")


if __name__ == "__main__":
    main()
