"""The classifiers of prints, and the settings that are tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from whosings.models.voiceprint.network import CosineHead

COSINE_BATCH, COSINE_RATE = 32, 1e-2  # of the recipe voiceprint


class CosineClassifier(ClassifierMixin, BaseEstimator):
    """The head of the recipe voiceprint, trained for some epochs; `balanced` weighs all singers alike."""

    def __init__(self, epochs: int = 20, balanced: bool = True):
        self.epochs, self.balanced = epochs, balanced

    def fit(self, x: np.ndarray, y: np.ndarray) -> CosineClassifier:
        """Learn prints (n, 192) of singers (n,)."""
        import torch

        self.classes_, codes = np.unique(y, return_inverse=True)
        weights = len(codes) / np.bincount(codes) / len(self.classes_) if self.balanced else None
        weight = None if weights is None else torch.from_numpy(weights.astype(np.float32))
        prints, true = torch.from_numpy(x), torch.from_numpy(codes)
        generator = torch.Generator().manual_seed(0)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.head_ = CosineHead(len(self.classes_))
        adam = torch.optim.Adam(self.head_.parameters(), COSINE_RATE)
        for _ in range(self.epochs):
            for batch in torch.randperm(len(prints), generator=generator).split(COSINE_BATCH):
                adam.zero_grad()
                loss = torch.nn.functional.cross_entropy(self.head_(prints[batch]), true[batch], weight)
                loss.backward()
                adam.step()
        return self

    def predict_log_proba(self, x: np.ndarray) -> np.ndarray:
        """Give log-probabilities (n, singers)."""
        import torch

        with torch.inference_mode():
            return self.head_(torch.from_numpy(x)).log_softmax(dim=1).numpy()


def _discriminant(shrinkage: float, singers: int) -> LinearDiscriminantAnalysis:
    even = np.full(singers, 1 / singers)
    return LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage, priors=even)


def _regression(strength: float, balanced: bool) -> LogisticRegression:
    weights = "balanced" if balanced else None
    return LogisticRegression(C=strength, max_iter=2000, tol=1e-3, class_weight=weights)


STRENGTHS = (0.3, 1, 3, 10, 30, 100)  # inverse regularisation
SHRINKAGES = (0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02)
EPOCHS = (2, 5, 10, 20, 40)
HEADS: dict[str, tuple[tuple[float, ...], Callable[[float, int], Any]]] = {
    "regression": (STRENGTHS, lambda strength, _: _regression(strength, True)),
    "unbalanced": (STRENGTHS, lambda strength, _: _regression(strength, False)),
    "discriminant": (SHRINKAGES, _discriminant),
    "cosine": (EPOCHS, lambda epochs, _: CosineClassifier(int(epochs))),
    "cosine, unbalanced": (EPOCHS, lambda epochs, _: CosineClassifier(int(epochs), balanced=False)),
}
"""Settings tried on validation songs, of equals the first; the classifier for one, and so many singers."""
