"""The application, and what becomes of an error or Ctrl-C."""

from __future__ import annotations

import io
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from whosings.cli.options import STOPPED, WRONG_INPUT, fail
from whosings.errors import WhosingsError
from whosings.memory import keep_freed_memory


class _StoppedError(Exception):
    """Ctrl-C, under a name that Typer hands on."""


class _Commands(TyperGroup):
    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _StoppedError from error


app = typer.Typer(
    cls=_Commands,
    help="Say who sings in a recording, how sure that is, and where to listen. Evidence, not proof.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; every expected error is one sentence on standard error."""
    keep_freed_memory()  # here, since a program that imports whosings has its own ways
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show must not end the work
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except WhosingsError as error:
        fail(str(error))
        sys.exit(WRONG_INPUT)
    except OSError as error:  # such as a full disk
        place = error.filename2 or error.filename or "a file"
        fail(
            f"{place}: the system refused it ({error.strerror or error}); mend that, or choose another place."
        )
        sys.exit(WRONG_INPUT)
    except (KeyboardInterrupt, _StoppedError):
        fail("stopped; the same command goes on where it can.")
        sys.exit(STOPPED)
