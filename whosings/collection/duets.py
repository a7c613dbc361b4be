"""Duets put together from stems, so that who sings when is known: singers take turns over another's band."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from whosings.audio.units import SAMPLE_RATE
from whosings.collection.sound import track_blocks
from whosings.collection.track import Source, SourceName, Track
from whosings.errors import WhosingsError

if TYPE_CHECKING:
    import numpy as np

SHORTEST, LONGEST = 4.0, 12.0  # seconds of a turn, drawn evenly
TURNS = 8
INTERLUDE = 8.0  # seconds of the band alone, and of speech
PAUSE = 1.0  # seconds without voice that end a segment of the reference; a breath is shorter
CLICK = 0.2  # seconds of voice between two pauses that are no note yet

FRAME = 0.05  # seconds over which the voice is told from silence
SILENCE_DB = -35.0  # of such a frame, below the loud ones of its song
LOUD = 95  # percentile of frames that counts as loud
FADE = 0.02  # seconds of fade at both ends of a turn, against clicks
PEAK = 0.9  # of full scale, in the finished duet


@dataclass(frozen=True)
class Turn:
    """A stretch of a duet, `start` to `end` in seconds, sung by `singer`, or by none where that is None."""

    start: float
    end: float
    singer: str | None


@dataclass(frozen=True)
class Duet:
    """The sound of a duet and who sings when; turns cover it in order, without gaps."""

    samples: np.ndarray
    """(samples,) float32 at 16 kHz"""
    turns: tuple[Turn, ...]
    voices: tuple[str, ...]
    """track ids"""
    band: str
    """track id"""

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / SAMPLE_RATE


def make_duets(
    tracks: Sequence[Track],
    count: int,
    seed: int = 0,
    *,
    mix_db: float = 0.0,
    speech: np.ndarray | None = None,
) -> Iterator[Duet]:
    """
    Make `count` duets of two or three singers from `tracks` alone; equal arguments give equal duets.

    Singers, songs and the band, which is that of a song by nobody in the duet, are drawn by the seed; see
    `make_duet` for the rest. Raises WhosingsError as that does, and for fewer than three artists.
    """
    import numpy as np

    artists = sorted({track.artist for track in tracks})
    if len(artists) < 3:
        raise WhosingsError(
            f"A duet needs two singers and the band of a third, and there are songs of {len(artists)}; "
            "name songs of more."
        )
    for number in range(count):
        generator = np.random.default_rng(_digest("duets", seed, number))
        singers = int(generator.integers(2, min(3, len(artists) - 1) + 1))
        drawn = [artists[index] for index in generator.permutation(len(artists))[: singers + 1]]
        songs = [[track for track in tracks if track.artist == artist] for artist in drawn]
        *voices, band = (of_artist[generator.integers(len(of_artist))] for of_artist in songs)
        yield make_duet(voices, band, _digest("duet", seed, number), mix_db=mix_db, speech=speech)


def make_duet(
    voices: Sequence[Track],
    band: Track,
    seed: int,
    *,
    turns: int = TURNS,
    mix_db: float = 0.0,
    speech: np.ndarray | None = None,
) -> Duet:
    """
    Let the singers of `voices` take turns over the accompaniment of `band`, all drawn by the seed.

    A turn is 4 to 12 s of one vocal stem from where it is sung; no singer follows themselves. One stretch
    of the band alone, and with `speech` (samples,) at 16 kHz one of that over the band, lie between turns.
    All voices are equally loud while they sing, `mix_db` over the mean power of the band, which starts anew
    where it ends. Pauses of over a second within a turn count as no singing.

    Raises WhosingsError where two voices are of one artist, the band is of one of them, a stem is missing,
    silent or unreadable, or `speech` is silent.
    """
    import numpy as np

    _check(voices, band)
    generator = np.random.default_rng(seed)
    stems = [_Voice(track) for track in voices]
    pieces: list[tuple[np.ndarray, np.ndarray, str | None]] = []  # samples, sung frames, singer
    for number in _order(len(stems), turns, generator):
        piece, sung = stems[number].turn(generator.uniform(SHORTEST, LONGEST), generator)
        pieces.append((piece, sung, voices[number].artist))
    for interlude in (_interlude(None), *([] if speech is None else [_interlude(speech)])):
        place = int(generator.integers(1, len(pieces)))
        pieces.insert(place, (interlude, np.zeros(len(interlude) // _frame(), dtype=bool), None))
    line = np.concatenate([piece for piece, _, _ in pieces])
    backing = _read(band, "accompaniment")
    level = float(np.sqrt(np.mean(backing**2))) if len(backing) else 0.0
    if level <= 0:
        raise WhosingsError(f"{band.id} has a silent accompaniment stem; leave it out.")
    backing = np.resize(np.roll(backing, -int(generator.integers(len(backing)))), len(line))
    samples = line + backing * 10 ** (-mix_db / 20) / level
    samples *= PEAK / np.abs(samples).max()
    return Duet(samples.astype(np.float32), _turns(pieces), tuple(track.id for track in voices), band.id)


class _Voice:
    """A vocal stem of loudness 1 while it is sung, given out a turn at a time from a random place on."""

    def __init__(self, track: Track):
        import numpy as np

        samples = _read(track, "vocals")
        frames = len(samples) // _frame()
        samples = samples[: frames * _frame()]
        power = np.mean(samples.reshape(frames, -1) ** 2, axis=1) if frames else np.zeros(1)
        loud = float(np.percentile(power, LOUD))
        if loud <= 0:
            raise WhosingsError(f"{track.id} has a silent vocal stem; leave it out.")
        self.sung = power > loud * 10 ** (SILENCE_DB / 10)
        self.samples = samples / np.sqrt(power[self.sung].mean())
        self.place: int | None = None

    def turn(self, seconds: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Give the next `seconds` from where the voice sets in: (samples,) and sung (frames,)."""
        import numpy as np

        if self.place is None:
            self.place = int(generator.integers(len(self.sung)))
        order = np.arange(self.place, self.place + len(self.sung)) % len(self.sung)
        onset = self.place + int(self.sung[order].argmax())
        chosen = np.arange(onset, onset + round(seconds / FRAME)) % len(self.sung)
        self.place = int(chosen[-1]) + 1
        piece = self.samples.reshape(len(self.sung), -1)[chosen].ravel()
        ramp = np.minimum(1, np.arange(len(piece)) / (FADE * SAMPLE_RATE))
        return piece * ramp * ramp[::-1], self.sung[chosen]


def _order(voices: int, turns: int, generator: np.random.Generator) -> list[int]:
    """Draw whose turn it is: every voice once before any twice, nobody two times running."""
    order: list[int] = []
    while len(order) < turns:
        round_ = [int(voice) for voice in generator.permutation(voices)]
        if order and round_[0] == order[-1]:
            round_.reverse()
        order += round_
    return order[:turns]


def _interlude(speech: np.ndarray | None) -> np.ndarray:
    """Give as much silence, or speech of loudness 1, as an interlude is long: (samples,)."""
    import numpy as np

    silence = np.zeros(round(INTERLUDE / FRAME) * _frame())
    if speech is None:
        return silence
    power = float(np.mean(np.square(speech, dtype=np.float64))) if len(speech) else 0.0
    if power <= 0:
        raise WhosingsError("The speech for a duet is silent; give another.")
    piece: np.ndarray = speech[: len(silence)] / np.sqrt(power)
    return np.concatenate([piece, silence[len(piece) :]])


def _turns(pieces: Sequence[tuple[np.ndarray, np.ndarray, str | None]]) -> tuple[Turn, ...]:
    """Tell who sings when from the sung frames of each piece; breaths belong to the voice before them."""
    names: list[str | None] = []
    for _, sung, singer in pieces:
        notes = ~bridged(~sung, round(CLICK / FRAME))
        names += [singer if here else None for here in bridged(notes, round(PAUSE / FRAME))]
    turns, first = [], 0
    for name, group in groupby(names):
        last = first + len(list(group))
        turns.append(Turn(round(first * FRAME, 6), round(last * FRAME, 6), name))
        first = last
    return tuple(turns)


def bridged(sung: np.ndarray, most: int) -> np.ndarray:
    """Fill the gaps of at most `most` frames in `sung` (frames,), at its ends as well."""
    import numpy as np

    filled = sung.copy()
    bounds = np.flatnonzero(np.diff(sung, prepend=True, append=True))
    for first, last in bounds.reshape(-1, 2):
        if last - first <= most:
            filled[first:last] = sung.any()
    return filled


def _check(voices: Sequence[Track], band: Track) -> None:
    artists = [track.artist for track in voices]
    if len(artists) < 2 or len(set(artists)) < len(artists) or band.artist in artists:
        raise WhosingsError(
            f"{', '.join(artists)} over {band.artist}: a duet needs two or more different singers "
            "and the band of another; choose other songs."
        )


def _read(track: Track, source: SourceName) -> np.ndarray:
    """Read a stem whole: (samples,) float64."""
    import numpy as np

    blocks = list(track_blocks(track, Source(source)))
    return np.concatenate(blocks).astype(np.float64) if blocks else np.zeros(0)


def _frame() -> int:
    return round(FRAME * SAMPLE_RATE)


def _digest(*words: object) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(map(str, words)).encode()).digest()[:8], "big")
