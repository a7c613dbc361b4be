"""Sound files of any common kind to mono float32 at 16 kHz, as a stream of blocks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
import soxr

from whosings.audio.units import SAMPLE_RATE
from whosings.errors import UnreadableSoundError

if TYPE_CHECKING:
    from av.container import InputContainer

# fmt: off
AUDIO_SUFFIXES = frozenset([
    ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".caf", ".flac", ".m4a", ".m4b", ".mka",
    ".mp2", ".mp3", ".mpc", ".oga", ".ogg", ".opus", ".rf64", ".tta", ".w64", ".wav", ".wave", ".wma", ".wv",
])
VIDEO_SUFFIXES = frozenset([
    ".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv",
])
# fmt: on
SOUND_SUFFIXES = AUDIO_SUFFIXES | VIDEO_SUFFIXES

CHUNK = 1 << 16  # samples per channel that are decoded at a time, at the rate of the file
SHORTEST_REMAINDER = 1.0  # seconds that must be left of a file that ends before its header says
LOUDEST = 1e9  # a sample beyond this is no sound; its power would not fit float32 either
MP3_JUNK = 8  # packets of an mp3 that may fail: its frames stand alone, and many files end in old tags
GUESSED = frozenset({"aac", "ac3", "amr", "mp3"})  # FFmpeg's formats that are bare frames without a length
XING_TOLERANCE = 0.01  # share by which the size in an mp3's header may differ from the size of the file


class _DamagedError(Exception):
    """The decoder met something it cannot decode; the message is the decoder's own."""


@dataclass(frozen=True)
class _Decoder:
    """An open sound: its rate in Hz, its chunks `(samples, channels)` and the seconds its header declares."""

    rate: int
    chunks: Iterator[np.ndarray]
    seconds: float | None
    guessed: bool = False  # the seconds are worked out from bitrate and size


def is_sound(path: Path) -> bool:
    """Say by its name whether a folder scan should take `path` for sound (macOS `._` companions are none)."""
    return path.suffix.lower() in SOUND_SUFFIXES and not path.name.startswith("._")


def blocks(path: Path, channel: int | None = None) -> Iterator[np.ndarray]:
    """
    Decode a file as mono float32 blocks `(samples,)` at 16 kHz, never more than a few seconds at a time.

    `channel` counts from 0; None is the mean of all channels. A file of n samples at rate r gives
    ceil(n * 16000 / r) samples in all. A file that was cut short is decoded as far as it goes.

    Raises UnreadableSoundError, from the first step on, where the file is missing, empty, damaged, holds no
    sound or has no such channel.
    """
    with _opened(path) as decoder:
        resampler = _Resampler(decoder.rate)
        heard = 0.0  # seconds
        try:
            for chunk in _mono(path, decoder.chunks, channel):
                heard += len(chunk) / decoder.rate
                resampled = resampler.push(chunk)
                if len(resampled):
                    yield resampled
        except _DamagedError as error:
            raise UnreadableSoundError(
                f"{path}: the file is damaged after {heard:.1f} s ({error}); get a whole copy of it."
            ) from error
        _check_heard(path, heard, decoder.seconds)
        rest = resampler.finish()
        if len(rest):
            yield rest


def read(path: Path, channel: int | None = None) -> np.ndarray:
    """Decode a whole file to mono float32 `(samples,)` at 16 kHz; `channel` and errors as for `blocks`."""
    return np.concatenate(list(blocks(path, channel)))


def duration(path: Path) -> float:
    """
    Measure a file in seconds, from its header where that can be trusted, else by decoding all of it.

    Raises UnreadableSoundError as `blocks` does.
    """
    with _opened(path) as decoder:
        if decoder.seconds and not decoder.guessed:
            return decoder.seconds
    return sum(len(block) for block in blocks(path)) / SAMPLE_RATE


def _check_file(path: Path) -> None:
    """Raise UnreadableSoundError unless `path` is a file with something in it that may be read."""
    if path.is_dir():
        raise UnreadableSoundError(f"{path}: this is a folder; name a sound file in it.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError:
        raise UnreadableSoundError(f"{path}: there is no such file; check its name.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableSoundError(
            f"{path}: the file cannot be opened ({reason}); check its permissions."
        ) from error
    if empty:
        raise UnreadableSoundError(f"{path}: the file is empty (0 bytes); get a whole copy of it.")


def _check_heard(path: Path, heard: float, declared: float | None) -> None:
    """Raise UnreadableSoundError where nothing was heard, or under a second of a file declared longer."""
    if not heard:
        raise UnreadableSoundError(f"{path}: there is not one sample of sound in this file; leave it out.")
    if declared is not None and heard < min(SHORTEST_REMAINDER, declared / 2):
        raise UnreadableSoundError(
            f"{path}: the file breaks off after {heard:.2f} s of {declared:.1f} s; get a whole copy of it."
        )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[_Decoder]:
    """Open `path` with soundfile where that can be trusted with it, else with PyAV."""
    _check_file(path)
    file = None
    if path.suffix.lower() != ".mp3" or _has_true_length(path):
        # TypeError: soundfile wants to be told about headerless (.raw) files
        with contextlib.suppress(soundfile.LibsndfileError, TypeError):
            # bytes, since a name that is no UTF-8 cannot be encoded strictly; Windows wants text
            file = soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path))
    if file is None:
        with _opened_by_av(path) as decoder:
            yield decoder
    else:
        with file:
            yield _Decoder(file.samplerate, _soundfile_chunks(file), file.frames / file.samplerate)


def _has_true_length(path: Path) -> bool:
    """
    Say whether the header of an mp3 gives its length and fits the size of the file.

    libsndfile stops at the length it guesses where the header gives none (a VBR file lost four fifths of its
    sound), and writes to stderr where length and size do not fit.
    """
    from mutagen import MutagenError
    from mutagen.mp3 import MP3, BitrateMode

    try:
        mp3 = MP3(path)
    except MutagenError:
        return False
    info: Any = mp3.info
    size = path.stat().st_size - (mp3.tags.size if mp3.tags is not None else 0)
    fits = abs(info.length * info.bitrate / 8 - size) < XING_TOLERANCE * size
    return bool(fits and info.bitrate_mode != BitrateMode.UNKNOWN)


def _soundfile_chunks(file: soundfile.SoundFile) -> Iterator[np.ndarray]:
    """Yield float32 `(samples, channels)`, good until the next step; raises _DamagedError."""
    buffer = np.empty((CHUNK, file.channels), dtype=np.float32)
    while True:
        try:
            chunk = file.read(out=buffer)
        except soundfile.LibsndfileError as error:
            raise _DamagedError(error.error_string.removeprefix("Error : ").rstrip(".")) from error
        if not len(chunk):
            return
        yield chunk


@contextlib.contextmanager
def _opened_by_av(path: Path) -> Iterator[_Decoder]:
    """Open the first audio stream of any file FFmpeg knows; raises UnreadableSoundError."""
    import av

    try:
        # An absolute path is never taken for a URL, and a playlist may not reach beyond local files.
        container = av.open(
            str(path.absolute()), metadata_errors="ignore", options={"protocol_whitelist": "file"}
        )
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableSoundError(
            f"{path}: this is no sound file that can be read ({reason}); convert it to FLAC or leave it out."
        ) from error
    with container:
        if not container.streams.audio:
            raise UnreadableSoundError(f"{path}: there is no audio stream in this file; leave it out.")
        stream = container.streams.audio[0]
        if not stream.rate:
            raise UnreadableSoundError(
                f"{path}: there is not one sample of sound in this file; leave it out."
            )
        seconds = None
        if stream.duration is not None and stream.time_base is not None:
            seconds = float(stream.duration * stream.time_base)
        yield _Decoder(stream.rate, _av_chunks(container), seconds, container.format.name in GUESSED)


def _av_chunks(container: InputContainer) -> Iterator[np.ndarray]:
    """Yield float32 `(samples, channels)` from the first audio stream; raises _DamagedError."""
    import av

    stream = container.streams.audio[0]
    convert = av.AudioResampler(format="fltp", rate=stream.rate)
    forgiven = MP3_JUNK if stream.codec_context.name.startswith("mp3") else 0
    held: list[np.ndarray] = []
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                if not forgiven:
                    raise
                forgiven -= 1
                continue
            for frame in frames:
                held += [converted.to_ndarray().T for converted in convert.resample(frame)]
            if sum(map(len, held)) >= CHUNK:
                yield np.concatenate(held)
                held = []
    except (av.FFmpegError, ValueError) as error:  # ValueError: the layout of the channels changes
        raise _DamagedError(getattr(error, "strerror", None) or error) from error
    if held:
        yield np.concatenate(held)


def _mono(path: Path, chunks: Iterator[np.ndarray], channel: int | None) -> Iterator[np.ndarray]:
    """Mix chunks `(samples, channels)` to `(samples,)`; raises UnreadableSoundError if that is no sound."""
    for chunk in chunks:
        channels = chunk.shape[1]
        if channel is not None and not 0 <= channel < channels:
            raise UnreadableSoundError(
                f"{path}: there is no channel {channel} among its {channels}, counted from 0; choose another."
            )
        with np.errstate(all="ignore"):  # sums of infinities are found below
            mono = chunk[:, channel or 0].copy()
            if channel is None and channels > 1:
                for other in range(1, channels):  # ten times faster than mean(axis=1)
                    mono += chunk[:, other]
                mono *= np.float32(1 / channels)
            if not max(mono.max(), -mono.min()) < LOUDEST:  # a NaN fails this as well
                raise UnreadableSoundError(
                    f"{path}: some samples are no sound (NaN, infinite or over {LOUDEST:.0e}); mend it."
                )
        yield mono


class _Resampler:
    """Bring mono chunks at `rate` Hz to 16 kHz, to the exact length in the end."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._stream = (
            None if rate == SAMPLE_RATE else soxr.ResampleStream(rate, SAMPLE_RATE, 1, "float32", "HQ")
        )
        self._taken = 0
        self._given = 0

    def push(self, chunk: np.ndarray) -> np.ndarray:
        """Take `(samples,)` at the rate of the file and give what is ready at 16 kHz."""
        if self._stream is None:
            return chunk
        resampled: np.ndarray = self._stream.resample_chunk(chunk)
        self._taken += len(chunk)
        self._given += len(resampled)
        return resampled

    def finish(self) -> np.ndarray:
        """Give the rest, cut or padded with zeros so that the whole is ceil(taken * 16000 / rate) samples."""
        if self._stream is None:
            return np.empty(0, dtype=np.float32)
        rest = self._stream.resample_chunk(np.empty(0, dtype=np.float32), last=True)
        wanted = -(-self._taken * SAMPLE_RATE // self._rate) - self._given
        return np.pad(rest[:wanted], (0, max(0, wanted - len(rest))))
