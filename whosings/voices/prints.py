"""Voiceprints: what an encoder hears in a file, as unit vectors of its windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from whosings.errors import WhosingsError

UNIT_TOLERANCE = 1e-3  # how far from 1 the norm of a print may be
SHORTEST = 1e-6  # norm below which a sum of prints has no direction


@dataclass(frozen=True)
class Prints:
    """
    The voiceprints of one file.

    `starts` (n,) in seconds, all windows `seconds` long; `vectors` (n, dim) of unit norm; `weights` (n,) the
    share of each window that is singing, 0 to 1.
    """

    starts: np.ndarray
    seconds: float
    vectors: np.ndarray
    weights: np.ndarray

    @property
    def song(self) -> np.ndarray:
        """The print of the whole file: the unit mean (dim,) of the windows, weighted by singing."""
        return unit(self.weights @ self.vectors)

    def sung(self) -> Prints:
        """Leave out the windows without singing."""
        heard = self.weights > 0
        return Prints(self.starts[heard], self.seconds, self.vectors[heard], self.weights[heard])


class VoiceEncoder(Protocol):
    """What makes prints; `id` names it and the hash of its weights, `dim` is the size of a print."""

    @property
    def id(self) -> str:
        """Name and weights hash: prints of different encoders never mix."""
        ...

    @property
    def dim(self) -> int:
        """Size of a print."""
        ...

    def __call__(self, path: Path) -> Prints:
        """Hear a file; raises WhosingsError where it cannot be read."""
        ...


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors (..., dim) to unit norm as float32; a vector of no length stays as it is."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: np.ndarray = (vectors / np.where(norms > SHORTEST, norms, 1)).astype(np.float32)
    return scaled


def checked(prints: Prints, dim: int, what: str) -> Prints:
    """
    Give the sung windows of `prints` where they are sound; `what` names their file.

    Raises WhosingsError for prints of another size, that are no unit vectors, or without any singing.
    """
    n = len(prints.vectors)
    shapes = (np.shape(prints.starts), np.shape(prints.vectors), np.shape(prints.weights))
    if n and shapes != ((n,), (n, dim), (n,)):
        raise WhosingsError(
            f"{what}: its voiceprints do not fit a library of {dim} numbers each; use another."
        )
    if n and not np.allclose(np.linalg.norm(prints.vectors, axis=1), 1, atol=UNIT_TOLERANCE):
        raise WhosingsError(f"{what}: its voiceprints are no unit vectors; check the file and the encoder.")
    if n and not (np.all(prints.weights >= 0) and np.all(np.isfinite(prints.weights))):
        raise WhosingsError(f"{what}: its shares of singing are no weights; check the file and the encoder.")
    if not n or not np.any(prints.weights > 0):
        raise WhosingsError(f"{what}: no singing was heard in it; choose a file with a voice.")
    return prints.sung()
