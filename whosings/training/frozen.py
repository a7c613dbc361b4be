"""
Training behind frozen parts: what they make of a window is computed once, and kept under the cache folder.

A file of the folder `encoded` holds the windows of one track; its name hashes these, the weights of the
frozen parts and the precision, so that runs of other seeds, folds and loss weights share it. A window of 5 s
takes 3 MB as frames of ECAPA-TDNN in bfloat16 (an hour of songs 2.2 GB, twice that in single precision), a
twelfth of that as frames of CAM++, and under 1 kB as a voiceprint. The folder may be deleted whenever nothing
is trained.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib import format as npy
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from whosings.collection.splits import Side
from whosings.errors import WhosingsError
from whosings.files import replacing
from whosings.models.voiceprint.network import FromVoiceprints
from whosings.progress import Bar, bar
from whosings.training.objective import part_of
from whosings.training.recipe import Recipe
from whosings.training.windows import ApartWindows, Example, Windows

FORMAT = 1  # of the files; a new number makes all of them anew
FOLDER = "encoded"
BATCH = 8  # windows encoded at once


@dataclass(frozen=True)
class Learner:
    """What a recipe trains, and on what: the network itself on windows, or its rest on encoded ones."""

    network: nn.Module
    recipe: Recipe
    """its frozen parts and learning rates are those of `network`"""
    datasets: Mapping[Side, Dataset[Example]]


def behind_frozen(
    network: nn.Module,
    recipe: Recipe,
    datasets: Mapping[Side, Windows],
    cache: Path,
    *,
    bf16: bool,
    quiet: bool = False,
) -> Learner:
    """
    Give the rest of a network behind its frozen parts, with windows as these leave them, computed where new.

    The rest shares its parameters with `network`. Where nothing lies before what learns, or training windows
    come with their stems (as a rule laid together anew in each epoch), all stays as it is. No random number
    is drawn. Raises WhosingsError where the network lacks a part that the recipe names, or the cache cannot
    be written.
    """
    for name in (*recipe.frozen, *recipe.learning_rates):
        part_of(network, name)
    exchange = recipe.counterfactual.branch != "none"
    split = None
    anew = any(isinstance(windows, ApartWindows) for windows in datasets.values())
    if not anew and hasattr(network, "split_after"):
        split = network.split_after(recipe.frozen, exchange=exchange)  # type: ignore[operator]
    if split is None:
        return Learner(network, recipe, datasets)
    front, rest = split
    here = {name for name, _ in rest.named_children()}
    frozen = tuple(name for name in recipe.frozen if name in here)
    rates = {name: rate for name, rate in recipe.learning_rates.items() if name in here}
    key = _key(network, rest, recipe, bf16)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device).eval()
    encoder = _Encoder(front, device, bf16, cache / FOLDER, key)
    with bar("Encoding windows", sum(map(len, datasets.values())), quiet=quiet) as progress:
        encoded = {side: encoder(windows, progress) for side, windows in datasets.items()}
    network.cpu().train()
    return Learner(rest, recipe.model_copy(update={"frozen": frozen, "learning_rates": rates}), encoded)


def imprint(learner: Learner) -> None:
    """
    Begin each singer's direction at the mean of the singer's voiceprints (weight imprinting, Qi et al. 2018).

    From there a head goes less far than from random directions, so that unknown voices stay far from all of
    them. Raises WhosingsError where more than the head of a speaker encoder learns.
    """
    if not isinstance(learner.network, FromVoiceprints):
        raise WhosingsError(
            "imprint needs a speaker encoder with all parts frozen but the head; set imprint=false."
        )
    directions = learner.network.head.weight
    sums = torch.zeros_like(directions)
    windows = learner.datasets["train"]
    for example in DataLoader(windows, batch_size=None):
        sums[example.singer] += F.normalize(example.x.float(), dim=0)
    with torch.no_grad():
        directions.copy_(F.normalize(sums, dim=1))


class EncodedWindows(Dataset[Example]):
    """Windows as frozen parts left them, read from files. `places` are file, row and class index of each."""

    def __init__(self, places: Sequence[tuple[Path, int, int]]):
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Example:
        """Give a state and its singer; an index beyond the windows counts on from the first."""
        path, row, singer = self.places[index % len(self)]
        try:
            state = torch.from_numpy(np.array(np.load(path, mmap_mode="r")[row]))
        except (OSError, ValueError, IndexError) as error:
            raise WhosingsError(
                f"{path}: this file of encoded windows cannot be read ({error}); delete it and train again."
            ) from error
        state = state.view(torch.bfloat16) if state.dtype == torch.uint16 else state
        return Example(state, torch.tensor(singer))


@dataclass(frozen=True)
class _Encoder:
    """Encodes the windows of a dataset, track by track, into files that are whole or absent."""

    encode: Callable[[Tensor], Tensor]
    device: torch.device
    bf16: bool
    folder: Path
    key: bytes

    def __call__(self, windows: Windows, progress: Bar) -> EncodedWindows:
        places, left = dict[int, tuple[Path, int, int]](), len(windows)
        singers = windows.singers
        for indices in windows.by_track():
            path = self._path(windows, indices)
            if not path.is_file():
                self._write(path, windows, indices, left)
            for row, index in enumerate(indices):
                places[index] = path, row, singers[index]
                progress.step()
            left -= len(indices)
        return EncodedWindows([places[index] for index in range(len(windows))])

    def _path(self, windows: Windows, indices: Sequence[int]) -> Path:
        digest = hashlib.sha256(self.key)
        for index in indices:
            digest.update(windows[index].x.numpy().data)
        name = digest.hexdigest()
        return self.folder / name[:2] / f"{name}.npy"

    def _write(self, path: Path, windows: Windows, indices: Sequence[int], left: int) -> None:
        """Encode the windows of a track; `left` more in all must find room on the disk."""
        try:
            with replacing(path) as temporary, temporary.open("wb") as file:
                for first in range(0, len(indices), BATCH):
                    batch = indices[first : first + BATCH]
                    states = self._states(torch.stack([windows[index].x for index in batch]))
                    if first == 0:
                        self._need(left * states[0].nbytes)
                        shape = (len(indices), *states.shape[1:])
                        header = {"descr": states.dtype.str, "fortran_order": False, "shape": shape}
                        npy.write_array_header_1_0(file, header)
                    file.write(states.data)
        except OSError as error:
            raise WhosingsError(
                f"{path}: encoded windows cannot be written ({error.strerror}); free some space, or name "
                "another folder in WHOSINGS_CACHE."
            ) from error

    def _states(self, windows: Tensor) -> np.ndarray:
        """Encode a batch; give what the precision of the run makes of it, bfloat16 as uint16."""
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            states = self.encode(windows.to(self.device)).cpu().contiguous()
        return (states.view(torch.uint16) if states.dtype == torch.bfloat16 else states).numpy()

    def _need(self, size: int) -> None:
        """Raise WhosingsError where `size` bytes are more than the disk has free."""
        free = shutil.disk_usage(self.folder).free
        if size > free:
            raise WhosingsError(
                f"{self.folder}: encoded windows need {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; "
                "name a folder on another disk in WHOSINGS_CACHE, or freeze all parts but the head."
            )


def _key(network: nn.Module, rest: nn.Module, recipe: Recipe, bf16: bool) -> bytes:
    """Hash all that decides the states of a window: the system, its frozen weights, the precision."""
    digest = hashlib.sha256(json.dumps([FORMAT, recipe.system, recipe.options, bf16]).encode())
    learned = rest.state_dict().keys()
    for name, tensor in network.state_dict().items():
        if name not in learned:
            digest.update(name.encode())
            digest.update(tensor.cpu().numpy().reshape(-1).data)
    return digest.digest()
