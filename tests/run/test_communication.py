"""The serial twin of MPI's ranks, and how a launcher is known. MPI itself: `test_mpi`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from isac2.errors import InputError
from isac2.run.communication import OneRank, open_ranks
from isac2.run.launcher import launched_rank, launched_ranks


def test_one_rank_is_the_first_and_has_all() -> None:
    ranks = OneRank()
    assert (ranks.rank, ranks.count, ranks.is_first) == (0, 1, True)
    assert ranks.first(lambda: 3) == ranks.each(lambda: 3) == 3
    assert ranks.all(lambda: 3) == [3]
    kept: dict[int, int] = {}
    ranks.to_first(lambda: 3, kept.__setitem__)
    assert kept == {0: 3}
    with pytest.raises(ZeroDivisionError):
        ranks.first(lambda: 1 // 0)


@pytest.mark.parametrize(
    ("environment", "count", "rank"),
    [
        ({}, 0, 0),
        ({"OMPI_COMM_WORLD_SIZE": "96", "OMPI_COMM_WORLD_RANK": "95", "PMIX_RANK": "95"}, 96, 95),
        ({"PMI_SIZE": "4", "PMI_RANK": "2"}, 4, 2),
        ({"PMIX_RANK": "3", "SLURM_STEP_NUM_TASKS": "8", "SLURM_NTASKS": "16"}, 8, 3),
        ({"PMIX_RANK": "0", "SLURM_NTASKS": "16"}, 16, 0),
        # a batch script: nothing was launched yet
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "16"}, 0, 0),
        ({"PMI_SIZE": "many"}, 0, 0),
    ],
)
def test_the_launcher_is_known_by_its_variables(
    environment: dict[str, str], count: int, rank: int
) -> None:
    assert (launched_ranks(environment), launched_rank(environment)) == (count, rank)


@pytest.mark.parametrize("variables", [{}, {"OMPI_COMM_WORLD_SIZE": "1"}])
def test_a_program_alone_does_not_touch_mpi(variables: dict[str, str]) -> None:
    program = (
        "import sys\n"
        "from isac2.run.communication import open_ranks\n"
        "import isac2.run.runner\n"
        "with open_ranks(lambda error: 1) as ranks:\n"
        "    print(ranks.count, 'mpi4py' in sys.modules)\n"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OMPI_")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=plain | variables
    )
    assert (done.stdout, done.stderr) == ("1 False\n", "")


def test_processes_that_know_nothing_of_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "8")
    with pytest.raises(InputError, match="srun has started 8 processes"), open_ranks(lambda _: 1):
        pass


def test_ranks_without_mpi_are_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "3")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(InputError, match=r"3 processes .* isac2\[mpi\]"), open_ranks(lambda _: 1):
        pass
