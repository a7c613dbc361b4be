import json
import time
from math import comb

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from whosings.errors import WhosingsError
from whosings.evidence import metrics

EXACT = {"rel": 0, "abs": 1e-12}
ABC = ["a", "b", "c"]


def answers(songs_per_singer, windows, right=0.7, singers=20, seed=0):
    """True singers, answers and songs of windows; each song has a rate of right answers of its own."""
    generator = np.random.default_rng(seed)
    labels = [f"singer {index:02d}" for index in range(singers)]
    true, predicted, groups = [], [], []
    for singer in range(singers):
        for song in range(songs_per_singer):
            rate = generator.beta(2 * right, 2 * (1 - right))
            wrong = generator.integers(singers)
            hits = generator.random(windows) < rate
            true += [labels[singer]] * windows
            predicted += [labels[singer if hit else wrong] for hit in hits]
            groups += [f"{singer}/{song}"] * windows
    return true, predicted, labels, groups


def test_scores_by_hand():
    # a: 2 of 3 found, nothing else called a; b: found, and given one a; c: not in the test set
    found = metrics.scores(["a", "a", "a", "b"], ["a", "a", "b", "b"], ABC)
    f1_a, f1_b = 2 * 2 / (3 + 2), 2 * 1 / (1 + 2)
    assert found.f1_macro == pytest.approx((f1_a + f1_b) / 2, **EXACT)
    assert found.f1_weighted == pytest.approx((3 * f1_a + f1_b) / 4, **EXACT)
    assert found.accuracy == pytest.approx(3 / 4, **EXACT)
    assert found.n == 4
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()


def test_answer_outside_the_truth_costs_only_its_owner():
    found = metrics.scores(["a", "a", "b"], ["a", "c", "b"], ABC)
    assert found.f1_macro == pytest.approx((2 / 3 + 1) / 2, **EXACT)


def test_singer_never_answered_counts_as_zero():
    found = metrics.scores(["a", "b"], ["a", "a"], ABC)
    assert found.f1_macro == pytest.approx((2 / 3 + 0) / 2, **EXACT)


def test_one_singer_alone():
    assert metrics.scores(["a"], ["a"], ["a"]).to_dict() == {
        "f1_macro": 1.0,
        "f1_weighted": 1.0,
        "accuracy": 1.0,
        "n": 1,
    }


@pytest.mark.parametrize("kind", [list, np.array])
def test_scores_agree_with_scikit_learn_on_the_names(kind):
    true, predicted, labels, _ = answers(4, 5)
    found = metrics.scores(kind(true), kind(predicted), labels)
    for average, value in (("macro", found.f1_macro), ("weighted", found.f1_weighted)):
        golden = sklearn_metrics.f1_score(true, predicted, average=average, zero_division=0)
        assert value == pytest.approx(golden, **EXACT)


def test_figures_of_the_bootstrap_are_those_of_the_scores():
    true, predicted, labels, groups = answers(3, 7, seed=5)
    keep = [index for index, name in enumerate(true) if name != labels[4]]  # a singer without a test song
    true, predicted, groups = ([items[index] for index in keep] for items in (true, predicted, groups))
    songs, song = metrics._songs(groups)
    truth, answer = (metrics._codes(items, labels) for items in (true, predicted))
    whole = metrics._figures(metrics._counts(truth, answer, song, songs, len(labels)).sum(axis=0))
    found = metrics.scores(true, predicted, labels).to_dict()
    for name in metrics.FIGURES:
        assert float(whole[name]) == pytest.approx(found[name], **EXACT)


def test_confusion_has_the_order_of_the_labels():
    counts = metrics.confusion(["b", "b", "a"], ["b", "a", "a"], ["b", "a", "c"])
    np.testing.assert_array_equal(counts, [[1, 1, 0], [0, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    ("true", "predicted", "labels", "groups", "sentence"),
    [
        ([], [], ABC, None, "nothing to score"),
        (["a"], ["a", "b"], ABC, None, "1 true singers and 2 answers"),
        (["a"], ["a"], ABC, ["x", "y"], "2 song names"),
        (["a"], ["z"], ABC, None, "'z' is not among the 3 labels"),
        (["a"], ["a"], ["a", "a"], None, "listed twice"),
        (["a", "b"], ["a", "b"], ABC, ["x", "x"], "Two singers are named for the song 'x'"),
    ],
)
def test_what_cannot_be_scored_is_told(true, predicted, labels, groups, sentence):
    with pytest.raises(WhosingsError, match=sentence):
        metrics.validate(true, predicted, labels, groups)


def test_interval_is_quick_holds_the_scores_and_repeats():
    true, predicted, labels, groups = answers(10, 25)
    start = time.process_time()
    interval = metrics.bootstrap_interval(true, predicted, labels, groups)
    assert time.process_time() - start < 2
    found = metrics.scores(true, predicted, labels).to_dict()
    for name in metrics.FIGURES:
        low, high = interval[name]
        assert 0 < low < found[name] < high < 1
    assert interval == metrics.bootstrap_interval(true, predicted, labels, groups)
    assert interval != metrics.bootstrap_interval(true, predicted, labels, groups, seed=1)


def test_interval_by_hand_of_two_songs():
    # one draw of two songs, doubled: all right or all wrong, each half of the time (two draws would give 0.5)
    interval = metrics.bootstrap_interval(["a", "a"], ["a", "b"], ["a", "b"], ["x", "y"], level=0.4)
    assert interval == dict.fromkeys(metrics.FIGURES, (0.0, 1.0))


def test_interval_has_the_width_of_the_binomial():
    # songs of one window, right or wrong by chance: the standard error of accuracy is known
    true, predicted = ["a"] * 50 + ["b"] * 50, ["a"] * 30 + ["b"] * 70
    low, high = metrics.bootstrap_interval(true, predicted, ["a", "b"], np.arange(100), rounds=4000)[
        "accuracy"
    ]
    error = np.sqrt(0.6 * 0.4 / 49) / 2  # singer b is always right and adds nothing
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.06)


def test_windows_of_one_song_count_as_one():
    true, predicted, labels, groups = answers(6, 1)
    once = metrics.bootstrap_interval(true, predicted, labels, groups)
    repeated = [[item for item in items for _ in range(9)] for items in (true, predicted, groups)]
    copies = metrics.bootstrap_interval(repeated[0], repeated[1], labels, repeated[2])
    for name in metrics.FIGURES:
        assert copies[name] == pytest.approx(once[name], **EXACT)


def test_singers_of_one_song_are_not_taken_for_certain():
    low, high = metrics.bootstrap_interval(ABC, ["a", "b", "a"], ABC, ABC)["accuracy"]
    assert low < 2 / 3 < high
    assert [len(songs) for songs in metrics.strata(np.array([0, 1, 1, 1, 2, 2]))] == [3, 3]
    assert [len(songs) for songs in metrics.strata(np.array([0, 1, 2, 2]))] == [2, 2]


def test_a_single_song_tells_nothing():
    interval = metrics.bootstrap_interval(["a", "a"], ["a", "b"], ABC, ["x", "x"])
    assert interval == dict.fromkeys(metrics.FIGURES, (0.0, 1.0))
    paired = metrics.paired_difference(["a", "a"], ["a", "a"], ["b", "b"], ABC, ["x", "x"])
    assert paired.interval["accuracy"] == (-1.0, 1.0)
    assert paired.p_value["accuracy"] == 1.0


@pytest.mark.parametrize("setting", [{"level": 1.0}, {"level": 0}, {"rounds": 0}])
def test_senseless_settings_are_told(setting):
    with pytest.raises(WhosingsError):
        metrics.bootstrap_interval(["a", "b"], ["a", "b"], ABC, ["x", "y"], **setting)


def test_paired_difference_by_hand():
    true = ["a"] * 8 + ["b"] * 4
    a = ["a"] * 7 + ["b"] + ["b"] * 4  # one mistake
    b = ["b"] * 5 + ["a"] * 3 + ["b"] * 4  # five others
    found = metrics.paired_difference(true, a, b, ["a", "b"], [f"song {index}" for index in range(12)])
    assert (found.only_a, found.only_b, found.n) == (5, 1, 12)
    assert found.difference["accuracy"] == pytest.approx(11 / 12 - 7 / 12, **EXACT)
    assert found.mcnemar_p == pytest.approx(2 * (comb(6, 0) + comb(6, 1)) / 2**6, **EXACT)
    golden = metrics.scores(true, a, ["a", "b"]).f1_macro - metrics.scores(true, b, ["a", "b"]).f1_macro
    assert found.difference["f1_macro"] == pytest.approx(golden, **EXACT)
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()


def test_paired_difference_knows_equal_from_better():
    true, weak, labels, groups = answers(5, 6)
    equal = metrics.paired_difference(true, weak, weak, labels, groups)
    assert equal.mcnemar_p == 1.0
    assert equal.interval["f1_macro"] == (0.0, 0.0)
    assert equal.p_value["f1_macro"] == 1.0
    better = metrics.paired_difference(true, true, weak, labels, groups)
    assert better.p_value["f1_macro"] == pytest.approx(2 / 1001, **EXACT)
    assert better.interval["f1_macro"][0] > 0
    worse = metrics.paired_difference(true, weak, true, labels, groups)
    assert worse.difference["accuracy"] == pytest.approx(-better.difference["accuracy"], **EXACT)
    assert worse.p_value == better.p_value


def test_reliability_by_hand():
    table = metrics.reliability(np.array([0.0, 0.5, 0.6, 1.0]), np.array([False, True, False, True]), bins=2)
    assert [(row.lower, row.upper, row.count) for row in table] == [(0.0, 0.5, 2), (0.5, 1.0, 2)]
    assert [row.confidence for row in table] == pytest.approx([0.25, 0.8], **EXACT)
    assert [row.accuracy for row in table] == pytest.approx([0.5, 0.5], **EXACT)
    assert metrics.calibration_error(table) == pytest.approx((0.25 + 0.3) / 2, **EXACT)


def test_reliability_agrees_with_scikit_learn_and_torchmetrics():
    import torch
    from sklearn.calibration import calibration_curve
    from torchmetrics.functional.classification import binary_calibration_error

    generator = np.random.default_rng(3)
    confidence = generator.beta(4, 2, 500)
    correct = generator.random(500) < confidence**2
    table = metrics.reliability(confidence, correct)
    accuracy, mean = calibration_curve(correct, confidence, n_bins=15)
    assert [row.accuracy for row in table] == pytest.approx(accuracy, **EXACT)
    assert [row.confidence for row in table] == pytest.approx(mean, **EXACT)
    golden = binary_calibration_error(torch.tensor(confidence), torch.tensor(correct).long(), n_bins=15)
    assert metrics.expected_calibration_error(confidence, correct) == pytest.approx(float(golden), abs=1e-5)


def test_a_hair_above_one_is_certain_and_a_logit_is_refused():
    assert metrics.expected_calibration_error(np.array([1 + 1e-7]), np.array([True])) < 1e-6
    for confidence, bins in (([1.5], 15), ([np.nan], 15), ([], 15), ([0.5], 0)):
        with pytest.raises(WhosingsError):
            metrics.expected_calibration_error(np.array(confidence), np.ones(len(confidence)), bins)


def test_evaluate_is_a_block_of_the_metrics_file():
    true, predicted, labels, groups = answers(3, 4)
    block = metrics.evaluate(true, predicted, labels, groups, rounds=50)
    assert {"f1_macro", "f1_weighted", "accuracy", "n", "level", "interval"} == set(block)
    assert json.loads(json.dumps(block)) == block
