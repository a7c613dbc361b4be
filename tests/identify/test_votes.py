from __future__ import annotations

import numpy as np
import pytest

from whosings.identify.ladder import LogProbabilities2Answer
from whosings.identify.tracks import choose_vote
from whosings.identify.votes import VOTES, majority, mean_log_probability, thresholded_majority

# Ada wins three windows barely, Bo two clearly, and Cy one in which the others are unthinkable.
APART = np.log(
    [
        [0.40, 0.30, 0.30],
        [0.40, 0.30, 0.30],
        [0.40, 0.30, 0.30],
        [0.30, 0.60, 0.10],
        [0.30, 0.60, 0.10],
        [1e-6, 1e-6, 1 - 2e-6],
    ]
)
SINGERS = ["Ada", "Bo", "Cy"]


def test_the_three_votes_can_disagree() -> None:
    assert [vote(APART).argmax() for vote in (majority, thresholded_majority, mean_log_probability)] == [
        0,
        1,
        2,
    ]


def test_majority_is_the_share_of_windows_won() -> None:
    np.testing.assert_allclose(majority(APART), [3 / 6, 2 / 6, 1 / 6], atol=2e-6)


def test_thresholded_majority_counts_the_sure_windows_alone() -> None:
    np.testing.assert_allclose(thresholded_majority(APART), [0, 2 / 3, 1 / 3], atol=2e-6)


def test_a_window_of_exactly_one_half_is_not_sure() -> None:
    rows = np.log([[0.5, 0.3, 0.2], [0.3, 0.6, 0.1]])
    assert thresholded_majority(rows)[0] < 1e-5


def test_where_no_window_is_sure_all_are_counted() -> None:
    rows = APART[:3]
    np.testing.assert_array_equal(thresholded_majority(rows), majority(rows))


def test_mean_log_probability_is_the_geometric_mean() -> None:
    rows = np.log([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3]])
    geometric = np.sqrt([0.8 * 0.2, 0.1 * 0.5, 0.1 * 0.3])
    np.testing.assert_allclose(mean_log_probability(rows), geometric / geometric.sum())


@pytest.mark.parametrize("vote", [majority, thresholded_majority])
def test_a_tie_falls_to_the_surer_singer(vote: object) -> None:
    assert callable(vote)
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        rows = np.log([[0.6, 0.3, 0.1], [0.05, 0.9, 0.05]])[:, order]
        assert vote(rows).argmax() == order.index(1)


@pytest.mark.parametrize("vote", VOTES.values(), ids=VOTES.keys())
@pytest.mark.parametrize("windows", [1, 2, 7])
def test_scores_are_a_distribution(vote: object, windows: int) -> None:
    assert callable(vote)
    rows = np.log(np.random.default_rng(windows).dirichlet(np.ones(5), size=windows))
    scores = vote(rows)
    assert scores.shape == (5,)
    assert scores.min() >= 0
    assert scores.sum() == pytest.approx(1)


@pytest.mark.parametrize("vote", VOTES.values(), ids=VOTES.keys())
def test_windows_without_any_hope_for_a_singer(vote: object) -> None:
    """A float32 softmax can give exactly 0."""
    assert callable(vote)
    rows = np.array([[0.0, -np.inf], [0.0, -np.inf]])
    np.testing.assert_allclose(vote(rows), [1, 0])


def test_an_answer_names_the_window_that_speaks_most_for_its_singer() -> None:
    for vote, (singer, runner_up, window) in {
        "majority": ("Ada", "Bo", 0),
        "thresholded_majority": ("Bo", "Cy", 3),
        "mean_log_probability": ("Cy", "Bo", 5),
    }.items():
        answer = LogProbabilities2Answer(SINGERS, vote)(APART)  # type: ignore[arg-type]
        assert (answer.singer, answer.runner_up, answer.best_window) == (singer, runner_up, window)
        scores = VOTES[vote](APART)  # type: ignore[index]
        assert answer.confidence == pytest.approx(scores.max())
        assert answer.runner_up_confidence == pytest.approx(np.sort(scores)[-2])


def test_choosing_prefers_the_first_of_equals() -> None:
    rows = {"one": np.log([[0.9, 0.1]]), "two": np.log([[0.2, 0.8]])}
    vote, scores = choose_vote({"one": "Ada", "two": "Bo"}, rows, SINGERS[:2])
    assert vote == next(iter(VOTES)) == "mean_log_probability"
    assert scores == dict.fromkeys(VOTES, 1.0)


@pytest.mark.parametrize(
    ("truth", "best"),
    [("Ada", "majority"), ("Bo", "thresholded_majority"), ("Cy", "mean_log_probability")],
)
def test_choosing_takes_the_vote_with_the_highest_f1(truth: str, best: str) -> None:
    vote, scores = choose_vote({"song": truth}, {"song": APART}, SINGERS)
    assert vote == best
    assert scores[vote] == 1
    assert sorted(scores.values()) == [0, 0, 1]
