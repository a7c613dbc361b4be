"""Progress bars for long work, on standard error so that results stay clean on standard output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """A bar to move on by one step, or to a step; a silent one shows nothing."""

    def __init__(self, progress: Progress | None = None, task: TaskID | None = None):
        self._progress, self._task = progress, task

    def step(self, *_: object) -> None:
        """Move on by one; whatever a callback hands over is welcome."""
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task)

    def write(self, line: str) -> None:
        """Print a line above the bar."""
        if self._progress is not None:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def reach(self, done: int, total: int) -> None:
        """Show `done` of `total`."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total)


@contextmanager
def bar(description: str, total: int, *, quiet: bool = False) -> Iterator[Bar]:
    """Show a bar of `total` steps while the block runs."""
    if quiet:
        yield Bar()
        return
    from rich.console import Console

    console = Console(stderr=True)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, progress.add_task(description, total=total))
