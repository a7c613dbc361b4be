"""What a training shows while it runs: a bar over all its steps, and a line of loss terms for each epoch."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import lightning as L

from whosings.progress import bar
from whosings.training.module import BEST_BY


class Monitor(L.Callback):
    """Shows progress on standard error."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar, at the step a resumed run has reached."""
        steps = int(trainer.num_training_batches) * int(trainer.max_epochs or 0)
        self._bar = self._stack.enter_context(bar("Training", steps, quiet=not trainer.is_global_zero))
        self._bar.reach(trainer.global_step, steps)

    def on_train_batch_end(self, *_: Any) -> None:
        """Move on by a step."""
        self._bar.step()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the terms of the epoch and its validation score, where there is one."""
        figures = trainer.callback_metrics
        losses = {name[6:]: float(value) for name, value in figures.items() if name.startswith("train/")}
        terms = [f"{name} {losses[name]:.3f}" for name in sorted(losses, key="total".__ne__)]
        score = f"validation F1 {float(figures[BEST_BY]):.3f}; " if BEST_BY in figures else ""
        self._bar.write(f"epoch {trainer.current_epoch}: {score}{', '.join(terms)}")

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar."""
        self._stack.close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, _: BaseException) -> None:
        """Close the bar where training is cut off."""
        self._stack.close()
