"""
Calibration: scores that are probabilities, and the answer "unknown", fitted on validation songs.

What leaving singers out can say, and what not. No singer is unknown to a closed set of validation songs, so
each song is heard twice: with all singers, and with the column of its own singer taken away, as if the model
had never been given that name. The network has heard that singer in training all the same: the other classes
were pushed away from the voice, and the layers below learned to tell it apart. A voice truly new meets
classes that never had to refuse it, so that the AUROC found here may flatter; only singers kept out of a
whole training tell the truth. Whatever is not a singer at all (speech, instruments, silence) is not covered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from whosings.errors import WhosingsError
from whosings.identify.votes import VOTES
from whosings.models.calibration import Calibration, Unknown
from whosings.models.store import VoteName

if TYPE_CHECKING:
    import numpy as np

TEMPERATURES = (0.02, 50.0)  # least and most
SPREAD = 1.0  # standard deviation of the prior of the log temperature: a factor of e
LAPSE = 0.001  # share of songs that bear another's name whatever is heard, so that nothing is ever certain
FLOOR = -1e4  # stands for the logarithm of 0
SOFTENING = 3.0  # how much warmer than the calibrated temperature known-ness is judged
LEAST_SONGS = 5  # fewer songs tell nothing about unknown singers
STRENGTH = 10.0  # inverse regularisation of the logistic fit: weak
SCALES = (0.02, 5.0)  # least and most of the scale, in standard deviations of the scores


def fit_temperature(scores: np.ndarray, true: np.ndarray) -> float:
    """
    Fit the temperature T > 0 at which softmax(scores / T) is most probable, given who was right.

    By likelihood alone, songs that are all right would want T = 0, a certainty that so few songs cannot
    give. So log T has a normal prior, of deviation `SPREAD`, about the temperature at which the typical
    (median) confidence is what counting supports: (right + 1/2) / (n + 1), after Jeffreys. It fades with many
    songs, and does not depend on the unit of the scores.

    Args:
        scores: log-probabilities, logits or log vote scores, (n, classes).
        true: the true class of each, (n,).

    Raises WhosingsError where there is nothing to fit on, or a class does not exist.

    """
    import numpy as np
    from scipy.optimize import minimize_scalar

    scores, true = _checked(scores, true)
    centre = _counted(scores, true)

    def cost(log_temperature: float) -> float:
        given = _lapsing(scores, np.exp(log_temperature))[np.arange(len(true)), true]
        return float(-np.log(given).sum() + ((log_temperature - centre) / SPREAD) ** 2 / 2)

    low, high = np.log(TEMPERATURES)
    grid = np.linspace(low, high, 33)  # the cost may have more than one valley: look everywhere first
    best = grid[np.argmin([cost(value) for value in grid])]
    step = grid[1] - grid[0]
    around = (max(best - step, low), min(best + step, high))
    return float(np.exp(minimize_scalar(cost, bounds=around, method="bounded").x))


def window_probabilities(log_probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Give calibrated probabilities from log-probabilities or logits, both (windows, singers)."""
    return _lapsing(_finite(log_probabilities), temperature)


def song_probabilities(vote_scores: np.ndarray, temperature: float) -> np.ndarray:
    """Give calibrated probabilities from the scores of a vote, both (singers,), in the same order."""
    return _lapsing(_log_scores(vote_scores), temperature)


def known_scores(log_probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """
    Say how known the voice is in each window, the higher the better known: (windows, singers) -> (windows,).

    It is the highest log-probability at `SOFTENING` times the calibrated `temperature` of windows. Neither a
    constant added to the logits of a window changes it, nor their unit.

    It was chosen by measurement: frozen speaker embeddings under four classifiers, a third of the singers
    kept out of training, thresholds fitted as here. The highest logit (Vaze et al. 2022), the same less the
    mean logit, the energy and log-probabilities tell whole songs apart about alike (AUROC 0.93 to 0.95), the
    margin and the z-score no better or worse. But leaving singers out makes it look much too easy for logit
    and energy (0.97 to 1.00), so that their thresholds let in two to five times as many unknown singers; for
    log-probabilities it comes near the truth, and softened ones were as good as any or better.
    """
    from scipy.special import log_softmax

    softened = _finite(log_probabilities) / (SOFTENING * temperature)
    scores: np.ndarray = log_softmax(softened, axis=-1).max(axis=-1)
    return scores


def known_score(log_probabilities: np.ndarray, temperature: float) -> float:
    """
    Say how known the voice of a whole song is, from (windows, singers): the mean of `known_scores`.

    The mean over windows, not the score of the mean, for a duet of two known singers is known.
    """
    return float(known_scores(log_probabilities, temperature).mean())


def known_windows(log_probabilities: np.ndarray, calibration: Calibration) -> np.ndarray | None:
    """Give the probability that the singer of each window is known, (windows,); None where nothing tells."""
    if calibration.unknown is None:
        return None
    scores = known_scores(log_probabilities, calibration.window_temperature)
    return _known(scores, calibration.unknown.window_threshold, calibration.unknown.window_scale)


def known_song(log_probabilities: np.ndarray, calibration: Calibration) -> float | None:
    """Give the probability that the singer of (windows, singers) is known; None where nothing tells."""
    if calibration.unknown is None:
        return None
    score = known_score(log_probabilities, calibration.window_temperature)
    return float(_known(score, calibration.unknown.song_threshold, calibration.unknown.song_scale))


def unknown_scores(
    rows: Mapping[str, np.ndarray], true: Mapping[str, int], temperature: float
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """
    Score each song as it is (known), and with its own singer left out (unknown).

    Args:
        rows: log-probabilities or logits (windows, singers) by track id.
        true: the singer's code by track id.
        temperature: that of windows.

    Returns:
        For the known, then the unknown: scores (windows,) of each song.

    """
    import numpy as np

    known = [known_scores(row, temperature) for row in rows.values()]
    unknown = [known_scores(np.delete(row, true[name], axis=1), temperature) for name, row in rows.items()]
    return known, unknown


def fit_unknown(known: np.ndarray, unknown: np.ndarray) -> tuple[float, float, float] | None:
    """
    Fit what tells the scores of known singers (n,) from those of unknown singers (m,).

    A logistic regression in which both sides weigh alike; the threshold is where it gives one half. On
    singers truly kept out that was as good as the threshold of least error or better.

    Returns:
        The threshold, the scale and the AUROC; None where a side has fewer than `LEAST_SONGS` scores, or
        known singers do not score higher.

    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    if min(len(known), len(unknown)) < LEAST_SONGS or np.mean(known) <= np.mean(unknown):
        return None
    scores = np.concatenate([known, unknown]).astype(np.float64)
    is_known = np.arange(len(scores)) < len(known)
    middle, unit = (np.mean(known) + np.mean(unknown)) / 2, scores.std()
    regression = LogisticRegression(C=STRENGTH, class_weight="balanced")
    regression.fit(((scores - middle) / unit)[:, None], is_known)
    slope, offset = float(regression.coef_[0, 0]), float(regression.intercept_[0])
    threshold = np.clip(middle - unit * offset / slope, scores.min(), scores.max())
    scale = unit * np.clip(1 / slope, *SCALES)
    return float(threshold), float(scale), float(roc_auc_score(is_known, scores))


def fit(rows: Mapping[str, np.ndarray], true: Mapping[str, int], vote: VoteName) -> Calibration:
    """
    Fit the calibration of a model on its validation songs.

    Args:
        rows: log-probabilities or logits (windows, singers) by track id, of the windows that vote.
        true: the code of the true singer by track id, for every track in `rows`.
        vote: the vote that the model uses.

    Raises WhosingsError where there are no songs, or a code has no column.

    """
    import numpy as np
    from scipy.special import log_softmax

    if not rows:
        raise WhosingsError("There are no validation songs to calibrate on; give at least one.")
    codes = [true[name] for name in rows]
    windows = np.repeat(codes, [len(row) for row in rows.values()])
    window_temperature = fit_temperature(np.concatenate(list(rows.values())), windows)
    votes = np.stack([VOTES[vote](log_softmax(_finite(row), axis=1)) for row in rows.values()])
    unknown = _fit_unknown(rows, true, window_temperature)
    songs = "1 validation song" if len(rows) == 1 else f"{len(rows)} validation songs"
    return Calibration(
        window_temperature=window_temperature,
        song_temperature=fit_temperature(_log_scores(votes), np.asarray(codes)),
        unknown=unknown,
        fitted_on=f"{songs}, each singer left out in turn" if unknown else songs,
    )


def _fit_unknown(
    rows: Mapping[str, np.ndarray], true: Mapping[str, int], temperature: float
) -> Unknown | None:
    """Fit windows and songs; None where the songs are too few, or less than two singers remain of a song."""
    import numpy as np

    if min(row.shape[1] for row in rows.values()) < 3 or len(rows) < LEAST_SONGS:
        return None
    known, unknown = unknown_scores(rows, true, temperature)
    windows = fit_unknown(np.concatenate(known), np.concatenate(unknown))
    songs = fit_unknown(*(np.array([song.mean() for song in side]) for side in (known, unknown)))
    if windows is None or songs is None:
        return None
    return Unknown(
        window_threshold=windows[0],
        window_scale=windows[1],
        song_threshold=songs[0],
        song_scale=songs[1],
        auroc=songs[2],
        songs=len(rows),
    )


def _checked(scores: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give both as they are computed with; raises WhosingsError where they do not fit together."""
    import numpy as np

    scores, true = _finite(scores), np.asarray(true)
    if scores.ndim != 2 or len(scores) == 0 or true.shape != scores.shape[:1]:
        raise WhosingsError("A temperature is fitted on at least one answer, each with one true singer.")
    if true.min() < 0 or true.max() >= scores.shape[1]:
        raise WhosingsError(
            f"A true singer is not among the {scores.shape[1]} of the model; leave those songs out."
        )
    return scores, true


def _counted(scores: np.ndarray, true: np.ndarray) -> float:
    """Find the log temperature at which the median confidence is what counting right answers supports."""
    import numpy as np
    from scipy.optimize import brentq

    right = np.sum(scores.argmax(axis=1) == true)
    target = (right + 0.5) / (len(true) + 1)

    def excess(log_temperature: float) -> float:
        return float(np.median(_lapsing(scores, np.exp(log_temperature)).max(axis=1)) - target)

    low, high = np.log(TEMPERATURES)
    if excess(low) <= 0:
        return float(low)
    if excess(high) >= 0:
        return float(high)
    return float(brentq(excess, low, high))


def _lapsing(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Give softmax(scores / temperature) over the last axis, mixed with a little of an even guess."""
    from scipy.special import softmax

    even = 1 / scores.shape[-1]
    probabilities: np.ndarray = (1 - LAPSE) * softmax(scores / temperature, axis=-1) + LAPSE * even
    return probabilities


def _finite(scores: np.ndarray) -> np.ndarray:
    """Give scores as float64, with a number for the logarithm of 0."""
    import numpy as np

    return np.maximum(np.asarray(scores, dtype=np.float64), FLOOR)


def _log_scores(vote_scores: np.ndarray) -> np.ndarray:
    """Give the logarithm of scores of a vote, which may be 0."""
    import numpy as np

    with np.errstate(divide="ignore"):
        return _finite(np.log(np.asarray(vote_scores, dtype=np.float64)))


def _known(scores: np.ndarray | float, threshold: float, scale: float) -> np.ndarray:
    """Give the probability of being known that scores stand for."""
    import numpy as np
    from scipy.special import expit

    probability: np.ndarray = expit((np.asarray(scores) - threshold) / scale)
    return probability
