"""Ensembles: what they answer worked out by hand, how their weights are chosen, and what cannot be joined."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import whosings
from tests.collection.sounds import melody, write
from tests.command import whosings as command
from tests.sung import all_is_sung
from tests.training.songs import training_of
from whosings.collection.catalogue import open_collection
from whosings.collection.features import FeatureStore
from whosings.collection.splits import Split, make_split
from whosings.collection.stems import StemStore
from whosings.collection.track import SourceName
from whosings.errors import WhosingsError
from whosings.identify.calibration import fit
from whosings.identify.identifier import calibrate
from whosings.identify.join import choose_weights, join, log_likelihood, weight_grid
from whosings.identify.ladder import (
    Track2LogProbabilities,
    Track2Windows,
    Windows2LogProbabilities,
    lone_track,
)
from whosings.models import ModelCard, create, load_model, save_model
from whosings.models.calibration import Calibration
from whosings.models.ensemble import Member, average, load_members
from whosings.models.precision import answering
from whosings.models.store import load_card, save_card
from whosings.training.record import read_record

__all__ = ["all_is_sung"]
pytestmark = pytest.mark.usefixtures("all_is_sung")

SINGERS = ("Ada", "Bo", "Cy")


class Halves:
    """Gives the differences of samples to the vocals, the rest to the accompaniment; counts its work."""

    name, version = "halves", "1"

    def __init__(self) -> None:
        self.heard = 0

    def __call__(self, blocks: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        self.heard += 1
        for block in blocks:
            vocals = np.diff(block, prepend=block[:1]).astype(np.float32)
            yield vocals, block - vocals


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `songs`, and the runs `mix` and `vocals`, untrained but with opinions."""
    home = tmp_path_factory.mktemp("home")
    for number, singer in enumerate(SINGERS):
        for album in range(4):
            path = home / "songs" / singer / f"album {album}" / "song.flac"
            write(path, melody(10 * number + album, 7.0 + album))
    with pytest.MonkeyPatch.context() as patch:
        separate_by(patch, Halves())
        run_in(home, "mix", "mix")
        run_in(home, "vocals", "vocals")
    return home


@pytest.fixture(autouse=True)
def separator(home: Path, monkeypatch: pytest.MonkeyPatch) -> Halves:
    monkeypatch.setenv("WHOSINGS_CACHE", str(home / "cache"))
    halves = Halves()
    separate_by(monkeypatch, halves)
    return halves


@pytest.fixture(scope="module")
def ensemble(home: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHOSINGS_CACHE", str(home / "cache"))
        separate_by(patch, Halves())
        done = command("join", home / "mix", home / "vocals", "--out", home / "both")
    assert (done.status, [line for line in done.err.splitlines() if line]) == (0, [])
    for word in ("mix", "vocals", "together", "log-likelihood"):
        assert word in done.out
    return home / "both"


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """Eleven seconds: three windows of 3 s and a fourth that overlaps."""
    return write(tmp_path / "song.flac", melody(1, 11.0))


def separate_by(patch: pytest.MonkeyPatch, halves: Halves) -> None:
    patch.setattr(StemStore, "_separator", lambda *_: halves)


def run_in(home: Path, name: str, source: SourceName, system: str = "crnn") -> Path:
    """Write a run as training leaves it, without the training."""
    collection = open_collection(home / "songs")
    training = training_of(collection, "crnn", split=make_split(collection, "kuo"))
    torch.manual_seed(len(name))
    network = create(system, len(SINGERS))
    if system == "crnn":
        with torch.no_grad():
            network.get_parameter("head.dense.weight").mul_(20)
    separator = "stems" if source == "mix" else "spleeter"
    card = ModelCard(
        system=system, singers=list(SINGERS), window_seconds=3, source=source, separator=separator
    )
    run = home / name
    save_model(run, network, card)
    training.split.save(run / "split.json")
    record = {"arguments": {**training.arguments(), "source": source}, "complete": True}
    (run / "run.json").write_text(json.dumps(record))
    calibrate(run, training, FeatureStore(home / "cache"))
    return run


def says(run: Path, song: Path, store: FeatureStore) -> np.ndarray:
    """Log-probabilities (windows, singers) of a single model at its temperature, worked out by hand."""
    network, card = load_model(run)
    assert card.calibration is not None
    rows = Windows2LogProbabilities(network)(Track2Windows(store, card)(lone_track(song)))
    odds = np.exp(rows.astype(np.float64) / card.calibration.window_temperature)
    probabilities: np.ndarray = 0.999 * odds / odds.sum(axis=1, keepdims=True) + 0.001 / len(SINGERS)
    return np.log(probabilities)


def test_an_ensemble_says_the_weighted_mean_of_its_members(home: Path, ensemble: Path, song: Path) -> None:
    store = FeatureStore(home / "cache")
    members, card = load_members(ensemble)
    windows, rows = Track2LogProbabilities(members, store)(lone_track(song))
    mean = sum(weight * says(home / name, song, store) for name, weight in card.members.items())
    expected = mean - np.log(np.exp(mean).sum(axis=1, keepdims=True))
    assert rows.shape == (len(windows.starts), 3) == (4, 3)
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    np.testing.assert_allclose(np.exp(rows).sum(axis=1), 1)
    apart = says(home / "mix", song, store) - says(home / "vocals", song, store)
    assert np.abs(apart).max() > 0.1, "the members hear alike: this test says nothing"


def test_a_single_model_is_asked_alone(home: Path, song: Path) -> None:
    store = FeatureStore(home / "cache")
    network, card = load_model(home / "mix")
    windows = Track2Windows(store, card, steps=2)(lone_track(song))
    members, loaded = load_members(home / "mix")
    heard, rows = Track2LogProbabilities(members, store, steps=2)(lone_track(song))
    assert loaded == card
    assert heard.starts.tolist() == windows.starts.tolist()
    np.testing.assert_allclose(rows, Windows2LogProbabilities(network)(windows), atol=1e-6)


def test_the_answer_is_the_same_three_ways(ensemble: Path, song: Path) -> None:
    python = whosings.load(ensemble).identify(song)
    assert python.windows == 4
    done = command("identify", ensemble, song, "--json")
    assert (done.status, done.err) == (0, "")
    assert json.loads(done.out) == [python.to_dict()]
    (row,) = csv.DictReader(io.StringIO(command("identify", ensemble, song, "--csv").out))
    assert (row["nearest"], float(row["confidence"])) == (python.nearest, python.confidence)


def test_a_lone_file_is_separated_once(ensemble: Path, tmp_path: Path, separator: Halves) -> None:
    song = write(tmp_path / "new.flac", melody(77, 8.0))
    whosings.load(ensemble).identify(song)
    whosings.load(ensemble).identify(song)
    assert separator.heard == 1


def test_the_folder_is_a_run_and_stands_alone(home: Path, ensemble: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(ensemble, tmp_path / "moved"))
    card, record = load_card(moved), read_record(moved)
    assert (card.system, card.singers, list(card.members)) == ("ensemble", list(SINGERS), ["mix", "vocals"])
    assert sum(card.members.values()) == 1
    for name in card.members:
        assert load_card(moved / "members" / name) == load_card(home / name)
        assert record["members"][name]["record"] == read_record(home / name)
        assert record["members"][name]["weight"] == card.members[name]
    assert record["complete"] is True and record["machine"]["torch"] == torch.__version__
    assert record["arguments"]["split_sha256"] == Split.load(moved / "split.json").sha256
    done = command("evaluate", moved)
    assert done.status == 0, done.err
    metrics = json.loads((moved / "metrics.json").read_text())
    assert (metrics["system"], metrics["source"]) == ("ensemble", "mix and vocals")
    assert (metrics["members"], metrics["song"]["n"]) == (card.members, 3)


def test_scores_and_calibration_are_those_of_what_is_saved(home: Path, ensemble: Path) -> None:
    """Validation songs are heard anew, through the saved ensemble."""
    members, card = load_members(ensemble)
    collection, split = open_collection(home / "songs"), Split.load(ensemble / "split.json")
    hear = Track2LogProbabilities(members, FeatureStore(home / "cache"))
    tracks = [collection.track(name) for name in split.validation]
    rows = {track.id: hear(track)[1] for track in tracks}
    codes = {track.id: SINGERS.index(track.artist) for track in tracks}
    calibration = fit(rows, codes, card.vote)
    assert card.calibration is not None
    assert card.calibration.window_temperature == pytest.approx(calibration.window_temperature, rel=1e-3)
    windows = np.concatenate(list(rows.values()))
    true = np.repeat(list(codes.values()), [len(row) for row in rows.values()])
    scores = read_record(ensemble)["validation"]
    assert scores["log_likelihood"] == pytest.approx(log_likelihood(windows, true), abs=1e-4)
    of_members = [member["validation"] for member in read_record(ensemble)["members"].values()]
    assert scores["log_likelihood"] >= max(member["log_likelihood"] for member in of_members) - 1e-6


def test_the_unknown_and_other_collections_are_scored_as_of_a_single_model(
    ensemble: Path, tmp_path: Path
) -> None:
    for at, singer in enumerate(("Ada", "Bo", "Zed")):
        write(tmp_path / f"other/{singer}/live/song.flac", melody(50 + at, 6.0))
    unknown = {"song_threshold": -0.5, "window_threshold": -0.5, "song_scale": 0.1, "window_scale": 0.1}
    calibration = {"window_temperature": 1.0, "song_temperature": 1.0, "fitted_on": "nothing"}
    run = Path(shutil.copytree(ensemble, tmp_path / "run"))
    fitted = Calibration.model_validate({**calibration, "unknown": {**unknown, "auroc": None, "songs": 5}})
    save_card(run, load_card(run).model_copy(update={"calibration": fitted}))
    assert command("evaluate", run, "--collection", tmp_path / "other").status == 0
    metrics = json.loads((run / "on-other" / "metrics.json").read_text())
    assert metrics["song"]["n"] == 2
    assert (metrics["unknown"]["songs"], metrics["unknown"]["singers"]) == (1, 1)


def test_members_of_other_front_ends_hear_the_windows_of_the_first(home: Path, tmp_path: Path) -> None:
    """Windows of 3 s are 94 frames of 32 ms, or 300 of 10 ms: after 10 minutes they would be 1.6 s apart."""
    song = lone_track(write(tmp_path / "long.flac", melody(3, 16.0)))
    store = FeatureStore(home / "cache")
    crnn, card = load_model(home / "mix")
    other = ModelCard(system="voiceprint", singers=list(SINGERS), window_seconds=3)
    voiceprint = create("voiceprint", 3).eval()
    members = [Member(crnn, card), Member(voiceprint, other)]
    windows, each = Track2LogProbabilities(members, store).each(song)
    own = Track2Windows(store, card)(song)
    assert windows.starts.tolist() == own.starts.tolist()
    assert each.shape == (len(own.starts), 2, 3)
    features = store.features(song, other.sound, Track2Windows(store, other).hearing)
    starts = np.minimum(np.rint(own.start_seconds * 100).astype(int), features.frames - 300)
    pieces = torch.from_numpy(np.stack([features.window(int(start), 300) for start in starts]))
    with torch.inference_mode(), answering(voiceprint, "cpu"):
        expected = voiceprint(pieces).float().log_softmax(-1).numpy()
    np.testing.assert_allclose(each[:, 1], expected, atol=1e-4)
    turned, _ = Track2LogProbabilities(members[::-1], store).each(song)
    assert turned.starts.tolist() == Track2Windows(store, other)(song).starts.tolist()


def test_singers_in_another_order_are_put_in_that_of_the_ensemble(
    home: Path, ensemble: Path, song: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(ensemble, tmp_path / "run"))
    card = load_card(run / "members/mix")
    save_card(run / "members/mix", card.model_copy(update={"singers": ["Bo", "Cy", "Ada"]}))
    store = FeatureStore(home / "cache")
    _, before = Track2LogProbabilities(load_members(ensemble)[0], store).each(lone_track(song))
    _, after = Track2LogProbabilities(load_members(run)[0], store).each(lone_track(song))
    np.testing.assert_array_equal(after[:, 0], before[:, 0][:, [2, 0, 1]])
    np.testing.assert_array_equal(after[:, 1], before[:, 1])


def test_the_weights_that_are_tried() -> None:
    assert weight_grid(2) == [(0.5, 0.5), (0.25, 0.75), (0.75, 0.25), (0.0, 1.0), (1.0, 0.0)]
    three = weight_grid(3)
    assert three[0] == pytest.approx((1 / 3,) * 3)
    assert len(three) == 15 + 1
    assert all(sum(weights) == pytest.approx(1) for weights in three)


@pytest.mark.parametrize(("sure", "weights"), [((1.0, 1.0), (0.5, 0.5)), ((1.0, 0.0), (1.0, 0.0))])
def test_weights_go_to_those_who_know(sure: tuple[float, float], weights: tuple[float, float]) -> None:
    """Two of equal skill and independent errors share; one that guesses gets nothing."""
    random = np.random.default_rng(0)
    true = {str(at): at % 3 for at in range(60)}
    rows = {
        name: random.normal(0, 2, (4, 2, 3)) + 4 * np.array(sure)[None, :, None] * (np.arange(3) == code)
        for name, code in true.items()
    }
    assert choose_weights(rows, true) == weights


def test_the_average_is_geometric() -> None:
    probabilities = np.array([[[0.8, 0.2], [0.5, 0.5]]])
    (row,) = np.exp(average(np.log(probabilities), (0.5, 0.5)))
    assert row == pytest.approx(np.array([2.0, 1.0]) / 3)


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def one(mix: Path, vocals: Path, ensemble: Path) -> list[Path]:
    return [mix]


def twice(mix: Path, vocals: Path, ensemble: Path) -> list[Path]:
    return [mix, mix]


def other_singers(mix: Path, vocals: Path, ensemble: Path) -> list[Path]:
    change(vocals / "model.json", singers=["Ada", "Bo", "Zed"])
    return [mix, vocals]


def other_window(mix: Path, vocals: Path, ensemble: Path) -> list[Path]:
    change(vocals / "model.json", window_seconds=5)
    return [mix, vocals]


def other_level(mix: Path, vocals: Path, ensemble: Path) -> list[Path]:
    change(vocals / "model.json", mix_db=0.0)
    return [mix, vocals]


def other_split(mix: Path, vocals: Path, ensemble: Path) -> list[Path]:
    collection = open_collection(Path(read_record(mix)["arguments"]["collection"]))
    split = make_split(collection, "kuo", seed=3)
    split.save(vocals / "split.json")
    change(vocals / "run.json", arguments={**read_record(vocals)["arguments"], "split_sha256": split.sha256})
    return [mix, vocals]


def an_ensemble(mix: Path, vocals: Path, ensemble: Path) -> list[Path]:
    return [mix, ensemble]


def no_run(mix: Path, vocals: Path, ensemble: Path) -> list[Path]:
    return [mix, mix.parent]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (one, "two models or more"),
        (twice, "two models or more"),
        (other_singers, "knows other singers"),
        (other_window, "windows of 5 s, and the ensemble 3 s"),
        (other_level, "3 s of mixes at 0 dB, and the ensemble 3 s"),
        (other_split, "trained on another split"),
        (an_ensemble, "by its members"),
        (no_run, "not a trained model"),
    ],
)
def test_what_cannot_be_joined_is_one_sentence(
    spoil: Any, words: str, home: Path, ensemble: Path, tmp_path: Path
) -> None:
    mix, vocals = (Path(shutil.copytree(home / name, tmp_path / name)) for name in ("mix", "vocals"))
    done = command("join", *spoil(mix, vocals, ensemble), "--out", tmp_path / "out")
    assert (done.status, done.out) == (2, "")
    (line,) = [line for line in done.err.splitlines() if line]
    assert line.startswith("whosings: ")
    assert words in line
    assert not (tmp_path / "out").exists()


def test_a_run_is_not_written_over(home: Path, ensemble: Path) -> None:
    before = (home / "mix" / "model.json").read_bytes()
    with pytest.raises(WhosingsError, match="a run here already"):
        join([home / "mix", home / "vocals"], home / "mix", FeatureStore(home / "cache"), quiet=True)
    assert (home / "mix" / "model.json").read_bytes() == before


def test_members_of_one_name_are_told_apart(home: Path, tmp_path: Path) -> None:
    again = Path(shutil.copytree(home / "vocals", tmp_path / "mix"))
    joined = join([home / "mix", again], tmp_path / "out", FeatureStore(home / "cache"), quiet=True)
    assert list(joined.card.members) == ["mix", "mix-2"]
    assert load_card(tmp_path / "out/members/mix-2").source == "vocals"


def test_an_ensemble_is_explained_by_its_members(ensemble: Path, song: Path, tmp_path: Path) -> None:
    done = command("explain", ensemble, song, "--out", tmp_path / "out")
    assert done.status == 2
    assert "explained and worked on by its members" in done.err
    assert str(ensemble / "members" / "mix") in done.err
    assert command("evaluate", ensemble, "--branch", "counterfactual").status == 2
    assert command("explain", ensemble / "members/mix", song, "--out", tmp_path / "out").status == 0


def test_stems_of_another_length_are_a_sentence(ensemble: Path, tmp_path: Path) -> None:
    """A collection's own stems may be shorter than the mix."""
    members, _ = load_members(ensemble)
    song = lone_track(write(tmp_path / "song.flac", melody(1, 12.0)))
    store = FeatureStore(tmp_path / "cache")
    features = store.features

    def cut_short(track: Any, source: Any, hearing: Any) -> Any:
        heard = features(track, source, hearing)
        return heard if source.name == "mix" else heard._replace(log_mel=heard.log_mel[:, :200])

    store.features = cut_short  # type: ignore[method-assign]
    with pytest.raises(WhosingsError, match=r"lasts 12\.0, 6\.4 s"):
        Track2LogProbabilities(members, store)(song)
