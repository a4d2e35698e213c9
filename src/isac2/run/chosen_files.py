"""Files of chosen classes: what `isac2 select` and the viewer write, by one and the same code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isac2.classes.select_files import RunClasses
from isac2.errors import InputError
from isac2.run.final_files import project_folder
from isac2.run.text_tables import write_ids
from isac2.stacks import Stack, WriteOptions, open_stack, write_stack

__all__ = ["is_id_list", "write_chosen_averages", "write_chosen_particles"]


def is_id_list(output: str) -> bool:
    """Whether a name is that of a list of ids, which needs no particles to be written."""
    return output.lower().endswith(".txt")


def write_chosen_particles(
    output: str, particles: Stack | None, ids: NDArray[np.int64], keep_existing: bool = True
) -> None:
    """Write particles by their ids, in the format that the name tells.

    Parameters
    ----------
    output : str
        ``.txt`` for the ids alone; else any name of `isac2.stacks.write_stack`.
    particles : Stack or None
        All particles of the run; a list of ids does without.
    ids : int64 (m,)
        Rows of `particles`, from 0.
    keep_existing : bool
        Refuse to replace a stack that is there already.

    Raises
    ------
    InputError
        When something cannot be written.
    """
    if is_id_list(output):
        write_ids(Path(output), ids)
        return
    if particles is None:
        raise InputError(f"{output} needs the particles: give them as --stack.")
    some = particles.select(ids)
    write_stack(output, some, WriteOptions(False, project_folder(some), keep_existing))


def write_chosen_averages(
    output: str, classes: RunClasses, chosen: NDArray[np.bool_], keep_existing: bool = True
) -> None:
    """Write the averages of chosen classes, headers and all, in the format that the name tells.

    Raises
    ------
    InputError
        When no class is chosen, or something cannot be written.
    """
    if not chosen.any():
        raise InputError(f"no class is chosen, so there are no averages for {output}.")
    some = open_stack(classes.averages).select(np.flatnonzero(chosen))
    write_stack(output, some, WriteOptions(keep_existing=keep_existing))
