"""Folds pooled and compared: figures worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.compare import compare, lines
from whosings.collection.splits import Split
from whosings.errors import WhosingsError
from whosings.evidence.answers import Answers, SongRow, WindowRow, write_answers

SINGERS = ("Ada", "Bo")


def fold(folder: Path, number: int, answers: str, train: tuple[str, ...] = ()) -> Path:
    """A scored run with a test song of each singer, of two windows; `answers` has a letter for each."""
    tests = [f"{singer}/album {number}/song" for singer in SINGERS]
    windows, songs = [], []
    for at, (track, singer) in enumerate(zip(tests, SINGERS, strict=True)):
        said = ["Ada" if letter == "a" else "Bo" for letter in answers[2 * at : 2 * at + 2]]
        windows += [WindowRow(track, 5.0 * place, singer, one, 1.0) for place, one in enumerate(said)]
        songs.append(SongRow(track, singer, said[0], 1.0, said[1], 1.0))
    folder.mkdir(parents=True)
    Split("sixfold", 0, number, SINGERS, train, (), tuple(tests)).save(folder / "split.json")
    write_answers(folder, Answers(windows, songs))
    return folder


def test_folds_are_pooled(tmp_path: Path) -> None:
    runs = [fold(tmp_path / "one", 0, "aabb"), fold(tmp_path / "two", 1, "bbbb")]
    found = compare(runs, [])
    assert found["window"]["accuracy"] == found["window"]["mean"]["accuracy"] == 0.75
    ada, bo = (
        2 * 2 / (2 + 4),
        2 * 4 / (6 + 4),
    )  # of eight windows: two hits of four said two, four of four said six
    assert found["window"]["f1_macro"] == pytest.approx((ada + bo) / 2)
    assert found["window"]["mean"]["f1_macro"] == pytest.approx((1 + 1 / 3) / 2)
    assert found["window"]["calibration_error"] == pytest.approx(0.25)
    assert found["song"]["n"] == 4 and "difference" not in found
    assert any(line.startswith("song accuracy: 0.750 (") for line in lines(found))


def test_a_refit_is_compared_with_what_it_was_before(tmp_path: Path) -> None:
    """Their splits differ in what was learnt, and not in what is tested."""
    before, after = (
        fold(tmp_path / "before", 0, "abbb"),
        fold(tmp_path / "after", 0, "aabb", train=("x/y/z",)),
    )
    found = compare([after], [before])
    assert found["difference"]["window"]["difference"]["accuracy"] == 0.25
    assert any(line.startswith("window accuracy, difference: +0.250") for line in lines(found))


def test_what_cannot_be_compared_is_a_sentence(tmp_path: Path) -> None:
    one, two = fold(tmp_path / "one", 0, "aabb"), fold(tmp_path / "two", 1, "aabb")
    with pytest.raises(WhosingsError, match="not tested on the same windows"):
        compare([one], [two])
    with pytest.raises(WhosingsError, match="tested by two of the runs"):
        compare([one, one], [])
