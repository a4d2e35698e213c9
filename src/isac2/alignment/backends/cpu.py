"""The CPU backend: every long loop compiled, with its sums in registers.

Callers run blocks of images on threads; everything here releases the interpreter lock for its long
parts and holds no state. The bits of an image's result do not depend on the other images of its
block, but for the margin of a coarse search.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.backends import averaging, correlation, sampling
from isac2.alignment.backends.packing import Packing, aligned_empty, aligned_zeros, packing_of
from isac2.alignment.rings import RingGeometry, SamplingTable
from isac2.lanes import LANES

__all__ = [
    "AngleGrid",
    "Peaks",
    "RadialFilter",
    "References",
    "RingBank",
    "averages_of_others",
    "find_largest",
    "find_peaks",
    "images_a_batch",
    "images_a_block",
    "make_filter",
    "own_references",
    "references_from_bank",
    "ring_bank",
    "shift_weights",
]

images_a_block = 64
images_a_batch = 0

_TAPS = 8
_REFERENCES_A_BLOCK = 32  # whose correlations with an image fit the cache
_MARGIN = 3.0  # standard deviations of what the coarse correlation leaves out


@dataclass(frozen=True)
class RingBank:
    """Ring coefficients of images at every translation, packed for the compiled loops.

    Attributes
    ----------
    values : float32 (b, v * s)
        As `Packing` lays them out; zero mean and unit variance over the rings.
    packing : Packing
    n_shifts : int
        Number of translations s.
    """

    values: NDArray[np.float32]
    packing: Packing
    n_shifts: int

    def first_translation(self) -> NDArray[np.float32]:
        """Packed values at the first translation, float32 (b, v)."""
        pieces = [
            self.values[:, start * self.n_shifts * 2 * LANES :][:, : rings * 2 * LANES]
            for start, rings in zip(*self.packing.blocks, strict=True)
        ]
        return np.concatenate(pieces, axis=1)

    @cached_property
    def power_of_parts(self) -> NDArray[np.float32]:
        """Sum of the mean squares of real and imaginary parts at the first translation, (v,).

        The power of the two is that of either with either; each order above 0 counts twice in a
        correlation, and half of its power is in phase.
        """
        power = np.square(self.first_translation()).mean(axis=0).reshape(-1, 2, LANES)
        both = aligned_empty(power.size)
        both.reshape(power.shape)[...] = power.sum(axis=1, keepdims=True)
        return both

    def coefficients(self, shift: int = 0) -> NDArray[np.complex64]:
        """Coefficients at one translation, order by order, complex64 (c, b)."""
        geometry = self.packing.geometry
        ring, order = geometry.coefficient_ring, geometry.coefficient_order
        places = self.packing.places(ring, order, self.n_shifts)
        places += shift * self.packing.rings[order // LANES] * 2 * LANES
        both: NDArray[np.complex64] = self.values[:, places] + 1j * self.values[:, places + LANES]
        return both.T


@dataclass(frozen=True)
class Peaks:
    """Best correlation of each image with each reference, and where it lies.

    Attributes
    ----------
    value : float32 (b, k)
    shift : int64 (b, k)
        Index of the translation.
    move : float64 (b, k, 2)
        Translation of the peak, x and y, px: refined between the grid's.
    angle : float64 (b, k)
        In-plane angle, radians, refined below the angular sample.
    mirror : int8 (b, k)
    """

    value: NDArray[np.float32]
    shift: NDArray[np.int64]
    move: NDArray[np.float64]
    angle: NDArray[np.float64]
    mirror: NDArray[np.int8]


@dataclass(frozen=True)
class AngleGrid:
    """Cosines and sines of the angles that are tried, for a number of angular orders.

    Attributes
    ----------
    angles : float64 (a,)
        Radians.
    n_orders : int
    quarters : bool
        The angles are those of a quarter turn, and stand for a, -a, pi - a and pi + a.
    """

    angles: NDArray[np.float64]
    n_orders: int
    quarters: bool

    @property
    def step(self) -> float:
        """Spacing of the angles, radians."""
        return float(self.angles[1] - self.angles[0]) if len(self.angles) > 1 else 2 * np.pi

    @cached_property
    def padded_angles(self) -> NDArray[np.float64]:
        """The angles made up to whole vectors with the last one, float64 (16 n,)."""
        missing = -len(self.angles) % LANES
        return np.concatenate([self.angles, np.repeat(self.angles[-1:], missing)])

    @cached_property
    def table(self) -> tuple[NDArray[np.float32], int, int, bool]:
        """What `correlation` takes: flat table, even number of orders, vectors of angles, quarters.

        Orders above 0 count twice, once for their negative partner.
        """
        blocks = len(self.padded_angles) // LANES
        orders = self.n_orders + self.n_orders % 2
        order = np.arange(orders)
        phase = order[:, None] * self.padded_angles
        twice = np.where(order == 0, 1.0, np.where(order < self.n_orders, 2.0, 0.0))[:, None]
        both = np.stack([np.cos(phase) * twice, np.sin(phase) * twice])
        parts = both.reshape(2, orders, blocks, LANES).transpose(2, 1, 0, 3)
        flat = aligned_zeros(parts.size)
        flat[:] = parts.ravel()
        return flat, orders, blocks, self.quarters


_NO_GRID = (np.zeros(1, np.float32), 0, 0, True)


@dataclass(frozen=True)
class References:
    """What images are compared with: packed coefficients, weighted by ring area.

    Attributes
    ----------
    values : float32 (j, k, v)
        k references for each of j kinds of images.
    packing : Packing
    """

    values: NDArray[np.float32]
    packing: Packing


@dataclass(frozen=True)
class RadialFilter:
    """A matrix along the radius for each angular order.

    Attributes
    ----------
    packing : Packing
    matrices : float32 (..,)
        From `Packing.filter_matrices`.
    """

    packing: Packing
    matrices: NDArray[np.float32]


def ring_bank(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    centres: NDArray[np.float64],
    geometry: RingGeometry,
    table: SamplingTable,
    normalise: bool = True,
) -> RingBank:
    """Sample images on rings at every translation around its centre, and transform.

    Parameters
    ----------
    images : float32 (n, ny, nx)
    rows : int64 (b,)
        Which images.
    centres : float64 (b, 2)
        x and y of each one's centre, from the centre of the box, px.
    geometry, table
        The rings, and their sampling for the translations.
    normalise : bool
        Bring each image, at each translation, to zero mean and unit variance over its rings.
    """
    packing, n_shifts = packing_of(geometry), len(table.shifts)
    count = -(-rows.size // LANES) * LANES
    images = images.view()
    images.flags.writeable = False  # one type for the compiler, wherever they come from
    whole = np.floor(centres)
    corners = whole.astype(np.int64) - table.window // 2 - (_TAPS // 2 - 1)
    taps = np.zeros((2, _TAPS, count), np.float32)
    taps[:, :, : rows.size] = shift_weights(centres - whole).transpose(1, 2, 0)
    values = aligned_empty(count, packing.size * n_shifts)
    grid = (table.place, table.left, table.top, table.x_weights.ravel(), table.y_weights.ravel())
    sampling.fill_bank(
        images, np.ascontiguousarray(rows), (corners, taps, table.window), grid,
        (geometry.lengths, geometry.starts, packing.ring_blocks, geometry.weights,
         packing.matrices),
        (*packing.blocks, packing.first_rings), normalise, values,
    )  # fmt: skip
    return RingBank(values[: rows.size], packing, n_shifts)


def shift_weights(fraction: NDArray[np.float64]) -> NDArray[np.float32]:
    """Weights of the 8 pixels around a place, a fraction (...) past the fourth, (..., 8).

    Lanczos' windowed sinc of four lobes, made to add up to 1.
    """
    distance = np.arange(_TAPS) - (_TAPS // 2 - 1) - fraction[..., None]
    weights = np.sinc(distance) * np.sinc(distance / (_TAPS // 2))
    normalised: NDArray[np.float32] = (weights / weights.sum(axis=-1, keepdims=True)).astype(
        np.float32
    )
    return normalised


def references_from_bank(bank: RingBank) -> References:
    """Weigh coefficients (at one translation) by ring area: k references for every image."""
    values = aligned_zeros(1, *bank.values.shape)
    np.multiply(bank.values, bank.packing.weights, out=values[0])
    return References(values, bank.packing)


def own_references(
    references: References, numbers: NDArray[np.int64]
) -> tuple[References, NDArray[np.int64]]:
    """Give each image a few of the references of one kind: what `find_peaks` takes, and owners.

    numbers int64 (b, k): which ones. Returns the references, of some kinds, and each image's kind.
    """
    # one kind of images a reference, or, where each image has several, one an image
    values = references.values[0]
    if numbers.shape[1] == 1:
        own, kinds = values[:, None], numbers[:, 0]
    else:
        own, kinds = values[numbers], np.arange(len(numbers))
    return References(np.ascontiguousarray(own), references.packing), kinds


def find_largest(
    bank: RingBank, references: References, angles: AngleGrid, coarse: AngleGrid | None
) -> NDArray[np.float32]:
    """Best correlation of every image with every reference, float32 (b, k).

    All translations are tried with the low orders and wide angles of `coarse`; those that come near
    the best of their pair, with all of `angles`. None tries all with all.
    """
    values = references.values[0]
    out = np.empty((len(bank.values), len(values)), np.float32)
    grids = angles.table, coarse.table if coarse else _NO_GRID
    margins = _margins(bank, references, angles, coarse)[0]
    reached = np.full(len(bank.values), -np.inf, np.float32)
    for first in range(0, len(values), _REFERENCES_A_BLOCK):
        some = slice(first, first + _REFERENCES_A_BLOCK)
        found = np.empty((len(bank.values), len(values[some])), np.float32)
        correlation.find_largest(
            bank.values, values[some], bank.packing.blocks, bank.n_shifts, grids, margins[some],
            reached, found,
        )  # fmt: skip
        out[:, some] = found
    return out


def find_peaks(
    bank: RingBank,
    owners: NDArray[np.int64],
    references: References,
    angles: tuple[AngleGrid, AngleGrid | None],
    table: SamplingTable,
    refine: bool = True,
) -> Peaks:
    """Best correlation of every image with its owner's references, and its pose.

    Parameters
    ----------
    owners : int64 (b,)
        Which of the j kinds of references each image is compared with.
    angles : tuple of AngleGrid
        All angles, and the coarse ones of `find_largest`, or None to try all with all.
    refine : bool
        Go between the grids' angles.
    """
    fine, coarse = angles
    shape = len(bank.values), references.values.shape[1]
    peaks = Peaks(
        np.empty(shape, np.float32), np.empty(shape, np.int64), np.empty((*shape, 2)),
        np.empty(shape), np.empty(shape, np.int8),
    )  # fmt: skip
    correlation.find_peaks(
        bank.values, np.ascontiguousarray(owners), references.values, bank.packing.blocks,
        (table.shifts, table.neighbours), (fine.table, coarse.table if coarse else _NO_GRID),
        _margins(bank, references, fine, coarse),
        (fine.padded_angles, fine.step if refine else 0.0),
        (peaks.value, peaks.shift, peaks.move, peaks.angle, peaks.mirror),
    )  # fmt: skip
    return peaks


def _margins(
    bank: RingBank, references: References, fine: AngleGrid, coarse: AngleGrid | None
) -> NDArray[np.float32]:
    """How far below the best a coarse correlation may lie and still be the best, float32 (j, k).

    So many standard deviations of what the orders beyond the coarse ones add to the correlation.
    """
    margins = np.zeros(references.values.shape[:2], np.float32)
    if coarse is None:
        return margins
    packing = bank.packing
    some = packing.end_of_orders(coarse.n_orders), packing.end_of_orders(fine.n_orders)
    averaging.deviation_of_rest(references.values, bank.power_of_parts, some, margins)
    return margins * np.float32(_MARGIN)


def averages_of_others(
    bank: RingBank,
    owners: NDArray[np.int64],
    counts: NDArray[np.int64],
    own_weight: float,
    n_orders: int,
    peaks: Peaks,
    along_radius: RadialFilter,
) -> References:
    """For the images of each part of each group, the filtered average of the group in its poses.

    Parameters
    ----------
    owners : int64 (b,)
        Part of each image, among all parts of all groups; the images come group after group.
    counts : int64 (g, j)
        Images in each of the j parts of each group.
    own_weight : float
        Weight of a part in the average that is made for it; one that is all of its group has 1.
    n_orders : int
        Angular orders of the averages.
    peaks : Peaks
        k poses of each image.
    along_radius : RadialFilter
        From `make_filter`, with as many orders.

    Returns
    -------
    References
        k of each of g * j kinds.
    """
    out = aligned_empty(counts.size, peaks.angle.shape[1], bank.packing.size)
    averaging.average_others(
        bank.values, owners, counts, bank.packing.blocks, bank.n_shifts, n_orders,
        (peaks.shift, peaks.angle, peaks.mirror), own_weight, along_radius.matrices, out,
    )  # fmt: skip
    return References(out, bank.packing)


def make_filter(geometry: RingGeometry, matrices: list[NDArray[np.float32]]) -> RadialFilter:
    """Matrices along the radius of the first angular orders (r, r), for the averages."""
    packing = packing_of(geometry)
    return RadialFilter(packing, packing.filter_matrices(matrices))
