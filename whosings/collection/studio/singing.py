"""Spoken words and notes in, singing out: pyworld takes speech apart and puts it together on the notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whosings.collection.studio.extras import world
from whosings.collection.studio.songs import Note
from whosings.collection.studio.speech import SPEECH_RATE, Speaker
from whosings.collection.studio.voices import Voice

_FRAME_MS = 5.0
_FRAMES = 200  # frames per second
_F0_FLOOR, _F0_CEILING = 71.0, 500.0  # Hz, of espeak-ng's speech
_SILENT_DB = -30.0  # under the loudest frame: cut from both ends of a word
_HELD_DB = -3.0  # under the loudest frame: still the vowel that a long note holds
_LONGEST_EDGE = 32  # frames of a consonant before or after the vowel
_REST = 0.05  # seconds without a note that end a phrase

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class Syllable:
    """A word as one singer says it, in frames of 5 ms."""

    envelope: Frames  # (frames, bins), natural logarithm of power
    aperiodicity: Frames  # (frames, bins), 0 to 1
    voiced: NDArray[np.bool_]  # (frames,)
    hold: tuple[int, int]  # first and last frame of the vowel that a note holds


def learn(voice: Voice, words: Iterable[str]) -> dict[str, Syllable]:
    """Have `voice` speak each word once, and take it apart."""
    speaker = Speaker(voice.espeak)
    return {word: _analyse(voice, speaker.say(word)) for word in words}


def sing(
    voice: Voice, syllables: Mapping[str, Syllable], notes: Sequence[Note], seconds: float, seed: int
) -> NDArray[np.float64]:
    """Sing `notes`, whose words are all in `syllables`; returns (samples,) at SPEECH_RATE."""
    rng = np.random.default_rng([seed, 2])
    sound = np.zeros(round(seconds * SPEECH_RATE))
    for phrase in phrases(notes):
        onset = _onset(syllables[phrase[0].word])
        part = _sing_phrase(voice, syllables, phrase, rng)
        start = round((phrase[0].start - onset / _FRAMES) * SPEECH_RATE)
        part = part[max(0, -start) : max(0, len(sound) - start)]
        sound[max(0, start) : max(0, start) + len(part)] += part
    return _in_a_room(sound)


def phrases(notes: Sequence[Note]) -> list[list[Note]]:
    """Cut the melody at its rests."""
    groups: list[list[Note]] = []
    for note in notes:
        if groups and note.start - (groups[-1][-1].start + groups[-1][-1].seconds) < _REST:
            groups[-1].append(note)
        else:
            groups.append([note])
    return groups


def _analyse(voice: Voice, speech: NDArray[np.float64]) -> Syllable:
    """Split speech into f0, envelope and aperiodicity, and give the last two the singer's timbre."""
    pyworld = world()
    rough, times = pyworld.dio(speech, SPEECH_RATE, _F0_FLOOR, _F0_CEILING, frame_period=_FRAME_MS)
    f0 = pyworld.stonemask(speech, rough, times, SPEECH_RATE)
    power = pyworld.cheaptrick(speech, f0, times, SPEECH_RATE, f0_floor=_F0_FLOOR)
    aperiodicity = pyworld.d4c(speech, f0, times, SPEECH_RATE, fft_size=2 * (power.shape[1] - 1))
    level = 10 * np.log10(power.sum(axis=1))
    heard = np.flatnonzero(level > level.max() + _SILENT_DB)
    cut = slice(heard[0], heard[-1] + 1)
    level, voiced = level[cut], f0[cut] > 0
    first, last = _vowel(level, voiced)
    envelope = np.log(power[cut])
    loudness = np.log(np.exp(envelope[first : last + 1]).sum(axis=1).mean())
    envelope, aperiodicity = _timbre(voice, envelope - loudness, aperiodicity[cut])
    voiced[first : last + 1] = True
    return Syllable(
        envelope.astype(np.float32), aperiodicity.astype(np.float32), voiced, (int(first), int(last))
    )


def _vowel(level: NDArray[np.float64], voiced: NDArray[np.bool_]) -> tuple[int, int]:
    """Find the stretch of voiced frames around the loudest one that is nearly as loud."""
    peak = int(np.argmax(np.where(voiced, level, -np.inf)))
    steady = voiced & (level > level[peak] + _HELD_DB)
    breaks = np.flatnonzero(~steady)
    first = int(breaks[breaks < peak].max(initial=-1)) + 1
    last = int(breaks[breaks > peak].min(initial=len(level))) - 1
    return first, first + (last - first) * 3 // 4  # the end of the vowel already leans to the next sound


def _timbre(
    voice: Voice, envelope: NDArray[np.float64], aperiodicity: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale the formants, tilt the spectrum and add breath; both arrays are (frames, bins)."""
    bins = envelope.shape[1]
    source = np.clip(np.arange(bins) / voice.formant_scale, 0, bins - 1)
    left = np.minimum(source.astype(int), bins - 2)
    weight = source - left
    warped = (1 - weight) * envelope[:, left] + weight * envelope[:, left + 1]
    hertz = np.arange(bins) * SPEECH_RATE / 2 / (bins - 1)
    octaves = np.log2(np.maximum(hertz, 500.0) / 500.0)
    breath = voice.breathiness * np.clip(hertz / 4_000.0, 0.05, 1.0)
    return warped + voice.tilt * octaves * np.log(10) / 10, 1 - (1 - aperiodicity) * (1 - breath)


def _onset(syllable: Syllable) -> int:
    """Count the frames sung before the beat: the consonant."""
    return min(syllable.hold[0], _LONGEST_EDGE)


def _sing_phrase(
    voice: Voice, syllables: Mapping[str, Syllable], notes: Sequence[Note], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Sing notes without a rest between them; the first sample is the onset of the first word."""
    from scipy.ndimage import uniform_filter1d

    sung = [syllables[note.word] for note in notes]
    zero = round(notes[0].start * _FRAMES) - _onset(sung[0])
    beats = [round(note.start * _FRAMES) - zero for note in notes]
    beats.append(round((notes[-1].start + notes[-1].seconds) * _FRAMES) - zero)
    edges = [0]
    for index in range(1, len(notes)):  # a consonant takes its time from the note before it
        edges.append(beats[index] - min(_onset(sung[index]), (beats[index] - beats[index - 1]) // 3))
    edges.append(beats[-1])
    positions = [
        _positions(word, beats[index] - edges[index], edges[index + 1] - beats[index])
        for index, word in enumerate(sung)
    ]
    pairs = list(zip(sung, positions, strict=True))
    envelope = np.concatenate([_stretched(word.envelope, at) for word, at in pairs])
    aperiodicity = np.concatenate([_stretched(word.aperiodicity, at) for word, at in pairs])
    voiced = np.concatenate([word.voiced[np.round(at).astype(int)] for word, at in pairs])
    envelope = uniform_filter1d(envelope, 3, axis=0) + _dynamics(len(envelope), rng)[:, None]
    pitch = _pitch(voice, [note.midi for note in notes], beats, rng)
    f0 = np.where(voiced, 440.0 * 2 ** ((pitch - 69) / 12), 0.0)
    sound: NDArray[np.float64] = world().synthesize(
        f0, np.exp(envelope).astype(np.float64), aperiodicity.astype(np.float64), SPEECH_RATE, _FRAME_MS
    )
    return sound


def _positions(word: Syllable, onset: int, rest: int) -> NDArray[np.float64]:
    """Say which frame of the word is heard at each of onset + rest frames: only the vowel is stretched."""
    first, last = word.hold
    end = len(word.voiced) - 1
    coda = min(end - last, _LONGEST_EDGE, rest // 3)
    return np.concatenate(
        [
            np.linspace(0, first, onset, endpoint=False),
            np.linspace(first, last, rest - coda, endpoint=False),
            np.linspace(last, end, coda),
        ]
    )


def _stretched(frames: Frames, positions: NDArray[np.float64]) -> Frames:
    """Interpolate (frames, bins) at fractional positions."""
    left = np.minimum(positions.astype(int), len(frames) - 2)
    weight = (positions - left).astype(np.float32)[:, None]
    result: Frames = (1 - weight) * frames[left] + weight * frames[left + 1]
    return result


def _dynamics(count: int, rng: np.random.Generator) -> Frames:
    """Swell and fall over a phrase by a few dB, soft at both ends; natural logarithm of power, (count,)."""
    time = np.arange(count) / _FRAMES
    arch = np.sin(np.pi * np.arange(count) / count) * rng.uniform(2.0, 4.0)  # dB
    ends = np.clip(np.minimum(time / 0.03, (time[-1] - time) / 0.12), 1e-3, 1.0)
    result: Frames = (arch * np.log(10) / 10 + 2 * np.log(ends)).astype(np.float32)
    return result


def _pitch(
    voice: Voice, midi: Sequence[int], beats: Sequence[int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the pitch of a phrase, MIDI, (frames,): glides, vibrato on long notes, a little drift."""
    count = beats[-1]
    lengths = np.diff([0, *beats[1:]])
    notes = np.repeat(np.asarray(midi, dtype=float), lengths)
    glide = np.hanning(max(3, round(voice.portamento * _FRAMES)) + 2)
    pitch = _smooth(notes, glide)
    time = np.arange(count) / _FRAMES
    since = time - np.repeat(np.asarray(beats[:-1]) / _FRAMES, lengths)
    swell = np.clip((since - 0.2) / 0.3, 0, 1) * voice.vibrato_depth
    vibrato = swell * np.sin(2 * np.pi * (voice.vibrato_rate * time + rng.random()))
    scoop = -1.0 * np.exp(-np.maximum(time - beats[0] / _FRAMES, 0) / 0.04)
    drift = _smooth(rng.standard_normal(count), np.hanning(42))
    return pitch + vibrato + scoop + drift * voice.jitter / max(float(drift.std()), 1e-9)


def _smooth(values: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the moving average of `values` under `window`; the ends are held."""
    half = len(window) // 2
    padded = np.pad(values, (half, len(window) - 1 - half), mode="edge")
    return np.convolve(padded, window / window.sum(), mode="valid")


def _in_a_room(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add a small room, the same one for every singer, so that it tells nothing."""
    from scipy.signal import fftconvolve

    rng = np.random.default_rng(0)
    time = np.arange(round(0.4 * SPEECH_RATE)) / SPEECH_RATE
    room = rng.standard_normal(len(time)) * np.exp(-time / 0.09)
    room[: round(0.012 * SPEECH_RATE)] = 0.0
    room *= 0.25 / np.sqrt((room**2).sum())
    room[0] = 1.0
    result: NDArray[np.float64] = fftconvolve(sound, room)[: len(sound)]
    return result
