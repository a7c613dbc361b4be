"""Stems on disk: a mix is taken apart once for its content and its separator, and heard ever after."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO

from whosings.audio.separation import Separator, load_separator
from whosings.audio.units import SAMPLE_RATE
from whosings.collection.sound import track_blocks, track_files
from whosings.collection.track import Part, SoundFile, Source, Track
from whosings.errors import WhosingsError
from whosings.files import replacing

if TYPE_CHECKING:
    import numpy as np

FORMAT = 1  # of the files in the store; a new number makes all of them anew
SUBTYPE = "PCM_24"  # its steps lie 144 dB below full scale: a quiet stem keeps its detail
FULL_SCALE = 1 - 2.0**-23  # the loudest sample it can hold
BLOCK = 1 << 18  # samples that are converted at a time


class StemStore:
    """
    Separated vocals and accompaniment under one folder, keyed by content and separator.

    Files are whole or absent and never change, so several processes may share a store; threads may share
    one object. `hash_of` gives the hash of the content of a file, `load` the separator of a name.
    """

    def __init__(
        self,
        root: Path,
        hash_of: Callable[[Path], str],
        load: Callable[[str], Separator] = load_separator,
    ) -> None:
        self.root = Path(root)
        self._hash_of = hash_of
        self._load = load
        self._separators: dict[str, Separator] = {}
        self._lock = Lock()  # networks use all cores by themselves

    def separate(self, track: Track, source: Source) -> Track:
        """
        Give the track with stems of its mix, heard at `source.mix_db`, as vocals and accompaniment.

        A part that is not on disk yet is separated now, with bounded memory. A source that needs no
        separation gives the track as it is. Raises WhosingsError where the separator lacks its package or
        weights, the track has no such mix, a file cannot be read or the store cannot be written.
        """
        if not source.separated:
            return track
        parts = tuple(self._separated(replace(track, parts=(part,)), source) for part in track.parts)
        return replace(track, parts=parts)

    def _separated(self, track: Track, source: Source) -> Part:
        """Give the one part of a track with its stems."""
        mix = Source("mix", source.mix_db)
        with self._lock:
            separator = self._separator(source.separator)
            vocals, accompaniment = self._paths(self._key(track, mix, separator), separator)
            if not (vocals.is_file() and accompaniment.is_file()):
                try:
                    _write_stems(separator(track_blocks(track, mix)), vocals, accompaniment)
                except OSError as error:
                    raise WhosingsError(
                        f"{vocals}: the stems cannot be written ({error.strerror or error}); "
                        "free some space, or name another folder in WHOSINGS_CACHE."
                    ) from error
        return replace(track.parts[0], vocals=SoundFile(vocals), accompaniment=SoundFile(accompaniment))

    def _separator(self, name: str) -> Separator:
        if name not in self._separators:
            self._separators[name] = self._load(name)
        return self._separators[name]

    def _key(self, track: Track, mix: Source, separator: Separator) -> str:
        """Give the key of the stems of a part: a hash over the content of its files and all settings."""
        (files,) = track_files(track, mix)
        settings = {
            "format": [FORMAT, SAMPLE_RATE, SUBTYPE],
            "mix_db": mix.mix_db if len(files) > 1 else None,
            "part": [(self._hash_of(file.path), file.channel) for file in files],
            "separator": [separator.name, separator.version],
        }
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    def _paths(self, key: str, separator: Separator) -> tuple[Path, Path]:
        folder = self.root / "stems" / separator.name / key[:2]
        return folder / f"{key}.vocals.flac", folder / f"{key}.accompaniment.flac"


def _write_stems(pairs: Iterable[tuple[np.ndarray, np.ndarray]], vocals: Path, accompaniment: Path) -> None:
    """
    Write a stream of pairs (samples,) as two FLAC files at 16 kHz, whole or not at all.

    FLAC ends at full scale. Where one of the stems goes beyond, both are turned down by the same factor, so
    that nothing is clipped and they keep their balance; hence the way over a file of floats.
    """
    vocals.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=vocals.parent) as floats:
        peak = _spool(pairs, floats)
        gain = min(1.0, FULL_SCALE / peak) if peak else 1.0
        with replacing(vocals) as first, replacing(accompaniment) as second:
            for column, path in enumerate((first, second)):
                _write_flac(path, (gain * block[:, column] for block in _blocks(floats)))


def _spool(pairs: Iterable[tuple[np.ndarray, np.ndarray]], file: BinaryIO) -> float:
    """Write pairs (samples,) as float32 (samples, 2); give the largest magnitude."""
    import numpy as np

    peak = 0.0
    for pair in pairs:
        both = np.stack(pair, axis=1).astype("<f4")
        peak = max(peak, float(np.abs(both).max(initial=0.0)))
        file.write(both.tobytes())
    return peak


def _blocks(file: BinaryIO) -> Iterator[np.ndarray]:
    """Read float32 (samples, 2) from the beginning of a file."""
    import numpy as np

    file.seek(0)
    while data := file.read(8 * BLOCK):
        yield np.frombuffer(data, "<f4").reshape(-1, 2)


def _write_flac(path: Path, blocks: Iterable[np.ndarray]) -> None:
    """Write blocks (samples,) at 16 kHz; raises OSError where that fails."""
    import soundfile

    try:
        with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, SUBTYPE) as file:
            for block in blocks:
                file.write(block)
    except soundfile.LibsndfileError as error:
        raise OSError(error.error_string) from error
