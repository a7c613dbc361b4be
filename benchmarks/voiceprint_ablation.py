"""
What each ingredient gives a singer classifier on frozen voiceprints: an ablation over song-disjoint folds.

    python benchmarks/voiceprint_ablation.py COLLECTION --splits SPLIT.json ... --out FOLDER
        [--draws 1] [--also half louder] [--tuned RUN ...] [--mix-db 0]

A row is one classifier, or several whose log-probabilities are averaged, on the prints of 5 s windows.
Settings (and weights of the average) are chosen on the validation songs of each fold; test songs are scored
once, also where the classifier then learns the validation songs too (refit). `--also` adds rows with windows
halfway between the others, and with the separated vocals made louder in the mix; `--tuned` such with encoders
tuned by the recipe voiceprint_tuned, RUNs in the order of the splits, and folds without one are left out.
The collection needs stems.

Remixed windows lay the band of another song under a voice, at a level of -5 to 10 dB: of samples (wave) or of
log-mel powers (power, as recipes with `remix_db` do), the same draws for both. The other song trains in every
fold in which that of the voice does. Singers with many songs have a share of their windows remixed.

Writes FOLDER/ablation.json and FOLDER/ablation.md; prints are kept in FOLDER/prints, song by song, so that
the same command goes on where it was cut off. Intervals of differences are by bootstrap over test songs, of
all folds together. The encoder runs in bfloat16, but for the mix and the voices alone, whose prints the cache
may have.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from whosings.audio.logmel import log_mel
from whosings.collection.catalogue import open_collection
from whosings.collection.features import FeatureStore, default_cache
from whosings.collection.sound import track_blocks
from whosings.collection.splits import Split
from whosings.collection.track import Source, SourceName, Track
from whosings.collection.windows import Features, window_starts
from whosings.errors import WhosingsError
from whosings.evidence.metrics import evaluate, paired_difference
from whosings.files import read_json, replacing, sha256_of, write_json, write_text
from whosings.identify.join import choose_weights
from whosings.models import load_model
from whosings.models.ensemble import average
from whosings.models.store import WEIGHTS
from whosings.models.voiceprint.network import DIM, CosineHead, Voiceprint
from whosings.models.voiceprint.pretrained import load_pretrained
from whosings.progress import bar
from whosings.training.windows import DB_PER_NEPER, STEMS
from whosings.voices.catalogue import print_of
from whosings.voices.encoder import BATCH, WINDOW, Voiceprinter
from whosings.voices.prints import unit

LEVELS_DB = (-5.0, 10.0)  # of a remixed voice over its band
MOST_REMIXED = 64  # windows of a singer that are remixed in a draw
REMIXES = ("wave", "power")
COSINE_BATCH, COSINE_RATE = 32, 1e-2  # of the recipe voiceprint


# --- what is heard -----------------------------------------------------------------------------------------


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
    ):
        self.tracks = {track.id: track for track in tracks}
        self.store, self.folder = store, folder
        self.mix = Source("mix", mix_db)
        self.vocals = Source("vocals", mix_db, "spleeter")
        self.hearing = Voiceprinter(separator="stems").hearing
        self.front_end = self.hearing.front_end
        self.length = self.front_end.window_frames(WINDOW)
        self.runs: dict[str, Path] = {}
        """tuned encoders, by kind"""
        self._trains_in = {
            name: {fold for fold, split in enumerate(splits) if name in split.train} for name in self.tracks
        }
        self.level = cache(self._level)
        self.samples = cache(self._samples)
        self.prints = cache(self._prints)

    def _prints(self, kind: str) -> dict[str, Heard]:
        """Give the prints of all tracks by id; of kinds joined by a +, joined window by window."""
        if "+" in kind:
            parts = [self.prints(part) for part in kind.split("+")]
            joined = {name: np.hstack([part[name].vectors for part in parts]) for name in self.tracks}
            return {name: Heard(vectors, np.full(len(vectors), "")) for name, vectors in joined.items()}
        encoder = _Encoder(self.runs.get(kind))
        with bar(f"Hearing {kind}", len(self.tracks)) as progress:
            prints = {}
            for track in self.tracks.values():
                prints[track.id] = self._kept(kind, track, encoder)
                progress.step()
        return prints

    def _kept(self, kind: str, track: Track, encoder: _Encoder) -> Heard:
        if kind in ("mix", "alone"):
            voiceprinter = Voiceprinter(separator="stems")
            voiceprinter.source = self.mix if kind == "mix" else Source("vocals")
            vectors = print_of(track, voiceprinter, self.store).vectors
            return Heard(vectors, np.full(len(vectors), ""))
        path = self.folder / f"{kind}{encoder.suffix}" / f"{track.id.replace('/', '_')}.npz"
        if not path.is_file():
            windows, bands = self.windows(kind, track)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, vectors=encoder(windows), bands=np.array(bands, dtype=str))
        with np.load(path) as kept:
            return Heard(kept["vectors"], kept["bands"])

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
        total = np.logaddexp(v / DB_PER_NEPER, (b + gain) / DB_PER_NEPER) * DB_PER_NEPER
        return np.asarray(total, dtype=np.float32)

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
        values = self._features(self.tracks[name], Source(stem)).log_mel
        return float(10 * np.log10(np.mean(np.power(10, values / 10))))


class _Encoder:
    """Gives prints (n, 192) of windows (n, 80, T); the network is loaded at the first."""

    def __init__(self, run: Path | None):
        self.run = run

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        import torch

        if not len(windows):
            return np.zeros((0, DIM), np.float32)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            pieces = torch.from_numpy(windows).split(BATCH)
            return unit(torch.cat([self._network.embed(piece).float() for piece in pieces]).numpy())

    @cached_property
    def suffix(self) -> str:
        """What tells prints of a tuned encoder from those of others."""
        return "" if self.run is None else f"-{sha256_of(self.run / WEIGHTS)[:12]}"

    @cached_property
    def _network(self) -> Voiceprint:
        if self.run is None:
            network = Voiceprint(1)
            load_pretrained(network)
        else:
            loaded, _ = load_model(self.run)
            assert isinstance(loaded, Voiceprint)
            network = loaded
        return network.eval()


# --- classifiers -------------------------------------------------------------------------------------------


class CosineClassifier(ClassifierMixin, BaseEstimator):
    """The head of the recipe voiceprint, trained for some epochs; `balanced` weighs all singers alike."""

    def __init__(self, epochs: int = 20, balanced: bool = True):
        self.epochs, self.balanced = epochs, balanced

    def fit(self, x: np.ndarray, y: np.ndarray) -> CosineClassifier:
        """Learn prints (n, 192) of singers (n,)."""
        import torch

        self.classes_, codes = np.unique(y, return_inverse=True)
        weights = len(codes) / np.bincount(codes) / len(self.classes_) if self.balanced else None
        weight = None if weights is None else torch.from_numpy(weights.astype(np.float32))
        prints, true = torch.from_numpy(x), torch.from_numpy(codes)
        generator = torch.Generator().manual_seed(0)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.head_ = CosineHead(len(self.classes_))
        adam = torch.optim.Adam(self.head_.parameters(), COSINE_RATE)
        for _ in range(self.epochs):
            for batch in torch.randperm(len(prints), generator=generator).split(COSINE_BATCH):
                adam.zero_grad()
                loss = torch.nn.functional.cross_entropy(self.head_(prints[batch]), true[batch], weight)
                loss.backward()
                adam.step()
        return self

    def predict_log_proba(self, x: np.ndarray) -> np.ndarray:
        """Give log-probabilities (n, singers)."""
        import torch

        with torch.inference_mode():
            return self.head_(torch.from_numpy(x)).log_softmax(dim=1).numpy()


def _discriminant(shrinkage: float, singers: int) -> LinearDiscriminantAnalysis:
    even = np.full(singers, 1 / singers)
    return LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage, priors=even)


def _regression(strength: float, balanced: bool) -> LogisticRegression:
    weights = "balanced" if balanced else None
    return LogisticRegression(C=strength, max_iter=2000, tol=1e-3, class_weight=weights)


STRENGTHS = (0.3, 1, 3, 10, 30, 100)  # inverse regularisation
SHRINKAGES = (0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02)
EPOCHS = (2, 5, 10, 20, 40)
HEADS: dict[str, tuple[tuple[float, ...], Callable[[float, int], Any]]] = {
    "regression": (STRENGTHS, lambda strength, _: _regression(strength, True)),
    "unbalanced": (STRENGTHS, lambda strength, _: _regression(strength, False)),
    "discriminant": (SHRINKAGES, _discriminant),
    "cosine": (EPOCHS, lambda epochs, _: CosineClassifier(int(epochs))),
    "cosine, unbalanced": (EPOCHS, lambda epochs, _: CosineClassifier(int(epochs), balanced=False)),
}
"""Settings tried on validation songs, of equals the first; the classifier for one, and so many singers."""


@dataclass(frozen=True)
class Member:
    """A classifier: the kinds of windows it learns, the kind it is tested on, and its head."""

    learn: tuple[str, ...]
    hear: str = "mix"
    head: str = "regression"


@dataclass(frozen=True)
class Row:
    """A row of the table: members averaged, and the row `against` which it is set."""

    name: str
    members: tuple[Member, ...]
    against: str | None = None
    refit: bool = False
    """learn the validation songs too, once settings and weights are chosen"""


LogProbabilities = Mapping[str, np.ndarray]
"""(windows, singers) by track id"""


@dataclass(frozen=True)
class Scored:
    """What a row answers in a fold: log-probabilities of its test songs, and what was chosen for that."""

    fold: int
    test: LogProbabilities
    validation: LogProbabilities
    settings: list[float]
    weights: tuple[float, ...]


class Fold:
    """Fits and asks classifiers in one fold; each is fitted once."""

    def __init__(self, number: int, split: Split, prints: Callable[[str], Mapping[str, Heard]]):
        self.number, self.split, self._all_prints = number, split, prints
        self.singers = sorted(split.singers)  # as classifiers order their classes
        self.chosen = cache(self._chosen)
        self.asked = cache(self._asked)

    def scored(self, row: Row) -> Scored:
        """Choose on validation songs, and ask about the test songs."""
        chosen = [self.chosen(member) for member in row.members]
        validation = _stacked([rows for _, rows in chosen])
        true = {name: self.singers.index(_singer(name)) for name in validation}
        weights = choose_weights(validation, true) if len(chosen) > 1 else (1.0,)
        settings = [setting for setting, _ in chosen]
        asked = zip(row.members, settings, strict=True)
        test = _stacked([self.asked(member, setting, row.refit) for member, setting in asked])
        return Scored(
            self.number,
            {name: average(rows, weights) for name, rows in test.items()},
            {name: average(rows, weights) for name, rows in validation.items()},
            settings,
            weights,
        )

    def _chosen(self, member: Member) -> tuple[float, LogProbabilities]:
        """Give the setting that is best on windows of validation songs, and what it says of them."""
        x, y = self._windows(member.learn, self.split.train)
        settings, make = HEADS[member.head]
        tried = []
        for setting in settings:
            classifier = make(setting, len(self.singers)).fit(x, y)
            rows = self._ask(classifier, member, self.split.validation)
            tried.append((_f1(rows, self.singers), setting, rows))
        _, setting, rows = max(tried, key=lambda one: one[0])
        return setting, rows

    def _asked(self, member: Member, setting: float, refit: bool) -> LogProbabilities:
        """Give what a member says of test songs."""
        learnt = (*self.split.train, *self.split.validation) if refit else self.split.train
        classifier = HEADS[member.head][1](setting, len(self.singers)).fit(
            *self._windows(member.learn, learnt)
        )
        return self._ask(classifier, member, self.split.test)

    def _ask(self, classifier: Any, member: Member, names: Sequence[str]) -> LogProbabilities:
        prints = self._prints(member.hear)
        return {name: classifier.predict_log_proba(prints[name].vectors) for name in names}

    def _windows(self, kinds: Sequence[str], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Give prints and singers of the windows of songs, without those whose bands are of other songs."""
        allowed = ["", *names]
        some = [(name, self._prints(kind)[name]) for kind in kinds for name in names]
        kept = [(name, heard.vectors[np.isin(heard.bands, allowed)]) for name, heard in some]
        singers = np.repeat([_singer(name) for name, _ in kept], [len(vectors) for _, vectors in kept])
        return np.concatenate([vectors for _, vectors in kept]), singers

    def _prints(self, kind: str) -> Mapping[str, Heard]:
        return self._all_prints(f"tuned-{self.number}" if kind == TUNED else kind)


def _singer(name: str) -> str:
    return name.split("/")[0]


def _stacked(members: Sequence[LogProbabilities]) -> dict[str, np.ndarray]:
    """Give (windows, members, singers) by track id."""
    return {name: np.stack([rows[name] for rows in members], axis=1) for name in members[0]}


def _answers(
    rows: LogProbabilities, singers: Sequence[str]
) -> dict[str, tuple[list[str], list[str], list[str]]]:
    """Give who sings, the answers and the songs: of windows, and of songs by their mean log-probability."""
    window: tuple[list[str], list[str], list[str]] = ([], [], [])
    song: tuple[list[str], list[str], list[str]] = ([], [], [])
    for name, values in rows.items():
        for kind, answers in ((window, values), (song, values.mean(axis=0, keepdims=True))):
            kind[0].extend([_singer(name)] * len(answers))
            kind[1].extend(singers[int(code)] for code in answers.argmax(axis=1))
            kind[2].extend([name] * len(answers))
    return {"window": window, "song": song}


def _f1(rows: LogProbabilities, singers: Sequence[str], level: str = "window") -> float:
    true, answers, _ = _answers(rows, singers)[level]
    return float(f1_score(true, answers, average="macro", zero_division=0))


# --- the table ---------------------------------------------------------------------------------------------

TUNED = "tuned"
C = "C: B, vocals + voices alone"
D = "D: C, mix + remixes, voices, vocals"


def rows_of(draws: int, also: Sequence[str] = ()) -> list[Row]:
    """Give the rows of the table, with so many draws of remixed windows, and those of the kinds `also`."""
    power = [f"power-{draw}" for draw in range(draws)]
    mix, vocals = Member(("mix",)), Member(("vocals",), "vocals")
    remixed = [Member(("mix", *power[: draw + 1])) for draw in range(draws)]
    cleaner = Member(("vocals", "alone"), "vocals")
    richest = Member(("mix", "vocals", "alone", *power))
    good, best = (remixed[-1], cleaner), (richest, cleaner)
    rows = [
        Row("mix", (mix,)),
        Row("mix, singers not balanced", _headed((mix,), "unbalanced"), "mix"),
        Row("mix, cosine head", _headed((mix,), "cosine"), "mix"),
        Row("mix, cosine head, not balanced", _headed((mix,), "cosine, unbalanced"), "mix, cosine head"),
        Row("mix, discriminant", _headed((mix,), "discriminant"), "mix"),
        Row("mix + a remix", (remixed[0],), "mix"),
        Row("mix + a remix of samples", (Member(("mix", "wave-0")),), "mix + a remix"),
        *(Row(f"mix + {d + 1} remixes", (remixed[d],), "mix + a remix") for d in range(1, draws)),
        Row("mix + voices alone", (Member(("mix", "alone")),), "mix"),
        Row("mix + remixes, voices, vocals", (richest,), "mix + a remix"),
        Row("mix, refit", (mix,), "mix", refit=True),
        Row("vocals", (vocals,), "mix"),
        Row("vocals + voices alone", (cleaner,), "vocals"),
        Row("A: mix and vocals averaged", (mix, vocals), "mix"),
        Row("A, as one print", (Member(("mix+vocals",), "mix+vocals"),), "A: mix and vocals averaged"),
        Row("B: A, mix + remixes", (remixed[-1], vocals), "A: mix and vocals averaged"),
        Row(C, good, "B: A, mix + remixes"),
        Row("C, cosine heads", _headed(good, "cosine"), C),
        Row("C, refit", good, C, refit=True),
        Row("C, cosine heads, refit", _headed(good, "cosine"), "C, refit", refit=True),
        Row(D, best, C),
        Row("D, discriminants", _headed(best, "discriminant"), D),
        Row("D, cosine heads", _headed(best, "cosine"), D),
        Row("D, refit", best, D, refit=True),
        Row("tuned encoder", (Member((TUNED,), TUNED),), "mix"),
        Row("D and the tuned encoder", (Member((TUNED,), TUNED), *best), D),
    ]
    if "half" in also:
        rows.append(Row("mix, twice the windows", (Member(("mix", "half")),), "mix"))
    if "louder" in also:
        louder = Member(("mix", "louder"), "louder")
        rows.append(Row("D and the mix with louder vocals", (*best, louder), D))
    return rows


def _headed(members: Sequence[Member], head: str) -> tuple[Member, ...]:
    """Give members another head."""
    return tuple(replace(member, head=head) for member in members)


def results(rows: Sequence[Row], folds: Sequence[Fold], tuned: int = 0) -> list[dict[str, Any]]:
    """Score rows; those which hear tuned encoders only in the first `tuned` folds."""
    found: dict[str, list[Scored]] = {}
    table = []
    with bar("Scoring rows", len(rows)) as progress:
        for row in rows:
            wanted = folds[:tuned] if any(member.hear == TUNED for member in row.members) else folds
            found[row.name] = [fold.scored(row) for fold in wanted]
            if wanted:
                against = found[row.against] if row.against else None
                table.append(_told(row, found[row.name], against, folds[0].singers))
            progress.step()
    return table


def _told(
    row: Row, scored: Sequence[Scored], against: Sequence[Scored] | None, singers: Sequence[str]
) -> dict[str, Any]:
    """Give the figures of a row, in each fold and over the songs of all, and how it differs from another."""
    folds = [
        {
            "fold": one.fold,
            "settings": one.settings,
            "weights": one.weights,
            "validation": _f1(one.validation, singers),
            "window": _f1(one.test, singers),
            "song": _f1(one.test, singers, "song"),
        }
        for one in scored
    ]
    told: dict[str, Any] = {**asdict(row), "folds": folds}
    told["mean"] = {
        level: float(np.mean([fold[level] for fold in folds])) for level in ("validation", "window", "song")
    }
    pooled = _pooled(scored, singers)
    told["pooled"] = {
        level: evaluate(true, answers, singers, songs) for level, (true, answers, songs) in pooled.items()
    }
    if against is not None:
        here = {one.fold for one in scored}
        other = _pooled([one for one in against if one.fold in here], singers)
        told["difference"] = {
            level: paired_difference(true, answers, other[level][1], singers, songs).to_dict()
            for level, (true, answers, songs) in pooled.items()
        }
    return told


def _pooled(
    scored: Sequence[Scored], singers: Sequence[str]
) -> dict[str, tuple[list[str], list[str], list[str]]]:
    """Join the answers of folds, no song of which is tested twice."""
    return _answers({name: rows for one in scored for name, rows in one.test.items()}, singers)


def markdown(table: Sequence[Mapping[str, Any]], folds: int) -> str:
    """Write the table: macro F1 of windows / songs by fold, and differences in windows."""
    heads = [
        "row",
        *(f"fold {number}" for number in range(folds)),
        "mean",
        "validation",
        "less",
        "windows",
        "songs",
    ]
    lines = [heads, ["---"] * len(heads)]
    for row in table:
        by_fold = {fold["fold"]: fold for fold in row["folds"]}
        cells = [_pair(by_fold[number]) if number in by_fold else "" for number in range(folds)]
        differences = ["", ""]
        if "difference" in row:
            differences = [_signed(row["difference"][level]) for level in ("window", "song")]
        validation = f"{row['mean']['validation']:.3f}"
        lines.append(
            [row["name"], *cells, _pair(row["mean"]), validation, row["against"] or "", *differences]
        )
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _pair(figures: Mapping[str, float]) -> str:
    return f"{figures['window']:.3f} / {figures['song']:.3f}"


def _signed(difference: Mapping[str, Any]) -> str:
    low, high = difference["interval"]["f1_macro"]
    return f"{difference['difference']['f1_macro']:+.3f} ({low:+.3f} to {high:+.3f})"


def benchmark(given: argparse.Namespace) -> dict[str, Any]:
    """Hear what is new, and score all rows; raises WhosingsError where prints or splits do not fit."""
    splits = [Split.load(path) for path in given.splits]
    tested = [name for split in splits for name in split.test]
    if len(set(tested)) < len(tested) or len({split.singers for split in splits}) > 1:
        raise WhosingsError(
            "A song is tested in two splits, or they differ in singers; give folds of one protocol."
        )
    used = {name for split in splits for side in (split.train, split.validation, split.test) for name in side}
    tracks = [track for track in open_collection(given.collection).tracks if track.id in used]
    about = {"splits": [split.sha256 for split in splits], "mix_db": given.mix_db}
    folder = given.out / "prints"
    if (folder / "about.json").is_file() and read_json(folder / "about.json", "prints") != about:
        raise WhosingsError(
            f"{folder}: these prints are of other splits, or mixed at another level; choose another --out."
        )
    write_json(folder / "about.json", about)
    ear = Ear(tracks, splits, FeatureStore(default_cache()), given.mix_db, folder)
    ear.runs = {f"{TUNED}-{number}": run for number, run in enumerate(given.tuned)}
    folds = [Fold(number, split, ear.prints) for number, split in enumerate(splits)]
    rows = results(rows_of(given.draws, given.also), folds, len(given.tuned))
    return {**about, "levels_db": LEVELS_DB, "draws": given.draws, "rows": rows}


def parser() -> argparse.ArgumentParser:
    """Give the command line."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("collection", type=Path)
    asked.add_argument("--splits", type=Path, nargs="+", required=True)
    asked.add_argument("--out", type=Path, required=True)
    asked.add_argument("--tuned", type=Path, nargs="*", default=[])
    asked.add_argument("--mix-db", type=float, default=0.0)
    asked.add_argument("--draws", type=int, default=1)
    asked.add_argument("--also", nargs="*", choices=("half", "louder"), default=[])
    return asked


def main() -> None:
    """Parse, hear, score, write, print."""
    given = parser().parse_args()
    try:
        found = benchmark(given)
    except WhosingsError as error:
        raise SystemExit(str(error)) from None
    table = markdown(found["rows"], len(given.splits))
    write_json(given.out / "ablation.json", found)
    write_text(given.out / "ablation.md", table)
    print(table)


if __name__ == "__main__":
    main()
