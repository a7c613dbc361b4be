"""The learning curves of a run, one row an epoch, kept through interruptions."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import lightning as L

from whosings.files import write_text

Row = dict[str, float]


class History(L.Callback):
    """Gathers every logged figure of each epoch and writes `history.csv`; its rows travel in checkpoints."""

    def __init__(self, path: Path):
        self.path = path
        self.rows: list[Row] = []
        self._started = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Give what a checkpoint keeps."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the rows of a checkpoint."""
        self.rows = state["rows"]

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock of the epoch."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the row of the epoch and write the file anew."""
        figures = {name: float(value) for name, value in trainer.callback_metrics.items() if "/" in name}
        seconds = time.monotonic() - self._started
        self.rows.append({"epoch": trainer.current_epoch, "seconds": round(seconds, 2), **figures})
        if trainer.is_global_zero:
            self.write()

    def write(self) -> None:
        """Write all rows; a term that begins later than others leaves its cells empty before."""
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())
