"""What spoke for a singer in a song: heat, moments, frequencies, the picture and the page."""

from __future__ import annotations

import base64
import io
import os
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

import whosings
from tests.collection.sounds import melody, write
from tests.sung import all_is_sung
from whosings.audio.frontend import KALDI, SINGER
from whosings.collection.features import FeatureStore
from whosings.collection.windows import Features, window_starts
from whosings.errors import UnreadableSoundError, WhosingsError
from whosings.evidence import explain as module
from whosings.evidence.explain import (
    Moment,
    band_shares,
    explain,
    explain_file,
    heat_sums,
    song_heat,
    telling_moments,
)
from whosings.evidence.gradcam import grad_cam
from whosings.identify.ladder import Track2Windows, Windows, lone_track
from whosings.models import ModelCard, create, load_model, save_model
from whosings.models.store import load_card, save_card

__all__ = ["all_is_sung"]  # a fixture
pytestmark = pytest.mark.usefixtures("all_is_sung")

SINGERS = ["Ada", "Bo", "[live] <a>", "Dee"]
LENGTH = 94  # frames of 3 s


def untrained(folder: Path, system: str) -> Path:
    """An untrained model, made to have opinions: larger weights in its last layer (but for cosines)."""
    torch.manual_seed(4)
    network = create(system, len(SINGERS))
    if system != "voiceprint_campplus":
        with torch.no_grad():
            network.get_parameter("head.dense.weight").mul_(20)
    save_model(folder, network, ModelCard(system=system, singers=SINGERS, window_seconds=3))
    return folder


@pytest.fixture(scope="module", params=["crnn", "crnn_fgnl"])
def any_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("run"), request.param)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("run"), "crnn")


@pytest.fixture(scope="module")
def campplus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("run"), "voiceprint_campplus")


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven seconds: three windows of 3 s and a fourth that overlaps."""
    return write(tmp_path_factory.mktemp("song") / "song.flac", melody(1, 11.0))


@pytest.fixture(scope="module", params=["crnn", "voiceprint_campplus"])
def any_front_end(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("run"), request.param)


@pytest.fixture
def windows(run: Path, song: Path, tmp_path: Path) -> Windows:
    return Track2Windows(FeatureStore(tmp_path / "cache"), load_card(run))(lone_track(song))


def windows_of(log_mel: np.ndarray) -> Windows:
    frames = log_mel.shape[1]
    return Windows(Features(log_mel), window_starts(frames, LENGTH), LENGTH)


def test_the_heat_covers_the_song_to_its_last_piece(any_run: Path, windows: Windows) -> None:
    """Window by window with Grad-CAM alone, as hot as it is likely; the larger counts where two overlap."""
    network, _ = load_model(any_run)
    probabilities = np.array([0.1, 0.4, 0.05, 0.2])
    expected = np.zeros(windows.log_mel.shape, dtype=np.float32)
    for start, probability in zip(windows.starts, probabilities, strict=True):
        piece = np.array(windows.log_mel[:, start : start + LENGTH])[None]
        layer = cast(nn.Module, network.cam_layer)
        alone = probability * grad_cam(network, layer, torch.from_numpy(piece), 1)[0].numpy()
        expected[:, start : start + LENGTH] = np.maximum(expected[:, start : start + LENGTH], alone)
    heat = song_heat(network, windows, 1, probabilities)
    assert heat.shape == windows.log_mel.shape == (128, 344)
    np.testing.assert_allclose(heat, expected / 0.4, atol=1e-3)
    assert heat.min() >= 0
    assert heat[:, 94:188].max() == pytest.approx(1)
    assert heat[:, 282:].max() > 0  # beyond the third window


def test_an_unlikely_singer_has_heat_as_well(run: Path, windows: Windows) -> None:
    network, _ = load_model(run)
    usual = song_heat(network, windows, 2, np.array([0.1, 0.4, 0.2, 0.3]))
    rare = song_heat(network, windows, 2, 1e-60 * np.array([0.1, 0.4, 0.2, 0.3]))
    np.testing.assert_allclose(rare, usual, atol=1e-5)


def test_the_network_is_left_as_it_was(any_run: Path, windows: Windows) -> None:
    network, _ = load_model(any_run)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    song_heat(network, windows, 0, np.ones(4))
    assert not any(module.training for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_song_shorter_than_a_window(run: Path, windows: Windows) -> None:
    heat = song_heat(load_model(run)[0], windows_of(windows.log_mel[:, :20]), 2, np.ones(1))
    assert heat.shape == (128, 20)
    assert 0 <= heat.min() <= heat.max() <= 1


def test_many_windows_go_in_batches(run: Path, monkeypatch: pytest.MonkeyPatch, windows: Windows) -> None:
    network, _ = load_model(run)
    probabilities = np.array([0.1, 0.4, 0.2, 0.3])
    whole = song_heat(network, windows, 0, probabilities)
    monkeypatch.setattr(module, "CAM_BATCH", 3)
    np.testing.assert_allclose(song_heat(network, windows, 0, probabilities), whole, atol=1e-3)


def test_a_window_counts_by_its_probability_however_wide_its_heat() -> None:
    heat = np.zeros((128, 188), dtype=np.float32)
    heat[7, 3] = 1  # one spot, in a sure window
    heat[100, 94:188] = 0.5  # all along, in one half as sure
    by_frame, by_band = heat_sums(heat, windows_of(heat), np.array([0.8, 0.4]))
    assert by_frame[3] == pytest.approx(0.8 * 94)
    np.testing.assert_allclose(by_frame[94:], 0.4)
    assert np.flatnonzero(by_band).tolist() == [7, 100]
    np.testing.assert_allclose(by_band[[7, 100]], [0.8 * 94, 0.4 * 94])


def test_windows_that_overlap_end_where_the_next_begins() -> None:
    heat = np.ones((128, 100), dtype=np.float32)
    by_frame, by_band = heat_sums(heat, windows_of(heat), np.array([0.5, 1.0]))
    np.testing.assert_allclose(by_frame, [0.5] * 6 + [1.0] * 94)
    np.testing.assert_allclose(by_band, (3 + 94) / 128)


def test_moments_are_found_to_the_frame() -> None:
    """40 s: stretches of 3 s (94 frames)."""
    heat = np.zeros(1250)
    heat[200:294] = 3
    heat[800:894] = 1
    heat[1100] = 94  # as much as the second, in one frame
    total = heat.sum()
    first, second, third = telling_moments(heat)
    assert first == Moment(200 / 31.25, 294 / 31.25, 282 / total)
    assert {second.share, third.share} == {94 / total}
    late = max(second, third, key=lambda moment: moment.start)
    assert late.start <= 1100 / 31.25 < late.stop


def test_moments_close_to_each_other_are_one() -> None:
    heat = np.zeros(1250)
    heat[200:294], heat[294:388], heat[400:494] = 5, 4, 3  # 12 frames between the last two
    heat[1000:1094] = 6
    total = heat.sum()
    assert telling_moments(heat) == [
        Moment(200 / 31.25, 494 / 31.25, pytest.approx(94 * 12 / total)),
        Moment(1000 / 31.25, 1094 / 31.25, pytest.approx(94 * 6 / total)),
    ]


def test_there_are_at_most_five_moments_and_they_never_overlap() -> None:
    heat = np.random.default_rng(0).random(6000) ** 8
    moments = telling_moments(heat)
    assert len(moments) == 5
    assert [moment.share for moment in moments] == sorted((m.share for m in moments), reverse=True)
    ordered = sorted(moments, key=lambda moment: moment.start)
    assert all(before.stop < after.start for before, after in pairwise(ordered))


def test_moments_go_by_the_seconds_whatever_the_frames() -> None:
    """40 s at 100 frames a second: stretches of 3 s; those 0.4 s apart are one."""
    heat = np.zeros(4000)
    heat[1000:1300], heat[1340:1640], heat[3000:3300] = 5, 4, 3
    assert telling_moments(heat, 100) == [
        Moment(10.0, 16.4, pytest.approx(0.75)),
        Moment(30.0, 33.0, pytest.approx(0.25)),
    ]


@pytest.mark.parametrize("frames", [1, 5, 31, 94, 313])
def test_moments_of_short_sounds_leave_something_out(frames: int) -> None:
    moments = telling_moments(np.ones(frames))
    lasting = sum(moment.stop - moment.start for moment in moments)
    assert 0 < lasting <= max(frames / 31.25 / 2, min(frames / 31.25, 1.0))
    assert sum(moment.share for moment in moments) == pytest.approx(lasting / (frames / 31.25))


def test_where_nothing_spoke_there_is_nothing_to_hear() -> None:
    assert telling_moments(np.zeros(100)) == []
    assert band_shares(np.zeros(128)) == []


def test_bands_share_all_of_the_heat() -> None:
    shares = band_shares(np.random.default_rng(1).random(128))
    assert [(band.low, band.high) for band in shares] == [
        (0, 250),
        (250, 1000),
        (1000, 2000),
        (2000, 4000),
        (4000, 8000),
    ]
    assert sum(band.share for band in shares) == pytest.approx(1)
    assert sum(band.even for band in shares) == pytest.approx(1)


def test_a_tone_speaks_in_its_band() -> None:
    """The mel band loudest for 3 kHz lies between 2 and 4 kHz; all bands alike give the even shares."""
    from whosings.audio.logmel import log_mel

    time = np.arange(16_000) / 16_000
    for front_end in (SINGER, KALDI):
        tone = log_mel(np.sin(2 * np.pi * 3000 * time).astype(np.float32), front_end).mean(axis=1)
        shares = band_shares((tone == tone.max()).astype(float), front_end)
        assert [band.share for band in shares] == [0, 0, 0, 1, 0]
        even = band_shares(np.ones(front_end.n_mels), front_end)
        assert all(band.share == pytest.approx(band.even) for band in even)
        assert sum(band.even for band in even) == pytest.approx(1)


def test_the_answer_and_its_seconds_are_the_identifiers(
    any_run: Path, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[Any, ...]] = []
    monkeypatch.setattr(module, "song_picture", lambda *words: drawn.append(words))
    network, card = load_model(any_run)
    found = explain(network, card, lone_track(song), FeatureStore(tmp_path), tmp_path / "p.png", "T")
    answer = whosings.load(any_run).identify(song)
    assert (found.answer.singer, found.answer.runner_up) == (answer.singer, answer.runner_up)
    assert found.answer.confidence == pytest.approx(answer.confidence, abs=5e-5)
    assert found.listen_from == pytest.approx(answer.listen_from, abs=0.005)
    assert found.listen_to == pytest.approx(answer.listen_to, abs=0.02)
    ((path, log_mel, heat, probabilities, starts, singers, title, front_end),) = drawn
    assert (path, title, singers, front_end) == (tmp_path / "p.png", "T", SINGERS, SINGER)
    assert log_mel.shape == heat.shape == (128, 344)
    assert probabilities.shape == (4, 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert list(starts) == pytest.approx([0, 3.008, 6.016, 8.0])
    code = SINGERS.index(answer.singer)
    expected = song_heat(network, windows_of(log_mel), code, probabilities[:, code])
    np.testing.assert_allclose(heat, expected, atol=1e-3)


def test_a_picture_is_written(run: Path, song: Path, tmp_path: Path) -> None:
    network, card = load_model(run)
    explain(network, card, lone_track(song), FeatureStore(tmp_path / "cache"), tmp_path / "song.png", "$ <a>")
    assert (tmp_path / "song.png").read_bytes().startswith(b"\x89PNG")


def test_an_unreadable_song_draws_nothing(run: Path, tmp_path: Path) -> None:
    network, card = load_model(run)
    store = FeatureStore(tmp_path / "cache")
    with pytest.raises(WhosingsError, match=r"none\.wav"):
        explain(network, card, lone_track(tmp_path / "none.wav"), store, tmp_path / "song.png")
    assert not (tmp_path / "song.png").exists()


class Page(HTMLParser):
    """The text of a page, and its elements with their attributes."""

    def __init__(self, path: Path):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def inside(address: str | None, kind: str) -> bytes:
    assert address is not None
    assert address.startswith(f"data:{kind};base64,")
    return base64.b64decode(address.partition(",")[2], validate=True)


def test_the_page_holds_sound_and_pictures(run: Path, song: Path, tmp_path: Path) -> None:
    found = explain_file(run, song, tmp_path / "out")
    assert sorted((tmp_path / "out").iterdir()) == [found.page, found.picture]
    assert found.picture.read_bytes().startswith(b"\x89PNG")
    assert (found.page.name, found.picture.name) == ("song.html", "song.png")
    page = Page(found.page)
    for image in page.all("img"):
        assert inside(image["src"], "image/png").startswith(b"\x89PNG")
        assert image["alt"]
    (audio,) = page.all("audio")
    samples, rate = soundfile.read(io.BytesIO(inside(audio["src"], "audio/mpeg")))
    original, _ = soundfile.read(song)
    assert (rate, len(samples)) == (16_000, len(original))
    assert np.corrcoef(samples, original)[0, 1] > 0.9  # nothing is moved in time
    assert not re.search(r"https?:|url\(|@import|<link", page.source)
    policy = page.all("meta")[-1]["content"] or ""
    assert policy.startswith("default-src 'none';")


def test_what_is_told_is_on_the_page(run: Path, song: Path, tmp_path: Path) -> None:
    found = explain_file(run, song, tmp_path, store=FeatureStore(tmp_path / "cache"))
    answer = whosings.load(run).identify(song)
    assert (found.singer, found.answer.singer, found.file) == (answer.singer, answer.singer, str(song))
    page = Page(found.page)
    assert f"the model hears {answer.singer}, with a confidence of" in page.text
    assert "who is not the answer" not in page.text
    assert "evidence, not proof" in page.text
    buttons = page.all("button")
    assert [(float(b["data-start"] or 0), float(b["data-stop"] or 0)) for b in buttons] == [
        (moment.start, moment.stop) for moment in found.moments
    ]
    assert 1 <= len(buttons) <= 5
    assert sum(band.share for band in found.bands) == pytest.approx(1)
    assert len(page.all("rect")) == 4  # windows
    assert float(page.all("rect")[1]["x"] or 0) == pytest.approx(3.008)
    heights = [float(rect["height"] or 0) for rect in page.all("rect")]
    assert max(heights) == pytest.approx(found.surest, abs=1e-4)


def test_another_singer_can_be_asked_for(run: Path, song: Path, tmp_path: Path) -> None:
    answer = whosings.load(run).identify(song).singer
    other = next(singer for singer in SINGERS if singer != answer)
    found = explain_file(run, song, tmp_path, singer=other)
    assert (found.singer, found.answer.singer) == (other, answer)
    assert f"This page is about {other}, who is not the answer." in Page(found.page).text


def test_a_singer_the_model_does_not_know(run: Path, song: Path, tmp_path: Path) -> None:
    with pytest.raises(WhosingsError, match=r"does not know 'Eve'; it knows Ada, Bo, \[live\] <a>, Dee\.$"):
        explain_file(run, song, tmp_path / "out", singer="Eve")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_sound_leaves_nothing(run: Path, tmp_path: Path) -> None:
    (tmp_path / "page.wav").write_text("not a sound")
    with pytest.raises(UnreadableSoundError, match=r"page\.wav"):
        explain_file(run, tmp_path / "page.wav", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_one_sentence(run: Path, song: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(WhosingsError, match="cannot be written"):
        explain_file(run, song, tmp_path / "out")


def test_a_model_of_stems_says_that_a_file_has_none(run: Path, song: Path, tmp_path: Path) -> None:
    network, card = load_model(run)
    save_model(tmp_path / "stems", network, card)
    save_card(tmp_path / "stems", card.model_copy(update={"source": "vocals"}))
    with pytest.raises(WhosingsError, match=r"song\.flac: this model hears the vocals of songs with stems"):
        explain_file(tmp_path / "stems", song, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", ["\"><script>alert('&')<b>\u6b4c.wav", os.fsdecode(b"caf\xe9 $x$.wav")])
def test_odd_names_are_shown_and_never_become_markup(run: Path, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    with file.open("wb") as handle:
        soundfile.write(handle, melody(2, 4.0), 16_000, format="WAV")
    found = explain_file(run, file, tmp_path / "out", singer="[live] <a>")
    page = Page(found.page)
    assert len(page.all("script")) == 2  # the page's own
    assert "<script>alert" not in page.source
    assert "What spoke for [live] <a>" in page.text
    assert name.encode("utf-8", "backslashreplace").decode() in page.text
    assert not page.all("a")


@pytest.mark.parametrize("seconds", [0.01, 0.5])
def test_a_file_shorter_than_a_window(run: Path, tmp_path: Path, seconds: float) -> None:
    found = explain_file(run, write(tmp_path / "short.wav", melody(3, seconds)), tmp_path / "out")
    assert all(0 <= moment.start < moment.stop <= seconds + 0.04 for moment in found.moments)
    assert len(Page(found.page).all("rect")) == 1


def test_silence_is_no_trouble(run: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "silence.wav", np.zeros(16_000 * 4, dtype=np.float32))
    found = explain_file(run, file, tmp_path / "out")
    assert len(Page(found.page).all("audio")) == 1


def test_where_no_heat_is_the_page_says_so(
    run: Path, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "song_heat", lambda network, windows, *_: np.zeros_like(windows.log_mel))
    found = explain_file(run, song, tmp_path)
    assert (found.moments, found.bands) == ([], [])
    assert f"Nothing in this sound spoke for {found.singer}." in Page(found.page).text


def test_a_long_song_is_drawn_narrower_and_its_sound_stays_outside(
    run: Path, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.image import imread

    monkeypatch.setattr(module, "MOST_COLUMNS", 100)
    monkeypatch.setattr(module, "LONGEST_SOUND", 10.0)
    page = Page(explain_file(run, song, tmp_path).page)
    shapes = {imread(io.BytesIO(inside(image["src"], "image/png"))).shape for image in page.all("img")}
    assert shapes == {(128, 86, 4)}  # 344 frames by fours
    assert page.all("audio") == page.all("button") == []
    assert str(song) in page.text
    (place,) = [values for _, values in page.elements if values.get("id") == "song"]
    assert float(place["data-seconds"] or 0) == pytest.approx(344 / 31.25)


def test_campplus_is_explained_by_its_own_bands_and_frames(
    campplus: Path, song: Path, tmp_path: Path
) -> None:
    from matplotlib.image import imread

    found = explain_file(campplus, song, tmp_path, singer="Dee")
    page = Page(found.page)
    assert found.picture.read_bytes().startswith(b"\x89PNG")
    assert "found Dee (HiResCAM)" in page.text and "Grad-CAM" not in page.text
    shapes = {imread(io.BytesIO(inside(image["src"], "image/png"))).shape for image in page.all("img")}
    assert shapes == {(80, 1101, 4)}  # 100 frames a second
    assert [float(rect["x"] or 0) for rect in page.all("rect")] == [0, 3, 6, 8.01]
    assert found.moments and all(0 <= moment.start < moment.stop <= 11.01 for moment in found.moments)
    assert sum(band.share for band in found.bands) == pytest.approx(1)


@pytest.mark.parametrize("hertz", [250, 1000, 4000])
def test_a_tone_lies_beside_its_hertz_on_the_page(any_front_end: Path, tmp_path: Path, hertz: int) -> None:
    """The darkest row of the spectrogram is within a band of the label."""
    from matplotlib.image import imread

    time = np.arange(16_000 * 4) / 16_000
    file = write(tmp_path / "tone.wav", (0.3 * np.sin(2 * np.pi * hertz * time)).astype(np.float32))
    source = explain_file(any_front_end, file, tmp_path / "out").page.read_text(encoding="utf-8")
    label = f"{hertz // 1000}k" if hertz >= 1000 else str(hertz)
    (top,) = re.findall(rf'top: ([0-9.]+)rem; transform: translateY\(-50%\)">{label}(?: Hz)?<', source)
    spectrogram = re.search(r'<img src="([^"]+)"', source)
    assert spectrogram
    pixels = imread(io.BytesIO(inside(spectrogram[1], "image/png")))[..., 0]
    row = pixels.mean(axis=1).argmin()
    assert (row + 0.5) / len(pixels) == pytest.approx(float(top) / 20, abs=1.1 / len(pixels))


def test_a_voiceprint_has_nothing_to_explain_over_frequency(tmp_path: Path) -> None:
    card = ModelCard(system="voiceprint", singers=["Ada", "Bo"], window_seconds=3)
    save_model(tmp_path, create("voiceprint", 2), card)
    with pytest.raises(WhosingsError, match="a voiceprint has no maps over frequency"):
        explain_file(tmp_path, tmp_path / "song.wav", tmp_path / "out")
    assert not (tmp_path / "out").exists()
