"""Commands that ask a trained model: `identify`, `explain`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whosings import show
from whosings.cli.options import RunPath, end, songs_named
from whosings.errors import WhosingsError

if TYPE_CHECKING:
    from whosings.identify.ladder import Identification


def identify(
    run: RunPath,
    files: Annotated[list[Path], typer.Argument(help="Sound files, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list with all segments.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, a line a file.")] = False,
    as_segments: Annotated[bool, typer.Option("--segments", help="CSV, a line a segment.")] = False,
    as_audacity: Annotated[bool, typer.Option("--audacity", help="A label track, of one file.")] = False,
    as_rttm: Annotated[bool, typer.Option("--rttm", help="NIST RTTM, for diarization tools.")] = False,
    ribbons: Annotated[
        Path | None, typer.Option(help="A folder for a picture a file of who sings when.")
    ] = None,
    review: Annotated[
        Path | None, typer.Option(help="A CSV to accept, reject or rename answers in; kept up to date.")
    ] = None,
    tag: Annotated[bool, typer.Option(help="Write known singers into the files, in a field apart.")] = False,
    force: Annotated[bool, typer.Option(help="With --tag: set the artist too.")] = False,
) -> None:
    """Say who sings in each file and when, who else it could be, and which seconds to listen to."""
    from whosings import load
    from whosings.identify import exports
    from whosings.progress import bar

    if sum((as_json, as_csv, as_segments, as_audacity, as_rttm)) > 1:
        raise WhosingsError("Of --json, --csv, --segments, --audacity and --rttm choose one.")
    identifier = load(run)
    answers: list[Identification] = []
    paths, failed = songs_named(files)
    if as_audacity and len(paths) > 1:
        raise WhosingsError(f"A label track is for one file, and {len(paths)} are given; name one of them.")
    with bar("Listening", len(paths), quiet=len(paths) < 2) as progress:
        for path in paths:
            try:
                answer = identifier.identify(path)
                answers.append(answer)
                _keep(answer, run, ribbons, tag, force)
            except WhosingsError as error:
                failed[str(path)] = str(error)
            progress.step()
    if review:
        from whosings.identify.review import write_review

        write_review(review, answers)
    timelines = {answer.file: answer.segments for answer in answers}
    if as_json:
        show.as_json([answer.to_dict() for answer in answers])
    elif as_csv:
        sys.stdout.write(exports.answers_csv(answers))
    elif as_segments:
        sys.stdout.write(exports.segments_csv(timelines))
    elif as_audacity:
        sys.stdout.writelines(exports.audacity_labels(answer.segments) for answer in answers)
    elif as_rttm:
        sys.stdout.write(exports.rttm(timelines))
    elif answers:
        show.answers(answers)
    end(failed, nothing_done=not answers)


def _keep(answer: Identification, run: Path, ribbons: Path | None, tag: bool, force: bool) -> None:
    """Draw and tag what was asked for."""
    file = Path(answer.file)
    if ribbons:
        from whosings.identify.ribbon import draw_ribbon

        draw_ribbon(ribbons / f"{file.stem}.png", answer.segments, answer.seconds, file.name)
    if tag and answer.singer is not None:
        from whosings.collection.tags import Tag, write_answer

        write_answer(file, Tag(answer.singer, answer.confidence, run.resolve().name), force)


def explain(
    run: RunPath,
    file: Annotated[Path, typer.Argument(help="A sound file.")],
    out: Annotated[Path, typer.Option(help="The folder of picture and page.")] = Path("explained"),
    singer: Annotated[str | None, typer.Option(help="Explain this singer in place of the answer.")] = None,
) -> None:
    """Show what in a song spoke for its singer: heat over the spectrogram, and a page with the sound."""
    from whosings.evidence.explain import explain_file

    show.explained(explain_file(run, file, out, singer=singer))
