"""What an audit found, in sentences for people."""

from __future__ import annotations

from whosings.evidence.audit.measures import Figure
from whosings.evidence.audit.swaps import BAND, MIX
from whosings.wording import counted

MOST_COUNTED = 20  # songs that a sentence counts one by one; more are told as so many in ten


def verdict(found: Figure) -> list[str]:
    """Say what was found, in a few sentences for people; the first is the headline."""
    whole, songs = found["voice_reliance"]["song"], found["songs"]
    voice, band, others = (_of(whole[who]["value"], songs) for who in ("voice", "band", "others"))
    headline = (
        f"In {voice} swapped songs this model follows the voice; in {band} it names the singer whose band "
        f"plays, in {others} somebody else."
    )
    right = _of(found["accuracy"][MIX]["song"]["accuracy"], songs)
    as_it_is = f"With their own bands it names the right singer in {right}."
    return [headline, as_it_is, _winner(found), _band_alone(found), *_weak(found)]


def _of(share: float, songs: int) -> str:
    """Give `3 of 5` songs, or tenths where there are many."""
    if songs > MOST_COUNTED:
        return f"about {round(10 * share)} of 10"
    return f"{round(share * songs)} of {songs}" if share else "none"


def _winner(found: Figure) -> str:
    """Say whether voice or band wins more windows."""
    crossed = "Where one singer's voice lies over another's band, it goes by"
    low, high = found["voice_reliance"]["window"]["voice_less_band"]["interval"] or (-1.0, 1.0)
    if low > 0:
        return f"{crossed} the voice more often than by the band."
    if high < 0:
        return f"{crossed} the band more often than by the voice."
    songs = counted(found["songs"], "song")
    return f"Whether it goes by the voice or by the band more often cannot be told from {songs}."


def _band_alone(found: Figure) -> str:
    """Say whether the band alone gives the singer away."""
    alone, chance = found["accuracy"][BAND]["window"], chance_level(found, "window")
    measured = (
        f"The band alone, with nobody singing, still names the singer in {percent(alone['accuracy'])} of "
        f"windows, where chance would in {percent(chance)}"
    )
    if alone["interval"]["accuracy"][0] > chance:
        return f"{measured}: the bands give singers away."
    return f"{measured}; that is no sign of the bands giving singers away."


def _weak(found: Figure) -> list[str]:
    """Warn of a model that hardly knows anybody."""
    whole = found["accuracy"][MIX]["window"]
    if whole["interval"]["accuracy"][0] > chance_level(found, "window"):
        return []
    return ["On the songs as they are it cannot be shown to be better than chance, so all this says little."]


def chance_level(found: Figure, level: str) -> float:
    """Give the larger of the two kinds of chance."""
    return float(max(found["chance"][level].values()))


def percent(share: float) -> str:
    """Give `7 %`."""
    return f"{100 * share:.0f} %"
