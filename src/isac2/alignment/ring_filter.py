"""Low-pass filtering of averages that are kept as angular coefficients on rings.

An isotropic filter leaves angular orders apart: order m of the filtered image is a linear function
of order m of the image along the radius (two Hankel transforms with the filter's response between).
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from isac2.alignment.rings import RingGeometry
from isac2.images.filters import tanh_response

__all__ = ["RingFilter", "bessel_functions"]

_HIGHEST_FREQUENCY = 0.6
_SAMPLES_A_PERIOD = 4


class RingFilter:
    """Tanh low-pass filters for one geometry.

    Parameters
    ----------
    geometry : RingGeometry
    falloff : float
        Relative fall-off of the filters.

    Notes
    -----
    ``g_m(r) = 4 pi^2 int int H(k) J_m(2 pi k r) J_m(2 pi k r') k dk f_m(r') r' dr'``. What lies
    outside the last ring is unknown; each ring is divided by what the filter makes there of a
    constant inside, so that the edge is not darkened.
    """

    def __init__(self, geometry: RingGeometry, falloff: float) -> None:
        self._geometry = geometry
        self._falloff = falloff
        spacing = 1.0 / (2 * geometry.radius * _SAMPLES_A_PERIOD)
        self._frequencies = np.arange(spacing / 2, _HIGHEST_FREQUENCY, spacing)
        phase = 2 * np.pi * self._frequencies[:, None] * geometry.radii  # (k, r)
        self._bessel = bessel_functions(geometry.n_orders, phase)  # (m, k, r)
        area = geometry.radii * float(geometry.ring_step)
        self._measure = 4 * np.pi**2 * spacing * self._frequencies[:, None] * area  # (k, r')

    def matrices(self, cutoff: float, n_orders: int) -> list[NDArray[np.float32]]:
        """One matrix an angular order, from rings to filtered rings, float32 (r, r)."""
        response = tanh_response(self._frequencies, cutoff, self._falloff)[:, None]
        matrices = []
        edge = None
        for order in range(n_orders):
            bessel = self._bessel[order]
            matrix = bessel.T @ (response * self._measure * bessel)
            edge = matrix.sum(axis=1) if edge is None else edge
            first = self._geometry.first_ring[order]
            matrices.append((matrix / edge[:, None])[first:, first:].astype(np.float32))
        return matrices


def bessel_functions(count: int, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bessel functions J_0 ... J_(count - 1) of x >= 0, float64 (count, *x.shape).

    Notes
    -----
    ``exp(i x sin t) = sum over m of J_m(x) exp(i m t)`` (Jacobi and Anger): one transform along t
    gives all orders of an x, in an eighth of the time of `scipy.special.jv`. J_m(x) vanishes beyond
    m = x + 50 to double precision, so with twice as many samples nothing folds back.

    Examples
    --------
    >>> bessel_functions(2, np.array([0.0, 1.0])).round(6).tolist()
    [[1.0, 0.765198], [0.0, 0.440051]]
    """
    samples = scipy.fft.next_fast_len(int(count + x.max()) + 50)
    sine = np.sin(2 * np.pi * np.arange(samples) / samples)
    waves = np.exp(1j * x[..., None] * sine)
    orders = scipy.fft.fft(waves, axis=-1, overwrite_x=True)[..., :count].real / samples
    return np.ascontiguousarray(np.moveaxis(orders, -1, 0))
