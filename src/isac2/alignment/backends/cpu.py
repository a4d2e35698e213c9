"""The CPU backend: single-threaded BLAS for the products, compiled loops for the rest.

Callers run blocks on threads; everything here releases the interpreter lock for its long parts and
holds no state, and the shape of a block alone decides its bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.backends import kernels
from isac2.alignment.rings import RingGeometry, SamplingTable

_TAPS = 8
_VECTOR = 16
_COARSE_MARGIN = 3.5  # standard deviations of what the coarse correlation leaves out
_TILE = 64  # images that are sampled together: their windows fit the cache

__all__ = [
    "AngleGrid",
    "Peaks",
    "RingBank",
    "Scratch",
    "add_rotated",
    "correlate",
    "find_peaks",
    "references_from_bank",
    "ring_bank",
]


@dataclass(frozen=True)
class RingBank:
    """Packed angular coefficients of a block of images at every translation.

    Attributes
    ----------
    real, imag : float32 (c, s, b)
        Coefficient c of image b moved to translation s; zero mean and unit variance over the rings.
    """

    real: NDArray[np.float32]
    imag: NDArray[np.float32]


@dataclass(frozen=True)
class Peaks:
    """Best correlation of each (reference, image) and where it lies.

    Attributes
    ----------
    value : float32 (k, b)
    shift : int64 (k, b)
        Index of the translation.
    move : float64 (k, b, 2)
        Translation of the peak, x and y, px: refined between the grid's.
    angle : float64 (k, b)
        In-plane angle, radians, refined below the angular sample.
    mirror : int8 (k, b)
    """

    value: NDArray[np.float32]
    shift: NDArray[np.int64]
    move: NDArray[np.float64]
    angle: NDArray[np.float64]
    mirror: NDArray[np.int8]


@dataclass(frozen=True)
class AngleGrid:
    """Cosines and sines over a quarter of the angles for a number of angular orders.

    Attributes
    ----------
    step : float
        Spacing of the angles, radians; pi / 2 divided by it should be a whole number.
    n_orders : int
    """

    step: float
    n_orders: int

    @cached_property
    def angles(self) -> NDArray[np.float64]:
        """Angles of the first quarter, both ends included, radians, float64 (a,)."""
        count = int(np.floor(np.pi / 2 / self.step + 1e-9)) + 1
        return np.arange(count, dtype=np.float64) * self.step

    @cached_property
    def tables(self) -> tuple[NDArray[np.float32], ...]:
        """Even cosines, odd cosines, even sines, odd sines, float32 (a, orders / 2).

        Orders above 0 count twice, once for their negative partner.
        """
        order = np.arange(self.n_orders)
        phase = self.angles[:, None] * order
        twice = np.where(order == 0, 1.0, 2.0)
        cosine, sine = (f(phase) * twice for f in (np.cos, np.sin))
        parts = (cosine[:, ::2], cosine[:, 1::2], sine[:, ::2], sine[:, 1::2])
        return tuple(np.ascontiguousarray(p, dtype=np.float32) for p in parts)


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
    samples = _ring_samples(images, rows, centres, table)
    n_samples, n_shifts, n_lanes = samples.shape  # n_lanes: rows.size made up to whole vectors
    lanes = n_shifts * n_lanes
    flat = samples.reshape(n_samples, lanes)
    mean, deviation = np.zeros(lanes), np.ones(lanes)
    if normalise:
        kernels.moments(flat, geometry.starts, geometry.weights, mean, deviation)
    scale = np.divide(1.0, deviation, out=np.zeros(lanes), where=deviation > 0)
    real, imag = _transform(flat, scale.astype(np.float32), geometry)
    real[: len(geometry.lengths)] -= (mean * scale).astype(np.float32)
    shape = (geometry.n_coefficients, n_shifts, n_lanes)
    first = (slice(None), slice(None), slice(0, rows.size))
    return RingBank(
        np.ascontiguousarray(real.reshape(shape)[first]),
        np.ascontiguousarray(imag.reshape(shape)[first]),
    )


def _ring_samples(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    centres: NDArray[np.float64],
    table: SamplingTable,
) -> NDArray[np.float32]:
    """Samples on all rings at all translations, float32 (p, s, b made up to whole vectors)."""
    count = -(-rows.size // _VECTOR) * _VECTOR
    # lanes beyond the last image repeat it
    lane = np.minimum(np.arange(count), rows.size - 1)
    whole = np.floor(centres)
    corners = whole.astype(np.int64) - table.window // 2 - (_TAPS // 2 - 1)
    weights = _shift_weights(centres - whole)  # (b, 2, 8)
    samples = np.empty((table.left.shape[1], len(table.shifts), count), np.float32)
    for first in range(0, count, _TILE):
        some = lane[first : first + _TILE]
        pixels = _centred_windows(images, rows[some], corners[some], weights[some], table.window)
        grid = (table.place, table.left, table.top, table.x_weights, table.y_weights)
        kernels.sample_windows(pixels, table.window, grid, np.empty_like(pixels), samples, first)
    return samples


def _centred_windows(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    corners: NDArray[np.int64],
    weights: NDArray[np.float32],
    window: int,
) -> NDArray[np.float32]:
    """Windows whose middle pixel is each image's centre, float32 (window * window, b)."""
    wide = window + _TAPS - 1
    pixels = np.empty((wide**2, rows.size), np.float32)
    kernels.crop_windows(images, rows, corners, wide, pixels)
    moves = np.ascontiguousarray(weights.transpose(1, 2, 0))
    between = np.empty((wide * window, rows.size), np.float32)
    centred = np.empty((window**2, rows.size), np.float32)
    kernels.shift_windows(pixels, window, moves, between, centred)
    return centred


def _transform(
    samples: NDArray[np.float32], scale: NDArray[np.float32], geometry: RingGeometry
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Packed real and imaginary coefficients (c, l) of samples (p, l) times scale (l,)."""
    lanes = samples.shape[1]
    real = np.empty((geometry.n_coefficients, lanes), np.float32)
    imag = np.empty_like(real)
    half = int(geometry.lengths.max()) // 2
    folded = np.empty((2, half, lanes), np.float32)
    spectrum = np.empty((int(geometry.orders.max()) + 1, lanes), np.float32)
    for ring, length in enumerate(geometry.lengths):
        some = samples[geometry.starts[ring] : geometry.starts[ring + 1]]
        parts = folded[:, : length // 2]
        kernels.fold_ring(some, scale, parts[0], parts[1])
        for parity, matrix in enumerate(geometry.transforms[ring]):
            orders = np.arange(parity, geometry.orders[ring], 2)
            where = geometry.order_starts[orders] + ring - geometry.first_ring[orders]
            transformed = spectrum[: len(matrix)]
            np.matmul(matrix, parts[parity], out=transformed)
            kernels.pack_orders(transformed, where, real, imag)
    return real, imag


def _shift_weights(fraction: NDArray[np.float64]) -> NDArray[np.float32]:
    """Weights of the 8 pixels around a place, a fraction (...) past the fourth, (..., 8).

    Lanczos' windowed sinc of four lobes, made to add up to 1.
    """
    distance = np.arange(_TAPS) - (_TAPS // 2 - 1) - fraction[..., None]
    weights = np.sinc(distance) * np.sinc(distance / (_TAPS // 2))
    normalised: NDArray[np.float32] = (weights / weights.sum(axis=-1, keepdims=True)).astype(
        np.float32
    )
    return normalised


def references_from_bank(bank: RingBank, geometry: RingGeometry) -> NDArray[np.float32]:
    """Weigh reference coefficients by ring area, float32 (2, c, k): real and imaginary parts."""
    weights = geometry.weights[geometry.coefficient_ring].astype(np.float32)[:, None]
    return np.stack([bank.real[:, 0, :] * weights, bank.imag[:, 0, :] * weights])


class Scratch:
    """Memory that is used again and again: fresh pages would cost more than the sums in them."""

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.float32]] = {}

    def array(self, name: str, *shape: int) -> NDArray[np.float32]:
        """An array with arbitrary content; it is the same memory for each use of a name."""
        size = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < size:
            buffer = np.empty(size, np.float32)
            self._buffers[name] = buffer
        return buffer[:size].reshape(shape)


def _products(
    bank: RingBank,
    references: NDArray[np.float32],
    geometry: RingGeometry,
    n_orders: int,
    scratch: Scratch,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sums over rings of real and imaginary parts, each float32 (m, 2 k, l), even orders first.

    The first array has image real parts, the second imaginary; of the 2 k rows the first k are with
    the reference's real part, the others with its imaginary part.
    """
    n_coefficients, n_shifts, n_images = bank.real.shape
    lanes = n_shifts * n_images
    count = references.shape[2]
    weights = np.concatenate([references[0], references[1]], axis=1)  # (c, 2 k)
    real = bank.real.reshape(n_coefficients, lanes)
    imag = bank.imag.reshape(n_coefficients, lanes)
    sums = scratch.array("products", 2, n_orders, 2 * count, lanes)
    n_even = (n_orders + 1) // 2
    for order in range(n_orders):
        first, last = geometry.order_starts[order], geometry.order_starts[order + 1]
        row = order // 2 if order % 2 == 0 else n_even + order // 2
        left = weights[first:last].T
        np.matmul(left, real[first:last], out=sums[0, row])
        np.matmul(left, imag[first:last], out=sums[1, row])
    return sums[0], sums[1]


def correlate(
    bank: RingBank,
    references: NDArray[np.float32],
    geometry: RingGeometry,
    angles: AngleGrid,
    coarse: AngleGrid | None,
    scratch: Scratch,
) -> NDArray[np.float32]:
    """Best correlation of every image with every reference, float32 (k, b).

    All translations are tried with the low orders and wide angles of `coarse`; those that come near
    the best of their pair, with all of `angles`. None tries all with all.
    """
    _, n_shifts, n_images = bank.real.shape
    count = references.shape[2]
    lanes = count * n_shifts * n_images
    with_real, with_imag = _products(bank, references, geometry, angles.n_orders, scratch)
    shape = (angles.n_orders, 2, lanes)
    products = (with_real.reshape(shape), with_imag.reshape(shape))
    if coarse is None:
        both = _largest(products, angles, angles.n_orders, None, scratch)
        largest = both.max(axis=0).reshape(count, n_shifts, n_images)
        best: NDArray[np.float32] = largest.max(axis=1)
        return best
    rough = _largest(products, coarse, angles.n_orders, None, scratch).max(axis=0)
    chosen, owners = np.empty(lanes, np.int64), np.empty(lanes, np.int64)
    margin = _COARSE_MARGIN * _deviation_of_rest(bank, references, geometry, coarse.n_orders)
    found = kernels.choose_lanes(rough.reshape(count, n_shifts, n_images), margin, chosen, owners)
    fine = _largest(products, angles, angles.n_orders, chosen[:found], scratch)
    flat = np.empty(count * n_images, np.float32)
    kernels.largest_by_owner(fine, owners[:found], flat)
    return flat.reshape(count, n_images)


def _deviation_of_rest(
    bank: RingBank, references: NDArray[np.float32], geometry: RingGeometry, n_orders: int
) -> NDArray[np.float32]:
    """Standard deviation that all but the first orders give to the correlation, float32 (k,)."""
    rest = slice(geometry.order_starts[n_orders], None)
    power = np.square(bank.real[rest, 0]).mean(axis=1) + np.square(bank.imag[rest, 0]).mean(axis=1)
    energy = np.square(references[0, rest]) + np.square(references[1, rest])
    # each order above 0 counts twice in the correlation, and half of its power is in phase
    deviation: NDArray[np.float32] = np.sqrt(2 * power @ energy)
    return deviation


def _largest(
    products: tuple[NDArray[np.float32], ...],
    angles: AngleGrid,
    n_orders: int,
    chosen: NDArray[np.int64] | None,
    scratch: Scratch,
    where: NDArray[np.int32] | None = None,
) -> NDArray[np.float32]:
    """Largest correlation over angles, direct and mirrored, of all or of chosen lanes (2, l).

    products: two float32 (m, 2, l), of `n_orders` orders, even ones first; where int32 (2, l) gets
    the angle of the quarter.
    """
    even, odd = (angles.n_orders + 1) // 2, angles.n_orders // 2
    rows = np.concatenate([np.arange(even), (n_orders + 1) // 2 + np.arange(odd)])
    sign = np.repeat(np.array([1.0, -1.0], np.float32), [even, odd])
    lanes = products[0].shape[2] if chosen is None else len(chosen)
    x = scratch.array("x", angles.n_orders, 2, lanes)
    y = scratch.array("y", angles.n_orders, 2, lanes)
    if chosen is None:
        kernels.add_products(products, rows, sign, x, y)
    else:
        kernels.gather_products(products, rows, sign, chosen, x, y)
    x, y = x.reshape(-1, 2 * lanes), y.reshape(-1, 2 * lanes)
    sums = scratch.array("sums", 4, len(angles.angles), 2 * lanes)
    parts = (x[:even], x[even:], y[:even], y[even:])
    for table, part, out in zip(angles.tables, parts, sums, strict=True):
        np.matmul(table, part, out=out)
    largest = scratch.array("largest", 2 * lanes)
    if where is None:
        kernels.largest_over_angles(sums[0], sums[1], sums[2], sums[3], largest)
    else:
        kernels.best_over_angles(sums[0], sums[1], sums[2], sums[3], largest, where.reshape(-1))
    return largest.reshape(2, lanes)


def find_peaks(
    bank: RingBank, references: NDArray[np.float32], geometry: RingGeometry,
    angles: tuple[AngleGrid, AngleGrid | None], table: SamplingTable, refine: bool = True,
    scratch: Scratch | None = None,
) -> Peaks:  # fmt: skip
    """Best correlation of every image with every reference, and its pose.

    Parameters
    ----------
    angles : tuple of AngleGrid
        All angles, and the coarse ones of `correlate`, or None to try all with all.
    refine : bool
        Go between the grids' angles and translations.
    """
    scratch = scratch or Scratch()
    fine, coarse = angles
    _, n_shifts, n_images = bank.real.shape
    count = references.shape[2]
    with_real, with_imag = _products(bank, references, geometry, fine.n_orders, scratch)
    products = tuple(p.reshape(fine.n_orders, 2, -1) for p in (with_real, with_imag))
    lanes = count * n_shifts * n_images
    chosen = np.arange(lanes)
    owners = chosen // (n_shifts * n_images) * n_images + chosen % n_images
    rough = None
    if coarse is not None:
        rough = _largest(products, coarse, fine.n_orders, None, scratch).max(axis=0)
        rough = rough.reshape(count, n_shifts, n_images)
        margin = _COARSE_MARGIN * _deviation_of_rest(bank, references, geometry, coarse.n_orders)
        chosen, owners = np.empty_like(chosen), np.empty_like(owners)
        found = kernels.choose_lanes(rough, margin, chosen, owners)
        chosen, owners = chosen[:found], owners[:found]
    where = np.empty((2, len(chosen)), np.int32)
    values = _largest(products, fine, fine.n_orders, chosen, scratch, where)
    pairs = count * n_images
    best, lane, place = np.empty(pairs, np.float32), np.zeros(pairs, int), np.zeros(pairs, np.int32)
    kernels.best_by_owner(values, where, chosen, owners, best, lane, place)
    lane = lane.reshape(count, n_images) % (n_shifts * n_images)
    value = np.empty((count, n_images), np.float32)
    angle, mirror = np.empty(value.shape), np.empty(value.shape, np.int8)
    kernels.locate_peaks(
        (with_real, with_imag), lane, place.reshape(value.shape), fine.angles, refine,
        value, angle, mirror,
    )  # fmt: skip
    shift = lane // n_images
    heights = values.max(axis=0).reshape(count, n_shifts, n_images) if rough is None else rough
    return Peaks(value, shift, _refined_moves(heights, shift, table), angle, mirror)


def _refined_moves(
    value: NDArray[np.float32], shift: NDArray[np.int64], table: SamplingTable
) -> NDArray[np.float64]:
    """Vertex of the parabola through a peak and its neighbours, along x and y, px (k, b, 2).

    value float32 (k, s, b). At the rim of the grid the peak is taken where it is.
    """
    move = table.shifts[shift]
    peak = np.take_along_axis(value, shift[:, None], axis=1)[:, 0].astype(np.float64)
    for axis in (0, 1):
        before, after = table.neighbours[shift, 2 * axis], table.neighbours[shift, 2 * axis + 1]
        low = np.take_along_axis(value, np.maximum(before, 0)[:, None], axis=1)[:, 0]
        high = np.take_along_axis(value, np.maximum(after, 0)[:, None], axis=1)[:, 0]
        bend = low - 2 * peak + high
        inside = (before >= 0) & (after >= 0) & (bend < 0)
        share = np.divide(0.5 * (low - high), bend, out=np.zeros_like(peak), where=inside)
        step = np.abs(table.shifts[np.maximum(after, 0), axis] - table.shifts[shift, axis])
        move[..., axis] += np.clip(share, -0.5, 0.5) * step
    return move


def add_rotated(
    bank: RingBank, geometry: RingGeometry, n_orders: int, peaks: Peaks,
    sums: NDArray[np.float64],
) -> None:  # fmt: skip
    """Add every image in its pose, one sum a reference, to coefficient sums.

    Parameters
    ----------
    bank, geometry
        The images' coefficients.
    n_orders : int
        Angular orders to add.
    peaks : Peaks
        Pose of each image, one row a sum.
    sums : float64 (2, c, k)
        Real and imaginary parts; changed in place.
    """
    n_coefficients, _, n_images = bank.real.shape
    real = bank.real.reshape(n_coefficients, -1)
    imag = bank.imag.reshape(n_coefficients, -1)
    count = sums.shape[2]
    tables = np.empty((2, n_orders, count * n_images), np.float32)
    kernels.rotation_tables(peaks.angle.reshape(-1), tables[0], tables[1])
    lanes = peaks.shift * n_images + np.arange(n_images)
    mirrored = peaks.mirror == 1
    # Mostly zeros, but the product of full matrices is faster than picking single numbers.
    weights = np.zeros((2, real.shape[1], 2 * count), np.float32)
    for order in range(n_orders):
        some = slice(geometry.order_starts[order], geometry.order_starts[order + 1])
        kernels.fill_rotations(order, lanes, (tables[0], tables[1]), mirrored, weights)
        total = real[some] @ weights[0] + imag[some] @ weights[1]
        sums[0, some] += total[:, :count]
        sums[1, some] += total[:, count:]
