"""The catalogue audit: tracks whose voice does not fit the artist they stand under."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from whosings.collection.findings import Finding
from whosings.errors import WhosingsError
from whosings.wording import counted

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["moved", "stranger", "duet"]
KINDS: tuple[Kind, ...] = ("moved", "stranger", "duet")

# Measured on MIR-1K (92 songs, mix at 0 dB, 5 % of them set under another artist), by CAM++ as by ECAPA-TDNN:
# whitening lifts the average precision from 0.97 to 0.995; any shrinkage from 0.05 to 0.3 does.
SHRINKAGE = 0.2  # of the covariance of prints towards that of equal variance in all directions
# what is expected before listening, worth so many tracks: a catalogue is nearly right
EXPECTED = {"right": 0.94, "moved": 0.02, "stranger": 0.02, "duet": 0.02}
EXPECTED_WORTH = 10.0
DRAWS = 5000  # imagined cases of each kind, at least one a track
OUTLIER = 3.0  # robust deviations beyond which a value counts as that many
STEPS = 50  # of expectation maximisation; it settles in fewer than ten
FEWEST = 8  # tracks with another of the same artist, to know what is normal


@dataclass(frozen=True)
class Misfit:
    """A track that stands under an artist whose other tracks sound like another voice."""

    track_id: str
    artist: str
    """the artist it stands under"""
    kind: Kind
    """the likeliest fault: another artist's, nobody's in this catalogue, or two artists together"""
    confidence: float
    """probability that something is wrong, 0 to 1"""
    own: float
    """likeness (-1 to 1) to the other tracks of its artist"""
    other: str
    """the artist nearest apart from its own"""
    likeness: float
    """likeness (-1 to 1) to that artist"""

    def to_finding(self) -> Finding:
        """Say it as a warning in one sentence."""
        sure = f"({self.confidence:.0%} sure)"
        texts: dict[Kind, str] = {
            "moved": f"fits {self.other} better than {self.artist} {sure}; listen, and move it if so.",
            "stranger": f"is unlike the other tracks of {self.artist} {sure}, and no other artist here fits; "
            "listen, and take it out if so.",
            "duet": f"is like both {self.artist} and {self.other} {sure}; listen, and leave it out of "
            "training if two sing.",
        }
        return Finding("warning", self.track_id, f"{self.track_id}: its voice {texts[self.kind]}")


@dataclass(frozen=True)
class _Likeness:
    """
    How like each track is to each artist, its own artist being heard without it.

    `tracks` (n, dim) unit vectors; `centres` (n_artists, dim) sums of an artist's tracks; `own` (n,) the
    column of a track's artist in `scores` (n, n_artists), which is NaN where an artist has no other track.
    """

    tracks: np.ndarray
    centres: np.ndarray
    own: np.ndarray
    scores: np.ndarray


def find_misfits(
    prints: Mapping[str, np.ndarray], artist_of: Mapping[str, str], *, threshold: float = 0.5
) -> list[Misfit]:
    """
    Give the tracks that do not fit their artist, the surest misfit first.

    `prints` maps track ids to voiceprints (windows, dim), a row a window; `artist_of` maps the same ids to
    artists. Each track is compared with the other tracks of its artist and with the other artists. What is
    normal is learnt from the catalogue itself, robustly, since there are wrong labels in it; what a wrong
    label would look like is imagined by setting its tracks under other artists. Tracks that are wrong with a
    probability of `threshold` or more are given. Tracks without prints and artists with a single track cannot
    be judged.

    Raises WhosingsError where prints are malformed or too few to know what is normal.
    """
    import numpy as np

    heard = {name: rows for name, rows in prints.items() if len(rows)}
    _check(heard, artist_of)
    names = list(heard)
    artists = sorted({artist_of[name] for name in names})
    own = np.array([artists.index(artist_of[name]) for name in names])
    likeness = _likeness(_whitened([heard[name] for name in names]), own, len(artists))
    pairs = _pairs(likeness.scores, own)
    judged = np.flatnonzero(np.isfinite(pairs).all(axis=1))
    probabilities = _probabilities(pairs[judged], _imagined(likeness))
    misfits = [
        _misfit(names[at], artists, own[at], likeness.scores[at], chances)
        for at, chances in zip(judged, probabilities, strict=True)
        if 1 - chances["right"] >= threshold
    ]
    return sorted(misfits, key=lambda misfit: (-misfit.confidence, misfit.track_id))


def audit(
    prints: Mapping[str, np.ndarray], artist_of: Mapping[str, str], *, threshold: float = 0.5
) -> list[Finding]:
    """
    Give misfits as warnings, then notes on how many were judged and on what could not be.

    Raises WhosingsError as `find_misfits` does.
    """
    judged = find_misfits(prints, artist_of, threshold=0.0)
    misfits = [misfit for misfit in judged if misfit.confidence >= threshold]
    findings = [misfit.to_finding() for misfit in misfits]
    findings.append(_summary(judged, len(misfits)))
    counts = Counter(artist_of[name] for name, rows in prints.items() if len(rows))
    for name, rows in prints.items():
        if not len(rows):
            text = f"{name}: no singing was heard in it, so that its voice cannot be judged."
            findings.append(Finding("note", name, text))
    for artist in sorted(artist for artist, count in counts.items() if count == 1):
        text = f"{artist} has one track with a voice, which cannot be compared with another; add tracks."
        findings.append(Finding("note", artist, text))
    return findings


def _summary(judged: list[Misfit], misfits: int) -> Finding:
    """Say how many tracks were judged, surest misfit first, and how that came out."""
    came_out = f"{misfits} fit badly"
    if not misfits:
        came_out = f"all fit, {judged[0].track_id} least ({judged[0].confidence:.0%} sure that it is wrong)"
    text = f"{counted(len(judged), 'voice')} compared with the other tracks of the same artist: {came_out}."
    return Finding("note", "voices", text)


def _check(prints: Mapping[str, np.ndarray], artist_of: Mapping[str, str]) -> None:
    """Raise WhosingsError unless all prints are finite, of one width, of a known artist, and enough."""
    import numpy as np

    shapes = {np.shape(rows)[1:] for rows in prints.values()}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        raise WhosingsError("These voiceprints differ in size; make them all with one model.")
    for name, rows in prints.items():
        if name not in artist_of:
            raise WhosingsError(f"{name}: no artist is named for this track; name one.")
        if not np.isfinite(rows).all():
            raise WhosingsError(f"{name}: its voiceprint holds no numbers; make it anew.")
    counts = Counter(artist_of[name] for name in prints)
    comparable = sum(count for count in counts.values() if count > 1)
    if len(counts) < 2 or comparable < FEWEST:
        raise WhosingsError(
            f"Of {counted(len(counts), 'artist')}, {counted(comparable, 'track')} can be compared with "
            f"others of the same artist; add tracks, for what is normal shows in {FEWEST} of two artists."
        )


def _whitened(prints: list[np.ndarray]) -> np.ndarray:
    """
    Average the prints of each track and even out the directions in which all prints differ: (n, dim), unit.

    No artist is looked at, so that a wrong label cannot hide itself. What all songs share (the band, the
    microphone) goes with the mean.
    """
    import numpy as np

    rows = [_unit(np.asarray(track, np.float64)) for track in prints]
    tracks = np.array([track.mean(axis=0) for track in rows])
    mean = tracks.mean(axis=0)
    covariance = np.zeros((tracks.shape[1],) * 2)
    for track in rows:
        # a long track counts no more than a short one
        covariance += (track - mean).T @ (track - mean) / len(track) / len(rows)
    even = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    variances, axes = np.linalg.eigh((1 - SHRINKAGE) * covariance + SHRINKAGE * even)
    return _unit((tracks - mean) @ axes / np.sqrt(np.maximum(variances, np.finfo(float).tiny)))


def _unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; a row of zeros stays."""
    import numpy as np

    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: np.ndarray = rows / np.where(lengths > 0, lengths, 1)
    return unit


def _likeness(tracks: np.ndarray, own: np.ndarray, n_artists: int) -> _Likeness:
    import numpy as np

    centres = np.zeros((n_artists, tracks.shape[1]))
    np.add.at(centres, own, tracks)
    scores = tracks @ _unit(centres).T
    alone = np.bincount(own, minlength=n_artists)[own] == 1
    at = np.arange(len(tracks))
    scores[at, own] = np.where(alone, np.nan, np.sum(tracks * _unit(centres[own] - tracks), axis=1))
    return _Likeness(tracks, centres, own, scores)


def _pairs(scores: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Give likeness to a track's own artist and to the best other: (n, 2), not finite where there is none."""
    import numpy as np

    others = scores.copy()
    others[np.arange(len(own)), own] = -np.inf
    return np.stack([scores[np.arange(len(own)), own], others.max(axis=1)], axis=1)


def _imagined(likeness: _Likeness) -> dict[str, np.ndarray]:
    """
    Imagine faults in this catalogue and give the likeness (draws, 2) to own and best other for each kind.

    moved     a track is set under another artist, and its true artist is here
    stranger  the same, and its true artist is not here
    duet      a track is sung half by its artist and half by the one of another track
    """
    import numpy as np

    n, n_artists = likeness.scores.shape
    generator = np.random.default_rng(0)
    track = np.tile(np.arange(n), -(-DRAWS // n))
    true = likeness.own[track]
    wrong = (true + generator.integers(1, max(n_artists, 2), len(track))) % n_artists
    scores = likeness.scores[track]
    absent = scores.copy()
    absent[np.arange(len(track)), true] = -np.inf
    draws = {
        "moved": _pairs(scores, wrong),
        "stranger": _pairs(absent, wrong),
        "duet": _duets(likeness, track),
    }
    finite = {kind: pairs[np.isfinite(pairs).all(axis=1)] for kind, pairs in draws.items()}
    return {kind: pairs for kind, pairs in finite.items() if len(pairs)}


def _duets(likeness: _Likeness, first: np.ndarray) -> np.ndarray:
    """Join each track with one drawn from all, and give the likeness (draws, 2) under the first's artist."""
    import numpy as np

    second = np.random.default_rng(1).permutation(first)
    tracks, own, centres = likeness.tracks, likeness.own, likeness.centres
    joined = _unit(tracks[first] + tracks[second])
    scores = joined @ _unit(centres).T
    at = np.arange(len(first))
    # neither singer is compared with the very track that was joined
    for part in (first, second):
        rest = centres[own[part]] - tracks[part]
        alone = np.linalg.norm(rest, axis=1) < 1e-9
        scores[at, own[part]] = np.where(alone, np.nan, np.sum(joined * _unit(rest), axis=1))
    scores[own[first] == own[second]] = np.nan
    return _pairs(scores, own[first])


def _probabilities(pairs: np.ndarray, imagined: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
    """
    Give the probability of `right` and of each imagined kind for pairs (n, 2) of likeness.

    Each is a normal distribution with a robust centre and one common covariance; how frequent each kind is
    comes from the pairs by expectation maximisation.
    """
    import numpy as np
    from scipy.special import softmax

    groups = {"right": pairs, **imagined}
    precision = np.linalg.pinv(np.mean([_covariance(group) for group in groups.values()], axis=0))
    away = [pairs - np.median(group, axis=0) for group in groups.values()]
    densities = np.stack([-0.5 * np.einsum("ni,ij,nj->n", x, precision, x) for x in away], axis=1)
    expected = np.array([EXPECTED[kind] for kind in groups])
    shares = expected = expected / expected.sum()
    for _ in range(STEPS):
        chances = softmax(densities + np.log(shares), axis=1)
        shares = (chances.sum(axis=0) + EXPECTED_WORTH * expected) / (len(pairs) + EXPECTED_WORTH)
    return [dict(zip(groups, map(float, row), strict=True)) for row in chances]


def _covariance(pairs: np.ndarray) -> np.ndarray:
    """Give the covariance (2, 2) about the median with outliers drawn in."""
    import numpy as np

    away = pairs - np.median(pairs, axis=0)
    limit = OUTLIER * 1.4826 * np.median(np.abs(away), axis=0)
    return np.cov(np.clip(away, -limit, limit), rowvar=False)


def _misfit(
    track_id: str, artists: list[str], own: int, scores: np.ndarray, chances: Mapping[str, float]
) -> Misfit:
    import numpy as np

    others = np.where(np.arange(len(artists)) == own, -np.inf, scores)
    other = int(others.argmax())
    return Misfit(
        track_id=track_id,
        artist=artists[own],
        kind=max(KINDS, key=lambda kind: chances.get(kind, 0.0)),
        confidence=round(1 - chances["right"], 4),
        own=round(float(scores[own]), 4),
        other=artists[other],
        likeness=round(float(others[other]), 4),
    )
