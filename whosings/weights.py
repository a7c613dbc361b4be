"""Packages and pretrained weights: looked for on this machine, never fetched."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from whosings.errors import WhosingsError
from whosings.files import sha256_of


def weights_folder() -> Path:
    """Give the folder of weights the user fetched: $WHOSINGS_WEIGHTS, or else in the user's data folder."""
    import platformdirs

    named = os.environ.get("WHOSINGS_WEIGHTS")
    return Path(named).expanduser() if named else platformdirs.user_data_path("whosings") / "weights"


def find_weights(file: str, url: str, what: str, also: Sequence[Path] = (), hint: str = "") -> Path:
    """
    Find a file of weights in the folder of weights, or in other folders where a library keeps them.

    Raises WhosingsError where it is in none of them, with the address of the weights of `what`, and `hint`.
    """
    for folder in (weights_folder(), *also):
        if (folder / file).is_file():
            return folder / file
    raise WhosingsError(
        f"{weights_folder() / file}: the weights of {what} are not there; {hint}download {url} "
        "and save it under that name (the folder can be changed with WHOSINGS_WEIGHTS)."
    )


def digest(path: Path) -> str:
    """Give the first 8 hex digits of the SHA-256 of a file; raises WhosingsError where it cannot be read."""
    try:
        return sha256_of(path)[:8]
    except OSError as error:
        raise WhosingsError(
            f"{path}: these weights cannot be read ({error.strerror}); check their permissions."
        ) from error


def package_version(package: str, what: str, command: str) -> str:
    """Give the version of an installed package; raises WhosingsError naming the command that installs it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        raise WhosingsError(
            f"{what} needs the package {package}, which is not installed; run: {command}"
        ) from None


def damaged(path: Path, url: str, reason: object) -> WhosingsError:
    """Give the error for weights that are not what their name says."""
    lines = str(reason).strip().splitlines()  # torch lists every tensor that does not fit
    told = lines[0].rstrip(".:") if lines else type(reason).__name__
    return WhosingsError(f"{path}: these weights cannot be used ({told}); download them again from {url}.")
