"""The voices library: singers enrolled by their voiceprints, asked who sings, searched by voice."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from whosings.errors import WhosingsError
from whosings.files import read_json, sha256_of, write_json
from whosings.voices.prints import Prints, checked, unit
from whosings.voices.scoring import NEAREST, scale_of, scores, voices_of
from whosings.voices.table import PrintTable, quoted
from whosings.voices.thresholds import FEWEST_SINGERS, FEWEST_SONGS, Thresholds, fit_thresholds, lead_of
from whosings.wording import counted

CARD = "library.json"
FORMAT = "whosings voices 1"
LOCK = ".lock"
PASSING = (LOCK, f".{Path(CARD).stem}-")  # what may stand there before the card: the lock, a half-written one
PATIENCE = 60  # seconds to wait for another process that writes
FEWEST_FOR_CENTRE = 10  # songs whose mean is taken for what all songs share
WINDOWS_PER_SONG = 40  # windows fetched for each song wanted from a search

EVIDENCE = "A likeness of voices is evidence, not proof."
CONSENT = (
    "A voiceprint is personal data: enrol only who agreed to it, and say how and when with --consent; "
    "the same files again with it note that later."
)
UNDECIDED = (
    "Nobody is named: no threshold is known for this encoder yet. The library fits one from "
    f"{FEWEST_SONGS} songs by {FEWEST_SINGERS} singers on, two or more each; till then the nearest is a hint."
)

BORROWED = (
    "That was fitted on songs outside this library, which fits its own from "
    f"{FEWEST_SONGS} songs by {FEWEST_SINGERS} singers on, two or more each."
)


@dataclass(frozen=True)
class Singer:
    """An enrolled singer: files and prints in number, seconds of sound, first ISO date, consent texts."""

    name: str
    files: int
    prints: int
    seconds: float
    enrolled: str
    consent: str

    def to_dict(self) -> dict[str, Any]:
        """Give the fields by name."""
        return asdict(self)


@dataclass(frozen=True)
class Match:
    """
    Who sings, among the enrolled: `name`, or None for unknown; `nearest` is the most alike in either case.

    `score` is that of the nearest and `lead` that over the second; `scores` lists all singers, best first;
    `thresholds` are those that decided, None where none are known and so nobody is named. The window from
    `start` on, of `seconds`, is most like the nearest.
    """

    name: str | None
    nearest: str
    score: float
    lead: float
    scores: tuple[tuple[str, float], ...]
    thresholds: Thresholds | None
    start: float
    seconds: float

    @property
    def sentence(self) -> str:
        """Say the answer for people, with what it is worth."""
        if self.thresholds is None:
            return f"The nearest voice is {self.nearest} ({self.score:.2f}). {UNDECIDED} {EVIDENCE}"
        if self.name is None:
            return f"Unknown; the nearest voice is {self.nearest} ({self.score:.2f}). {EVIDENCE}"
        return f"The voice is like that of {self.name} ({self.score:.2f}). {EVIDENCE}"

    def to_dict(self) -> dict[str, Any]:
        """Give the fields by name; a lead over nobody is None."""
        note = EVIDENCE if self.thresholds else f"{UNDECIDED} {EVIDENCE}"
        return {**asdict(self), "lead": self.lead if np.isfinite(self.lead) else None, "note": note}


@dataclass(frozen=True)
class Hit:
    """A song with a like voice: `score` (1 is alike), and the window to listen to, in seconds."""

    name: str
    file: str
    score: float
    start: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Give the fields by name."""
        return asdict(self)


@dataclass(frozen=True)
class _Songs:
    """Every enrolled song: its singer's place in `names`, its key, its print; as of one table version."""

    version: int
    names: tuple[str, ...]
    singers: np.ndarray
    keys: dict[tuple[str, str], int]
    vectors: np.ndarray


class VoiceLibrary:
    """
    A folder of voiceprints of enrolled singers.

    `encoder_id` names what makes the prints; it is needed to start a library, and a library of another is
    refused. `made_with` are the settings it is built anew from, which the library keeps. `cohort` (songs,
    dim), at least 10 songs by voices that nobody asks about, comes with the encoder and normalises the scores
    (see `scoring`); `default` are the thresholds that hold until the library has enough songs for its own, on
    the same scale: fit them with `fit_thresholds`. Adding and removing take a lock; a search that runs in
    another process meanwhile may have to be repeated.
    """

    def __init__(
        self,
        folder: Path,
        encoder_id: str | None = None,
        *,
        made_with: Mapping[str, str | None] | None = None,
        default: Thresholds | None = None,
        cohort: np.ndarray | None = None,
    ) -> None:
        self.folder = Path(folder)
        self._made_with = dict(made_with or {})
        if cohort is not None and len(cohort) < NEAREST:
            raise WhosingsError(f"A cohort of {len(cohort)} songs is too small; give at least {NEAREST}.")
        if default is not None and default.scale != scale_of(cohort):
            raise WhosingsError(
                f"These thresholds are for {default.scale} scores, and the library gives {scale_of(cohort)} "
                "ones; fit them with the same cohort."
            )
        self._default = default
        self._cohort = None if cohort is None else unit(cohort)
        self._encoder_id = encoder_id
        self._known: _Songs | None = None
        if self._exists():
            self._check_encoder()

    # what the library is

    def _exists(self) -> bool:
        # Looked through before the card is looked for: another process may be starting the library.
        entries = self.folder.iterdir() if self.folder.is_dir() else ()
        taken = self.folder.is_file() or any(not entry.name.startswith(PASSING) for entry in entries)
        if (self.folder / CARD).is_file():
            return True
        if taken:
            raise WhosingsError(f"{self.folder}: this is no voices library; name another folder.")
        return False

    def _card(self) -> dict[str, Any]:
        path = self.folder / CARD
        if not self._exists():
            raise WhosingsError(
                f"{self.folder}: there is no voices library yet; enrol a singer to start one."
            )
        card = read_json(path, "voices library")
        if not isinstance(card, dict) or card.get("format") != FORMAT:
            raise WhosingsError(f"{path}: this is no voices library of this version; name another folder.")
        return card

    def _check_encoder(self) -> None:
        written_by = self._card()["encoder"]
        if self._encoder_id not in (None, written_by):
            raise WhosingsError(
                f"{self.folder}: this voices library was written by the encoder {written_by}, and its "
                f"prints do not mix with those of {self._encoder_id}; use that encoder or another folder."
            )

    @property
    def encoder_id(self) -> str:
        """The encoder whose prints the library holds; raises WhosingsError where there is no library yet."""
        return str(self._card()["encoder"])

    @property
    def made_with(self) -> dict[str, str | None]:
        """What the encoder is built from, as last told; empty where that was never told."""
        made_with = self._card().get("made_with")
        return dict(made_with) if isinstance(made_with, dict) else {}

    @cached_property
    def _table(self) -> PrintTable:
        return PrintTable(self.folder, int(self._card()["dim"]))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Keep other processes from writing."""
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / LOCK, timeout=PATIENCE):
                yield
        except Timeout:
            raise WhosingsError(
                f"{self.folder}: another process writes to this voices library; try again when it is done."
            ) from None
        except OSError as error:
            raise WhosingsError(
                f"{self.folder}: this voices library cannot be written ({error.strerror or error}); "
                "check its rights and the space on its disk."
            ) from error

    # enrolment

    def add(self, name: str, file: Path, prints: Prints, consent: str = "", *, shared: bool = False) -> int:
        """
        Enrol a file of a singer and give the number of prints added: 0 where its content is there already.

        A `consent` given later takes the place of an earlier one of that file. Raises WhosingsError where
        the content stands under another name (unless `shared`, as for a duet), where no singing was heard, or
        where the prints do not fit the library.
        """
        name, file, sha256 = _named(name, file)
        prints = checked(prints, self._dim_of(prints), str(file))
        with self._writing():
            self._start(prints.vectors.shape[1])
            if self._noted(name, sha256, consent):
                return 0
            content = f"song = true AND sha256 = {quoted(sha256)}"
            owners = self._table.rows(content, ["name"])["name"].to_pylist()
            if owners and not shared:
                raise WhosingsError(
                    f"{file}: this sound is enrolled as {owners[0]} already; remove that one, or allow "
                    "sharing (--shared)."
                )
            shown = os.path.abspath(file).encode(errors="backslashreplace").decode()  # odd file names
            self._append(name, shown, sha256, prints, consent)
            return len(prints.vectors)

    def knows(self, name: str, file: Path, consent: str = "") -> bool:
        """
        Say whether a file of a singer is enrolled already, and so needs not be heard again.

        A `consent` is then noted as by `add`; raises as that does.
        """
        name, file, sha256 = _named(name, file)
        if not self._exists():
            return False
        with self._writing():
            self._start(int(self._card()["dim"]))
            return self._noted(name, sha256, consent)

    def _noted(self, name: str, sha256: str, consent: str) -> bool:
        """Say whether a content is enrolled under a name, its consent being brought up to date."""
        where = f"name = {quoted(name)} AND sha256 = {quoted(sha256)}"
        there = self._table.rows(f"song = true AND {where}", ["consent"])["consent"].to_pylist()
        if there and consent and consent != there[0]:
            self._table.set_consent(consent, where)
        return bool(there)

    def _dim_of(self, prints: Prints) -> int:
        """Give the size of a print in the library, or of those that start it."""
        return int(self._card()["dim"]) if self._exists() else int(np.shape(prints.vectors)[-1])

    def _start(self, dim: int) -> None:
        """Write the card of a new library; raises WhosingsError where no encoder is named for it."""
        if self._exists():
            self._check_encoder()
            if self._made_with and self._made_with != self.made_with:
                write_json(self.folder / CARD, self._card() | {"made_with": self._made_with})
        elif self._encoder_id is None:
            raise WhosingsError(f"{self.folder}: a new voices library needs an encoder; name one.")
        else:
            card = {"format": FORMAT, "encoder": self._encoder_id, "made_with": self._made_with, "dim": dim}
            write_json(self.folder / CARD, card)

    def _append(self, name: str, file: str, sha256: str, prints: Prints, consent: str) -> None:
        rows = len(prints.vectors) + 1
        length = float(prints.starts.max() + prints.seconds)
        columns: dict[str, Any] = {
            "name": [name] * rows,
            "file": [file] * rows,
            "sha256": [sha256] * rows,
            "song": [True] + [False] * (rows - 1),
            "start": [0.0, *map(float, prints.starts)],
            "seconds": [length] + [float(prints.seconds)] * (rows - 1),
            "enrolled": [datetime.now(UTC).date().isoformat()] * rows,
            "consent": [consent] * rows,
        }
        self._table.append(columns, np.concatenate([prints.song[None], prints.vectors]))

    def remove(self, name: str) -> int:
        """
        Remove a singer from the library and from every file on disk; gives the number of prints removed.

        Raises WhosingsError where no such singer is enrolled.
        """
        name = name.strip()
        self._card()
        with self._writing():
            prints = len(self._table.rows(f"name = {quoted(name)} AND song = false", ["name"]))
            if not prints:
                self._table.tidy()  # what a removal that was cut off has left on disk
                raise WhosingsError(
                    f"{self.folder}: nobody is enrolled as {name}; see who is with `whosings voices list`."
                )
            self._table.keep(f"name != {quoted(name)}")
            return prints

    def singers(self) -> list[Singer]:
        """List who is enrolled, by name."""
        columns = ["name", "song", "start", "seconds", "enrolled", "consent"]
        self._card()
        by_name: dict[str, list[dict[str, Any]]] = {}
        for row in self._table.rows("true", columns).to_pylist():
            by_name.setdefault(row["name"], []).append(row)
        return [_singer(name, rows) for name, rows in sorted(by_name.items())]

    # questions

    def find(self, prints: Prints) -> Match:
        """
        Say who of the enrolled sings, or that none of them does; nobody is named without thresholds.

        Raises WhosingsError for an empty library, or prints without singing.
        """
        asked = self._asked(prints)
        songs, thresholds = self._songs(), self.thresholds
        voices = voices_of(songs.vectors, songs.singers, len(songs.names))
        values = scores(asked.song, voices, self._cohort)
        order = np.argsort(-values, kind="stable")
        ranked = tuple((songs.names[i], float(values[i])) for i in order)
        nearest, score = ranked[0]
        lead = lead_of(values)
        sure = thresholds is not None and score >= thresholds.known and lead >= thresholds.margin
        start = float(asked.starts[np.argmax(asked.vectors @ voices[order[0]])])
        name = nearest if sure else None
        return Match(name, nearest, score, lead, ranked, thresholds, start, float(asked.seconds))

    def search(self, prints: Prints, top: int = 20, *, exact: bool = False) -> list[Hit]:
        """
        Find the enrolled songs whose voice is most like that of `prints`, the most alike first.

        Candidates are the songs of the nearest windows (by an index in large libraries, unless `exact`);
        their score is the mean of the cosines of the song and of its best window, less what all songs share.
        """
        if top < 1:
            raise WhosingsError(f"A search for {top} songs finds none; ask for at least 1.")
        songs, song = self._songs(), self._asked(prints).song
        centre = self._centre(songs)
        question = unit(song - centre)
        windows = self._table.nearest(question, WINDOWS_PER_SONG * top, exact=exact).to_pylist()
        best: dict[tuple[str, str], dict[str, Any]] = {}
        for row in windows:  # nearest first
            best.setdefault((row["name"], row["sha256"]), row)
        whole = unit(songs.vectors[[songs.keys[key] for key in best]] - centre) @ question
        hits = [
            Hit(
                row["name"],
                row["file"],
                float(alike + 1 - row["_distance"]) / 2,
                row["start"],
                row["seconds"],
            )
            for row, alike in zip(best.values(), whole, strict=True)
        ]
        return sorted(hits, key=lambda hit: -hit.score)[:top]

    @property
    def caveat(self) -> str:
        """What has to be said of its thresholds where they are not its own; else empty."""
        thresholds = self.thresholds
        if thresholds is None:
            return UNDECIDED
        return BORROWED if thresholds is self._default else ""

    @property
    def thresholds(self) -> Thresholds | None:
        """Its own where it has enough songs, fitted anew after each change; else the default, if any."""
        return self._fitted() or self._default

    def _fitted(self) -> Thresholds | None:
        songs, card = self._songs(), self._card()
        state = {"version": songs.version, "cohort": None if self._cohort is None else len(self._cohort)}
        stored = card.get("fitted", {})
        if stored.get("state") == state:
            return Thresholds(**stored["thresholds"]) if stored["thresholds"] else None
        fitted = fit_thresholds(songs.vectors, songs.singers, self._cohort)
        card["fitted"] = {"state": state, "thresholds": fitted and fitted.to_dict()}
        if os.access(self.folder, os.W_OK):  # a library that may only be read is fitted each time
            write_json(self.folder / CARD, card)
        return fitted

    def _asked(self, prints: Prints) -> Prints:
        """Give the sung windows of the song that is asked about."""
        return checked(prints, int(self._card()["dim"]), "The song asked about")

    def _songs(self) -> _Songs:
        """Read the print of every song, once for each version; raises WhosingsError where there is none."""
        self._card()
        version = self._table.version
        if self._known is None or self._known.version != version:
            rows = self._table.rows("song = true", ["name", "sha256", "vector"])
            if not rows.num_rows:
                raise WhosingsError(
                    f"{self.folder}: nobody is enrolled in this library; enrol a singer first."
                )
            names, singers = np.unique(rows["name"].to_pylist(), return_inverse=True)
            keys = zip(rows["name"].to_pylist(), rows["sha256"].to_pylist(), strict=True)
            flat = rows["vector"].combine_chunks().flatten().to_numpy()
            self._known = _Songs(
                version,
                tuple(map(str, names)),
                singers,
                {key: place for place, key in enumerate(keys)},
                flat.reshape(rows.num_rows, -1),
            )
        return self._known

    def _centre(self, songs: _Songs) -> np.ndarray | float:
        """Give what all songs share (dim,): the mean of the cohort, or of the library where it is large."""
        shared = songs.vectors if self._cohort is None else self._cohort
        centre: np.ndarray | float = shared.mean(axis=0) if len(shared) >= FEWEST_FOR_CENTRE else 0.0
        return centre


def _named(name: str, file: Path) -> tuple[str, Path, str]:
    """Give the name of a singer, a file and its hash; raises WhosingsError where one is no such thing."""
    name, file = name.strip(), Path(file)
    if not name or not name.isprintable():
        raise WhosingsError(f"{file}: {name!r} is no name for a singer; give one in letters.")
    try:
        return name, file, sha256_of(file)
    except OSError as error:
        raise WhosingsError(f"{file}: cannot be read ({error.strerror}); check the path.") from error


def _singer(name: str, rows: list[dict[str, Any]]) -> Singer:
    """Sum up the rows of one singer."""
    files = [row for row in rows if row["song"]]
    windows = [row for row in rows if not row["song"]]
    return Singer(
        name,
        len(files),
        len(windows),
        sum(row["seconds"] for row in files),
        min(row["enrolled"] for row in files),
        _consent([row["consent"] for row in files]),
    )


def _consent(texts: list[str]) -> str:
    """Join the consent texts of songs, and say of how many there is none beside others."""
    told = sorted({text for text in texts if text})
    missing = texts.count("")
    return "; ".join([*told, f"none told for {counted(missing, 'song')}"] if told and missing else told)
