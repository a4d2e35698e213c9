"""Centring new particles where the old ones of a run were centred: on their common average."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.likely_centres import Spread
from isac2.alignment.prealignment import centre_on_average, coarse_radius
from isac2.errors import InputError
from isac2.images.resample import crop_or_pad, resample
from isac2.run.job import Job
from isac2.run.prepare import prepare_for_prealignment
from isac2.stacks import Stack

__all__ = ["centre_new_particles"]

_CUTOFF = 0.4  # 1/px, beyond which no average of a pre-alignment has anything


def centre_new_particles(
    job: Job,
    fresh: Stack,
    average: NDArray[np.float32] | None,
    weights: NDArray[np.float64] | None,
    spread: Spread,
) -> NDArray[np.float64]:
    """Find what moves each new particle to the centre of its image.

    Each is aligned to the average, first over the whole range that its box allows, then around what
    was found, in the steps of the pre-alignment; and that is weighed against how the old ones are
    spread.

    Parameters
    ----------
    job : Job
    fresh : Stack
        m new particles.
    average : float32 (n, n) or None
        Of the old particles after their pre-alignment, working px.
    weights : float64 or None
        How power spectra are equalised.
    spread : Spread
        Of the old particles around the middle of their images, input px.

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
    job.tell_words("looking for the particles")
    centres, _ = centre_on_average(
        whole.images, usable, (reference, _CUTOFF * pixel), spread.scaled(scale), radius,
        job.workers, pixel, settings.device,
    )  # fmt: skip

    def remove() -> None:
        for file in (path, path.with_name(f"{path.stem}.unusable.txt")):
            file.unlink(missing_ok=True)

    job.first(remove)
    shifts = np.zeros((len(fresh), 2))
    shifts[usable] = -centres / scale
    return shifts
