"""Answers and time-lines in the forms that other programs read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import PurePath

from whosings.identify.ladder import Identification
from whosings.identify.timeline import Segment

COLUMNS = ("file", "start", "end", "label", "singer", "confidence")

Timelines = Mapping[str, Sequence[Segment]]
"""segments by the path of their file"""


def answers_csv(answers: Sequence[Identification]) -> str:
    """Give a header and a line an answer, without its segments: see `segments_csv`."""
    text = io.StringIO()
    names = [field.name for field in fields(Identification) if field.name != "segments"]
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(answer.to_dict() for answer in answers)
    return text.getvalue()


def segments_csv(timelines: Timelines) -> str:
    """Give a header and a line a segment; `singer` is empty where no known one is heard."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for file, segments in timelines.items():
        for segment in segments:
            row = segment.to_dict()
            writer.writerow(
                [file, row["start"], row["end"], segment.label, segment.singer or "", row["confidence"]]
            )
    return text.getvalue()


def audacity_labels(segments: Sequence[Segment]) -> str:
    """Give one file's label track for Audacity (File, Import, Labels): start, end, label (confidence)."""
    return "".join(
        f"{segment.start:.6f}\t{segment.end:.6f}\t{_one_line(segment.label)} ({segment.confidence:.2f})\n"
        for segment in segments
    )


def rttm(timelines: Timelines) -> str:
    """
    Give NIST's Rich Transcription Time Marked: a SPEAKER line for each segment that somebody sings.

    Its fields are divided by blanks: blanks in names become `_`. A file is named as on disk, without folder
    and ending. Where two names come out alike, the later one ends with `-2` and so on; `unknown` is kept for
    the unknown voice.
    """
    files = _distinct([PurePath(file).stem for file in timelines])
    singers = dict.fromkeys(
        segment.label for segments in timelines.values() for segment in segments if segment.kind == "singer"
    )
    names = dict(zip(singers, _distinct(["unknown", *singers])[1:], strict=True))
    lines = []
    for file, segments in zip(files, timelines.values(), strict=True):
        for segment in segments:
            if segment.kind != "no singing":
                name = names[segment.label] if segment.kind == "singer" else "unknown"
                length = segment.end - segment.start
                lines.append(
                    f"SPEAKER {file} 1 {segment.start:.3f} {length:.3f} <NA> <NA> {name} "
                    f"{segment.confidence:.4f} <NA>\n"
                )
    return "".join(lines)


def _one_line(name: str) -> str:
    return " ".join(name.split())


def _distinct(names: Iterable[str]) -> list[str]:
    """Give names of one word each, no two alike."""
    words: dict[str, None] = {}
    for name in names:
        word = "_".join(name.split()) or "_"
        tried, number = word, 1
        while tried in words:
            number += 1
            tried = f"{word}-{number}"
        words[tried] = None
    return list(words)
