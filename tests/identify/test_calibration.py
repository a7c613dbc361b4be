from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import log_softmax, softmax

from whosings.errors import WhosingsError
from whosings.evidence.metrics import expected_calibration_error
from whosings.identify.calibration import (
    LAPSE,
    LEAST_SONGS,
    TEMPERATURES,
    fit,
    fit_temperature,
    fit_unknown,
    known_score,
    known_scores,
    known_song,
    known_windows,
    song_probabilities,
    unknown_scores,
    window_probabilities,
)
from whosings.identify.votes import VOTES
from whosings.models.calibration import Calibration, Unknown

SINGERS = 8


def honest(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make logits (n, singers) whose softmax is the truth, and the singers drawn by it."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=2.5, size=(n, SINGERS))
    draws = generator.random((n, 1))
    return logits, (softmax(logits, axis=1).cumsum(axis=1) < draws).sum(axis=1)


def songs(strength: float, count: int = 24, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Make log-probabilities of songs of 5 to 9 windows that speak for their singer by `strength`."""
    generator = np.random.default_rng(seed)
    rows, true = {}, {}
    for index in range(count):
        logits = generator.normal(size=(generator.integers(5, 10), SINGERS))
        true[f"song {index}"] = index % SINGERS
        logits[:, index % SINGERS] += strength
        rows[f"song {index}"] = log_softmax(logits, axis=1).astype(np.float32)
    return rows, true


def test_the_temperature_that_made_scores_dishonest_is_found() -> None:
    logits, true = honest(4000)
    for factor in (0.25, 1.0, 6.0):
        assert fit_temperature(factor * logits, true) == pytest.approx(factor, rel=0.08)


def test_calibrated_windows_are_honest_on_others() -> None:
    logits, true = honest(2000)
    temperature = fit_temperature(5 * logits, true)
    others, truth = honest(4000, seed=1)
    before, after = (softmax(5 * others, axis=1), window_probabilities(5 * others, temperature))
    errors = [expected_calibration_error(p.max(axis=1), p.argmax(axis=1) == truth) for p in (before, after)]
    assert errors[0] > 0.2
    assert errors[1] < 0.03


def test_the_temperature_does_not_depend_on_the_unit_or_offset_of_the_scores() -> None:
    logits, true = honest(60)
    temperature = fit_temperature(logits, true)
    assert fit_temperature(3 * logits - 7, true) == pytest.approx(3 * temperature, rel=0.01)


@pytest.mark.parametrize("margin", [0.1, 5.0, 60.0, "many"])
def test_twenty_right_songs_make_no_certainty(margin: float | str) -> None:
    scores = np.zeros((20, SINGERS))
    scores[:, 3] = np.random.default_rng(0).exponential(5, size=20) if margin == "many" else margin
    temperature = fit_temperature(scores, np.full(20, 3))
    confidence = window_probabilities(scores, temperature).max(axis=1)
    assert confidence.max() < 0.9995
    assert window_probabilities(1000 * scores, temperature).max() < 0.9995  # a song far surer than all
    assert TEMPERATURES[0] < temperature < TEMPERATURES[1]
    if margin != "many":
        assert 0.95 < confidence.mean() < 0.9985  # the ceiling for any song does not do this alone


def test_more_right_songs_support_more() -> None:
    scores = np.eye(SINGERS)[[0]] * 4
    confidence = [
        window_probabilities(scores, fit_temperature(scores.repeat(n, axis=0), np.zeros(n, int))).max()
        for n in (1, 5, 20, 200)
    ]
    assert confidence == sorted(confidence)
    assert confidence[-1] - confidence[0] > 0.01


def test_songs_all_wrong_leave_no_confidence() -> None:
    scores = np.eye(SINGERS)[[0] * 20] * 4
    temperature = fit_temperature(scores, np.ones(20, int))
    assert window_probabilities(scores, temperature).max() < 0.2


def test_one_song_that_bears_the_wrong_name_does_not_undo_the_rest() -> None:
    scores = np.eye(SINGERS)[[0] * 100] * 30
    true = np.zeros(100, int)
    true[0] = 1
    assert window_probabilities(scores, fit_temperature(scores, true)).max() > 0.95


@pytest.mark.parametrize(
    ("scores", "true"),
    [
        (np.zeros((0, 3)), np.zeros(0, int)),
        (np.zeros((2, 3)), np.zeros(3, int)),
        (np.zeros((2, 3)), np.array([0, 3])),
        (np.zeros((2, 3)), np.array([0, -1])),
    ],
)
def test_what_cannot_be_fitted_is_said(scores: np.ndarray, true: np.ndarray) -> None:
    with pytest.raises(WhosingsError):
        fit_temperature(scores, true)


@pytest.mark.parametrize("vote", VOTES.values(), ids=VOTES.keys())
@pytest.mark.parametrize("temperature", [0.1, 1.0, 4.0])
def test_song_probabilities_keep_the_answer_of_the_vote(vote: object, temperature: float) -> None:
    assert callable(vote)
    scores = vote(next(iter(songs(2.0)[0].values())))
    probabilities = song_probabilities(scores, temperature)
    assert probabilities.sum() == pytest.approx(1)
    assert probabilities.argmax() == scores.argmax()
    if temperature == 1:
        np.testing.assert_allclose(probabilities, scores / scores.sum(), atol=LAPSE)


def test_a_singer_without_any_vote_has_a_probability() -> None:
    probabilities = song_probabilities(np.array([1.0, 0.0, 0.0]), 0.5)
    assert 0 < probabilities[1] < LAPSE
    rows = window_probabilities(np.array([[0.0, -np.inf]]), 2.0)
    assert 0 < rows[0, 1] < LAPSE


def test_known_scores_by_hand() -> None:
    logits = np.array([[3.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    # at T = 3 x 0.5 the first window has the odds e^2 : 1 : 1
    expected = [2 - np.log(np.exp(2) + 2), np.log(1 / 3)]
    np.testing.assert_allclose(known_scores(logits, 0.5), expected)
    assert known_score(logits, 0.5) == pytest.approx(np.mean(expected))
    np.testing.assert_allclose(known_scores(10 * logits + 4, 5.0), expected)


def test_a_duet_of_known_singers_is_known() -> None:
    first, second = np.eye(SINGERS)[:2] * 12
    alone, duet = (log_softmax([first, other], axis=1) for other in (first, second))
    assert known_score(duet, 1.0) == pytest.approx(known_score(alone, 1.0))


def test_leaving_out_takes_away_the_singer_and_no_other() -> None:
    row = np.array([[5.0, 4.0, 0.0], [0.0, 3.0, 1.0]])
    known, unknown = unknown_scores({"a": row, "b": row}, {"a": 0, "b": 2}, 1.0)
    np.testing.assert_allclose(known[0], known_scores(row, 1.0))
    np.testing.assert_allclose(unknown[0], known_scores(row[:, 1:], 1.0))
    np.testing.assert_allclose(unknown[1], known_scores(row[:, :2], 1.0))


def test_windows_without_any_hope_for_the_others_leave_an_even_guess() -> None:
    """A float32 softmax can give exactly 0."""
    _, unknown = unknown_scores({"a": np.array([[0.0, -np.inf, -np.inf]])}, {"a": 0}, 1.0)
    np.testing.assert_allclose(unknown[0], np.log(1 / 2))


def test_the_threshold_lies_between_and_the_scale_is_the_width() -> None:
    generator = np.random.default_rng(0)
    # logistic noise about 1 and -1: equal odds at 0; log odds nearly straight, of a slope near 2 / (pi^2 / 3)
    known, unknown = (generator.normal(centre, 1.0, 4000) for centre in (11.0, 9.0))
    fitted = fit_unknown(known, unknown[:1000])
    assert fitted is not None
    threshold, scale, auroc = fitted
    assert threshold == pytest.approx(10, abs=0.1)  # although there are four times as many known
    assert scale == pytest.approx(0.5, rel=0.1)  # normals of deviation 1, 2 apart: log odds 2 (s - 10)
    assert auroc == pytest.approx(0.921, abs=0.01)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_sides_fully_apart_have_a_finite_scale_in_their_unit(unit: float) -> None:
    fitted = fit_unknown(unit * np.linspace(4, 5, 10), unit * np.linspace(1, 2, 10))
    assert fitted is not None
    threshold, scale, auroc = fitted
    assert 2 * unit < threshold < 4 * unit
    assert 0.02 * unit < scale < unit
    assert auroc == 1


def test_too_few_songs_or_a_useless_score_tell_nothing() -> None:
    high, low = np.linspace(4, 5, 10), np.linspace(1, 2, 10)
    assert fit_unknown(high[: LEAST_SONGS - 1], low) is None
    assert fit_unknown(low, high) is None
    assert fit_unknown(np.ones(9), np.ones(9)) is None


@pytest.mark.parametrize("vote", VOTES)
def test_a_calibration_tells_voices_apart_that_it_was_not_fitted_on(vote: object) -> None:
    calibration = fit(*songs(5.0), vote)  # type: ignore[arg-type]
    assert calibration.unknown is not None
    assert calibration.unknown.songs == 24
    assert calibration.unknown.auroc is not None
    assert calibration.unknown.auroc > 0.95
    assert calibration.fitted_on == "24 validation songs, each singer left out in turn"
    for strength, known in ((5.0, True), (0.0, False)):
        rows, _ = songs(strength, seed=1)
        answers = [known_song(row, calibration) for row in rows.values()]
        assert np.mean([(answer or 0) >= 0.5 for answer in answers]) == pytest.approx(float(known), abs=0.1)
        windows = [known_windows(row, calibration) for row in rows.values()]
        assert np.mean(np.concatenate([w for w in windows if w is not None]) >= 0.5) == pytest.approx(
            float(known), abs=0.25
        )


def test_logits_and_log_probabilities_have_one_calibration() -> None:
    rows, true = songs(3.0)
    shifted = {name: row.astype(np.float64) + 5 for name, row in rows.items()}
    one, other = (fit(each, true, "mean_log_probability") for each in (rows, shifted))
    assert one.window_temperature == pytest.approx(other.window_temperature, rel=1e-3)
    assert one.song_temperature == pytest.approx(other.song_temperature, rel=1e-3)
    assert one.unknown is not None
    assert other.unknown is not None
    assert one.unknown.song_threshold == pytest.approx(other.unknown.song_threshold, rel=1e-3)


@pytest.mark.parametrize("singers", [1, 2, SINGERS])
def test_where_nothing_tells_no_answer_is_unknown(singers: int) -> None:
    """One singer leaves none, two leave one, who is always certain; so few songs tell nothing."""
    rows, true = songs(5.0, count=LEAST_SONGS - 1 if singers == SINGERS else 2 * SINGERS)
    kept = {name: row[:, :singers] for name, row in rows.items() if true[name] < singers}
    calibration = fit(kept, true, "majority")
    assert calibration.unknown is None
    row = next(iter(kept.values()))
    assert known_song(row, calibration) is None
    assert known_windows(row, calibration) is None
    assert calibration.fitted_on == f"{len(kept)} validation songs"


def test_no_songs_are_no_calibration() -> None:
    with pytest.raises(WhosingsError, match="no validation songs"):
        fit({}, {}, "majority")


def test_a_calibration_survives_being_saved() -> None:
    calibration = fit(*songs(5.0), "mean_log_probability")
    assert Calibration.model_validate_json(calibration.model_dump_json()) == calibration


@pytest.mark.parametrize(
    "change", [{"window_scale": 0.0}, {"auroc": 1.5}, {"song_threshold": float("nan")}, {"more": 1}]
)
def test_a_calibration_that_makes_no_sense_is_refused(change: dict[str, float]) -> None:
    good = {
        "window_threshold": -1.0,
        "song_threshold": -1.0,
        "window_scale": 0.2,
        "song_scale": 0.1,
        "auroc": 0.9,
        "songs": 9,
    }
    Unknown.model_validate(good)
    with pytest.raises(ValidationError):
        Unknown.model_validate(good | change)
