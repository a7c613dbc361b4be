"""The desk of a voices library: where it lies, what goes with it, and questions about files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from whosings.collection.features import default_cache
from whosings.errors import WhosingsError
from whosings.voices.library import CARD, EVIDENCE, Hit, Match, VoiceLibrary
from whosings.voices.prints import VoiceEncoder
from whosings.voices.thresholds import Thresholds

ALONE = "voices alone"  # what a library hears that was begun with files without a band

# What holds until a library has enough songs of its own, by encoder and what it hears: fitted on small
# libraries drawn from the 92 songs of 19 singers of MIR-1K, mixes at 0 dB, by benchmarks/voice_defaults.py.
# Other encoders have none, since under each voices are alike in a measure of its own.
DEFAULTS = {
    "campplus 92f29b94e694, mix": Thresholds(0.730, 0.014, 0.768, 0.016, 0.045, "cosine", 92, 19),
    f"campplus 92f29b94e694, mix, {ALONE}": Thresholds(0.702, 0.0, 0.700, 0.0, 0.0, "cosine", 92, 19),
}


@dataclass(frozen=True)
class FileAnswer:
    """Who of the enrolled sings in a file; `match` is None where nobody sings at all."""

    file: str
    match: Match | None

    @property
    def kind(self) -> Literal["singer", "unknown", "no singing"]:
        """Which kind of answer it is; the words are those of `identify`."""
        if self.match is None:
            return "no singing"
        return "unknown" if self.match.name is None else "singer"

    @property
    def label(self) -> str:
        """The singer, or what is heard in place of one."""
        return self.match.name if self.match and self.match.name is not None else self.kind

    def to_dict(self) -> dict[str, Any]:
        """Give the fields by name, as `identify` names them; seconds count from the start of the file."""
        answer: dict[str, Any] = {"file": self.file, "kind": self.kind, "singer": None, "note": EVIDENCE}
        if self.match is None:
            return answer
        fields = self.match.to_dict()
        start, seconds = fields.pop("start"), fields.pop("seconds")
        singer = {"singer": fields.pop("name")}
        return answer | singer | fields | {"listen_from": start, "listen_to": round(start + seconds, 3)}


class VoiceDesk:
    """
    A library with the encoder that goes with it: enrols and asks about files.

    An existing library brings its encoder; a new one gets that of `run` (a run of a speaker encoder), or else
    the pretrained one. `alone` says that files hold voices without a band, among which that one is surer.
    Raises WhosingsError where that encoder is not to be had or is not the library's, the library was not
    begun with voices alone, or `run` and `alone` are both given.
    """

    def __init__(self, folder: Path, *, run: Path | None = None, alone: bool = False) -> None:
        if run is not None and alone:
            raise WhosingsError(
                f"{run}: a trained encoder hears what it was trained with; leave out --voices-alone."
            )
        begun = VoiceLibrary(folder).made_with if (folder / CARD).is_file() else {}
        if begun and alone and begun.get("sound") != ALONE:
            raise WhosingsError(
                f"{folder}: this library was not begun with voices alone; begin another with --library."
            )
        made_with = begun
        if not begun or run is not None:
            made_with = {
                "run": str(run.resolve()) if run else None,
                "sound": ALONE if alone else begun.get("sound"),
            }
        self.encoder = _encoder(folder, made_with)
        default = DEFAULTS.get(heard_by(self.encoder.id, made_with))
        self.library = VoiceLibrary(folder, self.encoder.id, made_with=made_with, default=default)

    def is_new(self, name: str) -> bool:
        """Whether nobody is enrolled under a name yet."""
        started = (self.library.folder / CARD).is_file()
        return not started or name.strip() not in [singer.name for singer in self.library.singers()]

    def enrol(self, name: str, path: Path, consent: str = "", *, shared: bool = False) -> int:
        """Enrol a file and give the number of prints added; raises WhosingsError as `VoiceLibrary.add`."""
        if self.library.knows(name, path, consent):
            return 0
        return self.library.add(name, path, self.encoder(path), consent, shared=shared)

    def find(self, path: Path) -> FileAnswer:
        """Say who of the enrolled sings in a file; raises WhosingsError as `VoiceLibrary.find`, or unread."""
        prints = self.encoder(path)
        sung = bool((prints.weights > 0).any())
        return FileAnswer(str(path), self.library.find(prints) if sung else None)

    def search(self, path: Path, top: int) -> list[Hit]:
        """Find the songs with a voice like that in a file; raises WhosingsError as `VoiceLibrary.search`."""
        prints = self.encoder(path)
        if not (prints.weights > 0).any():
            raise WhosingsError(f"{path}: no singing was heard in it; choose a file with a voice.")
        return self.library.search(prints, top)


def heard_by(encoder: str, made_with: Mapping[str, str | None]) -> str:
    """Name an encoder together with what a library that was made with it hears."""
    return f"{encoder}, {ALONE}" if made_with.get("sound") == ALONE else encoder


def default_folder() -> Path:
    """Give where the library lies: $WHOSINGS_VOICES, or else `voices` in the user's data folder."""
    import platformdirs

    named = os.environ.get("WHOSINGS_VOICES")
    return Path(named).expanduser() if named else platformdirs.user_data_path("whosings") / "voices"


def existing(folder: Path) -> VoiceLibrary:
    """Open a library for what needs no encoder; raises WhosingsError where there is none."""
    library = VoiceLibrary(folder)
    _ = library.encoder_id
    return library


def separated_sound(library: VoiceLibrary) -> Path | None:
    """Give where voices lie that the run of a library had taken out of mixes, if any do: in the cache."""
    separator = library.encoder_id.partition(" by ")[2]
    folder = default_cache() / "stems" / separator
    return folder if separator and folder.is_dir() else None


def asking(folder: Path) -> VoiceDesk:
    """Open a library to ask about files; raises WhosingsError where there is none, or nobody in it."""
    if not existing(folder).singers():
        raise WhosingsError(f"{folder}: nobody is enrolled in this library; enrol a singer first.")
    return VoiceDesk(folder)


def _encoder(folder: Path, made_with: dict[str, str | None]) -> VoiceEncoder:
    """Build an encoder from its settings."""
    from whosings.voices.encoder import Voiceprinter

    run = made_with.get("run")
    try:
        return Voiceprinter(Path(run) if run else None)
    except WhosingsError as error:
        if run is None or Path(run).exists():
            raise
        raise WhosingsError(
            f"{folder}: the run {run}, whose encoder made this voices library, is gone; put it back, or name "
            "its new place with the next `whosings voices add ... --encoder`."
        ) from error
