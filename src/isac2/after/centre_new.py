"""Centring new particles where the old ones of a run were centred: on their common average."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.likely_centres import Spread, weigh_places
from isac2.alignment.prealignment import coarse_radius, search_stages
from isac2.alignment.search import align_to_assigned
from isac2.alignment.space import SearchSpace, centres_from_poses
from isac2.errors import InputError
from isac2.images.resample import crop_or_pad, resample
from isac2.run.job import Job
from isac2.run.prepare import prepare_for_prealignment
from isac2.stacks import Stack

__all__ = ["centre_new_particles"]


def centre_new_particles(
    job: Job,
    fresh: Stack,
    average: NDArray[np.float32] | None,
    weights: NDArray[np.float64] | None,
    known: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Find what moves each new particle to the centre of its image.

    Each is aligned to the average, first over the whole range that its box allows, then around what
    was found, in the steps of the pre-alignment; and that is weighed against how the old ones lie.

    Parameters
    ----------
    job : Job
    fresh : Stack
        m new particles.
    average : float32 (n, n) or None
        Of the old particles after their pre-alignment, working px.
    weights : float64 or None
        How power spectra are equalised.
    known : float64 (k, 2)
        The shifts of the old particles, input px.

    Returns
    -------
    float64 (m, 2)
        Input px; zero when the run was told to skip the pre-alignment.

    Raises
    ------
    InputError
        When the run has no average to centre on.
    """
    settings = job.settings
    if settings.skip_prealignment:
        return np.zeros((len(fresh), 2))
    if average is None:
        raise InputError(
            "the run has no 2dalignment/aqfinal.hdf to centre new particles on: run all particles "
            "anew."
        )
    radius = coarse_radius(settings.target_radius)
    pixel = settings.target_radius / radius
    scale = settings.shrink_ratio / pixel  # pixels of the images that are looked at in an input px
    path = job.directory.prealignment_images
    whole = prepare_for_prealignment(
        fresh, settings, path, job.workers, job.tell_images, weights, radius
    )
    reference = crop_or_pad(resample(average, 1 / pixel), whole.images.shape[-1])
    usable = np.setdiff1d(np.arange(len(fresh)), whole.unusable)
    found = _find_centres(job, whole.images, usable, reference, (radius, pixel))
    centres, _ = weigh_places(
        whole.images, usable, found, (reference, 0.5), Spread.of(-known * scale),
        SearchSpace(radius, x_range=0.0, y_range=0.0, device=settings.device), job.workers, pixel,
    )  # fmt: skip

    def remove() -> None:
        for file in (path, path.with_name(f"{path.stem}.unusable.txt")):
            file.unlink(missing_ok=True)

    job.first(remove)
    shifts = np.zeros((len(fresh), 2))
    shifts[usable] = -centres / scale
    return shifts


def _find_centres(
    job: Job,
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    reference: NDArray[np.float32],
    scale: tuple[int, float],
) -> NDArray[np.float64]:
    """Find the particles in images (rows), float64 (m, 2), px of these images.

    The scale is the particle's radius in these images (px), and working pixels in one of theirs.
    """
    radius, pixel = scale
    box = images.shape[-1]
    first, centres = np.zeros(len(rows), np.int64), np.zeros((len(rows), 2))
    device = job.settings.device
    stages = search_stages(round(box * pixel), round(radius * pixel))
    for number, (reach, step) in enumerate(stages):
        job.tell_rounds(number, len(stages))
        space = SearchSpace(radius, 1, 1, reach / pixel, reach / pixel, step / pixel, device)
        middles = space.permitted(centres, box)
        found = align_to_assigned(images, rows, middles, reference[None], first, space, job.workers)
        centres = centres_from_poses(found.poses)
    return centres
