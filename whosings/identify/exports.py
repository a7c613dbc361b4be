"""Answers in the forms that other programs read."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import fields

from whosings.identify.ladder import Identification


def to_csv(answers: Sequence[Identification]) -> str:
    """Give a header and a line an answer, without the segments: they have a form of their own."""
    text = io.StringIO()
    names = [field.name for field in fields(Identification) if field.name != "segments"]
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(answer.to_dict() for answer in answers)
    return text.getvalue()
