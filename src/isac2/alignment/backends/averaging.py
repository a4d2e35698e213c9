"""Compiled loops of averages on rings: sums of turned images, and what filters and moves them.

Arrays are laid out as `packing` says.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from isac2.alignment.backends.correlation import aligned_scratch, place_of_order
from isac2.lanes import LANES, fma, load, store, zero

__all__ = ["add_rotated", "filter_averages", "mean_of_others", "take_out_drift"]

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
def add_rotated(
    bank: Any, owners: Any, packing: Any, n_shifts: Any, orders: Any, poses: Any, sums: Any
) -> None:
    """Add every image in its poses to its owner's sums.

    bank (b, v * n_shifts), owners int64 (b,), packing (starts, rings), orders how many angular ones
    to add; poses: shift int64, angle float64, mirror int8, (b, k); sums float32 (j, k, v).
    """
    starts, rings = packing
    shift, angle, mirror = poses
    blocks = -(-orders // LANES)
    width = blocks * LANES
    tables = aligned_scratch(4 * width)
    for image in range(bank.shape[0]):
        pixels = bank[image]
        for k in range(shift.shape[1]):
            total = sums[owners[image], k]
            _fill_rotation(angle[image, k], mirror[image, k] == 1, width, tables)
            for block in range(blocks):
                m, to = block * LANES, starts[block] * _PAIR
                place = to * n_shifts + shift[image, k] * rings[block] * _PAIR
                a, b = load(tables, m), load(tables, width + m)
                c, d = load(tables, 2 * width + m), load(tables, 3 * width + m)
                for step in range(0, rings[block] * _PAIR, _PAIR):
                    real, imag = load(pixels, place + step), load(pixels, place + step + LANES)
                    at = to + step
                    store(total, at, fma(imag, b, fma(real, a, load(total, at))))
                    at += LANES
                    store(total, at, fma(imag, d, fma(real, c, load(total, at))))


@numba.njit(nogil=True, cache=True)
def filter_averages(averages: Any, packing: Any, matrices: Any, out: Any) -> None:
    """Multiply averages along the radius by a matrix an angular order.

    averages, out float32 (n, v); packing (starts, rings); matrices flat: block by block, row by
    row, column by column, the entries of sixteen orders.
    """
    starts, rings = packing
    for number in range(averages.shape[0]):
        source, target = averages[number], out[number]
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
def mean_of_others(sums: Any, counts: Any, taken: Any, out: Any) -> None:
    """For each part of the images, the average of all, its own part with less weight.

    sums float32 (j, k, v) of each part, counts int64 (j,) images in it, taken float64 (j,) the
    weight that its own images lose, out float32 (j, k, v). In double precision.
    """
    total = np.empty(sums.shape[2])
    for k in range(sums.shape[1]):
        total[:] = 0.0
        for part in range(sums.shape[0]):
            for n in range(total.size):
                total[n] += sums[part, k, n]
        for part in range(sums.shape[0]):
            weight = counts.sum() - taken[part] * counts[part]
            for n in range(total.size):
                out[part, k, n] = np.float32((total[n] - taken[part] * sums[part, k, n]) / weight)


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
