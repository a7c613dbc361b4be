"""Small sound files that the tests of this room write."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soundfile


def tone(seconds: float, rate: int, frequency: float = 440.0, level: float = 0.3) -> np.ndarray:
    """A sine `(samples,)`, float32."""
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def noise(samples: int, seed: int = 0, level: float = 0.1) -> np.ndarray:
    """White noise `(samples,)`, float32."""
    return level * np.random.default_rng(seed).standard_normal(samples, dtype=np.float32)


def write(path: Path, channels: list[np.ndarray], rate: int) -> Path:
    """Write the channels to `path` with whichever library writes its kind, and give `path`."""
    sound = np.stack(channels)
    if path.suffix in {".wav", ".flac", ".mp3", ".ogg"}:
        # libsndfile's Vorbis encoder overflows the stack on long writes
        with soundfile.SoundFile(path, "w", rate, len(channels)) as file:
            for start in range(0, sound.shape[1], 1 << 14):
                file.write(sound[:, start : start + (1 << 14)].T)
    else:
        _write_with_av(path, sound, rate)
    return path


def _write_with_av(path: Path, sound: np.ndarray, rate: int) -> None:
    codec = "libopus" if path.suffix in {".opus", ".webm"} else "aac"
    layout = "stereo" if len(sound) == 2 else "mono"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=25) if path.suffix in {".mp4", ".mkv"} else None
        stream = container.add_stream(codec, rate=rate, layout=layout)
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
            black = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(black))
            container.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="fltp", layout=layout)
        frame.rate = rate
        convert = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate)
        for converted in convert.resample(frame):
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))


def write_silent_film(path: Path) -> Path:
    """Write a film of one picture without any sound."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        black = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux(picture.encode(black))
        container.mux(picture.encode(None))
    return path
