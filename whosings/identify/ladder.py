"""
The ladder from a song to an answer; each step adds one thing.

    Track2Windows             a track            -> its windows
    Windows2LogProbabilities  windows            -> log-probabilities (windows, singers)
    LogProbabilities2Answer   log-probabilities  -> who, how sure, who else, where to listen
    File2Identification       a file             -> all of it at once
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whosings.collection.features import FeatureStore, passing_store
from whosings.collection.track import Part, SoundFile, Track
from whosings.collection.windows import Features, window_starts
from whosings.errors import WhosingsError
from whosings.identify.votes import VOTES
from whosings.models.factory import find_system
from whosings.models.store import ModelCard, VoteName

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

BATCH = 32  # windows classified at once


@dataclass(frozen=True)
class Windows:
    """What a network reads of a track, and where each window of `length` frames starts."""

    features: Features
    starts: np.ndarray
    length: int

    @property
    def log_mel(self) -> np.ndarray:
        """The log-mel of the track: (n_mels, frames) in dB."""
        return self.features.log_mel

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.features.front_end.frame_rate

    @property
    def start_seconds(self) -> np.ndarray:
        """When each window starts: (windows,) in seconds."""
        seconds: np.ndarray = self.starts / self.frame_rate
        return seconds

    def span(self, index: int) -> tuple[float, float]:
        """Give where a window begins and ends in the song, in seconds."""
        start = int(self.starts[index])
        stop = min(start + self.length, self.features.frames)
        return start / self.frame_rate, stop / self.frame_rate

    def batch(self, first: int, count: int = BATCH) -> torch.Tensor:
        """Give at most `count` windows from `first` on, as networks take them: (n, ..., n_mels, length)."""
        import numpy as np
        import torch

        pieces = [
            self.features.window(int(start), self.length) for start in self.starts[first : first + count]
        ]
        return torch.from_numpy(np.stack(pieces))


class Track2Windows:
    """
    A track's features from the store, cut as in training.

    A model trained on mixes at a level hears a track without stems as it was recorded.
    """

    def __init__(self, store: FeatureStore, card: ModelCard):
        self.store, self.source = store, card.sound
        self.hearing = find_system(card.system).hearing
        self.length = self.hearing.front_end.window_frames(card.window_seconds)

    def __call__(self, track: Track) -> Windows:
        """Raises WhosingsError where the track cannot be read or lacks the source."""
        has_stems = all(part.vocals and part.accompaniment for part in track.parts)
        source = self.source if has_stems else replace(self.source, mix_db=None)
        features = self.store.features(track, source, self.hearing)
        return Windows(features, window_starts(features.frames, self.length), self.length)


class Windows2LogProbabilities:
    """A network's natural log-probabilities for each window, a batch at a time."""

    def __init__(self, network: nn.Module, device: torch.device | str = "cpu"):
        self.network = network.eval().to(device)
        self.device = device

    def __call__(self, windows: Windows) -> np.ndarray:
        """Give (windows, singers); raises WhosingsError where the network answers with no numbers."""
        import numpy as np
        import torch

        rows = []
        with torch.inference_mode():
            for first in range(0, len(windows.starts), BATCH):
                logits = self.network(windows.batch(first).to(self.device))
                rows.append(logits.float().log_softmax(dim=-1).cpu().numpy())
        answers = np.concatenate(rows)
        if np.isnan(answers).any():
            raise WhosingsError(
                "This model answers with no numbers, since its training diverged; train it anew with a lower "
                "learning_rate."
            )
        return answers


@dataclass(frozen=True)
class Answer:
    """Who sings by a vote over windows, without the file it came from."""

    singer: str
    confidence: float
    """the singer's score in the vote, 0 to 1; not yet calibrated"""
    runner_up: str
    runner_up_confidence: float
    best_window: int
    """index of the window that speaks most for the singer"""


class LogProbabilities2Answer:
    """A vote over the windows of a song."""

    def __init__(self, singers: list[str], vote: VoteName):
        self.singers = singers
        self.vote = VOTES[vote]

    def __call__(self, log_probabilities: np.ndarray) -> Answer:
        """Answer from (windows, singers)."""
        scores = self.vote(log_probabilities)
        first, second = (int(at) for at in scores.argsort()[::-1][:2])
        return Answer(
            singer=self.singers[first],
            confidence=float(scores[first]),
            runner_up=self.singers[second],
            runner_up_confidence=float(scores[second]),
            best_window=int(log_probabilities[:, first].argmax()),
        )


@dataclass(frozen=True)
class Identification:
    """The answer for a file: evidence, not proof. Seconds count from the start of the file."""

    file: str
    singer: str
    confidence: float
    runner_up: str
    runner_up_confidence: float
    listen_from: float
    """seconds: start of the window that speaks most for the singer"""
    listen_to: float
    """seconds"""
    windows: int

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as `--json` prints them."""
        return asdict(self)


class File2Identification:
    """The whole ladder for one file of any format and length."""

    def __init__(self, network: nn.Module, card: ModelCard, device: torch.device | str = "cpu"):
        self.card = card
        self.to_log_probabilities = Windows2LogProbabilities(network, device)
        self.to_answer = LogProbabilities2Answer(card.singers, card.vote)

    def __call__(self, path: Path) -> Identification:
        """Raises UnreadableSoundError for no readable sound, WhosingsError where it cannot be separated."""
        check_lone(path, self.card)
        with passing_store() as store:
            to_windows = Track2Windows(store, self.card)
            windows = to_windows(lone_track(path))
            answer = self.to_answer(self.to_log_probabilities(windows))
            listen_from, listen_to = windows.span(answer.best_window)
        return Identification(
            file=str(path),
            singer=answer.singer,
            confidence=round(answer.confidence, 4),
            runner_up=answer.runner_up,
            runner_up_confidence=round(answer.runner_up_confidence, 4),
            listen_from=round(listen_from, 2),
            listen_to=round(listen_to, 2),
            windows=len(windows.starts),
        )


def check_lone(path: Path, card: ModelCard) -> None:
    """Raise WhosingsError where a model needs stems that a file outside any collection does not have."""
    if card.source != "mix" and not card.sound.separated:
        raise WhosingsError(
            f"{path}: this model hears the {card.source} of songs with stems, and a lone file has none; "
            "use a model that hears the mix, or one trained with `--separator spleeter`."
        )


def lone_track(path: Path) -> Track:
    """Give a file outside any collection as a track."""
    return Track("no artist", "no album", path.name, (Part(mix=SoundFile(path)),))
