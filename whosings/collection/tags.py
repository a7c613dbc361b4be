"""
The answer in the files themselves: a field of its own, and the artist only where that is forced.

| tags | fields | artist |
|---|---|---|
| ID3 (mp3, wav, aiff, tta, dsf) | `TXXX:WHOSINGS_SINGER`, ... | `TPE1` |
| Vorbis comments (flac, ogg, opus) | `WHOSINGS_SINGER`, ... | `ARTIST` |
| MP4 (m4a, m4b, mp4) | `----:org.whosings:SINGER`, ... | `©ART` |
| APEv2 (ape, wv, mpc, tak) | `WHOSINGS_SINGER`, ... | `Artist` |
| ASF (wma) | `WHOSINGS_SINGER`, ... | `Author` |

The others are `WHOSINGS_CONFIDENCE`, `WHOSINGS_MODEL` and, where the artist was forced,
`WHOSINGS_EARLIER_ARTIST` (`[no artist]` where there was none).
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from whosings.errors import WhosingsError

if TYPE_CHECKING:
    from mutagen import FileType

SINGER, CONFIDENCE, MODEL, EARLIER_ARTIST = "SINGER", "CONFIDENCE", "MODEL", "EARLIER_ARTIST"
FIELDS = (SINGER, CONFIDENCE, MODEL, EARLIER_ARTIST)
ARTIST = "ARTIST"
NO_ARTIST = "[no artist]"  # MusicBrainz's name for it; ID3 does not keep an empty text
NOBODY = frozenset({"unknown", "no singing"})  # answers that name no singer, and never become an artist


@dataclass(frozen=True)
class Tag:
    """An answer as it stands in a file."""

    singer: str
    """a name, or `unknown`, or `no singing`"""
    confidence: float | None
    """0 to 1; None where the file does not say"""
    model: str
    """what answered; empty where the file does not say"""

    @property
    def names_singer(self) -> bool:
        """Whether somebody is named, other than `unknown` and `no singing`."""
        return self.singer.strip().casefold() not in NOBODY | {""}


def write_answer(path: Path, tag: Tag, force: bool = False) -> None:
    """
    Write an answer into the tags of a sound file, in place of an earlier one; the sound stays as it is.

    The artist stays too, unless `force` is given and the answer names a singer: then that is the artist, and
    the artist there was is kept in a field of its own, which `remove_answer` puts back.

    The file is replaced in one step by a tagged copy (which needs as much room again for a moment), so a
    process that is killed leaves the song whole, and at worst a hidden copy beside it. Permissions, owner and
    links stay; the time of modification becomes now, as taggers do by default, since players and backups look
    there for changed tags.

    Raises WhosingsError where the file is missing, read-only, damaged or of a kind that has no tags.
    """
    if not tag.singer.strip():
        raise WhosingsError(f"{path}: an answer without a singer cannot be written; name one.")
    if tag.confidence is not None and not (math.isfinite(tag.confidence) and 0 <= tag.confidence <= 1):
        raise WhosingsError(
            f"{path}: a confidence of {tag.confidence} cannot be written; give one of 0 to 1."
        )
    with _changed(path) as fields:
        if force and tag.names_singer:
            _force_artist(fields, tag.singer)
        fields.set(SINGER, [tag.singer])
        fields.set(CONFIDENCE, [] if tag.confidence is None else [f"{tag.confidence:.4f}"])
        fields.set(MODEL, [tag.model] if tag.model else [])


def read_answer(path: Path) -> Tag | None:
    """Give the answer that stands in a sound file, None where there is none; errors as for `write_answer`."""
    fields = _fields(path, _opened(path))
    singer, confidence, model = (_first(fields.get(name)) for name in (SINGER, CONFIDENCE, MODEL))
    if not singer:
        return None
    try:
        number = float(confidence)
    except ValueError:
        number = math.nan
    return Tag(singer, number if 0 <= number <= 1 else None, model)


def remove_answer(path: Path) -> None:
    """
    Take the answer out of a sound file, and put an artist back that was replaced; without one do nothing.

    An artist that was changed since stays. Errors as for `write_answer`.
    """
    fields = _fields(path, _opened(path))
    if not any(fields.get(name) for name in FIELDS):
        return
    with _changed(path) as fields:
        earlier = fields.get(EARLIER_ARTIST)
        if earlier and fields.get(ARTIST) == fields.get(SINGER):
            fields.set(ARTIST, [] if earlier == [NO_ARTIST] else earlier)
        for name in FIELDS:
            fields.set(name, [])


def _force_artist(fields: _Fields, singer: str) -> None:
    artist = fields.get(ARTIST)
    # an artist set by an earlier answer is none to come back to
    ours = fields.get(EARLIER_ARTIST) and artist == fields.get(SINGER)
    if not ours:
        fields.set(EARLIER_ARTIST, artist or [NO_ARTIST])
    fields.set(ARTIST, [singer])


def _first(values: list[str]) -> str:
    return values[0].strip() if values else ""


class _Fields(Protocol):
    """Fields of a file by our names, whatever its kind of tags; no value is no field."""

    def get(self, name: str) -> list[str]: ...

    def set(self, name: str, values: list[str]) -> None: ...


class _Id3:
    def __init__(self, tags: Any):
        self.tags = tags

    def _key(self, name: str) -> str:
        return "TPE1" if name == ARTIST else f"TXXX:WHOSINGS_{name}"

    def get(self, name: str) -> list[str]:
        return [str(text) for frame in self.tags.getall(self._key(name)) for text in frame.text]

    def set(self, name: str, values: list[str]) -> None:
        from mutagen.id3 import TPE1, TXXX, Encoding

        self.tags.delall(self._key(name))
        if values and name == ARTIST:
            self.tags.add(TPE1(encoding=Encoding.UTF8, text=values))
        elif values:
            self.tags.add(TXXX(encoding=Encoding.UTF8, desc=f"WHOSINGS_{name}", text=values))


class _Keyed:
    """Tags like a dictionary from keys to lists of values that print as text."""

    def __init__(self, tags: Any, artist: str):
        self.tags, self.artist = tags, artist

    def _key(self, name: str) -> str:
        return self.artist if name == ARTIST else f"WHOSINGS_{name}"

    def get(self, name: str) -> list[str]:
        return [str(value) for value in self.tags.get(self._key(name)) or []]

    def set(self, name: str, values: list[str]) -> None:
        if values:
            self.tags[self._key(name)] = values
        elif self._key(name) in self.tags:
            del self.tags[self._key(name)]


class _Mp4(_Keyed):
    def _key(self, name: str) -> str:
        return self.artist if name == ARTIST else f"----:org.whosings:{name}"

    def get(self, name: str) -> list[str]:
        values = self.tags.get(self._key(name)) or []
        return [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]

    def set(self, name: str, values: list[str]) -> None:
        # the artist is an atom of text, a field of our own one of bytes
        super().set(name, values if name == ARTIST else [value.encode() for value in values])  # type: ignore[misc]


def _fields(path: Path, file: FileType) -> _Fields:
    from mutagen._vorbis import VComment
    from mutagen.apev2 import APEv2
    from mutagen.asf import ASFTags
    from mutagen.id3 import ID3
    from mutagen.mp4 import MP4Tags

    tags = file.tags
    if isinstance(tags, ID3):
        return _Id3(tags)
    if isinstance(tags, MP4Tags):
        return _Mp4(tags, "\xa9ART")
    for kind, artist in ((VComment, "ARTIST"), (APEv2, "Artist"), (ASFTags, "Author")):
        if isinstance(tags, kind):
            return _Keyed(tags, artist)
    raise _untaggable(path)


def _opened(path: Path) -> FileType:
    """Open the tags of a file, with empty ones where it has none; raises WhosingsError."""
    import mutagen
    from mutagen.id3 import ID3

    if path.is_dir():
        raise WhosingsError(f"{path}: this is a folder; name a sound file in it.")
    if not path.exists():
        raise WhosingsError(f"{path}: there is no such file; check its name.")
    try:
        file = mutagen.File(path)
        if file is not None and isinstance(file.tags, ID3):
            # as they stand, lest a tag of version 2.3 be rewritten as 2.4, which old players cannot read
            file = type(file)(path, translate=False)
        if file is not None and file.tags is None:
            file.add_tags()
    except NotImplementedError:
        raise _untaggable(path) from None
    except (mutagen.MutagenError, OSError) as error:
        raise WhosingsError(
            f"{path}: its tags cannot be read ({_reason(error)}); mend the file or leave it out."
        ) from error
    if file is None:
        raise _untaggable(path)
    return file


def _untaggable(path: Path) -> WhosingsError:
    return WhosingsError(
        f"{path}: this kind of file holds no tags; write the answers to a table, or convert it to flac."
    )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@contextlib.contextmanager
def _changed(path: Path) -> Iterator[_Fields]:
    """Give the fields of a copy of `path`; once they are set, the copy takes the place of the file."""
    import mutagen

    # the file that a link leads to is replaced, not the link
    path = Path(os.path.realpath(path))
    _opened(path)
    if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
        raise WhosingsError(f"{path}: this file is read-only; make it writable to tag it.")
    try:
        with _copy_of(path) as copy:
            file = _opened(copy)
            yield _fields(path, file)
            _save(file, copy)
    except (mutagen.MutagenError, OSError) as error:
        raise WhosingsError(
            f"{path}: it cannot be tagged ({_reason(error)}); the file is as it was, so mend this and go on."
        ) from error


@contextlib.contextmanager
def _copy_of(path: Path) -> Iterator[Path]:
    """Give a hidden copy beside `path`; on success it becomes `path` in one step, on failure it is gone."""
    handle, name = tempfile.mkstemp(prefix=f".{path.stem[:100]}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    copy = Path(name)
    try:
        shutil.copyfile(path, copy)
        yield copy
        _keep_rights(path, copy)
        with copy.open("rb") as file:
            os.fsync(file.fileno())
        copy.replace(path)
    finally:
        copy.unlink(missing_ok=True)


def _keep_rights(path: Path, copy: Path) -> None:
    """Give the copy the owner, permissions and extended attributes of the file, and now as its time."""
    before = path.stat()
    if hasattr(os, "chown"):
        # only root may give files away
        with contextlib.suppress(PermissionError):
            os.chown(copy, before.st_uid, before.st_gid)
    shutil.copystat(path, copy)
    copy.chmod(stat.S_IMODE(before.st_mode))
    os.utime(copy)


def _save(file: FileType, path: Path) -> None:
    from mutagen.id3 import ID3

    if isinstance(file.tags, ID3) and (2, 0, 0) < file.tags.version < (2, 4, 0):
        file.save(path, v2_version=3, v23_sep=None)
    else:
        file.save(path)
