"""
Tell how well a run says who sings when: on duets put together from songs that it did not learn from.

    python benchmarks/duets.py RUN COLLECTION [--count 40] [--mix-db 0] [--speech FILE] [--out JSON]
    python benchmarks/duets.py RUN COLLECTION --side validation --penalties 2 4 8 16

Singers of test songs take turns of 4 to 12 s over the band of another (`whosings.collection.duets`). Two
rates of pyannote.metrics, of the seconds that somebody sings: the identification error rate, where names
count, and the diarization error rate, where only the turns do; each with its confusion, missed singing and
false alarms, a collar of 0.5 s (a quarter on both sides of a change) and none, and a 95 % interval by
bootstrap over duets. Penalties are tried on the probabilities heard once.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import soundfile
from pyannote.core import Annotation, Timeline
from pyannote.core import Segment as Span
from pyannote.metrics.diarization import DiarizationErrorRate
from pyannote.metrics.identification import IdentificationErrorRate

import whosings
from whosings.audio import decode
from whosings.audio.units import SAMPLE_RATE
from whosings.collection.catalogue import open_collection
from whosings.collection.duets import Duet, make_duets
from whosings.collection.splits import Split
from whosings.files import write_json
from whosings.identify.timeline import SWITCHING_PENALTY, Segment, Windows2Timeline
from whosings.training.record import SPLIT

COLLARS = (0.5, 0.0)  # seconds left out around each change, half on both sides
PARTS = ("confusion", "missed detection", "false alarm", "total")
ROUNDS = 1000  # of the bootstrap

Identify = Callable[[Path], Sequence[Segment]]
Parts = dict[str, np.ndarray]
"""by `identification 0.5` and so on: seconds (duets, PARTS)"""


def reference(duet: Duet, singers: Sequence[str]) -> Annotation:
    """Give who sings in truth; singers that the run does not know are unknown."""
    true = Annotation()
    for number, turn in enumerate(duet.turns):
        if turn.singer is not None:
            true[Span(turn.start, turn.end), number] = turn.singer if turn.singer in singers else "unknown"
    return true


def hypothesis(segments: Sequence[Segment]) -> Annotation:
    """Give who is said to sing."""
    said = Annotation()
    for number, segment in enumerate(segments):
        if segment.kind != "no singing":
            said[Span(segment.start, segment.end), number] = segment.label
    return said


def error_parts(duet: Duet, segments: Sequence[Segment], singers: Sequence[str]) -> dict[str, np.ndarray]:
    """Give the seconds of PARTS by metric and collar."""
    true, said = reference(duet, singers), hypothesis(segments)
    whole = Timeline([Span(0, duet.duration)])
    parts = {}
    for collar in COLLARS:
        for name, metric in (
            ("identification", IdentificationErrorRate(collar=collar)),
            ("diarization", DiarizationErrorRate(collar=collar)),
        ):
            detail = metric(true, said, uem=whole, detailed=True)
            parts[f"{name} {collar:g}"] = np.array([detail[part] for part in PARTS], dtype=np.float64)
    return parts


def scored(duets: Sequence[Duet], answers: Sequence[Sequence[Segment]], singers: Sequence[str]) -> Parts:
    """Give the seconds of PARTS of all duets by metric and collar: each (duets, PARTS)."""
    rows = [error_parts(duet, said, singers) for duet, said in zip(duets, answers, strict=True)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def figures(parts: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Give the rate of seconds (duets, PARTS), its interval over duets, and the share of each kind."""
    drawn = np.random.default_rng(seed).integers(len(parts), size=(ROUNDS, len(parts)))
    sums = parts[drawn].sum(axis=1)
    low, high = np.quantile(sums[:, :-1].sum(axis=1) / sums[:, -1], [0.025, 0.975])
    *kinds, total = parts.sum(axis=0)
    return {
        "rate": float(sum(kinds) / total),
        "interval": [float(low), float(high)],
        **{kind: float(seconds / total) for kind, seconds in zip(PARTS, kinds, strict=False)},
        "seconds": float(total),
    }


@contextmanager
def recorded() -> Iterator[list[tuple[Windows2Timeline, tuple[Any, ...], dict[str, Any]]]]:
    """Note each call of Windows2Timeline, so that it can be made again with another penalty."""
    calls = []
    original = Windows2Timeline.__call__

    def call(self: Windows2Timeline, *given: Any, **named: Any) -> list[Segment]:
        calls.append((self, given, named))
        return original(self, *given, **named)

    with mock.patch.object(Windows2Timeline, "__call__", call):
        yield calls


def benchmark(
    duets: Sequence[Duet], identify: Identify, singers: Sequence[str], penalties: Sequence[float]
) -> dict[str, Any]:
    """Identify all duets; give the figures, and the identification error by penalty where some are given."""
    with tempfile.TemporaryDirectory() as folder, recorded() as calls:
        answers = []
        for number, duet in enumerate(duets):
            path = Path(folder) / f"duet {number}.wav"
            soundfile.write(path, duet.samples, SAMPLE_RATE, subtype="FLOAT")
            answers.append(identify(path))
    told = {name: figures(parts) for name, parts in scored(duets, answers, singers).items()}
    if not penalties:
        return told
    tried = {
        f"{penalty:g}": figures(
            scored(
                duets,
                [Windows2Timeline(step.singers, penalty)(*given, **named) for step, given, named in calls],
                singers,
            )[f"identification {COLLARS[0]:g}"]
        )
        for penalty in penalties
    }
    return {**told, "by penalty": tried}


def main() -> None:
    """Build, identify, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--side", choices=("test", "validation"), default="test")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mix-db", type=float, default=0.0)
    parser.add_argument("--speech", type=Path, default=None, help="speech to put between two turns")
    parser.add_argument("--penalties", type=float, nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    if given.penalties and given.side == "test":
        parser.error("penalties are chosen on validation songs: add --side validation")
    collection, split = open_collection(given.collection), Split.load(given.run / SPLIT)
    tracks = [collection.track(name) for name in getattr(split, given.side)]
    speech = None if given.speech is None else decode.read(given.speech)
    duets = list(make_duets(tracks, given.count, given.seed, mix_db=given.mix_db, speech=speech))
    identifier = whosings.load(given.run)
    told = benchmark(
        duets, lambda path: identifier.identify(path).segments, identifier.singers, given.penalties
    )
    for name, of in [*told.items(), *told.get("by penalty", {}).items()]:
        if name != "by penalty":
            low, high = of["interval"]
            kinds = ", ".join(f"{kind} {of[kind]:.3f}" for kind in PARTS[:-1])
            print(f"{name}: {of['rate']:.3f} ({low:.3f} to {high:.3f}); {kinds}")
    if given.out:
        settings = {
            "run": given.run.name,
            "side": given.side,
            "duets": given.count,
            "seed": given.seed,
            "mix_db": given.mix_db,
            "speech": given.speech is not None,
            "switching_penalty": SWITCHING_PENALTY,
            "split_sha256": split.sha256,
        }
        write_json(given.out, {**settings, **told})


if __name__ == "__main__":
    main()
