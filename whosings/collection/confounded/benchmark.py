"""A benchmark on disk: manifests, a split and a record."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whosings.collection.catalogue import Collection
from whosings.collection.confounded.mixes import TESTS, VALIDATION_FREE, Mix, Mixes, lay_mixes
from whosings.collection.confounded.plan import Plan, draw_plan
from whosings.collection.confounded.stems import Stems, read_stems
from whosings.collection.layouts.scan import natural_key
from whosings.collection.splits import SIDES, Split
from whosings.errors import WhosingsError
from whosings.files import read_json, write_json, write_text

PROTOCOL = "confounded"
RECORD = "confounded.json"
MANIFEST = "manifest.csv"
MANIFEST_FREE = "manifest_free.csv"  # the same, but for validation, which is free
SPLIT = "split.json"


@dataclass(frozen=True)
class Confounded:
    """
    A benchmark on disk: `root` opens as the collection that `split` divides, each of `tests` as one more.

    `clips`, `seconds` (heard) and `lost` (seconds of voice beyond the end of its band) go by side: train,
    validation, tied, free, swapped, and validation_free where bands are left for it.
    """

    root: Path
    singers: tuple[str, ...]
    clips: dict[str, int]
    seconds: dict[str, float]
    lost: dict[str, float]

    @property
    def split(self) -> Path:
        """The split of `root` into training, validation and the test `tied`."""
        return self.root / SPLIT

    @property
    def tests(self) -> dict[str, Path]:
        """The manifests of the tests tied, free and swapped."""
        return {test: self.root / f"{test}.csv" for test in TESTS}

    @property
    def manifest_free(self) -> Path | None:
        """What `split` divides as `root`, with validation over free bands; None where there are none."""
        return self.root / MANIFEST_FREE if VALIDATION_FREE in self.clips else None

    @property
    def record(self) -> Path:
        """What was drawn: pools, songs, who got whose pool."""
        return self.root / RECORD


def confound(
    collection: Collection, out: Path, *, tie: float, singers: int | None = None, seed: int = 0
) -> Confounded:
    """
    Write a confounded benchmark into `out`: manifests of the collection's own stems; no sound is copied.

    `tie` in [0, 1] is its strength: 0 free, 1 always the singer's own pool. `singers` takes so many of those
    with the most songs (the first in order of equals), by default all with three or more; the classes are in
    the order of the collection. Written are `manifest.csv` with `split.json` (training, validation, and the
    test `tied`), `tied.csv`, `free.csv`, `swapped.csv` and the record `confounded.json`; and where bands are
    left for it `validation_free.csv`, and `manifest_free.csv` which has it in the place of validation. The
    same arguments give the same bytes, and complete a folder made before there was a free validation.

    Raises WhosingsError where there are too few singers, songs or bands with stems, a sound file cannot be
    read, or `out` holds something else.
    """
    if not 0 <= tie <= 1:
        raise WhosingsError(f"A tie of {tie} cannot be made; give one from 0 (free) to 1 (always).")
    out, stems = Path(out), read_stems(collection)
    plan = draw_plan(stems, singers, seed)
    mixes = lay_mixes(stems, plan, tie, seed)
    ids = {side: tuple(dict.fromkeys(mix.id for mix in parts)) for side, parts in mixes.items()}
    split = Split(PROTOCOL, seed, 0, tuple(plan.songs), ids["train"], ids["validation"], ids["tied"])
    made = Confounded(
        out,
        tuple(plan.songs),
        clips={side: len(parts) for side, parts in mixes.items()},
        seconds={side: round(sum(mix.heard for mix in parts), 1) for side, parts in mixes.items()},
        lost={side: round(sum(mix.lost for mix in parts), 1) for side, parts in mixes.items()},
    )
    tables = _tables(mixes)
    drawn = {"from": str(stems.root.resolve()), "tie": float(tie), "seed": seed, **_drawn(stems, plan)}
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in tables.items()}
    _claim(out, drawn | _counts(made, mixes) | {"split_sha256": split.sha256, "sha256": hashes})
    for name, text in tables.items():
        write_text(out / name, text)
    split.save(made.split)
    return made


def _drawn(stems: Stems, plan: Plan) -> dict[str, Any]:
    """Say who sings which songs over whose bands, as the record keeps it."""
    singers = {
        singer: {
            "pool": [band.name for band in plan.pools[singer]["train"]],
            "swapped_for_the_pool_of": plan.swapped[singer],
            "songs": {side: [song.track.id for song in sides[side]] for side in SIDES},
        }
        for singer, sides in plan.songs.items()
    }
    free = sorted({band.name for bands in plan.free.values() for band in bands}, key=natural_key)
    return {"known_by": stems.known_by, "singers": singers, "free": free, "left_out": plan.left_out}


def _counts(made: Confounded, mixes: Mixes) -> dict[str, Any]:
    """Count each side: clips, seconds heard and lost, and the share of clips over the singer's own pool."""
    return {
        "sides": {
            side: {
                "clips": made.clips[side],
                "seconds": made.seconds[side],
                "seconds_lost": made.lost[side],
                "own_pool": round(sum(mix.pool == mix.song.track.artist for mix in parts) / len(parts), 3),
            }
            for side, parts in mixes.items()
        }
    }


def _tables(mixes: Mixes) -> dict[str, str]:
    """Give the manifests by the names of their files."""

    def table(*sides: str) -> str:
        return _table([mix for side in sides for mix in mixes[side]])

    tables = {MANIFEST: table("train", "validation", "tied")}
    tables |= {f"{test}.csv": table(test) for test in TESTS}
    if VALIDATION_FREE in mixes:
        tables[f"{VALIDATION_FREE}.csv"] = table(VALIDATION_FREE)
        tables[MANIFEST_FREE] = table("train", VALIDATION_FREE, "tied")
    return tables


def _table(mixes: Sequence[Mix]) -> str:
    """Write a manifest, a row a part; `pool` names the singer whose pool the band is in, none where free."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    stems = ("vocals", "vocals_channel", "accompaniment", "accompaniment_channel")
    writer.writerow(["artist", "album", "title", *stems, "band", "pool"])
    for mix in mixes:
        sounds = [
            cell for clip in (mix.voice, mix.clip) for cell in (clip.sound.path.resolve(), clip.sound.channel)
        ]
        track = mix.song.track
        writer.writerow([track.artist, track.album, mix.title, *sounds, mix.band, mix.pool])
    return text.getvalue()


def _claim(out: Path, record: dict[str, Any]) -> None:
    """Write the record first; raises WhosingsError where `out` holds another benchmark or other files."""
    path = out / RECORD
    if path.is_file():
        if not _agrees(read_json(path, "record of a benchmark"), record):
            raise WhosingsError(f"{path}: the benchmark here is another one; choose another folder.")
    elif out.is_dir() and any(out.iterdir()):
        raise WhosingsError(f"{out}: there are other files in this folder; choose another one.")
    write_json(path, record)


def _agrees(earlier: Any, record: Any) -> bool:
    """Tell whether an earlier record is this one, but for what was not yet written in its day."""
    if isinstance(earlier, dict) and isinstance(record, dict):
        return all(name in record and _agrees(value, record[name]) for name, value in earlier.items())
    return bool(earlier == record)
