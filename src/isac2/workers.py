"""Who does the work: the one verb that the method asks of threads, processes or nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

__all__ = ["SerialWorkers", "Workers"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers(Protocol):
    """Something that applies a function to many items, perhaps several at a time.

    The method cuts its work into items whose size does not depend on the workers, so that the
    result does not either.
    """

    @property
    def count(self) -> int:
        """How many items are worked on at the same time."""
        ...

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return `function(item)` of each item, in the items' order; the first error is raised."""
        ...


class SerialWorkers:
    """One item after the other, in the calling thread.

    Examples
    --------
    >>> SerialWorkers().map(abs, [-2, 1])
    [2, 1]
    """

    count = 1

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return `function(item)` of each item."""
        return [function(item) for item in items]
