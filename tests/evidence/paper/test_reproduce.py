"""A tiny grid from the command line: killed half way, resumed, its table read; estimates and their clock."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import whosings as command
from tests.evidence.runs import songs
from whosings.collection.features import FeatureStore
from whosings.collection.splits import make_split
from whosings.errors import WhosingsError
from whosings.evidence.paper.estimate import Estimate, estimate
from whosings.evidence.paper.grid import Grid, Settings
from whosings.evidence.paper.plan import LCA, TABLES, Cell, Draw, cells, draws_of, narrowed
from whosings.evidence.paper.reproduce import Clock

ONE_STEP, TWO_STEPS = "crnn_fgnl_lca_one_step-5s-mix-seed7", "crnn_fgnl_lca-5s-mix-seed7"
PATIENCE = 240  # seconds; a busy machine is no failure


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOSINGS_CACHE", str(tmp_path / "cache"))


def words(tmp_path: Path) -> list[str]:
    quick = ["--set", "batch_size=4", "--set", "precision=32", "--epochs", "2", "--first-step", "1"]
    return [
        "reproduce",
        "table2",
        str(tmp_path / "songs"),
        "--out",
        str(tmp_path / "out"),
        "--seeds",
        "7",
        *quick,
    ]


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.is_file():
        assert process.poll() is None, "the grid ended before it could be killed"
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


def test_a_grid_that_was_killed_half_way_goes_on(tmp_path: Path) -> None:
    songs(tmp_path / "songs", albums=3, per_album=1)
    runs = tmp_path / "out" / "runs"
    process = subprocess.Popen(
        [sys.executable, "-m", "whosings", *words(tmp_path)], stderr=subprocess.DEVNULL
    )
    wait_for(runs / TWO_STEPS / "history.csv", process)  # the first run is done, the second has an epoch
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (runs / TWO_STEPS / "metrics.json").exists()
    first = (runs / ONE_STEP / "metrics.json").stat()
    early = json.loads((tmp_path / "out" / "table2" / "table2.json").read_text())
    assert early["missing_runs"] == 1

    done = command(*words(tmp_path))
    assert done.status == 0, done.err
    assert (runs / ONE_STEP / "metrics.json").stat() == first, "a run that was done was scored again"
    assert len((runs / TWO_STEPS / "history.csv").read_text().splitlines()) == 3, "a header and two epochs"
    table = json.loads((tmp_path / "out" / "table2" / "table2.json").read_text())
    assert table["missing_runs"] == 0
    for kind in ("md", "csv", "html"):
        assert f"table2.{kind}" in done.out
    with (tmp_path / "out" / "table2" / "table2.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["level"] for row in rows} == {"window", "song"}
    metrics = json.loads((runs / TWO_STEPS / "metrics.json").read_text())
    assert any(f"{metrics['song']['f1_weighted']:.6f}" in str(row) for row in rows)

    again = command(*words(tmp_path))
    assert again.status == 0
    assert "All runs are done." in again.out

    changed = command(*words(tmp_path), "--set", "learning_rate=0.1")
    assert changed.status == 2
    assert "another recipe" in changed.err, "runs of other settings were shown as those asked for"


def test_a_plan_trains_nothing(tmp_path: Path) -> None:
    songs(tmp_path / "songs", albums=3, per_album=1)
    done = command(*words(tmp_path), "--plan")
    assert done.status == 0, done.err
    assert "2 runs to make, about" in done.out
    assert not (tmp_path / "out").exists()


def test_runs_of_other_settings_are_not_mixed_in(tmp_path: Path) -> None:
    collection = songs(tmp_path / "songs", albums=3, per_album=1)
    store = FeatureStore(tmp_path / "cache")
    quick = ("batch_size=4", "precision=32")
    settings = Settings(collection.root, tmp_path / "out", epochs=1, overrides=quick)
    cell = Cell("crnn", 3, "mix", Draw(0))
    Grid(settings, store).train(cell, quiet=True)
    other = Settings(collection.root, tmp_path / "out", epochs=1, overrides=(*quick, "learning_rate=0.1"))
    with pytest.raises(WhosingsError, match="another recipe"):
        Grid(other, store).train(cell, quiet=True)


def test_what_a_grid_changes_in_recipes(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path, epochs=12)
    assert settings.recipe("crnn_fgnl_lca").counterfactual.first_step == 3  # a quarter of 12
    assert settings.recipe("crnn_fgnl_lca_one_step").counterfactual.first_step == 0
    assert settings.recipe("crnn_fgnl_cal").counterfactual.first_step == 0
    assert Settings(tmp_path, tmp_path).recipe("crnn_fgnl_lca").counterfactual.first_step == 20
    assert (
        Settings(tmp_path, tmp_path, epochs=9, first_step=5).recipe("crnn_fgnl_lca").counterfactual.first_step
        == 5
    )


def test_a_first_step_that_never_ends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WhosingsError, match="leaves none of 3"):
        Settings(tmp_path, tmp_path, epochs=3, first_step=3).recipe("crnn_fgnl_lca")


def test_folds_that_repeat_others_are_left_out(tmp_path: Path) -> None:
    collection = songs(tmp_path / "songs", albums=3, per_album=1, seconds=1.0)
    store = FeatureStore(tmp_path / "cache")
    sixfold = draws_of("sixfold", [3, 4])
    grid = Grid(Settings(collection.root, tmp_path / "out", "sixfold"), store)
    assert grid.distinct(sixfold) == [draw for draw in sixfold if draw.fold in (0, 1, 2)]
    frozen = Grid(Settings(collection.root, tmp_path / "out", split=make_split(collection)), store)
    assert frozen.distinct(sixfold) == [Draw(3, 0), Draw(4, 0)]


def test_a_protocol_without_test_songs_is_refused_before_training(tmp_path: Path) -> None:
    songs(tmp_path / "songs", albums=3, per_album=1, seconds=1.0)
    for what in ("table2", "figure1", "figure4"):
        done = command(
            "reproduce", what, str(tmp_path / "songs"), "--out", str(tmp_path / "out"), "--protocol", "none"
        )
        assert done.status == 2
        assert "has no test songs" in done.err
    assert not (tmp_path / "out").exists()


def test_an_unreadable_first_song_does_not_end_the_plan(tmp_path: Path) -> None:
    collection = songs(tmp_path / "songs", albums=3, per_album=1)
    collection.tracks[0].parts[0].mix.path.write_bytes(b"no sound at all")  # type: ignore[union-attr]
    table3 = [*words(tmp_path), "--plan", "--windows", "3", "--source", "mix"]
    done = command(*["table3" if word == "table2" else word for word in table3])
    assert done.status == 0, done.err
    assert "to hear melodies" in done.out


def test_songs_that_cannot_be_read_are_named_and_end_in_1(tmp_path: Path) -> None:
    collection = songs(tmp_path / "songs", albums=3, per_album=2, seconds=2.0)
    spoilt = collection.tracks[0].parts[0].mix.path  # type: ignore[union-attr]
    spoilt.write_bytes(b"no sound at all")
    table4 = ["table4" if word == "table2" else word for word in words(tmp_path)]
    done = command(*table4, "--windows", "3")
    assert done.status == 1, done.err
    assert str(spoilt) in done.err
    assert (tmp_path / "out" / "table4" / "table4.md").is_file()


def test_wrong_words_are_refused(tmp_path: Path) -> None:
    songs(tmp_path / "songs", albums=3, per_album=1, seconds=1.0)
    common = [str(tmp_path / "songs"), "--out", str(tmp_path / "out")]
    for seeds in ("-1", "99999999999999999999"):
        done = command("reproduce", "table2", *common, f"--seeds={seeds}")
        assert (done.status, "seeds are from 0" in done.err) == (2, True)
    for option in ("--windows=3", "--source=vocals"):
        done = command("reproduce", "figure4", *common, option)
        assert (done.status, "leave out --windows and --source" in done.err) == (2, True)
    done = command("reproduce", "table2", *common, "--mix-db", "nan")
    assert (done.status, "finite level" in done.err) == (2, True)


def test_tables_share_their_runs() -> None:
    assert {row.recipe for row in TABLES["table4"].rows} == {LCA.recipe}
    assert len(cells(TABLES["table4"], [Draw(0)])) == 3  # both rows are branches of the same runs
    every = cells(TABLES["table3"], draws_of("kuo", [0, 21]))
    assert len(every) == len(set(every)) == 2 * 7 * 3 * 2
    assert [cell.draw.seed for cell in every] == sorted(cell.draw.seed for cell in every)


def test_draws() -> None:
    assert draws_of("kuo", [0, 21, 0]) == [Draw(0), Draw(21)]
    assert draws_of("sixfold", [3]) == [Draw(3, fold) for fold in range(6)]


def test_a_table_can_be_narrowed() -> None:
    table = narrowed(TABLES["table3"], [3], "vocals")
    assert (table.windows, table.sources) == ((3,), ("vocals",))
    for windows in ([4], [3, 4]):
        with pytest.raises(WhosingsError, match="3, 5, 10 s"):
            narrowed(TABLES["table3"], windows, None)
    with pytest.raises(WhosingsError, match="hears mix"):
        narrowed(TABLES["table1"], None, "vocals")


def test_the_clock_learns_from_what_runs_took(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("whosings.evidence.paper.reproduce.time.monotonic", lambda: now[0])
    one, two = Cell("crnn", 3, "mix", Draw(0)), Cell("crnn", 5, "mix", Draw(0))
    clock = Clock(Estimate({one: 100.0, two: 100.0}, 0.0), max_hours=350 / 3600)
    assert clock.allows(one)
    with clock.timing(one):
        now[0] += 180  # nearly twice as long
    assert clock.expects(two) == pytest.approx(180)
    assert not clock.allows(two)
    assert clock.allows(Cell("crnn", 10, "mix", Draw(0)))  # done already


def test_the_estimate_is_of_the_right_size(tmp_path: Path) -> None:
    collection = songs(tmp_path / "songs", albums=3, per_album=1)
    quick = ("batch_size=4", "precision=32")
    store = FeatureStore(tmp_path / "cache")
    grid = Grid(Settings(collection.root, tmp_path / "out", epochs=4, overrides=quick), store)
    cell = Cell("crnn", 3, "mix", Draw(0))
    expected = estimate(grid, [cell]).runs[cell]
    started = time.monotonic()
    grid.train(cell, quiet=True)
    taken = time.monotonic() - started
    assert 0.02 * taken < expected < 3 * taken + 1  # so few steps are mostly overhead
    assert not estimate(grid, [cell]).runs, "trained, and scoring takes next to nothing"
