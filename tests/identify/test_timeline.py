from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from whosings.collection.duets import Duet, Turn
from whosings.identify.timeline import CELL, SWITCHING_PENALTY, Segment, Singing, Windows2Timeline, best_path

SINGERS = ["Ada", "Bo", "Cy"]
Truth = list[tuple[float, float, str | None]]

DUET: Truth = [
    (0, 8, "Ada"),
    (8, 14, "Bo"),
    (14, 21, None),
    (21, 27.5, "Bo"),
    (27.5, 38, "Cy"),
    (38, 45, "unknown"),
    (45, 52.3, "Ada"),
]


def share(truth: Truth, name: str | None, start: float, end: float) -> float:
    """Seconds of `start` to `end` that `name` sings."""
    return sum(max(0.0, min(end, last) - max(start, first)) for first, last, who in truth if who == name)


def heard(
    truth: Truth, window: float = 5.0, hop: float = 1.0, sureness: float = 0.9, noise: float = 0.0
) -> dict[str, object]:
    """What an honest model would say of each window: a mixture by how long each voice is in it."""
    generator = np.random.default_rng(0)
    duration = truth[-1][1]
    starts = np.append(np.arange(0, max(duration - window, 0), hop), max(duration - window, 0))
    names = [*SINGERS, "unknown"]
    rows = np.array([[share(truth, name, start, start + window) for name in names] for start in starts])
    rows = sureness * rows / np.maximum(rows.sum(axis=1, keepdims=True), 1e-9) + (1 - sureness) / 4
    rows = np.log(rows) + noise * generator.standard_normal(rows.shape)
    rows = np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)
    frames = np.arange(0, duration, 0.05)
    sung = np.array([1 - share(truth, None, at, at + 0.05) / 0.05 for at in frames])
    sung = np.clip(sung + 0.3 * noise * generator.standard_normal(len(frames)), 0, 1)
    return {
        "starts": starts,
        "window_seconds": window,
        "duration": duration,
        "probabilities": rows[:, :-1] / rows[:, :-1].sum(axis=1, keepdims=True),
        "known": 1 - rows[:, -1],
        "singing": Singing(frames, sung),
    }


def timeline(**given: object) -> list[Segment]:
    return Windows2Timeline(SINGERS)(**given)  # type: ignore[arg-type]


def covers(segments: list[Segment], duration: float) -> None:
    assert segments[0].start == 0
    assert segments[-1].end == duration
    assert all(one.end == other.start for one, other in pairwise(segments))
    assert all((one.kind, one.singer) != (other.kind, other.singer) for one, other in pairwise(segments))
    assert all(segment.start < segment.end and 0 <= segment.confidence <= 1 for segment in segments)


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_known_turns_come_back(noise: float) -> None:
    segments = timeline(**heard(DUET, noise=noise))
    covers(segments, 52.3)
    assert [segment.label for segment in segments] == [who or "no singing" for _, _, who in DUET]
    for segment, (start, end, _) in zip(segments, DUET, strict=True):
        assert abs(segment.start - start) <= CELL * (1 + 3 * noise)
        assert abs(segment.end - end) <= CELL * (1 + 3 * noise)


@pytest.mark.parametrize(("window", "hop"), [(3.0, 0.5), (3.0, 3.0), (5.0, 1.0), (5.024, 2.5)])
def test_windows_may_overlap_or_not(window: float, hop: float) -> None:
    truth: Truth = [(0, 15, "Ada"), (15, 30, "Bo"), (30, 45, "Cy")]
    segments = timeline(**heard(truth, window, hop))
    covers(segments, 45)
    assert [segment.singer for segment in segments] == SINGERS
    assert [segment.start for segment in segments] == pytest.approx([0, 15, 30], abs=max(CELL, hop / 2))


def test_an_unknown_voice_has_a_nearest() -> None:
    given = heard([(0, 20, "unknown")])
    given["probabilities"] = np.tile([0.1, 0.7, 0.2], (len(given["starts"]), 1))  # type: ignore[arg-type]
    (segment,) = timeline(**given)
    assert (segment.kind, segment.singer, segment.nearest, segment.label) == (
        "unknown",
        None,
        "Bo",
        "unknown",
    )


def test_a_pause_changes_no_voice_however_unsure_its_windows() -> None:
    """What windows over the band alone say of singers does not count."""
    given = heard([(0, 12, "Ada"), (12, 30, None), (30, 42, "Ada")])
    starts = np.asarray(given["starts"])
    given["probabilities"] = np.where(
        ((starts >= 11) & (starts <= 26))[:, None], [0.02, 0.02, 0.96], [0.8, 0.1, 0.1]
    )
    segments = timeline(**given)
    assert [segment.label for segment in segments] == ["Ada", "no singing", "Ada"]


def test_one_odd_window_is_no_turn() -> None:
    given = heard([(0, 40, "Ada")])
    rows = np.array(given["probabilities"])
    rows[20] = [0.01, 0.98, 0.01]
    given["probabilities"] = rows
    assert [segment.singer for segment in timeline(**given)] == ["Ada"]


def test_nothing_is_unknown_or_silent_where_nobody_tells() -> None:
    given = heard(DUET)
    given["probabilities"] = np.full((len(given["starts"]), 3), 1 / 3)  # type: ignore[arg-type]
    given |= {"known": None, "singing": None}
    segments = timeline(**given)
    covers(segments, 52.3)
    assert {segment.kind for segment in segments} == {"singer"}
    assert segments[0].confidence == pytest.approx(1 / 3, abs=0.01)


def test_confidence_is_the_probability_of_the_windows() -> None:
    starts = np.arange(0.0, 20.0)
    given = {"starts": starts, "window_seconds": 5.0, "duration": 24.0, "known": np.full(20, 0.9)}
    rows = np.tile([0.8, 0.15, 0.05], (20, 1))
    (segment,) = timeline(**given, probabilities=rows)
    assert segment.confidence == pytest.approx(0.9 * 0.8, abs=0.01)
    half = Singing(np.array([0.0]), np.array([0.75]))
    (segment,) = timeline(**given, probabilities=rows, singing=half)
    assert segment.confidence == pytest.approx(0.75 * 0.9 * 0.8, abs=0.01)


@pytest.mark.parametrize("duration", [0.04, 0.5, 1.3, 2.0, 4.999, 5.0])
@pytest.mark.parametrize("sung", [None, 0.0, 1.0])
def test_a_file_shorter_than_its_one_window(duration: float, sung: float | None) -> None:
    singing = None if sung is None else Singing(np.array([0.0]), np.array([sung]))
    (segment,) = timeline(
        starts=np.array([0.0]),
        window_seconds=5.024,
        duration=duration,
        probabilities=np.array([[0.0, 1.0, 0.0]]),
        singing=singing,
    )
    assert (segment.start, segment.end) == (0, duration)
    assert segment.label == ("no singing" if sung == 0 else "Bo")
    assert segment.confidence > 0.98


@pytest.mark.filterwarnings("error")
def test_probabilities_of_0_and_1() -> None:
    rows = np.repeat(np.eye(3), 10, axis=0)
    segments = timeline(
        starts=np.arange(30.0),
        window_seconds=1.0,
        duration=30.0,
        probabilities=rows,
        known=np.ones(30),
        singing=Singing(np.arange(30.0), np.ones(30)),
    )
    covers(segments, 30)
    assert [segment.singer for segment in segments] == SINGERS
    assert all(np.isfinite(segment.confidence) for segment in segments)


@pytest.mark.filterwarnings("error")
def test_cells_beside_all_windows_take_the_nearest() -> None:
    segments = timeline(
        starts=np.array([2.0, 30.0]),
        window_seconds=3.0,
        duration=40.0,
        probabilities=np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
    )
    covers(segments, 40)
    assert [(segment.singer, segment.end) for segment in segments] == [("Ada", 17.5), ("Cy", 40)]


@pytest.mark.filterwarnings("error")
def test_windows_and_frames_beyond_the_end() -> None:
    segments = timeline(
        starts=np.array([0.0, 5.0, 10.0]),
        window_seconds=5.0,
        duration=9.0,
        probabilities=np.tile([0.9, 0.1, 0.0], (3, 1)),
        singing=Singing(np.arange(0, 12, 0.5), np.ones(24)),
    )
    assert [(segment.label, segment.end) for segment in segments] == [("Ada", 9)]


GOOD = {
    "starts": np.array([0.0, 5.0]),
    "window_seconds": 5.0,
    "duration": 10.0,
    "probabilities": np.full((2, 3), 1 / 3),
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"starts": np.array([])},
        {"starts": np.array([5.0, 0.0])},
        {"duration": 0.0},
        {"duration": np.nan},
        {"probabilities": np.full((2, 4), 0.25)},
        {"probabilities": np.full((2, 3), np.nan)},
        {"singing": Singing(np.array([]), np.array([]))},
        {"singing": Singing(np.array([0.0, 1.0]), np.array([0.5]))},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    assert timeline(**GOOD)
    with pytest.raises(ValueError):
        timeline(**{**GOOD, **wrong})


def by_trying(scores: np.ndarray, penalty: float, least: list[int]) -> float:
    """The score of the best path among all paths."""
    cells, states = scores.shape
    best = -np.inf
    for number in range(states**cells):
        path = [number // states**cell % states for cell in range(cells)]
        bounds = [0, *(i for i in range(1, cells) if path[i] != path[i - 1]), cells]
        if all(last - first >= least[path[first]] for first, last in pairwise(bounds)):
            score = scores[np.arange(cells), path].sum() - penalty * (len(bounds) - 2)
            best = max(best, score)
    return best


@pytest.mark.parametrize("seed", range(20))
def test_the_path_is_the_best_of_all(seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores = np.log(generator.dirichlet(np.full(3, 0.3), size=7) + 1e-6)
    penalty, least = generator.uniform(0, 3), [1, 2, 3]
    path = best_path(scores, penalty, np.array(least))
    bounds = [0, *(np.flatnonzero(np.diff(path)) + 1), 7]
    assert all(last - first >= least[path[first]] for first, last in pairwise(bounds))
    score = scores[np.arange(7), path].sum() - penalty * (len(bounds) - 2)
    assert score == pytest.approx(by_trying(scores, penalty, least))


def test_a_minimum_longer_than_the_file() -> None:
    scores = np.log([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1]])
    assert best_path(scores, 0.0, np.array([9, 9])).tolist() == [0, 0, 0]
    assert best_path(scores, 0.0, np.array([1, 1])).tolist() == [0, 1, 0]


def test_an_hour_takes_less_than_a_second() -> None:
    generator = np.random.default_rng(0)
    starts = np.arange(0.0, 3596.0)
    probabilities = generator.dirichlet(np.full(20, 0.3), size=len(starts))
    singing = Singing(np.arange(0, 3600, 0.02), generator.random(180_000))
    to_timeline = Windows2Timeline([str(number) for number in range(20)])
    began = time.process_time()
    segments = to_timeline(starts, 5.0, 3600.0, probabilities, np.full(len(starts), 0.9), singing)
    assert time.process_time() - began < 2  # a busy machine; 0.3 s alone
    covers(segments, 3600)


def test_to_dict_is_plain() -> None:
    segment = Segment(0.123456, 4.0, "singer", "Ada", None, 0.987654)
    assert segment.to_dict() == {
        "start": 0.123,
        "end": 4.0,
        "kind": "singer",
        "singer": "Ada",
        "nearest": None,
        "confidence": 0.9877,
    }


def duet_of(truth: Truth) -> Duet:
    turns = tuple(Turn(start, end, "Zoe" if who == "unknown" else who) for start, end, who in truth)
    return Duet(np.zeros(int(truth[-1][1] * 16_000), np.float32), turns, ("a", "b"), "c")


def answer_of(truth: Truth, shift: float = 0.0) -> list[Segment]:
    return [
        Segment(
            max(0.0, start + shift),
            end + shift,
            "no singing" if who is None else "unknown" if who == "unknown" else "singer",
            who if who in SINGERS else None,
            None,
            1.0,
        )
        for start, end, who in truth
    ]


def test_error_rates_of_known_answers() -> None:
    """The rates of the benchmark, where they can be told by hand; 45.3 s are sung."""
    pytest.importorskip("pyannote.metrics")
    from benchmarks.duets import figures, scored

    duet = duet_of(DUET)

    def rates(answer: list[Segment]) -> dict[str, dict[str, float]]:
        return {name: figures(parts) for name, parts in scored([duet], [answer], SINGERS).items()}

    assert all(of["rate"] == 0 for of in rates(answer_of(DUET)).values())
    shifted = rates(answer_of(DUET, 1.0))
    assert all(of["rate"] > 0.05 for of in shifted.values())
    assert shifted["identification 0"]["rate"] > shifted["identification 0.5"]["rate"]
    assert all(of["rate"] == 0 for name, of in rates(answer_of(DUET, 0.2)).items() if name.endswith("0.5"))
    bo_for_cy = [(start, end, "Bo" if who == "Cy" else who) for start, end, who in DUET]
    assert rates(answer_of(bo_for_cy))["identification 0"]["confusion"] == pytest.approx(10.5 / 45.3)
    swapped = {"Ada": "Bo", "Bo": "Ada"}
    renamed = [(start, end, swapped.get(who, who) if who else who) for start, end, who in DUET]
    assert rates(answer_of(renamed))["identification 0"]["confusion"] == pytest.approx(27.8 / 45.3)
    assert rates(answer_of(renamed))["diarization 0"]["rate"] == 0
    silent = rates(answer_of([(0, 52.3, None)]))["identification 0"]
    assert (silent["rate"], silent["missed detection"]) == (1, 1)
    all_sung = [(start, end, who or "Bo") for start, end, who in DUET]
    assert rates(answer_of(all_sung))["diarization 0"]["false alarm"] == pytest.approx(7 / 45.3)


def test_the_benchmark_tries_penalties_on_what_was_heard_once(tmp_path: Path) -> None:
    pytest.importorskip("pyannote.metrics")
    from benchmarks.duets import benchmark

    duet = duet_of(DUET)
    files: list[Path] = []

    def identify(path: Path) -> list[Segment]:
        assert path.is_file()
        files.append(path)
        return timeline(**heard(DUET))

    told = benchmark([duet, duet], identify, SINGERS, [SWITCHING_PENALTY, 1e6])
    assert len(files) == 2
    assert told["identification 0.5"]["rate"] < 0.02
    assert told["by penalty"][f"{SWITCHING_PENALTY:g}"]["rate"] == told["identification 0.5"]["rate"]
    assert told["by penalty"]["1e+06"]["rate"] > 0.3
    assert not files[0].exists()
