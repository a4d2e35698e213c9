"""Long work after a run: workers and progress, shown as a run shows its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from isac2.run.communication import OneRank, Ranks
from isac2.run.displays import SilentDisplay, open_display
from isac2.run.parallel import open_workers, threads_of_rank
from isac2.run.progress import Display, Progress
from isac2.workers import Workers

__all__ = ["Work", "open_work"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_ITEMS_A_STEP = 4  # for each worker, between two reports of progress


@dataclass(frozen=True)
class Work:
    """Who works, and who is told.

    With several ranks each has its own, and makes every call; but only the first touches files, in
    what is handed to `first`.
    """

    workers: Workers
    progress: Progress
    ranks: Ranks

    def first(self, function: Callable[[], Result]) -> Result:
        """Return what the first rank's `function()` returns: for all that writes files."""
        return self.ranks.first(function)

    def map(
        self, name: str, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> list[Result]:
        """Apply a function to items, in order, and show how far it is."""
        done: list[Result] = []
        step = _ITEMS_A_STEP * self.workers.count
        for start in range(0, len(items), step):
            self.progress.step(name, start, len(items))
            done += self.workers.map(function, items[start : start + step])
        self.progress.step(name, len(items), len(items))
        return done


@contextmanager
def open_work(
    name: str, threads: int = 0, display: Display | None = None, ranks: Ranks | None = None
) -> Iterator[Work]:
    """Yield workers and progress for a `with` block, which is one phase.

    Parameters
    ----------
    name : str
        Of the phase.
    threads : int
        0: as many as this process may use cores.
    display : Display, optional
        Where progress is shown; by default stderr, live when it is a terminal.
    ranks : Ranks, optional
        Processes that share the work, all of which make this call; by default this one alone.
    """
    ranks = ranks or OneRank()
    with open_workers(threads_of_rank(threads, ranks), ranks) as workers, ExitStack() as shown:
        if not ranks.is_first:
            display = SilentDisplay()
        progress = Progress(display or shown.enter_context(open_display()))
        with progress.phase(name):
            yield Work(workers, progress, ranks)
