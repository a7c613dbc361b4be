"""What makes voiceprints: the pretrained encoder as it is, or one that a run has tuned to a collection."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from whosings.audio.activity import Activity
from whosings.collection.features import FeatureStore, passing_store
from whosings.collection.track import Part, SoundFile, Source, Track
from whosings.collection.windows import Hearing, window_starts
from whosings.errors import WhosingsError
from whosings.files import sha256_of
from whosings.models import SYSTEMS, create, find_system, load_model
from whosings.models.precision import answering
from whosings.models.store import WEIGHTS, load_card
from whosings.models.voiceprint.network import DIM, Voiceprint
from whosings.models.voiceprint.pretrained import WEIGHTS as PRETRAINED_WEIGHTS
from whosings.models.voiceprint.pretrained import load_pretrained
from whosings.voices.prints import Prints, unit

if TYPE_CHECKING:
    import torch

ENCODERS = {name: system.encoder for name, system in SYSTEMS.items() if system.encoder}
"""The speaker encoder by the system that gives its voiceprints."""
PRETRAINED = "voiceprint_campplus"  # on mixes it errs a quarter as often as ECAPA-TDNN
WINDOW = 5.0  # seconds
BATCH = 16  # windows encoded at once


class Voiceprinter:
    """
    Gives the voiceprints of files and tracks; a `VoiceEncoder`.

    Without a `run` it is the pretrained speaker encoder of a `system`, which hears the mix as it is. With a
    run of such a system it hears what that was trained on. Raises WhosingsError where the run gives no
    voiceprints; missing weights show at the first sound.
    """

    def __init__(self, run: Path | None = None, *, system: str = PRETRAINED):
        self.run = run
        if run is None:
            self.system, self.source = system, Source()
            self._weights = PRETRAINED_WEIGHTS[ENCODERS[system]].sha256
        else:
            card = load_card(run)
            if card.system not in ENCODERS:
                raise WhosingsError(
                    f"{run}: this is a {card.system}, which gives no voiceprints; "
                    f"give a run of the recipe {' or '.join(ENCODERS)}."
                )
            self.system, self.source = card.system, card.sound
            self._weights = sha256_of(run / WEIGHTS)
        self.hearing: Hearing = find_system(self.system).hearing

    @property
    def id(self) -> str:
        """Name, what is heard and weights: prints of different encoders never mix."""
        heard = self.source.name if not self.source.separated else f"vocals by {self.source.separator}"
        return f"{ENCODERS[self.system]} {self._weights[:12]}, {heard}"

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
        network = create(self.system, 1) if self.run is None else load_model(self.run)[0]
        assert isinstance(network, Voiceprint)
        if self.run is None:
            load_pretrained(network)
        return network.eval().to(self._device)
