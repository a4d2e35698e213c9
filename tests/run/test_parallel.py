"""Workers: order, errors, how many."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info

from isac2.run.parallel import available_cores, open_workers


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


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "10000 100000"}, 1),
        ({"cpu.max": "max 100000"}, 64),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 64),
        ({}, 64),
    ],
)
def test_cores_respect_the_containers_quota(
    files: dict[str, str], limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_cores(tmp_path) == limit
