"""Whether MPI's launcher has started this program, and as which of how many processes.

Known from the launcher's environment variables, so that nothing of MPI is touched to ask.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["launched_apart", "launched_rank", "launched_ranks"]

# Open MPI; MPICH and Intel MPI; MVAPICH; anything that starts processes by PMIx, as Slurm's srun
_COUNT_NAMES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
_RANK_NAMES = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "PMIX_RANK")


def launched_ranks(environment: Mapping[str, str] | None = None) -> int:
    """Return how many processes MPI's launcher says it has started; 0 when there was none.

    Examples
    --------
    >>> launched_ranks({"OMPI_COMM_WORLD_SIZE": "96"}), launched_ranks({"PMIX_RANK": "3"})
    (96, 4)
    >>> launched_ranks({})
    0
    """
    names = os.environ if environment is None else environment
    for name in _COUNT_NAMES:
        if names.get(name, "").isdigit():
            return int(names[name])
    if names.get("PMIX_RANK", "").isdigit():
        # srun: the size is Slurm's word; at least as many as this one's number says
        said = names.get("SLURM_STEP_NUM_TASKS", names.get("SLURM_NTASKS", ""))
        return max(int(names["PMIX_RANK"]) + 1, int(said) if said.isdigit() else 1)
    return 0


def launched_apart(environment: Mapping[str, str] | None = None) -> int:
    """Return how many processes Slurm's srun has started without MPI; 0 for none or one.

    Examples
    --------
    >>> launched_apart({"SLURM_STEP_NUM_TASKS": "8"})
    8
    >>> launched_apart({"SLURM_STEP_NUM_TASKS": "8", "PMIX_RANK": "0"})
    0
    """
    names = os.environ if environment is None else environment
    said = names.get("SLURM_STEP_NUM_TASKS", "")
    if launched_ranks(names) or not said.isdigit():
        return 0
    return int(said) if int(said) > 1 else 0


def launched_rank(environment: Mapping[str, str] | None = None) -> int:
    """Return which of the launched processes this is, as the launcher says; 0 without one."""
    names = os.environ if environment is None else environment
    return next((int(names[name]) for name in _RANK_NAMES if names.get(name, "").isdigit()), 0)
