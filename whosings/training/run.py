"""Training a recipe on a split: one folder out, whole at every moment, resumed where it was cut off."""

from __future__ import annotations

import io
import logging
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, Dataset

from whosings.collection.features import FeatureStore
from whosings.collection.splits import Side
from whosings.errors import WhosingsError
from whosings.files import replacing, write_json
from whosings.memory import keep_freed_memory
from whosings.models import ModelCard, count_parameters, create, find_system, save_model
from whosings.models.precision import multiplies_bfloat16
from whosings.training.curves import learning_curves
from whosings.training.frozen import behind_frozen, imprint
from whosings.training.history import History
from whosings.training.module import BEST_BY, SingerModule
from whosings.training.monitor import Monitor
from whosings.training.recipe import Recipe
from whosings.training.record import (
    BRANCH,
    CHECKPOINTS,
    CURVES,
    HISTORY,
    RECORD,
    Training,
    begin_record,
    earlier_record,
)
from whosings.training.sides import readable_sides, windows_of
from whosings.training.windows import Example, Windows, balance, loader

# Checkpoints
BEST = "best"
LAST = "last"


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

    The best epoch on validation songs is kept; where the split has none of them (`refit`), the last.
    Raises WhosingsError where `out` holds another run, or nothing can be trained on.
    """
    record = earlier_record(training, out)
    if record and record["complete"]:
        return TrainingResult(out, record["failed"])
    _check_source(training, out)
    sides, failed = readable_sides(training, store, workers=workers, quiet=quiet)
    datasets = {side: windows_of(training, side, tracks, store) for side, tracks in sides.items()}
    keep_freed_memory()
    torch.manual_seed(training.seed)
    network = new_network(training.recipe, len(training.split.singers))
    module, learnt = _module(training, network, datasets, store.root, quiet)
    record = record or begin_record(training, out)  # now, so that a recipe that cannot start blocks no folder
    best, history = _fit(training, module, learnt, out, quiet)
    _save_best(training, network, module, out)
    _draw_curves(training, history, best, out)
    chosen = history.rows[best]
    record |= {
        "complete": True,
        "failed": failed,
        "windows": {side: len(dataset) for side, dataset in datasets.items()},
        "parameters": count_parameters(network),
        "best_epoch": best,
        "best_by": "the last" if training.is_refit else f"highest {BEST_BY}, the earliest of equals",
        "best": {name: value for name, value in chosen.items() if name.startswith("validation/")},
        "seconds": round(sum(row["seconds"] for row in history.rows), 1),
    }
    write_json(out / RECORD, record)
    return TrainingResult(out, failed)


def _check_source(training: Training, out: Path) -> None:
    """Raise WhosingsError where a recipe that hears stems has nothing to hear in the source."""
    source = training.source
    if training.recipe.hears_bands and source.name != "mix":
        raise WhosingsError(
            f"{out}: this recipe hears voices over bands, but the {source.name} alone are to be heard; train "
            "on the mix, or by a recipe without remix_db and the branch recast."
        )
    if (
        training.recipe.voices
        and source.name != "mix"
        and (source.name, source.separated) != ("vocals", True)
    ):
        raise WhosingsError(
            f"{out}: this recipe hears voices beside songs or separated vocals, but the {source.name} by "
            f"{source.separator} are to be heard; set voices=false, or another source or separator."
        )


def new_network(recipe: Recipe, num_singers: int) -> nn.Module:
    """
    Create the system of a recipe, with its pretrained weights where the recipe asks for them.

    Raises WhosingsError where there are none, or they are not on this machine.
    """
    network = create(recipe.system, num_singers, **recipe.options)
    if recipe.pretrained:
        load = find_system(recipe.system).load_pretrained
        if load is None:
            raise WhosingsError(
                f"The system {recipe.system!r} has no pretrained weights; set pretrained=false."
            )
        load(network)
    return network


def _module(
    training: Training, network: nn.Module, datasets: dict[Side, Windows], cache: Path, quiet: bool
) -> tuple[SingerModule, Mapping[Side, Dataset[Example]]]:
    """Give what Lightning trains and on what: the network, or its rest behind frozen parts."""
    recipe = training.recipe
    bf16 = precision_of(recipe) == "bf16-mixed"
    learner = behind_frozen(network, recipe, datasets, cache, bf16=bf16, quiet=quiet)
    if recipe.imprint:
        imprint(learner)
    singers = len(training.split.singers)
    weights = balance(datasets["train"], singers) if recipe.balanced else None
    return SingerModule(learner.network, learner.recipe, singers, training.seed, weights), learner.datasets


def _fit(
    training: Training,
    module: SingerModule,
    datasets: Mapping[Side, Dataset[Example]],
    out: Path,
    quiet: bool,
) -> tuple[int, History]:
    """Run Lightning to the last epoch; give the best epoch and the history."""
    recipe = training.recipe
    history = History(out / HISTORY)
    with _quiet_libraries():
        trainer = L.Trainer(
            max_epochs=recipe.epochs,
            precision=precision_of(recipe),
            gradient_clip_val=recipe.gradient_clip,
            callbacks=[history, *_checkpoints(training, out), *([] if quiet else [Monitor()])],
            plugins=[_WholeFiles()],
            logger=TensorBoardLogger(out, name="tensorboard", version=""),
            enable_model_summary=False,
            enable_progress_bar=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
        )
        last = _path(out, LAST)
        batches, validation = _loaders(datasets, training, trainer)
        # Weights and optimiser only, loaded without unpickling code: a checkpoint must not run any.
        with _ctrl_c():
            trainer.fit(
                module,
                batches,
                validation,
                ckpt_path=last if last.is_file() and _checkpoint(last) else None,
                weights_only=True,
            )
    return _best_epoch(history, training), history


def _best_epoch(history: History, training: Training) -> int:
    if training.is_refit:
        return len(history.rows) - 1
    scores = [row[BEST_BY] for row in history.rows]
    return scores.index(max(scores))


def _loaders(
    datasets: Mapping[Side, Dataset[Example]], training: Training, trainer: L.Trainer
) -> tuple[DataLoader[Example], DataLoader[Example] | None]:
    ranks = {"ranks": trainer.world_size, "rank": trainer.global_rank}
    size, seed = training.recipe.batch_size, training.seed
    batches = loader(datasets["train"], size, shuffle=True, seed=seed, **ranks)
    if training.is_refit:
        return batches, None
    return batches, loader(datasets["validation"], size, shuffle=False, seed=seed, **ranks)


def _path(out: Path, checkpoint: str) -> Path:
    return out / CHECKPOINTS / f"{checkpoint}.ckpt"


def _checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint without running code in it; raises WhosingsError where that cannot be."""
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise WhosingsError(
            f"{path}: this checkpoint cannot be read ({reason}); delete the run folder and train again."
        ) from None
    return checkpoint


class _WholeFiles(TorchCheckpointIO):
    """Writes checkpoints beside their place; Lightning's own go by way of TMPDIR, often another disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        content = io.BytesIO()  # torch would hide from which file an OSError came
        torch.save(checkpoint, content)
        with replacing(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())


class _Checkpoint(ModelCheckpoint):
    """Keeps its memory of the best score where the run folder was moved; Lightning's own forgets it then."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "dirpath": self.dirpath})


def _checkpoints(training: Training, out: Path) -> Sequence[Callback]:
    """Keep the best epoch, then the last: cut off between the two, the epoch is trained again."""
    folder = out / CHECKPOINTS
    # Lightning's `save_last` would save only the epochs that are the best so far.
    best = _Checkpoint(
        folder,
        BEST,
        monitor=BEST_BY,
        mode="max",
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    last = _Checkpoint(folder, LAST, enable_version_counter=False, save_on_train_epoch_end=True)
    return [last] if training.is_refit else [best, last]


def precision_of(recipe: Recipe) -> Any:
    """Choose bf16 where the hardware multiplies it, single precision elsewhere."""
    if recipe.precision != "auto":
        return {"bf16": "bf16-mixed", "32": "32-true"}[recipe.precision]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return "bf16-mixed" if multiplies_bfloat16(device) else "32-true"


def _save_best(training: Training, network: nn.Module, module: SingerModule, out: Path) -> None:
    """Load the weights to keep, which `network` shares, and write the saved model, its branch apart."""
    checkpoint = _checkpoint(_path(out, LAST if training.is_refit else BEST))
    module.load_state_dict(checkpoint["state_dict"])
    objective = module.objective.cpu().eval()
    card = ModelCard(
        system=training.recipe.system,
        options=training.recipe.options,
        singers=list(training.split.singers),
        window_seconds=training.window_seconds,
        source=training.source.name,
        mix_db=training.source.mix_db,
        separator=training.source.separator,
    )
    branch = objective.counterfactual.branch.state_dict() if objective.counterfactual else {}
    if branch:
        with replacing(out / BRANCH) as temporary:
            save_file(branch, temporary)
    save_model(out, network.cpu().eval(), card)


def _draw_curves(training: Training, history: History, best: int, out: Path) -> None:
    recipe, counterfactual = training.recipe, training.recipe.counterfactual
    second_step = counterfactual.first_step if counterfactual.branch != "none" else None
    terms = dict.fromkeys(name for row in history.rows for name in row if name.startswith("train/"))
    learning_curves(
        out / CURVES,
        history.rows,
        losses=list(terms),
        scores=[] if training.is_refit else [BEST_BY, "validation/accuracy"],
        best_epoch=None if training.is_refit else best,
        second_step_epoch=second_step if second_step and second_step < recipe.epochs else None,
        title=f"{recipe.system}, {out.name}",
    )


@contextmanager
def _ctrl_c() -> Iterator[None]:
    """Hand Ctrl-C on; Lightning would end the program with status 1, and ignore Ctrl-C from then on."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stopped:
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from stopped


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
