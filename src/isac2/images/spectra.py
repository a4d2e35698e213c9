"""Power spectra, Fourier ring correlation, and what is read off them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.sparse
from numpy.typing import NDArray

from isac2.images.filters import tanh_response

__all__ = [
    "RingCorrelation",
    "fit_low_pass",
    "fourier_ring_correlation",
    "resolution_at",
    "rotational_power_spectrum",
]


@dataclass(frozen=True)
class RingCorrelation:
    """A Fourier ring correlation curve, or several over the same rings.

    Attributes
    ----------
    frequency : float64 (k,)
        Of each ring, 1/pixel, from 0 to Nyquist.
    correlation : float64 (..., k)
        Between -1 and 1; 0 on a ring where one of the images has nothing.
    count : float64 (k,)
        Fourier coefficients on each ring.
    """

    frequency: NDArray[np.float64]
    correlation: NDArray[np.float64]
    count: NDArray[np.float64]


def rotational_power_spectrum(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the power of images averaged over rings of equal frequency.

    The power is ``4 |F|^2 / n^4``, that of cosine waves of the image's amplitudes; each coefficient
    below Nyquist is shared between its two neighbouring rings by its distance from them.

    Parameters
    ----------
    images : float32 (..., n, n)

    Returns
    -------
    float64 (..., n // 2 + 1)
        Ring k is at the frequency k / n.

    Examples
    --------
    >>> wave = np.cos(2 * np.pi * np.arange(8) * 2 / 8).astype(np.float32)
    >>> rotational_power_spectrum(np.tile(wave, (8, 1))).argmax()
    np.int64(2)
    """
    box = images.shape[-1]
    transform = scipy.fft.rfft2(np.asarray(images, dtype=np.float32))
    power = transform.real.astype(np.float64) ** 2 + transform.imag.astype(np.float64) ** 2
    radius = _radius(box)
    below = np.floor(radius).astype(np.int64)
    above_share = radius - below
    # Full-plane weights: a coefficient off the first column stands for two.
    weight = np.where(np.arange(box // 2 + 1) == 0, 1.0, 2.0) * (below < box // 2 + box % 2)
    rings = _ring_matrix(
        np.stack([below, below + 1]), np.stack([weight * (1.0 - above_share), weight * above_share])
    )
    total = _sum_rings(rings, np.ones_like(radius))
    return np.asarray(_sum_rings(rings, power) / total * (4.0 / box**4))


def fourier_ring_correlation(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> RingCorrelation:
    """Correlate two images, or two batches of images, ring by ring in Fourier space.

    Parameters
    ----------
    first, second : float32 (..., n, n)

    Returns
    -------
    RingCorrelation
        ``k = n // 2 + 1`` rings; a coefficient belongs to the nearest one.
    """
    box = first.shape[-1]
    ring = np.rint(_radius(box)).astype(np.int64)
    weight = np.full(ring.shape, 2.0)
    # Of the first column both halves are there, apart from the Nyquist of an even box.
    weight[1:, 0] = 1.0
    if box % 2 == 0:
        weight[box // 2, 0] = 2.0
    rings = _ring_matrix(ring, weight)
    a = scipy.fft.rfft2(np.asarray(first, dtype=np.float64))
    b = scipy.fft.rfft2(np.asarray(second, dtype=np.float64))
    product = _sum_rings(rings, a.real * b.real + a.imag * b.imag)
    power = _sum_rings(rings, np.abs(a) ** 2) * _sum_rings(rings, np.abs(b) ** 2)
    norm = np.sqrt(power)
    correlation = np.divide(product, norm, out=np.zeros_like(product), where=norm > 0)
    count = _sum_rings(rings, np.ones(ring.shape))
    return RingCorrelation(np.arange(box // 2 + 1) / box, correlation, count)


def fit_low_pass(
    curve: RingCorrelation,
    cutoff_range: tuple[float, float] = (0.12, 0.4),
    largest_falloff: float = 0.2,
) -> tuple[float, float]:
    """Fit a hyperbolic tangent low-pass to the correlation of two half averages.

    What is fitted is ``2 c / (1 + c)``, the signal's share in the average of both halves, taken as
    zero from the first ring on where it is below 0.1: later peaks are noise. The fit is a least
    squares search over a fixed grid, so it always ends and always at the same place.

    Parameters
    ----------
    curve : RingCorrelation
        One curve, correlation (k,).
    cutoff_range : tuple of float
        Lowest and highest cut-off, 1/pixel.
    largest_falloff : float
        The smallest is a tenth of it.

    Returns
    -------
    cutoff, falloff : float
        For `isac2.images.filters.tanh_low_pass`.
    """
    half = np.maximum(curve.correlation[1:], 0.0)
    share = 2.0 * half / (1.0 + half)
    gone = np.flatnonzero(share < 0.1)
    if gone.size:
        share[gone[0] :] = 0.0
    cutoffs = np.arange(cutoff_range[0], cutoff_range[1] + 1e-9, 0.0025)
    falloffs = largest_falloff * np.arange(1, 11) / 10.0
    # (cut-offs, fall-offs, rings)
    responses = tanh_response(curve.frequency[1:], cutoffs[:, None, None], falloffs[:, None])
    misfit = np.square(share - responses).sum(axis=-1)
    best = np.unravel_index(misfit.argmin(), misfit.shape)
    return float(cutoffs[best[0]]), float(falloffs[best[1]])


def resolution_at(curve: RingCorrelation, threshold: float) -> float:
    """Return the frequency at which one curve first falls below a threshold.

    Parameters
    ----------
    curve : RingCorrelation
        One curve, correlation (k,).
    threshold : float
        Such as 0.143 or 0.5.

    Returns
    -------
    float
        1/pixel, interpolated between the rings; 0.5 when the curve stays above, 0 when it never
        was. The resolution in angstroms is the pixel size over it.

    Examples
    --------
    >>> frequency = np.array([0.0, 0.1, 0.2, 0.3])
    >>> curve = RingCorrelation(frequency, np.array([1.0, 1.0, 0.6, 0.4]), np.ones(4))
    >>> round(resolution_at(curve, 0.5), 3)
    0.25
    """
    # The zero frequency is only the images' means, which normalising has often made zero.
    correlation, frequency = curve.correlation[1:], curve.frequency[1:]
    below = np.flatnonzero(correlation < threshold)
    if not below.size:
        return 0.5
    last = int(below[0])
    if last == 0:
        return 0.0
    upper, lower = correlation[last - 1], correlation[last]
    step = (upper - threshold) / (upper - lower)
    return float(frequency[last - 1] + step * (frequency[last] - frequency[last - 1]))


def _radius(box: int) -> NDArray[np.float64]:
    """Return each coefficient's distance from the zero frequency, in coefficients."""
    return np.hypot(scipy.fft.fftfreq(box, 1 / box)[:, None], np.arange(box // 2 + 1)[None, :])


def _ring_matrix(
    rings: NDArray[np.int64], weights: NDArray[np.float64]
) -> scipy.sparse.csr_array[np.float64]:
    """Return the matrix that sums weighted coefficients (..., n, n // 2 + 1) into rings.

    A leading axis lists several rings that each coefficient goes to; those beyond Nyquist are left
    out.
    """
    count, size = rings.shape[-1], rings.shape[-2] * rings.shape[-1]
    used = np.flatnonzero((rings < count) & (weights != 0))
    entries = (weights.ravel()[used], (rings.ravel()[used], used % size))
    return scipy.sparse.csr_array(entries, shape=(count, size))


def _sum_rings(
    rings: scipy.sparse.csr_array[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum values (..., n, n // 2 + 1) into rings (..., k)."""
    flat = values.reshape(-1, values.shape[-2] * values.shape[-1])
    summed = np.asarray(rings @ flat.T).T
    return np.ascontiguousarray(summed).reshape(*values.shape[:-2], -1)
