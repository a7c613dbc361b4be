"""
How well a separator finds the singing, where the stems are known.

    python benchmarks/separation.py COLLECTION [--separator spleeter] [--songs N] [--out JSON]

Voice and band of every part are mixed at 0 dB and taken apart again, as in training. The SI-SDR of a song
(dB) is that of all its parts together, against the known voice; that of the mix itself is the baseline.
Intervals are by bootstrap over songs. The songs are taken from all singers in turn.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from whosings.audio.separation import SEPARATORS, Separator, load_separator
from whosings.audio.units import SAMPLE_RATE
from whosings.collection.catalogue import Collection, open_collection
from whosings.collection.sound import track_blocks
from whosings.collection.track import Source, Track
from whosings.errors import WhosingsError
from whosings.files import write_json

MIX_DB = 0.0  # dB, voice over band
LEVEL = 0.95  # of the interval
ROUNDS = 10_000  # of the bootstrap
BLOCK = 1 << 16  # samples


def songs_of(collection: Collection, number: int | None) -> list[Track]:
    """Give so many songs, one of each singer before a second of any; raises WhosingsError under two."""
    rounds = zip_longest(*(collection.of_artist(artist) for artist in collection.artists))
    songs = [track for tracks in rounds for track in tracks if track is not None][:number]
    if len(songs) < 2:
        raise WhosingsError(f"{collection.root}: two songs are needed for an interval; take more.")
    return songs


def si_sdr(estimate: np.ndarray, voice: np.ndarray) -> float:
    """Give the scale-invariant signal-to-distortion ratio in dB of two sounds (samples,)."""
    import torch
    from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

    return float(scale_invariant_signal_distortion_ratio(torch.from_numpy(estimate), torch.from_numpy(voice)))


def cut(sound: np.ndarray) -> Iterator[np.ndarray]:
    """Cut a sound (samples,) into blocks."""
    for start in range(0, len(sound), BLOCK):
        yield sound[start : start + BLOCK]


def measure(separator: Separator, track: Track) -> dict[str, float]:
    """Separate the parts of a song; give its SI-SDR separated and as a mix, its seconds and those it took."""
    mixes, voices, estimates = [], [], []
    took = 0.0
    for part in track.parts:
        alone = replace(track, parts=(part,))
        mix = np.concatenate(list(track_blocks(alone, Source("mix", MIX_DB))))
        start = time.perf_counter()
        estimates += [vocals for vocals, _ in separator(cut(mix))]
        took += time.perf_counter() - start
        mixes.append(mix)
        voices.append(np.concatenate(list(track_blocks(alone, Source("vocals"))))[: len(mix)])
    voice = np.concatenate(voices)
    return {
        "si_sdr": si_sdr(np.concatenate(estimates), voice),
        "si_sdr_mix": si_sdr(np.concatenate(mixes), voice),
        "seconds": len(voice) / SAMPLE_RATE,
        "took": took,
    }


def summary(values: np.ndarray) -> dict[str, Any]:
    """Give mean, median and the interval of the mean of figures (songs,)."""
    from scipy.stats import bootstrap

    drawn = bootstrap(
        (values,), np.mean, n_resamples=ROUNDS, confidence_level=LEVEL, method="percentile", rng=0
    )
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "interval": list(map(float, drawn.confidence_interval)),
    }


def evaluate(separator: Separator, songs: list[Track]) -> dict[str, Any]:
    """Measure every song, telling of each as it is done."""
    import torch

    list(separator(cut(np.zeros(SAMPLE_RATE, np.float32))))  # loads the network
    by_song = {}
    for track in songs:
        by_song[track.id] = figures = measure(separator, track)
        print(f"{track.id}: {figures['si_sdr']:.1f} dB (mix {figures['si_sdr_mix']:.1f} dB)", flush=True)
    columns = {name: np.array([figures[name] for figures in by_song.values()]) for name in figures}
    return {
        "separator": separator.name,
        "version": separator.version,
        "mix_db": MIX_DB,
        "songs": len(songs),
        "seconds": float(columns["seconds"].sum()),
        "level": LEVEL,
        "si_sdr": summary(columns["si_sdr"]),
        "si_sdr_mix": summary(columns["si_sdr_mix"]),
        "times_real_time": float(columns["seconds"].sum() / columns["took"].sum()),
        "threads": torch.get_num_threads(),
        "by_song": {
            name: {key: value for key, value in figures.items() if key != "took"}
            for name, figures in by_song.items()
        },
    }


def main() -> None:
    """Parse, separate, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("collection", type=Path)
    parser.add_argument("--separator", choices=SEPARATORS, default="spleeter")
    parser.add_argument("--songs", type=int, default=None)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    songs = songs_of(open_collection(given.collection), given.songs)
    result = evaluate(load_separator(given.separator), songs)
    low, high = result["si_sdr"]["interval"]
    print(
        f"SI-SDR {result['si_sdr']['mean']:.1f} dB ({low:.1f} to {high:.1f}), median "
        f"{result['si_sdr']['median']:.1f}; mix {result['si_sdr_mix']['mean']:.1f} dB; "
        f"{result['times_real_time']:.1f} times real time on {result['threads']} threads"
    )
    if given.out:
        write_json(given.out, result)


if __name__ == "__main__":
    main()
