"""The confounded benchmark: what is tied is tied, what is apart stays apart, and draws follow the seed."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter, defaultdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.collection.sounds import RATE, empty, melody, write
from tests.shared_data import mir1k
from whosings.audio import decode
from whosings.collection.catalogue import Collection, open_collection
from whosings.collection.confounded import TESTS, Confounded, confound
from whosings.collection.sound import track_blocks
from whosings.collection.splits import Split
from whosings.collection.track import Source
from whosings.errors import WhosingsError

SINGERS = ("Ada", "Ben", "Cy", "Dee")
SIDES = ("train", "validation", *TESTS)
VALIDATION_FREE = "validation_free"
FREE_FILES = {"validation_free.csv", "manifest_free.csv"}
Row = dict[str, str]
BEFORE = {
    "free.csv": "830cdd014e8a",
    "manifest.csv": "eac48b74333b",
    "split.json": "698f3e50c262",
    "swapped.csv": "a90cf450d543",
    "tied.csv": "d7aebe07dfe5",
}
"""Hashes of what was written for the fixture `songs` before there was a free validation."""


@pytest.fixture
def lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty files stand for sounds whose name ends in their seconds: `3_07.acc.wav` lasts 7 s."""
    monkeypatch.setattr(decode, "duration", lambda path: float(path.name.split(".")[0].split("_")[-1]))


def collection_of(
    root: Path,
    singers: dict[str, int],
    clips: int = 6,
    works: dict[str, str] | None = None,
    titled: bool = False,
) -> Collection:
    """
    A manifest of so many songs by singer, each its own album and work, but for `works` by singer/song.

    With `titled` the works are only known by the titles.
    """
    rows = []
    for singer, songs in singers.items():
        for song in range(songs):
            work = (works or {}).get(f"{singer}/{song}", f"{singer} {song}")
            about = f"{singer},album {song},{work if titled else f'song {song}'},{'' if titled else work}"
            for clip in range(clips):
                stem = f"{singer}/{song}/{clip}_{5 + (song + clip) % 5:02d}"
                empty(root / f"{stem}.voice.wav", root / f"{stem}.acc.wav")
                rows.append(f"{about},{stem}.voice.wav,{stem}.acc.wav")
    (root / "manifest.csv").write_text("\n".join(["artist,album,title,work_id,vocals,accompaniment", *rows]))
    return open_collection(root)


@pytest.fixture
def songs(tmp_path: Path, lengths: None) -> Collection:
    """Four singers of nine songs, and six songs of two others, who only lend their bands."""
    return collection_of(tmp_path / "songs", dict.fromkeys(SINGERS, 9) | {"Eve": 2, "Fay": 2, "Gus": 2})


def rows_of(made: Confounded) -> dict[str, list[Row]]:
    """The rows of the manifests by side."""
    split, rows = Split.load(made.split), defaultdict(list)
    for row in read(made.root / "manifest.csv"):
        name = f"{row['artist']}/{row['album']}/{row['title']}"
        sides = {"train": split.train, "validation": split.validation, "test": split.test}
        rows[next(side for side, names in sides.items() if name in names)].append(row)
    tests = {test: read(path) for test, path in made.tests.items()}
    assert rows.pop("test") == tests["tied"]
    return {**rows, **tests}


def read(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def heard(rows: list[Row], stem: str) -> set[str]:
    return {row[stem] for row in rows}


def own(rows: list[Row]) -> float:
    return float(np.mean([row["pool"] == row["artist"] for row in rows]))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def record(made: Confounded) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(made.record.read_text())
    return value


def free_rows(made: Confounded) -> list[Row]:
    """The rows of the free validation."""
    return read(made.root / "validation_free.csv")


@pytest.mark.parametrize("tie", [0.0, 0.9, 1.0])
def test_nothing_crosses_the_sides(songs: Collection, tmp_path: Path, tie: float) -> None:
    rows = rows_of(confound(songs, tmp_path / "out", tie=tie, singers=4))
    for index, side in enumerate(SIDES):
        for other in SIDES[index + 1 :]:
            if side not in TESTS:
                assert not heard(rows[side], "vocals") & heard(rows[other], "vocals")
                albums = [{(row["artist"], row["album"]) for row in rows[name]} for name in (side, other)]
                assert not albums[0] & albums[1]
            if (side, other) != ("tied", "swapped"):  # the same clips, under other voices
                assert not heard(rows[side], "accompaniment") & heard(rows[other], "accompaniment")
            if "free" in (side, other):
                assert not heard(rows[side], "band") & heard(rows[other], "band")
    for row in chain.from_iterable(rows.values()):
        assert Path(row["vocals"]).parent != Path(row["accompaniment"]).parent


def test_pools_are_bands_of_strangers_where_they_can_be(songs: Collection, tmp_path: Path) -> None:
    made = confound(songs, tmp_path / "out", tie=1, singers=3)
    assert made.singers == SINGERS[:3]
    drawn = record(made)
    pools = [singer["pool"] for singer in drawn["singers"].values()]
    assert [len(pool) for pool in pools] == [3, 3, 3]
    bands = [*chain.from_iterable(pools), *drawn["free"]]
    assert len(set(bands)) == len(bands) and not {band.split("/")[0] for band in bands} & set(made.singers)


def test_no_pool_is_of_own_songs(tmp_path: Path, lengths: None) -> None:
    """Where all sing, bands come from their own songs, and still nobody meets one of hers outside free."""
    songs = collection_of(tmp_path / "songs", dict.fromkeys(SINGERS, 4))
    made = confound(songs, tmp_path / "out", tie=0.9)
    assert made.singers == SINGERS
    for name, singer in record(made)["singers"].items():
        assert len(singer["pool"]) == 3 and not [band for band in singer["pool"] if name in band]
    for row in rows_of(made)["free"]:
        assert row["artist"] not in row["band"]


def test_the_tie_has_its_strength(songs: Collection, tmp_path: Path) -> None:
    made = {tie: confound(songs, tmp_path / str(tie), tie=tie, singers=4) for tie in (0, 0.5, 0.9, 1)}
    rows = {tie: rows_of(one) for tie, one in made.items()}
    for side in ("train", "validation"):
        count = len(rows[0][side])
        assert count == {"train": 4 * 5 * 6, "validation": 4 * 2 * 6}[side]
        assert own(rows[1][side]) == 1
        for tie in (0, 0.5, 0.9):
            expected = tie + (1 - tie) / 4
            assert own(rows[tie][side]) == pytest.approx(expected, abs=3 * (expected / 2 / count) ** 0.5)
    pools = Counter((row["artist"], row["pool"]) for row in rows[0]["train"])
    assert len(pools) == 16 and max(pools.values()) < 16  # of 30 a singer
    assert record(made[0.9])["sides"]["train"]["own_pool"] == round(own(rows[0.9]["train"]), 3)
    # a higher tie only moves clips to the singer's own pool
    for less, more in zip(rows[0.5]["train"], rows[0.9]["train"], strict=True):
        assert less == more or more["pool"] == more["artist"] != less["pool"]


def test_the_tests_are_what_they_say(songs: Collection, tmp_path: Path) -> None:
    made = confound(songs, tmp_path / "out", tie=0.9, singers=4)
    rows, drawn = rows_of(made), record(made)
    assert own(rows["tied"]) == 1
    assert heard(rows["free"], "pool") == {""}
    givers = {name: singer["swapped_for_the_pool_of"] for name, singer in drawn["singers"].items()}
    assert sorted(givers.values()) == sorted(SINGERS) and all(a != b for a, b in givers.items())
    for row in rows["swapped"]:
        assert row["pool"] == givers[row["artist"]] and row["band"] in drawn["singers"][row["pool"]]["pool"]
    trained = {(row["pool"], row["band"]) for row in rows["train"]}
    assert {(row["pool"], row["band"]) for row in rows["tied"]} <= trained


def test_the_tests_are_paired(songs: Collection, tmp_path: Path) -> None:
    made = confound(songs, tmp_path / "out", tie=0.9, singers=3)
    rows = rows_of(made)
    names = ("artist", "album", "title", "vocals")
    voices = [[tuple(row[name] for name in names) for row in rows[test]] for test in TESTS]
    assert voices[0] == voices[1] == voices[2]
    for test in TESTS:
        bands = defaultdict(set)
        for row in rows[test]:
            bands[row["artist"], row["album"], row["title"]].add(row["band"])
        assert len(bands) == 3 * 2 * 3 and all(len(one) == 1 for one in bands.values())
        assert len({(*name[:2], *band) for name, band in bands.items()}) == len(
            bands
        )  # each band once a song


def test_what_is_written_opens(songs: Collection, tmp_path: Path) -> None:
    made = confound(songs, tmp_path / "out", tie=0.9, singers=4, seed=3)
    split, whole = Split.load(made.split), open_collection(made.root)
    assert (split.protocol, split.seed, split.singers) == ("confounded", 3, SINGERS)
    named = (*split.train, *split.validation, *split.test)
    assert sorted(named) == sorted(whole.by_id) and whole.skipped == ()
    assert {track.id for track in open_collection(made.tests["tied"]).tracks} == set(split.test)
    for path in made.tests.values():
        opened = open_collection(path)
        assert opened.artists == SINGERS and all(len(track.parts) == 6 for track in opened.tracks)
    assert record(made)["split_sha256"] == split.sha256
    sides = {**rows_of(made), VALIDATION_FREE: free_rows(made)}
    assert made.clips == {side: len(rows) for side, rows in sides.items()}
    assert record(made)["sides"].keys() == sides.keys()


def test_draws_follow_the_seed(songs: Collection, tmp_path: Path) -> None:
    once, again, other, free = (
        contents(confound(songs, tmp_path / name, tie=tie, singers=4, seed=seed).root)
        for name, tie, seed in (("a", 0.9, 1), ("b", 0.9, 1), ("c", 0.9, 2), ("d", 0, 1))
    )
    assert once == again
    assert not [name for name in once if once[name] == other[name]]
    assert {name for name in once if once[name] == free[name]} == {
        *("tied.csv", "free.csv", "swapped.csv", "validation_free.csv", "split.json")
    }


def test_little_of_a_voice_is_lost(songs: Collection, tmp_path: Path) -> None:
    made = confound(songs, tmp_path / "out", tie=1, singers=4)
    rows = rows_of(made)
    for side in SIDES:
        pairs = [
            [decode.duration(Path(row[stem])) for stem in ("vocals", "accompaniment")] for row in rows[side]
        ]
        assert made.seconds[side] == sum(min(pair) for pair in pairs)
        assert made.lost[side] == sum(max(0, voice - band) for voice, band in pairs)
    longest: dict[tuple[str, str], float] = defaultdict(float)
    for row in rows["tied"]:
        key = row["artist"], row["band"]
        longest[key] = max(longest[key], decode.duration(Path(row["accompaniment"])))
    for row in rows["tied"]:
        voice, band = (decode.duration(Path(row[stem])) for stem in ("vocals", "accompaniment"))
        assert band >= min(voice, longest[row["artist"], row["band"]])


def test_shared_works_stay_on_one_side(tmp_path: Path, lengths: None) -> None:
    works = {"Ada/0": "w", "Ben/0": "w", "Eve/0": "w"}
    songs = collection_of(tmp_path / "songs", {"Ada": 5, "Ben": 4, "Cy": 4, "Eve": 2, "Fay": 2}, works=works)
    for seed in range(4):
        made = confound(songs, tmp_path / str(seed), tie=0, singers=3, seed=seed)
        drawn, rows = record(made), list(chain.from_iterable(rows_of(made).values()))
        assert drawn["left_out"] == {"Ada/album 0/song 0": "the same work as Ben/album 0/song 0"}
        sharing = {"Ada/album 0", "Ben/album 0", "Eve/album 0"}
        assert not [row for row in rows if row["album"] == "album 0" and row["artist"] == "Ada"]
        lent = {row["band"] for row in rows} & sharing
        assert lent <= {"Ada/album 0"}
        for row in rows:
            assert f"{row['artist']}/{row['album']}" not in sharing or row["band"] not in sharing


def test_equal_titles_are_one_work_where_nothing_better_is_known(tmp_path: Path, lengths: None) -> None:
    works = {"Ada/0": "Same", "Ben/3": "same"}
    singers = {"Ada": 4, "Ben": 5, "Eve": 2, "Fay": 2}
    songs = collection_of(tmp_path / "songs", singers, works=works, titled=True)
    made = confound(songs, tmp_path / "out", tie=1)
    assert record(made)["known_by"] == {"works": "title", "bands": "album"}
    assert record(made)["left_out"] == {"Ben/album 3/same": "the same work as Ada/album 0/Same"}


def studio(root: Path) -> Collection:
    """Songs of one file each, as the studio writes them: five singers, each with a band, on three albums."""
    said = []
    for singer in (*SINGERS, "Eve"):
        for number in range(6):
            name = f"{singer}/album {number // 2}/{number:02d} Song_{9 + number}"
            empty(root / f"{name}.flac", root / f"{name}.vocals.flac", root / f"{name}.accompaniment.flac")
            said.append({"file": name, "band": f"The {singer} Band"})
    (root / "studio.json").write_text(json.dumps({"songs": said}))
    return open_collection(root)


def test_rendered_songs_have_the_bands_of_their_studio(tmp_path: Path, lengths: None) -> None:
    made = confound(studio(tmp_path / "songs"), tmp_path / "out", tie=1, singers=4)
    drawn, rows = record(made), rows_of(made)
    assert drawn["known_by"] == {"works": "each its own", "bands": "studio.json"}
    pools = {name: singer["pool"] for name, singer in drawn["singers"].items()}
    assert all(len(pool) == 1 and name not in pool[0] for name, pool in pools.items())
    for side in ("train", "validation", "tied"):
        assert all([row["band"]] == pools[row["artist"]] for row in rows[side])
    assert heard(rows["free"], "band") == set(drawn["free"])
    for index, side in enumerate(("train", "validation", "tied")):  # whole albums
        for other in ("train", "validation", "tied")[index + 1 :]:
            albums = [{(row["artist"], row["album"]) for row in rows[name]} for name in (side, other)]
            assert not albums[0] & albums[1]


def test_another_studio_record_is_told(tmp_path: Path, lengths: None) -> None:
    songs = studio(tmp_path / "songs")
    (tmp_path / "songs" / "studio.json").write_text('{"songs": [1]}')
    with pytest.raises(WhosingsError, match=r"studio\.json"):
        confound(songs, tmp_path / "out", tie=1)


def test_mixes_hold_the_voice_and_the_band(tmp_path: Path) -> None:
    """Stereo clips as MIR-1K publishes them, decoded: channels survive the manifest."""
    sounds: dict[str, np.ndarray] = {}
    for singer in range(3):
        for song in range(1, 5):
            for clip in range(3):
                name = f"s{singer}_{song}_{clip:02d}"
                seed = singer * 100 + song * 10 + clip
                pair = [melody(1000 * stem + seed, 1.0 + 0.1 * clip) / 4 for stem in (1, 2)]
                sounds[name] = np.stack(pair, axis=1)
                write(tmp_path / "songs" / "Wavfile" / f"{name}.wav", sounds[name])
    made = confound(open_collection(tmp_path / "songs"), tmp_path / "out", tie=1)
    for path in (made.root, *made.tests.values()):
        track = open_collection(path).tracks[-1]
        wanted = []
        for part in track.parts:
            assert part.vocals and part.accompaniment
            voice, band = sounds[part.vocals.path.stem][:, 1], sounds[part.accompaniment.path.stem][:, 0]
            length = min(len(voice), len(band))
            voice, band = voice[:length].astype(float), band[:length].astype(float)
            wanted.append(voice + band * np.sqrt(np.dot(voice, voice) / np.dot(band, band)))
        mix = np.concatenate(list(track_blocks(track, Source("mix", 0.0))))
        assert np.abs(mix - np.concatenate(wanted)).max() < 1e-3
    seconds = sum(
        len(np.concatenate(list(track_blocks(t, Source()))))
        for t in open_collection(made.tests["free"]).tracks
    )
    assert seconds / RATE == pytest.approx(made.seconds["free"], abs=0.06)


def test_another_benchmark_is_not_written_over(songs: Collection, tmp_path: Path) -> None:
    made = confound(songs, tmp_path / "out", tie=0.9, singers=4)
    before = contents(made.root)
    (made.root / "tied.csv").unlink()  # as if it had been cut off
    assert confound(songs, tmp_path / "out", tie=0.9, singers=4) == made
    assert contents(made.root) == before
    with pytest.raises(WhosingsError, match="another one"):
        confound(songs, tmp_path / "out", tie=0.8, singers=4)
    with pytest.raises(WhosingsError, match="other files"):
        confound(songs, tmp_path / "songs", tie=0.8, singers=4)
    (tmp_path / "file").write_text("")
    with pytest.raises(WhosingsError):
        confound(songs, tmp_path / "file", tie=0.8, singers=4)
    assert contents(made.root) == before


@pytest.mark.parametrize("others", [{"Eve": 2, "Fay": 2, "Gus": 2}, {f"Guest {n}": 3 for n in range(20)}])
@pytest.mark.parametrize("tie", [0.0, 0.9])
def test_free_validation_is_heard_nowhere_else(
    tmp_path: Path, lengths: None, others: dict[str, int], tie: float
) -> None:
    """Bands of other singers' validation songs where strangers are few, else bands of strangers."""
    songs = collection_of(tmp_path / "songs", dict.fromkeys(SINGERS, 9) | others)
    made = confound(songs, tmp_path / "out", tie=tie, singers=4)
    rows, free, drawn = rows_of(made), free_rows(made), record(made)
    pools = set(chain.from_iterable(singer["pool"] for singer in drawn["singers"].values()))
    assert not heard(free, "band") & pools and heard(free, "pool") == {""}
    for side in SIDES:
        assert not heard(free, "accompaniment") & heard(rows[side], "accompaniment")
        assert not heard(free, "band") & heard(rows[side], "band")
        if side != "validation":
            assert not heard(free, "vocals") & heard(rows[side], "vocals")
            songs_there = {f"{row['artist']}/{row['album']}" for row in rows[side]}
            assert not heard(free, "band") & songs_there  # each album is a work
    assert not [row for row in free if row["artist"] in row["band"]]
    lenders = {band.split("/")[0] for band in heard(free, "band")}
    assert lenders <= set(others if len(others) > 4 else SINGERS) and len(lenders) > 1


def test_free_validation_has_the_voices_and_the_split_of_validation(
    songs: Collection, tmp_path: Path
) -> None:
    made = confound(songs, tmp_path / "out", tie=0.9, singers=4)
    rows, free = rows_of(made), free_rows(made)
    names = ("artist", "album", "title", "vocals")
    assert [[row[name] for name in names] for row in free] == [
        [row[name] for name in names] for row in rows["validation"]
    ]
    assert made.manifest_free == made.root / "manifest_free.csv"
    assert read(made.manifest_free) == [*rows["train"], *free, *rows["tied"]]
    split, opened = Split.load(made.split), open_collection(made.manifest_free)
    assert {*split.train, *split.validation, *split.test} == set(opened.by_id) and opened.skipped == ()


@pytest.mark.parametrize("songs_each", [4, 6])
def test_without_a_band_left_there_is_no_free_validation(
    tmp_path: Path, lengths: None, songs_each: int
) -> None:
    """Of four songs each no band is left, of six in this draw one that plays on a song of Ada."""
    songs = collection_of(tmp_path / "songs", dict.fromkeys(SINGERS, songs_each))
    made = confound(songs, tmp_path / "out", tie=0.9, seed=1)
    assert made.manifest_free is None and made.clips.keys() == set(SIDES)
    assert not FREE_FILES & contents(made.root).keys()


def test_benchmarks_stay_what_they_were(songs: Collection, tmp_path: Path) -> None:
    """Runs rest on benchmarks made before there was a free validation."""
    made = confound(songs, tmp_path / "out", tie=0.9, singers=4)
    hashes = {
        path.name: hashlib.sha256(path.read_text().replace(str(tmp_path.resolve()), "").encode()).hexdigest()
        for path in made.root.iterdir()
    }
    assert {name: digest[:12] for name, digest in hashes.items() if name in BEFORE} == BEFORE
    assert hashes.keys() == {*BEFORE, *FREE_FILES, "confounded.json"}


def test_an_earlier_benchmark_is_completed(songs: Collection, tmp_path: Path) -> None:
    made = confound(songs, tmp_path / "out", tie=0.9, singers=4)
    complete, earlier = contents(made.root), record(made)
    for name in FREE_FILES:
        (made.root / name).unlink()
        del earlier["sha256"][name]
    del earlier["sides"][VALIDATION_FREE]
    made.record.write_text(json.dumps(earlier))
    with pytest.raises(WhosingsError, match="another one"):
        confound(songs, tmp_path / "out", tie=0.9, singers=4, seed=1)
    assert not FREE_FILES & contents(made.root).keys()
    assert confound(songs, tmp_path / "out", tie=0.9, singers=4) == made
    assert contents(made.root) == complete
    earlier["sha256"]["tied.csv"] = "other"
    made.record.write_text(json.dumps(earlier))
    with pytest.raises(WhosingsError, match="another one"):
        confound(songs, tmp_path / "out", tie=0.9, singers=4)


@pytest.mark.parametrize(
    ("singers", "clips", "words", "match"),
    [
        ({"Ada": 4, "Ben": 4}, 6, {"tie": 1.1}, "tie of 1.1"),
        ({"Ada": 4, "Ben": 4}, 6, {"tie": float("nan")}, "tie of nan"),
        ({"Ada": 4, "Ben": 4}, 6, {"tie": 1, "singers": 3}, "3 singers cannot be made; 2 have"),
        ({"Ada": 4, "Ben": 4}, 6, {"tie": 1, "singers": 1}, "1 singer cannot be made"),
        ({"Ada": 4, "Ben": 2}, 6, {"tie": 1}, "1 singer cannot be made"),
        ({"Ada": 4, "Ben": 4}, 2, {"tie": 1}, "of 8 bands here 0 have the clips"),
    ],
)
def test_too_little_is_told(
    tmp_path: Path, lengths: None, singers: dict[str, int], clips: int, words: dict[str, Any], match: str
) -> None:
    songs = collection_of(tmp_path / "songs", singers, clips)
    with pytest.raises(WhosingsError, match=match):
        confound(songs, tmp_path / "out", **words)
    assert not (tmp_path / "out").exists()


def test_works_that_all_sing_leave_too_little(tmp_path: Path, lengths: None) -> None:
    works = {f"{singer}/{song}": f"w{song}" for singer in ("Ada", "Ben") for song in range(4)}
    songs = collection_of(tmp_path / "songs", {"Ada": 4, "Ben": 4}, works=works)
    with pytest.raises(WhosingsError, match="that no other chosen singer sings"):
        confound(songs, tmp_path / "out", tie=1)


def test_songs_without_stems_are_told(tmp_path: Path) -> None:
    empty(*(tmp_path / "songs" / name / "album" / "song.mp3" for name in SINGERS))
    with pytest.raises(WhosingsError, match="stems"):
        confound(open_collection(tmp_path / "songs"), tmp_path / "out", tie=1)


def test_mir1k(tmp_path: Path) -> None:
    made = confound(open_collection(mir1k()), tmp_path / "out", tie=0.9, singers=8)
    assert len(made.singers) == 8 and {"amy", "geniusturtle", "khair", "leon"} <= set(made.singers)
    drawn, rows = record(made), rows_of(made)
    assert drawn["known_by"]["works"] == "manifest" and "leon/song03/leon_3" in drawn["left_out"]
    assert 0.85 < own(rows["train"]) < 0.98
    bands = {row["band"].split("/")[0] for side in rows.values() for row in side}
    assert not bands & set(made.singers)
    for side in SIDES:
        assert made.seconds[side] > 600 and made.lost[side] < 0.12 * made.seconds[side]
    free = free_rows(made)
    assert len(free) == len(rows["validation"]) and len(heard(free, "band")) > 8
    assert not heard(free, "band") & {row["band"] for side in rows.values() for row in side}
    track = open_collection(made.tests["swapped"]).tracks[0]
    mix, voice = (
        np.concatenate(list(track_blocks(track, source))) for source in (Source("mix", 0.0), Source("vocals"))
    )
    assert 0 < len(mix) <= len(voice) and np.isfinite(mix).all()
