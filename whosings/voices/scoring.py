"""
How alike a song and a singer sound.

A song is the mean of its prints, a singer the mean of their songs, and the score their cosine. Cosines under
a band run high for some songs and some singers whoever sings, so where the encoder brings a cohort (prints of
songs by other voices) the score is normalised against the nearest of it and of the other singers: adaptive
symmetric score normalisation (Matejka et al. 2017, "Analysis of score normalization in multilingual speaker
recognition"). A score then counts standard deviations above the nearest strangers.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from whosings.voices.prints import unit

Scale = Literal["cosine", "normalised"]

NEAREST = 10  # nearest strangers that a score is normalised against
SPREAD = 0.01  # smallest standard deviation of their cosines


def scale_of(cohort: np.ndarray | None) -> Scale:
    """Name the scale of scores that are normalised against `cohort`, if there is one."""
    return "cosine" if cohort is None else "normalised"


def voices_of(songs: np.ndarray, singers: np.ndarray, count: int) -> np.ndarray:
    """Give the unit mean (count, dim) of the songs (n, dim) of each singer, by their numbers (n,)."""
    sums = np.zeros((count, songs.shape[1]))
    np.add.at(sums, singers, songs)
    return unit(sums)


def _normal(cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give mean and spread (rows,) of the largest of each row (rows, strangers)."""
    nearest = np.partition(cosines, -NEAREST, axis=1)[:, -NEAREST:]
    return nearest.mean(axis=1), np.maximum(nearest.std(axis=1), SPREAD)


def scores(song: np.ndarray, voices: np.ndarray, cohort: np.ndarray | None) -> np.ndarray:
    """
    Score a song (dim,) against each of the voices (singers, dim) -> (singers,); all of unit norm.

    `cohort` (songs, dim) holds at least NEAREST songs of voices that are not asked about.
    """
    raw: np.ndarray = voices @ song
    if cohort is None:
        return raw
    strangers = np.concatenate([cohort, voices])
    itself = (np.arange(len(voices)), len(cohort) + np.arange(len(voices)))
    near_voice = voices @ strangers.T
    near_song = np.repeat((strangers @ song)[None], len(voices), axis=0)
    near_voice[itself] = near_song[itself] = -np.inf
    (voice_mean, voice_spread), (song_mean, song_spread) = _normal(near_voice), _normal(near_song)
    normalised: np.ndarray = ((raw - voice_mean) / voice_spread + (raw - song_mean) / song_spread) / 2
    return normalised
