from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import cast

import pytest

from tests.collection.sounds import melody, write
from whosings.collection.catalogue import open_collection
from whosings.collection.tags import NOBODY
from whosings.errors import WhosingsError
from whosings.identify.ladder import Identification
from whosings.identify.review import COLUMNS, Decision, read_review, write_labels, write_review
from whosings.identify.timeline import Kind


def answer(file: str | Path, label: str = "Ada", confidence: float = 0.5) -> Identification:
    known = label not in NOBODY
    return Identification(
        file=str(file),
        kind="singer" if known else cast(Kind, label),
        singer=label if known else None,
        confidence=confidence,
        nearest=label if known else "Cleo",
        runner_up="Dot",
        runner_up_confidence=0.1,
        listen_from=2.5,
        listen_to=7.5,
        seconds=10.0,
        windows=4,
        segments=[],
    )


def rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def fill(path: Path, delimiter: str = ",", **filled: dict[str, str]) -> None:
    """Fill in cells by the stem of a file, as a person would in a spreadsheet."""
    table = [row | filled.get(Path(row["file"]).stem, {}) for row in rows(path)]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, table[0], delimiter=delimiter, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(table)


def decisions(path: Path) -> dict[str, Decision]:
    return {Path(decision.file).stem: decision for decision in read_review(path)}


def test_the_least_sure_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    write_review(
        path, [answer("a.wav", "Ada", 0.9), answer("b.wav", "unknown", 0.2), answer("c.wav", "Ben", 0.6)]
    )
    table = rows(path)
    assert tuple(table[0]) == COLUMNS
    assert [(row["file"], row["answer"]) for row in table] == [
        ("b.wav", "unknown"),
        ("c.wav", "Ben"),
        ("a.wav", "Ada"),
    ]
    assert table[0]["nearest"] == "Cleo" and table[1]["nearest"] == "Ben"
    assert (table[2]["confidence"], table[2]["runner_up"], table[2]["listen_from"]) == ("0.9", "Dot", "2.5")
    assert not any(row["decision"] or row["name"] or row["note"] for row in table)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_decisions_feed_back_as_labels(tmp_path: Path, delimiter: str) -> None:
    songs = tmp_path / "songs" / "Disc"
    for number, name in enumerate("abcdefg"):
        write(songs / f"{name}.wav", melody(number))
    path = tmp_path / "review.csv"
    write_review(path, [answer(songs / f"{name}.wav", "Ada", 0.5) for name in "abcdef"])
    write_review(path, [answer(songs / "g.wav", "unknown")])
    fill(
        path,
        delimiter,
        a={"decision": " Accept "},
        b={"decision": "RENAME", "name": "  Zoë  Müller; jr. "},
        c={"decision": "reject"},
        d={"decision": "unknown"},
        f={"decision": "accept", "name": "Ada", "note": " sure "},
        g={"decision": "accept"},
    )
    read = decisions(path)
    assert read["f"] == Decision(str(songs / "f.wav"), "Ada", "accept", "Ada", "sure")
    assert read["e"].word == "" and read["d"].word == "unknown"
    manifest = tmp_path / "labels.csv"
    assert write_labels(manifest, read.values()) == 3
    collection = open_collection(manifest)
    mixes = {track.id: track.parts[0].mix for track in collection.tracks}
    assert {name: mix.path.name for name, mix in mixes.items() if mix} == {
        "Ada/Disc/a": "a.wav",
        "Ada/Disc/f": "f.wav",
        "Zoë Müller; jr./Disc/b": "b.wav",
    }
    assert collection.skipped == ()


def test_labels_take_relative_files_from_their_base_and_the_album_from_tags(tmp_path: Path) -> None:
    import mutagen

    write(tmp_path / "in" / "-x.flac", melody(0))
    file = mutagen.File(tmp_path / "in" / "-x.flac")
    file.update({"album": "Tagged", "title": "Song"})
    file.save()
    for folder in ("one/CD1", "two/CD1"):
        write(tmp_path / "in" / folder / "t.wav", melody(1))
    named = [Decision(name, "=Ada", "accept") for name in ("-x.flac", "one/CD1/t.wav", "two/CD1/t.wav")]
    write_labels(tmp_path / "out" / "labels.csv", named, base=tmp_path / "in")
    tracks = open_collection(tmp_path / "out" / "labels.csv").tracks
    assert sorted(track.id for track in tracks) == ["=Ada/CD1/t", "=Ada/CD1/t (2)", "=Ada/Tagged/Song"]
    assert all(len(track.parts) == 1 for track in tracks)


def test_without_a_name_there_are_no_labels(tmp_path: Path) -> None:
    nobody = [Decision("a", "Ada", "reject"), Decision("b", "unknown", "accept"), Decision("c", "Ada", "")]
    with pytest.raises(WhosingsError, match="no decision names a singer"):
        write_labels(tmp_path / "labels.csv", nobody)
    assert not list(tmp_path.iterdir())


def test_decisions_made_survive_a_new_review(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    write_review(path, [answer(f"{name}.wav", "Ada", 0.5) for name in "abcdef"])
    fill(
        path,
        ";",
        a={"decision": "accept", "note": "mine"},
        b={"decision": "accept"},
        c={"decision": "reject", "note": "too low"},
        d={"decision": "rename", "name": "Eve"},
        e={"decision": "acept"},
    )
    text = path.read_text("utf-8-sig").replace('"confidence";', "confidence;", 1).replace("0.5", "0,5")
    head, *lines = text.splitlines()
    path.write_text("\n".join([f"{head};mood", *(f"{line};blue" for line in lines)]), encoding="utf-8")
    write_review(path, [answer("a.wav", "Ada", 0.4), *(answer(f"{name}.wav", "Ben", 0.6) for name in "bcd")])
    table = {row["file"][0]: row for row in rows(path, ";")}
    kept = {name: (row["answer"], row["decision"], row["name"], row["note"]) for name, row in table.items()}
    assert kept == {
        "a": ("Ada", "accept", "", "mine"),
        "b": ("Ben", "rename", "Ada", ""),
        "c": ("Ben", "", "", "too low; rejected before: Ada"),
        "d": ("Ben", "rename", "Eve", ""),
        "e": ("Ada", "acept", "", ""),
        "f": ("Ada", "", "", ""),
    }
    assert [row["file"][0] for row in rows(path, ";")] == ["a", "e", "f", "b", "c", "d"]
    assert all(row["mood"] == "blue" for row in table.values())


def test_a_name_that_is_no_utf8_keeps_its_decision(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    write_review(path, [answer("caf\udce9.wav")])
    text = path.read_text("utf-8-sig").replace('"","",""', '"accept","",""')
    path.write_text(text, encoding="utf-8-sig")
    write_review(path, [answer("caf\udce9.wav")])
    assert [decision.word for decision in read_review(path)] == ["accept"]


def test_an_accepted_unknown_that_now_has_a_singer_stays_unknown(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    write_review(path, [answer("a.wav", "unknown")])
    fill(path, a={"decision": "accept"})
    write_review(path, [answer("a.wav", "Ada")])
    (row,) = rows(path)
    assert (row["answer"], row["decision"]) == ("Ada", "unknown")


def odd_names(count: int = 2000) -> list[str]:
    """Names of all that may begin, divide or quote a cell."""
    generator = random.Random(0)
    letters = "'\"=+-@;,\t\r\n aＡ＝"
    drawn = {"".join(generator.choices(letters, k=generator.randint(1, 6))) for _ in range(count)}
    return sorted(name for name in drawn if name.strip())


def test_names_are_no_formulas_and_come_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    names = odd_names()
    for _ in range(2):
        write_review(path, [answer(name, f"={name}") for name in names])
        read = read_review(path)
        assert sorted(decision.file for decision in read) == names
        assert all(decision.answer == f"={decision.file}" for decision in read)
    write_review(path, [answer("'Til - a.wav", "'N Sync")])
    assert ("'Til - a.wav", "'N Sync") in [(row["file"], row["answer"]) for row in rows(path)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_begins_a_formula_whatever_divides_them(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "review.csv"
    write_review(path, [answer(name, f"={name}") for name in odd_names()])
    with path.open(encoding="utf-8-sig", newline="") as file:
        cells = [cell for row in csv.reader(file, delimiter=delimiter) for cell in row]
    assert not [cell for cell in cells if cell.strip('" \t\r\n')[:1] in tuple("=+-@＝")]


@pytest.mark.parametrize(
    ("filled", "says"),
    [
        ({"decision": "acept"}, "row 3: 'acept' is no decision"),
        ({"decision": "rename"}, "row 3: rename needs to know who sings"),
        ({"decision": "rename", "name": "Unknown"}, "row 3: Unknown is no singer"),
        ({"name": "Eve"}, "row 3: it is named Eve and the decision is empty"),
        ({"decision": "reject", "name": "Eve"}, "row 3: it is named Eve and the decision is reject"),
        ({"file": ""}, "row 3: no file is named"),
        ({"file": "a.wav"}, "row 3: a.wav stands in row 2 too"),
    ],
)
def test_mistakes_are_named_by_their_row(tmp_path: Path, filled: dict[str, str], says: str) -> None:
    path = tmp_path / "review.csv"
    write_review(path, [answer("a.wav"), answer("b.wav")])
    fill(path, b=filled)
    with pytest.raises(WhosingsError) as caught:
        read_review(path)
    assert f"{path}, {says}" in str(caught.value)


def test_what_spreadsheets_leave_is_read(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    path.write_bytes("\ufeffsep=;\r\nFile; Answer ;Decision;Name\r\na.wav;Ada;accept\r\n;;;\r\n".encode())
    assert read_review(path) == [Decision("a.wav", "Ada", "accept")]


def test_other_files_are_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "songs.csv"
    for content, says in (
        (b"artist,path\n", "no column file"),
        (b"", "no column file"),
        (b"\xff\xfe,", "UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(WhosingsError, match=says):
            write_review(path, [answer("a.wav")])
        assert path.read_bytes() == content
    with pytest.raises(WhosingsError, match="no such review"):
        read_review(tmp_path / "none.csv")
