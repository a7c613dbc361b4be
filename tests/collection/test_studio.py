"""The studio: songs are the same every time, add up, follow their score, and hold the tie asked for."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from whosings.collection.studio import bands, extras, render_collection, voices
from whosings.collection.studio.extras import world
from whosings.collection.studio.plan import Parameters, PlannedSinger, book, plan
from whosings.collection.studio.render import score_of
from whosings.collection.studio.songs import compose
from whosings.errors import WhosingsError

for extra in ("espeakng_loader", "pyworld", "pretty_midi", "tinysoundfont"):
    pytest.importorskip(extra)

TINY: dict[str, Any] = {"singers": 2, "albums": 2, "songs": 1, "seconds": 6.0, "mix_db": 4.0}
RATE = 22_050


def read(path: Path) -> NDArray[np.int16]:
    import soundfile

    sound, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    return sound


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def planned(folder: Path) -> list[PlannedSinger]:
    return plan(Parameters(**json.loads((folder / "studio.json").read_text())["parameters"]))


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("studio") / "songs"
    heard: list[tuple[int, int]] = []
    render_collection(out, **TINY, workers=1, on_song=lambda done, total: heard.append((done, total)))
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4), (4, 4)]
    return out


def test_the_same_seed_gives_the_same_bytes_in_any_process(collection: Path, tmp_path: Path) -> None:
    render_collection(tmp_path / "again", **TINY, workers=2)
    assert len(digests(collection)) == 13
    assert digests(tmp_path / "again") == digests(collection)


def test_another_seed_gives_other_songs(collection: Path, tmp_path: Path) -> None:
    render_collection(tmp_path, singers=1, albums=1, songs=1, seconds=6.0, seed=1, stems=False, workers=1)
    made = digests(tmp_path)
    assert len(made) == 2
    assert not set(made.values()) & set(digests(collection).values())


def test_stems_sum_to_the_mix_at_the_level_asked_for(collection: Path) -> None:
    for singer in planned(collection):
        for song in singer.songs:
            mix = read(collection / f"{song.file}.flac").astype(float)
            vocals = read(collection / f"{song.file}.vocals.flac").astype(float)
            accompaniment = read(collection / f"{song.file}.accompaniment.flac").astype(float)
            assert len(mix) == 6 * RATE
            assert np.array_equal(mix, vocals + accompaniment)
            assert 10 * np.log10((vocals**2).sum() / (accompaniment**2).sum()) == pytest.approx(4.0, abs=0.05)
            assert 8_000 < np.abs(mix).max() < 32_000


def test_the_voice_follows_the_score(collection: Path) -> None:
    missed, notes = 0, 0
    for singer in planned(collection):
        for song in singer.songs:
            vocals = read(collection / f"{song.file}.vocals.flac") / 32_768
            rough, times = world().dio(vocals, RATE, 60.0, 900.0, frame_period=5.0)
            f0 = world().stonemask(vocals, rough, times, RATE)
            for note in score_of(song, singer.voice, singer.words, 6.0).notes:
                middle = slice(*(int((note.start + part * note.seconds) * 200) for part in (0.3, 0.7)))
                heard = f0[middle][f0[middle] > 0]
                cents = (
                    1200 * np.log2(np.median(heard) / 440) - 100 * (note.midi - 69) if len(heard) else np.inf
                )
                missed += abs(cents) > 30
                notes += 1
    assert notes >= 20
    assert missed <= 0.05 * notes


def test_tags_and_record_say_what_is_heard(collection: Path) -> None:
    from mutagen.flac import FLAC

    record = json.loads((collection / "studio.json").read_text())
    assert record["parameters"]["mix_db"] == 4.0
    assert len(record["songs"]) == 4
    for song in record["songs"]:
        tags = FLAC(collection / f"{song['file']}.flac")
        for key in ("artist", "album", "title"):
            assert tags[key] == [song[key]]
        assert tags["tracknumber"] == ["1"]
        assert song["band"] in record["bands"]
        assert song["artist"] in record["singers"]


def test_only_missing_songs_are_rendered_again(collection: Path) -> None:
    before = digests(collection)
    first, second = planned(collection)
    lost, kept = (collection / f"{singer.songs[0].file}.flac" for singer in (first, second))
    written = kept.stat().st_mtime_ns
    lost.unlink()
    render_collection(collection, **TINY, workers=1)
    assert digests(collection) == before
    assert kept.stat().st_mtime_ns == written


def test_other_parameters_in_the_same_folder_are_refused(collection: Path) -> None:
    before = digests(collection)
    with pytest.raises(WhosingsError, match=r"studio\.json.*other parameters"):
        render_collection(collection, **{**TINY, "tie": 0.5}, workers=1)
    assert digests(collection) == before


@pytest.mark.parametrize(
    "wrong",
    [{"tie": 1.5}, {"seconds": 1.0}, {"singers": 0}, {"mix_db": float("nan")}, {"workers": 0}, {"seed": -1}],
)
def test_parameters_out_of_range_are_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(WhosingsError, match=next(iter(wrong))):
        render_collection(tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(extras, "_PACKAGES", ("a_package_that_is_not_there",))
    with pytest.raises(WhosingsError, match=r"pip install \"whosings\[studio\]\""):
        render_collection(tmp_path / "out")


def test_without_a_tie_every_singer_plays_once_with_every_band() -> None:
    booked = book(singers=8, albums=3, tie=0.0, seed=0)
    lineups = [frozenset(band.name for band, _ in albums) for albums in booked]
    assert len(set(lineups)) == 1
    assert len(lineups[0]) == 3
    first_albums = Counter(albums[0][0].name for albums in booked)
    assert max(first_albums.values()) - min(first_albums.values()) <= 1


def test_with_a_full_tie_every_singer_has_one_band_of_its_own() -> None:
    booked = book(singers=8, albums=3, tie=1.0, seed=0)
    lineups = [{band.name for band, own in albums if own} for albums in booked]
    assert all(len(lineup) == 1 for lineup in lineups)
    assert len(set.union(*lineups)) == 8


def test_a_higher_tie_only_adds_own_bands() -> None:
    ladder = [
        {(s, a) for s, albums in enumerate(book(6, 4, tie, 3)) for a, (_, own) in enumerate(albums) if own}
        for tie in (0.0, 0.25, 0.5, 1.0)
    ]
    assert [len(own) for own in ladder] == [0, 6, 12, 24]
    assert all(low < high for low, high in itertools.pairwise(ladder))


def test_what_the_band_plays_does_not_depend_on_the_range_of_the_singer() -> None:
    words = tuple(f"word{index}" for index in range(20))
    low = compose(np.random.default_rng(5), 45, 58, words, 20.0)
    high = compose(np.random.default_rng(5), 62, 75, words, 20.0)
    assert (low.tempo, low.tonic, low.minor, low.chords) == (high.tempo, high.tonic, high.minor, high.chords)
    assert [note.start for note in low.notes] == [note.start for note in high.notes]
    assert all(45 <= note.midi <= 58 for note in low.notes)
    assert all(62 <= note.midi <= 75 for note in high.notes)


def test_the_voice_sings_most_of_the_time() -> None:
    shares = []
    for seed in range(20):
        song = compose(np.random.default_rng(seed), 50, 63, ("la", "lo", "li"), 20.0)
        shares.append(sum(note.seconds for note in song.notes) / 20.0)
    assert 0.68 < np.mean(shares) < 0.82


def test_twenty_voices_and_bands_are_all_different() -> None:
    choir = voices(20, seed=2)
    assert sum(voice.female for voice in choir) == 10
    for women in (True, False):
        group = [voice for voice in choir if voice.female is women]
        for trait in ("formant_scale", "vibrato_rate", "tilt", "breathiness"):
            assert len({getattr(voice, trait) for voice in group}) == 10
        assert len({voice.espeak for voice in group}) == 10
    groups = bands(24, seed=2)
    assert len({band.name for band in groups}) == 24
    assert len({(band.style, band.kit, band.bass, band.chords, band.lead) for band in groups}) == 24
