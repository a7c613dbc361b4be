"""
The figures of an audit, each with its interval by bootstrap over songs (drawn within each singer).

Shares are means over windows, or over songs. What is only asked of some windows (of those whose answer
changed, say) leaves out the songs that have none, and is None where no song has one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from whosings.evidence import metrics
from whosings.evidence.audit.heat import HeatShares
from whosings.evidence.audit.swaps import BAND, BAND_SWAPPED, MIX, VOICE, VOICE_SWAPPED, NoiseBand
from whosings.evidence.gradcam import method

LEVEL = 0.95
ROUNDS = 1000
SEED = 0

Figure = dict[str, Any]


@dataclass(frozen=True)
class SongAnswers:
    """All that a model answered on a song, by the name of the sound it heard."""

    track: str
    singer: str
    partner: str
    """id of the track that it swapped with"""
    other: str
    """the singer of that track"""
    windows: dict[str, np.ndarray]
    """singers named: (windows,)"""
    whole: dict[str, str]
    """the singer that the vote over the windows names"""
    heat: HeatShares | None = None

    def at(self, level: str, sound: str) -> np.ndarray:
        """Give the answers to a sound: a name for each window, or one for the song."""
        return self.windows[sound] if level == "window" else np.array([self.whole[sound]])


Songs = Sequence[SongAnswers]
LEVELS = ("window", "song")


def mean(values: Sequence[np.ndarray], singers: Sequence[str]) -> Figure | None:
    """
    Give the mean of all values of all songs, its interval, and how many values and songs it is of.

    `values` has an array for each song, NaN in it is no value; `singers` names the singer of each song. The
    interval of a single song is None: it says nothing of others.
    """
    sums = np.array([np.nansum(of_song, dtype=np.float64) for of_song in values])
    counts = np.array([np.isfinite(of_song).sum() for of_song in values], dtype=np.float64)
    heard = counts > 0
    if not heard.any():
        return None
    sums, counts = sums[heard], counts[heard]
    codes = np.unique(np.array(singers)[heard], return_inverse=True)[1]
    interval = None
    if len(sums) > 1:
        drawn = np.zeros((ROUNDS, 2))
        for part, times, scale in metrics.song_draws(metrics.strata(codes), ROUNDS, SEED):
            drawn += (times * scale) @ np.stack([sums[part], counts[part]], axis=1)
        tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
        interval = [float(end) for end in np.quantile(drawn[:, 0] / drawn[:, 1], tails)]
    value = float(sums.sum() / counts.sum())
    return {"value": value, "interval": interval, "n": int(counts.sum()), "songs": len(sums)}


def figures(songs: Songs, singers: Sequence[str], bands: Sequence[NoiseBand]) -> Figure:
    """Give all figures of an audit as plain JSON values; `singers` are those that the model can name."""
    return {
        "songs": len(songs),
        "windows": int(sum(len(song.windows[MIX]) for song in songs)),
        "singers": len(singers),
        "chance": {level: _chance(songs, singers, level) for level in LEVELS},
        "accuracy": {
            sound: {level: _scored(songs, singers, sound, level) for level in LEVELS}
            for sound in (MIX, VOICE, BAND, BAND_SWAPPED)
        },
        "lost_by_swap": {level: _less(songs, singers, BAND_SWAPPED, level) for level in LEVELS},
        "voice_reliance": {level: _reliance(songs, level) for level in LEVELS},
        "crossed": {level: _crossed(songs, level) for level in LEVELS},
        "changed_to_new": {
            sound: {level: _changed_to(songs, sound, level) for level in LEVELS}
            for sound in (BAND_SWAPPED, VOICE_SWAPPED)
        },
        "noise": [_noise(songs, singers, band) for band in bands],
        "by_singer": [_of_singer(songs, name) for name in dict.fromkeys(song.singer for song in songs)],
        "bootstrap": {"over": "songs", "level": LEVEL, "rounds": ROUNDS, "seed": SEED},
    }


def heat_figures(songs: Songs, network: nn.Module | None) -> Figure | None:
    """Give where a network's heat lies, and where maps that know nothing would; None where it has no heat."""
    heard = [(song.heat, song.singer) for song in songs if song.heat is not None]
    if network is None or not heard:
        return None
    names = [singer for _, singer in heard]
    shares = {name: mean([getattr(heat, name) for heat, _ in heard], names) for name in HeatShares._fields}
    shares["heat_less_even_on_voice"] = mean(
        [heat.heat_on_voice - heat.even_on_voice for heat, _ in heard], names
    )
    silent = sum(int(np.isnan(heat.heat_on_voice).sum()) for heat, _ in heard)
    return {"method": method(network), **shares, "silent_windows": silent}


def _share(songs: Songs, event: Callable[[SongAnswers], np.ndarray]) -> Figure | None:
    return mean([event(song).astype(np.float64) for song in songs], [song.singer for song in songs])


def _given(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Keep the values where a condition holds."""
    return np.where(where, values, np.nan)


def _chance(songs: Songs, singers: Sequence[str], level: str) -> Figure:
    """Give what one gets who always names the most frequent singer, or any of them blindly."""
    items = Counter[str]()
    for song in songs:
        items[song.singer] += len(song.at(level, MIX))
    return {"largest_share": max(items.values()) / items.total(), "one_in_singers": 1 / len(singers)}


def _items(songs: Songs, level: str, sound: str) -> tuple[list[str], list[str], list[str]]:
    """Give true singers, answers and songs, item by item."""
    rows = [(song.singer, str(answer), song.track) for song in songs for answer in song.at(level, sound)]
    true, answers, groups = (list(column) for column in zip(*rows, strict=True))
    return true, answers, groups


def _scored(songs: Songs, singers: Sequence[str], sound: str, level: str) -> Figure:
    true, answers, groups = _items(songs, level, sound)
    return metrics.evaluate(true, answers, singers, groups, level=LEVEL, rounds=ROUNDS, seed=SEED)


def _less(songs: Songs, singers: Sequence[str], sound: str, level: str) -> Figure:
    """Give what accuracy loses from the song as it is to what was made of it."""
    true, answers, groups = _items(songs, level, MIX)
    changed = _items(songs, level, sound)[1]
    found = metrics.paired_difference(
        true, answers, changed, singers, groups, level=LEVEL, rounds=ROUNDS, seed=SEED
    )
    return {
        "value": found.difference["accuracy"],
        "interval": list(found.interval["accuracy"]),
        "p": found.p_value["accuracy"],
    }


def _differ(song: SongAnswers, sound: str, level: str) -> np.ndarray:
    """Say which answers are others than those to the song as it is: bool (answers,)."""
    differ: np.ndarray = song.at(level, sound) != song.at(level, MIX)
    return differ


def _reliance(songs: Songs, level: str) -> Figure:
    """
    Say how many answers stay when the band is swapped, and how many change when the voice is.

    `voice_less_band` is how many more change with the voice than with the band, from -1 to 1: doubt, which
    changes answers whatever is swapped, is in both.
    """

    def more(song: SongAnswers) -> np.ndarray:
        by_voice, by_band = (_differ(song, sound, level) for sound in (VOICE_SWAPPED, BAND_SWAPPED))
        return by_voice.astype(float) - by_band

    return {
        "band_swapped_stay": _share(songs, lambda song: ~_differ(song, BAND_SWAPPED, level)),
        "voice_swapped_change": _share(songs, lambda song: _differ(song, VOICE_SWAPPED, level)),
        "voice_less_band": _share(songs, more),
    }


def _crossed(songs: Songs, level: str) -> Figure:
    """Say whom the model names where one singer's voice lies over another one's band."""

    def named(song: SongAnswers, who: str) -> np.ndarray:
        of_who: np.ndarray = song.at(level, BAND_SWAPPED) == who
        return of_who

    return {
        "voice": _share(songs, lambda song: named(song, song.singer)),
        "band": _share(songs, lambda song: named(song, song.other)),
        "others": _share(songs, lambda song: ~named(song, song.singer) & ~named(song, song.other)),
        "voice_less_band": _share(
            songs, lambda song: named(song, song.singer).astype(float) - named(song, song.other)
        ),
    }


def _changed_to(songs: Songs, sound: str, level: str) -> Figure | None:
    """Say how many of the answers that a swap changes go to the singer of what was swapped in."""
    return _share(
        songs, lambda song: _given(song.at(level, sound) == song.other, _differ(song, sound, level))
    )


def _noise(songs: Songs, singers: Sequence[str], band: NoiseBand) -> Figure:
    """Say what noise in one band does to the answers of windows, and whom they go to."""
    new = Counter[str]()
    for song in songs:
        before, after = song.windows[MIX], song.windows[band.name]
        new.update(str(name) for name in after[after != before])
    drawn_to, windows = new.most_common(1)[0] if new else (None, 0)
    return {
        "low": band.low,
        "high": band.high,
        "accuracy": _share(songs, lambda song: song.windows[band.name] == song.singer),
        "lost": _less(songs, singers, band.name, "window"),
        "changed": _share(songs, lambda song: song.windows[band.name] != song.windows[MIX]),
        "drawn_to": {"singer": drawn_to, "share_of_changed": windows / max(new.total(), 1)},
        "songs_changed": _share(songs, lambda song: song.at("song", band.name) != song.at("song", MIX)),
    }


def _of_singer(songs: Songs, name: str) -> Figure:
    """Give the shares of windows of one singer's songs."""
    own = [song for song in songs if song.singer == name]
    reliance, crossed = _reliance(own, "window"), _crossed(own, "window")

    def right(song: SongAnswers, sound: str) -> np.ndarray:
        names: np.ndarray = song.windows[sound] == song.singer
        return names

    return {
        "singer": name,
        "songs": len(own),
        "windows": int(sum(len(song.windows[MIX]) for song in own)),
        **{sound: _share(own, partial(right, sound=sound)) for sound in (MIX, VOICE, BAND, BAND_SWAPPED)},
        "lost_by_swap": _share(own, lambda song: right(song, MIX).astype(float) - right(song, BAND_SWAPPED)),
        "swapped_to_band": crossed["band"],
        "band_swapped_stay": reliance["band_swapped_stay"],
        "voice_swapped_change": reliance["voice_swapped_change"],
    }


def told(songs: Songs) -> list[Figure]:
    """Give the answers to each song, as plain JSON values."""
    return [
        {
            "track": song.track,
            "singer": song.singer,
            "partner": song.partner,
            "partner_singer": song.other,
            "windows": len(song.windows[MIX]),
            "answers": dict(song.whole),
            "windows_right": {
                sound: int((names == song.singer).sum()) for sound, names in song.windows.items()
            },
            "swapped_windows_to_band": int((song.windows[BAND_SWAPPED] == song.other).sum()),
        }
        for song in songs
    ]
