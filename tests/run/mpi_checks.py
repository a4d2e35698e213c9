"""Checks of what ranks say to each other, made on every rank; tests launch it by mpirun."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from isac2.cli.main import explain
from isac2.errors import InputError, RunError
from isac2.run import communication
from isac2.run.communication import Ranks, open_ranks
from isac2.run.parallel import RankWorkers, open_workers
from isac2.run.prepare import open_working_stack
from isac2.workers import SerialWorkers


def check_values(ranks: Ranks) -> None:
    """Values of all sizes arrive where they should."""
    numbers = np.arange(1000.0)
    assert np.array_equal(ranks.first(lambda: numbers * (ranks.rank + 1)), numbers)
    assert ranks.each(lambda: ranks.rank) == ranks.rank
    parts = ranks.all(lambda: numbers[: 100 * ranks.rank])
    assert [len(part) for part in parts] == [100 * rank for rank in range(ranks.count)]
    kept: dict[int, NDArray[np.float64]] = {}
    ranks.to_first(lambda: numbers + ranks.rank, kept.__setitem__)
    assert sorted(kept) == (list(range(ranks.count)) if ranks.is_first else [])
    assert all(np.array_equal(part, numbers + rank) for rank, part in kept.items())
    # of three or more ranks: others' parts of `all`, and what the first one says or receives
    floor = 8 * (1000 * (ranks.count - 1) if ranks.is_first else 1000)
    assert ranks.received_bytes > floor


def check_errors(ranks: Ranks) -> None:
    """An error of one is an error of all, and they can go on afterwards."""

    def fail(rank: int) -> int:
        if ranks.rank == rank:
            raise InputError(f"wrong on rank {rank}")
        return ranks.rank

    def fail_keeping(rank: int, value: int) -> None:
        raise RunError(f"cannot keep {value} of rank {rank}")

    for call in (ranks.each, ranks.all):
        for rank in range(ranks.count):
            with pytest.raises(InputError, match=f"wrong on rank {rank}"):
                call(partial(fail, rank))
    with pytest.raises(InputError, match="wrong on rank 0"):
        ranks.first(lambda: fail(0))
    with pytest.raises(RunError, match="cannot keep 0 of rank 0"):
        ranks.to_first(lambda: ranks.rank, fail_keeping)
    with pytest.raises(Exception, match="secret"):
        ranks.each(lambda: raise_what_cannot_travel(ranks))
    # two at once: the first one's
    with pytest.raises(InputError, match="wrong on rank 1"):
        ranks.each(lambda: fail(ranks.rank) if ranks.rank else 0)
    assert ranks.all(lambda: ranks.rank) == list(range(ranks.count))


def raise_what_cannot_travel(ranks: Ranks) -> None:
    """Raise an error of a class that no other rank knows, on the last rank."""

    class UntoldError(Exception):
        pass

    if ranks.rank == ranks.count - 1:
        raise UntoldError("secret")


def check_going_apart(ranks: Ranks) -> None:
    """Ranks that make different calls are told so."""
    call: Callable[[Callable[[], int]], object] = ranks.each if ranks.is_first else ranks.all
    with pytest.raises(RunError, match="not doing the same"):
        call(lambda: 1)


def check_workers(ranks: Ranks) -> None:
    """Work is shared, and its results are everywhere and in order."""
    workers = RankWorkers(ranks, SerialWorkers())
    done: list[int] = []

    def work(item: int) -> int:
        done.append(item)
        return item * item

    assert workers.count == ranks.count
    assert workers.map(work, range(10)) == [item * item for item in range(10)]
    assert done == list(range(10))[ranks.rank :: ranks.count]
    assert workers.map(work, []) == []
    table: dict[int, int] = {}
    workers.collect(work, range(10), table.__setitem__)
    assert table == ({item: item * item for item in range(10)} if ranks.is_first else {})
    assert workers.once(lambda: sum(table.values())) == 285
    with open_workers(2, ranks) as threads:
        assert threads.count == 2 * ranks.count
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}


def check_shared_pages(ranks: Ranks, folder: Path) -> None:
    """The ranks of a machine hold the working images once between them."""
    path = folder / "working.npy"

    def write() -> None:
        np.save(path, np.ones((500, 64, 64), np.float32))
        path.with_name("working.unusable.txt").write_text("")

    ranks.first(write)
    images = ranks.each(lambda: open_working_stack(path)).images
    assert images.sum() == images.size
    ranks.each(lambda: None)  # everybody has touched every page
    sizes = ranks.each(lambda: _mapped_kibibytes(path))
    assert ranks.all(lambda: sizes) == [sizes] * ranks.count
    assert sizes["Rss"] >= images.nbytes // 1024
    # the system counts a page that n processes map as the n-th part of one for each
    assert sizes["Pss"] <= 1.05 * sizes["Rss"] / ranks.count


def _mapped_kibibytes(path: Path) -> dict[str, int]:
    """Sizes of this process's map of a file, by the system's names for them."""
    found: dict[str, int] = {}
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if words[-1] == str(path):
            found = {"Rss": 0, "Pss": 0}
        elif "-" in words[0] and found.get("Rss"):
            break
        elif words[0][:-1] in found:
            found[words[0][:-1]] = int(words[1])
    return found


if __name__ == "__main__":
    with open_ranks(explain) as all_ranks:
        check_values(all_ranks)
        vars(communication)["_PIECE_BYTES"] = 1000
        check_values(all_ranks)
        check_errors(all_ranks)
        check_workers(all_ranks)
        check_going_apart(all_ranks)
        if Path("/proc/self/smaps").exists():
            check_shared_pages(all_ranks, Path(sys.argv[1]))
        if all_ranks.is_first:
            print("all is well")
