"""Compiled loops of averages on rings: sums of turned images, and what filters and moves them.

Arrays are laid out as `packing` says.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from isac2.alignment.backends.correlation import aligned_scratch, place_of_order
from isac2.lanes import LANES, fma, load, store, zero

__all__ = ["average_others", "deviation_of_rest", "mean_of_others", "take_out_drift"]

_PAIR = 2 * LANES


@numba.njit(nogil=True, cache=True)
def _fill_rotation(angle: Any, mirrored: Any, width: Any, tables: Any) -> None:
    """Fill (cosines, sines) to the real and (sines, cosines) to the imaginary part, flat (4 width).

    The mirror conjugates, and changes the sign of odd orders.
    """
    turn_x, turn_y = np.cos(angle), np.sin(angle)
    x, y = 1.0, 0.0
    for m in range(width):
        sign = -1.0 if mirrored and m % 2 == 1 else 1.0
        conjugate = -sign if mirrored else sign
        at = place_of_order(m)
        tables[at], tables[width + at] = sign * x, -sign * y
        tables[2 * width + at], tables[3 * width + at] = conjugate * y, conjugate * x
        x, y = x * turn_x - y * turn_y, y * turn_x + x * turn_y


@numba.njit(nogil=True, cache=True)
def _add_rotated(
    pixels: Any, n_shifts: Any, shift: Any, packing: Any, blocks: Any, tables: Any,
    sums: Any, first: Any,
) -> None:  # fmt: skip
    """Add an image's values at a translation, turned as the tables say, to sums from `first` on."""
    starts, rings = packing
    width = blocks * LANES
    for block in range(blocks):
        m, to = block * LANES, starts[block] * _PAIR
        place = to * n_shifts + shift * rings[block] * _PAIR
        a, b = load(tables, m), load(tables, width + m)
        c, d = load(tables, 2 * width + m), load(tables, 3 * width + m)
        for step in range(0, rings[block] * _PAIR, _PAIR):
            real, imag = load(pixels, place + step), load(pixels, place + step + LANES)
            at = first + to + step
            store(sums, at, fma(imag, b, fma(real, a, load(sums, at))))
            at += LANES
            store(sums, at, fma(imag, d, fma(real, c, load(sums, at))))


@numba.njit(nogil=True, cache=True)
def _filter_average(source: Any, packing: Any, matrices: Any, target: Any) -> None:
    """Multiply an average along the radius by a matrix an angular order; flat float32 (v,).

    packing (starts, rings); matrices flat: block by block, row by row, column by column, the
    entries of sixteen orders.
    """
    starts, rings = packing
    entry = 0
    for block in range(rings.size):
        first = starts[block] * _PAIR
        if entry >= matrices.size:
            break
        for row in range(rings[block]):
            real = imag = zero()
            for column in range(rings[block]):
                weight, at = load(matrices, entry), first + column * _PAIR
                real = fma(weight, load(source, at), real)
                imag = fma(weight, load(source, at + LANES), imag)
                entry += LANES
            store(target, first + row * _PAIR, real)
            store(target, first + row * _PAIR + LANES, imag)


@numba.njit(nogil=True, cache=True)
def mean_of_others(total: Any, own: Any, counts: Any, own_weight: Any, out: Any) -> None:
    """Average of all images for those of one part of them, which have less weight in it.

    total float64 (v,) sum of all images, own float32 (v,) of those of the part, counts: (images,
    images in the part), out float32 (v,). A part that is all has its full weight.
    """
    every, part = counts
    taken = 1.0 - own_weight if part < every else 0.0
    weight = every - taken * part
    for n in range(out.size):
        out[n] = np.float32((total[n] - taken * own[n]) / weight)


@numba.njit(nogil=True, cache=True)
def average_others(
    bank: Any, owners: Any, counts: Any, packing: Any, n_shifts: Any, orders: Any, poses: Any,
    own_weight: Any, matrices: Any, out: Any,
) -> None:  # fmt: skip
    """For the images of each part of each group, the filtered average of the group in its poses.

    bank (b, v * n_shifts), group after group; owners int64 (b,): the part of each image among all
    parts of all groups; counts int64 (g, j): images in each part of each group; packing (starts,
    rings); orders: how many angular ones; poses: shift int64, angle float64, mirror int8, (b, k);
    own_weight: of a part in its own average; matrices: see `_filter_average`; out float32
    (g * j, k, v), of which what is beyond the orders, and of parts without images, is not filled.
    """
    starts, rings = packing
    shift, angle, mirror = poses
    parts, blocks = counts.shape[1], -(-orders // LANES)
    size = (starts[blocks - 1] + rings[blocks - 1]) * _PAIR
    tables, average = aligned_scratch(4 * blocks * LANES), aligned_scratch(size)
    flat = aligned_scratch(parts * size)
    sums, total = flat.reshape(parts, size), np.empty(size)
    first = 0
    for group in range(counts.shape[0]):
        every = counts[group].sum()
        last = first + every
        for k in range(shift.shape[1]):
            flat[:] = 0.0
            for image in range(first, last):
                _fill_rotation(angle[image, k], mirror[image, k] == 1, blocks * LANES, tables)
                own = (owners[image] - group * parts) * size
                _add_rotated(
                    bank[image], n_shifts, shift[image, k], packing, blocks, tables, flat, own
                )
            total[:] = 0.0
            for part in range(parts):
                for n in range(size):
                    total[n] += sums[part, n]
            for part in range(parts):
                count = counts[group, part]
                if count > 0:
                    mean_of_others(total, sums[part], (every, count), own_weight, average)
                    _filter_average(average, packing, matrices, out[group * parts + part, k])
        first = last


@numba.njit(nogil=True, cache=True)
def deviation_of_rest(references: Any, power: Any, some: Any, out: Any) -> None:
    """Standard deviation that some of the values of references give to their correlations.

    references float32 (j, k, v), power float32 (v,) the images' mean squares, those of real and
    imaginary part added up in both; some: (first, end) of the values; out float32 (j, k).
    """
    one = aligned_scratch(LANES)
    for owner in range(references.shape[0]):
        for k in range(references.shape[1]):
            values, total = references[owner, k], zero()
            for at in range(some[0], some[1], LANES):
                value = load(values, at)
                total = fma(fma(value, value, zero()), load(power, at), total)
            store(one, 0, total)
            out[owner, k] = np.sqrt(2.0 * one.sum())


@numba.njit(nogil=True, cache=True)
def take_out_drift(move: Any, angle: Any, mirror: Any, shifts: Any, out: Any) -> None:
    """Find the translations nearest to poses less their mean translation in their average's frame.

    move float64 (m, k, 2), angle float64 and mirror int8 (m, k): k poses of each image; shifts
    float64 (s, 2) the translations that there are, out int64 (m, k).
    """
    count = move.shape[0]
    for k in range(move.shape[1]):
        drift_x = drift_y = 0.0
        for n in range(count):
            cosine, sine = np.cos(angle[n, k]), np.sin(angle[n, k])
            x = cosine * move[n, k, 0] + sine * move[n, k, 1]
            drift_x += -x if mirror[n, k] == 1 else x
            drift_y += cosine * move[n, k, 1] - sine * move[n, k, 0]
        for n in range(count):
            cosine, sine = np.cos(angle[n, k]), np.sin(angle[n, k])
            x = (-drift_x if mirror[n, k] == 1 else drift_x) / count
            y = drift_y / count
            left_x = move[n, k, 0] - (cosine * x - sine * y)
            left_y = move[n, k, 1] - (sine * x + cosine * y)
            least = np.inf
            for s in range(shifts.shape[0]):
                distance = (left_x - shifts[s, 0]) ** 2 + (left_y - shifts[s, 1]) ** 2
                if distance < least:
                    least, out[n, k] = distance, s
