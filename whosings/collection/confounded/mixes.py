"""The mixes of each side: every voice clip over a clip of a band."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from whosings.collection.confounded.draws import seeded, shuffled
from whosings.collection.confounded.plan import Plan, free_for_validation
from whosings.collection.confounded.stems import Bands, Clip, Song, Stems, beside

TESTS = ("tied", "free", "swapped")
VALIDATION_FREE = "validation_free"


@dataclass(frozen=True)
class Mix:
    """A part of a track to be: a voice over a clip of a band that is in a singer's pool, or free."""

    song: Song
    title: str
    voice: Clip
    band: str
    clip: Clip
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


Mixes = dict[str, list[Mix]]  # by side


def lay_mixes(stems: Stems, plan: Plan, tie: float, seed: int) -> Mixes:
    """
    Give the mixes of train, validation and the tests, and of validation_free where bands are left for it.

    `tie` in [0, 1] is the chance of a clip of training or validation to be tied to its singer's pool.
    """
    mixes: Mixes = {side: _trained(plan, side, tie, seed) for side in ("train", "validation")}
    mixes |= {test: _tested(plan, test, seed) for test in TESTS}
    if free := free_for_validation(stems, plan, {mix.band for mix in mixes["free"]}):
        mixes[VALIDATION_FREE] = _validated(plan, free, seed)
    return mixes


def _trained(plan: Plan, side: str, tie: float, seed: int) -> list[Mix]:
    """Lay each voice clip of a side over a clip from a pool drawn with the tie."""
    mixes = []
    for singer, songs in plan.songs.items():
        for song in songs[side]:
            bands = {name: beside(song, pool[side]) for name, pool in plan.pools.items()}
            pools = [name for name, some in bands.items() if some]
            for number, voice in enumerate(song.clips):
                random = seeded(seed, side, song.track.id, str(number))
                own = random.random() < tie
                pool = pools[int(random.random() * len(pools))]
                pool = singer if own else pool
                band, clip = _long_enough(bands[pool], voice.seconds, random)
                mixes.append(Mix(song, song.track.title, voice, band, clip, pool))
    return mixes


def _tested(plan: Plan, test: str, seed: int) -> list[Mix]:
    """Lay each test song over as many bands as a pool has, one after the other."""
    mixes = []
    for singer, songs in plan.songs.items():
        pool = {"tied": singer, "free": "", "swapped": plan.swapped[singer]}[test]
        wanted = len(plan.pools[singer]["test"])
        for song in songs["test"]:
            bands = beside(song, plan.pools[pool]["test"] if pool else plan.free[singer])
            order = shuffled(bands, seeded(seed, test, song.track.id))
            for number in range(wanted):
                band = order[number % len(order)]
                title = f"{song.track.title} over band {number + 1}"
                random = seeded(seed, test, song.track.id, str(number))
                for voice in song.clips:
                    name, clip = _long_enough([band], voice.seconds, random)
                    mixes.append(Mix(song, title, voice, name, clip, pool))
    return mixes


def _validated(plan: Plan, free: dict[str, Bands], seed: int) -> list[Mix]:
    """Lay each voice clip of the validation songs over a clip of a free band."""
    mixes = []
    for singer, songs in plan.songs.items():
        for song in songs["validation"]:
            for number, voice in enumerate(song.clips):
                random = seeded(seed, VALIDATION_FREE, song.track.id, str(number))
                band, clip = _long_enough(free[singer], voice.seconds, random)
                mixes.append(Mix(song, song.track.title, voice, band, clip, pool=""))
    return mixes


def _long_enough(bands: Bands, seconds: float, random: Random) -> tuple[str, Clip]:
    """Draw a clip that lasts as long as the voice; the longest where none does. Give its band as well."""
    drawn = shuffled([(band.name, clip) for band in bands for clip in band.clips], random)
    longest = max(drawn, key=lambda named: named[1].seconds)
    return next((named for named in drawn if named[1].seconds >= seconds), longest)
