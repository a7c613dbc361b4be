from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from whosings.errors import WhosingsError
from whosings.files import read_json, replacing, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_text("old")
    with replacing(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".json"
        assert temporary != path
        temporary.write_text("ne")
        assert path.read_text() == "old"
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["answer.json"]


@pytest.mark.parametrize("before", [None, "old"])
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(
    tmp_path: Path, before: str | None, failure: type[BaseException]
) -> None:
    path = tmp_path / "answer.json"
    if before is not None:
        path.write_text(before)
    with pytest.raises(failure), replacing(path) as temporary:
        temporary.write_text("half")
        raise failure
    assert names(tmp_path) == ([] if before is None else ["answer.json"])
    assert before is None or path.read_text() == before


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    with replacing(path) as one, replacing(path) as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert path.read_text() == "one"
    assert names(tmp_path) == ["answer.json"]


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_the_file_may_be_read_by_others(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    for _ in range(2):
        write_text(path, "text")
        assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "text.txt", "ö")
    assert (tmp_path / "a" / "b" / "text.txt").read_bytes() == "ö".encode()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WhosingsError, match="cannot be written") as caught:
        write_text(tmp_path / "file" / "text.txt", "x")
    assert str(tmp_path / "file" / "text.txt") in str(caught.value)


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(WhosingsError, match="this is a folder"):
        write_json(tmp_path / "folder", 1)
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


def test_a_file_name_that_is_no_text_is_written_escaped(tmp_path: Path) -> None:
    write_text(tmp_path / "names.txt", "caf\udce9")
    assert (tmp_path / "names.txt").read_text() == "caf\\udce9"


def test_json_there_and_back(tmp_path: Path) -> None:
    value = {"singer": "Björk", "scores": [0.5, 1e-7], "vote": None}
    write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json", "record") == value
    assert "Björk" in (tmp_path / "x.json").read_text(encoding="utf-8")


def test_what_is_no_json_value_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"path": tmp_path})
    assert names(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1,}', b"\xff\xfe"])
def test_json_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(WhosingsError, match="this record cannot be read") as caught:
        read_json(tmp_path / "x.json", "record")
    assert str(caught.value).startswith(f"{tmp_path / 'x.json'}: ")
    assert "\n" not in str(caught.value)


def test_json_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WhosingsError, match="no such record"):
        read_json(tmp_path / "none.json", "record")
    with pytest.raises(WhosingsError, match="cannot be read"):
        read_json(tmp_path, "record")
