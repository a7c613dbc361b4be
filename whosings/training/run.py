"""Training a recipe on a split: one folder out, whole at every moment, resumed where it was cut off."""

from __future__ import annotations

import logging
import platform
import subprocess
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from whosings.collection.catalogue import Collection
from whosings.collection.features import FeatureStore
from whosings.collection.splits import Side, Split
from whosings.collection.track import Source, Track
from whosings.errors import WhosingsError
from whosings.files import read_json, replacing, write_json
from whosings.models import ModelCard, count_parameters, create, save_model
from whosings.progress import bar
from whosings.training.curves import learning_curves
from whosings.training.history import History
from whosings.training.memory import keep_freed_memory
from whosings.training.module import BEST_BY, SingerModule
from whosings.training.recipe import Recipe
from whosings.training.windows import Example, RemixedWindows, WindowDataset, loader

RECORD = "run.json"
SPLIT = "split.json"
HISTORY = "history.csv"
CURVES = "curves.png"
BRANCH = "branch.safetensors"
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Training:
    """All that decides a run; two runs of equal `Training` end in equal weights on one machine."""

    collection: Collection
    split: Split
    recipe: Recipe
    window_seconds: int
    source: Source
    seed: int

    def arguments(self) -> dict[str, Any]:
        """Give what the record keeps of it, and what a resumed run must share."""
        return {
            "collection": str(self.collection.root.resolve()),
            "split_sha256": self.split.sha256,
            "recipe": self.recipe.model_dump(),
            "window_seconds": self.window_seconds,
            "source": self.source.name,
            "mix_db": self.source.mix_db,
            "seed": self.seed,
        }

    def tracks(self, side: Side) -> list[Track]:
        """Give the tracks of a side; raises WhosingsError where the collection has lost one."""
        by_id = self.collection.by_id
        names: tuple[str, ...] = getattr(self.split, side)
        missing = [name for name in names if name not in by_id]
        if missing:
            raise WhosingsError(
                f"{self.collection.root}: the split names {missing[0]} and {len(missing) - 1} more that are "
                "not in this collection; give the collection that the split was made from."
            )
        return [by_id[name] for name in names]


@dataclass(frozen=True)
class TrainingResult:
    """Where the run lies, and the tracks that could not be read, with the reason."""

    folder: Path
    failed: dict[str, str]


def train(
    training: Training, out: Path, store: FeatureStore, *, workers: int = 2, quiet: bool = False
) -> TrainingResult:
    """
    Train, keeping a checkpoint an epoch; called again on the same folder it goes on, or finds all done.

    Raises WhosingsError where `out` holds another run, or nothing can be trained on.
    """
    record = _open_record(training, out)
    if record.get("complete"):
        return TrainingResult(out, record["failed"])
    sides, failed = _readable_sides(training, store, workers, quiet)
    datasets = {side: _dataset(training, side, tracks, store) for side, tracks in sides.items()}
    started = time.monotonic()
    module, best, history = _fit(training, datasets, out, quiet)
    _save_best(training, module, best, out)
    _draw_curves(training.recipe, history, best, out)
    chosen = history.rows[best]
    record |= {
        "complete": True,
        "failed": failed,
        "windows": {side: len(dataset) for side, dataset in datasets.items()},
        "parameters": count_parameters(module.objective.network),
        "best_epoch": best,
        "best_by": f"highest {BEST_BY}, the earliest of equals",
        "best": {name: value for name, value in chosen.items() if name.startswith("validation/")},
        "seconds": round(record.get("seconds", 0.0) + time.monotonic() - started, 1),
    }
    write_json(out / RECORD, record)
    return TrainingResult(out, failed)


def read_record(run: Path) -> dict[str, Any]:
    """Read the record of a run; raises WhosingsError where there is none."""
    if not (run / RECORD).is_file():
        raise WhosingsError(
            f"{run}: this is not a run folder (it has no {RECORD}); give what `whosings train` wrote."
        )
    record: dict[str, Any] = read_json(run / RECORD, "run record")
    return record


def _open_record(training: Training, out: Path) -> dict[str, Any]:
    """Read the record of an interrupted run of the same arguments, or begin one."""
    arguments = training.arguments()
    if (out / RECORD).is_file():
        record = read_record(out)
        differing = [name for name, value in arguments.items() if record["arguments"].get(name) != value]
        if differing:
            raise WhosingsError(
                f"{out}: the run here has another {' and '.join(differing)}; choose another --out."
            )
        return record
    if (out / CHECKPOINTS).exists():
        raise WhosingsError(f"{out}: there are checkpoints here but no {RECORD}; choose another --out.")
    record = {"arguments": arguments, "complete": False, "machine": _machine()}
    training.split.save(out / SPLIT)
    write_json(out / RECORD, record)
    return record


def _machine() -> dict[str, Any]:
    """Say what a run was made with."""
    folder = Path(__file__).parent
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=folder, capture_output=True, text=True
    )
    return {
        "whosings": version("whosings"),
        "commit": described.stdout.strip() or None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": version("lightning"),
        "device": gpu or f"{torch.get_num_threads()} CPU threads",
    }


def _readable_sides(
    training: Training, store: FeatureStore, workers: int, quiet: bool
) -> tuple[dict[Side, list[Track]], dict[str, str]]:
    """Give the training and validation tracks that can be read, and the reason for each other one."""
    wanted: dict[Side, list[Track]] = {side: training.tracks(side) for side in ("train", "validation")}
    tracks = list({track.id: track for side in wanted.values() for track in side}.values())
    with bar("Reading songs", len(tracks), quiet=quiet) as progress:
        failed = store.prepare(tracks, training.source, workers, progress.step)
    sides = {side: [track for track in tracks if track.id not in failed] for side, tracks in wanted.items()}
    for side, kept in sides.items():
        if not kept:
            reason = next(iter(failed.values()), "the split names none")
            raise WhosingsError(f"{training.collection.root}: no {side} track can be used ({reason})")
    return sides, {name: str(error) for name, error in failed.items()}


def _dataset(training: Training, side: Side, tracks: list[Track], store: FeatureStore) -> WindowDataset:
    """Give the windows of a side; only training windows are ever remixed."""
    common = (tracks, side, training.split, store, training.source, training.window_seconds)
    levels = training.recipe.remix_db
    if levels is None or side != "train":
        return WindowDataset(*common)
    return RemixedWindows(*common, levels_db=levels, seed=training.seed)


def _fit(
    training: Training, datasets: dict[Side, WindowDataset], out: Path, quiet: bool
) -> tuple[SingerModule, int, History]:
    """Run Lightning to the last epoch; give the module, the best epoch and the history."""
    keep_freed_memory()
    recipe = training.recipe
    torch.manual_seed(training.seed)
    singers = len(training.split.singers)
    module = SingerModule(create(recipe.system, singers, **recipe.options), recipe, singers, training.seed)
    history = History(out / HISTORY)
    with _quiet_libraries():
        trainer = L.Trainer(
            max_epochs=recipe.epochs,
            precision=_precision(recipe),
            callbacks=[history, *_checkpoints(out / CHECKPOINTS), *_progress(quiet)],
            logger=TensorBoardLogger(out, name="tensorboard", version=""),
            enable_model_summary=False,
            enable_progress_bar=not quiet,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
        )
        last = out / CHECKPOINTS / "last.ckpt"
        batches, validation = _loaders(datasets, training, trainer)
        # Weights and optimiser only, loaded without unpickling code: a checkpoint must not run any.
        trainer.fit(
            module,
            batches,
            validation,
            ckpt_path=last if last.is_file() else None,
            weights_only=True,
        )
    if trainer.interrupted:
        raise KeyboardInterrupt
    scores = [row[BEST_BY] for row in history.rows]
    return module, scores.index(max(scores)), history


def _loaders(
    datasets: dict[Side, WindowDataset], training: Training, trainer: L.Trainer
) -> tuple[DataLoader[Example], DataLoader[Example]]:
    ranks = {"ranks": trainer.world_size, "rank": trainer.global_rank}
    size, seed = training.recipe.batch_size, training.seed
    return (
        loader(datasets["train"], size, shuffle=True, seed=seed, **ranks),
        loader(datasets["validation"], size, shuffle=False, seed=seed, **ranks),
    )


class _Checkpoint(ModelCheckpoint):
    """Keeps its memory of the best score where the run folder was moved; Lightning's own forgets it then."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "dirpath": self.dirpath})


def _checkpoints(folder: Path) -> Sequence[Callback]:
    """Keep the best epoch, then the last: cut off between the two, the epoch is trained again."""
    # Lightning's `save_last` would save only the epochs that are the best so far.
    best = _Checkpoint(
        folder,
        "best",
        monitor=BEST_BY,
        mode="max",
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    last = _Checkpoint(folder, "last", enable_version_counter=False, save_on_train_epoch_end=True)
    return [best, last]


def _progress(quiet: bool) -> Sequence[Callback]:
    return [] if quiet else [RichProgressBar(leave=False)]


def _precision(recipe: Recipe) -> Any:
    """Choose bf16 where the hardware multiplies it, single precision elsewhere."""
    if recipe.precision != "auto":
        return {"bf16": "bf16-mixed", "32": "32-true"}[recipe.precision]
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    able = torch.cpu.get_capabilities()
    return "bf16-mixed" if able.get("avx512_bf16") or able.get("amx_bf16") else "32-true"


def _save_best(training: Training, module: SingerModule, best: int, out: Path) -> None:
    """Load the best epoch's weights and write the saved model, its branch apart."""
    checkpoint = torch.load(out / CHECKPOINTS / "best.ckpt", map_location="cpu", weights_only=True)
    module.load_state_dict(checkpoint["state_dict"])
    objective = module.objective.cpu().eval()
    card = ModelCard(
        system=training.recipe.system,
        options=training.recipe.options,
        singers=list(training.split.singers),
        window_seconds=training.window_seconds,
        source=training.source.name,
        mix_db=training.source.mix_db,
    )
    branch = objective.counterfactual.branch.state_dict() if objective.counterfactual else {}
    if branch:
        with replacing(out / BRANCH) as temporary:
            save_file(branch, temporary)
    save_model(out, objective.network, card)


def _draw_curves(recipe: Recipe, history: History, best: int, out: Path) -> None:
    counterfactual = recipe.counterfactual
    second_step = counterfactual.first_step if counterfactual.branch != "none" else None
    terms = dict.fromkeys(name for row in history.rows for name in row if name.startswith("train/"))
    learning_curves(
        out / CURVES,
        history.rows,
        losses=list(terms),
        scores=[BEST_BY, "validation/accuracy"],
        best_epoch=best,
        second_step_epoch=second_step if second_step and second_step < recipe.epochs else None,
        title=f"{recipe.system}, {out.name}",
    )


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep Lightning's advice to developers away from the people who train."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
