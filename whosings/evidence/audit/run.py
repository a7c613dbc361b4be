"""The audit itself: songs in, every sound of them asked of the model; audit.json and a page out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from whosings.collection.catalogue import Collection, open_collection
from whosings.collection.features import FeatureStore, default_cache
from whosings.collection.layouts.manifest import read_labels
from whosings.collection.noise import LEVEL_DB
from whosings.collection.splits import WARNINGS, Split
from whosings.collection.track import SeparatorName, Source, Track
from whosings.errors import WhosingsError
from whosings.evidence.audit.heat import heat_shares
from whosings.evidence.audit.measures import SongAnswers, figures, heat_figures, told
from whosings.evidence.audit.model import AuditedModel, SavedModel, answered, check_model
from whosings.evidence.audit.page import write_audit_page
from whosings.evidence.audit.swaps import NoiseBand, Stems, deal, noise_bands, read_stems, sounds
from whosings.evidence.audit.verdict import verdict
from whosings.files import write_json
from whosings.identify.tracks import trained_on
from whosings.identify.votes import VOTES, of_voters
from whosings.models.store import VoteName
from whosings.progress import bar
from whosings.training.record import RECORD
from whosings.wording import counted

NUMBERS, PAGE = "audit.json", "audit.html"


@dataclass(frozen=True)
class Audit:
    """All figures (the content of `numbers`), what they mean in sentences, and where the page lies."""

    figures: dict[str, Any]
    verdict: list[str]
    numbers: Path
    page: Path


@dataclass(frozen=True)
class _Plan:
    """What is asked, and of whom."""

    model: AuditedModel
    mix_db: float | None
    vote: VoteName
    seed: int
    bands: Sequence[NoiseBand]


def audit_run(
    run: Path,
    collection: Path,
    out: Path | None = None,
    *,
    split: Split | None = None,
    mix_db: float | None = None,
    separator: SeparatorName = "spleeter",
    seed: int = 0,
    store: FeatureStore | None = None,
    quiet: bool = False,
) -> Audit:
    """
    Audit a saved model as `audit` does, by its own vote and at its own mix level.

    `out` is by default `run`/audit. On the collection that it was trained on, only the test songs of its
    split (or of `split`) are heard.
    """
    model = SavedModel(run)
    if split is None and (run / RECORD).is_file():
        arguments, own_split = trained_on(run)
        split = own_split if arguments["collection"] == str(collection.resolve()) else None
    return audit(
        model,
        collection,
        out or run / "audit",
        name=run.resolve().name,
        split=split,
        vote=model.card.vote,
        mix_db=model.card.mix_db if mix_db is None else mix_db,
        separator=separator,
        seed=seed,
        store=store,
        quiet=quiet,
    )


def audit(
    model: AuditedModel,
    collection: Path,
    out: Path,
    *,
    name: str = "this model",
    split: Split | None = None,
    vote: VoteName = "mean_log_probability",
    mix_db: float | None = None,
    separator: SeparatorName = "spleeter",
    seed: int = 0,
    store: FeatureStore | None = None,
    quiet: bool = False,
) -> Audit:
    """
    Measure whether a model goes by the voice or by the band, and write `out`/audit.json and `out`/audit.html.

    Heard are the test songs of `split`, or every song of a singer that the model knows. Each is asked as it
    is, its voice alone, its band alone, with another singer's band, with another singer's voice, and with
    noise in one band of frequencies at a time. `mix_db` puts the voice so many dB over the band; without it
    the stems keep the levels of the mix that lies on disk. Songs without stems are taken apart by
    `separator`. `vote` makes one answer of a song's windows. `seed` decides who swaps with whom, and the
    noise.

    Songs that cannot be read are told in `figures["failed"]`. Raises WhosingsError where fewer than two
    singers are left, the split cannot be used, or `out` cannot be written.
    """
    check_model(model, name)
    opened = open_collection(collection)
    tracks = _chosen(opened, model.singers, split)
    store, failed = store or FeatureStore(default_cache()), dict[str, str]()
    usable, apart = _taken_apart(tracks, separator, mix_db, store, failed, quiet)
    plan = _Plan(model, mix_db, vote, seed, noise_bands())
    partners = deal(usable, seed, [read_labels(opened.root, column) for column in ("work", "band")])
    songs = list(_asked(plan, usable, partners, failed, quiet))
    if not songs:
        raise WhosingsError(
            f"{opened.root}: no song could be audited ({_reason(failed)}); put that right, or give others."
        )
    explained = model.explained if isinstance(model, SavedModel) else None
    found = {
        "model": name,
        "collection": opened.root.resolve().name,
        "protocol": split.protocol if split else None,
        "split_sha256": split.sha256 if split else None,
        "warning": WARNINGS.get(split.protocol, "") if split else "",
        "window_seconds": model.window_seconds,
        "vote": vote,
        "mix_db": mix_db,
        "separated": {"separator": separator, "songs": sum(song.track in apart for song in songs)},
        "seed": seed,
        "noise_db": LEVEL_DB,
        **figures(songs, model.singers, plan.bands),
        "heat": heat_figures(songs, explained),
        "answers": told(songs),
        "failed": failed,
    }
    said = verdict(found)
    write_audit_page(out / PAGE, found, said)
    write_json(out / NUMBERS, {"verdict": said, **found})
    return Audit(found, said, out / NUMBERS, out / PAGE)


def _chosen(opened: Collection, singers: Sequence[str], split: Split | None) -> list[Track]:
    """Name the songs to hear."""
    if split is None:
        tracks = [track for track in opened.tracks if track.artist in singers]
    elif split.protocol == "snippet":
        raise WhosingsError(
            "A snippet split has windows of every song in training, so that no song is left to audit; train "
            "on another split."
        )
    else:
        tracks = [track for track in map(opened.track, split.test) if track.artist in singers]
    if not tracks:
        raise WhosingsError(
            f"{opened.root}: there is no song here by a singer that this model knows "
            f"({', '.join(list(singers)[:3])}, ...); give a collection of the same names."
        )
    return tracks


def _taken_apart(
    tracks: Sequence[Track],
    separator: SeparatorName,
    mix_db: float | None,
    store: FeatureStore,
    failed: dict[str, str],
    quiet: bool,
) -> tuple[list[Track], set[str]]:
    """Give the tracks that can be read, with stems, and the ids of those whose mix was taken apart."""
    usable, apart = [], set()
    with bar("Reading songs", len(tracks), quiet=quiet) as progress:
        for track in tracks:
            try:
                if not all(part.vocals and part.accompaniment for part in track.parts):
                    track = store.stems.separate(track, Source("vocals", separator=separator))
                    apart.add(track.id)
                read_stems(track, mix_db)
                usable.append(track)
            except WhosingsError as error:
                failed[track.id] = str(error)
            progress.step()
    singers = {track.artist for track in usable}
    if len(singers) < 2:
        raise WhosingsError(
            f"Songs of {counted(len(singers), 'singer')} can be used here ({_reason(failed)}), and a swap "
            "needs two; add songs, or give others."
        )
    return usable, apart


def _reason(failed: dict[str, str]) -> str:
    return next(iter(failed.values()), "all others are by singers that the model does not know").rstrip(".")


def _asked(
    plan: _Plan, tracks: Sequence[Track], partners: dict[str, Track], failed: dict[str, str], quiet: bool
) -> Iterator[SongAnswers]:
    """Ask for every sound of every song; a song that the model cannot answer is noted and passed over."""
    with bar("Listening", len(tracks), quiet=quiet) as progress:
        for track in tracks:
            try:
                song, other = (read_stems(one, plan.mix_db) for one in (track, partners[track.id]))
                yield _heard(plan, song, other)
            except WhosingsError as error:
                failed[track.id] = f"{track.id}: {error}"
            progress.step()


def _heard(plan: _Plan, song: Stems, other: Stems) -> SongAnswers:
    """Ask for every sound of a song; the windows that vote are those in which the song as it is is sung."""
    singers = np.array(plan.model.singers)
    windows: dict[str, np.ndarray] = {}
    whole = {}
    count = None
    sung = plan.model.sung(song.mix) if isinstance(plan.model, SavedModel) else None
    for name, sound in sounds(song, other, plan.bands, plan.seed):
        rows = answered(plan.model, sound, count)
        count = len(rows)
        windows[name] = singers[rows.argmax(axis=1)]
        votes = rows if sung is None else of_voters(rows, sung)
        whole[name] = str(singers[VOTES[plan.vote](votes).argmax()])
    return SongAnswers(
        track=song.track.id,
        singer=song.track.artist,
        partner=other.track.id,
        other=other.track.artist,
        windows=windows,
        whole=whole,
        heat=heat_shares(plan.model, song) if isinstance(plan.model, SavedModel) else None,
    )
