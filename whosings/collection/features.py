"""Log-mels and melodies on disk: computed once for a content and its settings, memory-mapped ever after."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from whosings.audio.frontend import SINGER, FrontEnd
from whosings.collection.sound import track_blocks, track_files
from whosings.collection.stems import StemStore
from whosings.collection.track import Source, Track
from whosings.collection.windows import HEARING, Features, Hearing
from whosings.errors import UnreadableSoundError, WhosingsError
from whosings.files import replacing, sha256_of, write_text

if TYPE_CHECKING:
    import numpy as np

FORMAT = 1  # of log-mels in the store; a new number makes all of them anew
BLOCK_FRAMES = 4096  # frames clipped at once: 2 MB


def default_cache() -> Path:
    """Give the folder for computed things: $WHOSINGS_CACHE, or else the user's cache folder."""
    import platformdirs

    named = os.environ.get("WHOSINGS_CACHE")
    return Path(named).expanduser() if named else platformdirs.user_cache_path("whosings")


class FeatureStore:
    """
    Features of tracks under one folder, keyed by the content of their files and by every setting.

    Files are whole or absent and never change, so several processes may share a store. Stems that have to be
    separated first are kept under `stem_root`, by default the same folder.
    """

    def __init__(self, root: Path, stem_root: Path | None = None) -> None:
        self.root = Path(root)
        self.stems = StemStore(stem_root or self.root, self.file_hash)
        self._hashes: dict[tuple[str, int, int], str] = {}

    def features(self, track: Track, source: Source, hearing: Hearing = HEARING) -> Features:
        """Give the log-mel of a track, and its melody where that is heard; errors as for `log_mel`."""
        log_mel = self.log_mel(track, source, hearing.front_end)
        contour = self.contour(track, source) if hearing.melody else None
        return Features(log_mel, contour, hearing.front_end)

    def log_mel(self, track: Track, source: Source, front_end: FrontEnd = SINGER) -> np.ndarray:
        """
        Give the log-mel of a track: read-only, memory-mapped, float32 dB (n_mels, frames), frame-major.

        Computed at the first call with bounded memory, however long the track. Raises WhosingsError where the
        track lacks the source, a file cannot be read, or the store cannot be written.
        """
        write = partial(_write_log_mel, front_end=front_end)
        return self._kept(front_end.name, track, source, (FORMAT, *front_end.settings), write)

    def contour(self, track: Track, source: Source) -> np.ndarray:
        """
        Give the mel band of the melody in each frame of a track: read-only int16 (frames,), -1 for none.

        Raises as `log_mel` does, and where the `melody` extra is missing.
        """
        from whosings.audio.melody import MELODY_SETTINGS

        return self._kept("melody", track, source, MELODY_SETTINGS, _write_contour)

    def activity(self, track: Track, source: Source) -> np.ndarray:
        """
        Give the probabilities of speech, singing and music in a track: float32 (3, frames), ten a second.

        Raises as `log_mel` does, and where the package that hears them is missing.
        """
        from whosings.audio.activity import ACTIVITY_SETTINGS

        return self._kept("activity", track, source, ACTIVITY_SETTINGS, _write_activity)

    def _kept(
        self,
        kind: str,
        track: Track,
        source: Source,
        settings: Any,
        write: Callable[[Path, Iterator[np.ndarray]], None],
    ) -> np.ndarray:
        """Give an array from the store; `write` makes it from the sound of the track where it is missing."""
        import numpy as np

        if source.separated:
            track, source = self.stems.separate(track, source), Source(source.name)
        key = self.key(track, source, settings)
        path = self.root / kind / key[:2] / f"{key}.npy"
        try:
            if not path.is_file():
                with replacing(path) as temporary:
                    write(temporary, track_blocks(track, source))
            return np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise WhosingsError(
                f"{path}: this file of the feature cache cannot be written or read ({error}); delete it, "
                "free some space, or name another folder in WHOSINGS_CACHE."
            ) from error

    def key(self, track: Track, source: Source, settings: Any = ()) -> str:
        """Give the key of an array: a hash over the content of the files heard and all its settings."""
        parts = [[(self.file_hash(f.path), f.channel) for f in files] for files in track_files(track, source)]
        summed = any(len(files) > 1 for files in parts)
        content = {"settings": settings, "mix_db": source.mix_db if summed else None, "parts": parts}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def file_hash(self, path: Path) -> str:
        """Give the SHA-256 of a file, remembered (here and on disk) until its size or time changes."""
        path = Path(os.path.abspath(path))
        try:
            status = path.stat()
            known = (str(path), status.st_size, status.st_mtime_ns)
            if known not in self._hashes:
                self._hashes[known] = self._hash_on_disk(*known)
        except OSError as error:
            raise UnreadableSoundError(
                f"{path}: this sound file cannot be read ({error.strerror})."
            ) from error
        return self._hashes[known]

    def _hash_on_disk(self, path: str, size: int, mtime_ns: int) -> str:
        name = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()
        memo = self.root / "hashes" / name[:2] / f"{name}.txt"
        stamp = f"{size} {mtime_ns}"
        if memo.is_file():
            digest, _, then = memo.read_text(encoding="ascii").partition(" ")
            if then == stamp:
                return digest
        digest = sha256_of(Path(path))
        write_text(memo, f"{digest} {stamp}")
        return digest

    def prepare(
        self,
        tracks: Iterable[Track],
        source: Source,
        workers: int = 2,
        on_done: Callable[[Track, WhosingsError | None], None] | None = None,
        hearing: Hearing = HEARING,
    ) -> dict[str, WhosingsError]:
        """
        Compute the features of many tracks; give the errors by track id, none of which ends the work.

        `on_done` hears of each track as it is finished, in the calling thread. Threads serve as well as
        processes here, since decoding, resampling and transforms let go of the interpreter.
        """
        errors: dict[str, WhosingsError] = {}
        with ThreadPoolExecutor(max_workers=workers) as pool:
            futures = {pool.submit(self._try, track, source, hearing): track for track in tracks}
            try:
                for future in as_completed(futures):
                    track, error = futures[future], future.result()
                    if error is not None:
                        errors[track.id] = error
                    if on_done is not None:
                        on_done(track, error)
            finally:
                pool.shutdown(cancel_futures=True)
        return errors

    def _try(self, track: Track, source: Source, hearing: Hearing) -> WhosingsError | None:
        try:
            self.features(track, source, hearing)
        except WhosingsError as error:
            return error
        return None


@contextmanager
def passing_store() -> Iterator[FeatureStore]:
    """
    Give a store for a lone file whose features are gone afterwards, while its stems are kept.

    Features go through files all the same, so that hours of sound need no more memory than minutes; stems
    take long to make.
    """
    with tempfile.TemporaryDirectory(prefix="whosings-") as folder:
        yield FeatureStore(Path(folder), default_cache())


def _write_contour(path: Path, blocks: Iterator[np.ndarray]) -> None:
    """Write the melody of a stream as .npy (frames,)."""
    import numpy as np

    from whosings.audio.melody import contour

    np.save(path, contour(blocks))


def _write_activity(path: Path, blocks: Iterator[np.ndarray]) -> None:
    """Write the probabilities of speech, singing and music in a stream as .npy (3, frames)."""
    import numpy as np

    from whosings.audio.activity import activity

    np.save(path, activity(blocks))


def _write_log_mel(path: Path, blocks: Iterator[np.ndarray], front_end: FrontEnd) -> None:
    """Write the log-mel of a stream as a Fortran-ordered .npy (n_mels, frames): frame after frame."""
    import numpy as np

    from whosings.audio import logmel

    frames, peak = 0, -np.inf
    with path.open("w+b") as file:
        start = _write_header(file, front_end.n_mels, 0)
        for block in logmel.log_mel_blocks(blocks, front_end):
            file.write(np.asarray(block, dtype="<f4").tobytes(order="F"))
            frames += block.shape[1]
            peak = max(peak, float(block.max()))
        # numpy pads its header so that the growing axis never moves the data
        file.seek(0)
        if _write_header(file, front_end.n_mels, frames) != start:
            raise ValueError("the header of the array file changed its length")
        if front_end.top_db is None:
            return
        for first in range(0, frames, BLOCK_FRAMES):
            offset = start + first * front_end.n_mels * 4
            _clip(file, offset, min(BLOCK_FRAMES, frames - first), peak, front_end)


def _write_header(file: BinaryIO, bands: int, frames: int) -> int:
    """Write the .npy header for (bands, frames) float32; give the offset of the data in bytes."""
    from numpy.lib import format as npy

    npy.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": True, "shape": (bands, frames)})
    return file.tell()


def _clip(file: BinaryIO, offset: int, frames: int, peak: float, front_end: FrontEnd) -> None:
    """Clip frames of the file, from a byte offset on, to the floor below the song's peak in dB."""
    import numpy as np

    from whosings.audio import logmel

    file.seek(offset)
    data = bytearray(file.read(frames * front_end.n_mels * 4))
    values = np.frombuffer(data, dtype="<f4").reshape(frames, front_end.n_mels)
    logmel.apply_top_db(values.T, peak, front_end)
    file.seek(offset)
    file.write(values.tobytes())
