"""What is heard of tracks: their windows in several kinds, and the prints of those."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from whosings.audio.logmel import log_mel
from whosings.collection.features import FeatureStore
from whosings.collection.sound import track_blocks
from whosings.collection.splits import Split
from whosings.collection.track import Source, SourceName, Track
from whosings.collection.windows import Features, window_starts
from whosings.errors import WhosingsError
from whosings.files import replacing, sha256_of
from whosings.models import find_system
from whosings.models.store import WEIGHTS
from whosings.progress import bar
from whosings.training.windows import STEMS, add_powers, mean_db
from whosings.voices.catalogue import print_of
from whosings.voices.encoder import WINDOW, Voiceprinter
from whosings.voices.prints import unit

LEVELS_DB = (-5.0, 10.0)  # of a remixed voice over its band
MOST_REMIXED = 64  # windows of a singer that are remixed in a draw
REMIXES = ("wave", "power")


@dataclass(frozen=True)
class Heard:
    """Prints (n, 192) of windows of a song, and the songs (n,) whose bands play in them, "" for its own."""

    vectors: np.ndarray
    bands: np.ndarray


class Ear:
    """
    Hears the windows of tracks in several ways (kinds), and keeps their prints.

    Kinds: `mix`, `vocals` (what Spleeter takes out of it), `alone` (the vocal stem), `louder` (the mix with
    the separated vocals 6 dB up), `half` (the mix, windows halfway between the others), `wave-N` and
    `power-N` (draw N of remixed windows), `tuned-N` (the mix as the tuned encoder of fold N hears it).
    """

    def __init__(
        self,
        tracks: Iterable[Track],
        splits: Sequence[Split],
        store: FeatureStore,
        mix_db: float,
        folder: Path,
        system: str,
    ):
        self.tracks = {track.id: track for track in tracks}
        self.store, self.folder = store, folder
        self.mix = Source("mix", mix_db)
        self.vocals = Source("vocals", mix_db, "spleeter")
        self.system = system
        self.hearing = find_system(system).hearing
        self.front_end = self.hearing.front_end
        self.length = self.front_end.window_frames(WINDOW)
        self.runs: dict[str, Path] = {}
        """tuned encoders, by kind"""
        self._trains_in = {
            name: {fold for fold, split in enumerate(splits) if name in split.train} for name in self.tracks
        }
        self.folder_of = cache(self._folder_of)
        self.level = cache(self._level)
        self.samples = cache(self._samples)
        self.prints = cache(self._prints)

    def _prints(self, kind: str) -> dict[str, Heard]:
        """Give the prints of all tracks by id; of kinds joined by a +, joined window by window."""
        if "+" in kind:
            parts = [self.prints(part) for part in kind.split("+")]
            joined = {name: np.hstack([part[name].vectors for part in parts]) for name in self.tracks}
            return {name: Heard(vectors, np.full(len(vectors), "")) for name, vectors in joined.items()}
        voiceprinter = Voiceprinter(self.runs.get(kind), system=self.system)
        with bar(f"Hearing {kind}", len(self.tracks)) as progress:
            prints = {}
            for track in self.tracks.values():
                prints[track.id] = self._kept(kind, track, voiceprinter)
                progress.step()
        return prints

    def _kept(self, kind: str, track: Track, voiceprinter: Voiceprinter) -> Heard:
        """Give the prints of a track, from the feature cache or the folder, or made and kept there."""
        if kind in ("mix", "alone"):
            voiceprinter.source = self.mix if kind == "mix" else Source("vocals")
            vectors = print_of(track, voiceprinter, self.store).vectors
            return Heard(vectors, np.full(len(vectors), ""))
        path = self.folder_of(kind) / f"{track.id.replace('/', '_')}.npz"
        if not path.is_file():
            windows, bands = self.windows(kind, track)
            vectors = unit(voiceprinter.encode(windows))
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, vectors=vectors, bands=np.array(bands, dtype=str))
        with np.load(path) as kept:
            return Heard(kept["vectors"], kept["bands"])

    def _folder_of(self, kind: str) -> Path:
        """Give where prints of a kind are kept: those of a tuned encoder apart from those of others."""
        run = self.runs.get(kind)
        return self.folder / (kind if run is None else f"{kind}-{sha256_of(run / WEIGHTS)[:12]}")

    def windows(self, kind: str, track: Track) -> tuple[np.ndarray, list[str]]:
        """Give the windows (n, 80, T) of a track, and whose bands play in them where they are remixed."""
        how, _, number = kind.partition("-")
        if how in REMIXES:
            return self._remixed(how, int(number), track)
        starts = self.starts(track)
        if how == "half":
            features = self._features(track, self.mix)
            starts = starts[:-1] + self.length // 2
            starts = starts[starts + self.length <= features.frames]
        elif how == "louder":
            features = self._louder(track)
        else:
            features = self._features(track, self.vocals if how == "vocals" else self.mix)
        windows = [features.window(int(start), self.length) for start in starts]
        none = np.zeros((0, self.front_end.n_mels, self.length), np.float32)
        return np.stack(windows) if windows else none, [""] * len(windows)

    def starts(self, track: Track) -> np.ndarray:
        """Give the first frames of the windows of a track."""
        return window_starts(self._features(track, self.mix).frames, self.length)

    def _features(self, track: Track, source: Source) -> Features:
        return self.store.features(track, source, self.hearing)

    def _louder(self, track: Track) -> Features:
        apart = self.store.stems.separate(track, self.vocals)
        mix, vocals = (
            np.concatenate(list(track_blocks(*heard)))
            for heard in ((track, self.mix), (apart, Source("vocals")))
        )
        length = min(len(mix), len(vocals))
        return Features(log_mel(mix[:length] + vocals[:length], self.front_end), front_end=self.front_end)

    def _remixed(self, how: str, draw: int, track: Track) -> tuple[np.ndarray, list[str]]:
        names = sorted(self.tracks)
        random = np.random.default_rng((draw, names.index(track.id)))
        there = self._trains_in
        bands = [name for name in names if name != track.id and there[name] >= there[track.id]]
        if not bands:
            raise WhosingsError(f"{track.id}: no other song trains in all its folds; give fewer splits.")
        windows, played = [], []
        for start in self._share(track):
            other = self.tracks[bands[random.integers(len(bands))]]
            first = min(int(start), self._last(track, "vocals"))
            place = int(random.integers(self._last(other, "accompaniment") + 1))
            gain = self.level(track.id, "vocals") - self.level(other.id, "accompaniment")
            gain -= random.uniform(*LEVELS_DB)
            add = self._add_waves if how == "wave" else self._add_powers
            windows.append(add((track, first), (other, place), gain))
            played.append(other.id)
        return np.stack(windows), played

    def _share(self, track: Track) -> np.ndarray:
        """Give the windows that are remixed: all, or where the singer has many an even share."""
        same = [other for other in self.tracks.values() if other.artist == track.artist]
        starts = self.starts(track)
        share = min(1.0, MOST_REMIXED / sum(len(self.starts(other)) for other in same))
        count = max(1, round(share * len(starts)))
        return starts[np.unique(np.linspace(0, len(starts) - 1, count).astype(int))]

    def _last(self, track: Track, stem: SourceName) -> int:
        return max(self._features(track, Source(stem)).frames - self.length, 0)

    def _add_powers(self, voice: tuple[Track, int], band: tuple[Track, int], gain: float) -> np.ndarray:
        """Add the powers of a voice and, `gain` dB up, of a band, both from a frame on: (80, T)."""
        v, b = (
            self._features(track, Source(stem)).window(start, self.length)
            for (track, start), stem in zip((voice, band), STEMS, strict=True)
        )
        return add_powers(v, b + np.float32(gain))

    def _add_waves(self, voice: tuple[Track, int], band: tuple[Track, int], gain: float) -> np.ndarray:
        """Add samples in place of powers."""
        hop = self.front_end.hop
        v, b = (
            np.take(self.samples(track.id, stem), np.arange(self.length * hop) + start * hop, mode="wrap")
            for (track, start), stem in zip((voice, band), STEMS, strict=True)
        )
        return log_mel(v + np.float32(10 ** (gain / 20)) * b, self.front_end)[:, : self.length]

    def _samples(self, name: str, stem: SourceName) -> np.ndarray:
        return np.concatenate(list(track_blocks(self.tracks[name], Source(stem))))

    def _level(self, name: str, stem: SourceName) -> float:
        """Give the mean power of a stem in dB, as training on remixes takes it."""
        return mean_db(self._features(self.tracks[name], Source(stem)).log_mel)
