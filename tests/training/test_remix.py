"""Remixing: each training window's voice over another song's band."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.collection.sounds import melody, write
from tests.training.songs import SINGERS, songs, stop_in_epoch, store_in, training_of
from whosings.collection.catalogue import Collection, open_collection
from whosings.collection.features import FeatureStore
from whosings.collection.splits import make_split
from whosings.collection.track import Source
from whosings.errors import WhosingsError
from whosings.lca import Branches, Counterfactual
from whosings.models import create
from whosings.training.frozen import behind_frozen
from whosings.training.objective import recast
from whosings.training.recipe import load_recipe
from whosings.training.record import BRANCH
from whosings.training.run import train
from whosings.training.sides import windows_of
from whosings.training.windows import (
    ApartWindows,
    EpochSampler,
    FixedRemixes,
    JoinedWindows,
    RemixedWindows,
    WindowDataset,
    add_powers,
    balance,
)

TWO_EQUAL_POWERS = 10 * np.log10(2)  # dB


@pytest.fixture(scope="module")
def stems(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Two singers, three albums of a song, each with stems that sum to the mix."""
    root = tmp_path_factory.mktemp("stems")
    for number, singer in enumerate(SINGERS):
        for album in range(3):
            folder = root / singer / f"album {album}"
            voice, band = melody(10 * number + album, 5.0), melody(100 + 10 * number + album, 5.0)
            write(folder / "song.vocals.flac", voice / 2)
            write(folder / "song.accompaniment.flac", band / 2)
            write(folder / "song.flac", voice / 2 + band / 2)
    return open_collection(root)


def remixed(
    collection: Collection, store: FeatureStore, level_db: float, names: tuple[str, ...] | None = None
) -> RemixedWindows:
    split = make_split(collection)
    tracks = [collection.by_id[name] for name in names or split.train]
    return RemixedWindows(tracks, "train", split, store, Source(), 3, levels_db=(level_db, level_db), seed=0)


def test_a_loud_voice_is_all_that_is_heard_and_a_quiet_one_is_not_heard(
    stems: Collection, store: FeatureStore
) -> None:
    track = stems.by_id[make_split(stems).train[0]]
    voice = store.log_mel(track, Source("vocals"))[:, :94]
    loud = remixed(stems, store, 100.0)[0]
    np.testing.assert_allclose(loud.x, voice, atol=0.05)
    assert SINGERS[int(loud.singer)] == track.artist
    assert np.abs(remixed(stems, store, -30.0)[0].x.numpy() - voice).mean() > 10


def test_the_sum_of_powers_is_close_to_a_real_mix(stems: Collection, store: FeatureStore) -> None:
    """What the sum leaves out is interference: small beside the 3 dB between one power and two equal ones."""
    track = stems.tracks[0]
    voice, band, mix = (store.log_mel(track, Source(name)) for name in ("vocals", "accompaniment", "mix"))
    assert np.abs(add_powers(voice, band) - mix).mean() < TWO_EQUAL_POWERS / 2
    assert np.abs(np.maximum(voice, band) - mix).mean() > np.abs(add_powers(voice, band) - mix).mean()


def apart(collection: Collection, store: FeatureStore, source: Source) -> ApartWindows:
    split = make_split(collection)
    tracks = [collection.by_id[name] for name in split.train]
    return ApartWindows(tracks, "train", split, store, source, 3)


@pytest.mark.parametrize("level_db", [None, 0.0, 10.0])
def test_voice_and_band_of_a_window_are_as_loud_as_in_its_mix(
    stems: Collection, store: FeatureStore, level_db: float | None
) -> None:
    window = apart(stems, store, Source("mix", level_db))[0]
    sum_of_both = add_powers(window.voice.numpy(), window.band.numpy())
    assert np.abs(sum_of_both - window.x.numpy()).mean() < TWO_EQUAL_POWERS / 2
    voice_db, band_db = (10 * np.log10((10 ** (x.numpy() / 10)).mean()) for x in (window.voice, window.band))
    if level_db is not None:
        assert voice_db - band_db == pytest.approx(level_db, abs=1.0)  # of a window; the song has it exactly


def test_a_remixed_window_is_the_sum_of_what_it_says_it_is_made_of(
    stems: Collection, store: FeatureStore
) -> None:
    window = remixed(stems, store, 0.0)[1]
    np.testing.assert_allclose(add_powers(window.voice.numpy(), window.band.numpy()), window.x, atol=1e-3)


@pytest.mark.parametrize("system", ["crnn_fgnl_light", "crnnm_fgnl"])
def test_a_recast_branch_hears_another_voice_over_the_same_band(
    system: str, stems: Collection, store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[torch.Tensor | None] = []
    forward = Counterfactual.forward

    def listen(self: Counterfactual, x: torch.Tensor, recast: torch.Tensor | None = None) -> Branches:
        heard.append(recast)
        return forward(self, x, recast)

    monkeypatch.setattr(Counterfactual, "forward", listen)
    training = training_of(
        stems, "crnn_fgnl_light_lca_recast", "epochs=1", f"system={system}", "counterfactual.first_step=0"
    )
    train(training, tmp_path / "run", store, quiet=True)
    assert heard
    for other in heard:
        assert other is not None
        assert other.shape[1:] == ((2, 128, 94) if system == "crnnm_fgnl" else (128, 94))
    assert not (tmp_path / "run" / BRANCH).exists()


def test_recast_windows_are_sums_of_anothers_voice_and_their_own_band() -> None:
    voice, band = torch.randn(3, 2, 8, 5) * 10, torch.randn(3, 2, 8, 5) * 10
    one, two, alone = recast(voice, band, torch.tensor([0, 1, 1]))
    np.testing.assert_allclose(one[0], add_powers(voice[2, 0].numpy(), band[0, 0].numpy()), atol=1e-4)
    np.testing.assert_allclose(two[0], add_powers(voice[0, 0].numpy(), band[1, 0].numpy()), atol=1e-4)
    assert one[1].equal(voice[2, 1])  # the melody is that of the voice
    assert alone.equal(band[2])  # the voice before is of the same singer
    singer = torch.tensor([0, 1, 2])
    plain, melodic = recast(voice[:, 0], band[:, 0], singer), recast(voice, band, singer)
    torch.testing.assert_close(plain, melodic[:, 0])


def test_pieces_bring_their_melody(stems: Collection, store: FeatureStore) -> None:
    training = training_of(stems, "crnnm", "remix_db=[0, 0]", "piece_seconds=2")
    windows = windows_of(training, "train", training.tracks("train"), store)
    x, _, voice, band = windows[0]  # type: ignore[misc]
    assert x.shape == voice.shape == band.shape == (2, 128, 63)
    np.testing.assert_allclose(add_powers(voice[0].numpy(), band[0].numpy()), x[0], atol=1e-3)
    assert voice[1].equal(x[1]) and not band[1].any()


def test_draws_depend_on_seed_and_index_alone(stems: Collection, store: FeatureStore) -> None:
    windows = remixed(stems, store, 0.0)
    again = remixed(stems, store, 0.0)
    np.testing.assert_array_equal(windows[1].x, again[1].x)
    later = windows[1 + len(windows)]
    assert later.singer == windows[1].singer
    assert np.abs((later.x - windows[1].x).numpy()).max() > 1


def test_the_sampler_counts_on_through_the_epochs(stems: Collection, store: FeatureStore) -> None:
    windows = remixed(stems, store, 0.0)
    sampler = EpochSampler(windows, num_replicas=1, rank=0, shuffle=True, seed=0)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        assert sorted(sampler) == list(range(epoch * len(windows), (epoch + 1) * len(windows)))


def test_a_remixed_run_cut_off_ends_in_the_same_bits(
    stems: Collection, store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = training_of(stems, "crnn", "epochs=2", "remix_db=[-3,3]")
    train(training, tmp_path / "whole", store, quiet=True)
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 1)
        with pytest.raises(RuntimeError, match="lights"):
            train(training, tmp_path / "cut", store, quiet=True)
    train(training, tmp_path / "cut", store, quiet=True)
    whole, cut = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert whole == cut


def test_songs_without_stems_get_one_sentence(tmp_path: Path) -> None:
    collection = songs(tmp_path)
    with pytest.raises(WhosingsError, match="no vocal stem"):
        remixed(collection, store_in(tmp_path / "store"), 0.0)


def test_levels_the_wrong_way_round_get_one_sentence() -> None:
    with pytest.raises(WhosingsError, match=r"remix_db: .*lower level first"):
        load_recipe("demo", ["remix_db=[9, 0]"])


def test_a_stem_shorter_than_its_mix_is_taken_to_its_end(tmp_path: Path) -> None:
    for number, singer in enumerate(SINGERS):
        for album in range(3):
            folder = tmp_path / singer / f"album {album}"
            for name, seconds in (("song", 8.0), ("song.vocals", 4.0), ("song.accompaniment", 2.0)):
                write(folder / f"{name}.flac", melody(10 * number + album, seconds))
    windows = remixed(open_collection(tmp_path), store_in(tmp_path / "store"), 0.0)
    assert all(window.x.shape == (128, 94) for window in (windows[i] for i in range(len(windows))))


def test_a_stem_alone_is_not_remixed(stems: Collection, store: FeatureStore, tmp_path: Path) -> None:
    mix = training_of(stems, "crnn", "remix_db=[0, 3]", "epochs=1")
    with pytest.raises(WhosingsError, match="voices over bands, but the vocals alone"):
        train(replace(mix, source=Source("vocals")), tmp_path / "run", store, quiet=True)
    voices = training_of(stems, "crnn", "voices=true", "epochs=1")
    for source in (Source("vocals"), Source("accompaniment", None, "spleeter")):
        with pytest.raises(WhosingsError, match="beside songs or separated vocals, but the"):
            train(replace(voices, source=source), tmp_path / "run", store, quiet=True)
    assert not (tmp_path / "run").exists()


def joined(collection: Collection, store: FeatureStore, source: Source, *overrides: str) -> JoinedWindows:
    training = replace(training_of(collection, "voiceprint_remixed", *overrides), source=source)
    windows = windows_of(training, "train", training.tracks("train"), store)
    assert isinstance(windows, JoinedWindows)
    return windows


def test_songs_are_learnt_with_their_remixes_and_voices(stems: Collection, store: FeatureStore) -> None:
    windows = joined(stems, store, Source())
    songs_, remixes, voices = windows.datasets
    assert isinstance(remixes, FixedRemixes) and not isinstance(songs_, RemixedWindows)
    assert len(remixes) == 2 * len(songs_) and len(voices) == len(songs_)
    assert voices.source == Source("vocals")
    for number, (x, singer) in enumerate(windows[index] for index in range(len(windows))):
        assert singer == songs_[number % len(songs_)].singer == windows.singers[number]
        assert x.shape == (80, 300)
    first, second = (windows[len(songs_) * draw].x for draw in (1, 2))
    assert (first - second).abs().max() > 1  # two draws of one window


def test_remixes_are_the_same_in_every_epoch(stems: Collection, store: FeatureStore) -> None:
    windows = joined(stems, store, Source())
    for index in range(len(windows)):
        assert windows[index + 3 * len(windows)].x.equal(windows[index].x)


def test_windows_joined_are_told_by_track(stems: Collection, store: FeatureStore) -> None:
    windows = joined(stems, store, Source())
    lists = windows.by_track()
    assert sorted(index for indices in lists for index in indices) == list(range(len(windows)))
    assert len(lists) == 3 * len(windows.datasets[0].by_track())
    for indices in lists:
        assert len({windows.singers[index] for index in indices}) == 1


def test_beside_separated_vocals_clean_voices_are_learnt_where_there_are_stems(
    stems: Collection, store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stemless, separated = songs(tmp_path), Source("vocals", None, "spleeter")
    features = FeatureStore.features
    monkeypatch.setattr(
        FeatureStore, "features", lambda self, track, source, *more: features(self, track, Source(), *more)
    )
    for collection, there in ((stems, True), (stemless, False)):
        training = replace(training_of(collection, "voiceprint_voices"), source=separated)
        windows = windows_of(training, "train", training.tracks("train"), store)
        assert isinstance(windows, JoinedWindows)
        vocals, voices = windows.datasets
        assert (vocals.source, voices.source) == (separated, Source("vocals"))
        assert len(voices) == there * len(vocals)
        validation = windows_of(training, "validation", training.tracks("validation"), store)
        assert isinstance(validation, WindowDataset) and validation.source == separated


def test_windows_joined_are_balanced_over_all_lists(stems: Collection, store: FeatureStore) -> None:
    split = make_split(stems)
    both, first = (
        WindowDataset([stems.by_id[name] for name in names], "train", split, store, Source(), 3)
        for names in (split.train, split.train[:1])
    )
    torch.testing.assert_close(balance(JoinedWindows([both, first]), 2), torch.tensor([3 / 4, 3 / 2]))


def test_fixed_remixes_are_encoded_once_and_fresh_ones_are_not(
    stems: Collection, store: FeatureStore
) -> None:
    recipe = load_recipe("voiceprint_remixed", ["pretrained=false"])
    fixed, fresh = joined(stems, store, Source()), remixed(stems, store, 0.0)
    for windows, kept in ((fixed, True), (fresh, False)):
        learner = behind_frozen(
            create("voiceprint", 2), recipe, {"train": windows}, store.root, bf16=False, quiet=True
        )
        assert (learner.datasets["train"] is not windows) is kept


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["remixes=1"], "^Recipe crnn_fgnl: remixes needs remix_db"),
        (
            ["remixes=1", "remix_db=[0, 9]", "piece_seconds=3"],
            "remixes cannot be combined with piece_seconds",
        ),
        (["voices=true", "counterfactual.branch=recast"], "voices cannot be combined with"),
        (["voices=true", "remix_db=[0, 9]"], "voices beside remixes needs remixes"),
    ],
)
def test_what_cannot_be_learnt_together_is_one_sentence(overrides: list[str], reason: str) -> None:
    with pytest.raises(WhosingsError, match=reason):
        load_recipe("crnn_fgnl", overrides)


def test_a_song_with_a_stem_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    for number, singer in enumerate(SINGERS):
        for album in range(4):
            for name in ("song", "song.vocals", "song.accompaniment"):
                write(tmp_path / singer / f"album {album}" / f"{name}.flac", melody(10 * number + album, 5.0))
    collection = open_collection(tmp_path)
    training = training_of(collection, "crnn", "remix_db=[0, 3]", "epochs=1")
    broken = training.split.train[0]
    (tmp_path / broken).with_name("song.accompaniment.flac").write_bytes(b"no sound")
    result = train(training, tmp_path / "run", store_in(tmp_path / "store"), quiet=True)
    assert list(result.failed) == [broken]
