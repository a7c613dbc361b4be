"""Rows in one fold: what is learnt, chosen on validation songs, and asked about test songs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from sklearn.metrics import f1_score

from whosings.collection.splits import Split
from whosings.identify.join import choose_weights
from whosings.models.ensemble import average

from .classifiers import HEADS
from .hearing import Heard

TUNED = "tuned"  # the kind of windows that each fold hears by its own tuned encoder


@dataclass(frozen=True)
class Member:
    """A classifier: the kinds of windows it learns, the kind it is tested on, and its head."""

    learn: tuple[str, ...]
    hear: str = "mix"
    head: str = "regression"


@dataclass(frozen=True)
class Row:
    """A row of the table: members averaged, and the row `against` which it is set."""

    name: str
    members: tuple[Member, ...]
    against: str | None = None
    refit: bool = False
    """learn the validation songs too, once settings and weights are chosen"""


LogProbabilities = Mapping[str, np.ndarray]
"""(windows, singers) by track id"""


@dataclass(frozen=True)
class Scored:
    """What a row answers in a fold: log-probabilities of its test songs, and what was chosen for that."""

    fold: int
    test: LogProbabilities
    validation: LogProbabilities
    settings: list[float]
    weights: tuple[float, ...]


class Fold:
    """Fits and asks classifiers in one fold; each is fitted once."""

    def __init__(self, number: int, split: Split, prints: Callable[[str], Mapping[str, Heard]]):
        self.number, self.split, self._all_prints = number, split, prints
        self.singers = sorted(split.singers)  # as classifiers order their classes
        self.chosen = cache(self._chosen)
        self.asked = cache(self._asked)

    def scored(self, row: Row) -> Scored:
        """Choose on validation songs, and ask about the test songs."""
        chosen = [self.chosen(member) for member in row.members]
        validation = _stacked([rows for _, rows in chosen])
        true = {name: self.singers.index(_singer(name)) for name in validation}
        weights = choose_weights(validation, true) if len(chosen) > 1 else (1.0,)
        settings = [setting for setting, _ in chosen]
        asked = zip(row.members, settings, strict=True)
        test = _stacked([self.asked(member, setting, row.refit) for member, setting in asked])
        return Scored(
            self.number,
            {name: average(rows, weights) for name, rows in test.items()},
            {name: average(rows, weights) for name, rows in validation.items()},
            settings,
            weights,
        )

    def _chosen(self, member: Member) -> tuple[float, LogProbabilities]:
        """Give the setting that is best on windows of validation songs, and what it says of them."""
        x, y = self._windows(member.learn, self.split.train)
        settings, make = HEADS[member.head]
        tried = []
        for setting in settings:
            classifier = make(setting, len(self.singers)).fit(x, y)
            rows = self._ask(classifier, member, self.split.validation)
            tried.append((macro_f1(rows, self.singers), setting, rows))
        _, setting, rows = max(tried, key=lambda one: one[0])
        return setting, rows

    def _asked(self, member: Member, setting: float, refit: bool) -> LogProbabilities:
        """Give what a member says of test songs."""
        learnt = (*self.split.train, *self.split.validation) if refit else self.split.train
        classifier = HEADS[member.head][1](setting, len(self.singers)).fit(
            *self._windows(member.learn, learnt)
        )
        return self._ask(classifier, member, self.split.test)

    def _ask(self, classifier: Any, member: Member, names: Sequence[str]) -> LogProbabilities:
        prints = self._prints(member.hear)
        return {name: classifier.predict_log_proba(prints[name].vectors) for name in names}

    def _windows(self, kinds: Sequence[str], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Give prints and singers of the windows of songs, without those whose bands are of other songs."""
        allowed = ["", *names]
        some = [(name, self._prints(kind)[name]) for kind in kinds for name in names]
        kept = [(name, heard.vectors[np.isin(heard.bands, allowed)]) for name, heard in some]
        singers = np.repeat([_singer(name) for name, _ in kept], [len(vectors) for _, vectors in kept])
        return np.concatenate([vectors for _, vectors in kept]), singers

    def _prints(self, kind: str) -> Mapping[str, Heard]:
        return self._all_prints(f"tuned-{self.number}" if kind == TUNED else kind)


def _singer(name: str) -> str:
    return name.split("/")[0]


def _stacked(members: Sequence[LogProbabilities]) -> dict[str, np.ndarray]:
    """Give (windows, members, singers) by track id."""
    return {name: np.stack([rows[name] for rows in members], axis=1) for name in members[0]}


def answers_of(
    rows: LogProbabilities, singers: Sequence[str]
) -> dict[str, tuple[list[str], list[str], list[str]]]:
    """Give who sings, the answers and the songs: of windows, and of songs by their mean log-probability."""
    window: tuple[list[str], list[str], list[str]] = ([], [], [])
    song: tuple[list[str], list[str], list[str]] = ([], [], [])
    for name, values in rows.items():
        for kind, answers in ((window, values), (song, values.mean(axis=0, keepdims=True))):
            kind[0].extend([_singer(name)] * len(answers))
            kind[1].extend(singers[int(code)] for code in answers.argmax(axis=1))
            kind[2].extend([name] * len(answers))
    return {"window": window, "song": song}


def macro_f1(rows: LogProbabilities, singers: Sequence[str], level: str = "window") -> float:
    """Give the macro F1 of the answers to windows or songs (`level`)."""
    true, answers, _ = answers_of(rows, singers)[level]
    return float(f1_score(true, answers, average="macro", zero_division=0))
