"""What to give `isac2 run` for a stack: measured on a sample of its images, and timed on a few."""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.sac import low_pass_ladder, sac_round, search_space
from isac2.errors import InputError
from isac2.images.extent import Extent, filament_width, particle_extent
from isac2.images.preparation import PreparationParameters, plan_preparation, prepare_block
from isac2.poses import identity_poses
from isac2.run.choices import group_size_for
from isac2.run.directory import RunDirectory
from isac2.run.options import Settings
from isac2.run.parallel import open_workers
from isac2.run.prepare import check_stack, preparation_parameters
from isac2.run.space import needed_bytes
from isac2.stacks import Stack
from isac2.workers import Workers

__all__ = ["Cost", "Sample", "Suggestion", "estimate_cost", "read_sample", "suggest"]

_SIDE = 64  # px: to which the images are resampled to be measured
_SURROUNDINGS = 0.42  # of the box: beyond it is nothing but noise, for most stacks
_TIMED_GROUPS, _TIMED_REFERENCES = 2, 16
_ROUNDS, _FEWEST_ROUNDS, _MOST_ROUNDS = 9.0, 6.0, 18.0
"""Rounds of all images that a whole run amounts to, pre-alignment included: docs/suggest.md."""
_PROGRAM_BYTES = 350 * 2**20
_SEED = (0, 1, 1, 0)


@dataclass(frozen=True)
class Sample:
    """Some images of a stack, as they are measured.

    Attributes
    ----------
    rows : int64 (m,)
        Which they are.
    images : float32 (m, n, n)
        Phases flipped where the CTF is known, normalised, resampled to about 64 px.
    ratio : float
        Pixels of `images` in a pixel of the stack.
    axis_angles : float64 (m,) or None
        Directions of filaments' axes, degrees.
    """

    rows: NDArray[np.int64]
    images: NDArray[np.float32]
    ratio: float
    axis_angles: NDArray[np.float64] | None


@dataclass(frozen=True)
class Suggestion:
    """What to run, and what it was read from; lengths in pixels of the stack.

    Attributes
    ----------
    radius, least, most : float
        Of the particle, with the limits of the estimate.
    filament_width : float or None
    is_dark : bool
        Whether particles are darker than their surroundings.
    settings : Settings
        Suggested.
    extent : Extent
        In the sample's pixels.
    """

    radius: float
    least: float
    most: float
    filament_width: float | None
    is_dark: bool
    settings: Settings
    extent: Extent


@dataclass(frozen=True)
class Cost:
    """What a run is expected to take; times in seconds, room in bytes."""

    seconds: float
    fewest_seconds: float
    most_seconds: float
    threads: int
    memory: int
    disk: int


def read_sample(stack: Stack, count: int) -> Sample:
    """Read and prepare some images, evenly spread over the stack.

    Raises
    ------
    InputError
        When fewer than two of them can be used.
    """
    rows = np.unique(np.linspace(0, len(stack) - 1, min(count, len(stack))).astype(np.int64))
    some, box = stack.select(rows), stack.box_size
    ratio = min(1.0, _SIDE / box)
    parameters = PreparationParameters(_SURROUNDINGS * box, _SURROUNDINGS * box * ratio, None)
    metadata = some.metadata
    flips = phases_are_to_be_flipped(stack)
    images, usable = prepare_block(
        some.read(),
        (0.0, 0.0),
        plan_preparation(box, parameters),
        metadata.ctf_parameters() if flips else None,
        metadata.pixel_size_in_angstroms,
    )
    if usable.sum() < 2:
        raise InputError(
            f"{stack.path}: fewer than two of {len(rows)} images can be used (the others are "
            "constant or hold values that are no numbers): see 'isac2 validate'."
        )
    # RELION's psi turns the filament onto the x axis, so the filament lies at minus psi.
    angles = -metadata.psi_prior_in_degrees[usable] if is_of_filaments(stack) else None
    return Sample(rows[usable], images[usable], ratio, angles)


def phases_are_to_be_flipped(stack: Stack) -> bool:
    """Whether a stack says the CTF of all its particles, and not that it has been corrected."""
    metadata = stack.metadata
    sizes = np.isfinite(metadata.pixel_size_in_angstroms).all()
    return bool(metadata.has_ctf and sizes and not metadata.phase_flipped.any())


def is_of_filaments(stack: Stack) -> bool:
    """Whether all images are segments of filaments whose direction is known."""
    known = np.isfinite(stack.metadata.psi_prior_in_degrees).all()
    return bool(known and (stack.metadata.tube_id >= 0).all())


def suggest(stack: Stack, sample: Sample) -> Suggestion:
    """Measure the particles of a sample, and choose what to give a run.

    Group sizes are those of `isac2.run.choices`. Of filaments the disc
    is as large as the box allows, and their width is measured.
    """
    extent = particle_extent(sample.images)
    largest = stack.box_size // 2 - 1
    radius, width = extent.radius / sample.ratio, None
    if sample.axis_angles is not None:
        bright = -sample.images if extent.is_dark else sample.images
        width = filament_width(bright, sample.axis_angles) / sample.ratio
        radius = _SURROUNDINGS * stack.box_size
    images_per_group = group_size_for(len(stack))
    settings = Settings(
        radius=max(1, min(math.ceil(radius), largest)),
        images_per_group=images_per_group,
        phase_flip=phases_are_to_be_flipped(stack),
        filament_width=-1 if width is None else math.ceil(width),
    )
    limits = extent.least / sample.ratio, extent.most / sample.ratio
    return Suggestion(radius, *limits, width, extent.is_dark, settings, extent)


def estimate_cost(stack: Stack, settings: Settings, threads: int = 0) -> Cost:
    """Time one round on a few images of the stack, and say what a whole run will take.

    Raises
    ------
    InputError
        When the settings do not fit the stack.
    """
    check_stack(stack, settings)
    count, groups = len(stack), max(1, len(stack) // settings.images_per_group)
    with open_workers(threads) as workers, tempfile.TemporaryDirectory(prefix="isac2-") as folder:
        image_seconds, pair_seconds = _time_a_round(stack, settings, workers)
        room = needed_bytes(count, stack.box_size, settings, RunDirectory(Path(folder) / "run"))
        used = workers.count
    passes = len(low_pass_ladder(settings.clustering_parameters()))
    a_round = count * (image_seconds + passes * groups * pair_seconds)
    table = 4 * count * groups
    working = 4 * count * settings.working_box_size**2
    return Cost(
        seconds=_ROUNDS * a_round,
        fewest_seconds=_FEWEST_ROUNDS * a_round,
        most_seconds=_MOST_ROUNDS * a_round,
        threads=used,
        memory=_PROGRAM_BYTES + working + table,
        disk=room,
    )


def _time_a_round(stack: Stack, settings: Settings, workers: Workers) -> tuple[float, float]:
    """Seconds of a round for each image, less its search; and of a search for each pair."""
    from isac2.alignment.search import search

    wanted = _TIMED_GROUPS * settings.images_per_group
    rows = np.linspace(0, len(stack) - 1, min(wanted, len(stack))).astype(np.int64)
    images = _working_images(stack, settings, rows)
    parameters = settings.clustering_parameters()
    references = images[:_TIMED_REFERENCES]
    pool, centres = np.arange(len(images)), np.zeros((len(images), 2))
    space, frequency = search_space(parameters), parameters.highest_frequency

    def seconds_of_search(some: NDArray[np.float32]) -> float:
        began = time.perf_counter()
        search(images, pool, centres, some, space, workers, frequency)
        return time.perf_counter() - began

    few = references[:_TIMED_GROUPS]
    _round(images[: len(few) * 4], few, parameters, workers)  # compiles what is not yet compiled
    seconds_of_search(references)
    more = seconds_of_search(references) - seconds_of_search(few)
    pair = max(0.0, more) / (len(images) * max(1, len(references) - len(few)))
    began = time.perf_counter()
    _round(images, few, parameters, workers)
    passes = len(low_pass_ladder(parameters))
    whole = (time.perf_counter() - began) / len(images)
    return max(0.5 * whole, whole - passes * len(few) * pair), pair


def _round(
    images: NDArray[np.float32],
    references: NDArray[np.float32],
    parameters: ClusteringParameters,
    workers: Workers,
) -> None:
    """Do one round of sorting and testing."""
    pool, poses = np.arange(len(images)), identity_poses(len(images))
    smaller = replace(parameters, images_per_group=len(images) // len(references))
    sac_round(images, pool, poses, references, smaller, _SEED, workers, lambda words: None)


def _working_images(
    stack: Stack, settings: Settings, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Prepare images as a run does, without moving them."""
    some = stack.select(rows)
    metadata = some.metadata
    images, usable = prepare_block(
        some.read(),
        (0.0, 0.0),
        plan_preparation(stack.box_size, preparation_parameters(settings)),
        metadata.ctf_parameters() if settings.phase_flip else None,
        metadata.pixel_size_in_angstroms,
        -metadata.psi_prior_in_degrees,
    )
    return images[usable]
