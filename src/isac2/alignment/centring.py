"""Finding the centre of an average: the historical ``center_method`` 1 to 7.

Protein is white (larger values), as everywhere in the package.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from isac2.images.filters import fourier_shift
from isac2.images.masks import disc_mask, pixel_offsets

__all__ = ["centre_average"]

_GAUSSIAN_SIGMA = 2.0
_RING_SIGMA = 7.0
_SELF_ROUNDS = 20
"""More moves than any average needs to come to rest on its own rotational average."""
_PLATEAU = 0.9
"""A fit this good, from the usual one (0) to the best (1), counts as one of the best."""


def centre_average(image: NDArray[np.float32], method: int, radius: float) -> tuple[float, float]:
    """Say how an average is to be shifted to be centred.

    Parameters
    ----------
    image : float32 (n, n)
    method : int
        Called bright is what exceeds the mean by a standard deviation.

        1. Phase centre of gravity: the crest of the first harmonic along each axis.
        2. Peak of the correlation with a Gaussian of sigma 2: the brightest spot, wherever in the
           particle it lies. For small round particles.
        3. Peak of the correlation with a ring, a Gaussian of sigma 7 less one of sigma 2: the
           middle of a hollow of about 15 pixels. For hollow particles of that size.
        4. Where the particle's disc fits the image best.
        5. Peak of the correlation with the image's own rotational average, repeated until the move
           is below a pixel. It starts from the answer of 6, because a particle that is
           further out than it is wide correlates no better with the ring that it becomes than
           anywhere else along that ring.
        6. Centre of gravity of what is bright.
        7. Where the particle's disc fits best what is bright, made binary and smoothed.
    radius : float
        Of the particle, pixels; for methods 4 and 7, whose disc is not larger than what is bright
        in the image: a particle that is smaller than its disc fits everywhere in it.

    Returns
    -------
    dx, dy : float
        The shift that brings the particle to the centre ``n // 2``, pixels; zero for an image
        without features.

    Raises
    ------
    ValueError
        When there is no such method.

    Examples
    --------
    >>> image = np.zeros((16, 16), np.float32)
    >>> image[6, 11] = 1.0
    >>> dx, dy = centre_average(image, 6, 3.0)
    >>> round(dx, 6), round(dy, 6)
    (-3.0, 2.0)
    """
    average = np.asarray(image, dtype=np.float64)
    box = average.shape[-1]
    if method not in range(1, 8):
        raise ValueError(f"there is no centring method {method}: use 1 to 7")
    if not np.ptp(average) > 0.0:
        return 0.0, 0.0
    if method == 1:
        place = _phase_centre(average)
    elif method == 2:
        place = _correlation_peak(average, _gaussian(box, _GAUSSIAN_SIGMA))
    elif method == 3:
        ring = _gaussian(box, _RING_SIGMA) - _gaussian(box, _GAUSSIAN_SIGMA)
        place = _correlation_peak(average, ring)
    elif method == 4:
        place = _disc_fit(average, _bright_shape(average), radius)
    elif method == 5:
        place = _self_centre(average)
    elif method == 6:
        place = _centre_of_gravity(_above_background(average) * average)
    else:
        shape = _bright_shape(average)
        place = _disc_fit(shape, shape, radius)
    return -place[0], -place[1]


def _phase_centre(average: NDArray[np.float64]) -> tuple[float, float]:
    """Return where the first harmonic along each axis has its crest."""
    box = average.shape[-1]
    wave = np.exp(2j * np.pi * pixel_offsets(box) / box)
    scale = box / (2.0 * np.pi)
    x = np.angle(np.sum(average.sum(axis=0) * wave)) * scale
    y = np.angle(np.sum(average.sum(axis=1) * wave)) * scale
    return float(x), float(y)


def _above_background(average: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark what exceeds the mean by more than a standard deviation."""
    return np.asarray(average > average.mean() + average.std())


def _bright_shape(average: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what is above the background, as ones, without specks and gaps."""
    binary = _above_background(average).astype(np.float64)
    smooth = scipy.ndimage.uniform_filter(binary, 5, mode="constant") > 0.5
    # Features finer than the smoothing leave nothing, and then the unsmoothed ones count.
    return smooth.astype(np.float64) if smooth.any() else binary


def _disc_fit(
    image: NDArray[np.float64], shape: NDArray[np.float64], radius: float
) -> tuple[float, float]:
    """Return where a disc, not larger than the particle's shape, fits an image best.

    The correlation of a particle with a disc that it does not fill is flat, and that of a particle
    with a dark rim, which images with a CTF have, is highest beside it. A disc as wide as the shape
    fits in one place only; what is left of a plateau is answered by its centre.
    """
    x, y = _centre_of_gravity(shape)
    offset = pixel_offsets(image.shape[-1])
    squared = np.square(offset[:, None] - y) + np.square(offset[None, :] - x)
    # The root mean square distance of a disc's pixels from its centre is its radius / sqrt(2).
    seen = np.sqrt(2.0 * (shape * squared).sum() / shape.sum())
    correlation = _correlation(image, disc_mask(image.shape[-1], max(1.0, min(radius, seen))))
    usual, best = np.median(correlation), correlation.max()
    plateau = np.maximum(correlation - (usual + _PLATEAU * (best - usual)), 0.0)
    # The plateau may lie across the edge of the box: bring it to the middle to find its centre.
    column, row = np.rint(_phase_centre(plateau)).astype(int)
    x, y = _centre_of_gravity(np.roll(plateau, (-row, -column), (0, 1)))
    return float(column) + x, float(row) + y


def _centre_of_gravity(weights: NDArray[np.float64]) -> tuple[float, float]:
    """Return the offset (x, y) of the centre of gravity from the box's centre."""
    offset = pixel_offsets(weights.shape[-1])
    total = weights.sum()
    if total == 0.0:
        return 0.0, 0.0
    return float((weights @ offset).sum() / total), float((weights.T @ offset).sum() / total)


def _gaussian(box: int, sigma: float) -> NDArray[np.float64]:
    """Return a Gaussian about the centre, with maximum 1."""
    profile = np.exp(-0.5 * np.square(pixel_offsets(box) / sigma))
    return profile[:, None] * profile[None, :]


def _self_centre(average: NDArray[np.float64]) -> tuple[float, float]:
    """Move the average onto its own rotational average until it hardly moves any more."""
    x, y = _centre_of_gravity(_above_background(average) * average)
    for _ in range(_SELF_ROUNDS):
        moved = fourier_shift(average.astype(np.float32), (-x, -y)).astype(np.float64)
        dx, dy = _correlation_peak(moved, _rotational_average(moved))
        x, y = x + dx, y + dy
        if abs(dx) < 1.0 and abs(dy) < 1.0:
            break
    return x, y


def _rotational_average(average: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace each pixel by the mean of the pixels as far from the centre, ring by ring."""
    offset = pixel_offsets(average.shape[-1])
    ring = np.rint(np.hypot(offset[:, None], offset[None, :])).astype(np.int64)
    means = np.bincount(ring.ravel(), average.ravel()) / np.bincount(ring.ravel())
    return np.asarray(means[ring])


def _correlation(
    average: NDArray[np.float64], shape: NDArray[np.float64] | NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the cyclic correlation with a centred shape; no shift is in the middle."""
    spectrum = scipy.fft.rfft2(average) * np.conj(scipy.fft.rfft2(shape.astype(np.float64)))
    return np.asarray(scipy.fft.fftshift(scipy.fft.irfft2(spectrum, average.shape)))


def _correlation_peak(
    average: NDArray[np.float64], shape: NDArray[np.float64]
) -> tuple[float, float]:
    """Return where a centred shape fits the average best, refined below the pixel."""
    box = average.shape[-1]
    correlation = _correlation(average, shape)
    row, column = np.unravel_index(int(correlation.argmax()), correlation.shape)
    across = correlation[row, np.arange(column - 1, column + 2) % box]
    down = correlation[np.arange(row - 1, row + 2) % box, column]
    return float(column - box // 2 + _vertex(across)), float(row - box // 2 + _vertex(down))


def _vertex(values: NDArray[np.float64]) -> float:
    """Return the top of the parabola through samples at -1, 0 and 1, of which 0 is the highest."""
    curvature = values[0] - 2.0 * values[1] + values[2]
    # A plateau has no curvature: its middle sample is as good as any.
    return float(0.5 * (values[0] - values[2]) / curvature) if curvature < 0.0 else 0.0
