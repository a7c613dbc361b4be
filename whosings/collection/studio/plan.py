"""Who sings what with whom: everything about a rendered collection that is drawn before a note sounds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from whosings.collection.studio import names
from whosings.collection.studio.bands import Band, bands
from whosings.collection.studio.voices import Voice, voices

_WORDS_PER_SINGER = 26


@dataclass(frozen=True)
class Parameters:
    """What makes one rendered collection differ from another."""

    singers: int
    albums: int
    songs: int
    seconds: float
    tie: float
    mix_db: float
    seed: int
    sample_rate: int
    stems: bool
    version: int = 1  # of the studio: raise it where the same parameters would sound different


@dataclass(frozen=True)
class PlannedSong:
    """A song to render; `file` is relative to the collection, without stem or suffix."""

    artist: str
    album: str
    title: str
    number: int  # on its album, from 1
    file: str
    band: Band
    own_band: bool
    seed: int


@dataclass(frozen=True)
class PlannedSinger:
    """A singer, the words that this singer uses, and all songs."""

    name: str
    voice: Voice
    words: tuple[str, ...]
    songs: tuple[PlannedSong, ...]


def plan(parameters: Parameters) -> list[PlannedSinger]:
    """Draw singers, albums, titles and bands."""
    rng = np.random.default_rng([parameters.seed, 4])
    choir = voices(parameters.singers, parameters.seed)
    called = names.singers(rng, [voice.female for voice in choir])
    booked = book(parameters.singers, parameters.albums, parameters.tie, parameters.seed)
    return [
        PlannedSinger(
            name=name,
            voice=voice,
            words=tuple(names.words(rng, _WORDS_PER_SINGER)),
            songs=tuple(_songs(rng, name, booked[index], parameters.songs)),
        )
        for index, (name, voice) in enumerate(zip(called, choir, strict=True))
    ]


def book(singers: int, albums: int, tie: float, seed: int) -> list[list[tuple[Band, bool]]]:
    """
    Book a band for each album: [singer][album] -> (band, whether it is the singer's own).

    A share `tie` of all albums, drawn at random, is played by the singer's own band. The others go round a
    common pool of as many bands as a singer has albums, so that without a tie every singer plays once with
    every band of the pool and the band says nothing about who sings. As no singer meets a pool band twice, a
    network that goes by the band is misled about an album held out: its accuracy falls below chance. The
    draw is the same for every `tie`: a higher one only hands more albums to own bands.
    """
    everyone = bands(singers + albums, seed)
    own, pool = everyone[:singers], everyone[singers:]
    rank = np.random.default_rng([seed, 5]).permutation(singers * albums).reshape(singers, albums)
    tied = rank < round(tie * singers * albums)
    return [
        [
            (own[singer], True) if tied[singer, album] else (pool[(singer + album) % albums], False)
            for album in range(albums)
        ]
        for singer in range(singers)
    ]


def describe(parameters: Parameters, planned: list[PlannedSinger]) -> dict[str, Any]:
    """Return what studio.json holds: the parameters, the singers, the bands and the songs."""
    songs = [song for singer in planned for song in singer.songs]
    return {
        "parameters": asdict(parameters),
        "singers": {singer.name: asdict(singer.voice) for singer in planned},
        "bands": {song.band.name: asdict(song.band) for song in songs},
        "songs": [{**asdict(song), "band": song.band.name} for song in songs],
    }


def _songs(
    rng: np.random.Generator, artist: str, booked: list[tuple[Band, bool]], songs: int
) -> list[PlannedSong]:
    """Name the albums and songs of one singer."""
    albums = names.titles(rng, len(booked))
    titles = names.titles(rng, len(booked) * songs)
    seeds = rng.integers(2**31, size=len(titles))
    return [
        PlannedSong(
            artist=artist,
            album=album,
            title=titles[index * songs + track],
            number=track + 1,
            file=f"{artist}/{album}/{track + 1:02d} {titles[index * songs + track]}",
            band=band,
            own_band=own,
            seed=int(seeds[index * songs + track]),
        )
        for index, (album, (band, own)) in enumerate(zip(albums, booked, strict=True))
        for track in range(songs)
    ]
