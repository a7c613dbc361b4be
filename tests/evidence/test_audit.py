"""The audit: models that hear only voice or band, swaps, levels, noise, saved models, the page."""

from __future__ import annotations

import html
import json
import re
import runpy
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from tests.collection.sounds import imagined, melody, write
from tests.evidence.runs import run_on, songs
from whosings.audio import decode
from whosings.cli import audit as command
from whosings.collection.catalogue import open_collection
from whosings.collection.features import FeatureStore
from whosings.collection.sound import track_blocks
from whosings.collection.splits import Split
from whosings.collection.stems import StemStore
from whosings.collection.track import Part, SoundFile, Source, Track
from whosings.errors import WhosingsError
from whosings.evidence.audit import Audit, SavedModel, audit, audit_run, load_outside
from whosings.evidence.audit.heat import heat_shares, share
from whosings.evidence.audit.measures import mean
from whosings.evidence.audit.model import answered
from whosings.evidence.audit.swaps import Stems, deal, in_place_of, noise_bands, read_stems
from whosings.identify.ladder import Track2Windows, Windows2LogProbabilities
from whosings.models import ModelCard, create, save_model

RATE = 16_000
SINGERS = ("ada", "bo", "cy", "di")
VOICES = (1000, 1400, 1800, 2000)  # Hz: a tone for each singer
BANDS = (200, 260, 410, 550)
SECONDS = 4


class Listener:
    """Names the singer whose tone, of those it knows, is the loudest in each second."""

    singers = SINGERS
    window_seconds = 1.0

    def __init__(self, tones: tuple[int, ...]):
        self.tones = list(tones)

    def log_probabilities(self, sound: np.ndarray) -> np.ndarray:
        seconds = sound[: len(sound) // RATE * RATE].reshape(-1, RATE)
        heights = np.abs(np.fft.rfft(seconds))[:, self.tones]  # bins of 1 Hz
        return log_softmax(np.where(heights > 100, heights, 0))  # a tone has 800 or more, noise about 30


class Superstitious(Listener):
    """Hears voices, but takes noise between 3400 and 4200 Hz for di."""

    def log_probabilities(self, sound: np.ndarray) -> np.ndarray:
        rows = super().log_probabilities(sound)
        seconds = sound[: len(sound) // RATE * RATE].reshape(-1, RATE)
        noisy = np.abs(np.fft.rfft(seconds))[:, 3400:4200].mean(axis=1) > 5
        rows[noisy] = log_softmax(np.array([0.0, 0, 0, 9]))
        return rows


def log_softmax(scores: np.ndarray) -> np.ndarray:
    result: np.ndarray = scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)
    return result


def tone(hertz: int, amplitude: float) -> np.ndarray:
    samples: np.ndarray = amplitude * np.sin(2 * np.pi * hertz * np.arange(SECONDS * RATE) / RATE)
    return samples.astype(np.float32)


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two songs of each singer, voice on the right and band on the left."""
    root = tmp_path_factory.mktemp("tones")
    for singer, voice, band in zip(SINGERS, VOICES, BANDS, strict=True):
        for song in (1, 2):
            stereo = np.stack([tone(band, 0.2), tone(voice, 0.1 * song)], axis=1)
            write(root / f"{singer}_{song}_01.wav", stereo)
    return root


def heard(model: Listener, root: Path, out: Path) -> Audit:
    return audit(model, root, out, store=FeatureStore(out / "cache"), quiet=True)


@pytest.fixture(scope="module")
def of_voice(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return heard(Listener(VOICES), tones, tmp_path_factory.mktemp("voice"))


@pytest.fixture(scope="module")
def of_band(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return heard(Listener(BANDS), tones, tmp_path_factory.mktemp("band"))


def values(shares: dict[str, Any]) -> dict[str, float]:
    return {name: figure["value"] for name, figure in shares.items()}


@pytest.mark.parametrize("level", ["window", "song"])
def test_a_model_that_hears_only_the_voice(of_voice: Audit, level: str) -> None:
    found = of_voice.figures
    assert values(found["crossed"][level]) == {"voice": 1, "band": 0, "others": 0, "voice_less_band": 1}
    reliance = {"band_swapped_stay": 1, "voice_swapped_change": 1, "voice_less_band": 1}
    assert values(found["voice_reliance"][level]) == reliance
    accuracy = {sound: scored[level]["accuracy"] for sound, scored in found["accuracy"].items()}
    assert accuracy == {"mix": 1, "voice": 1, "band": 0.25, "band_swapped": 1}  # silence goes to the first
    assert found["changed_to_new"]["band_swapped"][level] is None
    assert found["changed_to_new"]["voice_swapped"][level]["value"] == 1
    assert found["lost_by_swap"][level]["value"] == 0
    assert of_voice.verdict[0].startswith("Of 100 answers, 100 stay when the band is swapped")
    assert of_voice.verdict[0].endswith("and 100 change when the voice is.")
    assert "the voice more than to the band" in of_voice.verdict[2]
    assert of_voice.verdict[3].endswith("the voice wins.")
    assert "100 of 100 answers are right" in of_voice.verdict[1]
    assert of_voice.verdict[1].endswith("band 100 (difference +0 to +0).")


@pytest.mark.parametrize("level", ["window", "song"])
def test_a_model_that_hears_only_the_band(of_band: Audit, level: str) -> None:
    found = of_band.figures
    assert values(found["crossed"][level]) == {"voice": 0, "band": 1, "others": 0, "voice_less_band": -1}
    reliance = {"band_swapped_stay": 0, "voice_swapped_change": 0, "voice_less_band": -1}
    assert values(found["voice_reliance"][level]) == reliance
    accuracy = {sound: scored[level]["accuracy"] for sound, scored in found["accuracy"].items()}
    assert accuracy == {"mix": 1, "voice": 0.25, "band": 1, "band_swapped": 0}
    assert found["changed_to_new"]["band_swapped"][level]["value"] == 1
    assert found["changed_to_new"]["voice_swapped"][level] is None
    assert found["lost_by_swap"][level]["value"] == 1
    assert "the band more than to the voice: a new band changes 100 of 100" in of_band.verdict[2]
    assert of_band.verdict[3].endswith("the band wins.")
    assert "bands give their singers away" in of_band.verdict[4]


def test_counts_chance_and_singers(of_voice: Audit) -> None:
    found = of_voice.figures
    assert (found["songs"], found["windows"], found["singers"]) == (8, 8 * SECONDS, 4)
    assert found["chance"]["song"] == {"largest_share": 0.25, "one_in_singers": 0.25}
    assert [row["singer"] for row in found["by_singer"]] == list(SINGERS)
    for row in found["by_singer"]:
        assert row["songs"] == 2 and row["band_swapped"] == {
            "value": 1.0,
            "interval": [1.0, 1.0],
            "n": 2 * SECONDS,
            "songs": 2,
        }
    assert found["heat"] is None
    assert found["separated"]["songs"] == 0
    assert all(song["partner_singer"] != song["singer"] for song in found["answers"])


def test_noise_is_told_by_its_band(tones: Path, of_voice: Audit, tmp_path: Path) -> None:
    for band in of_voice.figures["noise"]:
        assert band["changed"]["value"] == 0 and band["lost"]["value"] == 0
        assert band["drawn_to"]["singer"] is None
    found = heard(Superstitious(VOICES), tones, tmp_path).figures
    assert found["accuracy"]["mix"]["window"]["accuracy"] == 1
    changed = {(band["low"], band["high"]): band["changed"]["value"] for band in found["noise"]}
    hit = [edges for edges, value in changed.items() if value]
    assert hit == [edges for edges in changed if edges[0] < 3800 < edges[1]]
    (noisy,) = (band for band in found["noise"] if band["changed"]["value"])
    assert noisy["changed"]["value"] == 0.75  # di's own stay
    assert noisy["lost"]["value"] == 0.75 and noisy["accuracy"]["value"] == 0.25
    assert noisy["drawn_to"] == {"singer": "di", "share_of_changed": 1.0}


def test_noise_bands_cover_all_that_is_heard() -> None:
    bands = noise_bands()
    assert bands[0].low == 50 and bands[-1].high == RATE / 2
    assert all(below.high == above.low for below, above in pairwise(bands))


def test_the_same_seed_gives_the_same_files(tones: Path, of_voice: Audit, tmp_path: Path) -> None:
    again = heard(Listener(VOICES), tones, tmp_path)
    assert again.numbers.read_bytes() == of_voice.numbers.read_bytes()
    page = again.page.read_text(encoding="utf-8")
    assert page == of_voice.page.read_text(encoding="utf-8")
    assert again.verdict[0] in html.unescape(page) and "http" not in page.replace("http-equiv", "")
    assert json.loads(again.numbers.read_text())["verdict"] == again.verdict


def test_each_song_meets_another_singer_and_each_band_is_used_once() -> None:
    tracks = imagined({"a": 1, "b": 1, "c": 1, "d": 1}, songs=3).tracks
    partners = deal(tracks, seed=3)
    assert all(partners[track.id].artist != track.artist for track in tracks)
    assert all(partners[track.id].title != track.title for track in tracks)
    used = [partner.id for partner in partners.values()]
    assert max(map(used.count, used)) <= 2
    for singer in "abcd":
        assert len({partners[track.id].artist for track in tracks if track.artist == singer}) > 1
    assert deal(tracks, seed=3) == partners
    assert deal(tracks, seed=4) != partners


def test_recordings_of_one_work_do_not_meet() -> None:
    tracks = imagined({"a": 1, "b": 1, "c": 1, "d": 1}, songs=2).tracks
    works = {track.id: f"{track.artist in 'ab'}" for track in tracks}
    for seed in range(5):
        partners = deal(tracks, seed, [{}, works])
        assert all(works[partners[track.id].id] != works[track.id] for track in tracks)
    unaware = [(track, deal(tracks, seed)[track.id]) for track in tracks for seed in range(5)]
    assert any(works[track.id] == works[partner.id] for track, partner in unaware)
    everywhere = dict.fromkeys(works, "the same")
    assert len(deal(tracks, 0, [everywhere])) == len(tracks)  # nothing else to swap with


def test_one_singer_has_nobody_to_swap_with() -> None:
    with pytest.raises(WhosingsError, match="two singers"):
        deal(imagined({"a": 1}).tracks)


def test_what_takes_a_place_is_as_long_and_as_loud() -> None:
    old, new = np.full(7, 0.5, np.float32), np.array([1, -1, 1], np.float32)
    fitted = in_place_of(old, new)
    assert fitted.tolist() == pytest.approx([0.5, -0.5, 0.5, 0.5, -0.5, 0.5, 0.5])
    assert in_place_of(np.zeros(2, np.float32), new).tolist() == [1, -1]  # beside silence
    assert not in_place_of(old, np.zeros(3, np.float32)).any()


def test_levels_are_those_of_the_mix(tmp_path: Path) -> None:
    pairs = [(melody(1, 1.5), 0.3 * melody(2, 1.2)), (0.5 * melody(3, 1.0), melody(4, 1.0))]
    parts = []
    for number, (voice, band) in enumerate(pairs):
        files = [
            write(tmp_path / f"{number}{name}.wav", sound)
            for name, sound in zip("vb", (voice, band), strict=True)
        ]
        parts.append(Part(vocals=SoundFile(files[0]), accompaniment=SoundFile(files[1])))
    track = Track("Ada", "One", "Song", tuple(parts))
    for source in (Source("mix", 3.0), Source("mix")):
        mix = np.concatenate(list(track_blocks(track, source)))
        assert read_stems(track, source.mix_db).mix == pytest.approx(mix, abs=1e-6)
    voice, band = (decode.read(parts[1].vocals.path), decode.read(parts[1].accompaniment.path))  # type: ignore[union-attr]
    mixed = write(tmp_path / "mix.wav", 0.25 * (voice + band))
    recorded = replace(track, parts=(replace(parts[1], mix=SoundFile(mixed)),))
    assert read_stems(recorded).voice == pytest.approx(0.25 * voice, abs=1e-4)
    assert read_stems(recorded).mix == pytest.approx(decode.read(mixed), abs=1e-4)


def test_means_and_their_intervals() -> None:
    values = [np.array([1.0, 1.0, np.nan]), np.array([0.0, 0.0]), np.array([np.nan]), np.array([1.0, 0.0])]
    figure = mean(values, ["a", "a", "b", "b"])
    assert figure is not None
    assert (figure["value"], figure["n"], figure["songs"]) == (0.5, 6, 3)
    low, high = figure["interval"]
    assert 0 <= low < 0.5 < high <= 1
    assert mean([np.array([1.0])], ["a"]) == {"value": 1.0, "interval": None, "n": 1, "songs": 1}
    assert mean([np.array([np.nan])], ["a"]) is None


def test_shares_of_heat() -> None:
    maps = np.array([[[1.0, 3.0]], [[0.0, 0.0]]])
    inside = np.array([[[True, False]], [[True, True]]])
    assert share(maps, inside)[0] == 0.25
    assert np.isnan(share(maps, inside)[1])


def test_an_unreadable_song_stops_nothing(tones: Path, tmp_path: Path) -> None:
    for path in tones.iterdir():
        (tmp_path / "songs").mkdir(exist_ok=True)
        (tmp_path / "songs" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "songs" / "cy_1_01.wav").write_bytes(b"RIFF and nothing else")
    (tmp_path / "songs" / "bo_1_01.wav").write_bytes(b"")
    found = heard(Listener(VOICES), tmp_path / "songs", tmp_path / "out").figures
    assert found["songs"] == 6
    assert "cy_1_01.wav" in " ".join(found["failed"].values())


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (np.zeros((2, 4)), "no natural log-probabilities"),
        (np.full((2, 4), np.nan), "no natural log-probabilities"),
        (np.log(np.full((2, 3), 1 / 3)), "in place of"),
        (np.log(np.full((3, 4), 1 / 4)), "3 windows"),
    ],
)
def test_answers_that_are_none(rows: np.ndarray, said: str) -> None:
    class Wrong(Listener):
        def log_probabilities(self, sound: np.ndarray) -> np.ndarray:
            return rows

    with pytest.raises(WhosingsError, match=said):
        answered(Wrong(VOICES), np.zeros(RATE, np.float32), windows=2)


def test_a_model_that_breaks_is_told_with_its_reason(tones: Path, tmp_path: Path) -> None:
    class Broken(Listener):
        def log_probabilities(self, sound: np.ndarray) -> np.ndarray:
            raise KeyError("weights")

    with pytest.raises(WhosingsError, match=r"no song could be audited.*KeyError"):
        heard(Broken(VOICES), tones, tmp_path)
    assert not list(tmp_path.glob("audit.*"))


OUTSIDE = """
import numpy as np

class Model:
    singers = ["ada", "bo", "cy", "di"]
    window_seconds = 1

    def log_probabilities(self, sound):
        return np.log(np.full((len(sound) // 16000, 4), [0.1, 0.2, 0.3, 0.4]))

ready = Model()
unfinished = object()
"""


def command_line(*words: object) -> tuple[int, str, BaseException | None]:
    app = typer.Typer()
    app.command()(command.audit)
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, " ".join(done.output.split()), done.exception


def test_a_model_made_outside_on_the_command_line(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHOSINGS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "outside_model.py").write_text(OUTSIDE)
    for named in ("outside_model.py:Model", "outside_model:ready"):
        status, said, _ = command_line("--model", named, tones, "--out", tmp_path / "out")
        assert status == 0
        assert "neither wins" in said
        assert json.loads((tmp_path / "out" / "audit.json").read_text())["model"] == named
    for named, reason in (
        ("outside_model:unfinished", "cannot be loaded"),
        ("outside_model:nothing", "AttributeError"),
        ("nowhere.py:ready", "FileNotFoundError"),
        ("outside_model", "package.module:object"),
    ):
        with pytest.raises(WhosingsError, match=reason):
            load_outside(named)
    assert isinstance(command_line(tones)[2], WhosingsError)
    assert isinstance(command_line("--model", "outside_model:ready", tones, tones)[2], WhosingsError)


def test_the_documented_model_runs_as_it_stands(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
    model, in_python = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHOSINGS_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mfcc_model.py").write_text(model)
    (tmp_path / "songs").symlink_to(tones)
    ids = [track.id for track in open_collection(tones).tracks]
    one, two = ([name for name in ids if name.endswith(f"_{song}")] for song in (1, 2))
    Split("kuo", 0, 0, SINGERS, tuple(one), (), tuple(two)).save(tmp_path / "split.json")
    words = re.search(r"audit (--model mfcc_model.*?) --out audit$", page, re.MULTILINE)
    assert words is not None
    status, said, _ = command_line(*words[1].split(), "--out", "audit")
    assert status == 0 and "Of 100 answers, 100 stay" not in said
    found = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert found["songs"] == len(two) and found["accuracy"]["mix"]["song"]["accuracy"] == 1
    (tmp_path / "in_python.py").write_text(in_python)
    runpy.run_path("in_python.py")
    assert found["verdict"][0] in capsys.readouterr().out


class Quarter:
    """A separator that gives a quarter of the mix to the voice."""

    name, version = "quarter", "1"

    def __call__(self, blocks: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for block in blocks:
            yield 0.25 * block, 0.75 * block


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `songs` without stems, and a `run` trained on them."""
    home = tmp_path_factory.mktemp("trained")
    run_on(songs(home / "songs", per_album=1, seconds=3.5), home / "run", FeatureStore(home / "cache"))
    return home


def test_a_saved_model_hears_arrays_as_it_hears_files(trained: Path) -> None:
    model = SavedModel(trained / "run", device="cpu")
    track = open_collection(trained / "songs").tracks[1]
    windows = Track2Windows(FeatureStore(trained / "cache"), model.card)(track)
    expected = Windows2LogProbabilities(model.members[0].network)(windows)
    part = track.parts[0].mix
    assert part is not None
    assert model.log_probabilities(decode.read(part.path)) == pytest.approx(expected, abs=1e-3)


def test_a_saved_model_is_audited_on_its_test_songs(trained: Path) -> None:
    store = FeatureStore(trained / "cache")
    store.stems = StemStore(store.root, store.file_hash, lambda name: Quarter())
    result = audit_run(trained / "run", trained / "songs", store=store, quiet=True)
    found = result.figures
    split = json.loads((trained / "run" / "split.json").read_text())
    assert {song["track"] for song in found["answers"]} == set(split["test"])
    assert found["split_sha256"] == split["sha256"]
    assert found["separated"] == {"separator": "spleeter", "songs": 3}
    heat = found["heat"]
    for name in ("heat", "even", "energy"):
        assert heat[f"{name}_on_voice"]["value"] == 0  # a quarter is nowhere the louder
        assert 0.2 < heat[f"{name}_on_band"]["value"] <= 1
        assert heat["heat_less_even_on_voice"]["value"] == 0
    assert result.page == trained / "run" / "audit" / "audit.html"
    page = " ".join(result.page.read_text(encoding="utf-8").split())
    assert "3 of 3 songs came without stems" in page
    assert "no reliable sign" in page
    for name in ("swaps", "crossed", "parts", "noise"):
        assert (result.page.parent / f"{name}.png").is_file()


def test_heat_of_models_that_have_maps(tmp_path: Path) -> None:
    track = Track("ada", "album", "ada", ())
    stems = Stems(track, melody(1, 4.0), 0.01 * melody(2, 4.0))
    for system, has_maps in (("voiceprint_campplus", True), ("voiceprint", False)):
        card = ModelCard(system=system, singers=list(SINGERS), window_seconds=3)
        save_model(tmp_path / system, create(system, len(SINGERS)), card)
        found = heat_shares(SavedModel(tmp_path / system, device="cpu"), stems)
        assert (found is not None) == has_maps
        if found is not None:
            assert found.heat_on_voice.shape == (2,)
            assert np.all(found.even_on_voice > found.even_on_band)
            assert np.all(found.heat_on_voice + found.heat_on_band <= 1 + 1e-6)


def test_collections_that_cannot_be_audited(trained: Path, tones: Path, tmp_path: Path) -> None:
    with pytest.raises(WhosingsError, match="no song here by a singer"):
        audit_run(trained / "run", tones, tmp_path, quiet=True)
    (tmp_path / "one").mkdir()
    for path in tones.glob("ada*"):
        (tmp_path / "one" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(WhosingsError, match="1 singer"):
        heard(Listener(VOICES), tmp_path / "one", tmp_path / "out")
    with pytest.raises(WhosingsError, match="not a trained model"):
        audit_run(tmp_path, tones, tmp_path, quiet=True)
