"""Rings: the polar sampling of a disc, and the angular Fourier coefficients on it.

An image inside a disc is sampled on the rings ``r = inner_radius, inner_radius + ring_step, ...,
radius`` by cubic convolution, and each ring is Fourier transformed along its angle. A rotation is
then a phase, a mirror a complex conjugate, and the correlation of two images over all angles one
sum of products an angular order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["RingGeometry", "SamplingTable", "shift_grid"]

_SAMPLE_MULTIPLE = 8
"""Ring lengths are multiples of this: fast transforms, and quarter symmetry of the angles."""


def shift_grid(x_range: float, y_range: float, step: float) -> NDArray[np.float64]:
    """Translations that are searched, centre first, then by distance.

    Parameters
    ----------
    x_range, y_range : float
        Largest translation either way, px.
    step : float
        Spacing of the grid, px.

    Returns
    -------
    float64 (s, 2)
        x and y of each translation.

    Examples
    --------
    >>> shift_grid(1, 0, 1).tolist()
    [[0.0, 0.0], [-1.0, 0.0], [1.0, 0.0]]
    """
    nx, ny = int(x_range / step + 1e-9), int(y_range / step + 1e-9)
    x, y = np.meshgrid(np.arange(-nx, nx + 1) * step, np.arange(-ny, ny + 1) * step)
    grid = np.stack([x.ravel(), y.ravel()], axis=1)
    order = np.lexsort((grid[:, 0], grid[:, 1], (grid**2).sum(axis=1)))
    return np.ascontiguousarray(grid[order]) + 0.0


def _cubic_weights(fraction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (..., 4) of the samples at -1, 0, 1, 2 (Keys' cubic convolution, a = -1/2)."""
    f = fraction[..., None]
    distance = np.abs(f - np.array([-1.0, 0.0, 1.0, 2.0]))
    near = (1.5 * distance - 2.5) * distance**2 + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    weights: NDArray[np.float64] = np.where(
        distance <= 1.0, near, np.where(distance < 2.0, far, 0.0)
    )
    return weights


def _taps(
    places: NDArray[np.float64], moves: NDArray[np.float64], half: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """First pixel (m, p) and weights (m, p, 4) along an axis of places (p,) plus moves (m,)."""
    moved = places + moves[:, None]
    # a whole pixel that rounding has put just below itself stays one
    first = np.floor(moved + 1e-9)
    return first.astype(np.int64) + half - 1, _cubic_weights(moved - first).astype(np.float32)


def _neighbours(shifts: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of the translation beside each, int64 (s, 4): left, right, up, down; -1 for none."""
    places = {(round(x, 6), round(y, 6)): number for number, (x, y) in enumerate(shifts)}
    step = np.diff(np.unique(shifts)).min(initial=np.inf)
    sides = ((-step, 0.0), (step, 0.0), (0.0, -step), (0.0, step))
    if not np.isfinite(step):
        return np.full((len(shifts), 4), -1)
    return np.array(
        [[places.get((round(x + dx, 6), round(y + dy, 6)), -1) for dx, dy in sides]
         for x, y in shifts]
    )  # fmt: skip


@dataclass(frozen=True)
class SamplingTable:
    """Where each ring sample reads a window of pixels, for every translation of a grid.

    Attributes
    ----------
    shifts : float64 (s, 2)
        The translations, x and y, px.
    neighbours : int64 (s, 4)
        Translation one step to the left, right, up and down of each, -1 beyond the grid.
    window : int
        Side of the square window of pixels around the image's centre, which is at window // 2.
    place : int64 (ny, nx)
        Which translation has the j-th y and the i-th x of the grid.
    left : int64 (nx, p)
        Window column of the first of the 4 pixels in a row that a sample reads, for each x.
    top : int64 (ny, p)
        Window row of the first of the 4 rows, for each y.
    x_weights, y_weights : float32 (nx, p, 4), (ny, p, 4)
        Interpolation weights of the columns and of the rows.
    """

    shifts: NDArray[np.float64]
    neighbours: NDArray[np.int64]
    window: int
    place: NDArray[np.int64]
    left: NDArray[np.int64]
    top: NDArray[np.int64]
    x_weights: NDArray[np.float32]
    y_weights: NDArray[np.float32]


@dataclass(frozen=True)
class RingGeometry:
    """The rings of a disc and the angular orders that each carries.

    Attributes
    ----------
    inner_radius, radius, ring_step : int
        First ring, last ring and their spacing, px.
    bandwidth : float
        Highest frequency (1/px) that matters; orders which only higher frequencies reach are left
        out. 0.5 keeps all.
    """

    inner_radius: int
    radius: int
    ring_step: int = 1
    bandwidth: float = 0.5

    @cached_property
    def radii(self) -> NDArray[np.int64]:
        """Radius of each ring, px, int64 (r,)."""
        return np.arange(self.inner_radius, self.radius + 1, self.ring_step)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Samples on each ring, at least one a pixel of its circumference, int64 (r,)."""
        wanted = np.ceil(2 * np.pi * self.radii / _SAMPLE_MULTIPLE).astype(np.int64)
        return np.maximum(wanted, 1) * _SAMPLE_MULTIPLE

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """First sample of each ring in the list of all samples, and the total, int64 (r + 1,)."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Area of each ring as a share of all rings' area, float64 (r,)."""
        share: NDArray[np.float64] = self.radii / self.radii.sum()
        return share

    @cached_property
    def orders(self) -> NDArray[np.int64]:
        """Number of angular orders 0, 1, ... kept on each ring, int64 (r,).

        Bessel functions J_m(2 pi f r) vanish quickly beyond m = 2 pi f r; a margin of
        2 (2 pi f r)^(1/3) orders covers their tail. Never more than pi r, the Nyquist limit.
        """
        reach = 2 * np.pi * min(self.bandwidth, 0.5) * self.radii
        carried = np.ceil(reach + 2.0 * np.cbrt(reach)).astype(np.int64)
        nyquist = np.floor(np.pi * self.radii).astype(np.int64)
        kept: NDArray[np.int64] = np.minimum(np.minimum(carried, nyquist), self.lengths // 2 - 1)
        return kept + 1

    @cached_property
    def coefficient_order(self) -> NDArray[np.int64]:
        """Angular order of each packed coefficient, int64 (c,)."""
        return np.repeat(np.arange(self.n_orders), np.diff(self.order_starts))

    @cached_property
    def coefficient_ring(self) -> NDArray[np.int64]:
        """Ring of each packed coefficient, int64 (c,)."""
        return np.concatenate([np.arange(f, len(self.radii)) for f in self.first_ring])

    @property
    def n_orders(self) -> int:
        """Number of angular orders on the last ring."""
        return int(self.orders[-1])

    @cached_property
    def first_ring(self) -> NDArray[np.int64]:
        """First ring that carries each angular order, int64 (m,)."""
        return np.searchsorted(self.orders, np.arange(self.orders[-1]), side="right")

    @cached_property
    def order_starts(self) -> NDArray[np.int64]:
        """First coefficient of each angular order in the packed list, and the total, int64 (m+1,).

        Coefficients are packed order by order; within an order by ring, from `first_ring` out.
        """
        return np.concatenate([[0], np.cumsum(len(self.radii) - self.first_ring)])

    @property
    def n_coefficients(self) -> int:
        """Number of coefficients of an image."""
        return int(self.order_starts[-1])

    def sampling_table(self, shifts: NDArray[np.float64]) -> SamplingTable:
        """Tell which pixels with which weights make each sample, for every translation."""
        angles = [2 * np.pi * np.arange(n) / n for n in self.lengths]
        x = np.concatenate([r * np.cos(a) for r, a in zip(self.radii, angles, strict=True)])
        y = np.concatenate([r * np.sin(a) for r, a in zip(self.radii, angles, strict=True)])
        half = self.radius + 3 + int(np.ceil(np.abs(shifts).max()))
        (xs, column), (ys, row) = (np.unique(v, return_inverse=True) for v in shifts.T)
        place = np.empty((len(ys), len(xs)), np.int64)
        place[row, column] = np.arange(len(shifts))
        left, x_weights = _taps(x, xs, half)
        top, y_weights = _taps(y, ys, half)
        return SamplingTable(
            shifts, _neighbours(shifts), 2 * half + 1, place, left, top, x_weights, y_weights
        )
