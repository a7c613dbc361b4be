"""Commands that ask a trained model: `identify`, `explain`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from whosings import show
from whosings.cli.options import RunPath, end, songs_named
from whosings.errors import WhosingsError


def identify(
    run: RunPath,
    files: Annotated[list[Path], typer.Argument(help="Sound files, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list, for programs.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, for spreadsheets.")] = False,
) -> None:
    """Say who sings in each file, who else it could be, and which seconds to listen to."""
    from whosings import load
    from whosings.identify.exports import to_csv
    from whosings.progress import bar

    if as_json and as_csv:
        raise WhosingsError("--json and --csv cannot both be written; choose one.")
    identifier = load(run)
    answers = []
    paths, failed = songs_named(files)
    with bar("Listening", len(paths), quiet=len(paths) < 2) as progress:
        for path in paths:
            try:
                answers.append(identifier.identify(path))
            except WhosingsError as error:
                failed[str(path)] = str(error)
            progress.step()
    if as_json:
        show.as_json([answer.to_dict() for answer in answers])
    elif as_csv:
        sys.stdout.write(to_csv(answers))
    elif answers:
        show.answers(answers)
    end(failed, nothing_done=not answers)


def explain(
    run: RunPath,
    file: Annotated[Path, typer.Argument(help="A sound file.")],
    out: Annotated[Path, typer.Option(help="The folder of picture and page.")] = Path("explained"),
    singer: Annotated[str | None, typer.Option(help="Explain this singer in place of the answer.")] = None,
) -> None:
    """Show what in a song spoke for its singer: Grad-CAM as a picture, and as a page with the sound."""
    from whosings.evidence.explain import explain_file

    show.explained(explain_file(run, file, out, singer=singer))
