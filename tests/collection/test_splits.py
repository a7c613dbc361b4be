from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.collection.sounds import empty, imagined
from whosings.collection.catalogue import Collection, open_collection
from whosings.collection.layouts.artist20 import ARTISTS
from whosings.collection.splits import PROTOCOLS, SIDES, WARNINGS, Split, make_split
from whosings.errors import WhosingsError

SIX = imagined({"Ada": 6, "Ben": 6, "Cleo": 6})


def albums(split: Split, side: str, artist: str) -> set[str]:
    return {name.split("/")[1] for name in getattr(split, side) if name.startswith(f"{artist}/")}


@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name != "snippet"])
def test_sides_are_disjoint_and_cover_all(protocol: str) -> None:
    split = make_split(SIX, protocol, seed=21)
    everything = [name for side in SIDES for name in getattr(split, side)]
    assert sorted(everything) == sorted(SIX.by_id)
    assert split.singers == ("Ada", "Ben", "Cleo") and split.left_out == {}
    assert split == make_split(SIX, protocol, seed=21)
    if protocol != "song":
        for artist in split.singers:
            sides = [albums(split, side, artist) for side in SIDES]
            assert sum(map(len, sides)) == 6 == len(set.union(*sides))


@pytest.mark.parametrize(
    ("protocol", "shares"),
    [("kuo", (4, 1, 1)), ("canonical", (3, 1, 2)), ("sixfold", (4, 1, 1)), ("none", (5, 1, 0))],
)
def test_shares_of_albums(protocol: str, shares: tuple[int, int, int]) -> None:
    split = make_split(SIX, protocol)
    for artist in split.singers:
        assert tuple(len(albums(split, side, artist)) for side in SIDES) == shares


def test_song_takes_tenths() -> None:
    split = make_split(imagined({"Ada": 2, "Ben": 1}, songs=20), "song")
    assert [len(getattr(split, side)) for side in SIDES] == [32 + 16, 4 + 2, 4 + 2]
    assert set(WARNINGS) == {"song", "snippet"}


@pytest.mark.parametrize("protocol", ["kuo", "none", "song"])
def test_a_new_artist_leaves_the_others_as_they_were(protocol: str) -> None:
    before = make_split(imagined({"Ben": 6, "Cleo": 5}), protocol, seed=42)
    after = make_split(imagined({"Ada": 4, "Ben": 6, "Cleo": 5}), protocol, seed=42)
    for side in SIDES:
        assert tuple(n for n in getattr(after, side) if not n.startswith("Ada/")) == getattr(before, side)


def test_seeds_differ_and_artists_are_drawn_for_apart() -> None:
    many = imagined({f"artist {n}": 6 for n in range(20)}, songs=1)
    first, second = make_split(many, seed=0), make_split(many, seed=21)
    assert first.test != second.test
    assert len({next(iter(albums(first, "test", artist))) for artist in first.singers}) > 2


def test_folds_test_every_album_once() -> None:
    tested = [name for fold in range(6) for name in make_split(SIX, "sixfold", fold=fold).test]
    assert sorted(tested) == sorted(SIX.by_id)
    with pytest.raises(WhosingsError, match="fold"):
        make_split(SIX, "kuo", fold=1)


def test_artists_with_too_little_are_left_out_with_a_reason() -> None:
    few = imagined({"Ada": 3, "Ben": 4, "Cleo": 1})
    split = make_split(few)
    assert split.singers == ("Ada", "Ben")
    assert split.left_out == {"Cleo": "has 1 album, and 3 are needed"}
    with pytest.raises(WhosingsError, match="has 3 albums, and 6 are needed"):
        make_split(few, "canonical")
    with pytest.raises(WhosingsError, match="no protocol fair"):
        make_split(few, "fair")


def _artist20(tmp_path: Path) -> Collection:
    for artist in ARTISTS:
        for album in "abcdef":
            empty(tmp_path / "artist20" / "mp3s-32k" / artist / album / "01-x.mp3")
    return open_collection(tmp_path / "artist20" / "mp3s-32k")


@pytest.mark.parametrize("kind", ["albums", "tracks"])
def test_canonical_follows_the_list_files(tmp_path: Path, kind: str) -> None:
    collection = _artist20(tmp_path)
    lists = tmp_path / "artist20" / "lists"
    lists.mkdir()
    tail = "" if kind == "albums" else "/01-x"
    for name, letters in {"trn": "fed", "val": "a", "tst": "cb"}.items():
        lines = [f"{artist}/{album}{tail}" for artist in ARTISTS for album in letters]
        (lists / f"a20-{name}-{kind}.list").write_text("\r\n".join(lines) + "\n")
    split = make_split(collection, "canonical")
    assert len(split.singers) == 20
    assert albums(split, "train", "u2") == set("def")
    assert albums(split, "validation", "u2") == {"a"} and albums(split, "test", "u2") == {"b", "c"}


def test_windows_of_a_snippet_split_are_dealt_out() -> None:
    split = make_split(SIX, "snippet", seed=1)
    assert split.train == split.test == split.validation
    sides = [split.window_indices(side, split.train[0], 100) for side in ("train", "validation", "test")]
    assert [len(side) for side in sides] == [81, 9, 10]
    assert sorted(np.concatenate(sides)) == list(range(100))
    assert not np.array_equal(sides[2], split.window_indices("test", split.train[1], 100))
    assert split.window_indices("train", split.train[0], 1).tolist() == [0]
    assert make_split(SIX).window_indices("test", split.train[0], 3).tolist() == [0, 1, 2]


def test_a_split_comes_back_from_its_file(tmp_path: Path) -> None:
    split = make_split(imagined({"Ada": 3, "Bé": 4, "Cleo": 1}), seed=42)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split
    assert json.loads((tmp_path / "split.json").read_text(encoding="utf-8"))["sha256"] == split.sha256
    assert replace(split, seed=1).sha256 != split.sha256


def test_the_hash_is_frozen() -> None:
    split = Split("kuo", 0, 0, ("Ada", "Ben"), ("Ada/a/x",), ("Ada/b/x",), ("Ada/c/x",), {"Cé": "why"})
    assert split.sha256 == "ed38a4dd3fb68d84597c64c3d357799964dea61e71cf188d86ad0c7619722e75"


@pytest.mark.parametrize("change", ["edit", "drop", "text", "list", "missing"])
def test_a_changed_split_is_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "split.json"
    make_split(SIX).save(path)
    value = json.loads(path.read_text(encoding="utf-8"))
    if change == "edit":
        value["train"].append(value["test"].pop())
    elif change == "drop":
        del value["fold"]
    path.write_text("{" if change == "text" else json.dumps([] if change == "list" else value))
    if change == "missing":
        path.unlink()
    with pytest.raises(WhosingsError, match=r"split\.json: ") as caught:
        Split.load(path)
    assert ("changed after" in str(caught.value)) == (change == "edit")
