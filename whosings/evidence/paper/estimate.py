"""How long a grid will take on this machine: measured steps and measured listening, before it starts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whosings.audio.frontend import SINGER
from whosings.audio.units import FRAME_RATE, SAMPLE_RATE
from whosings.collection.sound import track_blocks
from whosings.collection.splits import Split
from whosings.collection.track import Source
from whosings.collection.windows import window_starts
from whosings.evidence.paper.grid import Grid
from whosings.evidence.paper.plan import Cell
from whosings.training.timing import TimedStep

if TYPE_CHECKING:
    import numpy as np

STEPS = 3  # timed for each system and window, after one that warms up
PIECE = 20.0  # seconds of sound that melody and separation are timed on
FORWARD = 1 / 3  # share of a training step that a window costs without learning


@dataclass(frozen=True)
class Estimate:
    """Seconds that each run still takes, and those of melodies and stems before the first of them."""

    runs: dict[Cell, float]
    features: float

    @property
    def hours(self) -> float:
        """The whole of it."""
        return (sum(self.runs.values()) + self.features) / 3600


def estimate(grid: Grid, cells: Sequence[Cell]) -> Estimate:
    """
    Time a few steps of each system and window, and melody and separation on a piece of a song.

    Runs that are trained take nothing; one that was cut off counts as whole. Log-mels of all songs are made
    on the way, since their lengths say how many windows there are. Raises WhosingsError where no song can be
    read.
    """
    left = [cell for cell in cells if not grid.trained(cell)]
    if not left:
        return Estimate({}, 0.0)
    frames = _frames(grid)
    step: dict[tuple[str, int], float] = {}
    runs = {}
    for cell in left:
        training = grid.training(cell)
        if (cell.recipe, cell.window) not in step:
            timed = TimedStep(training.recipe, len(training.split.singers), cell.window)
            step[cell.recipe, cell.window] = statistics.median([timed() for _ in range(1 + STEPS)][1:])
        learnt, heard = _windows(training.split, frames, cell.window)
        epochs, batch = training.recipe.epochs, training.recipe.batch_size
        # every epoch learns from the training side and listens to the validation side
        batches = epochs * (learnt + FORWARD * heard) / batch
        runs[cell] = batches * step[cell.recipe, cell.window]
    return Estimate(runs, _feature_seconds(grid, left, frames))


def _frames(grid: Grid) -> dict[str, int]:
    """Give the length of every song that can be read."""
    source = Source("mix", grid.settings.mix_db)
    failed = grid.store.prepare(grid.collection.tracks, source)
    frames = {
        track.id: grid.store.features(track, source).frames
        for track in grid.collection.tracks
        if track.id not in failed
    }
    if not frames:
        raise next(iter(failed.values()))
    return frames


def _windows(split: Split, frames: dict[str, int], seconds: int) -> tuple[int, int]:
    """Count the windows of the training and the validation side; every front end gives as many."""
    length = SINGER.window_frames(seconds)
    train, validation = (
        sum(len(window_starts(frames[name], length)) for name in names if name in frames)
        for names in (split.train, split.validation)
    )
    return train, validation


def _feature_seconds(grid: Grid, cells: Iterable[Cell], frames: dict[str, int]) -> float:
    """Time melody and separation where the cells need them; what lies in the cache already counts as well."""
    from whosings.audio.melody import contour
    from whosings.audio.separation import load_separator

    trainings = [grid.training(cell) for cell in cells]
    melodies = {training.source for training in trainings if training.hearing.melody}
    separators = {training.source.separator for training in trainings if training.source.separated}
    if not melodies and not separators:
        return 0.0
    piece = _piece(grid, next(iter(frames)))
    rate = 0.0  # seconds for a second of sound
    if melodies:
        rate += len(melodies) * _rate(lambda sound: contour([sound]), piece)
    for separate in map(load_separator, separators):
        rate += _rate(lambda sound, separate=separate: list(separate(iter([sound]))), piece)  # type: ignore[misc]
    return rate * sum(frames.values()) / FRAME_RATE


def _piece(grid: Grid, name: str) -> np.ndarray:
    """Give the first seconds of a track: (samples,)."""
    import numpy as np

    blocks = []
    for block in track_blocks(grid.collection.track(name), Source("mix", grid.settings.mix_db)):
        blocks.append(block)
        if sum(map(len, blocks)) >= PIECE * SAMPLE_RATE:
            break
    return np.concatenate(blocks)


def _rate(work: Callable[[np.ndarray], Any], piece: np.ndarray) -> float:
    started = time.perf_counter()
    work(piece)
    return (time.perf_counter() - started) / (len(piece) / SAMPLE_RATE)
