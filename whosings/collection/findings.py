"""What is wrong with a collection, in plain sentences, before anything is trained on it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from whosings.collection.catalogue import Collection
from whosings.collection.fingerprint import SAME, SAME_LENGTH, Heard, hear, similarity
from whosings.collection.layouts import artist20
from whosings.collection.splits import SIDES, Split
from whosings.collection.track import SoundFile, Track
from whosings.errors import UnreadableSoundError

if TYPE_CHECKING:
    import numpy as np

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
# the voice first: two singers over one backing are two recordings
SOUNDS = ("vocals", "mix", "accompaniment")
SHORTEST = 3.0  # seconds: the shortest window
FEW_SONGS = 3  # of an artist: one each for training, validation and test
SILENT = 1e-4  # peak amplitude: 80 dB below full scale


@dataclass(frozen=True)
class Finding:
    """One thing to know: an error must be mended, a warning spoils results, a note is good to know."""

    severity: Severity
    subject: str
    text: str


@dataclass(frozen=True)
class _Examined:
    """What the files of a track say; `heard` is None unless they were listened to."""

    error: str = ""
    seconds: float = 0.0
    hashes: frozenset[str] = frozenset()
    heard: Heard | None = None
    silent: tuple[str, ...] = field(default=())


def check(
    collection: Collection,
    *,
    split: Split | None = None,
    listen: bool = True,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Finding]:
    """
    Look a collection through and tell what is wrong with it, the worst first.

    With `listen` every file is decoded once, which finds damage, silence and re-encoded copies; without, only
    headers and identical files are looked at. With a `split`, one recording on two of its sides is an error.
    `on_progress` hears of tracks done and tracks in all.
    """
    examined = _examine_all(collection, listen, workers, on_progress)
    findings = [Finding("warning", str(collection.root), text) for text in collection.skipped]
    findings += _about_artists(collection)
    if collection.layout == "artist20":
        findings += _about_artist20(collection)
    for track_id, what in examined.items():
        findings += _about_track(track_id, what)
    side_of = {name: side for side in SIDES for name in getattr(split, side)} if split else {}
    findings += [_about_pair(collection, side_of, *pair) for pair in _same(examined)]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def _examine_all(
    collection: Collection, listen: bool, workers: int, on_progress: Callable[[int, int], None] | None
) -> dict[str, _Examined]:
    examined: dict[str, _Examined] = {}
    with ThreadPoolExecutor(max_workers=workers) as pool:
        results = pool.map(lambda track: _examine(track, listen), collection.tracks)
        for track, result in zip(collection.tracks, results, strict=True):
            examined[track.id] = result
            if on_progress is not None:
                on_progress(len(examined), len(collection.tracks))
    return examined


def _examine(track: Track, listen: bool) -> _Examined:
    from whosings.audio import decode
    from whosings.files import sha256_of

    sounds = _sounds(track)
    main = next(iter(sounds.values()))
    try:
        hashes = frozenset(f"{sha256_of(file.path)} {file.channel}" for file in main)
        if not listen:
            return _Examined(seconds=sum(decode.duration(file.path) for file in main), hashes=hashes)
        heard = hear(_blocks(main))
        peaks = {name: heard.peak if files is main else _peak(files) for name, files in sounds.items()}
    except UnreadableSoundError as error:
        return _Examined(error=str(error))
    except OSError as error:
        return _Examined(
            error=f"{error.filename}: this sound file cannot be read ({error.strerror}); get it anew."
        )
    silent = tuple(name for name, peak in peaks.items() if peak < SILENT)
    return _Examined(seconds=heard.seconds, hashes=hashes, heard=heard, silent=silent)


def _sounds(track: Track) -> dict[str, list[SoundFile]]:
    """Give the files of each sound that any part has, the one that tells recordings apart first."""
    sounds = {name: [file for part in track.parts if (file := getattr(part, name))] for name in SOUNDS}
    return dict(sorted(((k, v) for k, v in sounds.items() if v), key=lambda item: -len(item[1])))


def _blocks(files: list[SoundFile]) -> Iterator[np.ndarray]:
    from whosings.audio import decode

    return itertools.chain.from_iterable(decode.blocks(file.path, file.channel) for file in files)


def _peak(files: list[SoundFile]) -> float:
    import numpy as np

    return max((float(np.abs(block).max(initial=0.0)) for block in _blocks(files)), default=0.0)


def _about_track(track_id: str, what: _Examined) -> list[Finding]:
    if what.error:
        return [Finding("error", track_id, what.error)]
    findings = [
        Finding("warning", track_id, f"{track_id}: its {name} is silent throughout.") for name in what.silent
    ]
    if what.seconds < SHORTEST:
        text = f"{track_id}: it lasts {what.seconds:.1f} s, less than the shortest window ({SHORTEST:.0f} s)."
        findings.append(Finding("warning", track_id, text))
    return findings


def _same(examined: dict[str, _Examined]) -> list[tuple[str, str, str]]:
    """Give pairs of tracks that are one recording, and how that is known."""
    pairs: dict[tuple[str, str], str] = {}
    owners: dict[str, str] = {}
    for track_id, what in examined.items():
        for content in sorted(what.hashes):
            first = owners.setdefault(content, track_id)
            if first != track_id:
                pairs[first, track_id] = "identical files"
    twins = {track_id for pair in pairs for track_id in pair[1:]}
    audible = {k: v for k, v in examined.items() if v.heard and not v.silent and k not in twins}
    by_length = sorted(audible.items(), key=lambda item: item[1].seconds)
    for at, (first, what) in enumerate(by_length):
        for second, other in itertools.takewhile(
            lambda item: item[1].seconds - what.seconds <= SAME_LENGTH,  # noqa: B023
            by_length[at + 1 :],
        ):
            if what.heard and other.heard and similarity(what.heard, other.heard) >= SAME:
                pairs[min(first, second), max(first, second)] = "the same sound"
    return [(first, second, how) for (first, second), how in pairs.items()]


def _about_pair(
    collection: Collection, side_of: dict[str, str], first: str, second: str, how: str
) -> Finding:
    sides = {side_of[name] for name in (first, second) if name in side_of}
    if len(sides) == 2:
        text = (
            f"{first} ({side_of[first]}) and {second} ({side_of[second]}) are one recording ({how}) on two "
            "sides of the split; remove one and make the split anew."
        )
        return Finding("error", first, text)
    artists = {collection.by_id[first].artist, collection.by_id[second].artist}
    return Finding(
        "warning" if len(artists) == 1 else "error",
        first,
        f"{first} and {second} are one recording ({how}); remove one, or a test may ask what was learnt.",
    )


def _about_artists(collection: Collection) -> list[Finding]:
    findings, spellings = [], defaultdict(list)
    for artist in collection.artists:
        spellings[artist.casefold()].append(artist)
        songs, albums = len(collection.of_artist(artist)), len(collection.albums(artist))
        if albums == 1:
            text = f"{artist} has one album, so that nothing can test what was learnt from it; add albums."
            findings.append(Finding("warning", artist, text))
        elif albums == 2:
            text = f"{artist} has two albums, and training, validation and test take one each; add an album."
            findings.append(Finding("note", artist, text))
        if songs < FEW_SONGS:
            text = f"{artist} has {songs} song{'' if songs == 1 else 's'}, too few to judge by; add songs."
            findings.append(Finding("note", artist, text))
    for names in spellings.values():
        if len(names) > 1:
            text = f"{' and '.join(names)} differ in capital letters only; give one artist one name."
            findings.append(Finding("warning", names[0], text))
    return findings


def _about_artist20(collection: Collection) -> list[Finding]:
    problems = [
        f"the artist {artist} is missing" for artist in artist20.ARTISTS if artist not in collection.artists
    ]
    for artist in collection.artists:
        if artist not in artist20.ARTISTS:
            problems.append(f"{artist} is none of the 20 artists")
        elif (count := len(collection.albums(artist))) != artist20.ALBUMS_PER_ARTIST:
            problems.append(f"{artist} has {count} of {artist20.ALBUMS_PER_ARTIST} albums")
    if len(collection.tracks) != artist20.TRACKS:
        problems.append(f"it has {len(collection.tracks)} of {artist20.TRACKS} tracks")
    return [
        Finding("warning", str(collection.root), f"This artist20 is not the published one: {problem}.")
        for problem in problems
    ]
