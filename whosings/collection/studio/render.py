"""Render a collection: songs with stems and tags in folders, and studio.json that says how they were made."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whosings.collection.studio.bands import accompany
from whosings.collection.studio.extras import need_extras
from whosings.collection.studio.plan import Parameters, PlannedSinger, PlannedSong, describe, plan
from whosings.collection.studio.singing import Syllable, learn, sing
from whosings.collection.studio.songs import Song, compose
from whosings.collection.studio.speech import SPEECH_RATE
from whosings.collection.studio.voices import Voice
from whosings.errors import WhosingsError
from whosings.files import read_json, replacing, write_json

RECORD = "studio.json"
_SHORTEST = 4.0  # seconds
_PEAK = 0.89  # of full scale, of the mix
_FADE = 0.3  # seconds at the end
_POLL = 0.5  # seconds between two looks at how many songs are done


def render_collection(
    out: Path,
    *,
    singers: int = 8,
    albums: int = 3,
    songs: int = 3,
    seconds: float = 20.0,
    tie: float = 0.0,
    mix_db: float = 3.0,
    seed: int = 0,
    sample_rate: int = 22_050,
    stems: bool = True,
    workers: int = 2,
    on_song: Callable[[int, int], None] | None = None,
) -> None:
    """
    Render `singers` x `albums` x `songs` songs of `seconds` to `out/Singer/Album/NN Title.flac`, 16-bit mono.

    With `stems`, `NN Title.vocals.flac` and `NN Title.accompaniment.flac` lie beside each mix and sum to it.
    `tie` in [0, 1] is the share of albums that a singer's own band plays (`plan.book`); `mix_db` the level of
    the voice over the band in dB (energy over the song); `on_song` hears (songs done, songs in all).
    Everything follows from the parameters, so songs that are there already are kept. With more than one of
    `workers` the caller's script needs the usual `if __name__ == "__main__":`, as processes are spawned.

    Raises WhosingsError where a parameter is out of range, a package is missing, or `out` holds a collection
    of other parameters.
    """
    need_extras()
    parameters = Parameters(
        singers, albums, songs, float(seconds), float(tie), float(mix_db), seed, sample_rate, stems
    )
    _check(parameters, workers)
    planned = plan(parameters)
    _claim(out, parameters, planned)
    report = partial(_report, on_song, [mix_path(out, song) for singer in planned for song in singer.songs])
    missing = [singer for singer in planned if any(not mix_path(out, song).exists() for song in singer.songs)]
    if workers == 1 or len(missing) < 2:
        for singer in missing:
            _render_singer(out, singer, parameters, report)
    else:
        _render_apart(out, missing, parameters, workers, report)
    report()


def mix_path(out: Path, song: PlannedSong) -> Path:
    """Say where the mix of a song lies; it is written last, so where it is, the stems are."""
    return out / f"{song.file}.flac"


def _report(on_song: Callable[[int, int], None] | None, mixes: list[Path]) -> None:
    """Tell `on_song` how many of the songs are there."""
    if on_song is not None:
        on_song(sum(mix.exists() for mix in mixes), len(mixes))


def _check(parameters: Parameters, workers: int) -> None:
    """Raise a WhosingsError that names the parameter that is out of range."""
    for name, value in (
        ("singers", parameters.singers),
        ("albums", parameters.albums),
        ("songs", parameters.songs),
        ("workers", workers),
    ):
        if value < 1:
            raise WhosingsError(f"{name} is {value}; give 1 or more.")
    for name, number, low, high in (
        ("seconds", parameters.seconds, _SHORTEST, 3_600.0),
        ("tie", parameters.tie, 0.0, 1.0),
        ("mix_db", parameters.mix_db, -40.0, 40.0),
        ("sample_rate", parameters.sample_rate, 8_000, 48_000),
        ("seed", parameters.seed, 0, math.inf),
    ):
        if not low <= number <= high:
            raise WhosingsError(f"{name} is {number}; give a number from {low:g} to {high:g}.")


def _claim(out: Path, parameters: Parameters, planned: list[PlannedSinger]) -> None:
    """Write the record of the collection, or see that the one there says the same."""
    record = out / RECORD
    described = describe(parameters, planned)
    if not record.exists():
        write_json(record, described)
        return
    there = read_json(record, "record of a rendered collection")
    if not isinstance(there, dict) or there.get("parameters") != described["parameters"]:
        raise WhosingsError(
            f"{record}: the songs here were rendered with other parameters; give another folder or delete it."
        )


def _render_apart(
    out: Path, planned: list[PlannedSinger], parameters: Parameters, workers: int, report: Callable[[], None]
) -> None:
    """Render in fresh processes, a singer at a time in each: a singer's words are analysed once."""
    pool = ProcessPoolExecutor(min(workers, len(planned)), mp_context=get_context("spawn"))
    try:
        waiting = {pool.submit(_render_singer, out, singer, parameters) for singer in planned}
        while waiting:
            done, waiting = wait(waiting, timeout=_POLL, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            report()
    except BrokenProcessPool as error:
        raise WhosingsError(
            f"{out}: a worker was killed, perhaps for memory; run again with workers=1."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _render_singer(
    out: Path, singer: PlannedSinger, parameters: Parameters, report: Callable[[], None] | None = None
) -> None:
    """Render the songs of a singer that are not there yet."""
    syllables = learn(singer.voice, singer.words)
    for song in singer.songs:
        if mix_path(out, song).exists():
            continue
        score = score_of(song, singer.voice, singer.words, parameters.seconds)
        vocals, accompaniment = _stems(song, score, singer.voice, syllables, parameters)
        if parameters.stems:
            for name, stem in (("vocals", vocals), ("accompaniment", accompaniment)):
                _write(out / f"{song.file}.{name}.flac", stem, parameters.sample_rate)
        _write(mix_path(out, song), vocals + accompaniment, parameters.sample_rate, song)
        if report is not None:
            report()


def score_of(song: PlannedSong, voice: Voice, words: tuple[str, ...], seconds: float) -> Song:
    """Compose what is sung and played in a planned song."""
    return compose(np.random.default_rng([song.seed, 0]), voice.low, voice.high, words, seconds)


def _stems(
    song: PlannedSong, score: Song, voice: Voice, syllables: dict[str, Syllable], parameters: Parameters
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return vocals and accompaniment, (samples,) each, levelled so that their plain sum is the mix."""
    import soxr

    seconds, rate = parameters.seconds, parameters.sample_rate
    samples = round(seconds * rate)
    vocals = soxr.resample(sing(voice, syllables, score.notes, seconds, song.seed), SPEECH_RATE, rate)
    vocals = np.pad(vocals, (0, max(0, samples - len(vocals))))[:samples]
    accompaniment = accompany(song.band, score, seconds, rate).astype(np.float64)
    fade = np.clip((samples - np.arange(samples)) / (_FADE * rate), 0, 1)
    vocals, accompaniment = vocals * fade, accompaniment * fade
    ratio = np.sqrt((vocals**2).sum() / (accompaniment**2).sum())
    vocals *= 10 ** (parameters.mix_db / 20) / ratio
    scale = (
        _PEAK
        * 32_767
        / max(float(np.abs(part).max()) for part in (vocals + accompaniment, vocals, accompaniment))
    )
    return np.round(vocals * scale).astype(np.int16), np.round(accompaniment * scale).astype(np.int16)


def _write(path: Path, samples: NDArray[np.int16], sample_rate: int, song: PlannedSong | None = None) -> None:
    """Write 16-bit FLAC, tagged where `song` is given."""
    import soundfile
    from mutagen.flac import FLAC

    with replacing(path) as temporary:
        soundfile.write(temporary, samples, sample_rate, format="FLAC", subtype="PCM_16")
        if song is not None:
            tags = FLAC(temporary)
            tags["artist"], tags["album"], tags["title"] = song.artist, song.album, song.title
            tags["tracknumber"] = str(song.number)
            tags.save()
