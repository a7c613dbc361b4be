"""
Time a search in a library of 100,000 voiceprints: `python benchmarks/voice_search.py [--prints 100000]`.

The prints are made up, but clustered like real ones: singers, their songs, the windows of these. Searched are
other songs by the same singers, top 20 songs, by the index, by reading all (exact), and by plain numpy over
prints held in memory (brute force, the nearest windows alone); recall is the share of the exact answer's
songs that the index finds. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from whosings.files import write_json
from whosings.voices.library import CARD, FORMAT, Hit, VoiceLibrary
from whosings.voices.prints import Prints, unit
from whosings.voices.table import PrintTable

DIM = 192
WINDOWS = 40  # prints of a song
SONGS = 8  # songs of a singer
TOP = 20
SPREADS = (1.0, 1.0, 0.7, 0.9)  # what all share, the singer, the song, the window
ENCODER = "made up"


class MadeUp:
    """Prints of made-up songs, `songs` of them in the library, drawn from a seed."""

    def __init__(self, songs: int) -> None:
        self._generator = np.random.default_rng(0)
        shared = SPREADS[0] * self._generator.standard_normal(DIM)
        self.voices = shared + SPREADS[1] * self._generator.standard_normal((-(-songs // SONGS), DIM))

    def song(self, singer: int) -> Prints:
        """Draw a song of a singer."""
        of_song = self.voices[singer] + SPREADS[2] * self._generator.standard_normal(DIM)
        vectors = unit(of_song + SPREADS[3] * self._generator.standard_normal((WINDOWS, DIM)))
        return Prints(2.5 * np.arange(WINDOWS), 5.0, vectors, np.ones(WINDOWS))


def fill(folder: Path, sounds: MadeUp, songs: int) -> np.ndarray:
    """Write the library as `VoiceLibrary.add` would, in one go; gives the prints (prints, DIM)."""
    write_json(folder / CARD, {"format": FORMAT, "encoder": ENCODER, "dim": DIM})
    heard = [sounds.song(song // SONGS) for song in range(songs)]
    rows = WINDOWS + 1
    columns: dict[str, Any] = {
        "name": [f"singer {song // SONGS}" for song in range(songs) for _ in range(rows)],
        "file": [f"{song}.wav" for song in range(songs) for _ in range(rows)],
        "sha256": [f"{song:064d}" for song in range(songs) for _ in range(rows)],
        "song": ([True] + [False] * WINDOWS) * songs,
        "start": [start for prints in heard for start in (0.0, *prints.starts)],
        "seconds": ([2.5 * WINDOWS + 2.5] + [5.0] * WINDOWS) * songs,
        "enrolled": ["2026-01-01"] * (rows * songs),
        "consent": [""] * (rows * songs),
    }
    vectors = np.concatenate([part for prints in heard for part in (prints.song[None], prints.vectors)])
    PrintTable(folder, DIM).append(columns, vectors)
    return np.concatenate([prints.vectors for prints in heard])


def by_numpy(vectors: np.ndarray, asked: Prints) -> list[int]:
    """Give the songs of the nearest windows by one matrix product; vectors (prints, DIM)."""
    cosines = vectors @ asked.song
    nearest = np.argpartition(-cosines, WINDOWS * TOP)[: WINDOWS * TOP]
    ordered = nearest[np.argsort(-cosines[nearest])]
    return list(dict.fromkeys((ordered // WINDOWS).tolist()))[:TOP]


def timed(ask: Callable[[Prints], Any], questions: list[Prints]) -> tuple[dict[str, float], list[Any]]:
    """Ask each question; median and 95th percentile in ms, and the answers."""
    times, answers = [], []
    for question in questions:
        start = time.perf_counter()
        answers.append(ask(question))
        times.append(1e3 * (time.perf_counter() - start))
    summary = {"median_ms": statistics.median(times), "p95_ms": float(np.percentile(times, 95))}
    return {name: round(value, 1) for name, value in summary.items()}, answers


def recall(found: list[list[Hit]], wanted: list[list[Hit]]) -> float:
    """Give the share of the wanted songs that were found."""
    shares = [
        len({hit.file for hit in hits} & {hit.file for hit in exact}) / len(exact)
        for hits, exact in zip(found, wanted, strict=True)
    ]
    return round(statistics.fmean(shares), 4)


def measure(folder: Path, prints: int, queries: int) -> dict[str, Any]:
    """Build a library and time searches in it."""
    songs = prints // WINDOWS
    sounds = MadeUp(songs)
    start = time.perf_counter()
    vectors = fill(folder, sounds, songs)
    build = time.perf_counter() - start
    questions = [sounds.song(int(n)) for n in np.linspace(0, len(sounds.voices) - 1, queries)]
    start = time.perf_counter()
    library = VoiceLibrary(folder, ENCODER)
    library.search(questions[0], TOP)
    opening = 1e3 * (time.perf_counter() - start)
    index, found = timed(lambda asked: library.search(asked, TOP), questions)
    exact, wanted = timed(lambda asked: library.search(asked, TOP, exact=True), questions)
    plain, _ = timed(lambda asked: by_numpy(vectors, asked), questions)
    return {
        "prints": songs * WINDOWS,
        "songs": songs,
        "queries": queries,
        "cores": os.cpu_count(),
        "build_with_index_s": round(build, 1),
        "opening_and_first_search_ms": round(opening, 1),
        "index": {**index, f"recall_at_{TOP}": recall(found, wanted)},
        "exact": exact,
        "numpy_in_memory": plain,
        "numpy_over_index": round(plain["median_ms"] / index["median_ms"], 2),
        "exact_over_index": round(exact["median_ms"] / index["median_ms"], 2),
    }


def main() -> None:
    """Parse the arguments, measure and print JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("--prints", type=int, default=100_000, help="prints in the library (default 100000)")
    parser.add_argument("--queries", type=int, default=100, help="searches timed (default 100)")
    arguments = parser.parse_args()
    if arguments.prints < 2 * TOP * WINDOWS or arguments.queries < 1:
        parser.error(f"at least {2 * TOP * WINDOWS} prints and 1 query are needed")
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), arguments.prints, arguments.queries), indent=2))


if __name__ == "__main__":
    main()
