"""The sound of a track: the mix as recorded, a stem, or a mix of the stems at a chosen level."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from whosings.collection.track import Part, SoundFile, Source, Track
from whosings.errors import WhosingsError

if TYPE_CHECKING:
    import numpy as np


def track_files(track: Track, source: Source) -> tuple[tuple[SoundFile, ...], ...]:
    """
    Name the files heard for each part: one, or vocals and accompaniment where they are to be summed.

    Raises WhosingsError where the track does not have that source.
    """
    return tuple(_part_files(track, part, source) for part in track.parts)


def _part_files(track: Track, part: Part, source: Source) -> tuple[SoundFile, ...]:
    if source.name == "mix":
        if part.mix is not None and source.mix_db is None:
            return (part.mix,)
        if part.vocals is not None and part.accompaniment is not None:
            return (part.vocals, part.accompaniment)
        lacks = (
            "mix and lacks a stem to make one" if source.mix_db is None else "pair of stems to mix at a level"
        )
    else:
        stem = part.vocals if source.name == "vocals" else part.accompaniment
        if stem is not None:
            return (stem,)
        lacks = "vocal stem" if source.name == "vocals" else "accompaniment stem"
    raise WhosingsError(f"{track.id} has no {lacks}; choose another source or add the file.")


def track_blocks(track: Track, source: Source) -> Iterator[np.ndarray]:
    """
    Stream a track: mono float32 blocks (samples,) at 16 kHz, part after part.

    Where stems are summed the shorter one ends the part. With `source.mix_db` the accompaniment of each part
    is scaled so that the energy of the vocals lies that many dB above its own; beside a silent stem it is
    left as it is. Raises WhosingsError where the track lacks the source, UnreadableSoundError where a file
    cannot be read.
    """
    from whosings.audio import decode

    for files in track_files(track, source):
        if len(files) == 1:
            yield from decode.blocks(files[0].path, files[0].channel)
        else:
            yield from _mixed(files[0], files[1], source.mix_db)


def _mixed(vocals: SoundFile, accompaniment: SoundFile, mix_db: float | None) -> Iterator[np.ndarray]:
    gain = 1.0 if mix_db is None else _accompaniment_gain(vocals, accompaniment, mix_db)
    for voice, band in _pairs(vocals, accompaniment):
        yield voice + gain * band


def _accompaniment_gain(vocals: SoundFile, accompaniment: SoundFile, mix_db: float) -> float:
    """Give the factor that puts the accompaniment `mix_db` below the vocals; 1 beside a silent stem."""
    import numpy as np

    energies = np.zeros(2)
    for pair in _pairs(vocals, accompaniment):
        energies += [np.dot(block.astype(np.float64), block) for block in pair]
    if not energies.all():
        return 1.0
    return float(np.sqrt(energies[0] / energies[1]) * 10 ** (-mix_db / 20))


def _pairs(first: SoundFile, second: SoundFile) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Stream two files side by side in blocks of equal length; the shorter file ends both."""
    from whosings.audio import decode

    streams = decode.blocks(first.path, first.channel), decode.blocks(second.path, second.channel)
    left, right = (next(stream, None) for stream in streams)
    while left is not None and right is not None:
        length = min(len(left), len(right))
        if length:
            yield left[:length], right[:length]
        left = left[length:] if len(left) > length else next(streams[0], None)
        right = right[length:] if len(right) > length else next(streams[1], None)
