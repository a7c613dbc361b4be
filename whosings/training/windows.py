"""The windows of one side of a split as a PyTorch dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, DistributedSampler

from whosings.collection.features import FeatureStore
from whosings.collection.splits import Side, Split
from whosings.collection.track import Source, SourceName, Track
from whosings.collection.windows import HEARING, Features, Hearing, window_starts

STEMS: tuple[SourceName, SourceName] = ("vocals", "accompaniment")
DB_PER_NEPER = 10 / np.log(10)  # of power
QUIET_DB = 10.0  # a piece whose voice lies this far below that of its song is hardly sung
TRIES = 20  # draws of a piece until one is sung


class Example(NamedTuple):
    """A window to learn from."""

    x: Tensor
    """(n_mels, T) log-mel in dB, or (2, 128, T) with the melody; or what frozen parts made of it"""
    singer: Tensor
    """class index: a scalar, (B,) in a batch"""


class Apart(NamedTuple):
    """A window to learn from, and what it is made of."""

    x: Tensor
    """(n_mels, T) log-mel in dB, or (2, 128, T) with the melody"""
    singer: Tensor
    """class index: a scalar, (B,) in a batch"""
    voice: Tensor
    """what is sung in `x`, of its shape"""
    band: Tensor
    """what is played in `x`, of its shape and without a melody"""


class WindowDataset(Dataset[Example]):
    """
    All windows of some tracks; their features stay on disk, memory-mapped.

    Args:
        tracks: the tracks of this side, in any order.
        side: which side of the split is meant; only the `snippet` protocol divides windows by it.
        split: gives the singers, whose order is that of the classes.
        store: where log-mel spectrograms come from.
        source: which sound is heard.
        window_seconds: 3, 5 or 10.
        hearing: what a system hears of a song.

    """

    def __init__(
        self,
        tracks: Sequence[Track],
        side: Side,
        split: Split,
        store: FeatureStore,
        source: Source,
        window_seconds: int,
        hearing: Hearing = HEARING,
    ):
        self.store, self.source, self.hearing = store, source, hearing
        self.length = hearing.front_end.window_frames(window_seconds)
        self._windows: list[tuple[Track, int, int]] = []  # track, start frame, class index
        for track in tracks:
            starts = window_starts(self._features(track, source).frames, self.length)
            kept = starts[split.window_indices(side, track.id, len(starts))]
            singer = split.singers.index(track.artist)
            self._windows += [(track, int(start), singer) for start in kept]

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> Example:
        track, start, singer = self._windows[index % len(self)]
        window = self._features(track, self.source).window(start, self.length)
        return Example(torch.from_numpy(window), torch.tensor(singer))

    @property
    def singers(self) -> list[int]:
        """The class index of each window."""
        return [singer for _, _, singer in self._windows]

    def by_track(self) -> list[list[int]]:
        """Give the indices of the windows of each track."""
        tracks: dict[Track, list[int]] = {}
        for index, (track, _, _) in enumerate(self._windows):
            tracks.setdefault(track, []).append(index)
        return list(tracks.values())

    def _features(self, track: Track, source: Source) -> Features:
        # The maps are opened anew each time: kept open, a large collection would run out of file handles.
        return self.store.features(track, source, self.hearing)


class ApartWindows(WindowDataset):
    """
    The windows of mixes, each beside its voice and its band alone; needs stems.

    At a level the band of a song is put as far below its voice as in the mix, by their mean powers.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._tracks = list(dict.fromkeys(track for track, _, _ in self._windows))
        self._voice_db, self._band_db = (
            {track.id: mean_db(self._log_mel(track, name)) for track in self._tracks} for name in STEMS
        )

    def __getitem__(self, index: int) -> Apart:  # type: ignore[override]
        """Give a window and both of its stems."""
        track, start, _ = self._windows[index % len(self)]
        x, singer = super().__getitem__(index)
        voice, band = (self._stem_window(track, name, start) for name in STEMS)
        level = self.source.mix_db
        gain = 0.0 if level is None else self._voice_db[track.id] - self._band_db[track.id] - level
        return self._apart(x.numpy(), singer, voice, band + np.float32(gain))

    def _apart(self, x: np.ndarray, singer: Tensor, voice: np.ndarray, band: np.ndarray) -> Apart:
        """Put together a window, (n_mels, T) or (2, n_mels, T), and its stems (n_mels, T)."""
        stems = [voice, band]
        if self.hearing.melody:
            stems = [np.stack([voice, x[1]]), np.stack([band, np.zeros_like(band)])]
        heard, sung, played = (torch.from_numpy(array) for array in (x, *stems))
        return Apart(heard, singer, sung, played)

    def _stem_window(self, track: Track, name: SourceName, start: int) -> np.ndarray:
        """Give a window (n_mels, T) of a stem, which may be shorter than its mix."""
        stem = Features(self._log_mel(track, name), front_end=self.hearing.front_end)
        return stem.window(min(start, _last_start(stem, self.length)), self.length)

    def _log_mel(self, track: Track, stem: SourceName) -> np.ndarray:
        return self.store.log_mel(track, self._stem(stem), self.hearing.front_end)

    def _stem(self, name: SourceName) -> Source:
        return replace(self.source, name=name)


class RemixedWindows(ApartWindows):
    """
    Each window's voice over the band of another song, at a level drawn between `levels_db`.

    So no band tells who sings. The powers of both mel spectrograms are added, which leaves out only the
    interference of the two; the melody is that of the voice. What is drawn depends on `seed` and the index
    alone; `EpochSampler` counts the index on through the epochs, so every epoch hears other mixes and a
    resumed run hears the same ones.
    """

    def __init__(self, *args: Any, levels_db: tuple[float, float], seed: int, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.levels_db = levels_db
        self.seed = seed

    def __getitem__(self, index: int) -> Apart:  # type: ignore[override]
        """Give a window of the same singer and time, remixed."""
        track, start, singer = self._windows[index % len(self)]
        random = np.random.default_rng((self.seed, index))
        heard = self._features(track, self._stem("vocals"))
        start = min(start, _last_start(heard, self.length))  # a stem may be shorter than its mix
        return self._over_a_band(heard.window(start, self.length), track, singer, random)

    def _over_a_band(self, x: np.ndarray, track: Track, singer: int, random: np.random.Generator) -> Apart:
        """Lay a window of the voice of `track`, (n_mels, T) or (2, n_mels, T), over a band, in place."""
        log_mel = x[0] if self.hearing.melody else x
        voice = log_mel.copy()
        band = self._band(track, voice.shape[1], random)
        log_mel[:] = add_powers(voice, band)
        return self._apart(x, torch.tensor(singer), voice, band)

    def _band(self, track: Track, length: int, random: np.random.Generator) -> np.ndarray:
        """Draw `length` frames (n_mels, length) of a song's band, and a level below the voice of `track`."""
        other = self._tracks[int(random.integers(len(self._tracks)))]
        band = Features(self._log_mel(other, "accompaniment"), front_end=self.hearing.front_end)
        place = int(random.integers(_last_start(band, length) + 1))
        gain = self._voice_db[track.id] - self._band_db[other.id] - random.uniform(*self.levels_db)
        return band.window(place, length) + np.float32(gain)


class FixedRemixes(RemixedWindows):
    """`draws` remixes of each window, one list of them after the other, the same in every epoch."""

    def __init__(self, *args: Any, draws: int, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._windows *= draws

    def __getitem__(self, index: int) -> Apart:  # type: ignore[override]
        """Give a remix; an index beyond them counts on from the first."""
        return super().__getitem__(index % len(self))


class RemixedPieces(RemixedWindows):
    """
    Sung pieces of `piece_seconds` from anywhere in the songs, remixed; every singer is drawn alike often.

    An epoch has as many pieces as the songs have windows. Each depends on `seed` and the index alone.
    """

    def __init__(self, *args: Any, piece_seconds: float, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.piece = self.hearing.front_end.window_frames(piece_seconds)
        songs: dict[int, list[Track]] = {}
        for track, _, singer in self._windows:
            if track not in songs.setdefault(singer, []):
                songs[singer].append(track)
        self._songs = sorted(songs.items())

    def __getitem__(self, index: int) -> Apart:  # type: ignore[override]
        """Give a piece, remixed."""
        random = np.random.default_rng((self.seed, index))
        for _ in range(TRIES):
            singer, songs = self._songs[random.integers(len(self._songs))]
            track = songs[random.integers(len(songs))]
            heard = self._features(track, self._stem("vocals"))
            x = heard.window(int(random.integers(_last_start(heard, self.piece) + 1)), self.piece)
            if mean_db(x[0] if self.hearing.melody else x) > self._voice_db[track.id] - QUIET_DB:
                break
        return self._over_a_band(x, track, singer, random)


class JoinedWindows(ConcatDataset[Example]):
    """Several lists of windows as one, one after the other."""

    datasets: list[WindowDataset]  # type: ignore[assignment]

    def __getitem__(self, index: int) -> Example:
        """Give a window and its singer; an index beyond the windows counts on from the first."""
        x, singer, *_ = super().__getitem__(index % len(self))
        return Example(x, singer)

    @property
    def singers(self) -> list[int]:
        """The class index of each window."""
        return [singer for windows in self.datasets for singer in windows.singers]

    def by_track(self) -> list[list[int]]:
        """Give the indices of the windows of each track, list by list."""
        firsts = [0, *self.cumulative_sizes]
        return [
            [first + index for index in indices]
            for first, windows in zip(firsts, self.datasets, strict=False)
            for indices in windows.by_track()
        ]


Windows = WindowDataset | JoinedWindows


def balance(windows: Windows, singers: int) -> Tensor:
    """Give each singer a weight (singers,), inverse to the number of windows and 1 for the average."""
    counts = np.bincount(windows.singers, minlength=singers)
    weights = len(windows) / (singers * np.maximum(counts, 1))
    return torch.from_numpy(weights.astype(np.float32))


def _last_start(features: Features, length: int) -> int:
    return max(features.frames - length, 0)


def add_powers(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Add two power spectrograms in dB, of one shape: float32."""
    total = np.logaddexp(a / DB_PER_NEPER, b / DB_PER_NEPER) * DB_PER_NEPER
    return np.asarray(total, dtype=np.float32)


def mean_db(log_mel: np.ndarray) -> float:
    """Give the mean power of a song's log-mel (n_mels, frames), in dB."""
    return float(10 * np.log10(np.mean(np.power(10, log_mel / 10))))


class EpochSampler(DistributedSampler[int]):
    """
    Shuffles by seed and epoch alone, and counts indices on: window i in epoch e is e * windows + i.

    Lightning tells the epoch.
    """

    def __iter__(self) -> Iterator[int]:
        """Give the indices of this process for the epoch."""
        first = self.epoch * len(self.dataset)  # type: ignore[arg-type]
        return (first + index for index in super().__iter__())


def loader(
    dataset: Dataset[Example], batch_size: int, *, shuffle: bool, seed: int, ranks: int = 1, rank: int = 0
) -> DataLoader[Example]:
    """
    Batch a dataset; the order of an epoch depends on seed and epoch alone, so a resumed run repeats it.

    `ranks` processes share the dataset, this one being number `rank`.
    """
    sampler = EpochSampler(dataset, num_replicas=ranks, rank=rank, shuffle=shuffle, seed=seed)
    return DataLoader(dataset, batch_size=batch_size, sampler=sampler)
