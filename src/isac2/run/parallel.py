"""Threads for the method's work, and how many of them this process may use."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from threadpoolctl import threadpool_limits

from isac2.workers import SerialWorkers, Workers

__all__ = ["ThreadWorkers", "available_cores", "open_workers"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_CGROUP = Path("/sys/fs/cgroup")


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


@contextmanager
def open_workers(threads: int = 0) -> Iterator[Workers]:
    """Yield workers for a `with` block, inside which linear algebra is single-threaded.

    Threads over blocks of images use the machine better than threads inside one matrix product, and
    a product that is not split always sums in the same order.

    Parameters
    ----------
    threads : int
        Items worked on at the same time; 0 is `available_cores`.
    """
    count = threads or available_cores()
    with threadpool_limits(limits=1):
        if count == 1:
            yield SerialWorkers()
            return
        executor = ThreadPoolExecutor(count, thread_name_prefix="isac2")
        try:
            yield ThreadWorkers(executor, count)
        except BaseException:
            # who is stopped does not wait for what is being worked on and nobody will look at
            executor.shutdown(wait=False, cancel_futures=True)
            raise
        executor.shutdown()


def available_cores(cgroup: Path = _CGROUP) -> int:
    """Return how many cores this process may use: its affinity, less what a container allows.

    A container's limit is the quota of processor time in the control group, version 2 or 1.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = _cgroup_quota(cgroup)
    return cores if quota is None else max(1, min(cores, round(quota)))


def _cgroup_quota(cgroup: Path) -> float | None:
    """Cores' worth of processor time that the control group allows, or None without a limit."""
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        return None if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError):
        return None
