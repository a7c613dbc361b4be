"""Files that are whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from whosings.errors import WhosingsError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """
    Give a temporary path beside `path`; on success it becomes `path` in one step, on failure it is gone.

    The temporary name keeps the suffix of `path`, since many writers choose their format by it.

    Raises WhosingsError where the folder cannot be written, or `path` is a folder itself.
    """
    if path.is_dir():
        raise WhosingsError(f"{path}: this is a folder, and a file is to be written; choose another name.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise WhosingsError(f"{path}: cannot be written ({error.strerror}); choose another place.") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; what UTF-8 lacks (odd file names) is written escaped."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of the content of a file; raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, what: str) -> Any:
    """Read JSON; `what` names its role in the sentence of the WhosingsError raised where that fails."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WhosingsError(f"{path}: there is no such {what}.") from None
    except (OSError, ValueError) as error:
        raise WhosingsError(f"{path}: this {what} cannot be read ({error}).") from error
