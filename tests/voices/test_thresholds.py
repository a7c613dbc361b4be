from __future__ import annotations

import numpy as np
import pytest

from tests.voices.fake import cohort, heard
from whosings.errors import WhosingsError
from whosings.voices.prints import unit
from whosings.voices.scoring import NEAREST, SPREAD, scores, voices_of
from whosings.voices.thresholds import equal_error_rate, fit_thresholds


def test_equal_error_rate_of_scores_that_part() -> None:
    assert equal_error_rate(np.array([0.1, 0.2, 0.6, 0.9]), np.array([0, 0, 1, 1])) == (
        0.0,
        pytest.approx(0.4),
    )


def test_equal_error_rate_of_one_mistake_in_four() -> None:
    values = np.array([0.1, 0.2, 0.3, 0.7, 0.6, 0.8, 0.9, 1.0])
    eer, threshold = equal_error_rate(values, np.arange(8) >= 4)
    assert eer == pytest.approx(0.25)
    assert 0.6 <= threshold <= 0.7


def test_equal_error_rate_of_normal_scores_is_the_known_one() -> None:
    generator = np.random.default_rng(0)
    values = np.concatenate([generator.normal(2, 1, 20_000), generator.normal(0, 1, 80_000)])
    eer, threshold = equal_error_rate(values, np.arange(100_000) < 20_000)
    assert eer == pytest.approx(0.1587, abs=0.005)  # the normal distribution beyond one standard deviation
    assert threshold == pytest.approx(1.0, abs=0.03)


def test_equal_error_rate_of_scores_that_say_nothing_or_the_opposite() -> None:
    assert equal_error_rate(np.zeros(6), np.arange(6) < 2)[0] == pytest.approx(0.5)
    assert equal_error_rate(np.array([0.0, 1.0]), np.array([1, 0]))[0] == pytest.approx(1.0)


def test_equal_error_rate_needs_both_kinds() -> None:
    with pytest.raises(WhosingsError, match="needs pairs of the same and of other singers"):
        equal_error_rate(np.ones(3), np.ones(3))


def test_scores_are_normalised_against_the_nearest_strangers() -> None:
    generator = np.random.default_rng(0)
    song, voices, strangers = (unit(generator.standard_normal(shape)) for shape in ((8,), (3, 8), (30, 8)))
    expected = []
    for place, voice in enumerate(voices):
        others = np.concatenate([strangers, np.delete(voices, place, axis=0)])
        normal = [np.sort(others @ side)[-NEAREST:] for side in (voice, song)]
        expected.append(np.mean([(voice @ song - near.mean()) / max(near.std(), SPREAD) for near in normal]))
    np.testing.assert_allclose(scores(song, voices, strangers), expected, rtol=1e-4)
    np.testing.assert_allclose(scores(song, voices, None), voices @ song)


def _songs(singers: int, songs: int) -> tuple[np.ndarray, np.ndarray]:
    vectors = [heard(f"voice{s}", f"song{n}").song for s in range(singers) for n in range(songs)]
    return np.array(vectors), np.repeat(np.arange(singers), songs)


@pytest.mark.parametrize("strangers", [None, cohort()])
def test_fitted_thresholds_part_singers_and_strangers_that_were_not_fitted_on(strangers) -> None:
    songs, singers = _songs(10, 4)
    fitted = fit_thresholds(songs, singers, strangers)
    assert fitted is not None and fitted.eer < 0.05 and fitted.unknown_eer < 0.1
    assert fitted.known >= fitted.same and (fitted.singers, fitted.songs) == (10, 40)
    voices = voices_of(songs, singers, 10)
    own = [scores(heard(f"voice{n}", "new").song, voices, strangers).max() for n in range(10)]
    others = [scores(heard(f"stranger{n}", "new").song, voices, strangers).max() for n in range(10)]
    assert np.mean(np.array(own) >= fitted.known) >= 0.8
    assert np.mean(np.array(others) >= fitted.known) <= 0.2


def test_voices_that_tell_nothing_have_a_high_error_rate() -> None:
    songs = unit(np.random.default_rng(0).standard_normal((40, 24)))
    fitted = fit_thresholds(songs, np.repeat(np.arange(10), 4), None)
    assert fitted is not None and fitted.eer > 0.3


def test_too_few_songs_fit_nothing() -> None:
    assert fit_thresholds(*_songs(4, 8), None) is None
    assert fit_thresholds(*_songs(9, 2), None) is None
    assert fit_thresholds(*_songs(30, 1), None) is None
