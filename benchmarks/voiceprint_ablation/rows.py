"""The rows of the table: which classifiers learn and hear what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .folds import TUNED, Member, Row

RICHEST = "mix + remixes, voices, vocals"
C = "C: B, vocals + voices alone"
D = "D: C, mix + remixes, voices, vocals"


def rows_of(draws: int, also: Sequence[str] = ()) -> list[Row]:
    """Give the rows of the table, with so many draws of remixed windows, and those of the kinds `also`."""
    power = [f"power-{draw}" for draw in range(draws)]
    mix, vocals = Member(("mix",)), Member(("vocals",), "vocals")
    remixed = [Member(("mix", *power[: draw + 1])) for draw in range(draws)]
    cleaner = Member(("vocals", "alone"), "vocals")
    richest = Member(("mix", "vocals", "alone", *power))
    good, best = (remixed[-1], cleaner), (richest, cleaner)
    rows = [
        Row("mix", (mix,)),
        Row("mix, singers not balanced", _headed((mix,), "unbalanced"), "mix"),
        Row("mix, cosine head", _headed((mix,), "cosine"), "mix"),
        Row("mix, cosine head, not balanced", _headed((mix,), "cosine, unbalanced"), "mix, cosine head"),
        Row("mix, discriminant", _headed((mix,), "discriminant"), "mix"),
        Row("mix + a remix", (remixed[0],), "mix"),
        Row("mix + a remix of samples", (Member(("mix", "wave-0")),), "mix + a remix"),
        *(Row(f"mix + {d + 1} remixes", (remixed[d],), "mix + a remix") for d in range(1, draws)),
        Row("mix + voices alone", (Member(("mix", "alone")),), "mix"),
        Row(RICHEST, (richest,), "mix + a remix"),
        Row(f"{RICHEST}, refit", (richest,), RICHEST, refit=True),
        Row("mix, refit", (mix,), "mix", refit=True),
        Row("vocals", (vocals,), "mix"),
        Row("vocals + voices alone", (cleaner,), "vocals"),
        Row("A: mix and vocals averaged", (mix, vocals), "mix"),
        Row("A, as one print", (Member(("mix+vocals",), "mix+vocals"),), "A: mix and vocals averaged"),
        Row("B: A, mix + remixes", (remixed[-1], vocals), "A: mix and vocals averaged"),
        Row(C, good, "B: A, mix + remixes"),
        Row("C, cosine heads", _headed(good, "cosine"), C),
        Row("C, refit", good, C, refit=True),
        Row("C, cosine heads, refit", _headed(good, "cosine"), "C, refit", refit=True),
        Row(D, best, C),
        Row("D, discriminants", _headed(best, "discriminant"), D),
        Row("D, cosine heads", _headed(best, "cosine"), D),
        Row("D, refit", best, D, refit=True),
        Row("tuned encoder", (Member((TUNED,), TUNED),), "mix"),
        Row("D and the tuned encoder", (Member((TUNED,), TUNED), *best), D),
    ]
    if "half" in also:
        rows.append(Row("mix, twice the windows", (Member(("mix", "half")),), "mix"))
    if "louder" in also:
        louder = Member(("mix", "louder"), "louder")
        rows.append(Row("D and the mix with louder vocals", (*best, louder), D))
    return rows


def _headed(members: Sequence[Member], head: str) -> tuple[Member, ...]:
    """Give members another head."""
    return tuple(replace(member, head=head) for member in members)
