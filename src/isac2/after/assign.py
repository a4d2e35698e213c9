"""New particles for the classes of a finished run, and new classes from what is left.

The result is a run directory of its own, of the old particles followed by the new ones, so that
everything that works on a run works on it, and it can be assigned to in turn. It is made by putting
into a new directory what a run has found when it has come so far, the classes grown, from where
`isac2.run.runner.run_isac` goes on as it does with any run that was stopped.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.after.base import BaseRun, open_base_run
from isac2.after.centre_new import centre_new_particles
from isac2.after.working_images import extend_working_images
from isac2.clustering.confirm import recall_images
from isac2.clustering.state import IsacState, StableGroup
from isac2.devices import find_device
from isac2.errors import InputError
from isac2.poses import identity_poses
from isac2.run.beginning import begin_run, saying_how_to_go_on
from isac2.run.checkpoint import save_arrays, save_prealignment, save_state
from isac2.run.communication import OneRank, Ranks
from isac2.run.directory import RunDirectory, open_run_directory
from isac2.run.generation_files import write_prealignment
from isac2.run.job import Job, open_job
from isac2.run.lock import only_run_in
from isac2.run.prepare import WorkingStack, check_stack, open_working_stack
from isac2.run.progress import Display
from isac2.run.record import RunRecord, read_record, write_record
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
    ranks: Ranks | None = None,
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
        By Python names: threads, device and hours, and for SPHIRE's runs the options it had.
    display : Display, optional
        Where progress is shown; by default stderr.
    ranks : Ranks, optional
        Processes that share the work, all of which make this call; by default this one alone.

    Raises
    ------
    InputError
        When run and particles do not fit each other, or the folder cannot be used.
    """
    ranks = ranks or OneRank()
    task = ranks.each(lambda: _plan(new_stack, run, stack, new_classes, settings or {}))
    base = task.base
    target = outdir or default_directory(new_stack, run)
    directory = ranks.first(lambda: open_run_directory(target))
    with saying_how_to_go_on(directory), ExitStack() as held:

        def take() -> None:
            held.enter_context(only_run_in(directory.path))

        if ranks.is_first:
            held.enter_context(stopping_after(base.settings.maximum_hours))
        ranks.first(take)
        _begin(directory, task, display, ranks)
    run_isac(task.joined, directory.path, base.settings, display, ranks)
    record = ranks.first(lambda: read_record(directory.run_json))
    before = {(row.main_iteration, row.generation) for row in base.generations}
    found = [r for r in record.generations if (r.main_iteration, r.generation) not in before]
    return Assigned(
        directory,
        len(base.particles),
        len(task.fresh),
        int(record.provenance["recalled"]),
        sum(row.classes for row in found),
    )


@dataclass(frozen=True)
class _Task:
    """What is to be assigned to what."""

    base: BaseRun
    fresh: Stack
    joined: Stack
    new_classes: str


def _plan(
    new_stack: str | os.PathLike[str],
    run: str | os.PathLike[str],
    stack: str | os.PathLike[str] | None,
    new_classes: str,
    settings: Mapping[str, Any],
) -> _Task:
    """Open run and particles, and see that they fit each other."""
    if new_classes not in NewClasses:
        raise InputError(f"--new-classes={new_classes} is none of {', '.join(NewClasses)}.")
    base = open_base_run(run, stack, settings)
    find_device(base.settings.device)
    fresh = open_stack(new_stack)
    _check_fit(base, fresh)
    fresh = _only_new(base.particles, fresh)
    joined = _joined(base.particles, fresh)
    check_stack(joined, base.settings)
    return _Task(base, fresh, joined, new_classes)


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


def _begin(directory: RunDirectory, task: _Task, display: Display | None, ranks: Ranks) -> None:
    """Do what comes before the generations, as far as it is not done."""
    record, done = ranks.first(lambda: _begin_record(directory, task))
    if done:
        return
    with open_job(task.joined, task.base.settings, directory, record, display, ranks) as job:
        shifts = _centre(job, task)
        working = _prepare(job, task, shifts)
        _assign(job, task, working, shifts)


def _begin_record(directory: RunDirectory, task: _Task) -> tuple[RunRecord, bool]:
    """Make the run's directory, or see that it is that of the same assignment; also if all is done.

    Raises
    ------
    InputError
        When it is that of another.
    """
    base = task.base
    source = {
        "verb": "assign",
        "run": os.fspath(base.directory.path),
        "particles": len(base.particles),
        "new_stack": str(task.fresh.path),
        "new_particles": len(task.fresh),
        "new_classes": task.new_classes,
    }
    record = begin_run(directory, task.joined, base.settings)
    known = {key: record.provenance.get(key, value) for key, value in source.items()}
    changed = [key for key, value in source.items() if known[key] != value]
    if changed:
        raise InputError(
            f"{directory.path} was started differently ({changed[0].replace('_', ' ')} was "
            f"{known[changed[0]]}): give the same again, or another folder for the output."
        )
    if not record.provenance:
        before = {} if base.record is None else base.record.provenance
        record.provenance = {**source, "provenance": before}
        record.generations[:] = base.generations
        write_record(directory.run_json, record)
    return record, directory.clustering_state.exists()


def _centre(job: Job, task: _Task) -> NDArray[np.float64]:
    """Centre the new particles on the old ones' common average; shifts of all, px."""
    average, weights = task.base.common_average(), task.base.spectrum_weights
    spread = task.base.spread
    with job.phase("centring new particles"):
        new = centre_new_particles(job, task.fresh, average, weights, spread)
        shifts = np.concatenate([task.base.shifts, new])
        averages = np.empty((0, 1, 1), np.float32) if average is None else average[None]

        def write() -> None:
            # also where nothing was changed, so that the run that goes on changes nothing either
            known = np.ones(job.stack.box_size // 2 + 1) if weights is None else weights
            if weights is not None:
                write_table(job.directory.spectrum_weights, [weights])
            save_arrays(job.directory.spectrum_state, {"weights": known})
            write_prealignment(job.directory, job.facts(shifts), averages)
            save_prealignment(job.directory.prealignment_state, shifts, spread)

        job.first(write)
    return shifts


def _prepare(job: Job, task: _Task, shifts: NDArray[np.float64]) -> WorkingStack:
    """Make the working images of all particles; those of the old ones are copied."""
    path, old = job.directory.working_images, task.base.directory.working_images
    if not job.first(path.exists):
        with job.phase("preparing new particles"):
            extend_working_images(job, old, task.fresh, shifts, task.base.spectrum_weights)
    return job.ranks.each(lambda: open_working_stack(path))


def _assign(job: Job, task: _Task, working: WorkingStack, shifts: NDArray[np.float64]) -> None:
    """Recall new particles to the classes, and save the state from which the run goes on."""
    base, count, old = task.base, len(job.stack), len(task.base.particles)
    parameters = job.settings.clustering_parameters()
    usable = np.setdiff1d(np.arange(count), working.unusable)
    pool = usable[usable >= old]
    main_iteration = base.last_main_iteration + 1
    with job.phase("assignment"):
        before = job.first(lambda: base.groups(working.images, parameters))
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
            job.frames(shifts),
        )
    left = np.setdiff1d(usable, _members(classes))
    go_on = _record_assignment(job, task, classes, left)
    state = IsacState(
        main_iteration=main_iteration,
        generation=1,
        sac_round=0,
        pool=left,
        poses=identity_poses(len(left)),
        accounted=classes,
        start_of_main=left,
        finished=not go_on,
    )
    job.first(lambda: save_state(job.directory.clustering_state, state))


def _record_assignment(
    job: Job, task: _Task, classes: tuple[StableGroup, ...], left: NDArray[np.int64]
) -> bool:
    """Put on record what was recalled and what is left (ids); whether generations are to be run."""
    count, old = len(job.stack), len(task.base.particles)
    recalled, since = int((_members(classes) >= old).sum()), _clustered_up_to(task.base)
    waiting = int((left >= since).sum())
    go_on = _goes_on(task.new_classes, waiting, len(left), job.settings.images_per_group)
    job.record.provenance.update(
        recalled=recalled,
        waiting=0 if go_on else waiting,
        clustered_up_to=count if go_on else since,
    )
    job.first(lambda: write_record(job.directory.run_json, job.record))
    job.progress.note(
        f"{recalled} of {count - old} new particles belong to the {len(classes)} classes; "
        f"{waiting} wait since the last generation, {len(left)} are in no class"
    )
    return go_on


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
