"""Draws that depend on a seed and on names alone."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

SHARE = 0.25  # of a singer's albums and of a band's clips that test, and as many that validate

Item = TypeVar("Item")


def seeded(seed: int, *names: str) -> Random:
    """Give a generator of draws of its own to whatever the names stand for."""
    return Random("\0".join([str(seed), *names]))


def shuffled(items: Sequence[Item], random: Random) -> list[Item]:
    """Put items in a random order."""
    return sorted(items, key=lambda _: random.random())  # the one draw that Python promises to keep


def deal_out(items: Sequence[Item], random: Random) -> dict[str, list[Item]]:
    """Deal out a share, at least one, to the test, as many to validation, and the rest to training."""
    drawn, count = shuffled(items, random), max(1, round(SHARE * len(items)))
    return {"train": drawn[2 * count :], "validation": drawn[count : 2 * count], "test": drawn[:count]}
