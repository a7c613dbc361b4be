"""What makes voiceprints: the pretrained encoder as it is, or one that a run has tuned to a collection."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from whosings.audio.activity import Activity
from whosings.collection.features import FeatureStore, passing_store
from whosings.collection.track import Part, SeparatorName, SoundFile, Source, Track
from whosings.collection.windows import Hearing, window_starts
from whosings.errors import WhosingsError
from whosings.files import sha256_of
from whosings.models import find_system, load_model
from whosings.models.precision import answering
from whosings.models.store import WEIGHTS, load_card
from whosings.models.voiceprint.network import DIM, Voiceprint
from whosings.models.voiceprint.pretrained import WEIGHTS as PRETRAINED
from whosings.models.voiceprint.pretrained import load_pretrained
from whosings.voices.prints import Prints, unit

if TYPE_CHECKING:
    import torch

SYSTEM = "voiceprint"
WINDOW = 5.0  # seconds
BATCH = 16  # windows encoded at once


class Voiceprinter:
    """
    Gives the voiceprints of files and tracks; a `VoiceEncoder`.

    Without a `run` it is the pretrained speaker encoder, which hears the vocals that `separator` takes out of
    the mix, or with `stems` the mix itself. With a run of the system voiceprint it hears what that was
    trained on. Raises WhosingsError where the run is of another system, or weights are missing.
    """

    def __init__(self, run: Path | None = None, separator: SeparatorName = "spleeter"):
        self.run = run
        if run is None:
            self.source = Source() if separator == "stems" else Source("vocals", None, separator)
            self._weights = PRETRAINED["ecapa"].sha256
        else:
            card = load_card(run)
            if card.system != SYSTEM:
                raise WhosingsError(
                    f"{run}: this is a {card.system}, which gives no voiceprints; "
                    "give a run of the recipe voiceprint."
                )
            self.source, self._weights = card.sound, sha256_of(run / WEIGHTS)
        self.hearing: Hearing = find_system(SYSTEM).hearing

    @property
    def id(self) -> str:
        """Name, what is heard and weights: prints of different encoders never mix."""
        heard = self.source.name if not self.source.separated else f"vocals by {self.source.separator}"
        return f"ecapa {self._weights[:12]}, {heard}"

    @property
    def dim(self) -> int:
        """Size of a print."""
        return DIM

    def __call__(self, path: Path) -> Prints:
        """Hear a file outside any collection; raises WhosingsError where it cannot be read or separated."""
        with passing_store() as store:
            return self.of_track(Track("", "", path.name, (Part(mix=SoundFile(path)),)), store)

    def of_track(self, track: Track, store: FeatureStore) -> Prints:
        """Hear a track by way of a store; raises WhosingsError as a call does, or for a missing stem."""
        source = self.source.of(track)
        front_end = self.hearing.front_end
        features = store.features(track, source, self.hearing)
        length = front_end.window_frames(WINDOW)
        starts = window_starts(features.frames, length)
        seconds = starts / front_end.frame_rate
        sung = Activity(store.activity(track, source)).shares(seconds, WINDOW)
        windows = np.stack([features.window(int(start), length) for start in starts])
        return Prints(seconds, WINDOW, unit(self.encode(windows)), sung)

    def encode(self, windows: np.ndarray) -> np.ndarray:
        """Give voiceprints (windows, 192), of any length, of log-mel windows (windows, 80, T) in dB."""
        import torch

        with torch.inference_mode(), answering(self._network, self._device):
            pieces = torch.from_numpy(windows).split(BATCH)
            prints = torch.cat([self._network.embed(piece.to(self._device)) for piece in pieces])
            return prints.float().cpu().numpy()

    @cached_property
    def _device(self) -> torch.device:
        import torch

        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @cached_property
    def _network(self) -> Voiceprint:
        """Load the network, at the first sound."""
        if self.run is None:
            network = Voiceprint(1)
            load_pretrained(network)
        else:
            loaded, _ = load_model(self.run)
            assert isinstance(loaded, Voiceprint)
            network = loaded
        return network.eval().to(self._device)
