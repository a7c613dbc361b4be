"""Songs drawn by a seed: key, tempo, chords, a melody that fits them and a singer's range, and its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BEATS_PER_BAR = 4
_PHRASE_BARS = 2
_ENTRY = 2  # beats of the band alone
_MAJOR = (0, 2, 4, 5, 7, 9, 11)  # semitones above the tonic
_MINOR = (0, 2, 3, 5, 7, 8, 10)
_PROGRESSIONS = {  # degrees of the scale, one a bar
    False: ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 4, 3), (0, 2, 3, 4)),
    True: ((0, 5, 2, 6), (0, 3, 5, 6), (0, 6, 5, 6), (0, 5, 3, 6)),
}
_RHYTHMS = (  # beats of the notes of a phrase of eight beats; what is left is a rest
    (1, 1, 1, 0.5, 0.5, 1, 1.5),
    (0.5, 0.5, 1, 1, 1, 0.5, 2),
    (1.5, 0.5, 1, 1, 1.5, 0.5),
    (1, 0.5, 0.5, 2, 0.5, 0.5, 1),
    (2, 1, 1, 0.5, 0.5, 1.5),
    (0.5, 0.5, 0.5, 0.5, 2, 1, 1.5),
    (1, 1, 2, 1, 1),
)


@dataclass(frozen=True)
class Note:
    """One sung syllable."""

    start: float  # seconds; where its vowel begins
    seconds: float
    midi: int
    word: str


@dataclass(frozen=True)
class Song:
    """What voice and band read from."""

    tempo: float  # beats per minute
    tonic: int  # pitch class, 0 = C
    minor: bool
    chords: tuple[tuple[int, int, int], ...]  # pitch classes of root, third and fifth, one chord a bar
    notes: tuple[Note, ...]

    @property
    def beat(self) -> float:
        """Seconds of a beat."""
        return 60.0 / self.tempo


def compose(rng: np.random.Generator, low: int, high: int, words: Sequence[str], seconds: float) -> Song:
    """
    Write a song of `seconds`, sung between the MIDI notes `low` and `high` with some of `words`.

    Key, tempo, chords and rhythm do not depend on the range: the band's part must not tell who sings.
    """
    tempo, tonic, minor = float(rng.integers(84, 133)), int(rng.integers(12)), bool(rng.random() < 0.4)
    verse, chorus = rng.permutation(len(_PROGRESSIONS[minor]))[:2]
    bars = int(np.ceil(seconds * tempo / 60 / BEATS_PER_BAR)) + 1
    degrees = [_PROGRESSIONS[minor][chorus if bar // 8 % 2 else verse][bar % 4] for bar in range(bars)]
    chords = tuple(_triad(tonic, minor, degree) for degree in degrees)
    rhythms = [_RHYTHMS[index] for index in rng.permutation(len(_RHYTHMS))[:3]]
    line = _melody(rng, _ladder(tonic, minor, low, high), chords, rhythms)
    text = [words[index] for index in rng.permutation(len(words))[:16]]
    beat = 60.0 / tempo
    notes = tuple(
        Note(
            start=round(at * beat, 4),
            seconds=round(length * beat, 4),
            midi=midi,
            word=text[int(rng.integers(len(text)))],
        )
        for at, length, midi in line
        if (at + length) * beat < seconds - 0.2
    )
    return Song(tempo, tonic, minor, chords, notes)


def _triad(tonic: int, minor: bool, degree: int) -> tuple[int, int, int]:
    """Return the pitch classes of the triad on a degree of the scale."""
    scale = _MINOR if minor else _MAJOR
    root, third, fifth = ((tonic + scale[(degree + step) % 7]) % 12 for step in (0, 2, 4))
    return root, third, fifth


def _ladder(tonic: int, minor: bool, low: int, high: int) -> list[int]:
    """Return the notes of the scale from low to high, MIDI."""
    scale = _MINOR if minor else _MAJOR
    return [midi for midi in range(low, high + 1) if (midi - tonic) % 12 in scale]


def _melody(
    rng: np.random.Generator,
    ladder: list[int],
    chords: tuple[tuple[int, int, int], ...],
    rhythms: Sequence[Sequence[float]],
) -> list[tuple[float, float, int]]:
    """Walk the scale phrase by phrase; returns (beat, beats, MIDI) per note. Long notes are chord tones."""
    line: list[tuple[float, float, int]] = []
    rung = len(ladder) // 2
    for phrase in range(len(chords) // _PHRASE_BARS):
        at = _ENTRY + float(phrase * _PHRASE_BARS * BEATS_PER_BAR)
        for length in rhythms[(0, 1, 0, 2)[phrase % 4]]:
            chord = chords[min(int(at // BEATS_PER_BAR), len(chords) - 1)]
            step = int(rng.choice((-2, -1, -1, 0, 1, 1, 2)))
            pull = -1 if rung > len(ladder) * 0.7 else 1 if rung < len(ladder) * 0.3 else 0
            rung = int(np.clip(rung + step + pull, 0, len(ladder) - 1))
            if length >= 1:
                rung = min(
                    (index for index, midi in enumerate(ladder) if midi % 12 in chord),
                    key=lambda index: (abs(index - rung), index),
                )
            line.append((at, length, ladder[rung]))
            at += length
    return line
