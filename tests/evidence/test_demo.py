"""The demo, made tiny: rendered, trained, scored, explained, told on a page."""

from __future__ import annotations

import json
import time
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.evidence.test_report import Page
from whosings.collection.studio.extras import _PACKAGES
from whosings.errors import WhosingsError
from whosings.evidence.demo import DEMO, DemoResult, DemoSize, run_demo

TINY = DemoSize(
    singers=2,
    songs=1,
    seconds=6.0,
    overrides=("epochs=2", "batch_size=2", "precision=32", "counterfactual.first_step=1"),
)


@pytest.fixture(scope="module", autouse=True)
def _studio() -> None:
    for package in _PACKAGES:
        pytest.importorskip(package)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    return run_demo(tmp_path_factory.mktemp("home") / "my demo", TINY)


def test_it_scores_one_unseen_album_of_each_singer(done: DemoResult) -> None:
    run = done.report.parent / "run"
    assert done.metrics == json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert done.metrics["song"]["n"] == TINY.singers * TINY.songs
    assert done.metrics["window"]["n"] == 2 * TINY.singers * TINY.songs
    assert (done.metrics["protocol"], done.metrics["failed"]) == ("kuo", {})
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert record["arguments"]["recipe"]["epochs"] == 2
    assert record["arguments"]["recipe"]["remix_db"] == [0.0, 9.0]


def test_the_page_tells_of_the_song_and_its_sound_is_there(done: DemoResult) -> None:
    page = Page(done.report)
    (sound,) = [address for address in page.addresses if not address.startswith("data:")]
    path, _, seconds = sound.partition("#t=")
    assert " " not in path
    heard = done.report.parent / unquote(path)
    assert heard.is_file()
    assert heard == Path(done.identification.file)
    told = " ".join(page.text.split())
    assert f"The model hears {done.identification.singer} in" in told
    assert f"confidence of {done.identification.confidence:.0%}".replace("%", " %") in told
    begin, end = (float(part) for part in seconds.split(","))
    assert begin == pytest.approx(done.identification.listen_from, abs=0.01)
    assert end == pytest.approx(done.identification.listen_to, abs=0.02)
    assert "2 invented singers, 3 albums each" in told
    assert len(page.addresses) == 4  # sound, song, confusion, curves


def test_the_second_time_is_quick_and_changes_nothing(done: DemoResult) -> None:
    home = done.report.parent
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    started = time.perf_counter()
    again = run_demo(home, TINY)
    assert time.perf_counter() - started < 10
    assert again == done
    after = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert {path.name for path in before if before[path] != after.get(path)} == set()
    assert before.keys() == after.keys()


def test_a_folder_with_another_demo_is_refused(done: DemoResult) -> None:
    with pytest.raises(WhosingsError):
        run_demo(done.report.parent, DemoSize(3, 1, 6.0, TINY.overrides))


def test_the_demo_of_the_command_line() -> None:
    assert (DEMO.singers, DEMO.songs, DEMO.seconds, DEMO.overrides) == (8, 3, 20.0, ())
