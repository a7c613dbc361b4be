"""Report pages: whole, safe and without a network."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from whosings.errors import WhosingsError
from whosings.evidence.answers import SongRow
from whosings.evidence.report import SongStory, write_report

ODD = "<b>&\"'"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SCORES = {
    "f1_macro": 0.5,
    "f1_weighted": 0.625,
    "accuracy": 0.75,
    "n": 8,
    "level": 0.95,
    "interval": {"f1_macro": [0.25, 0.875], "f1_weighted": [0.5, 0.75], "accuracy": [0.5, 1.0]},
    "calibration_error": 0.125,
}
METRICS: dict[str, Any] = {
    "system": "crnn",
    "collection": ODD,
    "window_seconds": 3,
    "window": SCORES,
    "song": {**SCORES, "n": 2},
    "vote": "mean_log_probability",
    "voters": "sung windows",
    "split_sha256": "0123456789abcdef",
    "seed": 0,
    "failed": {},
    "unknown": None,
}
SONGS = [
    SongRow(f"{ODD}/One/Song", ODD, "Bo", 0.25, ODD, 1.0),
    SongRow("Bo/Two/Song", "Bo", "Bo", 0.75, ODD, 0.5),
]
VOID = {"meta", "img", "link", "br"}
OPTIONAL_END = {"html", "tr", "td", "th", "li", "p"}


class Page(HTMLParser):
    """Checks the nesting and gathers addresses, tags and text."""

    def __init__(self, path: Path):
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert [tag for tag in self._open if tag not in OPTIONAL_END] == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "srcset"}]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while (last := self._open.pop()) != tag:
            assert last in OPTIONAL_END, f"<{last}> is still open at </{tag}>"

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    path.write_bytes(PNG)
    return path


def story(picture: Path, singer: str) -> SongStory:
    return SongStory(f"{ODD}/One/Song", singer, ODD, 0.6, "Bo", 3.0, 6.0, picture, "songs/a%20b.flac")


def page(tmp_path: Path, picture: Path, **more: Any) -> Page:
    metrics = more.pop("metrics", METRICS)
    write_report(tmp_path / "r.html", metrics=metrics, songs=SONGS, images={f"Of {ODD}": picture}, **more)
    return Page(tmp_path / "r.html")


def test_names_are_shown_as_they_are_and_never_become_markup(tmp_path: Path, picture: Path) -> None:
    shown = page(tmp_path, picture, story=story(picture, ODD))
    assert shown.tags.count("b") == 1  # the page's own, for the answer
    assert shown.text.count(ODD) >= 8
    assert ODD not in shown.source


def test_pictures_are_inside_and_nothing_is_remote(tmp_path: Path, picture: Path) -> None:
    shown = page(tmp_path, picture, story=story(picture, ODD))
    embedded = [address for address in shown.addresses if address.startswith("data:image/png;base64,")]
    assert len(embedded) == 2
    assert all(base64.b64decode(address.partition(",")[2]) == PNG for address in embedded)
    assert [address for address in shown.addresses if address not in embedded] == [
        "songs/a%20b.flac#t=3.0,6.0"
    ]
    assert not re.search(r"https?:|url\(|@import|<script", shown.source)


def test_scores_have_intervals_and_songs_their_answers(tmp_path: Path, picture: Path) -> None:
    shown = " ".join(page(tmp_path, picture).text.split())
    assert "songs 0.500 0.25\u20130.88 0.625 0.50\u20130.75 0.750 0.50\u20131.00 0.125 2" in shown
    assert f"{ODD}/One/Song Bo 25 % {ODD}" in shown
    assert "vote of a song: mean log probability" in shown
    assert "0123456789ab" in shown
    assert "could not be scored" not in shown
    assert "One song" not in shown


def test_a_wrong_answer_is_marked(tmp_path: Path, picture: Path) -> None:
    source = page(tmp_path, picture).source
    assert source.count('<td class="wrong">Bo</td>') == 1
    assert source.count("<td>Bo</td>") == 1


@pytest.mark.parametrize(("singer", "words"), [(ODD, "That is right."), ("Bo", "It is Bo.")])
def test_the_story_tells_one_song(tmp_path: Path, picture: Path, singer: str, words: str) -> None:
    shown = " ".join(page(tmp_path, picture, story=story(picture, singer)).text.split())
    assert f"The model hears {ODD} in \u201c{ODD}/One/Song\u201d, with a confidence of 60 %" in shown
    assert "the runner-up is Bo." in shown
    assert words in shown
    assert "Listen from 3.0 to 6.0 s" in shown


def test_songs_that_failed_are_listed(tmp_path: Path, picture: Path) -> None:
    reasons = {"a": f"{ODD}.wav: broken.", "b": "b.wav: empty."}
    shown = page(tmp_path, picture, metrics={**METRICS, "failed": reasons}).text
    assert "Songs that could not be scored" in shown
    assert all(reason in shown for reason in reasons.values())


def test_a_warning_stands_in_place_of_a_boast(tmp_path: Path, picture: Path) -> None:
    assert "training never saw" in page(tmp_path, picture).text
    warned = page(tmp_path, picture, warning=f"It leaks {ODD}.").text
    assert f"It leaks {ODD}." in warned
    assert "training never saw" not in warned


def test_an_unwritable_place_is_one_sentence(tmp_path: Path, picture: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WhosingsError, match="cannot be written"):
        write_report(tmp_path / "file" / "r.html", metrics=METRICS, songs=SONGS, images={})


def test_a_missing_figure_writes_nothing(tmp_path: Path) -> None:
    """A page with holes would be worse than none."""
    from jinja2 import UndefinedError

    metrics = {name: value for name, value in METRICS.items() if name != "vote"}
    with pytest.raises(UndefinedError):
        write_report(tmp_path / "r.html", metrics=metrics, songs=SONGS, images={})
    assert list(tmp_path.iterdir()) == []
