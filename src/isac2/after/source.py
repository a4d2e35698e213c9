"""The particles of a run with their classes and poses, whichever program made the run."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isac2.classes.evaluate_files import radius_of_run
from isac2.classes.select import ClassTable
from isac2.classes.select_files import RunClasses, classified_particles, open_run_classes
from isac2.errors import InputError
from isac2.poses import PoseArray
from isac2.stacks import Stack

__all__ = ["ClassifiedRun", "make_new_folder", "open_classified_run"]


@dataclass(frozen=True)
class ClassifiedRun:
    """A run and its particles.

    Attributes
    ----------
    classes : RunClasses
    particles : Stack
        Row by row those of the run.
    poses : POSE (n,)
        What brings each particle onto the average of its class, px of the particles.
    radius : float or None
        Of the particle, px of the particles, where the run says.
    """

    classes: RunClasses
    particles: Stack
    poses: PoseArray
    radius: float | None

    @property
    def table(self) -> ClassTable:
        """Members and quality of the classes."""
        return self.classes.table

    def ctf_problem(self, rows: NDArray[np.int64]) -> str | None:
        """Say what is missing for the CTF of some particles, or None."""
        metadata = self.particles.metadata.select(rows)
        missing = list(metadata.missing_ctf_columns())
        if not np.isfinite(metadata.pixel_size_in_angstroms).all():
            missing.append("pixel_size_in_angstroms")
        return ", ".join(missing) or None


def open_classified_run(
    run: str | os.PathLike[str], stack: str | os.PathLike[str] | None = None
) -> ClassifiedRun:
    """Open a run's classes and particles.

    Parameters
    ----------
    run : path-like
        A run's directory, of isac2 or SPHIRE, or one of its files of averages with members.
    stack : path-like, optional
        The particles, where the run does not say (SPHIRE's).

    Raises
    ------
    InputError
        When there are no classes, particles or poses, or they do not belong together.
    """
    classes = open_run_classes(Path(run))
    particles = classified_particles(classes, None if stack is None else str(stack))
    poses = particles.metadata.poses
    if poses is None:
        raise InputError(
            f"{classes.path} does not hold the poses of its particles: give a run's directory."
        )
    number = particles.metadata.class_number
    if number.max(initial=0) > len(classes.table):  # mirrors were written as classes of their own
        poses = poses.copy()
        poses["mirror"] = (number > 0) & (number % 2 == 0)
    radius = None if classes.directory is None else radius_of_run(classes.directory)
    return ClassifiedRun(classes, particles, poses, radius)


def make_new_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder that is not there yet.

    Raises
    ------
    InputError
        When it is, or cannot be made.
    """
    folder = Path(path)
    if folder.exists():
        raise InputError(f"{folder} is there already, and nothing is overwritten: give a new name.")
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror or error}.") from None
    return folder


def with_pixel_size(run: ClassifiedRun, pixel_size_in_angstroms: float | None) -> ClassifiedRun:
    """Return the run with another pixel size (A) of its particles; None leaves it."""
    if pixel_size_in_angstroms is None:
        return run
    particles = run.particles
    sizes = np.full(len(particles), float(pixel_size_in_angstroms))
    metadata = replace(particles.metadata, pixel_size_in_angstroms=sizes)
    changed = Stack(
        particles.path,
        particles.kind,
        particles.files,
        particles.file_index,
        particles.slots,
        metadata,
    )
    return replace(run, particles=changed)
