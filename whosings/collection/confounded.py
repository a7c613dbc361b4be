"""
A benchmark of bias: each singer tied to a pool of bands in training; the tie kept, cut and crossed in tests.

What was decided, and why:

- A *band* is what sounds alike from clip to clip: the songs that a manifest (column `band`) or the studio
  names it for, else an album, since key, timbre and production are those of an album (in MIR-1K, of a song).
- The clips of a pool's band are divided between training, validation and the test `tied`: a band can be
  recognised in the test, yet not one sample of it was trained on. The bands of `free` are in no pool, and
  none of their clips is heard anywhere else.
- Recordings of one *work* (a manifest's `work` or `work_id`, else songs of one title) may share melody and
  the very backing: one of them sings, one lends its band, and a voice is never laid over its own work. No
  singer's pool has a band that plays on that singer's songs, and bands that play on no chosen singer's songs
  are taken first: separated stems keep traces of their voice.
- A singer's voice is divided by album (by song where there are fewer than three albums).
- A training or validation clip takes a band of its singer's pool with probability tie + (1 - tie) / singers,
  else of another pool, so that every tie hears the same bands. Validation is tied as training is, since
  whoever does not know of the tie would divide such songs so.
- The tests take the pool named by the test for every clip, whatever the tie: they are the same files for
  every tie of a seed. A track of a test is one voice song over one band, as songs are; the tests have the
  same voice songs, as often, under the same track ids, so that their differences are paired.
- Draws depend on the seed and on names alone: a higher tie only moves more clips to the singer's own pool.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from whosings.collection.catalogue import Collection
from whosings.collection.layouts.manifest import read_labels
from whosings.collection.layouts.scan import NO_ALBUM, natural_key
from whosings.collection.splits import SIDES, Split
from whosings.collection.track import SoundFile, SourceName, Track
from whosings.errors import WhosingsError
from whosings.files import read_json, write_json, write_text
from whosings.wording import counted

PROTOCOL = "confounded"
RECORD = "confounded.json"
MANIFEST = "manifest.csv"
SPLIT = "split.json"
STUDIO = "studio.json"  # beside rendered songs
TESTS = ("tied", "free", "swapped")

FEWEST = 3  # songs of a singer, and clips of a band in a pool: one for each side
MOST_BANDS = 3  # in a pool; a singer with two training songs still hears every clip of so many about once
SHARE = 0.25  # of a singer's albums and of a band's clips that test, and as many that validate
FORBIDDEN = 1e6  # cost of a pair that must not be

Item = TypeVar("Item")


@dataclass(frozen=True)
class Confounded:
    """
    A benchmark on disk: `root` opens as the collection that `split` divides, each of `tests` as one more.

    `clips`, `seconds` (heard) and `lost` (seconds of voice beyond the end of its band) go by side: train,
    validation, tied, free, swapped.
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
    def record(self) -> Path:
        """What was drawn: pools, songs, who got whose pool."""
        return self.root / RECORD


@dataclass(frozen=True)
class _Clip:
    """A stretch of a stem, from a recording of `work`."""

    sound: SoundFile
    seconds: float
    work: str


@dataclass(frozen=True)
class _Song:
    """A track and the clips of its voice."""

    track: Track
    clips: tuple[_Clip, ...]

    @property
    def work(self) -> str:
        """The composition."""
        return self.clips[0].work


@dataclass(frozen=True)
class _Band:
    """Clips of accompaniment that sound alike."""

    name: str
    clips: tuple[_Clip, ...]


Bands = list[_Band]


@dataclass(frozen=True)
class _Mix:
    """A part of a track to be: a voice over a clip of a band that is in a singer's pool, or free."""

    song: _Song
    title: str
    voice: _Clip
    band: str
    clip: _Clip
    pool: str

    @property
    def id(self) -> str:
        """The id of the track that this is a part of."""
        return f"{self.song.track.artist}/{self.song.track.album}/{self.title}"

    @property
    def heard(self) -> float:
        """Seconds until the shorter of the two ends."""
        return min(self.voice.seconds, self.clip.seconds)

    @property
    def lost(self) -> float:
        """Seconds of the voice that come after the end of the band."""
        return self.voice.seconds - self.heard


@dataclass(frozen=True)
class _Stems:
    """All songs with a voice and all bands of a collection, and in words by what works and bands go."""

    root: Path
    songs: tuple[_Song, ...]
    bands: tuple[_Band, ...]
    known_by: dict[str, str]


@dataclass(frozen=True)
class _Plan:
    """Who sings what on which side, and over which bands; a band of a pool has other clips on each side."""

    songs: dict[str, dict[str, list[_Song]]]
    pools: dict[str, dict[str, Bands]]
    free: dict[str, Bands]
    swapped: dict[str, str]
    left_out: dict[str, str]


def confound(
    collection: Collection, out: Path, *, tie: float, singers: int | None = None, seed: int = 0
) -> Confounded:
    """
    Write a confounded benchmark into `out`: manifests of the collection's own stems; no sound is copied.

    `tie` in [0, 1] is its strength: 0 free, 1 always the singer's own pool. `singers` takes so many of those
    with the most songs (the first in order of equals), by default all with three or more; the classes are in
    the order of the collection. Written are `manifest.csv` with `split.json` (training, validation, and the
    test `tied`), `tied.csv`, `free.csv`, `swapped.csv` and the record `confounded.json`; the same arguments
    give the same bytes.

    Raises WhosingsError where there are too few singers, songs or bands with stems, a sound file cannot be
    read, or `out` holds something else.
    """
    if not 0 <= tie <= 1:
        raise WhosingsError(f"A tie of {tie} cannot be made; give one from 0 (free) to 1 (always).")
    out, stems = Path(out), _stems(collection)
    plan = _plan(stems, singers, seed)
    mixes: dict[str, list[_Mix]] = {
        "train": _trained(plan, "train", tie, seed),
        "validation": _trained(plan, "validation", tie, seed),
        **{test: _tested(plan, test, seed) for test in TESTS},
    }
    ids = {side: tuple(dict.fromkeys(mix.id for mix in parts)) for side, parts in mixes.items()}
    split = Split(PROTOCOL, seed, 0, tuple(plan.songs), ids["train"], ids["validation"], ids["tied"])
    tables = {MANIFEST: _table([mix for side in ("train", "validation", "tied") for mix in mixes[side]])}
    tables |= {f"{test}.csv": _table(mixes[test]) for test in TESTS}
    made = Confounded(
        out,
        tuple(plan.songs),
        clips={side: len(parts) for side, parts in mixes.items()},
        seconds={side: round(sum(mix.heard for mix in parts), 1) for side, parts in mixes.items()},
        lost={side: round(sum(mix.lost for mix in parts), 1) for side, parts in mixes.items()},
    )
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in tables.items()}
    drawn = {"from": str(stems.root.resolve()), "tie": float(tie), "seed": seed, **_drawn(stems, plan)}
    _claim(out, drawn | _counts(made, mixes) | {"split_sha256": split.sha256, "sha256": hashes})
    for name, text in tables.items():
        write_text(out / name, text)
    split.save(made.split)
    return made


def _stems(collection: Collection) -> _Stems:
    """
    Gather voices and bands; raises WhosingsError where no track has both.

    Of the recordings of a work only the one with the most clips lends its band, as others may have the very
    same samples.
    """
    work, band, known_by = _labels(collection)
    songs, lenders = [], dict[str, tuple[str, tuple[_Clip, ...]]]()
    for track in collection.tracks:
        voice, backing = (_clips(track, name, work[track.id]) for name in ("vocals", "accompaniment"))
        if voice:
            songs.append(_Song(track, voice))
        known = lenders.get(work[track.id])
        if backing and (known is None or len(backing) > len(known[1])):
            lenders[work[track.id]] = (band[track.id], backing)
    if not songs or not lenders:
        raise WhosingsError(
            f"{collection.root}: no track here has a voice and an accompaniment apart, of which mixes could "
            "be made; give a collection with stems."
        )
    bands: dict[str, tuple[_Clip, ...]] = {}
    for name, backing in lenders.values():
        bands[name] = (*bands.get(name, ()), *backing)
    return _Stems(collection.root, tuple(songs), tuple(_Band(*named) for named in bands.items()), known_by)


def _labels(collection: Collection) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Give work and band by track id, and in words by what each is known."""
    tracks = collection.tracks
    album = {t.id: t.id if t.album == NO_ALBUM else f"{t.artist}/{t.album}" for t in tracks}
    title = {t.id: t.title.casefold() for t in tracks}
    studio = collection.root / STUDIO
    if studio.is_file():  # each rendered song is a work of its own
        known_by = {"works": "each its own", "bands": STUDIO}
        return {t.id: t.id for t in tracks}, album | _played(studio), known_by
    work, band = read_labels(collection.root, "work"), read_labels(collection.root, "band")
    known_by = {"works": "manifest" if work else "title", "bands": "manifest" if band else "album"}
    return title | work, album | band, known_by


def _played(studio: Path) -> dict[str, str]:
    """Give the band by track id from the record of rendered songs."""
    try:
        return {song["file"]: song["band"] for song in read_json(studio, "record of rendered songs")["songs"]}
    except (KeyError, TypeError) as error:
        raise WhosingsError(
            f"{studio}: this is no record of rendered songs; render them anew or remove it."
        ) from error


def _clips(track: Track, name: SourceName, work: str) -> tuple[_Clip, ...]:
    """Give the stem of a track part by part; none where a part lacks it."""
    from whosings.audio import decode

    stems = [part.vocals if name == "vocals" else part.accompaniment for part in track.parts]
    if not all(stems):
        return ()
    return tuple(_Clip(stem, decode.duration(stem.path), work) for stem in stems if stem)


def _plan(stems: _Stems, singers: int | None, seed: int) -> _Plan:
    """Draw who sings what and where; raises WhosingsError where there is too little of something."""
    songs, left_out = _songs_of(_singers(stems, singers), stems)
    sides = {singer: _voice_sides(sung, seed) for singer, sung in songs.items()}
    sung = {name: {song.work for song in stems.songs if song.track.artist == name} for name in songs}
    dealt = _deal(stems, sung, seed)
    pools = {singer: _band_sides(bands, seed) for singer, bands in dealt.items()}
    free = _free(stems, sung, dealt)
    return _Plan(sides, pools, free, _crossed(stems, sides, pools, seed), left_out)


def _singers(stems: _Stems, count: int | None) -> tuple[str, ...]:
    """Choose the singers with the most songs, in the order of the collection."""
    songs = Counter(song.track.artist for song in stems.songs)
    able = [singer for singer, number in songs.items() if number >= FEWEST]
    count = len(able) if count is None else count
    if not 2 <= count <= len(able):
        raise WhosingsError(
            f"{stems.root}: a benchmark of {counted(count, 'singer')} cannot be made; {len(able)} have the "
            f"{FEWEST} songs with a voice apart that are needed, and two singers are the fewest."
        )
    most = set(sorted(able, key=lambda singer: -songs[singer])[:count])
    return tuple(singer for singer in able if singer in most)


def _songs_of(singers: Sequence[str], stems: _Stems) -> tuple[dict[str, list[_Song]], dict[str, str]]:
    """
    Give the songs of each singer, one recording of each work, and why others are left out by track id.

    A work that several sing stays with the one of the fewest songs, the first of equals.
    """
    songs = {singer: [song for song in stems.songs if song.track.artist == singer] for singer in singers}
    works: dict[str, list[_Song]] = {}
    for song in (song for sung in songs.values() for song in sung):
        works.setdefault(song.work, []).append(song)
    left_out = {}
    for sharing in works.values():
        kept = min(sharing, key=lambda song: len(songs[song.track.artist]))
        for song in sharing:
            if song is not kept:
                songs[song.track.artist].remove(song)
                left_out[song.track.id] = f"the same work as {kept.track.id}"
    for singer, sung in songs.items():
        if len(sung) < FEWEST:
            raise WhosingsError(
                f"{stems.root}: {singer} has {counted(len(sung), 'song')} that no other chosen singer sings, "
                f"and {FEWEST} are needed; choose fewer singers."
            )
    return songs, left_out


def _voice_sides(songs: Sequence[_Song], seed: int) -> dict[str, list[_Song]]:
    """Divide the songs of a singer, whole albums where there are enough of them."""
    by_album = len({song.track.album for song in songs}) >= FEWEST
    unit = {song.track.id: song.track.album if by_album else song.track.id for song in songs}
    random = _random(seed, "songs", songs[0].track.artist)
    units = _sides(list(dict.fromkeys(unit.values())), random)
    return {side: [song for song in songs if unit[song.track.id] in units[side]] for side in SIDES}


def _deal(stems: _Stems, sung: dict[str, set[str]], seed: int) -> dict[str, Bands]:
    """
    Deal the same number of bands to each singer, none that plays on the singer's songs; some stay free.

    `sung` holds the works of each singer.
    """
    fit = [band for band in stems.bands if len(band.clips) >= FEWEST]
    random = _random(seed, "pools")
    near = [_plays_on(band, set().union(*sung.values())) for band in fit]
    for size in range(min(MOST_BANDS, len(stems.bands) // (len(sung) + 1)), 0, -1):
        costs = [
            [
                random.random() + 10 * on_some + FORBIDDEN * _plays_on(band, works)
                for band, on_some in zip(fit, near, strict=True)
            ]
            for works in sung.values()
            for _ in range(size)
        ]
        chosen = _cheapest(costs)
        if chosen:
            return {
                singer: [fit[band] for band in chosen[at * size : (at + 1) * size]]
                for at, singer in enumerate(sung)
            }
    raise WhosingsError(
        f"{stems.root}: {counted(len(sung), 'singer')} need a band each that plays on none of their "
        f"songs, in {FEWEST} clips or more, and one to spare; of {counted(len(stems.bands), 'band')} here "
        f"{len(fit)} have the clips; choose fewer singers or add songs."
    )


def _free(stems: _Stems, sung: dict[str, set[str]], dealt: dict[str, Bands]) -> dict[str, Bands]:
    """
    Give the bands in no pool that test each singer.

    Those that play on no chosen singer's song where they are as many as a pool, else on none of the
    singer's.
    """
    taken = {band.name for bands in dealt.values() for band in bands}
    rest = [band for band in stems.bands if band.name not in taken]
    size = len(taken) // len(dealt)
    strangers = [band for band in rest if not _plays_on(band, set().union(*sung.values()))]
    if len(strangers) >= size:
        return dict.fromkeys(sung, strangers)
    return {
        name: [band for band in rest if not _plays_on(band, works)] or rest for name, works in sung.items()
    }


def _plays_on(band: _Band, works: set[str]) -> bool:
    return any(clip.work in works for clip in band.clips)


def _band_sides(bands: Bands, seed: int) -> dict[str, Bands]:
    """Divide the clips of each band."""
    divided = {band.name: _sides(band.clips, _random(seed, "clips", band.name)) for band in bands}
    return {side: [_Band(name, tuple(clips[side])) for name, clips in divided.items()] for side in SIDES}


def _crossed(
    stems: _Stems,
    songs: dict[str, dict[str, list[_Song]]],
    pools: dict[str, dict[str, Bands]],
    seed: int,
) -> dict[str, str]:
    """Give each singer another one's pool, every pool once; the fewer own bands are met in it, the better."""
    random = _random(seed, "swapped")

    def cost(singer: str, giver: str) -> float:
        bands = pools[giver]["test"]
        left = min(len(_beside(song, bands)) for song in songs[singer]["test"])
        forbidden = giver == singer or not left
        return random.random() + len(bands) - left + FORBIDDEN * forbidden

    costs = [[cost(singer, giver) for giver in pools] for singer in songs]
    givers, names = _cheapest(costs), list(pools)
    if not givers:
        raise WhosingsError(
            f"{stems.root}: the singers cannot swap pools, since some would meet bands of their own songs; "
            "choose another seed or fewer singers."
        )
    return {singer: names[giver] for singer, giver in zip(songs, givers, strict=True)}


def _cheapest(costs: list[list[float]]) -> list[int]:
    """Give each row another column at the lowest total cost; empty where a forbidden pair is needed."""
    from scipy.optimize import linear_sum_assignment

    if len(costs) > len(costs[0]):
        return []
    rows, columns = linear_sum_assignment(costs)
    if any(costs[row][column] >= FORBIDDEN for row, column in zip(rows, columns, strict=True)):
        return []
    return [int(column) for column in columns]


def _trained(plan: _Plan, side: str, tie: float, seed: int) -> list[_Mix]:
    """Lay each voice clip of a side over a clip from a pool drawn with the tie."""
    mixes = []
    for singer, songs in plan.songs.items():
        for song in songs[side]:
            bands = {name: _beside(song, pool[side]) for name, pool in plan.pools.items()}
            pools = [name for name, some in bands.items() if some]
            for number, voice in enumerate(song.clips):
                random = _random(seed, side, song.track.id, str(number))
                own = random.random() < tie
                pool = pools[int(random.random() * len(pools))]
                pool = singer if own else pool
                band, clip = _long_enough(bands[pool], voice.seconds, random)
                mixes.append(_Mix(song, song.track.title, voice, band, clip, pool))
    return mixes


def _tested(plan: _Plan, test: str, seed: int) -> list[_Mix]:
    """Lay each test song over as many bands as a pool has, one after the other."""
    mixes = []
    for singer, songs in plan.songs.items():
        pool = {"tied": singer, "free": "", "swapped": plan.swapped[singer]}[test]
        wanted = len(plan.pools[singer]["test"])
        for song in songs["test"]:
            bands = _beside(song, plan.pools[pool]["test"] if pool else plan.free[singer])
            order = _shuffled(bands, _random(seed, test, song.track.id))
            for number in range(wanted):
                band = order[number % len(order)]
                title = f"{song.track.title} over band {number + 1}"
                random = _random(seed, test, song.track.id, str(number))
                for voice in song.clips:
                    name, clip = _long_enough([band], voice.seconds, random)
                    mixes.append(_Mix(song, title, voice, name, clip, pool))
    return mixes


def _beside(song: _Song, bands: Bands) -> Bands:
    """Give what may be laid under a song: the clips of other works, by band."""
    others = (
        _Band(band.name, tuple(clip for clip in band.clips if clip.work != song.work)) for band in bands
    )
    return [band for band in others if band.clips]


def _long_enough(bands: Bands, seconds: float, random: Random) -> tuple[str, _Clip]:
    """Draw a clip that lasts as long as the voice; the longest where none does. Give its band as well."""
    drawn = _shuffled([(band.name, clip) for band in bands for clip in band.clips], random)
    longest = max(drawn, key=lambda named: named[1].seconds)
    return next((named for named in drawn if named[1].seconds >= seconds), longest)


def _sides(items: Sequence[Item], random: Random) -> dict[str, list[Item]]:
    """Deal out a share, at least one, to the test, as many to validation, and the rest to training."""
    drawn, count = _shuffled(items, random), max(1, round(SHARE * len(items)))
    return {"train": drawn[2 * count :], "validation": drawn[count : 2 * count], "test": drawn[:count]}


def _shuffled(items: Sequence[Item], random: Random) -> list[Item]:
    return sorted(items, key=lambda _: random.random())  # the one draw that Python promises to keep


def _random(seed: int, *names: str) -> Random:
    return Random("\0".join([str(seed), *names]))


def _drawn(stems: _Stems, plan: _Plan) -> dict[str, Any]:
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


def _counts(made: Confounded, mixes: dict[str, list[_Mix]]) -> dict[str, Any]:
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


def _table(mixes: Sequence[_Mix]) -> str:
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
        if read_json(path, "record of a benchmark") != record:
            raise WhosingsError(f"{path}: the benchmark here is another one; choose another folder.")
    elif out.is_dir() and any(out.iterdir()):
        raise WhosingsError(f"{out}: there are other files in this folder; choose another one.")
    write_json(path, record)
