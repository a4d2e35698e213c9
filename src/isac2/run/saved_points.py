"""What a run finds of its earlier starts, and what it does when that is damaged.

Every step comes to the same from the same, so that a step whose result is damaged is done anew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isac2.clustering.state import IsacState, Pools
from isac2.run.beginning import last_good_state
from isac2.run.checkpoint import (
    DamagedStateError,
    is_as_saved,
    load_arrays,
    load_pools,
    load_state,
    save_checksums,
    save_state,
)
from isac2.run.job import Job

__all__ = [
    "are_images_good",
    "last_state",
    "remove_working_stack",
    "saved_array",
    "saved_pools",
]


def saved_array(job: Job, path: Path, name: str) -> NDArray[np.float64] | None:
    """Return an array that a step has saved; None when the step has to be done."""
    if not path.exists():
        return None
    try:
        found: NDArray[np.float64] = load_arrays(path)[0][name]
    except DamagedStateError as error:
        job.progress.note(f"Warning: {path} is damaged, the step is done anew: {error}")
        return None
    return found


def are_images_good(job: Job) -> bool:
    """Whether the working images are there, and are what was written."""
    path, checksums = job.directory.working_images, job.directory.working_images_state
    if not path.exists():
        return False
    if not checksums.exists():
        # a run that was killed just before they were saved
        save_checksums(checksums, path)
        return True
    try:
        if is_as_saved(checksums, path):
            return True
    except DamagedStateError:
        pass
    job.progress.note(f"Warning: {path} is damaged, and is prepared anew")
    remove_working_stack(path)
    checksums.unlink()
    return False


def last_state(job: Job) -> IsacState | None:
    """Return where the clustering is, as saved; None when it is to begin."""
    saved = job.directory.clustering_state
    if not saved.exists():
        return None
    try:
        return load_state(saved)
    except DamagedStateError:
        state = last_good_state(job.directory)
        where = f"main iteration {state.main_iteration}" if state else "the working images"
        job.progress.note(f"Warning: {saved} is damaged: the run goes on from {where}")
        if state is None:
            saved.unlink()
        else:
            save_state(saved, state)
        return state


def saved_pools(job: Job) -> Pools | None:
    """Return the pools as saved; None when they are to be made, also because they are damaged."""
    saved = job.directory.pools_state
    if not saved.exists():
        return None
    try:
        return load_pools(saved)
    except DamagedStateError:
        job.progress.note(f"Warning: {saved} is damaged: the pools are sorted anew")
        job.directory.remove_after_main(0)
        job.directory.clustering_state.unlink(missing_ok=True)
        return None


def remove_working_stack(path: Path) -> None:
    """Remove working images that are needed no more, with the list beside them."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.stem}.unusable.txt").unlink(missing_ok=True)
