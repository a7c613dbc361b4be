"""What an audit found, in sentences for people."""

from __future__ import annotations

from whosings.evidence.audit.measures import Figure
from whosings.evidence.audit.swaps import BAND, MIX
from whosings.wording import counted


def verdict(found: Figure) -> list[str]:
    """Say what was found, in a few sentences for people; the first is the headline."""
    return [_headline(found), _as_it_is(found), _moved(found), _named(found), _band_alone(found)]


def _headline(found: Figure) -> str:
    """Say how many answers each swap leaves as they are, or changes."""
    reliance = found["voice_reliance"]["window"]
    stay, change = (reliance[what]["value"] for what in ("band_swapped_stay", "voice_swapped_change"))
    return (
        f"Of 100 answers, {_of_100(stay)} stay when the band is swapped for another singer's, "
        f"and {_of_100(change)} change when the voice is."
    )


def _moved(found: Figure) -> str:
    """Say which of the two swaps changes more answers."""
    more = found["voice_reliance"]["window"]["voice_less_band"]
    low, high = more["interval"] or (-1.0, 1.0)
    if low > 0:
        return f"It listens to the voice more than to the band: {_than(more, 'voice', 'band')}."
    if high < 0:
        return f"It listens to the band more than to the voice: {_than(more, 'band', 'voice')}."
    songs = counted(found["songs"], "song")
    return f"Whether the voice or the band moves it more cannot be told from {songs}."


def _than(more: Figure, mover: str, other: str) -> str:
    """Say how many more answers one swap changes than the other."""
    ends = sorted(abs(end) for end in more["interval"])
    low, high = (_of_100(end) for end in ends)
    return (
        f"a new {mover} changes {_of_100(abs(more['value']))} of 100 answers more than a new {other} does "
        f"({low} to {high})"
    )


def _named(found: Figure) -> str:
    """Say whom it names where a voice lies over another's band, and whether voice or band wins."""
    crossed = found["crossed"]["window"]
    voice, band, others = (_of_100(crossed[who]["value"]) for who in ("voice", "band", "others"))
    named = (
        f"With one singer's voice over another's band, {voice} of 100 answers name the voice, "
        f"{band} the band's own singer, {others} somebody else"
    )
    low, high = crossed["voice_less_band"]["interval"] or (-1.0, 1.0)
    if low > 0:
        return f"{named}: the voice wins."
    return f"{named}: the band wins." if high < 0 else f"{named}: neither wins for certain."


def _band_alone(found: Figure) -> str:
    """Say whether the band alone gives the singer away."""
    alone, chance = found["accuracy"][BAND]["window"], chance_level(found, "window")
    measured = (
        f"The band alone, with nobody singing, still gets {_of_100(alone['accuracy'])} of 100 right, "
        f"where chance gets {_of_100(chance)}"
    )
    if alone["interval"]["accuracy"][0] > chance:
        return f"{measured}: bands give their singers away."
    return f"{measured}: no sign that bands give their singers away."


def _as_it_is(found: Figure) -> str:
    """Say how good it is, what a new band costs, and warn of a model that hardly knows anybody."""
    whole, chance = found["accuracy"][MIX]["window"], chance_level(found, "window")
    lost = found["lost_by_swap"]["window"]
    low, high = (f"{round(-100 * end):+d}" for end in reversed(lost["interval"]))
    right = (
        f"On the songs as they are {_of_100(whole['accuracy'])} of 100 answers are right, over "
        f"another singer's band {_of_100(whole['accuracy'] - lost['value'])} (difference {low} to {high})"
    )
    if whole["interval"]["accuracy"][0] > chance:
        return f"{right}."
    return f"{right}, and neither can be shown to be better than chance: all this says little."


def chance_level(found: Figure, level: str) -> float:
    """Give the larger of the two kinds of chance."""
    return float(max(found["chance"][level].values()))


def percent(share: float) -> str:
    """Give `7 %`."""
    return f"{round(100 * share)} %"


def _of_100(share: float) -> str:
    """Give `7`, of a hundred."""
    return f"{round(100 * share)}"
