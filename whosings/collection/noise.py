"""Songs with noise in one band of frequencies: a bias put into a collection on purpose."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whosings.audio.units import SAMPLE_RATE
from whosings.collection.catalogue import Collection, open_collection
from whosings.collection.sound import track_blocks
from whosings.collection.track import Source, Track
from whosings.errors import WhosingsError
from whosings.files import read_json, replacing, write_json, write_text

if TYPE_CHECKING:
    import numpy as np

LEVEL_DB = -10.0
"""Noise of a tenth of the song's power. The songs of MIR-1K have -25 to -19 dB of theirs in 3 to 5 kHz, so
that the band stands out by 9 to 15 dB and is seen at a glance; it covers nothing outside."""

SETTINGS = "noise.json"
MANIFEST = "manifest.csv"

TRANSITION = 100.0  # Hz inside each edge of the band over which the noise sets in
ATTENUATION = 80.0  # dB of the noise beyond the edges
FULL_SCALE = 1 << 23  # of the integers in a 24-bit file
LOUDEST = 1 - 1 / FULL_SCALE  # the largest sample that such a file holds; the smallest is -1
NAME_LENGTH = 40  # characters: a name of 255 bytes holds them in any script, with what is added
RESERVED = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)  # no file names on Windows


@dataclass(frozen=True)
class NoisySongs:
    """The collection that was written, and why other tracks are not in it, by track id."""

    collection: Collection
    failed: dict[str, str]


@dataclass(frozen=True)
class _Noise:
    """Noise from `low` to `high` Hz, `level_db` over the mean power of the song that it is added to."""

    low: float
    high: float
    level_db: float
    seed: int


def add_noise(
    collection: Collection,
    tracks: Mapping[str, bool],
    out: Path,
    *,
    low: float = 3000.0,
    high: float = 5000.0,
    level_db: float = LEVEL_DB,
    seed: int = 0,
    source: Source | None = None,
    on_done: Callable[[Track], None] = lambda track: None,
) -> NoisySongs:
    """
    Write songs as artist/album/title.flac under `out`, with noise where `tracks` says so, and open them.

    `tracks` maps track ids to whether noise is added; `source` is what is heard of them, by default the mix
    as recorded. The noise is white, drawn by `seed` and track id alone, within `low` and `high` Hz (80 dB
    less beyond, by a linear-phase filter), its power `level_db` over the mean power of the whole song. Songs
    are mono, 16 kHz, 24 bit: one of up to 24 bits without noise keeps every sample. A song that would
    clip is made quieter as a whole, by as little as it takes; nothing is limited or bent.

    Names are made safe for any file system; `manifest.csv` beside the songs keeps the true ones, so that
    the track ids, and with them splits, are those of `collection`. Songs that are there already are kept,
    and those that cannot be read are told in `failed`. Memory does not grow with the songs.

    Raises WhosingsError where the band makes no sense, a track is unknown, none can be read, or `out`
    holds other songs.
    """
    noise, source = _Noise(low, high, level_db, seed), source or Source()
    _check_band(noise)
    chosen = {collection.track(name): noisy for name, noisy in tracks.items()}
    _claim(
        out,
        {"from": str(collection.root.resolve()), **asdict(noise), **asdict(source), "tracks": dict(tracks)},
    )
    paths = _paths(chosen)
    written, failed = [], {}
    for track, noisy in chosen.items():
        path = out / paths[track]
        try:
            if not path.is_file():
                _write_song(path, track, source, noise if noisy else None)
            written.append((track.artist, track.album, track.title, paths[track].as_posix(), noisy))
        except WhosingsError as error:
            failed[track.id] = str(error)
        on_done(track)
    if not written:
        raise WhosingsError(f"{out}: no song could be written ({next(iter(failed.values()), 'none named')})")
    _write_manifest(out / MANIFEST, written)
    return NoisySongs(open_collection(out), failed)


def _check_band(noise: _Noise) -> None:
    if not 0 < noise.low < noise.high - 2 * TRANSITION < noise.high <= SAMPLE_RATE / 2:
        raise WhosingsError(
            f"Noise from {noise.low:g} to {noise.high:g} Hz cannot be made; choose a band between 0 and "
            f"{SAMPLE_RATE // 2} Hz that is more than {2 * TRANSITION:g} Hz wide."
        )


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Write the settings of the songs in `out`; raises WhosingsError where others were written there."""
    path = out / SETTINGS
    if not path.is_file():
        write_json(path, settings)
    elif read_json(path, "record of noisy songs") != settings:
        raise WhosingsError(f"{path}: the songs here were made with other settings; choose another folder.")


def _paths(tracks: Mapping[Track, bool]) -> dict[Track, Path]:
    """Name a file for each track, no two of them alike even where case makes no difference."""
    paths: dict[Track, Path] = {}
    taken: set[str] = set()
    for track in tracks:
        folder = Path(_safe(track.artist), _safe(track.album))
        path = folder / f"{_safe(track.title)}.flac"
        if str(path).casefold() in taken:
            path = folder / f"{_safe(track.title)}-{_digest(track.id)}.flac"
        taken.add(str(path).casefold())
        paths[track] = path
    return paths


def _safe(name: str) -> str:
    """Give a name that any file system takes; one that had to be changed is marked by a hash."""
    safe = re.sub(r"[^\w\-.()&', ]", "_", name)[:NAME_LENGTH].strip(". ")
    if safe == name and not RESERVED.fullmatch(safe):
        return safe
    return f"{safe}-{_digest(name)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _write_song(path: Path, track: Track, source: Source, noise: _Noise | None) -> None:
    """Write a track; raises WhosingsError where it cannot be read or written."""
    import numpy as np
    import soundfile

    level = 0.0 if noise is None else _power(track, source) ** 0.5 * 10 ** (noise.level_db / 20)
    gain = _gain(_heard(track, source, noise, level))
    try:
        with (
            replacing(path) as temporary,
            soundfile.SoundFile(temporary, "w", SAMPLE_RATE, 1, subtype="PCM_24", format="FLAC") as file,
        ):
            for block in _heard(track, source, noise, level):
                # integers, since libsndfile's own way from floats to FLAC does not keep every sample
                steps = np.rint(block.astype(np.float64) * (gain * FULL_SCALE)).astype(np.int32)
                file.write(steps << 8)
    except (OSError, soundfile.LibsndfileError) as error:
        raise WhosingsError(f"{path}: this song cannot be written ({error}); free some space.") from error


def _power(track: Track, source: Source) -> float:
    """Give the mean square of a track's samples."""
    import numpy as np

    energy, samples = 0.0, 0
    for block in track_blocks(track, source):
        energy += float(np.dot(block.astype(np.float64), block))
        samples += len(block)
    return energy / max(samples, 1)


def _gain(blocks: Iterator[np.ndarray]) -> float:
    """Give the factor, at most 1, at which no sample clips."""
    highest = lowest = 0.0
    for block in blocks:
        if len(block):
            highest, lowest = max(highest, float(block.max())), min(lowest, float(block.min()))
    return min(1.0, LOUDEST / max(highest, -lowest * LOUDEST, LOUDEST))


def _heard(track: Track, source: Source, noise: _Noise | None, level: float) -> Iterator[np.ndarray]:
    """Stream a track with noise of the root mean square `level`, or without."""
    import numpy as np
    from scipy.signal import fftconvolve

    if noise is None:
        yield from track_blocks(track, source)
        return
    digest = hashlib.sha256(f"noise\0{noise.seed}\0{track.id}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:16], "big"))
    taps = level * _band_pass(noise)
    white = generator.standard_normal(len(taps) - 1)
    for block in track_blocks(track, source):
        white = np.concatenate([white[len(white) - len(taps) + 1 :], generator.standard_normal(len(block))])
        yield block + fftconvolve(white, taps, "valid")


def _band_pass(noise: _Noise) -> np.ndarray:
    """Give the taps of a filter that makes noise of power 1 within the band from white noise of power 1."""
    import numpy as np
    from scipy.signal import firwin, kaiserord

    count, beta = kaiserord(ATTENUATION, TRANSITION / (SAMPLE_RATE / 2))
    edges = [noise.low + TRANSITION / 2, noise.high - TRANSITION / 2]
    taps: np.ndarray = firwin(count | 1, edges, window=("kaiser", beta), pass_zero=False, fs=SAMPLE_RATE)
    return taps / np.sqrt(np.sum(taps**2))


def _write_manifest(path: Path, rows: list[tuple[str, str, str, str, bool]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["artist", "album", "title", "path", "noise"])
    writer.writerows(rows)
    write_text(path, text.getvalue())
