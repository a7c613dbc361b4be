"""Commands on a voices library: `voices add`, `list`, `remove`, `find`, `search`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from whosings import show
from whosings.cli.options import SOME_FAILED, end, songs_named
from whosings.errors import WhosingsError
from whosings.wording import counted

commands = typer.Typer(
    help="Enrol singers by their voices, without training; ask who sings, search songs by voice.",
    no_args_is_help=True,
)

LibraryOption = Annotated[
    Path | None,
    typer.Option(
        "--library",
        help="The library's folder; else $WHOSINGS_VOICES, or 'voices' in the user's data folder.",
    ),
]
EncoderOption = Annotated[
    Path | None,
    typer.Option("--encoder", help="A run of a voiceprint recipe; else the pretrained encoder."),
]
AloneOption = Annotated[
    bool,
    typer.Option("--voices-alone", help="The files hold voices without a band: thresholds of their own."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
Files = Annotated[list[Path], typer.Argument(help="Sound files, or folders of them.")]


@commands.command("add")
def voices_add(
    name: Annotated[str, typer.Argument(help="The singer.")],
    files: Files,
    library: LibraryOption = None,
    consent: Annotated[str, typer.Option(help="How and when the singer agreed to be enrolled.")] = "",
    encoder: EncoderOption = None,
    alone: AloneOption = False,
    shared: Annotated[
        bool, typer.Option("--shared", help="Also what stands under another name, such as a duet.")
    ] = False,
) -> None:
    """Enrol a singer; a library keeps to the encoder and to the kind of sound it was begun with."""
    from whosings.progress import bar
    from whosings.voices.desk import VoiceDesk
    from whosings.voices.library import CONSENT

    folder = _folder(library)
    desk = VoiceDesk(folder, run=encoder, alone=alone)
    paths, failed = songs_named(files)
    new = desk.is_new(name)
    added: dict[Path, int] = {}
    with bar("Listening", len(paths), quiet=len(paths) < 2) as progress:
        for path in paths:
            try:
                added[path] = desk.enrol(name, path, consent, shared=shared)
            except WhosingsError as error:
                failed[str(path)] = str(error)
            progress.step()
    if added:
        show.voices.enrolled(name.strip(), list(added.values()), folder)
        known = sum(not prints for prints in added.values())
        if consent and known:
            show.sentence(f"The consent is noted for the {counted(known, 'song')} there before.")
        if new and not consent:
            show.note(CONSENT)
    end(failed, nothing_done=not added)


@commands.command("list")
def voices_list(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """List who is enrolled."""
    from whosings.voices.desk import existing, heard_by

    opened = existing(_folder(library))
    singers = opened.singers()
    if as_json:
        show.as_json([singer.to_dict() for singer in singers])
    else:
        show.voices.singers(singers, opened.folder, heard_by(opened.encoder_id, opened.made_with))


@commands.command("remove")
def voices_remove(
    name: Annotated[str, typer.Argument(help="The singer.")],
    library: LibraryOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a singer and all their voiceprints, from every file of the library."""
    from whosings.voices.desk import existing, separated_sound

    opened = existing(_folder(library))
    name = name.strip()
    singer = next((singer for singer in opened.singers() if singer.name == name), None)
    if singer and not yes and sys.stdin.isatty():
        songs, prints = counted(singer.files, "song"), counted(singer.prints, "voiceprint")
        if not typer.confirm(f"Remove {name}, {songs} with {prints}? This cannot be undone."):
            show.sentence("Nothing was removed.")
            raise typer.Exit(SOME_FAILED)
    removed = opened.remove(name)
    show.sentence(f"{name} is removed from {opened.folder}, with {counted(removed, 'voiceprint')}.")
    if kept := separated_sound(opened):
        show.note(f"Voices taken out of mixes stay in {kept} until you delete it.")


@commands.command("find")
def voices_find(files: Files, library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Say who of the enrolled sings in each file, or that none of them does."""
    from whosings.progress import bar
    from whosings.voices.desk import FileAnswer, asking

    desk = asking(_folder(library))
    paths, failed = songs_named(files)
    answers: list[FileAnswer] = []
    with bar("Listening", len(paths), quiet=len(paths) < 2) as progress:
        for path in paths:
            try:
                answers.append(desk.find(path))
            except WhosingsError as error:
                failed[str(path)] = str(error)
            progress.step()
    if as_json:
        show.as_json([answer.to_dict() for answer in answers])
    elif answers:
        show.voices.found(answers)
        if desk.library.caveat and any(answer.match for answer in answers):
            show.note(desk.library.caveat)
    end(failed, nothing_done=not answers)


@commands.command("search")
def voices_search(
    file: Annotated[Path, typer.Argument(help="A sound file with the voice.")],
    library: LibraryOption = None,
    top: Annotated[int, typer.Option(min=1, help="Songs listed at most.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the enrolled songs whose voice is most like that in a file, and where to listen in them."""
    from whosings.voices.desk import asking

    hits = asking(_folder(library)).search(file, top)
    if as_json:
        show.as_json([hit.to_dict() for hit in hits])
    else:
        show.voices.hits(hits)


def _folder(named: Path | None) -> Path:
    """Give the library's folder: the one named, or the default."""
    from whosings.voices.desk import default_folder

    return named or default_folder()
