"""Who does the work: what the method asks of threads, processes or nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

__all__ = ["SerialWorkers", "Workers"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers(Protocol):
    """Something that applies a function to many items, perhaps several at a time.

    The method cuts its work into items whose size does not depend on the workers, so that the
    result does not either. Workers may share no memory: what a function finds out it returns, and
    writes nowhere else.
    """

    @property
    def count(self) -> int:
        """How many items are worked on at the same time."""
        ...

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return `function(item)` of each item, in the items' order; the first error is raised."""
        ...

    def collect(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        keep: Callable[[Item, Result], None],
    ) -> None:
        """Hand each item and `function(item)` to `keep`, one after the other, in any order.

        For what is too large to be everywhere: what `keep` stores may only be looked at in `once`.
        """
        ...

    def once(self, function: Callable[[], Result]) -> Result:
        """Return `function()`, which one of those who may have the whole of a table works out."""
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

    def collect(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        keep: Callable[[Item, Result], None],
    ) -> None:
        """Hand each item and `function(item)` to `keep`."""
        for item in items:
            keep(item, function(item))

    def once(self, function: Callable[[], Result]) -> Result:
        """Return `function()`."""
        return function()
