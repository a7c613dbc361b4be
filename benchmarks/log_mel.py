"""
Time decode and log-mel of a song against librosa: `python benchmarks/log_mel.py [--workers 2]`.

Both hear the same synthetic four-minute stereo mp3 at 44.1 kHz, taking turns, so that a busy machine slows
both; the medians are compared. With several workers, each round hears one song per worker in its own process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import librosa
import numpy as np
import soundfile

from whosings.audio.decode import read
from whosings.audio.logmel import log_mel
from whosings.audio.units import HOP, N_FFT, N_MELS, SAMPLE_RATE

FILE_RATE = 44_100  # Hz


def write_song(path: Path, seconds: int) -> None:
    """Write a stereo mp3 of gliding tones over noise that comes and goes, the same each time."""
    generator = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", FILE_RATE, 2) as file:
        for second in range(seconds):
            at = second + np.arange(FILE_RATE)[:, None] / FILE_RATE
            voice = 0.3 * np.sin(2 * np.pi * 220 * at + 40 * np.sin(at)) * (1 + np.sin(3 * at)) / 2
            band = 0.05 * generator.standard_normal((FILE_RATE, 2))
            file.write(voice + band)


def hear_by_librosa(path: Path) -> np.ndarray:
    """Compute the log-mel `(128, frames)` as the papers' code does."""
    samples, _ = librosa.load(path, sr=SAMPLE_RATE)
    power = librosa.feature.melspectrogram(
        y=samples, sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP, n_mels=N_MELS
    )
    result: np.ndarray = librosa.power_to_db(power, ref=1.0)
    return result


def hear_by_whosings(path: Path) -> np.ndarray:
    """Compute the log-mel `(128, frames)` with this project."""
    return log_mel(read(path))


def seconds_of(
    hear: Callable[[Path], np.ndarray], path: Path, pool: ProcessPoolExecutor | None, n: int
) -> float:
    """Measure how long it takes to hear `path` n times, in the pool or, without one, here."""
    start = time.perf_counter()
    for _ in pool.map(hear, [path] * n) if pool else map(hear, [path] * n):
        pass
    return time.perf_counter() - start


def compare(path: Path, rounds: int, workers: int) -> tuple[list[float], list[float]]:
    """Measure librosa and whosings in turn, after one unmeasured round; seconds of each round."""
    theirs, ours = [], []
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers > 1 else None
    try:
        for number in range(rounds + 1):
            times = [seconds_of(hear, path, pool, workers) for hear in (hear_by_librosa, hear_by_whosings)]
            if number:
                theirs.append(times[0])
                ours.append(times[1])
    finally:
        if pool:
            pool.shutdown()
    return theirs, ours


def main() -> None:
    """Parse the arguments, measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds of each (default 7)")
    parser.add_argument("--workers", type=int, default=1, help="processes, one song each (default 1)")
    parser.add_argument("--seconds", type=int, default=240, help="length of the song (default 240)")
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.workers, arguments.seconds) < 1:
        parser.error("rounds, workers and seconds must be at least 1")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "song.mp3"
        write_song(path, arguments.seconds)
        difference = np.abs(hear_by_librosa(path) - hear_by_whosings(path)).max()
        theirs, ours = compare(path, arguments.rounds, arguments.workers)
    sound = arguments.seconds * arguments.workers
    print(
        f"{arguments.workers} x {arguments.seconds} s of stereo mp3, "
        f"{arguments.rounds} rounds, {os.cpu_count()} cores"
    )
    print(f"{'':10}{'median s':>10}{'min s':>10}{'max s':>10}{'x real time':>13}")
    for name, times in (("librosa", theirs), ("whosings", ours)):
        median = statistics.median(times)
        print(f"{name:10}{median:10.3f}{min(times):10.3f}{max(times):10.3f}{sound / median:13.0f}")
    print(f"ratio of the medians     {statistics.median(theirs) / statistics.median(ours):.2f}")
    print(f"largest difference       {difference:.1e} dB")


if __name__ == "__main__":
    main()
