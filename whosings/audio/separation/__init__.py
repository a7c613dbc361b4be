"""Singing apart from its band: separators behind one interface, one file each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from whosings.errors import WhosingsError

if TYPE_CHECKING:
    import numpy as np

SEPARATORS = ("spleeter", "openunmix", "demucs")


class Separator(Protocol):
    """Takes a mix apart; `version` names whatever changes its output, and is part of the key of its stems."""

    name: str
    version: str

    def __call__(self, blocks: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """
        Separate mono float32 blocks (samples,) at 16 kHz into pairs of blocks (vocals, accompaniment).

        The pairs are as long in all as the blocks, mono float32 at 16 kHz, and do not depend on how the sound
        is cut into blocks. Memory is bounded, however long the sound.
        """
        ...


def load_separator(name: str) -> Separator:
    """
    Give the separator of that name; its network is loaded when it first hears something.

    Raises WhosingsError where there is none of that name, or its package or its weights are missing.
    """
    if name == "spleeter":
        from whosings.audio.separation.spleeter import Spleeter

        return Spleeter()
    if name == "openunmix":
        from whosings.audio.separation.openunmix import OpenUnmix

        return OpenUnmix()
    if name == "demucs":
        from whosings.audio.separation.demucs import Demucs

        return Demucs()
    raise WhosingsError(f"There is no separator {name!r}; choose one of {', '.join(SEPARATORS)}.")
