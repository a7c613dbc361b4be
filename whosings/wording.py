"""Words for people, where more than one room says the same."""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """Give `1 song` or `2 songs`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
