"""A whole run, top down: from a particle stack on disk to a directory of class averages.

Each step leaves what it found on the disk, whole, before the next begins; a run that was stopped
goes on after the last step that is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.likely_centres import Spread
from isac2.alignment.prealignment import coarse_radius, pre_align
from isac2.classes.order import order_averages
from isac2.clustering.sac import search_space
from isac2.clustering.state import IsacState
from isac2.devices import find_device
from isac2.files import write_text_atomic
from isac2.images.resample import resample
from isac2.run.beginning import (
    TooFewImagesError,
    begin_run,
    leaving_nothing_without_images,
    read_same_run,
    saying_how_to_go_on,
)
from isac2.run.checkpoint import save_arrays, save_checksums, save_prealignment
from isac2.run.choices import Choice
from isac2.run.communication import OneRank, Ranks
from isac2.run.directory import RunDirectory, open_run_directory
from isac2.run.displays import open_display
from isac2.run.final_files import (
    project_folder,
    write_class_files,
    write_ordered_averages,
    write_particle_files,
    write_shrink_ratio,
)
from isac2.run.generation_files import MeasuredGroup, write_prealignment
from isac2.run.generation_steps import measured
from isac2.run.input_files import mark_files, note_changes
from isac2.run.job import Job, open_job
from isac2.run.judging import Judgement, judge
from isac2.run.lock import only_run_in
from isac2.run.options import Settings
from isac2.run.prepare import (
    WorkingStack,
    check_stack,
    measure_spectrum_weights,
    open_working_stack,
    prepare_for_prealignment,
    prepare_working_stack,
)
from isac2.run.progress import Display, duration_text
from isac2.run.record import RunRecord, time_now, write_record
from isac2.run.run_classes import RunFacts, beliefs, membership
from isac2.run.saved_points import (
    are_images_good,
    remove_working_stack,
    saved_array,
)
from isac2.run.sorting import sort_particles
from isac2.run.space import check_space
from isac2.run.stopping import stopping_after
from isac2.run.text_tables import write_table
from isac2.run.whitening import may_whiten, measure_whitening
from isac2.stacks import Stack, open_stack

__all__ = ["run_isac"]

_NAMED_IMAGES = 20  # unusable images that a message lists


def run_isac(
    stack_path: str | os.PathLike[str] | Stack,
    output_directory: str | os.PathLike[str],
    settings: Settings,
    display: Display | None = None,
    ranks: Ranks | None = None,
    choices: Sequence[Choice] = (),
) -> RunDirectory:
    """Sort a particle stack into validated class averages.

    Parameters
    ----------
    stack_path : path-like or Stack
        Anything `isac2.stacks.open_stack` opens, or a stack that is open.
    output_directory : path-like
        A new folder, or the folder of an unfinished run of the same stack and settings, which then
        goes on to the result it would have had. A finished run is left as it is.
    settings : Settings
    display : Display, optional
        Where progress is shown; by default stderr, live when it is a terminal.
    ranks : Ranks, optional
        Processes that work on it together, all of which make this call; by default this one alone.
    choices : sequence of Choice
        Which of the settings the program chose, to be told and put on record.

    Returns
    -------
    RunDirectory
        Where everything is.

    Raises
    ------
    InputError
        The stack, the settings or the folder cannot be used as they are, or another run is going
        on in the folder; nothing is left behind.
    RunError
        The run cannot be finished, for example because the disk is full.
    isac2.run.stopping.RunStopped
        The time that it may take is over; another start goes on.
    """
    ranks = ranks or OneRank()
    directory = ranks.first(lambda: open_run_directory(output_directory))
    stack = ranks.each(lambda: _open_checked(stack_path, settings))
    ranks.each(lambda: find_device(settings.device))
    if ranks.first(lambda: _is_finished(directory, stack, settings, display)):
        return directory
    with saying_how_to_go_on(directory), ExitStack() as held:
        if ranks.is_first:
            held.enter_context(stopping_after(settings.maximum_hours))
        ranks.first(lambda: _do(held.enter_context, only_run_in(directory.path)))
        _run_alone(directory, stack, settings, display, ranks, choices)
    return directory


def _is_finished(
    directory: RunDirectory, stack: Stack, settings: Settings, display: Display | None
) -> bool:
    """Whether nothing is left to do, which is said; nothing is written."""
    if settings.restart >= 0 or not directory.finished.exists():
        return False
    record = read_same_run(directory, stack, settings)
    message = (
        f"The run in {directory.path} is finished: {record.accounted} of {record.input.images} "
        f"particles in {record.classes} classes."
    )
    with ExitStack() as shown:
        (display or shown.enter_context(open_display())).say(message)
    return True


def _do(function: Callable[..., object], *arguments: object) -> None:
    """Call a function for what it does: what it returns is nobody else's."""
    function(*arguments)


def _open_checked(stack_path: str | os.PathLike[str] | Stack, settings: Settings) -> Stack:
    """Open a stack that the settings can be used with."""
    stack = stack_path if isinstance(stack_path, Stack) else open_stack(stack_path)
    check_stack(stack, settings)
    _check_enough_images(stack, len(stack), settings)
    return stack


def _run_alone(
    directory: RunDirectory,
    stack: Stack,
    settings: Settings,
    display: Display | None,
    ranks: Ranks,
    choices: Sequence[Choice],
) -> None:
    """Do what is left of a run, step by step."""

    def begin() -> tuple[RunRecord, list[str]]:
        needs = check_space(len(stack), stack.box_size, settings, directory)
        is_new = directory.is_new()
        record = begin_run(directory, stack, settings)
        if choices:
            new = [asdict(choice) for choice in choices]
            others = {row["option"]: row for row in [*record.choices, *new]}
            record.choices[:] = others.values()
        said = [str(choice) for choice in choices]
        going_on = "" if is_new else f"goes on with the run that began at {record.started}"
        return record, [going_on, *said, needs, note_changes(directory, mark_files(stack))]

    record, notes = ranks.first(begin)
    with (
        leaving_nothing_without_images(directory if ranks.is_first else None),
        open_job(stack, settings, directory, record, display, ranks) as job,
    ):
        for note in filter(None, notes):
            job.progress.note(note)
        weights = equalise(job)
        shifts = pre_align_particles(job, weights)
        facts = job.facts(shifts, weights)
        working = prepare(job, shifts, weights)
        state = cluster(job, working, facts)
        judgement = judge(job, working, state)
        classes = write_results(job, working, state, facts, judgement)
        order(job, classes, facts)
        report(job)


def equalise(job: Job) -> NDArray[np.float64] | None:
    """Measure how power spectra are to be equalised: all power (``--VPP``), or that of noise.

    Returns None where nothing is to be done.
    """
    if not (job.settings.phase_plate or may_whiten(job.settings)):
        return None
    saved = job.directory.spectrum_state
    weights = job.first(lambda: saved_array(job, saved, "weights"))
    if weights is None:
        with job.phase("power spectra"):
            if job.settings.phase_plate:
                found = measure_spectrum_weights(job.stack, job.workers, job.tell_images)
            else:
                found = measure_whitening(job)
            if (found != 1.0).any():
                job.first(lambda: write_table(job.directory.spectrum_weights, [found]))
            else:
                job.first(lambda: job.directory.spectrum_weights.unlink(missing_ok=True))
            job.first(lambda: save_arrays(saved, {"weights": found}))
        weights = found
    return weights if (weights != 1.0).any() else None


def pre_align_particles(job: Job, weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Find what moves each particle to the centre of its image, float64 (N, 2), input px."""
    saved = job.directory.prealignment_state
    shifts = job.first(lambda: saved_array(job, saved, "shifts"))
    if shifts is None:
        with job.phase("pre-alignment"):
            found, averages, spread = _pre_align(job, weights)
            facts = job.facts(found)
            job.first(lambda: write_prealignment(job.directory, facts, averages))
            job.first(lambda: save_prealignment(saved, found, spread))
        shifts = found
    # outside, because a run may have been killed just after the shifts were saved
    job.first(lambda: remove_working_stack(job.directory.prealignment_images))
    return shifts


def prepare(
    job: Job, shifts: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> WorkingStack:
    """Make the working images: centred, phase-flipped, resampled, normalised."""
    path = job.directory.working_images
    if not job.first(lambda: are_images_good(job)):
        with job.phase("preparation"):
            prepare_working_stack(
                job.stack, shifts, job.settings, path, job.workers, job.tell_images, weights
            )
            job.first(lambda: save_checksums(job.directory.working_images_state, path))
    working = job.ranks.each(lambda: open_working_stack(path))
    _say_unusable(job, working.unusable)
    return working


def cluster(job: Job, working: WorkingStack, facts: RunFacts) -> IsacState:
    """Find the classes: the method itself, one saved step after the other."""
    usable = np.setdiff1d(np.arange(len(working.images)), working.unusable)
    _check_enough_images(job.stack, len(usable), job.settings)
    return sort_particles(job, working, facts, usable, job.frames(facts.shifts))


def write_results(
    job: Job,
    working: WorkingStack,
    state: IsacState,
    facts: RunFacts,
    judgement: Judgement | None,
) -> list[MeasuredGroup]:
    """Write the classes, which are returned, and which particle is in which."""
    with job.phase("results"):
        classes = measured(job, working, state.accounted)
        split, threshold = job.settings.split_mirrors, job.settings.pixel_error_threshold
        groups, qualities = [c.group for c in classes], [c.quality for c in classes]
        belief = None
        if judgement is not None:
            classes = judgement.added_to(classes)
            belief = beliefs(facts.count, groups, judgement.classes, threshold)
        members = membership(facts.count, groups, qualities, belief)

        def write() -> None:
            write_class_files(job.directory, classes, facts, split, project_folder(job.stack))
            write_particle_files(job.directory, job.stack, members, facts, split)
            write_shrink_ratio(job.directory, facts)

        job.first(write)
        job.record.classes = len(classes)
        job.record.accounted = len(members.accounted)
    return classes


def order(job: Job, classes: list[MeasuredGroup], facts: RunFacts) -> None:
    """Write the averages once more, in an order in which neighbours look alike."""
    if job.settings.skip_ordering:
        return
    with job.phase("ordering"):
        box = job.settings.working_box_size
        averages = np.array([c.group.average for c in classes], np.float32).reshape(-1, box, box)
        space = search_space(job.settings.clustering_parameters())
        chain = order_averages(averages, space, job.workers)
        job.first(lambda: write_ordered_averages(job.directory, classes, chain, facts))


def report(job: Job) -> None:
    """Write the page to look at, and mark the run as finished."""
    record, progress = job.record, job.progress
    record.finished = time_now()

    def write() -> None:
        from isac2.report import write_report

        write_record(job.directory.run_json, record)
        write_report(job.directory.path)

    def mark() -> None:
        write_record(job.directory.run_json, record)
        write_text_atomic(job.directory.finished, "\n")

    with job.phase("report"):
        job.first(write)
    job.first(mark)
    progress.note(
        f"finished in {duration_text(progress.seconds)}: {record.accounted} of "
        f"{record.input.images} particles in {record.classes} classes"
    )


def _pre_align(
    job: Job, weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float32], Spread]:
    """Shifts (N, 2), input px, the common average after each round, and how particles lie."""
    settings = job.settings
    count = len(job.stack)
    if settings.skip_prealignment:
        unmoved = np.zeros((count, 2))
        return unmoved, np.empty((0, 1, 1), np.float32), Spread.of(unmoved)
    radius = coarse_radius(settings.target_radius)
    pixel = settings.target_radius / radius
    whole = prepare_for_prealignment(
        job.stack,
        settings,
        job.directory.prealignment_images,
        job.workers,
        job.tell_images,
        weights,
        radius,
    )
    usable = np.setdiff1d(np.arange(count), whole.unusable)
    _check_enough_images(job.stack, len(usable), settings)
    found = pre_align(
        whole.images,
        usable,
        radius,
        settings.centring_method,
        job.workers,
        pixel,
        notify=job.tell_rounds,
        device=settings.device,
    )
    # what is found at an offset is brought to the centre by the opposite shift
    scale = pixel / settings.shrink_ratio
    return -found.centres * scale, resample(found.averages, pixel), found.spread.scaled(scale)


def _check_enough_images(stack: Stack, count: int, settings: Settings) -> None:
    """There has to be at least one group."""
    if count < settings.images_per_group:
        raise TooFewImagesError(
            f"{stack.path} has {count} usable images, fewer than one group of "
            f"--img_per_grp={settings.images_per_group}: lower it, or give more images."
        )


def _say_unusable(job: Job, unusable: NDArray[np.int64]) -> None:
    """Name the images that nothing can be done with."""
    if not len(unusable) or job.record.unusable_images:
        return
    names = ", ".join(str(number) for number in unusable[:_NAMED_IMAGES])
    more = f" and {len(unusable) - _NAMED_IMAGES} more" if len(unusable) > _NAMED_IMAGES else ""
    message = (
        f"{len(unusable)} images are constant or hold values that are no numbers, and stay "
        f"unaccounted; ids, counted from 0: {names}{more}"
    )
    job.record.unusable_images[:] = [int(number) for number in unusable]
    job.record.warnings.append(message)
    job.progress.note(f"Warning: {message}")
