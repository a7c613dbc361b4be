"""A made-up encoder: each voice is a direction, each song turns it a little, each window a little more."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from whosings.voices.prints import Prints, unit

DIM = 24


class FakeEncoder:
    """Hears `voice song` as text in a file; every such text has prints of its own."""

    id = "fake 1"
    dim = DIM

    def __call__(self, path: Path) -> Prints:
        voice, song = path.read_text().split()
        return heard(voice, song)


def heard(voice: str, song: str, windows: int = 6) -> Prints:
    """Give the prints of a song sung by a voice, the same each time."""
    shared = 2 * np.eye(DIM)[0]
    of_voice = np.random.default_rng(_seed(voice)).standard_normal(DIM)
    generator = np.random.default_rng(_seed(f"{voice}/{song}"))
    of_song = shared + of_voice + 0.4 * generator.standard_normal(DIM)
    vectors = unit(of_song + 0.4 * generator.standard_normal((windows, DIM)))
    return Prints(2.5 * np.arange(windows), 5.0, vectors, np.ones(windows))


def sound(folder: Path, voice: str, song: str) -> Path:
    """Write the file of a song."""
    path = folder / f"{voice}-{song}.wav"
    path.write_text(f"{voice} {song}")
    return path


def cohort(songs: int = 40) -> np.ndarray:
    """Give the prints (songs, dim) of songs by voices that no test asks about."""
    return np.array([heard(f"cohort{number}", "song").song for number in range(songs)])


def _seed(text: str) -> list[int]:
    return list(text.encode())
