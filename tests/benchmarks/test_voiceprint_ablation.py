"""The ablation on voiceprints: what is learnt and chosen on, how windows are remixed, what the table says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from voiceprint_ablation.__main__ import benchmark, parser
from voiceprint_ablation.classifiers import HEADS
from voiceprint_ablation.folds import TUNED, Fold, Member, Row, macro_f1
from voiceprint_ablation.hearing import REMIXES, Ear, Heard
from voiceprint_ablation.table import markdown, results

from tests.collection.sounds import melody, write
from whosings.collection.features import FeatureStore
from whosings.collection.splits import Split
from whosings.collection.track import Part, SoundFile, Track
from whosings.errors import WhosingsError
from whosings.voices.encoder import Voiceprinter
from whosings.voices.prints import unit

SINGERS = ("Ada", "Bo", "Cy")
SONGS = 4  # of a singer: one tests, one validates, two train
WINDOWS = 4  # of a song
MIX = Row("mix", (Member(("mix",)),))


def split_of(fold: int = 0) -> Split:
    test, validation, *train = (
        tuple(f"{singer}/{(song + fold) % SONGS}/song" for singer in SINGERS) for song in range(SONGS)
    )
    return Split("sixfold", 0, fold, SINGERS, (*train[0], *train[1]), validation, test)


def prints_of(spread: float, seed: int = 0, band: str = "") -> dict[str, Heard]:
    """Give prints around a direction of each singer: the more spread, the harder to tell."""
    random = np.random.default_rng(seed)
    return {
        f"{singer}/{song}/song": Heard(
            unit(np.eye(192)[number] + spread * random.standard_normal((WINDOWS, 192))),
            np.full(WINDOWS, band),
        )
        for number, singer in enumerate(SINGERS)
        for song in range(SONGS)
    }


def fold_of(number: int = 0, /, **kinds: dict[str, Heard]) -> Fold:
    return Fold(
        number, split_of(number), {kind.replace("_", "-"): of for kind, of in kinds.items()}.__getitem__
    )


@pytest.fixture
def learnt(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give how many windows each fit learns."""
    counts: list[int] = []
    settings, make = HEADS["regression"]

    def counting(setting: float, singers: int) -> Any:
        classifier = make(setting, singers)
        fit = classifier.fit

        def counted(x: np.ndarray, y: np.ndarray) -> Any:
            counts.append(len(x))
            return fit(x, y)

        classifier.fit = counted
        return classifier

    monkeypatch.setitem(HEADS, "regression", (settings[:1], counting))
    return counts


@pytest.mark.parametrize("head", HEADS)
def test_every_head_tells_voices_apart(head: str) -> None:
    scored = fold_of(mix=prints_of(0.02)).scored(Row("row", (Member(("mix",), head=head),)))
    assert set(scored.test) == set(split_of().test)
    assert set(scored.validation) == set(split_of().validation)
    assert macro_f1(scored.test, SINGERS) == macro_f1(scored.test, SINGERS, "song") == 1
    assert scored.settings[0] in HEADS[head][0]
    assert all(rows.shape == (WINDOWS, 3) for rows in scored.test.values())


def test_test_songs_choose_nothing() -> None:
    row = Row("two", (Member(("mix", "remix")), Member(("other",), "other", "discriminant")), refit=True)
    kinds = {"mix": prints_of(0.2), "remix": prints_of(0.3, 1), "other": prints_of(0.2, 2)}
    before = fold_of(**kinds).scored(row)
    noise = prints_of(9.0, 3)
    after = fold_of(**{k: of | {name: noise[name] for name in split_of().test} for k, of in kinds.items()})
    assert (after.scored(row).settings, after.scored(row).weights) == (before.settings, before.weights)
    for name in split_of().validation:
        assert np.array_equal(after.scored(row).validation[name], before.validation[name])
        assert not np.array_equal(after.scored(row).test[split_of().test[0]], before.test[split_of().test[0]])


def test_validation_songs_are_learnt_by_a_refit_alone(learnt: list[int]) -> None:
    train, validation = 2 * len(SINGERS) * WINDOWS, len(SINGERS) * WINDOWS
    fold_of(mix=prints_of(0.1)).scored(MIX)
    assert learnt == [train, train]
    learnt.clear()
    fold_of(mix=prints_of(0.1)).scored(Row("refit", MIX.members, refit=True))
    assert learnt == [train, train + validation]


@pytest.mark.parametrize(
    ("side", "alone", "refit"), [("train", 48, 72), ("validation", 24, 72), ("test", 24, 36)]
)
def test_bands_of_songs_that_are_not_learnt_are_not_heard(
    side: str, alone: int, refit: int, learnt: list[int]
) -> None:
    band = getattr(split_of(), side)[0]
    row = Row("remix", (Member(("mix", "remix")),), refit=True)
    fold_of(mix=prints_of(0.1), remix=prints_of(0.1, 1, band)).scored(row)
    assert learnt == [alone, refit]


def test_the_better_member_weighs_more() -> None:
    both = Row("both", (Member(("mix",)), Member(("noise",), "noise")))
    scored = fold_of(mix=prints_of(0.1), noise=prints_of(9.0, 1)).scored(both)
    assert scored.weights[0] > 0.5


def test_rows_with_tuned_encoders_have_the_folds_of_their_runs() -> None:
    kinds = {"mix": prints_of(0.2), "tuned_0": prints_of(0.02, 1)}
    tuned = Row("tuned", (Member((TUNED,), TUNED),), "mix")
    table = results([MIX, tuned], [fold_of(fold, **kinds) for fold in (0, 1)], tuned=1)
    assert [len(row["folds"]) for row in table] == [2, 1]
    assert table[1]["difference"]["window"]["n"] == len(SINGERS) * WINDOWS
    lines = markdown(table, 2).splitlines()
    assert len(lines) == 4
    assert lines[2].split(" | ")[1] == f"{table[0]['folds'][0]['window']:.3f} / 1.000"
    assert lines[3].split(" | ")[2].strip() == ""  # no run for the second fold


def test_a_row_does_not_differ_from_itself() -> None:
    same = Row("same", MIX.members, "mix")
    table = results([MIX, same], [fold_of(fold, mix=prints_of(0.3)) for fold in (0, 1)])
    told = table[1]["difference"]["window"]
    assert told["difference"]["f1_macro"] == 0 and told["interval"]["f1_macro"] == [0, 0]
    assert "+0.000 (+0.000 to +0.000)" in markdown(table, 2)
    assert table[0]["pooled"]["song"]["n"] == 2 * len(SINGERS)


def songs(folder: Path) -> list[Track]:
    """Songs of 6 s, voice and band apart, by the names of the split."""
    tracks = []
    for number, name in enumerate(prints_of(0)):
        voice, band = (
            SoundFile(write(folder / f"{number}-{stem}.wav", gain * melody(2 * number + stem, 6)))
            for stem, gain in ((0, 1.0), (1, 0.2))
        )
        tracks.append(Track(name[:-7], name[-6], "song", (Part(vocals=voice, accompaniment=band),)))
    return tracks


@pytest.fixture
def ear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ear:
    def encode(_: object, windows: np.ndarray) -> np.ndarray:
        return windows.mean(axis=2)

    monkeypatch.setattr(Voiceprinter, "encode", encode)
    splits = [split_of(0), split_of(1)]
    store, prints = FeatureStore(tmp_path / "cache"), tmp_path / "prints"
    return Ear(songs(tmp_path), splits, store, 0.0, prints, "voiceprint_campplus")


def test_both_ways_of_remixing_make_the_same_draws(ear: Ear) -> None:
    track = ear.tracks["Ada/2/song"]
    wave, power = (ear.windows(f"{how}-0", track) for how in REMIXES)
    assert wave[1] == power[1] and track.id not in wave[1]
    assert wave[0].shape == power[0].shape == (2, 80, 500)
    assert np.abs(wave[0] - power[0])[:, :, 1:-1].mean() < 1.5  # dB; a wrong place or level is far off
    again, other = ear.windows("power-0", track), ear.windows("power-1", track)
    assert np.array_equal(again[0], power[0]) and not np.array_equal(other[0], power[0])


def test_bands_train_wherever_the_voice_does(ear: Ear) -> None:
    """Song 2 trains in fold 0 alone, and song 3 in both."""
    assert set(split_of(0).train) & set(split_of(1).train) == {f"{singer}/3/song" for singer in SINGERS}
    bands = {band for draw in range(8) for band in ear.windows(f"power-{draw}", ear.tracks["Bo/3/song"])[1]}
    assert bands == {"Ada/3/song", "Cy/3/song"}


def test_prints_are_made_once(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ear.prints("half")
    monkeypatch.setattr(Ear, "windows", None)
    again = ear._prints("half")
    assert all(np.array_equal(heard.vectors, again[name].vectors) for name, heard in first.items())
    pair = ear.prints("half+half")
    assert all(pair[name].vectors.shape[1] == 2 * heard.vectors.shape[1] for name, heard in first.items())


def test_prints_of_other_splits_are_not_taken(tmp_path: Path) -> None:
    write(tmp_path / "songs" / "Ada" / "One" / "song.wav", melody(0))
    paths = []
    for fold in (0, 1):
        paths.append(tmp_path / f"fold{fold}.json")
        split_of(fold).save(paths[-1])
    words = [str(tmp_path / "songs"), "--out", str(tmp_path / "out")]
    asked = parser().parse_args([*words, "--splits", str(paths[0]), str(paths[0])])
    with pytest.raises(WhosingsError, match="tested in two splits"):
        benchmark(asked)
    (tmp_path / "out" / "prints").mkdir(parents=True)
    (tmp_path / "out" / "prints" / "about.json").write_text("{}")
    with pytest.raises(WhosingsError, match="choose another --out"):
        benchmark(parser().parse_args([*words, "--splits", *map(str, paths)]))
