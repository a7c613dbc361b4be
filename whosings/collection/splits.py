"""Frozen splits: which tracks train, validate and test, as a file with a hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from whosings.collection.catalogue import Collection
from whosings.collection.layouts.artist20 import album_lists
from whosings.collection.track import Track
from whosings.errors import WhosingsError
from whosings.files import read_json, write_json

if TYPE_CHECKING:
    import numpy as np

PROTOCOLS = ("kuo", "canonical", "sixfold", "none", "song", "snippet")
WARNINGS = {
    "song": "Songs of one album lie on both sides of this split, so that the sound of the album gives the "
    "singer away: show its figures only as a warning.",
    "snippet": "Windows of one song lie on both sides of this split, which leaks outright: its figures are "
    "never a result.",
}
SIDES = ("train", "validation", "test")
Side = Literal["train", "validation", "test"]
LEFT_OUT = "left out as asked"
SOME = 5  # artists named in an error
Sides = tuple[list[Track], list[Track], list[Track]]  # train, validation, test


@dataclass(frozen=True)
class Split:
    """Track ids by side; `singers` in the order of the classes; `left_out` has a reason by artist."""

    protocol: str
    seed: int
    fold: int
    singers: tuple[str, ...]
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Hash of the content, as canonical JSON."""
        return _sha256(asdict(self))

    def save(self, path: Path) -> None:
        """Write the split and its hash as JSON."""
        write_json(Path(path), {**asdict(self), "sha256": self.sha256})

    @classmethod
    def load(cls, path: Path) -> Split:
        """Read a split; raises WhosingsError where it is no split or was changed after it was saved."""
        value = read_json(Path(path), "split")
        names = set(cls.__dataclass_fields__)
        if not isinstance(value, dict) or set(value) != names | {"sha256"}:
            raise WhosingsError(f"{path}: this is no split file; make one with `whosings data split`.")
        if value.pop("sha256") != _sha256(value):
            raise WhosingsError(
                f"{path}: this split was changed after it was made (its hash differs); make it anew with "
                "`whosings data split`."
            )
        lists = {name: tuple(item) for name, item in value.items() if isinstance(item, list)}
        return cls(**{**value, **lists})

    def with_validation_learnt(self) -> Split:
        """Move the validation songs to training; raises WhosingsError where they cannot leave their side."""
        if self.protocol == "snippet":
            raise WhosingsError("In a split of the protocol snippet all songs train already; take another.")
        if not self.validation:
            raise WhosingsError("This split has no validation songs that could be learnt too; take another.")
        return replace(self, train=(*self.train, *self.validation), validation=())

    def window_indices(self, side: Side, track_id: str, count: int) -> np.ndarray:
        """
        Give which of the `count` windows of a track belong to a side: int64, ascending.

        All of them, but for the protocol snippet, which deals the windows of a track out 81 : 9 : 10 by the
        seed.
        """
        import numpy as np

        if self.protocol != "snippet":
            return np.arange(count)
        order = _generator(self.seed, track_id).permutation(count)
        test = round(0.1 * count)
        validation = round(0.1 * (count - test))
        parts = {"test": order[:test], "validation": order[test : test + validation]}
        return np.sort(parts.get(side, order[test + validation :]))


def make_split(
    collection: Collection,
    protocol: str = "kuo",
    seed: int = 0,
    fold: int = 0,
    leave_out: Sequence[str] = (),
) -> Split:
    """
    Deal the tracks of a collection out to training, validation and test.

    - `kuo`: of each artist one album tests, one validates, the rest trains, by the seed; needs 3 albums.
    - `canonical`: Ellis's 3 / 1 / 2 albums by his list files where they lie beside artist20, else the albums
      in natural order: the last two test, the one before validates; needs 6 albums.
    - `sixfold`: the album number `fold` tests, the next validates (counting round); needs 3 albums.
    - `none`: one album, drawn by the seed, validates, the rest trains, nothing tests; needs 2 albums.
    - `song`: a tenth of the songs of each artist tests, a tenth validates; needs 3 songs. See WARNINGS.
    - `snippet`: all tracks on all sides, apart only by `Split.window_indices`. See WARNINGS.

    Artists in `leave_out` are on no side, so that their songs can serve as those of unknown singers. Each
    artist is drawn for alone, so that a new artist leaves the others as they were. Raises WhosingsError where
    the protocol is unknown, a fold is given to a protocol without folds, an artist to leave out is not there,
    or fewer than two artists remain.
    """
    if protocol not in PROTOCOLS:
        raise WhosingsError(f"There is no protocol {protocol}; choose one of {', '.join(PROTOCOLS)}.")
    if fold < 0 or (fold and protocol != "sixfold"):
        raise WhosingsError(f"The protocol {protocol} has no fold {fold}; only sixfold has folds, from 0 on.")
    _known(collection, leave_out)
    lists = album_lists(collection.root) if protocol == "canonical" else None
    sides: Sides = ([], [], [])
    singers, left_out = [], {}
    for artist in collection.artists:
        asked = artist in leave_out
        dealt = LEFT_OUT if asked else _deal(collection, artist, protocol, seed, fold, lists)
        if isinstance(dealt, str):
            left_out[artist] = dealt
            continue
        singers.append(artist)
        for side, tracks in zip(sides, dealt, strict=True):
            side += tracks
    if len(singers) < 2:
        why = "; ".join(f"{artist}: {reason}" for artist, reason in list(left_out.items())[:3])
        raise WhosingsError(
            f"{collection.root}: a {protocol} split needs two artists, and {len(singers)} can be used "
            f"({why or 'there are no more'}); add songs or choose another protocol."
        )
    train, validation, test = (tuple(track.id for track in side) for side in sides)
    return Split(protocol, seed, fold, tuple(singers), train, validation, test, left_out)


def _known(collection: Collection, leave_out: Sequence[str]) -> None:
    """Raise WhosingsError for the first name that is no artist's, with those that may be meant."""
    for name in leave_out:
        if name not in collection.artists:
            folded = {artist.casefold(): artist for artist in collection.artists}
            alike = [folded[near] for near in get_close_matches(name.casefold(), folded, SOME)]
            alike = alike or list(collection.artists[:SOME])
            raise WhosingsError(
                f"{collection.root}: there is no artist {name} to leave out; there is {', '.join(alike)}, "
                f"of {len(collection.artists)} in all."
            )


def _deal(
    collection: Collection,
    artist: str,
    protocol: str,
    seed: int,
    fold: int,
    lists: dict[str, set[tuple[str, str]]] | None,
) -> Sides | str:
    """Deal the tracks of one artist out, or give the reason why that cannot be."""
    tracks, albums = collection.of_artist(artist), collection.albums(artist)
    if protocol == "snippet":
        return list(tracks), list(tracks), list(tracks)
    if lists is not None:
        return _listed(tracks, lists)
    if protocol == "song":
        return _few(len(tracks), 3, "song") or _songs(tracks, _generator(seed, artist))
    needed = {"kuo": 3, "canonical": 6, "sixfold": 3, "none": 2}[protocol]
    if reason := _few(len(albums), needed, "album"):
        return reason
    if protocol == "canonical":
        validation, test = albums[-3:-2], albums[-2:]
    elif protocol == "sixfold":
        validation, test = (albums[(fold + 1) % len(albums)],), (albums[fold % len(albums)],)
    else:
        drawn = [albums[at] for at in _generator(seed, artist).permutation(len(albums))]
        validation, test = (drawn[1],), (drawn[0],) if protocol == "kuo" else ()
    side_of = {**dict.fromkeys(albums, "train"), **dict.fromkeys(validation, "validation")}
    side_of |= dict.fromkeys(test, "test")
    return _sorted(tracks, [side_of[track.album] for track in tracks])


def _few(count: int, needed: int, what: str) -> str:
    """Say that an artist has fewer of something than needed; empty where there are enough."""
    plural = "" if count == 1 else "s"
    return "" if count >= needed else f"has {count} {what}{plural}, and {needed} are needed"


def _listed(tracks: Sequence[Track], lists: dict[str, set[tuple[str, str]]]) -> Sides | str:
    side_of = {album: side for side, albums in lists.items() for album in albums}
    sides = _sorted(tracks, [side_of.get((track.artist, track.album), "") for track in tracks])
    return sides if all(sides) else "has no album in one of the three canonical lists"


def _songs(tracks: Sequence[Track], generator: np.random.Generator) -> Sides:
    share = max(1, round(0.1 * len(tracks)))
    names = ["test"] * share + ["validation"] * share + ["train"] * (len(tracks) - 2 * share)
    return _sorted(tracks, [names[at] for at in generator.permutation(len(tracks))])


def _sorted(tracks: Sequence[Track], names: Sequence[str]) -> Sides:
    """Sort tracks into the sides named for them, keeping their order; a track without a side is dropped."""
    pairs = list(zip(tracks, names, strict=True))
    train, validation, test = ([track for track, name in pairs if name == side] for side in SIDES)
    return train, validation, test


def _generator(seed: int, name: str) -> np.random.Generator:
    """Give a generator that depends on the seed and one name alone."""
    import numpy as np

    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _sha256(content: dict[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()
