"""What a collection is made of: tracks, their parts on disk, and which of their sounds to hear."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from whosings.errors import WhosingsError

SourceName = Literal["mix", "vocals", "accompaniment"]
SeparatorName = Literal["stems", "spleeter", "openunmix", "demucs"]


@dataclass(frozen=True)
class SoundFile:
    """One channel of a file, or the mean of all its channels where `channel` is None."""

    path: Path
    channel: int | None = None


@dataclass(frozen=True)
class Part:
    """A stretch of a track as it lies on disk: the mix, the stems, or both; at least one is given."""

    mix: SoundFile | None = None
    vocals: SoundFile | None = None
    accompaniment: SoundFile | None = None


@dataclass(frozen=True)
class Track:
    """A recording: its identity is artist, album and title together, its sound that of its parts in order."""

    artist: str
    album: str
    title: str
    parts: tuple[Part, ...]

    @property
    def id(self) -> str:
        """`artist/album/title`, the name of the track in splits, reports and caches."""
        return f"{self.artist}/{self.album}/{self.title}"

    @property
    def has_stems(self) -> bool:
        """Whether voice and band of all parts lie on disk."""
        return all(part.vocals and part.accompaniment for part in self.parts)


@dataclass(frozen=True)
class Source:
    """
    Which sound of a track is heard.

    `mix_db` is the level of the vocals over the accompaniment in dB (energy over a whole part); where it is
    given, the mix is made from the stems; where it is None, the mix is taken as recorded (or is the plain sum
    of the stems where no mix lies on disk). `separator` says where vocals or accompaniment alone come from
    where they are wanted: the collection's own stems, or the mix (at `mix_db`) taken apart.
    """

    name: SourceName = "mix"
    mix_db: float | None = None
    separator: SeparatorName = "stems"

    def __post_init__(self) -> None:
        """Raise WhosingsError for a level that is no number."""
        if self.mix_db is not None and not math.isfinite(self.mix_db):
            raise WhosingsError(
                f"A voice {self.mix_db} dB over the band cannot be mixed; give a finite level."
            )

    def of(self, track: Track) -> Source:
        """Give what a model of this source hears of a track: without stems, the mix as it is."""
        return self if track.has_stems else replace(self, mix_db=None)

    @property
    def separated(self) -> bool:
        """Whether the mix has to be taken apart to hear it."""
        return self.name != "mix" and self.separator != "stems"
