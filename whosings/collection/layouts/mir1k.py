"""MIR-1K as published: stereo clips in one folder, the band on the left and the voice on the right."""

from __future__ import annotations

import re
from pathlib import Path

from whosings.collection.layouts.scan import Scan, add_part, natural_key
from whosings.collection.track import Part, SoundFile, Track

CLIP = re.compile(r"(?P<singer>[^_]+)_(?P<song>\d+)_(?P<clip>\d+)\.wav", re.IGNORECASE)
ACCOMPANIMENT, VOICE = 0, 1  # channels


def read_mir1k(root: Path) -> Scan | None:
    """
    Read `Wavfile/<singer>_<song>_<clip>.wav`, or that folder itself: a song is an album of one track.

    None where the folder does not hold such clips, all of them in two channels by the look of the first.
    """
    folder = root / "Wavfile" if (root / "Wavfile").is_dir() else root
    names = sorted(
        (path.name for path in folder.glob("*.wav") if not path.name.startswith(".")), key=natural_key
    )
    clips = [match for name in names if (match := CLIP.fullmatch(name))]
    if not clips or len(clips) < len(names) or not _is_stereo(folder / names[0]):
        return None
    tracks: dict[str, Track] = {}
    for clip in clips:
        path = folder / clip.string
        part = Part(vocals=SoundFile(path, VOICE), accompaniment=SoundFile(path, ACCOMPANIMENT))
        singer, song = clip["singer"], int(clip["song"])
        add_part(tracks, singer, f"song{song:02d}", f"{singer}_{song}", part)
    return Scan(list(tracks.values()))


def _is_stereo(path: Path) -> bool:
    import soundfile

    try:
        return bool(soundfile.info(path).channels == 2)
    except (OSError, soundfile.LibsndfileError):
        return False
