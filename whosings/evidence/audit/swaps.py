"""
What a model is asked to hear of a song: as it is, its voice, its band, others in their place, and noise.

Everything is made of two arrays, the voice and the band of a song at the levels that they have in its mix.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

import numpy as np
from scipy import fft

from whosings.audio.units import SAMPLE_RATE
from whosings.collection.noise import LEVEL_DB
from whosings.collection.sound import track_blocks
from whosings.collection.track import Source, Track
from whosings.errors import WhosingsError

MIX, VOICE, BAND = "mix", "voice", "band"
BAND_SWAPPED, VOICE_SWAPPED = "band_swapped", "voice_swapped"

NOISE_BANDS = 10
LOWEST = 50.0  # Hz, where singing begins


@dataclass(frozen=True)
class Stems:
    """The voice and the band of a track, both float32 (samples,) at 16 kHz; their sum is its mix."""

    track: Track
    voice: np.ndarray
    band: np.ndarray

    @property
    def mix(self) -> np.ndarray:
        """The song as the model hears it otherwise: (samples,)."""
        summed: np.ndarray = self.voice + self.band
        return summed


@dataclass(frozen=True)
class NoiseBand:
    """A range of frequencies in Hz."""

    low: float
    high: float

    @property
    def name(self) -> str:
        """What the answers to songs with this noise go by."""
        return f"noise {self.low:.0f}-{self.high:.0f}"


def read_stems(track: Track, mix_db: float | None = None) -> Stems:
    """
    Read the stems of a track at the levels of its mix, each part as long as its shorter stem.

    With `mix_db` the band of each part lies that many dB below the voice, as in `track_blocks`. Without, the
    stems keep their balance and their sum is as loud as the mix that lies on disk, where one does.

    Raises WhosingsError where the track lacks a stem or holds no sound, UnreadableSoundError where a file
    cannot be read.
    """
    pairs = [_levelled(replace(track, parts=(part,)), mix_db) for part in track.parts]
    voice, band = (np.concatenate(stems) for stems in zip(*pairs, strict=True))
    if not len(voice):
        raise WhosingsError(f"{track.id}: its stems have no sound in common; leave it out.")
    return Stems(track, voice, band)


def _levelled(part: Track, mix_db: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Give the voice and the band (samples,) of a track of one part, as they lie in its mix."""
    voice, band = (_sound(part, Source(name)) for name in ("vocals", "accompaniment"))
    length = min(len(voice), len(band))
    voice, band = voice[:length], band[:length]
    if mix_db is not None:
        if voice.any() and band.any():
            band = band * np.float32(_rms(voice) / _rms(band) * 10 ** (-mix_db / 20))
    elif part.parts[0].mix is not None and (voice + band).any():
        gain = np.float32(_rms(_sound(part, Source("mix"))[:length]) / _rms(voice + band))
        voice, band = gain * voice, gain * band
    return voice, band


def _sound(track: Track, source: Source) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *track_blocks(track, source)])


def _rms(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) if len(sound) else 0.0


def deal(
    tracks: Sequence[Track], seed: int = 0, labels: Sequence[Mapping[str, str]] = ()
) -> dict[str, Track]:
    """
    Give each track, by its id, one of another singer to swap with.

    Partners go round, song by song and then singer by singer, so that nearly every song is dealt once. Songs
    of one title may share their backing, as may those that one of `labels` (by track id) calls the same, a
    work or a band; they meet only where there is nothing else.

    Raises WhosingsError where there is one singer alone.
    """

    def names(track: Track) -> list[str | None]:
        return [track.title.casefold(), *(label.get(track.id) for label in labels)]

    random = Random(seed)
    order = sorted(tracks, key=lambda track: (random.random(), track.id))
    dealt, met = Counter[str](), Counter[tuple[str, str]]()
    partners = {}
    for track in order:
        others = [other for other in order if other.artist != track.artist]
        if not others:
            raise WhosingsError(
                f"Only {track.artist} has songs here, and a swap needs two singers; add songs of others."
            )

        def cost(other: Track, track: Track = track) -> tuple[bool, int, int, float]:
            alike = any(a == b is not None for a, b in zip(names(track), names(other), strict=True))
            return alike, dealt[other.id], met[track.artist, other.artist], random.random()

        chosen = min(others, key=cost)
        dealt[chosen.id] += 1
        met[track.artist, chosen.artist] += 1
        partners[track.id] = chosen
    return partners


def sounds(
    song: Stems, other: Stems, bands: Sequence[NoiseBand], seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Make all that a model is asked to hear of a song, by name, each as long as the song: (samples,)."""
    mix = song.mix
    yield MIX, mix
    yield VOICE, song.voice
    yield BAND, song.band
    yield BAND_SWAPPED, song.voice + in_place_of(song.band, other.band)
    yield VOICE_SWAPPED, in_place_of(song.voice, other.voice) + song.band
    for band, noise in zip(bands, _noises(mix, bands, f"{seed}\0{song.track.id}"), strict=True):
        yield band.name, mix + noise


def in_place_of(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """
    Give `new` (samples,) as long and as loud as `old`: cut, or begun again until it lasts.

    Loudness is the energy over the whole song. Beside silence `new` is left as loud as it is.
    """
    fitted = np.resize(new, len(old))
    level, wanted = _rms(fitted), _rms(old)
    return fitted * np.float32(wanted / level) if level and wanted else fitted


def noise_bands() -> list[NoiseBand]:
    """Divide all that is heard into bands of equal width on the mel scale."""
    from librosa import mel_frequencies

    edges = np.round(mel_frequencies(NOISE_BANDS + 1, fmin=LOWEST, fmax=SAMPLE_RATE / 2), -1)
    return [NoiseBand(float(low), float(high)) for low, high in pairwise(edges)]


def _noises(mix: np.ndarray, bands: Sequence[NoiseBand], draw: str) -> Iterator[np.ndarray]:
    """
    Make white noise within each band, LEVEL_DB over the mean power of `mix` as in `collection.noise`.

    It is cut out of one draw of white noise by its spectrum.
    """
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(draw.encode()).digest()[:16], "big"))
    length = fft.next_fast_len(len(mix), real=True)
    spectrum = fft.rfft(generator.standard_normal(length, dtype=np.float32))
    hertz = fft.rfftfreq(length, 1 / SAMPLE_RATE)
    wanted = _rms(mix) * 10 ** (LEVEL_DB / 20)
    for band in bands:
        inside = (band.low <= hertz) & (hertz < band.high)
        noise = fft.irfft(np.where(inside, spectrum, np.complex64(0)), length)[: len(mix)]
        yield noise * np.float32(wanted / (_rms(noise) or 1.0))  # too short a song may have none of a band
