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
from whosings.collection.track import Track
from whosings.errors import WhosingsError
from whosings.files import replacing, write_json
from whosings.models import ModelCard, count_parameters, create, find_system, save_model
from whosings.models.precision import multiplies_bfloat16
from whosings.progress import bar
from whosings.training.curves import learning_curves
from whosings.training.frozen import behind_frozen
from whosings.training.history import History
from whosings.training.memory import keep_freed_memory
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
from whosings.training.windows import (
    ApartWindows,
    Example,
    RemixedPieces,
    RemixedWindows,
    WindowDataset,
    loader,
)


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
    record = earlier_record(training, out)
    if record and record["complete"]:
        return TrainingResult(out, record["failed"])
    if training.recipe.hears_stems and training.source.name != "mix":
        raise WhosingsError(
            f"{out}: this recipe hears voices over bands, but the {training.source.name} alone are to be "
            "heard; train on the mix, or set remix_db=null and a branch that does not hear the band."
        )
    sides, failed = readable_sides(training, store, workers=workers, quiet=quiet)
    datasets = {side: _dataset(training, side, tracks, store) for side, tracks in sides.items()}
    record = record or begin_record(training, out)
    torch.manual_seed(training.seed)
    network = new_network(training.recipe, len(training.split.singers))
    module, best, history = _fit(training, network, datasets, out, store.root, quiet)
    _save_best(training, network, module, out)
    _draw_curves(training.recipe, history, best, out)
    chosen = history.rows[best]
    record |= {
        "complete": True,
        "failed": failed,
        "windows": {side: len(dataset) for side, dataset in datasets.items()},
        "parameters": count_parameters(network),
        "best_epoch": best,
        "best_by": f"highest {BEST_BY}, the earliest of equals",
        "best": {name: value for name, value in chosen.items() if name.startswith("validation/")},
        "seconds": round(sum(row["seconds"] for row in history.rows), 1),
    }
    write_json(out / RECORD, record)
    return TrainingResult(out, failed)


def readable_sides(
    training: Training, store: FeatureStore, *, workers: int = 2, quiet: bool = False
) -> tuple[dict[Side, list[Track]], dict[str, str]]:
    """
    Give the training and validation tracks that can be read, and the reason for each other one.

    Features are made on the way, which takes long where mixes have to be separated first. Raises
    WhosingsError where a side has no track left.
    """
    wanted: dict[Side, list[Track]] = {side: training.tracks(side) for side in ("train", "validation")}
    tracks = list({track.id: track for side in wanted.values() for track in side}.values())
    with bar("Reading songs", len(tracks), quiet=quiet) as progress:
        failed = store.prepare(tracks, training.source, workers, progress.step, training.hearing)
    sides = {side: [track for track in tracks if track.id not in failed] for side, tracks in wanted.items()}
    for side, kept in sides.items():
        if not kept:
            reason = next(iter(failed.values()), "the split names none")
            raise WhosingsError(f"{training.collection.root}: no {side} track can be used ({reason})")
    return sides, {name: str(error) for name, error in failed.items()}


def _dataset(training: Training, side: Side, tracks: list[Track], store: FeatureStore) -> WindowDataset:
    """Give the windows of a side; only training windows of the mix are ever remixed or taken apart."""
    source, seconds = training.source, training.window_seconds
    common = (tracks, side, training.split, store, source, seconds, training.hearing)
    levels = training.recipe.remix_db
    piece = training.recipe.piece_seconds
    if side != "train" or not training.recipe.hears_stems:
        windows = WindowDataset(*common)
    elif levels is None:
        windows = ApartWindows(*common)
    elif piece is None:
        windows = RemixedWindows(*common, levels_db=levels, seed=training.seed)
    else:
        windows = RemixedPieces(*common, levels_db=levels, seed=training.seed, piece_seconds=piece)
    if not len(windows):
        raise WhosingsError(f"{training.collection.root}: the {side} side has no window; make another split.")
    return windows


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


def _fit(
    training: Training,
    network: nn.Module,
    datasets: dict[Side, WindowDataset],
    out: Path,
    cache: Path,
    quiet: bool,
) -> tuple[SingerModule, int, History]:
    """Run Lightning to the last epoch; give the module, the best epoch and the history."""
    keep_freed_memory()
    recipe = training.recipe
    bf16 = precision_of(recipe) == "bf16-mixed"
    learner = behind_frozen(network, recipe, datasets, cache, bf16=bf16, quiet=quiet)
    singers = len(training.split.singers)
    weights = datasets["train"].balance(singers) if recipe.balanced else None
    module = SingerModule(learner.network, learner.recipe, singers, training.seed, weights)
    history = History(out / HISTORY)
    with _quiet_libraries():
        trainer = L.Trainer(
            max_epochs=recipe.epochs,
            precision=precision_of(recipe),
            gradient_clip_val=recipe.gradient_clip,
            callbacks=[history, *_checkpoints(out / CHECKPOINTS), *([] if quiet else [Monitor()])],
            plugins=[_WholeFiles()],
            logger=TensorBoardLogger(out, name="tensorboard", version=""),
            enable_model_summary=False,
            enable_progress_bar=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
        )
        last = out / CHECKPOINTS / "last.ckpt"
        batches, validation = _loaders(learner.datasets, training, trainer)
        # Weights and optimiser only, loaded without unpickling code: a checkpoint must not run any.
        with _ctrl_c():
            trainer.fit(
                module,
                batches,
                validation,
                ckpt_path=last if last.is_file() and _checkpoint(last) else None,
                weights_only=True,
            )
    scores = [row[BEST_BY] for row in history.rows]
    return module, scores.index(max(scores)), history


def _loaders(
    datasets: Mapping[Side, Dataset[Example]], training: Training, trainer: L.Trainer
) -> tuple[DataLoader[Example], DataLoader[Example]]:
    ranks = {"ranks": trainer.world_size, "rank": trainer.global_rank}
    size, seed = training.recipe.batch_size, training.seed
    return (
        loader(datasets["train"], size, shuffle=True, seed=seed, **ranks),
        loader(datasets["validation"], size, shuffle=False, seed=seed, **ranks),
    )


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


def precision_of(recipe: Recipe) -> Any:
    """Choose bf16 where the hardware multiplies it, single precision elsewhere."""
    if recipe.precision != "auto":
        return {"bf16": "bf16-mixed", "32": "32-true"}[recipe.precision]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return "bf16-mixed" if multiplies_bfloat16(device) else "32-true"


def _save_best(training: Training, network: nn.Module, module: SingerModule, out: Path) -> None:
    """Load the best epoch's weights, which `network` shares, and write the saved model, its branch apart."""
    checkpoint = _checkpoint(out / CHECKPOINTS / "best.ckpt")
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
