"""Small sound files and collections for the tests of this room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from whosings.collection.catalogue import Collection
from whosings.collection.track import Part, SoundFile, Track

RATE = 16_000


def melody(seed: int, seconds: float = 4.0, rate: int = RATE) -> np.ndarray:
    """A row of notes over quiet noise, drawn by the seed: unlike any other seed's, (samples,) float32."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(0.25 * rate)) / rate
    notes = [
        generator.uniform(0.1, 0.5) * np.sin(2 * np.pi * generator.uniform(150, 3000) * time)
        for _ in range(int(seconds / 0.25) + 1)
    ]
    samples = np.concatenate(notes)[: int(seconds * rate)]
    return (samples + 0.01 * generator.standard_normal(len(samples))).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)
    return path


def empty(*paths: Path) -> None:
    """Files that only a scan of names will look at."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def track_of(*mixes: Path) -> Track:
    return Track("Ada", "One", "Song", tuple(Part(mix=SoundFile(path)) for path in mixes))


def imagined(albums: dict[str, int], songs: int = 4, root: Path = Path("imagined")) -> Collection:
    """A collection without files: so many albums by artist, so many songs in each."""
    tracks = [
        Track(artist, f"album {album}", f"song {song}", (Part(mix=SoundFile(Path("none.wav"))),))
        for artist in sorted(albums)
        for album in range(albums[artist])
        for song in range(songs)
    ]
    return Collection(root, "folders", tuple(tracks), ())
