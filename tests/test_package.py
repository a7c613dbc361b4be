"""The package as a whole: how quickly it starts, and that its rooms use only those below them."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import whosings
from tests.command import whosings as command

PACKAGE = Path(whosings.__file__).parent
HEAVY = ("torch", "librosa", "sklearn", "matplotlib", "lightning", "av")

FLOORS = {
    "errors": 0,
    "files": 0,
    "progress": 0,
    "drawing": 0,
    "wording": 0,
    "weights": 0,
    "memory": 0,
    "lca": 1,
    "audio": 1,
    "collection": 2,
    "models": 3,
    "training": 4,
    "identify": 5,
    "voices": 5,
    "evidence": 6,
    "": 7,  # whosings/__init__.py, the face of it all
    "show": 7,
    "cli": 7,
    "__main__": 7,
}
"""As in docs/architecture.md."""


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True)


def best_seconds(*words: str) -> float:
    """Processor time of the quickest of three, so that a busy machine says nothing about us."""
    seconds = []
    for _ in range(3):
        before = os.times()
        assert python(*words).returncode == 0
        after = os.times()
        seconds.append(after.children_user + after.children_system - sum(before[2:4]))
    return min(seconds)


def test_importing_takes_less_than_a_second() -> None:
    assert best_seconds("-c", "import whosings") < 1.0


def test_the_command_line_starts_in_less_than_a_second_and_a_half() -> None:
    assert best_seconds("-m", "whosings", "--help") < 1.5


@pytest.mark.parametrize("module", ["whosings", "whosings.cli"])
def test_importing_brings_in_nothing_heavy(module: str) -> None:
    loaded = python("-c", f"import sys, {module}; print(*sys.modules)")
    assert module in loaded.stdout.split()
    assert not set(HEAVY) & set(loaded.stdout.split())


def rooms_of(module: str) -> str:
    """Give the room of a module: `audio` for `whosings.audio.decode`, nothing for `whosings` itself."""
    return [*module.split("."), ""][1]


def imports(source: Path) -> Iterator[str]:
    """Name the modules of whosings that a source imports, wherever in it."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: write imports out in full"
            names = [node.module or ""]
            if node.module == "whosings":
                rooms = [alias.name for alias in node.names if alias.name in FLOORS]
                names = [f"whosings.{room}" for room in rooms] or names
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "whosings")


@pytest.mark.parametrize("source", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_uses_only_rooms_below_it(source: Path) -> None:
    first = source.relative_to(PACKAGE).parts[0]
    room = "" if first == "__init__.py" else first.removesuffix(".py")
    for module in imports(source):
        used = rooms_of(module)
        shared = FLOORS[room] in {0, 7} and FLOORS[used] == FLOORS[room]
        assert used == room or shared or FLOORS[used] < FLOORS[room], f"{room} imports {module}"


def test_the_floors_are_those_of_the_architecture() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    stated = {
        name.strip("` /").removesuffix(".py"): int(row[0])
        for row in rows
        if row[0].isdigit()
        for name in row[1].split(",")
    }
    assert len(stated) >= 10
    assert stated.items() <= FLOORS.items()


def test_every_room_can_be_reached_by_name() -> None:
    for room in ("audio", "collection", "evidence", "identify", "lca", "models", "training"):
        assert getattr(whosings, room).__name__ == f"whosings.{room}"
    with pytest.raises(AttributeError, match="basement"):
        _ = whosings.basement


def test_models_prints_exact_sizes() -> None:
    done = command("models")
    assert done.status == 0
    lines = {line.split()[1]: line for line in done.out.splitlines() if "crnn" in line}
    assert "394,516" in lines["crnn"]
    assert "584,141" in lines["crnn_fgnl"]


def test_an_unknown_command_exits_with_2() -> None:
    """The real one; those below share this process."""
    done = python("-m", "whosings", "sing")
    assert done.returncode == 2
    assert "sing" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["sing"],
        ["train"],
        ["identify"],
        ["models", "--loud"],
        ["data", "dance"],
        ["train", "songs", "--out", "x", "--source", "drums"],
    ],
)
def test_wrong_usage_exits_with_2(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = command(*words)
    assert done.status == 2
    assert done.err
    assert not done.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["data", "check", "none"],
        ["data", "split", "none", "--out", "x.json"],
        ["train", "none", "--out", "x"],
        ["train", "none", "--out", "x", "--recipe", "none"],
        ["identify", "none", "none.wav"],
        ["evaluate", "none"],
    ],
)
def test_wrong_input_gets_one_sentence_and_2(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command(*words)
    assert done.status == 2
    assert done.err.startswith("whosings: ")
    assert done.err.count("\n") == 1
    assert "none" in done.err
    assert not list(tmp_path.iterdir())
