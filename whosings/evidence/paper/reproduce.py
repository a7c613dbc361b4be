"""A table of the paper from beginning to end: run by run, the table written anew after each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from whosings.collection.features import FeatureStore
from whosings.errors import WhosingsError
from whosings.evidence.paper.estimate import Estimate, estimate
from whosings.evidence.paper.grid import Grid, Settings
from whosings.evidence.paper.pages import write_table
from whosings.evidence.paper.plan import Cell, Draw, Table, cells
from whosings.evidence.paper.tables import build_table, read_provenance
from whosings.training.record import read_record


@dataclass(frozen=True)
class Reproduction:
    """Where a table's files lie by kind, and what became of its runs, each by the name of its folder."""

    files: dict[str, Path] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """with the reason"""
    unheard: dict[str, str] = field(default_factory=dict)
    """songs that could not be trained on or tested, by track id, with the reason"""
    left: list[str] = field(default_factory=list)
    """for another call, since the time was up"""


class Clock:
    """Says whether there is time for another run, by what runs were expected to take and what they took."""

    def __init__(self, expected: Estimate, max_hours: float | None):
        self._expected = expected.runs
        self._seconds_left = float("inf") if max_hours is None else max_hours * 3600
        self._planned = self._taken = 0.0

    def expects(self, cell: Cell) -> float:
        """Give the seconds that a run will take; those before it tell how far estimates were off."""
        pace = self._taken / self._planned if self._planned else 1.0
        return self._expected.get(cell, 0.0) * pace

    def allows(self, cell: Cell) -> bool:
        """Say whether a run is expected to end in time."""
        return self.expects(cell) <= self._seconds_left

    @contextmanager
    def timing(self, cell: Cell) -> Iterator[None]:
        """Time a run."""
        started = time.monotonic()
        yield
        taken = time.monotonic() - started
        self._seconds_left -= taken
        if cell in self._expected:
            self._planned += self._expected[cell]
            self._taken += taken


def reproduce_table(
    table: Table,
    settings: Settings,
    draws: Sequence[Draw],
    store: FeatureStore,
    *,
    max_hours: float | None = None,
    plan_only: bool = False,
    command: str = "",
    on_estimate: Callable[[Estimate], None] = lambda expected: None,
    on_run: Callable[[str, float], None] = lambda name, seconds: None,
    quiet: bool = False,
) -> Reproduction:
    """
    Train and score the runs of a table one by one, writing the table into `settings.out` after each.

    Runs that are done are taken as they are; one that was cut off goes on. A run that cannot be made is
    noted, and the others go on. With `max_hours` no run is begun that is expected to end later. `on_estimate`
    hears what all will take before it starts (with `plan_only` it does not), `on_run` of each run and the
    seconds it is expected to take. Raises WhosingsError where nothing at all could be scored, or the extra
    that a run needs is missing.
    """
    grid = Grid(settings, store)
    draws = grid.distinct(draws)
    wanted = cells(table, draws)
    expected = estimate(grid, wanted)
    on_estimate(expected)
    clock, result, scored = Clock(expected, max_hours), Reproduction(), []
    if plan_only:
        return result
    for cell in wanted:
        name = grid.folder(cell).name
        if not clock.allows(cell):
            result.left.append(name)
            continue
        on_run(name, clock.expects(cell))
        try:
            with clock.timing(cell):
                # also where it is done: then it is seen to be of these settings
                grid.train(cell, quiet=quiet)
                scored += [grid.score(row, cell) for row in table.rows if row.recipe == cell.recipe]
        except WhosingsError as error:
            result.failed[name] = str(error)
            continue
        result.done.append(name)
        for failed in (read_record(grid.folder(cell))["failed"], *(run.metrics["failed"] for run in scored)):
            result.unheard.update(failed)
        origin = read_provenance(
            scored,
            draws,
            command=command,
            overrides=settings.overrides,
            artist20=grid.collection.layout == "artist20",
        )
        result.files.update(write_table(build_table(table, scored, origin), settings.out / table.name))
    if not result.done:
        why = next(iter(result.failed.values()), "the time given is too short for the first run")
        raise WhosingsError(f"{settings.out}: {table.name} has no run to show ({why.rstrip('.')}).")
    return result
