"""
From scored runs to a table: averages, bests, intervals, spread, and paired tests between rows.

Conventions
-----------
- A *place* is a source, a window length and a level (window or song); an *entry* is a row at a place, with a
  run for each draw. Weighted F1 is the figure of the papers, macro F1 stands beside it.
- *Average* and *best* are over an entry's runs, as the papers print them. The best run is chosen by its test
  score, so it says how lucky one can be, not how good the system is.
- The *interval* (95 %) of an average is about songs, given the runs: `metrics.mean_interval` draws songs and
  scores all runs on the same songs in every round, so that three runs of one split do not count as three
  times as many songs. It is widest for what most tests here lack: songs.
- The *spread* is the standard deviation (n - 1) over runs, where there are two or more. It says what another
  draw changes and is no part of the interval: `seed spread` where the runs share a split, `split and seed
  spread` where each has its own.
- *Paired tests* compare rows on the same windows and songs of the same draws, by pooling those of all common
  draws: the difference is that of the F1 of all answers together, which may differ a little from the
  difference of two averages. Pooling assumes that the draws ask the same question, so that one difference
  holds in all of them, and it weighs a draw by its songs. A song that several draws test is drawn as one (its
  answers are not independent), and different songs are taken for independent, although the networks of
  different draws share most of their training songs. Like the interval, the test is about songs: that another
  seed might turn a difference round is not in it.
- For songs there is also McNemar's exact test; a song of several draws counts once, for the row that got it
  right in more of them (with one draw a song that is McNemar's test as it is known).
- Holm's correction takes a table's tests of songs between neighbouring rows as one family.
- What is missing is an empty entry with its count of runs, and a count of the tests that could not be made.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from whosings.errors import WhosingsError
from whosings.evidence.metrics import mean_interval, paired_difference, scores
from whosings.evidence.paper.published import LEVELS, Level, Published, published, published_parameters

if TYPE_CHECKING:
    from whosings.collection.track import SourceName
    from whosings.evidence.paper.grid import Scored
    from whosings.evidence.paper.plan import Draw, Row, Table

ROUNDS = 2_000  # of a paired test
ROUNDS_OF_FAMILY = 10_000  # its smallest p, 2 / 10,001, has to survive Holm over a whole table
NOISE = 0.05  # p from which a difference is taken for noise
PAPER_FIGURE = "f1_weighted"


@dataclass(frozen=True)
class Provenance:
    """Where the figures of a table come from; `read_provenance` reads it from the run folders."""

    collection: str
    artist20: bool
    """whether the collection is the one of the published figures"""
    singers: int
    protocol: str
    draws: tuple[Draw, ...]
    """all that were planned"""
    shared_split: bool
    """whether every draw has the same split"""
    splits: dict[str, str]
    """hash of the split by draw, as `draw_name` names it"""
    epochs: tuple[int, ...]
    first_steps: tuple[int, ...]
    """epochs before the second step, of the runs that have two"""
    best_epochs: tuple[int, ...]
    """of each run, counted from 0"""
    best_was_last: int
    """runs whose best epoch was their last"""
    mix_db: float | None
    """of the runs that hear the mix"""
    separators: tuple[str, ...]
    """what took vocals and accompaniment apart, where they are not the collection's own stems"""
    overrides: tuple[str, ...]
    machines: tuple[str, ...]
    commits: tuple[str, ...]
    hours: float
    """of training, all runs together"""
    failed: int
    """songs that could not be scored, at most in one run"""
    warning: str
    """what is wrong with the protocol; empty where nothing is known to be"""
    command: str


@dataclass(frozen=True)
class Place:
    """A column of a table: a source, a window length in seconds, and windows or songs."""

    source: SourceName
    window: int
    level: Level


@dataclass(frozen=True)
class Estimate:
    """A figure (0 to 1) of each run, their average, the best, the 95 % interval over songs, the spread."""

    runs: tuple[float, ...]
    average: float
    best: float
    interval: tuple[float, float]
    spread: float | None
    """standard deviation over runs; None for one run"""


@dataclass(frozen=True)
class Entry:
    """A row at a place; without runs its figures are None."""

    row: Row
    place: Place
    draws: tuple[Draw, ...]
    """of its runs, in the order of all tuples over runs"""
    planned: int
    """how many runs there are to be"""
    items: tuple[int, ...]
    """windows or songs tested, of each run"""
    f1_weighted: Estimate | None
    f1_macro: Estimate | None
    calibration_error: float | None
    """average over runs"""
    parameters: int | None
    published: Published | None
    published_parameters: float | None
    """millions"""


@dataclass(frozen=True)
class Comparison:
    """`row` less `other` on the same items of their common draws: positive where `row` is better."""

    row: Row
    other: Row
    place: Place
    draws: tuple[Draw, ...]
    neighbours: bool
    """else `other` is the first row of the table"""
    items: int
    songs: int
    """different ones"""
    left_out: int
    """items that only one of the two rows was tested on"""
    difference: dict[str, float]
    interval: dict[str, tuple[float, float]]
    p_value: dict[str, float]
    """by figure: difference, 95 % interval, two-sided p (bootstrap over songs)"""
    won: int | None = None
    """songs that `row` got right in more draws than `other`; None for windows, as the next two"""
    lost: int | None = None
    mcnemar_p: float | None = None
    holm_p: float | None = None
    """`p_value` of weighted F1 after Holm; for songs of neighbours only, as the next"""
    holm_mcnemar_p: float | None = None


@dataclass(frozen=True)
class Leader:
    """The best average of a column and the next; `ahead` where the paired test has p below NOISE."""

    place: Place
    row: Row
    runner_up: Row
    p_value: float
    ahead: bool


@dataclass(frozen=True)
class TableReport:
    """All that a table has to say; entries row by row at each place, comparisons place by place."""

    table: Table
    provenance: Provenance
    entries: tuple[Entry, ...]
    comparisons: tuple[Comparison, ...]
    leaders: tuple[Leader, ...]
    spread: str
    """what differs between draws: `seed spread`, `split and seed spread`, ...; empty for one draw"""
    missing_runs: int
    """of all rows; a run that two rows share counts for both"""
    missing_tests: int

    def entry(self, row: Row, place: Place) -> Entry:
        """Give the entry of a row at a place."""
        return next(entry for entry in self.entries if (entry.row, entry.place) == (row, place))

    def leads(self, row: Row, place: Place) -> bool:
        """Whether a row is the best of a column, outside the noise."""
        return any(one.ahead and (one.row, one.place) == (row, place) for one in self.leaders)


def places(table: Table) -> list[Place]:
    """List the columns of a table: sources, in them windows before songs, in them window lengths."""
    return [
        Place(source, window, level)
        for source in table.sources
        for level in LEVELS
        for window in table.windows
    ]


def draw_name(draw: Draw) -> str:
    """Name a draw."""
    return f"seed {draw.seed}" + ("" if draw.fold is None else f" fold {draw.fold}")


def read_provenance(
    scored: Sequence[Scored],
    draws: Sequence[Draw],
    *,
    command: str,
    overrides: Sequence[str] = (),
    artist20: bool = False,
) -> Provenance:
    """
    Read from the records and splits of the runs where the figures come from; `draws` are all planned ones.

    Raises WhosingsError where nothing is scored yet, a run has not ended, or runs are of different
    collections, protocols or levels of the mix.
    """
    from whosings.collection.splits import Split
    from whosings.training.record import SPLIT, read_record

    if not scored:
        raise WhosingsError("No run of this table is scored yet; train one first.")
    records = {run.folder: read_record(run.folder) for run in scored}
    unfinished = next((folder for folder, record in records.items() if not record.get("complete")), None)
    if unfinished:
        raise WhosingsError(f"{unfinished}: this run has not ended; train it to its end.")
    arguments = [record["arguments"] for record in records.values()]
    machines = [record["machine"] for record in records.values()]
    recipes = [given["recipe"] for given in arguments]
    two_steps = [
        recipe["counterfactual"] for recipe in recipes if recipe["counterfactual"]["branch"] != "none"
    ]
    splits = _splits(scored)
    return Provenance(
        collection=_only({run.metrics["collection"] for run in scored}, "collection"),
        artist20=artist20,
        singers=max(len(Split.load(folder / SPLIT).singers) for folder in records),
        protocol=_only({run.metrics["protocol"] for run in scored}, "protocol"),
        draws=tuple(draws),
        shared_split=len(splits) > 1 and len(set(splits.values())) == 1,
        splits={draw_name(draw): splits[draw] for draw in draws if draw in splits},
        epochs=_sorted(recipe["epochs"] for recipe in recipes),
        first_steps=_sorted(given["first_step"] for given in two_steps),
        best_epochs=tuple(record["best_epoch"] for record in records.values()),
        best_was_last=sum(
            record["best_epoch"] == recipe["epochs"] - 1
            for record, recipe in zip(records.values(), recipes, strict=True)
        ),
        mix_db=_only(
            {given["mix_db"] for given in arguments if given["source"] == "mix"}, "level of the mix"
        ),
        separators=_sorted(
            given["separator"] for given in arguments if given["source"] != "mix" and given.get("separator")
        ),
        overrides=tuple(overrides),
        machines=_sorted(f"{machine['device']}, torch {machine['torch']}" for machine in machines),
        commits=_sorted(machine["commit"] or "unknown" for machine in machines),
        hours=sum(record["seconds"] for record in records.values()) / 3600,
        failed=max(len(run.metrics.get("failed") or {}) for run in scored),
        warning=next((run.metrics["warning"] for run in scored if run.metrics.get("warning")), ""),
        command=command,
    )


def build_table(table: Table, scored: Sequence[Scored], provenance: Provenance) -> TableReport:
    """
    Reduce the scored runs of a table to its entries and the paired tests between its rows.

    `provenance.draws` are the draws that each entry is to have. Raises WhosingsError where nothing is scored,
    a run is none of this table's or there twice, its answers are not those of its metrics, or two rows were
    tested on different splits in one draw.
    """
    runs = _by_entry(table, scored, provenance.draws)
    entries = tuple(
        _entry(table, row, place, runs.get((row, place.source, place.window), []), len(provenance.draws))
        for place in places(table)
        for row in table.rows
    )
    pairs = _pairs(table.rows)
    comparisons = [
        made
        for place in places(table)
        for row, other, neighbours in pairs
        if (made := _compare(runs, row, other, place, neighbours))
    ]
    return TableReport(
        table,
        provenance,
        entries,
        _corrected(comparisons),
        _leaders(table, entries, runs, comparisons),
        spread=_spread(_splits(scored)),
        missing_runs=sum(
            entry.planned - len(entry.draws) for entry in entries if entry.place.level == "song"
        ),
        missing_tests=len(pairs) * len(places(table)) - len(comparisons),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p values of one family of tests (Holm 1979): the order stays, none is above 1."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        corrected[at] = largest
    return corrected


Runs = Mapping[tuple["Row", str, int], Sequence["Scored"]]
"""by row, source and window: in the order of the planned draws"""


def _by_entry(table: Table, scored: Sequence[Scored], draws: Sequence[Draw]) -> Runs:
    if not scored:
        raise WhosingsError(f"No run of {table.name} is scored yet; train one first.")
    by_cell: dict[tuple[Any, ...], Scored] = {}
    for run in scored:
        row, cell = run.row, run.cell
        if (
            row not in table.rows
            or row.recipe != cell.recipe
            or cell.source not in table.sources
            or cell.window not in table.windows
            or cell.draw not in draws
        ):
            raise WhosingsError(
                f"{run.folder}: this run ({row.label}, {cell.recipe}, {cell.source}, {cell.window} s, "
                f"{draw_name(cell.draw)}) is none of those planned for {table.name}; leave it out."
            )
        if by_cell.setdefault((row, cell), run) is not run:
            raise WhosingsError(f"{run.folder}: {row.label} has this run twice; give it once.")
    runs: dict[tuple[Row, str, int], list[Scored]] = {}
    for draw in draws:
        for run in scored:
            if run.cell.draw == draw:
                runs.setdefault((run.row, run.cell.source, run.cell.window), []).append(run)
    return runs


def _entry(table: Table, row: Row, place: Place, runs: Sequence[Scored], planned: int) -> Entry:
    found = published(table.name, row.label, place.window, place.source, place.level)
    weighted, macro = _estimates(runs, place.level) if runs else (None, None)
    return Entry(
        row=row,
        place=place,
        draws=tuple(run.cell.draw for run in runs),
        planned=planned,
        items=tuple(len(_items(run, place.level)) for run in runs),
        f1_weighted=weighted,
        f1_macro=macro,
        calibration_error=statistics.fmean(run.metrics[place.level]["calibration_error"] for run in runs)
        if runs
        else None,
        parameters=max(run.parameters for run in runs) if runs else None,
        published=found,
        published_parameters=published_parameters(table.name, row.label),
    )


def _estimates(runs: Sequence[Scored], level: Level) -> list[Estimate]:
    """Weighted, then macro F1."""
    answered = [_columns(_items(run, level)) for run in runs]
    labels = sorted({name for true, given, _ in answered for name in (*true, *given)})
    intervals = mean_interval(answered, labels)
    found = [scores(true, given, labels).to_dict() for true, given, _ in answered]
    for run, figures in zip(runs, found, strict=True):
        if abs(figures[PAPER_FIGURE] - run.metrics[level][PAPER_FIGURE]) > 1e-6:
            raise WhosingsError(
                f"{run.folder}: the answers kept here are not those that its metrics were measured on; "
                "score the run again."
            )
    return [
        _estimate([figures[name] for figures in found], intervals[name])
        for name in (PAPER_FIGURE, "f1_macro")
    ]


def _estimate(values: Sequence[float], interval: tuple[float, float]) -> Estimate:
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Estimate(tuple(values), statistics.fmean(values), max(values), interval, spread)


Item = tuple[str, float]
"""track and start in seconds; a song starts at 0"""


def _items(run: Scored, level: Level) -> dict[Item, tuple[str, str]]:
    """Singer and answer by item."""
    if level == "song":
        return {(row.track, 0.0): (row.singer, row.answer) for row in run.answers.songs}
    return {(row.track, row.start): (row.singer, row.answer) for row in run.answers.windows}


def _columns(items: Mapping[Item, tuple[str, str]]) -> tuple[list[str], list[str], list[str]]:
    """Singers, answers and songs."""
    singers, answers = ([pair[at] for pair in items.values()] for at in (0, 1))
    return singers, answers, [track for track, _ in items]


def _pairs(rows: Sequence[Row]) -> list[tuple[Row, Row, bool]]:
    """Each row less the one above, then each less the first; whether the two are neighbours."""
    neighbouring = [(row, above, True) for above, row in pairwise(rows)]
    return neighbouring + [(row, rows[0], False) for row in rows[2:]]


def _compare(runs: Runs, row: Row, other: Row, place: Place, neighbours: bool) -> Comparison | None:
    """Test two rows at a place; None where they have nothing in common."""
    ours, others = (runs.get((one, place.source, place.window), []) for one in (row, other))
    of_other = {run.cell.draw: run for run in others}
    common = [(run, of_other[run.cell.draw]) for run in ours if run.cell.draw in of_other]
    true, first, second, songs, left_out = _pooled(common, place.level)
    if not true:
        return None
    labels = sorted({*true, *first, *second})
    rounds = ROUNDS_OF_FAMILY if neighbours and place.level == "song" else ROUNDS
    paired = paired_difference(true, first, second, labels, songs, rounds=rounds)
    made = Comparison(
        row=row,
        other=other,
        place=place,
        draws=tuple(run.cell.draw for run, _ in common),
        neighbours=neighbours,
        items=len(true),
        songs=len(set(songs)),
        left_out=left_out,
        difference=paired.difference,
        interval=paired.interval,
        p_value=paired.p_value,
    )
    return made if place.level == "window" else _with_mcnemar(made, true, first, second, songs)


def _pooled(
    common: Sequence[tuple[Scored, Scored]], level: Level
) -> tuple[list[str], list[str], list[str], list[str], int]:
    """Singers, answers of both rows, songs of the items of all pairs of runs, and how many have no match."""
    true: list[str] = []
    first: list[str] = []
    second: list[str] = []
    songs: list[str] = []
    left_out = 0
    for a, b in common:
        if a.metrics["split_sha256"] != b.metrics["split_sha256"]:
            raise WhosingsError(
                f"{a.folder} and {b.folder} were tested on different splits; compare runs of one split."
            )
        items_a, items_b = _items(a, level), _items(b, level)
        left_out += len(items_a.keys() ^ items_b.keys())
        for item in (item for item in items_a if item in items_b):
            (singer, answer_a), (singer_b, answer_b) = items_a[item], items_b[item]
            if singer != singer_b:
                raise WhosingsError(
                    f"{a.folder} and {b.folder} name two singers for {item[0]}; score both again."
                )
            true.append(singer)
            first.append(answer_a)
            second.append(answer_b)
            songs.append(item[0])
    return true, first, second, songs, left_out


def _with_mcnemar(
    made: Comparison, true: list[str], first: list[str], second: list[str], songs: list[str]
) -> Comparison:
    """Add McNemar's test, a song of several draws counted once."""
    from scipy.stats import binomtest

    gain: dict[str, int] = {}
    for singer, a, b, song in zip(true, first, second, songs, strict=True):
        gain[song] = gain.get(song, 0) + (a == singer) - (b == singer)
    won, lost = sum(value > 0 for value in gain.values()), sum(value < 0 for value in gain.values())
    p_value = float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
    return replace(made, won=won, lost=lost, mcnemar_p=p_value)


def _corrected(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Add Holm's p to the tests of songs between neighbours."""
    family = [
        (at, made.p_value[PAPER_FIGURE], made.mcnemar_p)
        for at, made in enumerate(comparisons)
        if made.neighbours and made.mcnemar_p is not None
    ]
    by_figure, by_mcnemar = holm([p for _, p, _ in family]), holm([p for _, _, p in family])
    corrected = list(comparisons)
    for (at, _, _), p_value, mcnemar_p in zip(family, by_figure, by_mcnemar, strict=True):
        corrected[at] = replace(corrected[at], holm_p=p_value, holm_mcnemar_p=mcnemar_p)
    return tuple(corrected)


def _leaders(
    table: Table, entries: Sequence[Entry], runs: Runs, comparisons: Sequence[Comparison]
) -> tuple[Leader, ...]:
    """Find the best of each column that has two rows or more."""
    made = {(one.place, frozenset((one.row, one.other))): one for one in comparisons}
    leaders = []
    for place in places(table):
        ranked = sorted(
            (entry for entry in entries if entry.place == place and entry.f1_weighted),
            key=lambda entry: -entry.f1_weighted.average if entry.f1_weighted else 0.0,
        )
        if len(ranked) < 2:
            continue
        best, following = ranked[:2]
        test = made.get((place, frozenset((best.row, following.row)))) or _compare(
            runs, best.row, following.row, place, False
        )
        if test is None:
            continue
        p_value = test.p_value[PAPER_FIGURE]
        better = (test.difference[PAPER_FIGURE] > 0) == (test.row == best.row)
        same_draws = best.draws == following.draws
        leaders.append(
            Leader(place, best.row, following.row, p_value, better and same_draws and p_value < NOISE)
        )
    return tuple(leaders)


def _splits(scored: Sequence[Scored]) -> dict[Draw, str]:
    """Hash of the split of each draw."""
    return {run.cell.draw: run.metrics["split_sha256"] for run in scored}


def _spread(splits: Mapping[Draw, str]) -> str:
    """Name what differs between the draws."""
    differs = {"split": len(set(splits.values())) > 1, "seed": len({draw.seed for draw in splits}) > 1}
    names = [name for name, yes in differs.items() if yes]
    return f"{' and '.join(names)} spread" if names else ""


def _only(values: set[Any], what: str) -> Any:
    """Give the one value that all runs share; None without runs."""
    if len(values) > 1:
        named = " and ".join(sorted(map(str, values)))
        raise WhosingsError(f"The runs have more than one {what} ({named}); give runs that share it.")
    return values.pop() if values else None


def _sorted(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(set(values)))
