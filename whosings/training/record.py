"""What is to be trained, and the record that a run folder keeps of it."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from whosings.collection.catalogue import Collection, open_collection
from whosings.collection.splits import Side, Split
from whosings.collection.track import SeparatorName, Source, Track
from whosings.collection.windows import Hearing
from whosings.errors import WhosingsError
from whosings.files import read_json, write_json
from whosings.models import find_system
from whosings.training.recipe import Recipe

# Files of a run folder; the saved model's are in whosings.models
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
            "recipe": self.recipe.model_dump(mode="json"),
            "window_seconds": self.window_seconds,
            "source": self.source.name,
            "mix_db": self.source.mix_db,
            "separator": self.source.separator if self._takes_mixes_apart else None,
            "seed": self.seed,
        }

    def differing(self, recorded: Mapping[str, Any]) -> list[str]:
        """Name the arguments that were others when they were recorded, by `arguments`."""
        earlier = {**recorded, "recipe": as_of_today(recorded.get("recipe"))}
        return [name for name, value in self.arguments().items() if earlier.get(name) != value]

    @property
    def _takes_mixes_apart(self) -> bool:
        apart = self.recipe.hears_stems and self.source.separator != "stems"
        return self.source.separated or apart

    @property
    def hearing(self) -> Hearing:
        """What the system hears of a song."""
        return find_system(self.recipe.system).hearing

    @property
    def is_refit(self) -> bool:
        """Whether the validation songs are learnt too: the last epoch is kept, as none can be chosen."""
        return not self.split.validation

    def tracks(self, side: Side) -> list[Track]:
        """Give the tracks of a side; raises WhosingsError where the collection has lost one."""
        by_id = self.collection.by_id
        names: tuple[str, ...] = getattr(self.split, side)
        missing = [name for name in names if name not in by_id]
        if missing:
            raise WhosingsError(
                f"{self.collection.root}: the split names {len(missing)} of {len(names)} {side} tracks that "
                f"are not in this collection ({missing[0]}); give the one that the split was made from."
            )
        return [by_id[name] for name in names]


def training_of(run: Path, record: dict[str, Any], split: Split) -> Training:
    """
    Put together on `split` what the record of a run says was trained.

    Raises WhosingsError where its collection cannot be opened, or its recipe is no longer one.
    """
    try:
        arguments = record["arguments"]
        recipe = Recipe.model_validate(arguments["recipe"])
        separator: SeparatorName = arguments["separator"] or "stems"
        source = Source(arguments["source"], arguments["mix_db"], separator)
        seconds, seed = arguments["window_seconds"], arguments["seed"]
        collection = Path(arguments["collection"])
    except (KeyError, ValidationError):
        raise WhosingsError(
            f"{run}: this model was trained by a recipe that is no longer understood; train it again."
        ) from None
    return Training(open_collection(collection), split, recipe, seconds, source, seed)


def read_record(run: Path) -> dict[str, Any]:
    """Read the record of a run; raises WhosingsError where there is none, or a file that is no record."""
    if not (run / RECORD).is_file():
        raise WhosingsError(
            f"{run}: this is not a run folder (it has no {RECORD}); give what `whosings train` wrote."
        )
    record: dict[str, Any] = read_json(run / RECORD, "run record")
    if not isinstance(record, dict) or not isinstance(record.get("arguments"), dict):
        raise WhosingsError(
            f"{run / RECORD}: this is no run record; train the model again, in another folder."
        )
    return record


def earlier_record(training: Training, out: Path) -> dict[str, Any] | None:
    """
    Read the record of a run of the same arguments in `out`; None where there is no run yet.

    Raises WhosingsError where `out` holds another run.
    """
    if (out / RECORD).is_file():
        record = read_record(out)
        if differing := training.differing(record["arguments"]):
            raise WhosingsError(
                f"{out}: the run here has another {' and '.join(differing)}; choose another --out."
            )
        return record
    if (out / CHECKPOINTS).exists():
        raise WhosingsError(f"{out}: there are checkpoints here but no {RECORD}; choose another --out.")
    return None


def as_of_today(recipe: Any) -> Any:
    """Give a recorded recipe with the settings that there were none of when it was recorded, left alone."""
    try:
        return Recipe.model_validate(recipe).model_dump(mode="json")
    except ValidationError:
        return recipe


def begin_record(training: Training, out: Path) -> dict[str, Any]:
    """Write the split and a record of a run that has not ended; give the record."""
    record = {"arguments": training.arguments(), "complete": False, "machine": machine()}
    training.split.save(out / SPLIT)
    write_json(out / RECORD, record)
    return record


def machine() -> dict[str, Any]:
    """Say what a run was made with: versions, commit and device, for its record."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "whosings": version("whosings"),
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": version("lightning"),
        "device": gpu or f"{torch.get_num_threads()} CPU threads",
    }


def _commit() -> str | None:
    """Give the commit of a checkout, marked where it was changed; None for an installed package."""
    checkout = Path(__file__).parents[2]
    if not (checkout / ".git").exists() or not shutil.which("git"):
        return None
    words = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(words, cwd=checkout, capture_output=True, text=True).stdout.strip() or None
