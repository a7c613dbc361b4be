"""The command line as a whole: what each command says, and that nobody ever sees a traceback."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from tests.collection.sounds import empty, melody, write
from tests.command import Done
from tests.command import whosings as command
from tests.sung import all_is_sung
from tests.training.songs import songs
from whosings.cli.options import songs_named
from whosings.collection.splits import PROTOCOLS, WARNINGS, Split
from whosings.collection.studio.extras import _PACKAGES
from whosings.show import clock

__all__ = ["all_is_sung"]  # a fixture

ODD = ("[live] <a>", "Bj\u00f6rk :smile:")
QUICK = ("--recipe", "crnn", "--window", 3, "--epochs", 1, "--set", "batch_size=2", "--set", "precision=32")
COMMANDS = (
    *(["data", "check"], ["data", "split"], ["data", "confound"], ["data", "render"], ["data", "labels"]),
    *(
        ["train"],
        ["search"],
        ["evaluate"],
        ["join"],
        ["refit"],
        ["identify"],
        ["explain"],
        ["audit"],
        ["reproduce"],
    ),
    *(["voices", "add"], ["voices", "list"], ["voices", "remove"], ["voices", "find"], ["voices", "search"]),
    *(["data"], ["voices"]),
    *(["models"], ["demo"], []),
)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOSINGS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Two singers with names that markup, emoji and plain ASCII would spoil, in a folder of such a name."""
    for number, singer in enumerate(ODD):
        for album in range(3):
            write(
                tmp_path / "[red]x/songs" / singer / f"[b]{album}" / "a.wav", melody(9 * number + album, 5.0)
            )
    return tmp_path / "[red]x/songs"


def one_sentence(done: Done) -> str:
    """Give what a command complained of, once it is one sentence and exit status 2."""
    assert done.status == 2
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("whosings: ")
    return lines[0]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help(words: list[str]) -> None:
    done = command(*words, "--help")
    assert (done.status, done.err) == (0, "")
    assert "Usage:" in done.out
    assert "--help" in done.out


def test_check_tells_in_sentences(odd: Path) -> None:
    (odd / ODD[0] / "[b]0" / "bad.wav").write_text("no sound")
    done = command("data", "check", odd)
    assert done.status == 1
    assert f"{odd}: 7 tracks by 2 artists, layout folders." in done.out
    (line,) = done.out.splitlines()[1:]
    assert line.startswith("error ")
    assert f"{ODD[0]}/[b]0/bad.wav: " in line
    assert line.endswith(".")


def test_check_finds_a_recording_on_two_sides_of_a_split(odd: Path, tmp_path: Path) -> None:
    command("data", "split", odd, "--out", tmp_path / "split.json")
    split = Split.load(tmp_path / "split.json")
    assert command("data", "check", odd, "--split", tmp_path / "split.json").status == 0
    trained, tested = (odd / f"{names[0]}.wav" for names in (split.train, split.test))
    tested.write_bytes(trained.read_bytes())
    done = command("data", "check", odd, "--split", tmp_path / "split.json")
    assert done.status == 1
    assert "on two sides of the split" in done.out


def test_check_for_programs(odd: Path) -> None:
    done = command("data", "check", odd, "--json", "--no-listen")
    assert (done.status, json.loads(done.out), done.err) == (0, [], "")
    write(odd / "Zed" / "One" / "a.wav", melody(50, 5.0))
    found = json.loads(command("data", "check", odd, "--json", "--no-listen").out)
    assert [(row["severity"], row["subject"]) for row in found] == [("warning", "Zed"), ("note", "Zed")]


def test_check_without_a_fault(odd: Path) -> None:
    assert "Nothing wrong was found." in command("data", "check", odd).out


@pytest.mark.parametrize("made", ["missing", "file", "empty", "texts"])
@pytest.mark.parametrize(
    "words", [["data", "check"], ["data", "split", "--out", "s.json"], ["train", "--out", "r"]]
)
def test_what_is_no_collection(
    made: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "place"
    if made == "file":
        place.write_text("words")
    elif made != "missing":
        place.mkdir()
    if made == "texts":
        (place / "a.txt").write_text("words")
    before = sorted(tmp_path.rglob("*"))
    assert str(place) in one_sentence(command(*words, place))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_manifest_with_a_byte_order_mark(odd: Path, tmp_path: Path) -> None:
    rows = [f"{singer},One,T{at},{odd / singer / f'[b]{at}' / 'a.wav'}" for singer in ODD for at in range(3)]
    manifest = tmp_path / "list.csv"
    manifest.write_text("\n".join(["artist,album,title,path", *rows]), encoding="utf-8-sig")
    assert "6 tracks by 2 artists, layout manifest" in command("data", "check", manifest, "--no-listen").out


def test_many_empty_files_are_each_told(tmp_path: Path) -> None:
    empty(*(tmp_path / f"songs/artist {at % 20}/album {at % 200}/{at}.mp3" for at in range(2000)))
    done = command("data", "check", tmp_path / "songs", "--no-listen")
    assert "2000 tracks by 20 artists" in done.out
    assert done.out.count("the file is empty (0 bytes)") == 2000


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_split(protocol: str, tmp_path: Path) -> None:
    collection = songs(tmp_path / "songs", albums=6, seconds=0.1)
    out = tmp_path / "splits" / "s.json"
    done = command("data", "split", collection.root, "--out", out, "--protocol", protocol, "--seed", 3)
    assert (done.status, done.err) == (0, "")
    split = Split.load(out)
    assert (split.protocol, split.seed) == (protocol, 3)
    assert (
        f"{len(split.train)} songs train, {len(split.validation)} validate, {len(split.test)} test"
        in done.out
    )
    assert split.sha256[:12] in done.out
    assert ("warning" in done.out) == (protocol in WARNINGS)
    assert WARNINGS.get(protocol, "") in done.out


def test_split_names_who_is_left_out(odd: Path, tmp_path: Path) -> None:
    write(odd / "Zed [x]" / "One" / "a.wav", melody(50, 0.1))
    done = command("data", "split", odd, "--out", tmp_path / "s.json")
    assert "left out Zed [x]: has 1 album, and 3 are needed" in done.out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--protocol", "kou"], "no protocol kou"),
        (["--fold", 1], "no fold 1"),
        (["--protocol", "sixfold", "--fold", -1], "no fold -1"),
    ],
)
def test_wrong_splits(words: list[object], reason: str, odd: Path, tmp_path: Path) -> None:
    assert reason in one_sentence(command("data", "split", odd, "--out", tmp_path / "s.json", *words))
    assert not (tmp_path / "s.json").exists()


def test_a_folder_where_a_file_should_go(odd: Path) -> None:
    before = sorted(odd.rglob("*"))
    assert str(odd) in one_sentence(command("data", "split", odd, "--out", odd))
    assert sorted(odd.rglob("*")) == before
    assert sorted(odd.parent.glob(".*")) == []


def test_render(tmp_path: Path) -> None:
    for package in _PACKAGES:
        pytest.importorskip(package)
    size = ["--singers", 2, "--albums", 1, "--songs", 1, "--seconds", 4]
    done = command("data", "render", tmp_path / "[red]", *size)
    assert done.status == 0
    assert f"2 songs in {tmp_path / '[red]'}" in done.out
    assert "2 tracks by 2 artists" in command("data", "check", tmp_path / "[red]", "--no-listen").out
    other = command("data", "render", tmp_path / "[red]", *size, "--seed", 1)
    assert str(tmp_path / "[red]") in one_sentence(other)


@pytest.mark.usefixtures("all_is_sung")
def test_train_evaluate_identify(odd: Path, tmp_path: Path) -> None:
    run = tmp_path / "[bold]run"
    trained = command("train", odd, "--out", run, *QUICK)
    assert trained.status == 0
    assert f"{run}: best of 1 epoch is 0" in trained.out
    assert "Split kuo, seed 0: 2 singers" in trained.out

    scored = command("evaluate", run)
    assert scored.status == 0
    assert f"Report: {run / 'report.html'}" in scored.out
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert f"{metrics['song']['f1_macro']:.3f} (" in scored.out
    assert "warning" not in scored.out

    known = command("identify", run, odd, "--json")
    assert known.status == 0
    answers = json.loads(known.out)
    assert len(answers) == 6
    assert {answer["nearest"] for answer in answers} <= set(ODD)
    for words in ([], ["--csv"]):
        told = command("identify", run, odd / ODD[0] / "[b]0", *words)
        assert told.status == 0
        assert answers[0]["nearest"].split()[0] in told.out
        assert "\U0001f604" not in told.out

    again = command("train", odd, "--out", run, *QUICK)
    assert again.status == 0
    other = command("train", odd, "--out", run, *QUICK, "--seed", 1)
    assert "choose another --out" in one_sentence(other)


def test_songs_of_one_name_are_told_apart(odd: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert command("train", odd, "--out", run, *QUICK).status == 0
    flat = "".join(command("identify", run, odd / ODD[0]).out.split())
    joined = flat.replace("\u2502", "")
    assert all(mark in joined for mark in ("[b]0", "[b]1", "[b]2"))
    assert "\u2026" not in joined


def test_an_empty_folder_among_others_does_not_stop_them(odd: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert command("train", odd, "--out", run, *QUICK).status == 0
    (tmp_path / "empty").mkdir()
    song = odd / ODD[0] / "[b]0" / "a.wav"
    done = command("identify", run, tmp_path / "empty", song, "--json")
    assert done.status == 1
    assert [answer["file"] for answer in json.loads(done.out)] == [str(song)]
    assert f"{tmp_path / 'empty'}: there are no sound files" in done.err
    assert "choose one" in one_sentence(command("identify", run, song, "--json", "--csv"))


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("epochs", "key=value"),
        ("colour=blue", "colour"),
        ("epochs=0", "epochs"),
        ("epochs=many", "epochs"),
        ("epochs=[", "YAML"),
        ("counterfactual.weights.charm=1", "charm"),
    ],
)
def test_set_errors(override: str, reason: str, odd: Path, tmp_path: Path) -> None:
    done = command("train", odd, "--out", tmp_path / "run", "--set", override)
    assert reason in one_sentence(done)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "words", [["--window", 0], ["--window", -3], ["--seed", -1], ["--seed", 2**40], ["--epochs", 0]]
)
def test_numbers_out_of_range(words: list[object], odd: Path, tmp_path: Path) -> None:
    done = command("train", odd, "--out", tmp_path / "run", *words)
    assert (done.status, done.out) == (2, "")
    assert f"Invalid value for '{words[0]}'" in done.err
    assert not (tmp_path / "run").exists()


def test_a_training_that_ends_in_its_first_step_is_warned_of(odd: Path, tmp_path: Path) -> None:
    words = ("train", odd, "--out", tmp_path / "run", *QUICK[2:], "--recipe", "crnn_fgnl_lca")
    assert "the branch will have no part" in command(*words).out
    words = (*words[:3], tmp_path / "other", *words[4:], "--set", "counterfactual.first_step=0")
    assert "warning" not in command(*words).out


def test_any_whole_number_of_seconds_is_a_window(odd: Path, tmp_path: Path) -> None:
    done = command("train", odd, "--out", tmp_path / "run", *QUICK, "--window", 7)
    assert done.status == 0
    assert json.loads((tmp_path / "run" / "model.json").read_text())["window_seconds"] == 7


def test_a_split_of_another_collection(odd: Path, tmp_path: Path) -> None:
    other = songs(tmp_path / "other", seconds=0.1)
    assert command("data", "split", other.root, "--out", tmp_path / "s.json").status == 0
    done = command("train", odd, "--out", tmp_path / "run", *QUICK, "--split", tmp_path / "s.json")
    assert "not in this collection" in one_sentence(done)


def test_stems_beside_a_song_are_not_songs(tmp_path: Path) -> None:
    for name in ("a", "a.vocals", "a.accompaniment", "b.vocals"):
        write(tmp_path / f"{name}.wav", melody(1, 1.0))
    files, failed = songs_named([tmp_path])
    assert [file.name for file in files] == ["a.wav", "b.vocals.wav"]
    assert failed == {}


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 61.25, 3661.5)] == ["0:00.0", "1:01.2", "1:01:01.5"]


def test_ctrl_c_is_a_sentence_and_130(odd: Path) -> None:
    with mock.patch("whosings.collection.catalogue.open_collection", side_effect=KeyboardInterrupt):
        done = command("data", "check", odd)
    assert (done.status, done.out) == (130, "")
    assert done.err == "whosings: stopped; the same command goes on where it can.\n"


def test_a_full_disk_is_a_sentence(odd: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/somewhere/x.json")
    with mock.patch("whosings.collection.catalogue.open_collection", side_effect=full):
        done = command("data", "check", odd)
    assert "/somewhere/x.json: the system refused it (No space left on device)" in one_sentence(done)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux alone")
def test_a_file_name_that_is_no_text(odd: Path, tmp_path: Path) -> None:
    """As old archives have them; a real process, since the encoding of its output is at stake."""
    run = tmp_path / "run"
    assert command("train", odd, "--out", run, *QUICK).status == 0
    path = tmp_path / "caf\udce9.wav"
    path.write_bytes((odd / ODD[0] / "[b]0" / "a.wav").read_bytes())
    words = [sys.executable, "-m", "whosings", "identify", str(run), str(path), "--json"]
    done = subprocess.run(words, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.load(io.BytesIO(done.stdout))[0]["file"] == str(path)
