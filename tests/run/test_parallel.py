"""Workers: order, errors, how many."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_info

from isac2.run.communication import OneRank
from isac2.run.parallel import open_workers, threads_of_rank


@pytest.mark.parametrize("threads", [1, 4])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    first_waits = threading.Event()

    def work(item: int) -> int:
        # with threads, the first item ends after the second
        if threads > 1 and item == 0:
            assert first_waits.wait(10)
        if item == 1:
            first_waits.set()
        return item * item

    with open_workers(threads) as workers:
        assert workers.count == threads
        assert workers.map(work, range(20)) == [item * item for item in range(20)]
        assert workers.map(work, []) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_reaches_the_caller(threads: int) -> None:
    def work(item: int) -> float:
        return 1 / item

    with open_workers(threads) as workers, pytest.raises(ZeroDivisionError):
        workers.map(work, [1, 0, 2])


def test_linear_algebra_is_single_threaded_inside() -> None:
    with open_workers(2):
        assert {pool["num_threads"] for pool in threadpool_info()} <= {1}


class OneOf(OneRank):
    """One of several ranks, which says what all of them would."""

    def __init__(self, machines: list[tuple[str, frozenset[int], str]]) -> None:
        self.machines = machines

    def all(self, function: Any) -> list[Any]:
        assert function() == self.machines[0]
        return self.machines


@pytest.mark.parametrize(
    ("own", "others", "slurm", "asked", "threads"),
    [
        # (cores of this rank, of the others on its machine, what Slurm says, --threads, threads)
        (range(8), [], {}, 0, 8),
        (range(8), [], {}, 3, 3),
        (range(8), [], {}, 64, 8),
        (range(8), [range(8)], {}, 0, 4),
        (range(8), [range(8)] * 2, {}, 8, 2),
        (range(8), [range(8)] * 15, {}, 0, 1),
        # bound to cores of their own
        (range(2), [range(2, 4), range(4, 6)], {}, 0, 2),
        (range(1), [range(1, 2)], {}, 4, 1),
        (range(64), [range(64)], {"SLURM_CPUS_ON_NODE": "16"}, 0, 8),
        (range(64), [range(64)], {"SLURM_CPUS_ON_NODE": "16", "SLURM_CPUS_PER_TASK": "4"}, 0, 4),
        (range(64), [], {"SLURM_CPUS_PER_TASK": "4"}, 0, 4),
    ],
)
def test_ranks_times_threads_are_no_more_than_the_cores(
    own: range,
    others: list[range],
    slurm: dict[str, str],
    asked: int,
    threads: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(own), raising=False)
    for name in ("SLURM_CPUS_ON_NODE", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)
    said = slurm.get("SLURM_CPUS_ON_NODE", "")
    here = [(socket.gethostname(), frozenset(cores), said) for cores in (own, *others)]
    elsewhere = [("another machine", frozenset(range(64)), said)] * 5
    assert threads_of_rank(asked, OneOf([*here, *elsewhere]), tmp_path) == threads


def test_a_container_limits_ranks_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.max").write_text("400000 100000")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.delenv("SLURM_CPUS_ON_NODE", raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    here = (socket.gethostname(), frozenset(range(64)), "")
    assert threads_of_rank(0, OneOf([here, here]), tmp_path) == 2
