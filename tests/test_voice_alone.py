"""Melody and separated vocals all the way: trained, scored, used on a lone file, explained; stems kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import whosings as command
from tests.training.songs import songs
from whosings.models import ModelCard
from whosings.models.store import load_card

QUICK = ("--window", 3, "--epochs", 1, "--set", "batch_size=4", "--set", "precision=32")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOSINGS_CACHE", str(home / "cache"))


def stems(home: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (home / "cache" / "stems").rglob("*.flac")}


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    """CRNNM on vocals that Spleeter takes out of the mix."""
    songs(home / "songs")
    patch = pytest.MonkeyPatch()
    patch.setenv("WHOSINGS_CACHE", str(home / "cache"))
    done = command(
        *("train", home / "songs", "--recipe", "crnnm", "--source", "vocals", "--out", home / "run"), *QUICK
    )
    patch.undo()
    assert done.status == 0, done.err
    return home / "run"


def test_the_model_remembers_its_sound(run: Path) -> None:
    card: ModelCard = load_card(run)
    assert (card.system, card.source, card.separator) == ("crnnm", "vocals", "spleeter")


def test_test_songs_are_separated_once(run: Path, home: Path) -> None:
    before = stems(home)
    assert len(before) == 2 * 4, "two stems of each song that trains or validates"
    done = command("evaluate", run)
    assert done.status == 0, done.err
    after = stems(home)
    assert len(after) == 2 * 6
    assert before.items() <= after.items()
    assert json.loads((run / "metrics.json").read_text())["source"] == "vocals"


def test_a_lone_file_is_separated_and_its_stems_kept(run: Path, home: Path) -> None:
    song = next((home / "songs").rglob("*.flac"))
    first = command("identify", run, song, "--json")
    assert first.status == 0, first.err
    kept = stems(home)
    assert command("identify", run, song, "--json").out == first.out
    assert stems(home) == kept


def test_what_spoke_for_the_singer_can_be_seen(run: Path, home: Path) -> None:
    song = next((home / "songs").rglob("*.flac"))
    done = command("explain", run, song, "--out", home / "why")
    assert done.status == 0, done.err
    assert {path.suffix for path in (home / "why").iterdir()} == {".png", ".html"}


def test_stems_of_the_collection_are_no_separator(home: Path) -> None:
    done = command(
        *("train", home / "songs", "--recipe", "crnn", "--source", "vocals", "--separator", "stems"),
        *("--out", home / "none"),
        *QUICK,
    )
    assert done.status == 2
    assert "vocal stem" in done.err
