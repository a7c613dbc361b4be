"""Who sings which songs on which side, and over whose bands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from whosings.collection.confounded.draws import deal_out, seeded
from whosings.collection.confounded.stems import Band, Bands, Song, Stems, beside
from whosings.collection.splits import SIDES
from whosings.errors import WhosingsError
from whosings.wording import counted

FEWEST = 3  # songs of a singer, and clips of a band in a pool: one for each side
MOST_BANDS = 3  # in a pool; a singer with two training songs still hears every clip of so many about once
FORBIDDEN = 1e6  # cost of a pair that must not be


@dataclass(frozen=True)
class Plan:
    """Who sings what on which side, and over which bands; a band of a pool has other clips on each side."""

    songs: dict[str, dict[str, list[Song]]]  # by singer and side
    pools: dict[str, dict[str, Bands]]  # by singer and side
    free: dict[str, Bands]  # by singer, for the test
    swapped: dict[str, str]  # by singer, whose pool
    left_out: dict[str, str]  # by track id, why


def draw_plan(stems: Stems, singers: int | None, seed: int) -> Plan:
    """Draw who sings what and where; raises WhosingsError where there is too little of something."""
    songs, left_out = _songs_of(_singers(stems, singers), stems)
    sides = {singer: _voice_sides(sung, seed) for singer, sung in songs.items()}
    sung = {name: {song.work for song in stems.songs if song.track.artist == name} for name in songs}
    dealt = _deal(stems, sung, seed)
    pools = {singer: _band_sides(bands, seed) for singer, bands in dealt.items()}
    free = _free(stems, sung, dealt)
    return Plan(sides, pools, free, _crossed(stems, sides, pools, seed), left_out)


def _singers(stems: Stems, count: int | None) -> tuple[str, ...]:
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


def _songs_of(singers: Sequence[str], stems: Stems) -> tuple[dict[str, list[Song]], dict[str, str]]:
    """
    Give the songs of each singer, one recording of each work, and why others are left out by track id.

    A work that several sing stays with the one of the fewest songs, the first of equals.
    """
    songs = {singer: [song for song in stems.songs if song.track.artist == singer] for singer in singers}
    works: dict[str, list[Song]] = {}
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


def _voice_sides(songs: Sequence[Song], seed: int) -> dict[str, list[Song]]:
    """Divide the songs of a singer, whole albums where there are enough of them."""
    by_album = len({song.track.album for song in songs}) >= FEWEST
    unit = {song.track.id: song.track.album if by_album else song.track.id for song in songs}
    random = seeded(seed, "songs", songs[0].track.artist)
    units = deal_out(list(dict.fromkeys(unit.values())), random)
    return {side: [song for song in songs if unit[song.track.id] in units[side]] for side in SIDES}


def _deal(stems: Stems, sung: dict[str, set[str]], seed: int) -> dict[str, Bands]:
    """
    Deal the same number of bands to each singer, none that plays on the singer's songs; some stay free.

    `sung` holds the works of each singer.
    """
    fit = [band for band in stems.bands if len(band.clips) >= FEWEST]
    random = seeded(seed, "pools")
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


def _free(stems: Stems, sung: dict[str, set[str]], dealt: dict[str, Bands]) -> dict[str, Bands]:
    """Give the bands in no pool that test each singer."""
    taken = {band.name for bands in dealt.values() for band in bands}
    rest = [band for band in stems.bands if band.name not in taken]
    strange = _strange(rest, sung, len(taken) // len(dealt))
    return {singer: bands or rest for singer, bands in strange.items()}


def free_for_validation(stems: Stems, plan: Plan, tested: set[str]) -> dict[str, Bands]:
    """
    Give the bands that validate each singer free of the tie; none at all where a singer would have none.

    They are in no pool and not among the bands named in `tested`, which are heard in the test `free`, and
    they play on no song that trains or tests.
    """
    pools = [pool["train"] for pool in plan.pools.values()]
    taken = {band.name for pool in pools for band in pool} | tested
    elsewhere = {
        song.work for sides in plan.songs.values() for side in ("train", "test") for song in sides[side]
    }
    rest = [band for band in stems.bands if band.name not in taken and not _plays_on(band, elsewhere)]
    sung = {singer: {song.work for song in sides["validation"]} for singer, sides in plan.songs.items()}
    strange = _strange(rest, sung, len(pools[0]))
    return strange if all(strange.values()) else {}


def _strange(bands: Bands, sung: dict[str, set[str]], size: int) -> dict[str, Bands]:
    """
    Give the bands that are strange to each singer, of whom `sung` has the works.

    They play on no singer's song where there are as many such bands as the size of a pool, else on none of
    the singer's.
    """
    strangers = [band for band in bands if not _plays_on(band, set().union(*sung.values()))]
    if len(strangers) >= size:
        return dict.fromkeys(sung, strangers)
    return {singer: [band for band in bands if not _plays_on(band, works)] for singer, works in sung.items()}


def _plays_on(band: Band, works: set[str]) -> bool:
    return any(clip.work in works for clip in band.clips)


def _band_sides(bands: Bands, seed: int) -> dict[str, Bands]:
    """Divide the clips of each band."""
    divided = {band.name: deal_out(band.clips, seeded(seed, "clips", band.name)) for band in bands}
    return {side: [Band(name, tuple(clips[side])) for name, clips in divided.items()] for side in SIDES}


def _crossed(
    stems: Stems,
    songs: dict[str, dict[str, list[Song]]],
    pools: dict[str, dict[str, Bands]],
    seed: int,
) -> dict[str, str]:
    """Give each singer another one's pool, every pool once; the fewer own bands are met in it, the better."""
    random = seeded(seed, "swapped")

    def cost(singer: str, giver: str) -> float:
        bands = pools[giver]["test"]
        left = min(len(beside(song, bands)) for song in songs[singer]["test"])
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
