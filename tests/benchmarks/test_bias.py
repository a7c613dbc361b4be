"""The grid of the confounded benchmark: what a row hears, which cells are compared, what is never redone."""

from __future__ import annotations

import csv
import json
from argparse import Namespace
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bias
from benchmarks.bias import Cell, Row
from tests.collection.sounds import melody, write
from whosings.collection.confounded import TESTS
from whosings.collection.track import Source
from whosings.evidence.answers import WindowRow
from whosings.evidence.bias import Tested
from whosings.models.store import load_card

PLAIN, VOCALS = Row("crnn"), Row("crnn", "vocals")
WINDOWS = 10  # of a song in a test


def given(*words: str) -> Namespace:
    return bias.parser().parse_args(["songs", "--out", "out", *words])


def scored(tied: int, free: int, swapped: int, confidence: float = 0.5) -> Tested:
    """Give a run of so many right windows out of ten in each of four songs."""
    songs = [f"{artist}/{album}/over band" for artist in ("Ada", "Bo") for album in ("One", "Two")]
    return {
        test: [
            WindowRow(song, 3.0 * at, singer := song.split("/")[0], singer if at < right else "?", confidence)
            for song in songs
            for at in range(WINDOWS)
        ]
        for test, right in zip(TESTS, (tied, free, swapped), strict=True)
    }


def test_rows_say_what_they_hear() -> None:
    rows = given("--recipes", "crnn,crnn:vocals,my/own.yaml:accompaniment").recipes
    assert rows == [PLAIN, VOCALS, Row("my/own.yaml", "accompaniment")]
    assert [str(row) for row in rows] == ["crnn", "crnn:vocals", "my/own.yaml:accompaniment"]
    assert PLAIN.source(3.0) == Source("mix", 3.0)
    assert VOCALS.source(3.0) == Source("vocals", 3.0, "spleeter")  # not the collection's own stems
    assert VOCALS.source(3.0).separated


def test_folders_of_runs_are_apart() -> None:
    """The layout of mixes is that of grids already made."""
    assert Cell(PLAIN, 0.9, 2).name == "crnn-tie0.9-seed2"
    assert Cell(Row("my/own.yaml"), 0.0, 1).name == "own-tie0-seed1"
    assert Cell(VOCALS, 0.9, 2).name == "vocals/crnn-tie0.9-seed2"
    assert Cell(VOCALS, 0.9, 2).run(given("--recipes", "crnn")) == Path("out/runs/vocals/crnn-tie0.9-seed2")
    assert Cell(VOCALS, 0.9, 2).benchmark(given("--recipes", "crnn")) == Path("out/tie0.9-seed2")


def test_a_tie_is_shown_over_the_seeds_that_all_recipes_have() -> None:
    asked = given("--recipes", "crnn,crnn:vocals,crnn_nl", "--seeds", "0,1", "--ties", "0,0.9")
    runs = {
        Cell(PLAIN, 0.0, 0): scored(6, 6, 5),
        Cell(PLAIN, 0.0, 1): scored(9, 6, 5),
        Cell(VOCALS, 0.0, 0): scored(6, 6, 6),
        Cell(PLAIN, 0.9, 0): scored(9, 5, 3),
        Cell(VOCALS, 0.9, 0): scored(8, 7, 6),
        Cell(PLAIN, 0.9, 1): scored(9, 6, 1),
        Cell(VOCALS, 0.9, 1): scored(10, 10, 10),
    }
    found = bias.results(runs, asked)
    untied, tied = found["ties"]["0"], found["ties"]["0.9"]
    assert (untied["seeds"], tied["seeds"], tied["seeds_also_at_tie_0"]) == ([0], [0, 1], [0])
    assert untied["unfinished"] == tied["unfinished"] == ["crnn_nl"]
    plain, vocals = tied["recipes"]["crnn"], tied["recipes"]["crnn:vocals"]
    assert plain["figures"]["gap"]["mean"] == pytest.approx(0.7)
    assert vocals["less_first"]["gap"]["mean"] == pytest.approx(0.1 - 0.7)
    assert vocals["less_first"]["free"]["runs"] == pytest.approx([0.2, 0.4])
    assert plain["less_first"] is None
    assert plain["less_tie_0"]["gap"]["mean"] == pytest.approx(0.6 - 0.1)  # of seed 0 alone
    assert vocals["less_tie_0"]["gap"]["mean"] == pytest.approx(0.2)
    assert untied["recipes"]["crnn"]["less_tie_0"] is None

    page = bias.table(found)
    assert "Tie 0: accuracy of 5 s windows, seed 0." in page
    assert "Tie 0.9: accuracy of 5 s windows, seeds 0, 1." in page
    assert "The gap at tie 0 is that of seed 0." in page
    assert page.count("Left out, as no seed is finished: `crnn_nl`.") == 2
    (row,) = (line for line in page.splitlines() if line.startswith("| `crnn:vocals` | 0.900"))
    assert "| 0.100 (0.10 to 0.10) | 0.200 (0.20 to 0.20) | -0.600 (-0.60 to -0.60) | 0.300" in row
    lengths = {line.count("|") for line in page.split("Tie 0.9")[1].splitlines() if line.startswith("|")}
    assert len(lengths) == 1

    runs[Cell(VOCALS, 0.0, 1)] = runs.pop(Cell(VOCALS, 0.9, 1))  # more seeds are finished at tie 0
    tied = bias.results(runs, asked)["ties"]["0.9"]
    assert (tied["seeds"], tied["seeds_also_at_tie_0"]) == ([0], [0])
    assert tied["recipes"]["crnn"]["less_tie_0"]["gap"]["runs"] == pytest.approx([0.5])


def test_calibration_error_is_that_of_free_and_a_mean_over_seeds() -> None:
    asked = given("--recipes", "crnn", "--seeds", "0,1", "--ties", "0.9")
    runs = {
        Cell(PLAIN, 0.9, 0): scored(9, 5, 3, confidence=0.9),
        Cell(PLAIN, 0.9, 1): scored(9, 8, 3, confidence=0.6),
    }
    tie = bias.results(runs, asked)["ties"]["0.9"]
    error = tie["recipes"]["crnn"]["calibration_error_free"]
    assert error["runs"] == pytest.approx([0.4, 0.2])
    assert error["mean"] == pytest.approx(0.3)
    assert tie["seeds_also_at_tie_0"] == [] and tie["recipes"]["crnn"]["less_tie_0"] is None


def test_recipes_without_a_seed_in_common_and_grids_without_a_run() -> None:
    asked = given("--recipes", "crnn,crnn:vocals", "--seeds", "0,1", "--ties", "0.9")
    runs = {Cell(PLAIN, 0.9, 0): scored(9, 5, 3), Cell(VOCALS, 0.9, 1): scored(9, 5, 3)}
    found = bias.results(runs, asked)
    assert found["ties"]["0.9"]["recipes"] == {}
    assert "Tie 0.9: accuracy of 5 s windows, no seed that all have." in bias.table(found)
    assert "no seed is finished: `crnn`, `crnn:vocals`." in bias.table(bias.results({}, asked))


class Quiet:
    """Stands for Spleeter: gives a quarter of the mix to the vocals; counts what it takes apart."""

    name, version, clips = "spleeter", "quiet", 0

    def __call__(self, blocks: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        type(self).clips += 1
        for block in blocks:
            yield 0.25 * block, 0.75 * block


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """Three singers of three songs, each of three clips of one window, voice and band apart."""
    root, number = tmp_path / "songs", 0
    lines = ["artist,album,title,vocals,accompaniment"]
    for singer in ("Ada", "Bo", "Cy"):
        for song in range(3):
            for clip in range(3):
                names = []
                for stem in ("voice", "band"):
                    names.append(f"{singer} {song} {clip} {stem}.wav")
                    write(root / names[-1], melody(number := number + 1, 3.2))
                lines.append(f"{singer},album {song},{singer} {song},{','.join(names)}")
    (root / "manifest.csv").write_text("\n".join(lines))
    return root


def pairs(manifest: Path) -> list[tuple[str, str]]:
    with manifest.open(newline="") as file:
        return [(row["vocals"], row["accompaniment"]) for row in csv.DictReader(file)]


def test_vocals_are_taken_out_of_the_mixes_once_and_for_all_ties(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "bias"
    monkeypatch.setenv("WHOSINGS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("whosings.audio.separation.spleeter.Spleeter", Quiet)

    def run(recipes: str, *more: str, window: int = 3) -> str:
        words = f"bias {songs} --out {out} --recipes {recipes} --seeds 0 --singers 2 --window {window}"
        monkeypatch.setattr("sys.argv", [*words.split(), "--set", "epochs=1", "--set", "precision=32", *more])
        bias.main()
        return (out / "bias.md").read_text()

    page = run("crnn:vocals")
    card = load_card(out / "runs" / "vocals" / "crnn-tie0.9-seed0")
    assert card.sound == Source("vocals", 0.0, "spleeter") and card.calibration is not None
    assert "Tie 0.9: accuracy of 3 s windows, seed 0." in page and "gap less that at tie 0" in page
    sides = [f"tie{tie}-seed0/{name}.csv" for tie in ("0", "0.9") for name in ("manifest", "free", "swapped")]
    mixes = [pairs(out / side) for side in sides]
    assert Quiet.clips == len(set(chain(*mixes)))
    assert Quiet.clips < sum(map(len, mixes))
    monkeypatch.setattr(bias, "train", None)  # whatever is finished is not trained again

    assert run("crnn:vocals").splitlines()[2:] == page.splitlines()[2:]
    (out / "runs/vocals/crnn-tie0-seed0/on-swapped.csv/metrics.json").unlink()  # as if cut off
    report = run("crnn:vocals,crnn", "--report")
    assert report.count("Left out, as no seed is finished") == 2 and "gap less that at tie 0" not in report
    assert sorted(path.name for path in (out / "runs").iterdir()) == ["vocals"]
    assert list(json.loads((out / "bias.json").read_text())["ties"]["0.9"]["recipes"]) == ["crnn:vocals"]
    with pytest.raises(SystemExit, match="the run here has another window"):
        run("crnn:vocals", "--report", window=5)
    with pytest.raises(SystemExit, match="the run here has another recipe and source"):
        run("crnn:vocals", "--report", "--set", "epochs=2", "--mix-db", "3")
