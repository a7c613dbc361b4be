"""Invented names for singers, albums, songs and bands, and the words they sing."""

from __future__ import annotations

import numpy as np

_WOMEN = (
    *("Mara", "Isolde", "Tamsin", "Odette", "Linnea", "Sunniva", "Calla", "Perpetua", "Zelda", "Wren"),
    *("Ottilie", "Briony", "Fenella", "Juniper", "Saskia", "Marigold"),
)
_MEN = (
    *("Otis", "Caspian", "Rufus", "Leopold", "Anselm", "Barnaby", "Ivo", "Magnus", "Thaddeus", "Florian"),
    *("Emrys", "Cosmo", "Jasper", "Lorcan", "Quentin", "Bertram"),
)
_FAMILIES = (
    *("Quillmere", "Fenwray", "Larkhollow", "Dovetide", "Ashgrove", "Merriloft", "Thistledew", "Hawksby"),
    *("Winterbell", "Brackenfold", "Saltmarsh", "Elderquay", "Foxlantern", "Moonraker", "Pepperidge"),
    *("Applewhite", "Starling", "Copperhill", "Tumblestone", "Hollowell", "Ravensoak", "Goldfinch"),
    *("Marshwiggle", "Underbough"),
)
_QUALITIES = (
    *("Golden", "Silver", "Quiet", "Restless", "Paper", "Velvet", "Distant", "Borrowed", "Hidden", "Burning"),
    *(
        "Slow",
        "Wandering",
        "Painted",
        "Midnight",
        "Electric",
        "Broken",
        "Gentle",
        "Hollow",
        "Rising",
        "Lonely",
    ),
)
_THINGS = (
    *(
        "River",
        "Lantern",
        "Harbour",
        "Orchard",
        "Window",
        "Carousel",
        "Compass",
        "Meadow",
        "Mirror",
        "Garden",
    ),
    *("Station", "Feather", "Ocean", "Island", "Winter", "Morning", "Letter", "Mountain", "Summer", "Shadow"),
)
_PLAYERS = (
    *("Lamplighters", "Weathervanes", "Night Trams", "Paper Boats", "Clockmakers", "Stargazers", "Ferrymen"),
    *("Kite Flyers", "Tin Whales", "Postcards", "Beekeepers", "Snowglobes", "Metronomes", "Gardeners"),
)
WORDS = (
    *("love", "light", "moon", "rain", "sun", "sea", "road", "home", "night", "day", "sky", "star", "gold"),
    *("fire", "wind", "song", "dream", "time", "long", "down", "far", "high", "low", "run", "fall", "stay"),
    *("hold", "now", "you", "me", "my", "we", "all", "one", "more", "true", "new", "blue", "green", "snow"),
    *("tree", "stone", "heart", "hand", "eyes", "door", "dance", "bell", "ring", "leave", "wait", "name"),
    *("shine", "shore", "near", "young", "sweet", "free"),
)  # one syllable each: one note sings one word


def singers(rng: np.random.Generator, female: list[bool]) -> list[str]:
    """Name as many singers as `female` has entries, each once."""
    first = {True: rng.permutation(_WOMEN), False: rng.permutation(_MEN)}
    families = rng.permutation(_FAMILIES)
    used = {True: 0, False: 0}
    names: list[str] = []
    for index, woman in enumerate(female):
        number = used[woman]
        used[woman] += 1
        given = first[woman][number % len(first[woman])]
        names.append(_numbered(f"{given} {families[index % len(families)]}", names))
    return names


def titles(rng: np.random.Generator, count: int) -> list[str]:
    """Name `count` albums or songs, each once."""
    return _drawn(rng, [f"{quality} {thing}" for quality in _QUALITIES for thing in _THINGS], count)


def bands(rng: np.random.Generator, count: int) -> list[str]:
    """Name `count` bands, each once."""
    return _drawn(rng, [f"The {quality} {players}" for quality in _QUALITIES for players in _PLAYERS], count)


def _drawn(rng: np.random.Generator, choice: list[str], count: int) -> list[str]:
    """Draw `count` names from `choice`, numbered where it runs out."""
    order = rng.permutation(len(choice))
    names: list[str] = []
    for index in range(count):
        names.append(_numbered(choice[order[index % len(choice)]], names))
    return names


def words(rng: np.random.Generator, count: int) -> list[str]:
    """Choose `count` different words that a singer uses."""
    return [WORDS[index] for index in rng.permutation(len(WORDS))[:count]]


def _numbered(name: str, taken: list[str]) -> str:
    """Return `name`, or `name 2`, `name 3` and so on where it is taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} {number}"
    return free
