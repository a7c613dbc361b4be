"""What the tests of a module train on, where they bring nothing of their own."""

from __future__ import annotations

import pytest

from tests.training.songs import songs, store_in
from whosings.collection.catalogue import Collection
from whosings.collection.features import FeatureStore


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return songs(tmp_path_factory.mktemp("songs"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return store_in(tmp_path_factory.mktemp("store"))
