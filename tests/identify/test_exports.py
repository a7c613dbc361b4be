from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from whosings.errors import WhosingsError
from whosings.identify.exports import audacity_labels, rttm, segments_csv
from whosings.identify.ribbon import clock, draw_ribbon
from whosings.identify.timeline import Segment

SONG = [
    Segment(0.0, 3.5, "no singing", None, None, 0.99),
    Segment(3.5, 10.0, "singer", 'Ada "B", Jr.', None, 0.87654),
    Segment(10.0, 12.25, "unknown", None, "王菲", 0.5),
    Segment(12.25, 20.0, "singer", "王菲", None, 1.0),
]


def test_csv() -> None:
    text = segments_csv({"a, b.wav": SONG, "c.wav": SONG[:1]})
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["file", "start", "end", "label", "singer", "confidence"]
    assert [row["file"] for row in rows] == ["a, b.wav"] * 4 + ["c.wav"]
    assert [row["label"] for row in rows[:4]] == ["no singing", 'Ada "B", Jr.', "unknown", "王菲"]
    assert [row["singer"] for row in rows[:4]] == ["", 'Ada "B", Jr.', "", "王菲"]
    assert (rows[1]["start"], rows[1]["end"], rows[1]["confidence"]) == ("3.5", "10.0", "0.8765")


def test_audacity() -> None:
    odd = Segment(20.0, 21.0, "singer", "tab\tand\nline", None, 0.5)
    lines = [line.split("\t") for line in audacity_labels([*SONG, odd]).splitlines()]
    assert lines[1] == ["3.500000", "10.000000", 'Ada "B", Jr. (0.88)']
    assert lines[2][2] == "unknown (0.50)"
    assert lines[4][2] == "tab and line (0.50)"
    assert audacity_labels([]) == ""


def test_rttm_fields() -> None:
    lines = [line.split(" ") for line in rttm({"/music/my song.v2.flac": SONG}).splitlines()]
    assert lines[0] == [
        *("SPEAKER", "my_song.v2", "1", "3.500", "6.500", "<NA>", "<NA>", 'Ada_"B",_Jr.', "0.8765", "<NA>")
    ]
    assert [line[7] for line in lines] == ['Ada_"B",_Jr.', "unknown", "王菲"]
    assert rttm({"a.wav": SONG[:1]}) == ""


def test_rttm_keeps_apart_what_is_apart() -> None:
    def sung(name: str) -> Segment:
        return Segment(0, 1, "singer", name, None, 1)

    unknown = Segment(1, 2, "unknown", None, "A B", 1)
    text = rttm({"x/a b.wav": [sung("A B"), unknown], "y/a_b.wav": [sung("A_B"), sung("unknown")]})
    fields = [line.split() for line in text.splitlines()]
    assert [(line[1], line[7]) for line in fields] == [
        ("a_b", "A_B"),
        ("a_b", "unknown"),
        ("a_b-2", "A_B-2"),
        ("a_b-2", "unknown-2"),
    ]


def test_rttm_is_read_by_others(tmp_path: Path) -> None:
    database = pytest.importorskip("pyannote.database.util")
    path = tmp_path / "answer.rttm"
    path.write_text(rttm({"a song.wav": SONG}), encoding="utf-8")
    (annotation,) = database.load_rttm(path).values()
    read = [
        (round(span.start, 3), round(span.end, 3), name)
        for span, _, name in annotation.itertracks(yield_label=True)
    ]
    assert read == [(3.5, 10.0, 'Ada_"B",_Jr.'), (10.0, 12.25, "unknown"), (12.25, 20.0, "王菲")]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3599.4, "59:59"), (3725, "1:02:05")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def pixels(path: Path) -> np.ndarray:
    from matplotlib.image import imread

    return np.asarray(imread(path))[:, :, :3]


def has(picture: np.ndarray, colour: str) -> bool:
    from matplotlib.colors import to_rgb

    return bool((np.abs(picture - to_rgb(colour)).max(axis=2) < 0.01).mean() > 0.002)


def test_the_ribbon_shows_each_voice(tmp_path: Path) -> None:
    from whosings.drawing import BLUE, VERMILION

    draw_ribbon(tmp_path / "song.png", SONG, 20.0, "song $x$")
    picture = pixels(tmp_path / "song.png")
    assert has(picture, BLUE)  # the longest
    assert has(picture, VERMILION)
    draw_ribbon(tmp_path / "song.png", SONG[:1], 3.5)
    picture = pixels(tmp_path / "song.png")
    assert not has(picture, BLUE)


def test_a_ribbon_is_as_high_as_sure(tmp_path: Path) -> None:
    from matplotlib.colors import to_rgb

    from whosings.drawing import BLUE

    heights = []
    for confidence in (0.25, 0.5, 1.0):
        segment = Segment(0, 10, "singer", "Ada", None, confidence)
        draw_ribbon(tmp_path / "song.png", [segment], 10)
        blue = np.abs(pixels(tmp_path / "song.png") - to_rgb(BLUE)).max(axis=2) < 0.01
        heights.append(blue.sum(axis=0)[blue.shape[1] // 4])
    assert heights[1] / heights[2] == pytest.approx(0.5, abs=0.05)
    assert heights[0] / heights[2] == pytest.approx(0.25, abs=0.05)


def test_a_ribbon_of_many_singers_and_of_long_names(tmp_path: Path) -> None:
    segments = [
        Segment(number, number + 1, "singer", f"{number} {'long name ' * 9}", None, 0.5)
        for number in range(40)
    ]
    draw_ribbon(tmp_path / "song.png", segments, 40)
    height, width, _ = pixels(tmp_path / "song.png").shape
    assert height < width < 1800


def test_no_ribbon_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(WhosingsError, match=r"song\.png: there is no time-line"):
        draw_ribbon(tmp_path / "song.png", [], 10)
    assert not list(tmp_path.iterdir())
