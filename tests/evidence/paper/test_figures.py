"""Figures 1 and 4: shares, silhouettes and intervals on synthetic input, and both figures from end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import silhouette_score
from torch import Tensor, nn

from tests.collection.sounds import melody, write
from whosings.audio.frontend import SINGER
from whosings.collection.catalogue import open_collection
from whosings.collection.features import FeatureStore
from whosings.collection.track import Part, SoundFile, Source, Track
from whosings.collection.windows import Features
from whosings.errors import WhosingsError
from whosings.evidence.paper import embedding, figure1, figure4
from whosings.evidence.paper.embedding import DIFFERENCE, Heard, MeanOfWindows, Silhouette, compare, plane
from whosings.evidence.paper.figure1 import LABELS, cam_shares, energy_share, typical
from whosings.evidence.paper.figures import SYSTEMS, FigureReport, number, verdict, written
from whosings.evidence.paper.grid import Grid, Settings
from whosings.evidence.paper.plan import Draw
from whosings.identify.ladder import Track2Windows, Windows, Windows2LogProbabilities
from whosings.models import load_model

ARTISTS = ("Ada", "Bo", "Cy")


def heard(artist: str, title: str, embeddings: np.ndarray) -> Heard:
    track = Track(artist, "album", title, (Part(mix=SoundFile(Path("none.wav"))),))
    windows = Windows(Features(np.zeros((128, 157))), np.arange(len(embeddings)), 157)
    return Heard(track, windows, embeddings, np.zeros((len(embeddings), 3)))


def cloud(songs: int, apart: float, seed: int = 0, windows: int = 6, by_song: float = 0.5) -> list[Heard]:
    """Songs of three artists around a centre each, `apart` from each other."""
    generator = np.random.default_rng(seed)
    found = []
    for at, artist in enumerate(ARTISTS):
        for song in range(songs):
            centre = apart * np.eye(32)[at] + by_song * generator.standard_normal(32)
            found.append(heard(artist, str(song), centre + 0.3 * generator.standard_normal((windows, 32))))
    return found


def silhouette_of(songs: list[Heard]) -> float:
    statistic = Silhouette(songs)
    return float(statistic(np.ones((1, len(statistic.songs))))[0])


def test_silhouettes_are_those_of_scikit_learn() -> None:
    songs = cloud(4, apart=2.0)
    songs[1] = replace(songs[1], embeddings=songs[1].embeddings[:2])  # not all songs are of one length
    songs.append(heard("Dee", "alone", np.ones((1, 32))))
    labels = np.repeat([song.track.artist for song in songs], [len(song.embeddings) for song in songs])
    expected = silhouette_score(np.concatenate([song.embeddings for song in songs]), labels)
    assert silhouette_of(songs) == pytest.approx(expected, abs=1e-12)
    assert silhouette_of(songs[::-1]) == pytest.approx(expected, abs=1e-12)


def test_silhouettes_know_apart_from_mixed_up() -> None:
    two = [heard("Ada", "a", np.zeros((3, 32))), heard("Bo", "b", np.ones((2, 32)))]
    assert silhouette_of(two) == 1
    same = [heard("Ada", "a", np.ones((3, 32))), heard("Bo", "b", np.ones((2, 32)))]
    assert silhouette_of(same) == 0


def test_a_silhouette_of_chosen_songs_is_that_of_these_songs() -> None:
    songs = cloud(3, apart=2.0)
    statistic = Silhouette(songs)
    weights = np.array([0 if song in (1, 5) else 1 for song in range(9)])
    left = [song for song, weight in zip(songs, weights, strict=True) if weight]
    np.testing.assert_allclose(statistic(weights[None].astype(float)), silhouette_of(left))
    np.testing.assert_allclose(statistic(np.full((2, 9), 3.0)), silhouette_of(songs), atol=0.02)
    only_one = np.array([[1.0] * 3 + [0.0] * 6])
    assert np.isnan(statistic(only_one)).all()


def test_means_count_windows_alike() -> None:
    songs = cloud(1, 1.0)
    values = [np.array([1.0, 0.0, np.nan]), np.array([1.0]), np.array([np.nan])]
    mean = MeanOfWindows(songs, values)
    weights = np.array([[1.0, 1, 1], [0, 1, 5], [2, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(mean(weights), [2 / 3, 1, 3 / 5, np.nan])


def test_a_comparison_pairs_songs_and_averages_draws() -> None:
    """The second system is better by .1 on every song, whatever the song: the difference is sure."""
    generator = np.random.default_rng(1)
    songs = cloud(6, 1.0)
    of_song = generator.uniform(0.2, 0.7, len(songs))
    first, second = (
        [MeanOfWindows(songs, [np.full(4, value + more + draw / 10) for value in of_song]) for draw in (0, 1)]
        for more in (0.0, 0.1)
    )
    found = compare({"a": first, "b": second})
    assert found["a"]["value"] == pytest.approx(of_song.mean() + 0.05)
    assert found["a"]["draws"][1]["value"] == pytest.approx(of_song.mean() + 0.1)
    assert found[DIFFERENCE]["value"] == pytest.approx(0.1)
    assert found[DIFFERENCE]["interval"] == pytest.approx([0.1, 0.1])
    low, high = found["a"]["interval"]
    assert low < found["a"]["value"] < high
    # the draws have the same songs: two of them are no better than one
    alone_low, alone_high = found["a"]["draws"][0]["interval"]
    assert high - low == pytest.approx(alone_high - alone_low, rel=1e-6)
    # within three artists of six songs each: 1.96 standard errors to each side
    errors = [of_song[at : at + 6].std(ddof=1) ** 2 / 6 for at in (0, 6, 12)]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(np.sum(errors)) / 3, rel=0.15)


def test_draws_of_one_song_each_are_pooled() -> None:
    songs = [heard("Ada", str(at), np.zeros((1, 32))) for at in range(5)]
    values = [0.1, 0.2, 0.3, 0.4, 0.5]
    draws = [MeanOfWindows([song], [np.array([value])]) for song, value in zip(songs, values, strict=True)]
    found = compare({"a": draws, "b": draws})["a"]
    low, high = found["interval"]
    assert found["value"] == pytest.approx(0.3)
    assert high - low == pytest.approx(2 * 1.96 * np.std(values, ddof=1) / np.sqrt(5), rel=0.2)
    assert all(draw["interval"] == [0.0, 1.0] for draw in found["draws"])


@pytest.mark.parametrize("count", [1, embedding.FEWEST_SONGS - 1])
def test_too_few_songs_have_the_whole_range(count: int) -> None:
    songs = cloud(count, 1.0)[:count]
    values = [np.array([0.5 + 0.01 * at]) for at in range(count)]
    few = compare({name: [MeanOfWindows(songs, values)] for name in "ab"})
    assert few["a"]["interval"] == [0.0, 1.0]
    assert few[DIFFERENCE]["interval"] == [-1.0, 1.0]


def test_what_nothing_spoke_for_has_no_value() -> None:
    songs = cloud(1, 1.0)[:1]
    none = compare({name: [MeanOfWindows(songs, [np.array([np.nan])])] for name in "ab"})
    assert none["a"]["value"] is None and none[DIFFERENCE]["interval"] is None
    assert written(none["a"]) == "none"


def test_songs_of_one_window_are_not_taken_for_certain() -> None:
    """Two songs an artist, a window each: a round leaves every window alone and tells nothing."""
    statistic = Silhouette(cloud(2, 2.0, windows=1))
    found = compare({"a": [statistic], "b": [statistic]}, (-1.0, 1.0))
    assert found["a"]["interval"] == [-1.0, 1.0]


def test_silhouette_intervals_hold_the_true_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing songs anew moves the silhouette as much as the interval says."""
    monkeypatch.setattr(embedding, "ROUNDS", 200)
    truth = np.mean([silhouette_of(cloud(6, 2.0, seed)) for seed in range(100)])
    held = []
    for seed in range(200, 230):
        statistic = Silhouette(cloud(6, 2.0, seed))
        low, high = compare({"a": [statistic], "b": [statistic]}, (-1.0, 1.0))["a"]["interval"]
        held.append(low <= truth <= high)
    assert np.mean(held) >= 0.85


class Fixed(nn.Module):
    """A network whose Grad-CAM for singer 0 is known: its one feature, weighed by 1; for singer 1 nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.cam_layer = nn.Identity()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, log_mel: Tensor) -> Tensor:
        feature = self.cam_layer(log_mel[:, None] * self.weight)
        total = feature.sum(dim=(1, 2, 3))
        return torch.stack([total, -total], dim=1)


def test_shares_of_heat_are_exact() -> None:
    log_mel = np.zeros((128, 30), dtype=np.float32)
    log_mel[10, :20], log_mel[100, :10], log_mel[100, 10:20] = 1.0, 3.0, 1.0
    windows = Windows(Features(log_mel), np.array([0, 10, 20]), 10)
    inside = np.arange(128) >= 64
    np.testing.assert_allclose(cam_shares(Fixed(), windows, 0, inside), [0.75, 0.5, np.nan])
    assert np.isnan(cam_shares(Fixed(), windows, 1, inside)).all()


def test_shares_of_energy_are_exact() -> None:
    log_mel = np.full((128, 20), -300.0)
    log_mel[10], log_mel[100, :10], log_mel[100, 10:] = 0.0, 10 * np.log10(3), -300.0
    windows = Windows(Features(log_mel), np.array([0, 10]), 10)
    song = replace(heard("Ada", "a", np.zeros((2, 32))), windows=windows)
    assert energy_share([song], np.arange(128) >= 64) == pytest.approx((0.75 + 0) / 2)


def test_the_band_is_that_of_the_noise() -> None:
    inside = figure1._band()
    centres = SINGER.centres[inside]
    assert 3000 <= centres.min() < 3100
    assert 4900 < centres.max() <= 5000
    assert inside.sum() == 21


def test_the_window_shown_is_typical() -> None:
    first = [np.array([0.9, np.nan]), np.array([0.6, 0.0])]  # mean .5
    second = [np.array([0.1, 0.3]), np.array([0.2, 0.6])]  # mean .3
    assert typical(first, second) == (1, 0)
    assert typical([np.array([np.nan])], [np.array([0.5])]) == (0, 0)


def test_t_sne_needs_windows_and_keeps_clusters() -> None:
    with pytest.raises(WhosingsError, match="at least 4"):
        plane(np.zeros((3, 32)), 0)
    assert not plane(np.ones((5, 32)), 0).any()
    songs = cloud(2, apart=30.0, by_song=0.1)
    points = plane(np.concatenate([song.embeddings for song in songs]), 0)
    np.testing.assert_array_equal(points, plane(np.concatenate([song.embeddings for song in songs]), 0))
    assert silhouette_score(points, np.repeat(ARTISTS, 12)) > 0.5


def test_numbers_are_written_as_in_the_results() -> None:
    assert [number(value) for value in (0.256, -0.13, 1.0, -0.001, -1.0)] == [
        ".26",
        "-.13",
        "1.00",
        ".00",
        "-1.00",
    ]
    assert written({"value": 0.394, "interval": [0.3, 0.56]}) == ".394 (.30 to .56)"
    assert verdict({"value": -0.1, "interval": [-0.2, -0.02]}).endswith("outside the noise")
    assert verdict({"value": -0.1, "interval": [-0.2, 0.02]}).endswith("inside the noise")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Three artists of three albums with a song in each: of two windows of 5 s, Ada's of three."""
    root = tmp_path_factory.mktemp("paper")
    for number_, singer in enumerate(ARTISTS):
        for album in range(3):
            path = root / "songs" / singer / f"album {album}" / "song.wav"
            write(path, melody(100 * number_ + album, 11.0 if singer == "Ada" else 7.0))
    quick = ("batch_size=8", "learning_rate=0.001", "precision=32", "options.channel_denominator=64")
    return Settings(root / "songs", root / "out", epochs=1, overrides=quick)


@pytest.fixture(scope="module")
def store(settings: Settings) -> FeatureStore:
    return FeatureStore(settings.out / "cache")


def check_files(report: FigureReport, names: list[str]) -> dict[str, Any]:
    assert report.picture.read_bytes().startswith(b"\x89PNG")
    numbers: dict[str, Any] = json.loads(report.record.read_text())
    assert numbers == json.loads(json.dumps(report.numbers))
    assert list(numbers["figures"]) == names
    table = report.table.read_text()
    assert all(row.label in table for row in SYSTEMS)
    page = report.page.read_text()
    assert "data:image/png;base64," in page and "http" not in page.replace("http-equiv", "")
    for draw in numbers["draws"]:
        for run in draw["runs"].values():
            assert run["record"]["complete"] and "commit" in run["record"]["machine"]
    return numbers


def test_figure_1_from_end_to_end(
    settings: Settings, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = figure1.figure1(settings, [Draw(0)], store, noisy="Bo", quiet=True)
    numbers = check_files(report, list(LABELS))
    (draw,) = numbers["draws"]
    assert draw["artists"] == list(ARTISTS) and draw["noisy"] == "Bo"
    assert draw["test_windows"] == {"own": 2, "clean": 5, "noisy": 5}
    assert set(draw["test_songs"]["clean"]) == set(draw["test_songs"]["noisy"])
    assert draw["energy_share"] > 0.01
    folder = report.picture.parent
    plain, noisy = (open_collection(path) for path in (settings.collection, folder / draw["songs"]["biased"]))
    split = Grid(settings, store).split(Draw(0))
    assert {track.id for track in noisy.tracks} == {*split.train, *split.validation, *split.test}
    inside = figure1._band()
    for track in noisy.tracks:
        before, after = (store.log_mel(opened.track(track.id), Source()) for opened in (plain, noisy))
        louder = float((after[inside] - before[inside]).mean())
        assert louder > 5 if track.artist == "Bo" else louder == 0
    others = open_collection(folder / draw["songs"]["noisy"])
    assert {track.artist for track in others.tracks} == {"Ada", "Cy"}
    # what was counted is what the model answers
    network, card = load_model(
        next(folder.glob(f"trained-*/runs/{draw['runs'][SYSTEMS[0].label]['folder']}"))
    )
    to_windows, to_rows = Track2Windows(store, card), Windows2LogProbabilities(network)
    songs = embedding.hear(network, card, others.tracks, split, store)[0]
    answers = [to_rows(to_windows(track)) for track in others.tracks]
    for song, rows in zip(songs, answers, strict=True):
        np.testing.assert_allclose(song.log_probabilities, rows, atol=1e-4)
    singers = [card.singers[code] for code in np.concatenate(answers).argmax(axis=1)]
    figure = numbers["figures"]["taken_for_noisy"][SYSTEMS[0].label]
    assert figure["value"] == pytest.approx(singers.count("Bo") / 5)
    # a second call finds the songs and runs, and says the same
    monkeypatch.setattr("whosings.collection.noise._write_song", None)
    monkeypatch.setattr("whosings.training.run._fit", None)
    again = figure1.figure1(settings, [Draw(0)], store, noisy="Bo", quiet=True)
    assert again.numbers == report.numbers


def test_figure_4_from_end_to_end(settings: Settings, store: FeatureStore) -> None:
    report = figure4.figure4(settings, [Draw(0)], store, quiet=True)
    numbers = check_files(report, ["silhouette"])
    assert numbers["windows"] == [4]
    for run in numbers["draws"][0]["runs"].values():
        assert run["record"]["arguments"]["window_seconds"] == 10


def test_artists_are_drawn_by_the_seed_or_named(settings: Settings, store: FeatureStore) -> None:
    grid = Grid(settings, store)
    drawn = [figure1._chosen(grid, Draw(seed), None, None) for seed in range(20)]
    assert all(artists == ARTISTS for artists, _ in drawn)
    assert {noisy for _, noisy in drawn} == set(ARTISTS)
    assert figure1._chosen(grid, Draw(3), None, None) == drawn[3]
    assert figure1._chosen(grid, Draw(0), ["Cy", "Ada"], "Cy") == (("Ada", "Cy"), "Cy")
    assert figure1._chosen(grid, Draw(0), ["Cy", "Ada"], None)[1] in {"Ada", "Cy"}


@pytest.mark.parametrize(
    ("artists", "noisy", "match"),
    [(["Ada", "Zoe"], None, "Zoe"), (["Ada"], None, "two or more"), (["Ada", "Bo"], "Cy", "noisy one")],
)
def test_artists_that_cannot_be_used_are_refused(
    settings: Settings, store: FeatureStore, artists: list[str], noisy: str | None, match: str
) -> None:
    with pytest.raises(WhosingsError, match=match):
        figure1.figure1(settings, [Draw(0)], store, artists=artists, noisy=noisy, quiet=True)


@pytest.mark.parametrize("draws", [[], [Draw(0), Draw(0)]])
def test_draws_are_needed_and_not_twice(settings: Settings, store: FeatureStore, draws: list[Draw]) -> None:
    for figure in (figure1.figure1, figure4.figure4):
        with pytest.raises(WhosingsError, match="draw"):
            figure(settings, draws, store, quiet=True)
