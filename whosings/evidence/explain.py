"""
What spoke for a singer in a song: heat over all its windows, the seconds to hear, a picture and a page.

Grad-CAM and HiResCAM scale each window to its own maximum, which makes a doubtful window as hot as a sure
one. So each window is weighed by the network's probability of the singer in it. In the picture, that (over
the probability of the singer's surest window) is how hot a window gets at most. In sums, over moments or
frequencies, it is how much a second of the window counts in all: wide heat is no stronger evidence than heat
in one spot.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from whosings.audio.frontend import SINGER, FrontEnd
from whosings.audio.units import SAMPLE_RATE, TOP_DB
from whosings.collection.features import FeatureStore, passing_store
from whosings.collection.track import Track
from whosings.drawing import VERMILION
from whosings.errors import WhosingsError
from whosings.evidence.gradcam import Method, heat_maps, method
from whosings.evidence.pictures import mel_places, pooled, song_picture
from whosings.evidence.report import data_address, write_page
from whosings.identify.ladder import (
    Answer,
    LogProbabilities2Answer,
    Track2Sung,
    Track2Windows,
    Windows,
    Windows2LogProbabilities,
    check_lone,
    lone_track,
)
from whosings.identify.votes import of_voters
from whosings.models import ModelCard, load_model

CAM_BATCH = 8  # windows explained at once; going back holds all activations, and more are no faster

MOST_MOMENTS = 5
SHORTEST_MOMENT, LONGEST_MOMENT = 1.0, 3.0  # seconds
MOMENT_SHARE = 0.1  # of the song, that a moment lasts between these
MOMENTS_SHARE = 0.5  # of the song, that all moments together may last
CLOSE = 0.5  # seconds; moments with less between them are one

BAND_EDGES = (0, 250, 1000, 2000, 4000, 8000)  # Hz

LONGEST_SOUND = 900.0  # seconds that a page holds the sound of
MP3_BITRATE_STEP = 0.7  # libsndfile's scale from best to smallest: 56 kbit/s at 16 kHz mono
MOST_COLUMNS = 4000  # pixels of the page's spectrogram
PIXELS_PER_SECOND = 12  # at least, on the page
OPAQUE = 0.75  # of the hottest cell
HZ_TICKS = (250, 500, 1000, 2000, 4000)  # Hz
TICK_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)  # seconds
MOST_TICKS = 40
MOST_NAMED = 30  # singers that an error names


@dataclass(frozen=True)
class Explanation:
    """An answer, and the seconds that speak most for it."""

    answer: Answer
    listen_from: float
    listen_to: float


@dataclass(frozen=True)
class Moment:
    """A stretch of a song that spoke for the singer."""

    start: float
    """seconds"""
    stop: float
    """seconds"""
    share: float
    """of the heat of the whole song, 0 to 1"""


@dataclass(frozen=True)
class BandShare:
    """How much of the heat lies in a range of frequencies."""

    low: int
    """Hz"""
    high: int
    """Hz"""
    share: float
    """of the heat of the whole song, 0 to 1"""
    even: float
    """the share it would have if all mel bands spoke alike"""


@dataclass(frozen=True)
class Explained:
    """What spoke for a singer in a file, and where that can be seen and heard: evidence, not proof."""

    file: str
    answer: Answer
    """what the model says of the file"""
    singer: str
    """for whom the heat speaks: the answer's singer, or the one asked for"""
    surest: float
    """the network's probability of `singer` in its surest window, 0 to 1"""
    moments: list[Moment]
    """the hottest first; none where nothing spoke for the singer"""
    bands: list[BandShare]
    """from low to high; none where nothing spoke for the singer"""
    picture: Path
    page: Path


@dataclass(frozen=True)
class _Heard:
    """A song as the model heard it, with the heat of `singer`."""

    windows: Windows
    rows: np.ndarray
    """log-probabilities (windows, singers)"""
    answer: Answer
    singer: str
    probabilities: np.ndarray
    """of `singer`: (windows,)"""
    heat: np.ndarray
    """(n_mels, frames), 0 to 1"""
    method: Method

    @property
    def front_end(self) -> FrontEnd:
        """What made the spectrogram."""
        return self.windows.features.front_end


def song_heat(network: nn.Module, windows: Windows, singer: int, probabilities: np.ndarray) -> np.ndarray:
    """
    Give the heat of a class over a song, comparable over all of it: (n_mels, frames) from 0 to 1.

    Each window is weighed by the class's probability in it, `probabilities` (windows,), over the highest of
    them; where windows overlap, the larger heat counts. A song where nothing spoke stays 0.
    """
    device = next(network.parameters()).device
    frames = windows.log_mel.shape[1]
    weights = probabilities / probabilities.max()  # relative, so that an unlikely singer has heat too
    heat = np.zeros(windows.log_mel.shape, dtype=np.float32)
    for first in range(0, len(windows.starts), CAM_BATCH):
        batch = windows.batch(first, CAM_BATCH).to(device)
        maps = heat_maps(network, batch, singer).cpu().numpy()
        for at, window_map in enumerate(maps, first):
            start = int(windows.starts[at])
            stop = min(start + windows.length, frames)
            part = heat[:, start:stop]
            np.maximum(part, np.float32(weights[at]) * window_map[:, : stop - start], out=part)
    peak = heat.max()
    if peak > 0:
        heat /= peak
    return heat


def heat_sums(heat: np.ndarray, windows: Windows, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Sum the heat (n_mels, frames) of a song over frequencies, (frames,), and over time, (n_mels,).

    Each window counts from its start to the next one's, and there as many frames as it lasts, times the
    singer's probability in it, `probabilities` (windows,): its heat says only how that is spread.
    """
    frames = heat.shape[1]
    by_frame, by_band = np.zeros(frames), np.zeros(len(heat))
    for start, stop, probability in zip(
        windows.starts, np.append(windows.starts[1:], frames), probabilities, strict=True
    ):
        part = heat[:, start:stop].astype(np.float64)
        total = part.sum()
        if total > 0:
            part *= probability * (stop - start) / total
            by_frame[start:stop] = part.sum(axis=0)
            by_band += part.sum(axis=1)
    return by_frame, by_band


def explain(
    network: nn.Module, card: ModelCard, track: Track, store: FeatureStore, picture: Path, title: str = ""
) -> Explanation:
    """Answer for a track and draw its spectrogram, what spoke for the singer, and each window's singer."""
    heard = _hear(network, card, track, store)
    _draw(picture, heard, card, title)
    return Explanation(heard.answer, *heard.windows.span(heard.answer.best_window))


def explain_file(
    run: Path, file: Path, out: Path, *, singer: str | None = None, store: FeatureStore | None = None
) -> Explained:
    """
    Show what spoke for the singer of a file, or for `singer`: `out`/<stem>.png and a page, `out`/<stem>.html.

    The page is one file that needs no network; it holds the sound too, of up to LONGEST_SOUND. Without a
    `store` the log-mel is thrown away.

    Raises WhosingsError, before anything is written, where `run` is no model, does not know `singer` or
    hears a source that a lone file lacks or has no maps to explain, or the file cannot be read; and where
    `out` cannot be written.
    """
    network, card = load_model(run)
    if singer is not None and singer not in card.singers:
        raise WhosingsError(f"{run}: this model does not know {singer!r}; it knows {_named(card.singers)}.")
    if network.cam_layer is None:
        raise WhosingsError(
            f"{run}: a {card.system} has no maps over frequency to explain; `whosings identify` says when it "
            "hears whom, and `whosings audit` whether it follows the voice."
        )
    check_lone(file, card)
    picture, page = out / f"{file.stem}.png", out / f"{file.stem}.html"
    with nullcontext(store) if store else passing_store() as lent:
        heard = _hear(network, card, lone_track(file), lent, singer)
        by_frame, by_band = heat_sums(heard.heat, heard.windows, heard.probabilities)
        explained = Explained(
            file=str(file),
            answer=heard.answer,
            singer=heard.singer,
            surest=float(heard.probabilities.max()),
            moments=telling_moments(by_frame, heard.windows.frame_rate),
            bands=band_shares(by_band, heard.front_end),
            picture=picture,
            page=page,
        )
        values = _page_values(explained, heard, card, file)
        _draw(picture, heard, card, values["name"])
        write_page(page, "explain.html", **values)
    return explained


def telling_moments(heat: np.ndarray, frame_rate: float = SINGER.frame_rate) -> list[Moment]:
    """
    Find the (up to five) stretches of a song that carry most of `heat` (frames,), the hottest first.

    There are `frame_rate` frames a second. A stretch lasts a tenth of the song, within 1 to 3 s; all together
    cover at most half of it. After the first, none is taken that carries less than its even share; those less
    than half a second apart are one.
    """
    frames, total = len(heat), float(heat.sum())
    if not total > 0:
        return []
    seconds = float(np.clip(MOMENT_SHARE * frames / frame_rate, SHORTEST_MOMENT, LONGEST_MOMENT))
    length = min(round(seconds * frame_rate), frames)
    until = np.concatenate([[0.0], np.cumsum(heat, dtype=np.float64)])
    sums = until[length:] - until[:-length]  # of the stretch that starts at each frame
    starts: list[int] = []
    for _ in range(max(1, min(MOST_MOMENTS, int(MOMENTS_SHARE * frames / length)))):
        start = int(sums.argmax())
        if sums[start] < 0 or (starts and sums[start] * frames < total * length):
            break
        starts.append(start)
        sums[max(0, start - length + 1) : start + length] = -1.0  # they would overlap
    spans: list[tuple[int, int]] = []
    for start in sorted(starts):
        if spans and start - spans[-1][1] < CLOSE * frame_rate:
            spans[-1] = (spans[-1][0], start + length)
        else:
            spans.append((start, start + length))
    found = [
        Moment(start / frame_rate, stop / frame_rate, float(until[stop] - until[start]) / total)
        for start, stop in spans
    ]
    return sorted(found, key=lambda moment: -moment.share)


def band_shares(heat: np.ndarray, front_end: FrontEnd = SINGER) -> list[BandShare]:
    """Sum `heat` (n_mels,) of the mel bands, by their centres, over ranges of Hz; none where all is 0."""
    total = float(heat.sum())
    if not total > 0:
        return []
    centres = front_end.centres
    shares = []
    for low, high in pairwise(BAND_EDGES):
        inside = (low <= centres) & (centres < high)
        shares.append(BandShare(low, high, float(heat[inside].sum()) / total, float(inside.mean())))
    return shares


def _hear(
    network: nn.Module, card: ModelCard, track: Track, store: FeatureStore, singer: str | None = None
) -> _Heard:
    """Climb the ladder to an answer, and find the heat of its singer or of `singer`."""
    windows = Track2Windows(store, card)(track)
    rows = Windows2LogProbabilities(network)(windows)
    voting = of_voters(np.arange(len(rows)), Track2Sung(store, card)(track, windows.start_seconds))
    answer = LogProbabilities2Answer(card.singers, card.vote, card.calibration)(rows[voting])
    answer = replace(answer, best_window=int(voting[answer.best_window]))
    of = answer.singer if singer is None else singer
    code = card.singers.index(of)
    probabilities = np.exp(rows[:, code].astype(np.float64))  # in float32 the smallest would be lost
    heat = song_heat(network, windows, code, probabilities)
    return _Heard(windows, rows, answer, of, probabilities, heat, method(network))


def _draw(picture: Path, heard: _Heard, card: ModelCard, title: str) -> None:
    song_picture(
        picture,
        np.asarray(heard.windows.log_mel),
        heard.heat,
        np.exp(heard.rows),
        heard.windows.start_seconds,
        card.singers,
        title,
        heard.front_end,
    )


def _named(singers: Sequence[str]) -> str:
    more = f" and {len(singers) - MOST_NAMED} more" if len(singers) > MOST_NAMED else ""
    return ", ".join(singers[:MOST_NAMED]) + more


def _page_values(explained: Explained, heard: _Heard, card: ModelCard, file: Path) -> dict[str, Any]:
    """Give all that the page shows, sound and pictures inside."""
    frames, frame_rate = heard.windows.features.frames, heard.windows.frame_rate
    step = -(-frames // MOST_COLUMNS)  # frames to a column of the picture
    log_mel, heat = (pooled(values, step) for values in (heard.windows.log_mel, heard.heat))
    seconds = log_mel.shape[1] * step / frame_rate  # to the end of the last column
    sound = _sound(file) if frames / frame_rate <= LONGEST_SOUND else None
    return {
        "name": _printable(file.name),
        "path": _printable(str(file.absolute())),
        "explained": explained,
        "card": card,
        "method": heard.method,
        "seconds": seconds,
        "width": min(MOST_COLUMNS, round(seconds * PIXELS_PER_SECOND)),
        "spectrogram": data_address(_grey_png(log_mel), "image/png"),
        "heat": data_address(_heat_png(heat), "image/png"),
        "sound": sound and data_address(sound, "audio/mpeg"),
        "longest": LONGEST_SOUND,
        "hz_ticks": _hz_ticks(heard.front_end),
        "time_ticks": _time_ticks(seconds),
        "strip": _strip(heard, card, frames / frame_rate),
        "heard": Counter(card.singers[code] for code in heard.rows.argmax(axis=1)).most_common(),
    }


def _printable(name: str) -> str:
    """Write the bytes of a name that are no UTF-8 as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _grey_png(log_mel: np.ndarray) -> bytes:
    """Draw a log-mel in dB, a pixel to a cell, dark where loud."""
    from matplotlib.image import imsave

    image, loudest = io.BytesIO(), float(log_mel.max())
    imsave(image, log_mel, cmap="Greys", vmin=loudest - TOP_DB, vmax=loudest, origin="lower", format="png")
    return image.getvalue()


def _heat_png(heat: np.ndarray) -> bytes:
    """Draw heat from 0 to 1 as a colour over nothing, a pixel to a cell."""
    from matplotlib.colors import to_rgb
    from matplotlib.image import imsave

    pixels = np.empty((*heat.shape, 4), dtype=np.float32)
    pixels[..., :3] = to_rgb(VERMILION)
    pixels[..., 3] = OPAQUE * heat
    image = io.BytesIO()
    imsave(image, pixels, origin="lower", format="png")
    return image.getvalue()


def _sound(file: Path) -> bytes:
    """Encode a file as mp3, mono at 16 kHz: every browser plays it, and seeks well at a constant rate."""
    import soundfile

    from whosings.audio import decode

    encoded = io.BytesIO()
    with soundfile.SoundFile(
        encoded,
        "w",
        SAMPLE_RATE,
        1,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=MP3_BITRATE_STEP,
        bitrate_mode="CONSTANT",
    ) as mp3:
        for block in decode.blocks(file):
            mp3.write(block.clip(-1, 1))
    return encoded.getvalue()


def _hz_ticks(front_end: FrontEnd) -> list[tuple[str, float]]:
    """Give frequencies in Hz and how high they stand in the picture, in per cent."""
    places = (mel_places(np.array(HZ_TICKS), front_end) + 0.5) / front_end.n_mels
    labels = [f"{hz // 1000}k" if hz >= 1000 else str(hz) for hz in HZ_TICKS]
    return [(label, 100 * place) for label, place in zip(labels, places, strict=True)]


def _time_ticks(seconds: float) -> list[tuple[int, float]]:
    """Give round seconds and how far right they stand in the picture, in per cent."""
    most = max(8.0, min(MOST_TICKS, seconds * PIXELS_PER_SECOND / 100))
    step = next((step for step in TICK_STEPS if seconds / step <= most), TICK_STEPS[-1])
    return [(second, 100 * second / seconds) for second in range(0, int(seconds) + 1, step)]


def _strip(heard: _Heard, card: ModelCard, seconds: float) -> list[dict[str, Any]]:
    """Describe each window: its part of the song in seconds, the singer's probability, and who wins it."""
    starts = heard.windows.start_seconds
    stops = np.append(starts[1:], max(seconds, starts[-1]))  # the last window overlaps the one before
    winners = [card.singers[code] for code in heard.rows.argmax(axis=1)]
    return [
        {"start": float(start), "stop": float(stop), "probability": float(probability), "winner": winner}
        for start, stop, probability, winner in zip(starts, stops, heard.probabilities, winners, strict=True)
    ]
