"""Classes of a run to choose from: of one that goes on, those of its finished generations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from isac2.classes.select import class_table
from isac2.classes.select_files import RunClasses, classified_particles, open_run_classes
from isac2.errors import InputError
from isac2.poses import identity_poses
from isac2.report.so_far import SoFar, read_so_far
from isac2.run.checkpoint import load_arrays
from isac2.run.chosen_files import write_chosen_averages
from isac2.run.directory import RunDirectory
from isac2.run.record import RunRecord, read_record
from isac2.run.run_classes import poses_of_input
from isac2.stacks import Stack, open_stack, write_eman_hdf
from isac2.stacks.selection import with_classes

__all__ = ["Choosable", "open_choosable"]


@dataclass(frozen=True)
class Choosable:
    """Classes to choose from; `so_far` and `record` are those of a run that has not finished."""

    classes: RunClasses
    so_far: SoFar | None = None
    record: RunRecord | None = None

    def particles(self, stack: str | None) -> Stack:
        """Return all particles of the run, with their classes and poses.

        Parameters
        ----------
        stack : str or None
            The particles, where the run does not say, or their partners.

        Raises
        ------
        InputError
            When no particles are known, or they cannot be those of the run.
        """
        if self.so_far is None or self.record is None:
            return classified_particles(self.classes, stack)
        particles = open_stack(self.record.input.path if stack is None else stack)
        count = self.record.input.images
        if len(particles) != count:
            raise InputError(
                f"{particles.path} has {len(particles)} images, but {self.classes.path} classifies "
                f"{count}: give the stack that it reads, or its partners row by row."
            )
        number, poses = np.zeros(count, np.int64), identity_poses(count)
        for index, members in enumerate(self.classes.table.members):
            number[members] = index + 1
        if len(self.so_far.poses):
            poses[np.concatenate(self.classes.table.members)] = self.so_far.poses
        state = RunDirectory(self.classes.path).prealignment_state
        shifts = load_arrays(state)[0]["shifts"]
        found = poses_of_input(shifts, poses, self.record.shrink_ratio)
        return with_classes(particles, number, found)

    def write_averages(
        self, output: str, chosen: NDArray[np.bool_], keep_existing: bool = True
    ) -> None:
        """Write the averages of chosen classes, headers and all, in the format the name tells.

        Raises
        ------
        InputError
            When no class is chosen, or something cannot be written.
        """
        if self.so_far is None or not chosen.any():
            write_chosen_averages(output, self.classes, chosen, keep_existing)
            return
        pixel_size = None if self.record is None else self.record.input.pixel_size_in_angstroms
        ratio = 1.0 if self.record is None else self.record.shrink_ratio
        with TemporaryDirectory() as folder:
            file = Path(folder) / self.classes.averages.name
            averages, headers = self.so_far.averages, self.so_far.headers
            write_eman_hdf(file, averages, headers, (pixel_size or 1.0) / ratio)
            found = RunClasses(self.classes.path, file, self.classes.table, None)
            write_chosen_averages(output, found, chosen, keep_existing)


def open_choosable(path: Path) -> Choosable:
    """Open the classes of a run's directory, finished or not, or of a file of averages.

    Classes of a run that goes on keep their numbers until some are dissolved at the end of a main
    iteration, or pools are brought together; their members may still change.

    Raises
    ------
    InputError
        When there are none.
    """
    run = RunDirectory(path)
    if not run.run_json.is_file() or run.class_averages.exists():
        return Choosable(open_run_classes(path))
    record = read_record(run.run_json)
    so_far = read_so_far(run, record)
    if so_far is None:
        return Choosable(open_run_classes(path))
    if not so_far.headers:
        raise InputError(f"{path} has found no class yet: wait until a generation has finished.")
    table = class_table(so_far.headers, str(path))
    return Choosable(RunClasses(path, run.class_averages, table, path), so_far, record)
