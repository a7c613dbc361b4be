"""Votes: how the sung windows of a song become one answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from whosings.models.store import VoteName

if TYPE_CHECKING:
    import numpy as np

Voters = Literal["sung", "all"]
"""which windows of a song vote: those that are sung, or all, as in the papers"""

THRESHOLD = 0.5  # probability a window needs to be heard in the thresholded vote
LEAST_SUNG = 0.3  # share of a window with singing for it to vote, as of a short file to be answered at all
TIE_WEIGHT = 1e-6  # share of the mean probability added to counts, so that ties fall to the surer singer


def voters(sung: np.ndarray) -> np.ndarray:
    """Tell which windows vote, from the share of each that is sung, 0 to 1: (windows,) -> bool (windows,)."""
    votes: np.ndarray = sung >= LEAST_SUNG
    return votes


def of_voters(rows: np.ndarray, sung: np.ndarray) -> np.ndarray:
    """
    Keep what was heard in the windows that vote, or in all where none does: (windows, ...) -> (voters, ...).

    For songs whose singer is known to sing, as in scoring; a file without a voter is answered "no singing".
    """
    votes = voters(sung)
    return rows[votes] if votes.any() else rows


def majority(log_probabilities: np.ndarray) -> np.ndarray:
    """Give each singer's share of the windows won: (windows, singers) -> (singers,), of sum 1."""
    import numpy as np

    winners = log_probabilities.argmax(axis=1)
    shares = np.bincount(winners, minlength=log_probabilities.shape[1]) / len(log_probabilities)
    scores: np.ndarray = (shares + TIE_WEIGHT * np.exp(log_probabilities).mean(axis=0)) / (1 + TIE_WEIGHT)
    return scores


def thresholded_majority(log_probabilities: np.ndarray) -> np.ndarray:
    """
    Give the majority among windows surer than one half, or among all where there are none.

    The published code calls this its majority vote (section 4 of Kuo et al. 2021's evaluation).
    """
    import numpy as np

    sure = log_probabilities.max(axis=1) > np.log(THRESHOLD)
    return majority(log_probabilities[sure] if sure.any() else log_probabilities)


def mean_log_probability(log_probabilities: np.ndarray) -> np.ndarray:
    """Give the geometric mean over windows, scaled to sum 1: (windows, singers) -> (singers,)."""
    from scipy.special import softmax

    scores: np.ndarray = softmax(log_probabilities.mean(axis=0))
    return scores


VOTES: dict[VoteName, Callable[[np.ndarray], np.ndarray]] = {
    "mean_log_probability": mean_log_probability,
    "majority": majority,
    "thresholded_majority": thresholded_majority,
}
"""All votes, the preferred first where validation finds them equal."""
