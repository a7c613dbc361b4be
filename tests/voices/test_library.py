from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.voices.fake import DIM, FakeEncoder, cohort, heard, sound
from whosings.errors import WhosingsError
from whosings.voices import table
from whosings.voices.library import EVIDENCE, UNDECIDED, VoiceLibrary
from whosings.voices.prints import Prints
from whosings.voices.thresholds import Thresholds

pytest.importorskip("lancedb")
ENCODER = FakeEncoder()
DEFAULT = Thresholds(0.6, 0.1, 0.7, 0.1, 0.0, "cosine", 40, 10)


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    folder = tmp_path / "sounds"
    folder.mkdir()
    return folder


def _open(tmp_path: Path, **options) -> VoiceLibrary:
    return VoiceLibrary(tmp_path / "library", ENCODER.id, **options)


def _enrol(library: VoiceLibrary, sounds: Path, voice: str, song: str, **options) -> int:
    path = sound(sounds, voice, song)
    return library.add(voice, path, ENCODER(path), **options)


@pytest.fixture
def small(tmp_path: Path, sounds: Path) -> VoiceLibrary:
    library = _open(tmp_path, default=DEFAULT)
    for voice in ("Ada", "Bo"):
        for song in ("one", "two"):
            _enrol(library, sounds, voice, song, consent=f"by letter, {voice}")
    return library


def test_singers_are_listed_as_enrolled(small: VoiceLibrary) -> None:
    ada, bo = VoiceLibrary(small.folder).singers()
    assert (ada.name, ada.files, ada.prints, ada.seconds, ada.consent) == (
        "Ada",
        2,
        12,
        35.0,
        "by letter, Ada",
    )
    assert bo.name == "Bo" and len(bo.enrolled) == len("2026-01-01")


def test_the_same_content_is_enrolled_once(small: VoiceLibrary, sounds: Path) -> None:
    copy = sounds / "copy.wav"
    copy.write_bytes((sounds / "Ada-one.wav").read_bytes())
    assert small.add("Ada", copy, ENCODER(copy)) == 0
    assert small.singers()[0].prints == 12
    assert small.add("Ada", copy, ENCODER(copy), consent="withdrawn for radio") == 0
    assert small.singers()[0].consent == "by letter, Ada; withdrawn for radio"


def test_the_same_content_under_another_name_is_refused_unless_shared(
    small: VoiceLibrary, sounds: Path
) -> None:
    path = sounds / "Ada-one.wav"
    with pytest.raises(WhosingsError, match="enrolled as Ada already"):
        small.add("Cleo", path, ENCODER(path))
    assert small.add("Cleo", path, ENCODER(path), shared=True) == 6
    assert small.add("Cleo", path, ENCODER(path)) == 0
    assert [singer.name for singer in small.singers()] == ["Ada", "Bo", "Cleo"]


def test_find_names_the_enrolled_and_says_unknown_of_others(small: VoiceLibrary) -> None:
    match = small.find(heard("Bo", "three"))
    assert match.name == match.nearest == "Bo" and [name for name, _ in match.scores] == ["Bo", "Ada"]
    assert match.lead == pytest.approx(match.scores[0][1] - match.scores[1][1])
    stranger = small.find(heard("Zoe", "three"))
    assert stranger.name is None and stranger.nearest in ("Ada", "Bo")
    assert EVIDENCE in stranger.sentence and EVIDENCE in match.sentence
    assert json.loads(json.dumps(stranger.to_dict()))["note"] == EVIDENCE


def test_a_lead_below_the_margin_is_unknown(tmp_path: Path, small: VoiceLibrary) -> None:
    strict = Thresholds(0.6, 0.1, 0.7, 0.1, 1.9, "cosine", 40, 10)
    assert VoiceLibrary(small.folder, default=strict).find(heard("Bo", "three")).name is None


def test_one_singer_alone_can_be_found(tmp_path: Path, sounds: Path) -> None:
    library = _open(tmp_path, default=DEFAULT)
    _enrol(library, sounds, "Ada", "one")
    match = library.find(heard("Ada", "two"))
    assert match.name == "Ada" and match.to_dict()["lead"] is None


def test_thresholds_are_fitted_stored_and_fitted_anew(tmp_path: Path, sounds: Path, monkeypatch) -> None:
    library = _open(tmp_path, cohort=cohort())
    for voice in range(7):
        for song in range(4):
            _enrol(library, sounds, f"voice{voice}", f"song{song}")
    fitted = library.thresholds
    assert (fitted.scale, fitted.songs, fitted.singers) == ("normalised", 28, 7)
    with monkeypatch.context() as patch:
        patch.setattr("whosings.voices.library.fit_thresholds", lambda *_: pytest.fail("fitted twice"))
        assert _open(tmp_path, cohort=cohort()).thresholds == fitted
    library.remove("voice3")
    assert library.thresholds.singers == 6 and library.thresholds != fitted
    assert library.find(heard("voice2", "new")).name == "voice2"
    assert library.find(heard("voice3", "new")).name is None


def test_without_enough_songs_or_a_default_nobody_is_named(tmp_path: Path, sounds: Path) -> None:
    library = _open(tmp_path)
    _enrol(library, sounds, "Ada", "one")
    match = library.find(heard("Ada", "one"))
    assert (match.name, match.nearest, match.thresholds) == (None, "Ada", None)
    assert match.score == pytest.approx(1.0) and "20 songs by 5 singers" in match.sentence
    told = match.to_dict()
    assert told["thresholds"] is None and UNDECIDED in told["note"] and EVIDENCE in told["note"]


def test_default_thresholds_of_another_scale_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WhosingsError, match="for cosine scores"):
        _open(tmp_path, default=DEFAULT, cohort=cohort())
    with pytest.raises(WhosingsError, match="too small"):
        _open(tmp_path, cohort=cohort(3))


def test_search_lists_songs_with_the_window_to_listen_to(small: VoiceLibrary, sounds: Path) -> None:
    asked = heard("Ada", "one")
    hits = small.search(asked, 3)
    assert len(hits) == 3 and [hit.name for hit in hits[:2]] == ["Ada", "Ada"]
    assert hits[0].file == str(sounds / "Ada-one.wav") and hits[0].score > hits[1].score > hits[2].score
    best = int(np.argmax(asked.vectors @ asked.song))
    assert (hits[0].start, hits[0].seconds) == (asked.starts[best], 5.0)
    with pytest.raises(WhosingsError, match="ask for at least 1"):
        small.search(asked, 0)


def test_search_by_index_finds_what_reading_all_finds(small: VoiceLibrary, sounds: Path, monkeypatch) -> None:
    monkeypatch.setattr(table, "INDEX_FROM", 200)
    for number in range(30):
        _enrol(small, sounds, f"voice{number}", "song")
    assert small._table._table.list_indices()
    for number in range(0, 30, 7):
        asked = heard(f"voice{number}", "other")
        found, wanted = small.search(asked, 5), small.search(asked, 5, exact=True)
        assert [(hit.file, hit.start) for hit in found] == [(hit.file, hit.start) for hit in wanted]
    small.remove("voice7")
    assert "voice7" not in [hit.name for hit in small.search(heard("voice7", "other"), 50)]


def _files_with(folder: Path, needles: list[bytes]) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path.name for path in files if any(needle in path.read_bytes() for needle in needles)]


@pytest.mark.parametrize("indexed", [False, True])
def test_a_removed_singer_is_gone_from_every_byte(
    small: VoiceLibrary, sounds: Path, monkeypatch, indexed
) -> None:
    monkeypatch.setattr(table, "INDEX_FROM", 200 if indexed else 10_000)
    _enrol(small, sounds, "O'Secret", "early", consent="letter of secrets")
    for number in range(30):  # the removed are a small part, which compaction alone would leave
        _enrol(small, sounds, f"voice{number}", "song")
    _enrol(small, sounds, "O'Secret", "late")
    prints = [heard("O'Secret", song) for song in ("early", "late")]
    vectors = [row for heard_in in prints for row in (*heard_in.vectors, heard_in.song)]
    needles = [b"Secret", b"letter of secrets", *(vector[:6].tobytes() for vector in vectors)]
    assert _files_with(small.folder, needles[:1]) and _files_with(small.folder, needles[2:])
    assert small.remove("O'Secret") == 12
    assert _files_with(small.folder, needles) == []
    assert len(small.singers()) == 32 and small.find(heard("voice5", "song")).name == "voice5"


def test_the_last_singer_can_be_removed(tmp_path: Path, sounds: Path) -> None:
    library = _open(tmp_path, default=DEFAULT)
    _enrol(library, sounds, "Ada", "one")
    library.remove("Ada")
    assert library.singers() == []
    with pytest.raises(WhosingsError, match="nobody is enrolled"):
        library.find(heard("Ada", "one"))
    with pytest.raises(WhosingsError, match="nobody is enrolled as Ada"):
        library.remove("Ada")
    assert _enrol(library, sounds, "Ada", "one") == 6


def test_another_process_sees_what_was_added(small: VoiceLibrary, sounds: Path) -> None:
    other = VoiceLibrary(small.folder, default=DEFAULT)
    assert other.find(heard("Cleo", "two")).name is None
    _enrol(small, sounds, "Cleo", "one")
    assert other.find(heard("Cleo", "two")).name == "Cleo"
    small.remove("Cleo")
    assert other.find(heard("Cleo", "two")).name is None
    assert "Cleo" not in [hit.name for hit in other.search(heard("Cleo", "two"))]


def test_adding_at_once_loses_nothing(tmp_path: Path, sounds: Path) -> None:
    def enrol(number: int) -> None:
        _enrol(_open(tmp_path), sounds, f"voice{number}", "song")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enrol, range(8)))
    assert [singer.prints for singer in _open(tmp_path).singers()] == [6] * 8


def test_a_library_that_another_process_starts_is_no_other_folder(
    tmp_path: Path, sounds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started_meanwhile(folder: Path) -> Iterator[Path]:
        monkeypatch.undo()  # once
        _enrol(_open(tmp_path), sounds, "Ada", "song")
        return folder.iterdir()

    (tmp_path / "library").mkdir()
    (tmp_path / "library" / ".library-cut_off.json").touch()  # a start that was killed
    monkeypatch.setattr(Path, "iterdir", started_meanwhile)
    assert [singer.name for singer in _open(tmp_path).singers()] == ["Ada"]


def test_prints_of_different_encoders_never_mix(small: VoiceLibrary) -> None:
    with pytest.raises(WhosingsError, match=r"written by the encoder fake 1, .* fake 2"):
        VoiceLibrary(small.folder, "fake 2")
    assert VoiceLibrary(small.folder).encoder_id == "fake 1"


def test_prints_that_do_not_fit_are_refused(small: VoiceLibrary, tmp_path: Path, sounds: Path) -> None:
    path, good = sound(sounds, "Cleo", "one"), heard("Cleo", "one")
    for prints, what in (
        (Prints(good.starts, 5.0, good.vectors[:, :5], good.weights), f"library of {DIM} numbers"),
        (Prints(good.starts, 5.0, 2 * good.vectors, good.weights), "no unit vectors"),
        (Prints(good.starts, 5.0, good.vectors * np.nan, good.weights), "no unit vectors"),
        (Prints(good.starts, 5.0, good.vectors, 0 * good.weights), "no singing was heard"),
        (Prints(good.starts[:0], 5.0, good.vectors[:0], good.weights[:0]), "no singing was heard"),
    ):
        with pytest.raises(WhosingsError, match=what):
            small.add("Cleo", path, prints)
    assert len(small.singers()) == 2
    with pytest.raises(WhosingsError, match="no name for a singer"):
        small.add(" ", path, good)
    with pytest.raises(WhosingsError, match=r"absent.wav: cannot be read"):
        small.add("Cleo", tmp_path / "absent.wav", good)


def test_a_first_file_without_singing_starts_no_library(tmp_path: Path, sounds: Path) -> None:
    silent = Prints(np.zeros(1), 5.0, np.eye(DIM)[:1], np.zeros(1))
    with pytest.raises(WhosingsError, match="no singing"):
        _open(tmp_path).add("Ada", sound(sounds, "Ada", "one"), silent)
    assert not (tmp_path / "library").exists()


def test_windows_without_singing_are_left_out(tmp_path: Path, sounds: Path) -> None:
    good = heard("Ada", "one")
    half = Prints(good.starts, 5.0, good.vectors, np.array([1, 0, 1, 0, 1, 0.5]))
    assert _open(tmp_path).add("Ada", sound(sounds, "Ada", "one"), half) == 4


def test_folders_that_are_no_library(tmp_path: Path, small: VoiceLibrary, sounds: Path) -> None:
    with pytest.raises(WhosingsError, match="no voices library; name another"):
        VoiceLibrary(sounds / "..")
    with pytest.raises(WhosingsError, match="there is no voices library yet"):
        VoiceLibrary(tmp_path / "absent").singers()
    with pytest.raises(WhosingsError, match="needs an encoder"):
        VoiceLibrary(tmp_path / "absent").add("Ada", sound(sounds, "Ada", "one"), heard("Ada", "one"))
    (small.folder / "library.json").write_text('{"format": "other"}')
    with pytest.raises(WhosingsError, match="of this version"):
        VoiceLibrary(small.folder)


def test_a_broken_table_is_a_sentence(small: VoiceLibrary) -> None:
    for path in small.folder.rglob("*.lance"):
        if path.is_file():
            path.write_bytes(b"broken")
    with pytest.raises(WhosingsError, match="this voices library failed"):
        VoiceLibrary(small.folder).singers()


def test_without_lancedb_it_says_what_to_install(small: VoiceLibrary, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(WhosingsError, match=r"pip install 'whosings\[voices\]'"):
        VoiceLibrary(small.folder).singers()


def test_nothing_is_warned_of(tmp_path: Path, sounds: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        _enrol(_open(tmp_path), sounds, "Ada", "one")
