"""Bands that do not exist: General MIDI instruments and a way to play, heard through a soundfont."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whosings.collection.studio import names
from whosings.collection.studio.extras import soundfont
from whosings.collection.studio.songs import BEATS_PER_BAR, Song

_STEPS = 16  # of a bar
_BASS, _CHORDS, _LEAD, _DRUMS = 0, 1, 2, 9  # MIDI channels
_DRUM_BANK = 128
_KITS = (0, 8, 16, 24, 25, 32, 40)  # presets of the drum bank in TimGM6mb
_BASSES = (33, 32, 38, 34, 35, 36, 39, 37)
_CHORD_PROGRAMS = (0, 25, 4, 16, 27, 48, 5, 24, 21, 61, 11, 89, 6, 19, 105, 26, 50, 15)
_LEADS = (73, 65, 81, 22, 68, 56, 110, 80, 11, 71, 66, 40, 75, 57, 9, 114)
_KICK, _SNARE, _HAT = 36, 38, 42
_EVENT = tuple[float, int, int, int, int]  # seconds, 1 on / 0 off, channel, key, velocity


@dataclass(frozen=True)
class Style:
    """Which of the sixteen steps of a bar each player plays on."""

    kick: tuple[int, ...]
    snare: tuple[int, ...]
    hat: tuple[int, ...]
    bass: tuple[int, ...]
    chords: tuple[int, ...]
    arpeggio: bool  # one note of the chord at a time


STYLES = {
    "pop": Style((0, 8, 10), (4, 12), tuple(range(0, 16, 2)), (0, 6, 8, 14), (0, 4, 8, 12), False),
    "folk": Style((0, 8), (), (4, 12), (0, 8), tuple(range(0, 16, 2)), True),
    "rock": Style((0, 2, 8, 10), (4, 12), tuple(range(0, 16, 2)), tuple(range(0, 16, 2)), (0, 6, 8), False),
    "ballad": Style((0,), (8,), (0, 4, 8, 12), (0, 10), (0,), False),
    "bossa": Style((0, 6, 8, 14), (3, 6, 10), tuple(range(0, 16, 2)), (0, 6, 8, 14), (0, 6, 12), False),
    "disco": Style(
        (0, 4, 8, 12), (4, 12), (2, 6, 10, 14), (0, 2, 4, 6, 8, 10, 12, 14), (2, 6, 10, 14), False
    ),
    "electro": Style((0, 4, 8, 12), (), (2, 6, 10, 14), (2, 3, 6, 7, 10, 11, 14, 15), tuple(range(16)), True),
}


@dataclass(frozen=True)
class Band:
    """Players, as programs of the soundfont, and how they play."""

    name: str
    style: str  # a key of STYLES
    kit: int
    bass: int
    chords: int
    lead: int
    swing: float  # share of a step by which every second step comes late
    drum_velocity: int  # 1 to 127


def bands(count: int, seed: int) -> list[Band]:
    """Draw `count` bands; instruments and styles go round in shuffled orders, so near ones share little."""
    rng = np.random.default_rng([seed, 3])
    called = names.bands(rng, count)
    kits, basses, chords, leads, styles = (
        rng.permutation(pool) for pool in (_KITS, _BASSES, _CHORD_PROGRAMS, _LEADS, tuple(STYLES))
    )
    return [
        Band(
            name=called[index],
            style=str(styles[index % len(styles)]),
            kit=int(kits[(index + index // len(kits)) % len(kits)]),
            bass=int(basses[index % len(basses)]),
            chords=int(chords[index % len(chords)]),
            lead=int(leads[index % len(leads)]),
            swing=round(float(rng.choice((0.0, 0.0, 0.2, 0.35))), 2),
            drum_velocity=int(rng.integers(70, 115)),
        )
        for index in range(count)
    ]


def accompany(band: Band, song: Song, seconds: float, sample_rate: int) -> NDArray[np.float32]:
    """Play `song`; returns (samples,) mono, level arbitrary."""
    import tinysoundfont

    synth = tinysoundfont.Synth(gain=-6, samplerate=sample_rate)
    font = synth.sfload(str(soundfont()))
    for channel, program in ((_BASS, band.bass), (_CHORDS, band.chords), (_LEAD, band.lead)):
        synth.program_select(channel, font, 0, program)
    synth.program_select(_DRUMS, font, _DRUM_BANK, band.kit, True)
    blocks: list[NDArray[np.float32]] = []
    done, total = 0, round(seconds * sample_rate)
    for at, on, channel, key, velocity in sorted(_events(band, song)):
        sample = min(round(at * sample_rate), total)
        if sample > done:
            blocks.append(_mono(synth.generate(sample - done)))
            done = sample
        if on:
            synth.noteon(channel, key, velocity)
        else:
            synth.noteoff(channel, key)
    if total > done:
        blocks.append(_mono(synth.generate(total - done)))
    return np.concatenate(blocks)


def _mono(block: memoryview) -> NDArray[np.float32]:
    """Take the mean of interleaved left and right; returns (samples,), a copy."""
    stereo = np.frombuffer(bytes(block), dtype=np.float32).reshape(-1, 2)
    mono: NDArray[np.float32] = stereo.mean(axis=1)
    return mono


def _events(band: Band, song: Song) -> Iterator[_EVENT]:
    """Write the parts of all players as note events, in no order."""
    style = STYLES[band.style]
    bar_seconds = BEATS_PER_BAR * song.beat
    for bar, chord in enumerate(song.chords):
        for channel, key, step, steps, velocity in _bar(band, style, bar, chord):
            late = band.swing if step % 2 else 0.0
            start = bar * bar_seconds + (step + late) / _STEPS * bar_seconds
            yield (start, 1, channel, key, velocity)
            yield (start + steps / _STEPS * bar_seconds * 0.95, 0, channel, key, 0)


def _bar(
    band: Band, style: Style, bar: int, chord: tuple[int, int, int]
) -> Iterator[tuple[int, int, int, float, int]]:
    """Give (channel, key, step, steps long, velocity) of a bar; `chord` is in pitch classes."""
    root, third, fifth = (48 + (pitch - 48) % 12 for pitch in chord)
    voicing = tuple(sorted(60 + (pitch - 60) % 12 for pitch in chord))
    for key, hits in ((_KICK, style.kick), (_SNARE, style.snare), (_HAT, style.hat)):
        for step in hits:
            yield _DRUMS, key, step, 0.5, band.drum_velocity - (20 if key == _HAT else 0)
    for index, step in enumerate(style.bass):
        until = style.bass[index + 1] if index + 1 < len(style.bass) else _STEPS
        yield _BASS, (root if index % 4 != 3 else fifth) - 12, step, until - step, 100
    for index, step in enumerate(style.chords):
        until = style.chords[index + 1] if index + 1 < len(style.chords) else _STEPS
        for key in (voicing[index % 3],) if style.arpeggio else voicing:
            yield _CHORDS, key, step, until - step, 78
    if bar % 2 == 0:  # the lead answers between the phrases of the voice, which end in the first half
        for step, pitch in ((0, fifth), (2, third), (4, root)):
            yield _LEAD, pitch + 24, step, 2 if step < 4 else 4, 80
