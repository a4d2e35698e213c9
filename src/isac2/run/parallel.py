"""Threads and ranks for the method's work, and how many of them the machine is for."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from threadpoolctl import threadpool_limits

from isac2.devices import count_gpus, find_device
from isac2.run.communication import Ranks
from isac2.run.cores import CGROUP, available_cores, limited_cores, own_cores
from isac2.workers import SerialWorkers, Workers

__all__ = [
    "RankWorkers",
    "ThreadWorkers",
    "available_cores",
    "device_for",
    "device_of_rank",
    "open_workers",
    "threads_of_rank",
]

Item = TypeVar("Item")
Result = TypeVar("Result")


class ThreadWorkers:
    """Several items at a time, in threads; the array kernels release the interpreter's lock."""

    def __init__(self, executor: ThreadPoolExecutor, count: int) -> None:
        self._executor = executor
        self.count = count

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return `function(item)` of each item, in the items' order."""
        futures = [self._executor.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            # what has not begun would only delay the end
            for future in futures:
                future.cancel()
            raise

    def collect(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        keep: Callable[[Item, Result], None],
    ) -> None:
        """Hand each item and `function(item)` to `keep`, in the items' order."""
        futures = deque((item, self._executor.submit(function, item)) for item in items)
        try:
            while futures:
                item, future = futures.popleft()  # what has been kept is let go
                keep(item, future.result())
        except BaseException:
            for _, future in futures:
                future.cancel()
            raise

    def once(self, function: Callable[[], Result]) -> Result:
        """Return `function()`, in the calling thread."""
        return function()


class RankWorkers:
    """Several items at a time on every rank; each rank takes every n-th item.

    Parameters
    ----------
    ranks : Ranks
    local : Workers
        Of this rank.
    """

    def __init__(self, ranks: Ranks, local: Workers) -> None:
        self._ranks = ranks
        self._local = local
        self.count = ranks.count * local.count

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return `function(item)` of each item, in the items' order, on every rank."""
        everything = list(items)
        if not everything:
            return []
        mine = everything[self._ranks.rank :: self._ranks.count]
        parts = [iter(part) for part in self._ranks.all(lambda: self._local.map(function, mine))]
        return [next(parts[number % self._ranks.count]) for number in range(len(everything))]

    def collect(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        keep: Callable[[Item, Result], None],
    ) -> None:
        """Hand each item and `function(item)` to `keep` on the first rank, rank by rank."""
        everything = list(items)
        if not everything:
            return
        mine = everything[self._ranks.rank :: self._ranks.count]

        def keep_all(rank: int, found: list[Result]) -> None:
            theirs = everything[rank :: self._ranks.count]
            for item, result in zip(theirs, found, strict=True):
                keep(item, result)

        self._ranks.to_first(lambda: self._local.map(function, mine), keep_all)

    def once(self, function: Callable[[], Result]) -> Result:
        """Return `function()` of the first rank on every rank."""
        return self._ranks.first(function)


@contextmanager
def open_workers(threads: int = 0, ranks: Ranks | None = None) -> Iterator[Workers]:
    """Yield workers for a `with` block, inside which linear algebra is single-threaded.

    Threads over blocks of images use the machine better than threads inside one matrix product, and
    a product that is not split always sums in the same order.

    Parameters
    ----------
    threads : int
        Items worked on at the same time by this process; 0 is `available_cores`.
    ranks : Ranks, optional
        Processes that share the work.
    """
    count = threads or available_cores()
    shared = ranks if ranks is not None and ranks.count > 1 else None
    with threadpool_limits(limits=1):
        if count == 1:
            yield _on_ranks(shared, SerialWorkers())
            return
        executor = ThreadPoolExecutor(count, thread_name_prefix="isac2")
        try:
            yield _on_ranks(shared, ThreadWorkers(executor, count))
        except BaseException:
            # who is stopped does not wait for what is being worked on and nobody will look at
            executor.shutdown(wait=False, cancel_futures=True)
            raise
        executor.shutdown()


def _on_ranks(ranks: Ranks | None, local: Workers) -> Workers:
    return local if ranks is None else RankWorkers(ranks, local)


def threads_of_rank(asked: int, ranks: Ranks, cgroup: Path = CGROUP) -> int:
    """Return how many threads this rank may have: what was asked for, or all that it can use.

    Ranks times threads are never more than the cores of a machine, but for one thread a rank.

    Parameters
    ----------
    asked : int
        ``--threads``, of each rank; 0 for as many as there are cores.
    ranks : Ranks
    cgroup : pathlib.Path
    """
    here = (socket.gethostname(), own_cores(), os.environ.get("SLURM_CPUS_ON_NODE", ""))
    machines = ranks.all(lambda: here)
    together = [cores for host, cores, _ in machines if host == here[0]]
    on_machine = limited_cores(len(frozenset().union(*together)), here[2], cgroup)
    mine = available_cores(cgroup)
    possible = max(1, min(mine, on_machine // len(together)))
    return min(asked, possible) if asked else possible


def device_for(asked: str, ranks: Ranks) -> str:
    """Return what this rank computes on: what was asked for, of several GPUs its own.

    Parameters
    ----------
    asked : str
        ``--device``.
    ranks : Ranks
        All of which make this call.

    Raises
    ------
    InputError
        A rank has no such device.
    """
    device = ranks.each(lambda: find_device(asked))
    hosts = ranks.all(socket.gethostname)
    if device != "cuda" or ranks.count == 1:
        return device
    return f"cuda:{device_of_rank(ranks.rank, hosts, count_gpus())}"


def device_of_rank(rank: int, hosts: Sequence[str], devices: int) -> int | None:
    """Return which of its machine's devices, counted from 0, a rank uses; None without any.

    The ranks of a machine take its devices in turn.

    Parameters
    ----------
    rank : int
    hosts : sequence of str (ranks,)
        The machine of each rank, ``ranks.all(socket.gethostname)``.
    devices : int
        That this rank sees.

    Examples
    --------
    >>> [device_of_rank(rank, ["a", "a", "b", "b", "b"], 2) for rank in range(5)]
    [0, 1, 0, 1, 0]
    """
    if devices < 1:
        return None
    return list(hosts[:rank]).count(hosts[rank]) % devices
