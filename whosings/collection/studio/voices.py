"""Singers that do not exist: what makes one voice different from another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ACCENTS = ("en-us", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-us-nyc", "en-gb-x-gbclan")
_MEN = ("m1", "m3", "m7", "m2", "m5", "Andy", "m4", "Lee", "m6", "Alex", "max", "Mario", "boris")
_WOMEN = ("f1", "f3", "f5", "f2", "Annie", "f4", "aunty", "belinda", "linda")


@dataclass(frozen=True)
class Voice:
    """One singer: the espeak voice that speaks, and how its speech becomes singing."""

    espeak: str  # espeak-ng voice and variant, such as en-gb+f3
    female: bool
    low: int  # lowest comfortable note, MIDI
    high: int  # highest comfortable note, MIDI
    formant_scale: float  # > 1: a shorter vocal tract
    vibrato_rate: float  # Hz
    vibrato_depth: float  # semitones, from the middle to the top
    portamento: float  # seconds from one note to the next
    jitter: float  # semitones RMS of slow random drift
    breathiness: float  # 0 to 1
    tilt: float  # dB per octave above 500 Hz


def voices(count: int, seed: int) -> list[Voice]:
    """
    Draw `count` singers, women and men in turn, that are clearly apart.

    Every trait is spread evenly over its range among the women and among the men, in an order of its own; so
    no two singers of a sex share a value, and twenty singers are still told apart by several traits at once.
    """
    rng = np.random.default_rng([seed, 1])
    women = _choir(rng, (count + 1) // 2, female=True)
    men = _choir(rng, count // 2, female=False)
    return [(men if index % 2 else women)[index // 2] for index in range(count)]


def _choir(rng: np.random.Generator, count: int, female: bool) -> list[Voice]:
    """Draw `count` voices of one sex by Latin hypercube."""
    variants = _WOMEN if female else _MEN
    middle = _spread(rng, count, *((65.0, 70.0) if female else (52.0, 58.0)))
    scale = _spread(rng, count, *((0.98, 1.18) if female else (0.86, 1.06)))
    rate = _spread(rng, count, 4.4, 6.8)
    depth = _spread(rng, count, 0.08, 0.55)
    portamento = _spread(rng, count, 0.05, 0.16)
    jitter = _spread(rng, count, 0.03, 0.12)
    breathiness = _spread(rng, count, 0.0, 0.5)
    tilt = _spread(rng, count, -3.0, 2.0)
    accents = rng.permutation(len(_ACCENTS))
    return [
        Voice(
            espeak=f"{_ACCENTS[accents[index % len(_ACCENTS)]]}+{variants[index % len(variants)]}",
            female=female,
            low=round(middle[index]) - 6,
            high=round(middle[index]) + 7,
            formant_scale=float(scale[index]),
            vibrato_rate=float(rate[index]),
            vibrato_depth=float(depth[index]),
            portamento=float(portamento[index]),
            jitter=float(jitter[index]),
            breathiness=float(breathiness[index]),
            tilt=float(tilt[index]),
        )
        for index in range(count)
    ]


def _spread(rng: np.random.Generator, count: int, low: float, high: float) -> NDArray[np.float64]:
    """Return `count` values at even distances in [low, high], shuffled."""
    return np.round(rng.permutation(low + (high - low) * (np.arange(count) + 0.5) / max(count, 1)), 3)
