from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DistributedSampler

from tests.training.songs import MIX, songs, store_in
from whosings.collection.catalogue import Collection
from whosings.collection.features import FeatureStore
from whosings.collection.splits import Side, Split, make_split
from whosings.training.windows import WindowDataset, balance, loader

FRAMES = 94


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return songs(tmp_path_factory.mktemp("songs"), seconds=7)


def dataset(
    collection: Collection, store: FeatureStore, split: Split, side: Side = "train", seconds: int = 3
) -> WindowDataset:
    tracks = [collection.by_id[name] for name in getattr(split, side)]
    return WindowDataset(tracks, side, split, store, MIX, seconds)


def order(windows: WindowDataset, epoch: int, seed: int = 0, shuffle: bool = True) -> list[bytes]:
    batches = loader(windows, 2, shuffle=shuffle, seed=seed)
    assert isinstance(batches.sampler, DistributedSampler)
    batches.sampler.set_epoch(epoch)
    return [window.numpy().tobytes() for batch in batches for window in batch.x]


def test_windows_are_those_of_the_songs(collection: Collection, store: FeatureStore) -> None:
    split = make_split(collection)
    windows = dataset(collection, store, split)
    assert len(windows) == 2 * 3
    whole = store.log_mel(collection.by_id[split.train[0]], MIX)
    starts = (0, FRAMES, whole.shape[1] - FRAMES)
    for index, start in enumerate(starts):
        assert windows[index].x.shape == (128, FRAMES)
        np.testing.assert_array_equal(windows[index].x, whole[:, start : start + FRAMES])


def test_classes_are_the_singers_in_the_order_of_the_split(
    collection: Collection, store: FeatureStore
) -> None:
    split = make_split(collection)
    turned = replace(split, singers=split.singers[::-1])
    for one, classes in ((split, [0] * 3 + [1] * 3), (turned, [1] * 3 + [0] * 3)):
        windows = dataset(collection, store, one)
        assert [windows[index].singer.item() for index in range(len(windows))] == classes


def test_balance_weighs_a_singer_by_the_inverse_of_the_windows(
    collection: Collection, store: FeatureStore
) -> None:
    split = make_split(collection)
    both = dataset(collection, store, split)
    torch.testing.assert_close(balance(both, 2), torch.ones(2))
    more = replace(split, train=(*split.train, *(name for name in split.test if name.startswith("Ada"))))
    weights = balance(dataset(collection, store, more), 2)
    torch.testing.assert_close(weights, torch.tensor([9 / 12, 9 / 6]))


def test_a_song_shorter_than_a_window_is_repeated(collection: Collection, store: FeatureStore) -> None:
    split = make_split(collection)
    windows = dataset(collection, store, split, seconds=10)
    assert len(windows) == 2
    song = store.log_mel(collection.by_id[split.train[0]], MIX)
    window = windows[0].x.numpy()
    assert window.shape == (128, 313)
    np.testing.assert_array_equal(window[:, : song.shape[1]], song)
    np.testing.assert_array_equal(window[:, song.shape[1] :], song[:, : 313 - song.shape[1]])


def test_snippet_sides_share_songs_but_no_window(tmp_path: Path) -> None:
    collection = songs(tmp_path / "songs", albums=1, seconds=31)
    split = make_split(collection, "snippet")
    store = store_in(tmp_path)
    sides: list[Side] = ["train", "validation", "test"]
    seen = {side: set(order(dataset(collection, store, split, side), 0, shuffle=False)) for side in sides}
    count = len(dataset(collection, store, replace(split, protocol="song")))
    assert sum(len(windows) for windows in seen.values()) == count == 22
    assert not seen["train"] & seen["validation"] | seen["train"] & seen["test"]
    assert not seen["validation"] & seen["test"]
    assert len(seen["train"]) > len(seen["validation"]) > 0


def test_the_order_depends_on_seed_and_epoch_alone(collection: Collection, store: FeatureStore) -> None:
    windows = dataset(collection, store, make_split(collection))
    first = order(windows, epoch=3)
    torch.manual_seed(99)
    torch.randn(100)
    assert order(windows, epoch=3) == first
    assert sorted(first) == sorted(order(windows, epoch=4))
    assert len({tuple(order(windows, epoch)) for epoch in range(6)}) > 1
    assert len({tuple(order(windows, 0, seed)) for seed in range(6)}) > 1


def test_validation_keeps_its_order(collection: Collection, store: FeatureStore) -> None:
    windows = dataset(collection, store, make_split(collection), "validation")
    assert order(windows, 0, shuffle=False) == order(windows, 5, seed=7, shuffle=False)
    assert order(windows, 0, shuffle=False)[0] == windows[0].x.numpy().tobytes()


def test_ranks_share_the_windows(collection: Collection, store: FeatureStore) -> None:
    windows = dataset(collection, store, make_split(collection))
    shares: list[set[bytes]] = []
    for rank in (0, 1):
        batches = loader(windows, 2, shuffle=True, seed=0, ranks=2, rank=rank)
        shares.append({window.numpy().tobytes() for batch in batches for window in batch.x})
    assert [len(share) for share in shares] == [3, 3]
    assert not shares[0] & shares[1]


def test_a_batch(collection: Collection, store: FeatureStore) -> None:
    windows = dataset(collection, store, make_split(collection))
    log_mel, singer = next(iter(loader(windows, 4, shuffle=False, seed=0)))
    kinds: tuple[Tensor, Tensor] = (log_mel, singer)
    assert [tensor.shape for tensor in kinds] == [(4, 128, FRAMES), (4,)]
    assert [tensor.dtype for tensor in kinds] == [torch.float32, torch.int64]
