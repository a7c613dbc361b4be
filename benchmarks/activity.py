"""
How well singing is told from the band, where the stems are known.

    python benchmarks/activity.py COLLECTION [--chosen-on SINGER ...] [--out JSON]

Voice and band of every song are mixed at 0 dB. A tenth of a second is sung where nearly all of its voice
is loud, which is within 25 dB of the level that the loudest 5 % of the steps of 10 ms reach; it is a pause
where nearly nothing is. Singers on whom thresholds were chosen are counted apart. Some backings have voices
of their own, so Spleeter tells how far what it takes for vocals lies below the middle 15 s of each; a backing
is called free of voices where that is more than 25 dB.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from whosings.audio.activity import (
    ACTIVITY_SETTINGS,
    MIN_SHARE,
    MIN_SINGING,
    SINGING,
    THRESHOLD,
    Activity,
    activity,
)
from whosings.audio.separation import Separator, load_separator
from whosings.audio.units import SAMPLE_RATE
from whosings.collection.catalogue import open_collection
from whosings.collection.sound import track_blocks
from whosings.collection.track import Source, Track
from whosings.files import write_json

SOURCES = {"mix": Source("mix", 0.0), "voice": Source("vocals"), "band": Source("accompaniment")}
STEP, FRAME = 160, 1600  # samples
BELOW_DB = 25.0  # under the loud steps of a voice, and under a backing with voices of its own
MOST, LEAST = 0.7, 0.1  # of the steps of a frame that are loud where it is sung, and where it is a pause
WINDOW = 5.0  # seconds
EXCERPT = 15  # seconds


def voiced(voice: np.ndarray) -> np.ndarray:
    """Give the share of loud steps in each whole frame of a voice `(samples,)`: `(frames,)`."""
    steps = voice[: len(voice) // FRAME * FRAME].reshape(-1, STEP)
    level = 20 * np.log10(np.maximum(np.sqrt((steps**2).mean(axis=1)), 1e-7))
    return (level > np.percentile(level, 95) - BELOW_DB).reshape(-1, FRAME // STEP).mean(axis=1)


def vocals_db(separator: Separator, band: np.ndarray) -> float:
    """Give the level of what a separator takes for vocals in the middle of a band, in dB over the band."""
    middle = max(0, len(band) // 2 - EXCERPT * SAMPLE_RATE // 2)
    excerpt = band[middle : middle + EXCERPT * SAMPLE_RATE]
    vocals = np.concatenate([vocals for vocals, _ in separator(iter([excerpt]))])
    return float(10 * np.log10(((vocals**2).sum() + 1e-12) / (excerpt**2).sum()))


def measure(track: Track, separator: Separator) -> dict[str, Any]:
    """Listen to the mix, the voice and the band of a song."""
    song: dict[str, Any] = {"singer": track.artist, "took": 0.0, "listened": 0.0}
    for name, source in SOURCES.items():
        sound = np.concatenate(list(track_blocks(track, source)))
        start = time.process_time()
        song[name] = Activity(activity([sound]))
        song["took"] += time.process_time() - start
        song["listened"] += len(sound) / SAMPLE_RATE
        if name == "voice":
            song["voiced"] = voiced(sound)
        if name == "band":
            song["vocals_db"] = vocals_db(separator, sound)
    return song


def summary(songs: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the figures of songs: shares of frames called singing, of windows, and of songs answered so."""
    result: dict[str, Any] = {"songs": len(songs)}
    for name in SOURCES:
        called = np.concatenate([song[name].active(SINGING)[: len(song["voiced"])] for song in songs])
        loud = np.concatenate([song["voiced"][: len(song[name].active(SINGING))] for song in songs])
        starts = [np.arange(0, song[name].seconds - WINDOW, WINDOW) for song in songs]
        windows = [song[name].shares(at, WINDOW) for song, at in zip(songs, starts, strict=True)]
        kinds = [song[name].kind for song in songs]
        result[name] = {
            "of_all_frames": float(called.mean()),
            "of_sung_frames": float(called[loud > MOST].mean()),
            "of_pauses": float(called[loud < LEAST].mean()),
            "of_windows": float((np.concatenate(windows) >= MIN_SHARE).mean()),
            "kinds": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        }
    return result


def main() -> None:
    """Parse, listen, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("collection", type=Path)
    parser.add_argument("--chosen-on", nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    separator = load_separator("spleeter")
    songs = {track.id: measure(track, separator) for track in open_collection(given.collection).tracks}
    free = {name: song for name, song in songs.items() if song["vocals_db"] < -BELOW_DB}
    chosen = set(given.chosen_on)
    groups = {
        "chosen_on": [song for song in songs.values() if song["singer"] in chosen],
        "others": [song for song in songs.values() if song["singer"] not in chosen],
        "others_with_voices_in_no_backing": [s for s in free.values() if s["singer"] not in chosen],
    }
    result = {
        "settings": ACTIVITY_SETTINGS,
        "threshold": THRESHOLD[SINGING],
        "min_singing": MIN_SINGING,
        "min_share": MIN_SHARE,
        "window": WINDOW,
        "chosen_on": sorted(chosen),
        "times_real_time_per_core": sum(song["listened"] for song in songs.values())
        / sum(song["took"] for song in songs.values()),
        "groups": {name: summary(group) for name, group in groups.items() if group},
        "backings": {
            name: {
                "vocals_db": song["vocals_db"],
                "singing": song["band"].share(SINGING, 0, song["band"].seconds),
            }
            for name, song in songs.items()
        },
    }
    for name, group in result["groups"].items():
        print(f"{name}: {group}")
    print(f"{result['times_real_time_per_core']:.0f} times real time on a core")
    if given.out:
        write_json(given.out, result)


if __name__ == "__main__":
    main()
