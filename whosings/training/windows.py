"""The windows of one side of a split as a PyTorch dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from whosings.collection.features import FeatureStore
from whosings.collection.splits import Side, Split
from whosings.collection.track import Source, Track
from whosings.collection.windows import cut, window_frames, window_starts


DB_PER_NEPER = 10 / np.log(10)  # of power


class Example(NamedTuple):
    """A window to learn from."""

    log_mel: Tensor
    """(128, T) in dB"""
    singer: Tensor
    """class index: a scalar, (B,) in a batch"""


class WindowDataset(Dataset[Example]):
    """
    All windows of some tracks; the log-mel stays on disk, memory-mapped.

    Args:
        tracks: the tracks of this side, in any order.
        side: which side of the split is meant; only the `snippet` protocol divides windows by it.
        split: gives the singers, whose order is that of the classes.
        store: where log-mel spectrograms come from.
        source: which sound is heard.
        window_seconds: 3, 5 or 10.

    """

    def __init__(
        self,
        tracks: Sequence[Track],
        side: Side,
        split: Split,
        store: FeatureStore,
        source: Source,
        window_seconds: int,
    ):
        self.store, self.source = store, source
        self.length = window_frames(window_seconds)
        self._windows: list[tuple[Track, int, int]] = []  # track, start frame, class index
        for track in tracks:
            starts = window_starts(store.log_mel(track, source).shape[1], self.length)
            kept = starts[split.window_indices(side, track.id, len(starts))]
            singer = split.singers.index(track.artist)
            self._windows += [(track, int(start), singer) for start in kept]

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> Example:
        track, start, singer = self._windows[index]
        # The map is opened anew each time: kept open, a large collection would run out of file handles.
        window = cut(self.store.log_mel(track, self.source), start, self.length)
        return Example(torch.from_numpy(window), torch.tensor(singer))


class RemixedWindows(WindowDataset):
    """
    Each window's voice over the band of another song, at a level drawn between `levels_db`.

    So no band tells who sings. The powers of both mel spectrograms are added, which leaves out only the
    interference of the two. Draws come from PyTorch's generator, which the training seeds at each epoch.
    """

    def __init__(self, *args: Any, levels_db: tuple[float, float], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.levels_db = levels_db
        self._tracks = list(dict.fromkeys(track for track, _, _ in self._windows))

    def __getitem__(self, index: int) -> Example:
        """Give a window of the same singer and time, remixed."""
        track, start, singer = self._windows[index]
        voice = self.store.log_mel(track, Source("vocals"))
        band = self.store.log_mel(self._tracks[_draw(len(self._tracks))], Source("accompaniment"))
        low, high = self.levels_db
        level = low + (high - low) * float(torch.rand(()))
        gain = _mean_db(voice) - _mean_db(band) - level
        other = cut(band, _draw(max(band.shape[1] - self.length, 0) + 1), self.length) + gain
        mixed = np.logaddexp(cut(voice, start, self.length) / DB_PER_NEPER, other / DB_PER_NEPER)
        return Example(torch.from_numpy(mixed * DB_PER_NEPER).float(), torch.tensor(singer))


def _draw(count: int) -> int:
    return int(torch.randint(count, ()))


def _mean_db(log_mel: np.ndarray) -> float:
    """Mean power over a song, in dB."""
    return float(10 * np.log10(np.mean(np.power(10, log_mel / 10))))


def loader(
    dataset: WindowDataset, batch_size: int, *, shuffle: bool, seed: int, ranks: int = 1, rank: int = 0
) -> DataLoader[Example]:
    """
    Batch a dataset; the order of an epoch depends on seed and epoch alone, so a resumed run repeats it.

    Lightning tells the sampler the epoch. `ranks` processes share the dataset, this one being number `rank`.
    """
    sampler: DistributedSampler[Example] = DistributedSampler(
        dataset, num_replicas=ranks, rank=rank, shuffle=shuffle, seed=seed
    )
    return DataLoader(dataset, batch_size=batch_size, sampler=sampler)
