"""Preparation of particle images for alignment, as one pass over their Fourier transforms.

Phase flip, shift and resampling are all diagonal in Fourier space. So each image is taken to those
coefficients of its (zero-padded) transform that survive the resampling, multiplied there, and taken
straight to the pixels of the small image that is kept. Both ways are matrix products with cosines
and sines, which cost less than transforms of the whole padded image, and the ratio and the centre
are exact whatever the boxes are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isac2.images.ctf import CtfParameters, ctf_phase_terms
from isac2.images.masks import disc_mask, pixel_offsets, rectangle_mask
from isac2.images.resample import crop_or_pad, resampled_box

__all__ = [
    "PreparationParameters",
    "PreparationPlan",
    "centre_particles",
    "equalising_weights",
    "normalise_particles",
    "particle_mask",
    "plan_preparation",
    "prepare_block",
]

_PADDING = 2
"""Images are taken as padded to this many times their box: the CTF must be sampled finely."""

_TILE = 8
"""Images whose intermediate products are in the cache together."""


@dataclass(frozen=True)
class PreparationParameters:
    """What is done to each image; the historical option that sets each field is in brackets.

    Attributes
    ----------
    radius : float
        [radius] Of the particle, input pixels.
    target_radius : float
        [target_radius] Of the particle, working pixels.
    box : int or None
        [target_nx + xr - 1] Side of the working images; None keeps the whole resampled image.
    filament_width : float or None
        [filament_width] Input pixels; None for single particles.
    mask_filaments : bool
        [not filament_mask_ignore] Whether what lies beside the filament becomes zero.
    """

    radius: float
    target_radius: float
    box: int | None
    filament_width: float | None = None
    mask_filaments: bool = True

    @property
    def ratio(self) -> float:
        """Working pixels per input pixel."""
        return self.target_radius / self.radius


@dataclass(frozen=True)
class PreparationPlan:
    """What is the same for all images of a box: made once by `plan_preparation`.

    Attributes
    ----------
    parameters : PreparationParameters
    input_box, box : int
        Sides of the images before and after, pixels.
    frequency : float64 (K,)
        Of the coefficients that are kept along each axis, 1/input pixel.
    response : float32 (K, K)
        Filter at (v, u), both not negative.
    along_rows : float32 (n, 2 K)
        Cosines, and minus sines, that transform along x.
    down_columns : float32 (2 K, n)
        Cosines above sines that transform along y.
    back_down_columns : float32 (m, 2 K)
        To the rows of the working image.
    back_along_rows : float32 (2 K, m)
        To its columns.
    """

    parameters: PreparationParameters
    input_box: int
    box: int
    frequency: NDArray[np.float64]
    response: NDArray[np.float32]
    along_rows: NDArray[np.float32]
    down_columns: NDArray[np.float32]
    back_down_columns: NDArray[np.float32]
    back_along_rows: NDArray[np.float32]


def plan_preparation(
    input_box: int,
    parameters: PreparationParameters,
    spectrum_weights: NDArray[np.float64] | None = None,
) -> PreparationPlan:
    """Work out the matrices of a preparation.

    Parameters
    ----------
    input_box : int
        Side n of the input images, pixels.
    parameters : PreparationParameters
    spectrum_weights : float64 (n // 2 + 1,), optional
        Factor at the frequencies ``k / n``; see `equalising_weights`.

    Returns
    -------
    PreparationPlan
    """
    ratio = parameters.ratio
    padded = _PADDING * input_box
    number = np.arange(padded // 2 + 1)
    if ratio < 1.0:
        number = number[number < 0.5 * ratio * padded]  # what the working pixels can carry
    frequency = number / padded
    # Each coefficient is met at +f and -f; zero and Nyquist, which are one, count half each time.
    share = np.where((number == 0) | (2 * number == padded), 0.5, 1.0)
    whole_box = resampled_box(input_box, ratio)
    kept_box = whole_box if parameters.box is None else min(parameters.box, whole_box)
    forward = 2.0 * np.pi * np.outer(frequency, pixel_offsets(input_box))  # (K, n)
    backward = 2.0 * np.pi * np.outer(frequency, pixel_offsets(kept_box) / ratio)  # (K, m)
    if spectrum_weights is None:
        response = np.ones((number.size, number.size))
    else:
        distance = np.hypot(frequency[:, None], frequency[None, :]) * input_box
        response = np.interp(distance, np.arange(spectrum_weights.size), spectrum_weights)
    down = (share / padded)[:, None]
    along = (2.0 * share / padded)[:, None]
    single = np.float32
    return PreparationPlan(
        parameters,
        input_box,
        whole_box if parameters.box is None else parameters.box,
        frequency,
        response.astype(single),
        np.concatenate([np.cos(forward), -np.sin(forward)]).T.astype(single, order="C"),
        np.concatenate([np.cos(forward), np.sin(forward)]).astype(single),
        np.concatenate([down * np.cos(backward), down * np.sin(backward)]).T.astype(
            single, order="C"
        ),
        np.concatenate([along * np.cos(backward), -along * np.sin(backward)]).astype(single),
    )


def prepare_block(
    images: NDArray[np.float32],
    shifts: ArrayLike,
    plan: PreparationPlan,
    ctf: CtfParameters | None = None,
    pixel_size_in_angstroms: ArrayLike = 1.0,
    filament_angles: ArrayLike | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Prepare images for alignment.

    In this order: subtract the mean inside the particle's disc (or the filament's rectangle), flip
    the phases on twice the box, shift, resample so that the particle's radius becomes the target
    radius, cut or pad with zeros to the working box, and normalise (`normalise_particles`).

    Parameters
    ----------
    images : float32 (b, n, n)
    shifts : (b, 2)
        (x, y), input pixels: the content moves by +x along the rows and +y down them.
    plan : PreparationPlan
    ctf : CtfParameters, optional
        Of the b images; phases are left as they are without.
    pixel_size_in_angstroms : float or (b,)
        Of the input images; only the CTF needs it.
    filament_angles : (b,), optional
        Directions of the filaments' axes as in `isac2.images.masks.rectangle_mask`; needed when
        the parameters have a filament width.

    Returns
    -------
    prepared : float32 (b, m, m)
        Zero where an image is not usable.
    usable : bool (b,)
        False for an image that is constant, has pixels that are no numbers, or has no noise around
        the particle to be measured by.
    """
    inside = particle_mask(plan, True, filament_angles)
    centred, usable = centre_particles(images, inside)
    terms = np.zeros((len(images), 5))
    if ctf is not None:
        terms = ctf_phase_terms(ctf, pixel_size_in_angstroms)
    offsets = np.ascontiguousarray(np.broadcast_to(shifts, (len(images), 2)), dtype=np.float64)
    resampled = _resample_spectra(centred, terms, offsets, plan)
    prepared = crop_or_pad(resampled, plan.box)
    inside = particle_mask(plan, False, filament_angles)
    prepared, measurable = normalise_particles(prepared, inside)
    if plan.parameters.filament_width is not None and plan.parameters.mask_filaments:
        prepared *= inside
    usable &= measurable
    prepared[~usable] = 0.0
    return prepared, usable


def normalise_particles(
    images: NDArray[np.float32], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Give images zero mean inside a mask and unit standard deviation outside it.

    Parameters
    ----------
    images : float32 (b, m, m)
    inside : bool (m, m) or (b, m, m)
        The pixels of the particle.

    Returns
    -------
    normalised : float32 (b, m, m)
    measurable : bool (b,)
        False where nothing varies outside the mask, and that image is zero.
    """
    centred, measurable = centre_particles(images, inside)
    outside = np.broadcast_to(~inside, images.shape)
    number = np.maximum(outside.sum(axis=(1, 2)), 1)
    total = np.sum(centred, axis=(1, 2), dtype=np.float64, where=outside)
    squares = np.sum(np.square(centred), axis=(1, 2), dtype=np.float64, where=outside)
    variance = squares / number - np.square(total / number)
    # What rounding leaves of a constant surrounding is no noise to measure by.
    measurable &= variance > 1e-10 * (squares / number)
    scale = np.where(measurable, 1.0 / np.sqrt(np.where(measurable, variance, 1.0)), 0.0)
    centred *= scale.astype(np.float32)[:, None, None]
    return centred, measurable


def centre_particles(
    images: NDArray[np.float32], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Give images zero mean inside a mask.

    Parameters
    ----------
    images : float32 (b, m, m)
    inside : bool (m, m) or (b, m, m)
        The pixels of the particle.

    Returns
    -------
    centred : float32 (b, m, m)
        Zero where an image is not usable.
    usable : bool (b,)
        False for an image that is constant or has pixels that are no finite numbers.
    """
    from isac2.images.kernels import centre_values

    centred = np.empty(images.shape, dtype=np.float32)
    usable = np.empty(len(images), dtype=np.bool_)
    masks = inside if inside.ndim == 3 else inside[None]
    centre_values(images, masks, centred, usable)
    return centred, usable


def equalising_weights(amplitude_sum: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the factors that make the mean amplitude of a stack equal at all frequencies.

    ``w(f) = N / sum_i sqrt(P_i(f))``, ``w(0) = 1``; for images taken with a phase plate.

    Parameters
    ----------
    amplitude_sum : float64 (n // 2 + 1,)
        Sum over the images of the square root of their `rotational_power_spectrum`.
    count : int
        Number N of images that were summed.

    Returns
    -------
    float64 (n // 2 + 1,)
    """
    weights = np.ones_like(amplitude_sum)
    np.divide(count, amplitude_sum, out=weights, where=amplitude_sum > 0)
    weights[0] = 1.0
    return weights


def particle_mask(
    plan: PreparationPlan, before: bool, filament_angles: ArrayLike | None = None
) -> NDArray[np.bool_]:
    """Mark the particle in input images, or in working images when not `before`.

    Returns
    -------
    bool (n, n), or (b, n, n) with one rectangle for each filament
    """
    parameters = plan.parameters
    box, scale = (plan.input_box, 1.0) if before else (plan.box, parameters.ratio)
    if parameters.filament_width is None:
        return disc_mask(box, parameters.radius * scale)
    if filament_angles is None:
        raise ValueError("a filament width needs the filaments' angles")
    return rectangle_mask(box, parameters.filament_width * scale, filament_angles)


def _resample_spectra(
    images: NDArray[np.float32],
    terms: NDArray[np.float64],
    shifts: NDArray[np.float64],
    plan: PreparationPlan,
) -> NDArray[np.float32]:
    """Flip, shift and resample images by way of their transforms; float32 (b, m, m)."""
    from isac2.images.kernels import transfer_spectra

    box = plan.back_along_rows.shape[1]
    result = np.empty((len(images), box, box), dtype=np.float32)
    for start in range(0, len(images), _TILE):
        tile = slice(start, start + _TILE)
        products = plan.down_columns @ (images[tile] @ plan.along_rows)  # (t, 2 K, 2 K)
        changed = np.empty_like(products)
        transfer_spectra(
            products, plan.frequency, terms[tile], shifts[tile], plan.response, changed
        )
        np.matmul(plan.back_down_columns @ changed, plan.back_along_rows, out=result[tile])
    return result
