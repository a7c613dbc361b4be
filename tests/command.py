"""The command line as people use it, without the start of another Python."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import NamedTuple
from unittest import mock

from whosings.cli import main


class Done(NamedTuple):
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str


def whosings(*words: object) -> Done:
    """Run `whosings WORDS` in this process."""
    out, err = io.StringIO(), io.StringIO()
    status: object = 0
    with (
        mock.patch.object(sys, "argv", ["whosings", *map(str, words)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            status = end.code
    assert isinstance(status, int)
    return Done(status, out.getvalue(), err.getvalue())
