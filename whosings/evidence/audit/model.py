"""
What can be audited: any model that gives log-probabilities of singers for sound, made here or outside.

An outside model needs three things, the `AuditedModel`; nothing of it has to be known besides.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from whosings.audio.units import SAMPLE_RATE
from whosings.errors import WhosingsError

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from whosings.collection.features import FeatureStore
    from whosings.collection.track import Track
    from whosings.identify.ladder import Windows

SUM_TOLERANCE = 1e-3  # by which the probabilities of a window may miss 1


@runtime_checkable
class AuditedModel(Protocol):
    """Names singers in sound, window by window."""

    @property
    def singers(self) -> Sequence[str]:
        """The singers it can name, as artists are called in the collection, in the order of its answers."""
        ...

    @property
    def window_seconds(self) -> float:
        """How long one of its windows is."""
        ...

    def log_probabilities(self, sound: np.ndarray) -> np.ndarray:
        """
        Give the natural log-probability of each singer in each window of a song: (windows, singers).

        `sound` is mono float32 (samples,) at 16 kHz, of any length and level. Sounds of one length have the
        same windows, since the answers to a song and to what was changed in it are compared window by window.
        """
        ...


class SavedModel:
    """A model that `whosings train` or `join` saved, asked by the ladder as `identify` asks it."""

    def __init__(self, folder: Path, device: str | None = None):
        """
        Load the model in `folder`.

        Raises WhosingsError where there is none, or it hears stems that only the collection has: what it
        never hears cannot be swapped.
        """
        from whosings.identify.identifier import best_device
        from whosings.models.ensemble import load_members

        self.members, self.card = load_members(folder)
        self.device = device or best_device()
        for card in (member.card for member in self.members):
            if card.source != "mix" and not card.sound.separated:
                raise WhosingsError(
                    f"{folder}: this model hears the {card.source} of the collection's own stems, so that no "
                    "voice or band can be swapped on it; audit one that hears the mix, or takes mixes apart."
                )

    @property
    def singers(self) -> Sequence[str]:
        """The singers it can name."""
        return self.card.singers

    @property
    def window_seconds(self) -> float:
        """How long one of its windows is."""
        return float(self.card.window_seconds)

    @property
    def explained(self) -> nn.Module | None:
        """The one network that Grad-CAM can read; None where there are several, or it has no layer for it."""
        network = self.members[0].network
        return network if len(self.members) == 1 and network.cam_layer is not None else None

    def log_probabilities(self, sound: np.ndarray) -> np.ndarray:
        """Give (windows, singers) for a song (samples,) at 16 kHz."""
        from whosings.identify.ladder import Track2LogProbabilities

        with _on_disk(sound) as (track, store):
            return Track2LogProbabilities(self.members, store, self.device)(track)[1]

    def sung(self, sound: np.ndarray) -> np.ndarray:
        """
        Give how much of each window of a song (samples,) at 16 kHz is sung: (windows,) from 0 to 1.

        Raises WhosingsError where singing cannot be told here.
        """
        from whosings.identify.ladder import Track2Sung, Track2Windows

        with _on_disk(sound) as (track, store):
            starts = Track2Windows(store, self.members[0].card)(track).start_seconds
            return Track2Sung(store, self.card)(track, starts)

    @contextmanager
    def windows(self, sound: np.ndarray) -> Iterator[Windows]:
        """Give the windows of a song (samples,) at 16 kHz as the model reads them, for the block alone."""
        from whosings.identify.ladder import Track2Windows

        with _on_disk(sound) as (track, store):
            yield Track2Windows(store, self.members[0].card)(track)


@contextmanager
def _on_disk(sound: np.ndarray) -> Iterator[tuple[Track, FeatureStore]]:
    """Write a song (samples,) at 16 kHz for the ladder, which climbs from files; gone after the block."""
    import soundfile

    from whosings.collection.features import FeatureStore
    from whosings.identify.ladder import lone_track

    with tempfile.TemporaryDirectory(prefix="whosings-audit-") as folder:
        path = Path(folder) / "sound.wav"
        soundfile.write(path, sound, SAMPLE_RATE, subtype="FLOAT")
        yield lone_track(path), FeatureStore(Path(folder))


def load_outside(named: str) -> AuditedModel:
    """
    Load a model made outside: `package.module:object`, or `file.py:object`. This runs its code.

    The object is an AuditedModel, or a class or function that gives one when called with nothing. Raises
    WhosingsError where it cannot be loaded or lacks a part of the protocol.
    """
    place, _, name = named.rpartition(":")
    if not place or not name:
        raise WhosingsError(f"{named}: name a model as package.module:object or file.py:object.")
    try:
        found = getattr(_module(place), name)
        if isinstance(found, type) or not hasattr(found, "log_probabilities"):
            found = found()
    except Exception as error:  # whatever that code does wrong
        raise WhosingsError(
            f"{named}: this model cannot be loaded ({type(error).__name__}: {error})."
        ) from error
    check_model(found, named)
    model: AuditedModel = found
    return model


def _module(place: str) -> Any:
    """Import a file, or a module from the working folder or from what is installed."""
    if not place.endswith(".py"):
        folder = str(Path.cwd())
        if folder not in sys.path:
            sys.path.insert(0, folder)
        return importlib.import_module(place)
    path = Path(place)
    specification = importlib.util.spec_from_file_location(path.stem, path)
    if specification is None or specification.loader is None:
        raise ImportError(f"{place} is no Python file")
    module = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = module  # where dataclasses and pickles look for it
    specification.loader.exec_module(module)
    return module


def check_model(model: object, name: str) -> None:
    """Raise WhosingsError where `model` is not an AuditedModel with singers."""
    if not isinstance(model, AuditedModel):
        raise WhosingsError(
            f"{name}: a model to audit has singers, window_seconds and log_probabilities(sound), and this "
            "one lacks something of that."
        )
    singers = list(model.singers)
    if len(singers) < 2 or len(set(singers)) < len(singers):
        raise WhosingsError(f"{name}: a model to audit names two singers or more, each once.")


def answered(model: AuditedModel, sound: np.ndarray, windows: int | None = None) -> np.ndarray:
    """
    Ask for the log-probabilities (windows, singers) of a song, and check them.

    Raises WhosingsError where the model fails or answers with something else, such as logits, or with other
    windows than the number asked for.
    """
    import numpy as np
    from scipy.special import logsumexp

    try:
        rows = np.asarray(model.log_probabilities(sound), dtype=np.float64)
    except WhosingsError:
        raise
    except Exception as error:  # code from outside: one song that it cannot bear does not stop the others
        raise WhosingsError(f"the model failed ({type(error).__name__}: {error}).") from error
    singers = len(model.singers)
    if rows.ndim != 2 or rows.shape[1] != singers or not len(rows):
        raise WhosingsError(f"the model answered {rows.shape} in place of (windows, {singers}).")
    if windows is not None and len(rows) != windows:
        raise WhosingsError(
            f"the model made {len(rows)} windows of {len(sound) / SAMPLE_RATE:.1f} s and {windows} before; "
            "sounds of one length need the same windows."
        )
    if not np.all(np.abs(logsumexp(rows, axis=1)) < SUM_TOLERANCE):  # NaN fails this as well
        raise WhosingsError(
            "the model's answers are no natural log-probabilities; give log-softmax over singers."
        )
    return rows
