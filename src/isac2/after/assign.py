"""New particles for the classes of a finished run, and new classes from what is left.

The result is a run directory of its own, of the old particles followed by the new ones, so that
everything that works on a run works on it, and it can be assigned to in turn. It is made by putting
into a new directory what a run has found when it has come so far, the classes grown, from where
`isac2.run.runner.run_isac` goes on as it does with any run that was stopped.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.after.base import BaseRun, open_base_run
from isac2.after.centre_new import centre_new_particles
from isac2.after.working_images import extend_working_images
from isac2.alignment.space import Frames
from isac2.clustering.confirm import recall_images
from isac2.clustering.state import IsacState, StableGroup
from isac2.errors import InputError
from isac2.poses import identity_poses
from isac2.run.beginning import begin_run, saying_how_to_go_on
from isac2.run.checkpoint import save_arrays, save_state
from isac2.run.communication import OneRank
from isac2.run.directory import RunDirectory, open_run_directory
from isac2.run.generation_files import write_prealignment
from isac2.run.job import Job, open_job
from isac2.run.lock import only_run_in
from isac2.run.prepare import WorkingStack, check_stack, open_working_stack
from isac2.run.progress import Display
from isac2.run.record import read_record, write_record
from isac2.run.run_classes import RunFacts
from isac2.run.runner import run_isac
from isac2.run.stopping import stopping_after
from isac2.run.text_tables import write_table
from isac2.stacks import Stack, open_stack
from isac2.stacks.joining import join_stacks

__all__ = ["Assigned", "NewClasses", "assign_particles", "default_directory"]

NewClasses = ("auto", "never", "always")
"""When generations are run on what is unaccounted."""

_ENOUGH = 2  # groups' worth of new images in no class
_SIZE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Assigned:
    """What became of new particles.

    Attributes
    ----------
    directory : RunDirectory
        The run of all particles, the new ones after the old ones.
    first_new : int
        Row of the first new particle.
    new, recalled : int
        New particles, and how many of them went to the classes there were.
    new_classes : int
    """

    directory: RunDirectory
    first_new: int
    new: int
    recalled: int
    new_classes: int


def default_directory(new_stack: str | os.PathLike[str], run: str | os.PathLike[str]) -> Path:
    """Return where the result goes when nothing is said: beside the run.

    Examples
    --------
    >>> default_directory("day2/new.star", "classes").name
    'classes+new'
    """
    folder = Path(run)
    return folder.with_name(f"{folder.name}+{Path(str(new_stack).rpartition('#')[2]).stem}")


def assign_particles(
    new_stack: str | os.PathLike[str],
    run: str | os.PathLike[str],
    outdir: str | os.PathLike[str] | None = None,
    *,
    stack: str | os.PathLike[str] | None = None,
    new_classes: str = "auto",
    settings: Mapping[str, Any] | None = None,
    display: Display | None = None,
) -> Assigned:
    """Give new particles to the classes of a run, by the run's own standard of stability.

    Parameters
    ----------
    new_stack : path-like
        The new particles; images that the run has already are left out.
    run : path-like
        Directory of a finished run; it stays as it is.
    outdir : path-like, optional
        A new folder, or one in which the same assignment was stopped; `default_directory`.
    stack : path-like, optional
        What was classified, for SPHIRE's runs.
    new_classes : str
        ``auto``: generations are run on all unaccounted particles once two groups' worth of them
        are new since the last generation; or ``never``, ``always``.
    settings : mapping, optional
        By Python names: threads and hours, and for SPHIRE's runs the options it had.
    display : Display, optional
        Where progress is shown; by default stderr.

    Raises
    ------
    InputError
        When run and particles do not fit each other, or the folder cannot be used.
    """
    if new_classes not in NewClasses:
        raise InputError(f"--new-classes={new_classes} is none of {', '.join(NewClasses)}.")
    base = open_base_run(run, stack, settings or {})
    fresh = open_stack(new_stack)
    _check_fit(base, fresh)
    fresh = _only_new(base.particles, fresh)
    joined = _joined(base.particles, fresh)
    check_stack(joined, base.settings)
    directory = open_run_directory(outdir or default_directory(new_stack, run))
    with (
        saying_how_to_go_on(directory),
        stopping_after(base.settings.maximum_hours),
        only_run_in(directory.path),
    ):
        _begin(directory, base, joined, fresh, new_classes, display)
    run_isac(joined, directory.path, base.settings, display)
    record = read_record(directory.run_json)
    before = {(row.main_iteration, row.generation) for row in base.generations}
    found = [r for r in record.generations if (r.main_iteration, r.generation) not in before]
    return Assigned(
        directory,
        len(base.particles),
        len(fresh),
        int(record.provenance["recalled"]),
        sum(row.classes for row in found),
    )


def _check_fit(base: BaseRun, fresh: Stack) -> None:
    """The new images must be of the size and pixel size of the old ones."""
    old = base.particles
    if fresh.box_size != old.box_size:
        raise InputError(
            f"{fresh.path} has images of {fresh.box_size} px, but {base.directory.path} is of "
            f"{old.box_size} px: extract the new particles alike."
        )
    sizes = old.pixel_size_in_angstroms, fresh.pixel_size_in_angstroms
    if sizes[0] and sizes[1] and abs(sizes[0] - sizes[1]) > _SIZE_TOLERANCE * sizes[0]:
        raise InputError(
            f"{fresh.path} has pixels of {sizes[1]:g} A, but {base.directory.path} is of "
            f"{sizes[0]:g} A: extract the new particles alike."
        )


def _only_new(old: Stack, fresh: Stack) -> Stack:
    """Leave out images that the run has already, as in the growing table of a session."""
    places: dict[Path, int] = {}

    def keys(stack: Stack) -> NDArray[np.int64]:
        files = [places.setdefault(file.path.resolve(), len(places)) for file in stack.files]
        return np.stack([np.array(files)[stack.file_index], stack.slots], axis=1)

    both = np.concatenate([keys(old), keys(fresh)])
    _, number = np.unique(both, axis=0, return_inverse=True)
    new = np.flatnonzero(~np.isin(number[len(old) :], number[: len(old)]))
    if not len(new):
        raise InputError(
            f"all {len(fresh)} images of {fresh.path} are in the run already: there is none to "
            "assign."
        )
    return fresh if len(new) == len(fresh) else fresh.select(new)


def _joined(old: Stack, fresh: Stack) -> Stack:
    """The old particles and the new ones as one stack, whose image names resolve as the old do."""
    both = join_stacks([old, fresh])
    return Stack(old.path, both.kind, both.files, both.file_index, both.slots, both.metadata)


def _begin(
    directory: RunDirectory,
    base: BaseRun,
    joined: Stack,
    fresh: Stack,
    new_classes: str,
    display: Display | None,
) -> None:
    """Do what comes before the generations, as far as it is not done."""
    source = {
        "verb": "assign",
        "run": os.fspath(base.directory.path),
        "particles": len(base.particles),
        "new_stack": str(fresh.path),
        "new_particles": len(fresh),
        "new_classes": new_classes,
    }
    record = begin_run(directory, joined, base.settings)
    known = {key: record.provenance.get(key, value) for key, value in source.items()}
    changed = [key for key, value in source.items() if known[key] != value]
    if changed:
        raise InputError(
            f"{directory.path} was started differently ({changed[0].replace('_', ' ')} was "
            f"{known[changed[0]]}): give the same again, or another folder as --out."
        )
    if directory.clustering_state.exists():
        return
    if not record.provenance:
        before = {} if base.record is None else base.record.provenance
        record.provenance = {**source, "provenance": before}
        record.generations[:] = base.generations
        write_record(directory.run_json, record)
    with open_job(joined, base.settings, directory, record, display, OneRank()) as job:
        shifts = _centre(job, base, fresh)
        working = _prepare(job, base, fresh, shifts)
        _assign(job, base, working, shifts, new_classes)


def _centre(job: Job, base: BaseRun, fresh: Stack) -> NDArray[np.float64]:
    """Centre the new particles on the old ones' common average; shifts of all, px."""
    saved, average = job.directory.prealignment_state, base.common_average()
    weights = base.spectrum_weights
    if weights is not None:
        write_table(job.directory.spectrum_weights, [weights])
        save_arrays(job.directory.state / "spectrum.npz", {"weights": weights})
    with job.phase("centring new particles"):
        new = centre_new_particles(job, fresh, average, weights)
        shifts = np.concatenate([base.shifts, new])
        averages = np.empty((0, 1, 1), np.float32) if average is None else average[None]
        write_prealignment(job.directory, _facts(job, shifts), averages)
        save_arrays(saved, {"shifts": shifts})
    return shifts


def _prepare(job: Job, base: BaseRun, fresh: Stack, shifts: NDArray[np.float64]) -> WorkingStack:
    """Make the working images of all particles; those of the old ones are copied."""
    path = job.directory.working_images
    if not path.exists():
        with job.phase("preparing new particles"):
            extend_working_images(
                job, base.directory.working_images, fresh, shifts, base.spectrum_weights
            )
    return open_working_stack(path)


def _assign(
    job: Job,
    base: BaseRun,
    working: WorkingStack,
    shifts: NDArray[np.float64],
    new_classes: str,
) -> None:
    """Recall new particles to the classes, and save the state from which the run goes on."""
    count, old = len(job.stack), len(base.particles)
    parameters = job.settings.clustering_parameters()
    usable = np.setdiff1d(np.arange(count), working.unusable)
    pool = usable[usable >= old]
    main_iteration = base.last_main_iteration + 1
    ratio = job.settings.shrink_ratio
    with job.phase("assignment"):
        before = base.groups(working.images, parameters)
        job.progress.step(f"{len(pool)} new particles, {len(before)} classes", 0, 0)
        # generation 0 is no generation's: nothing else draws from its seed
        classes = recall_images(
            working.images,
            pool,
            identity_poses(len(pool)),
            before,
            parameters,
            (job.record.seed, main_iteration, 0),
            job.workers,
            Frames(shifts * ratio, job.stack.box_size / 2 * ratio),
        )
    taken = _members(classes)
    left = np.setdiff1d(usable, taken)
    recalled = int((taken >= old).sum())
    since = _clustered_up_to(base)
    waiting = int((left >= since).sum())
    go_on = _goes_on(new_classes, waiting, len(left), parameters.images_per_group)
    job.record.provenance.update(
        recalled=recalled,
        waiting=0 if go_on else waiting,
        clustered_up_to=count if go_on else since,
    )
    write_record(job.directory.run_json, job.record)
    job.progress.note(
        f"{recalled} of {count - old} new particles belong to the {len(classes)} classes; "
        f"{waiting} wait since the last generation, {len(left)} are in no class"
    )
    state = IsacState(
        main_iteration=main_iteration,
        generation=1,
        sac_round=0,
        pool=left,
        poses=identity_poses(len(left)),
        accounted=classes,
        start_of_main=left,
    )
    save_state(job.directory.clustering_state, state if go_on else replace(state, finished=True))


def _goes_on(new_classes: str, waiting: int, left: int, images_per_group: int) -> bool:
    """Whether generations are to be run on what is in no class."""
    if new_classes == "never" or left < images_per_group:
        return False
    return new_classes == "always" or waiting >= _ENOUGH * images_per_group


def _clustered_up_to(base: BaseRun) -> int:
    """Rows below this have been through generations, if they are in no class."""
    provenance = {} if base.record is None else base.record.provenance
    return int(provenance.get("clustered_up_to", len(base.particles)))


def _members(groups: tuple[StableGroup, ...]) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, np.int64), *[group.members for group in groups]])


def _facts(job: Job, shifts: NDArray[np.float64]) -> RunFacts:
    known = job.stack.metadata.pixel_size_in_angstroms
    return RunFacts(
        count=len(job.stack),
        shrink_ratio=job.settings.shrink_ratio,
        radius=job.settings.radius,
        target_radius=job.settings.target_radius,
        pixel_size_in_angstroms=np.where(np.isfinite(known), known, 1.0),
        shifts=shifts,
    )
