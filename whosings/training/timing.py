"""How long a training step takes on this machine: what estimates and benchmarks are made of."""

from __future__ import annotations

import time

import torch

from whosings.memory import keep_freed_memory
from whosings.models import create, find_system
from whosings.training.objective import Objective
from whosings.training.recipe import Recipe
from whosings.training.run import precision_of


class TimedStep:
    """
    A training step of a recipe on a batch of noise, all loss terms in play; each call takes one more.

    `keep_memory` is how trainings run; without it the allocator stays as it is.
    """

    def __init__(self, recipe: Recipe, num_singers: int, window_seconds: int, *, keep_memory: bool = True):
        if keep_memory:
            keep_freed_memory()
        network = create(recipe.system, num_singers, **recipe.options)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.objective = Objective(network, recipe).to(self.device).train()
        self.optimiser = torch.optim.Adam(self.objective.parameters(), lr=recipe.learning_rate)
        self.bf16 = precision_of(recipe) == "bf16-mixed"
        self.second_step = recipe.counterfactual.first_step
        hearing = find_system(recipe.system).hearing
        layers, front_end = (2,) if hearing.melody else (), hearing.front_end
        shape = (recipe.batch_size, *layers, front_end.n_mels, front_end.window_frames(window_seconds))
        self.x = torch.rand(shape, device=self.device)
        self.target = torch.randint(num_singers, (recipe.batch_size,), device=self.device)

    def __call__(self) -> float:
        """Take a step; give its wall time in seconds."""
        started = time.perf_counter()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            terms = self.objective(self.x, self.target, self.second_step, voice=self.x, band=self.x)
            total = terms["total"]
        self.optimiser.zero_grad()
        total.backward()
        self.optimiser.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started
