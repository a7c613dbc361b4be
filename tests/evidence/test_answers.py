"""Answers as CSV: what is written is what is read, whatever the names."""

from __future__ import annotations

from pathlib import Path

import pytest

from whosings.errors import WhosingsError
from whosings.evidence.answers import SONGS, WINDOWS, Answers, SongRow, WindowRow, read_answers, write_answers

ODD = 'a "b", c\u6b4c/d\n/e'


def test_round_trip(tmp_path: Path) -> None:
    answers = Answers(
        [WindowRow(ODD, 0.0, "Ada", "Bo", 0.5), WindowRow(ODD, 3.008, "Ada", "Ada", 0.25, 0.125)],
        [SongRow(ODD, "Ada", "Ada", 0.75, "Bo", 0.875)],
    )
    write_answers(tmp_path, answers)
    assert read_answers(tmp_path) == answers


def test_windows_of_earlier_versions_count_as_sung(tmp_path: Path) -> None:
    write_answers(tmp_path, Answers([], []))
    (tmp_path / WINDOWS).write_text("track,start,singer,answer,confidence\na/b/c,3.0,Ada,Bo,0.5\n")
    assert read_answers(tmp_path).windows == [WindowRow("a/b/c", 3.0, "Ada", "Bo", 0.5, 1.0)]


@pytest.mark.parametrize("name", [WINDOWS, SONGS])
@pytest.mark.parametrize(
    "broken", [None, "track,singer\nx,y\n", "track,start,singer,answer,confidence\n1,a,b,c,d\n"]
)
def test_broken_answers_are_told(tmp_path: Path, name: str, broken: str | None) -> None:
    write_answers(tmp_path, Answers([], []))
    (tmp_path / name).unlink() if broken is None else (tmp_path / name).write_text(broken)
    with pytest.raises(WhosingsError, match=f"{name}: these answers cannot be read"):
        read_answers(tmp_path)
