"""Compiled loops over pixels; each works on what it is given and holds no state.

Interpolation is by cubic B-splines through the pixels (Unser, IEEE Signal Processing Magazine
16(6):22, 1999): smoother than cubic convolution and closer to the band-limited ideal, at the price
of one recursive pass over each image.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from isac2.lanes import (
    LANES,
    broadcast,
    fma,
    load,
    load_fours,
    multiply,
    repeat_fours,
    store,
    store_sums_of_fours,
    subtract,
    transpose,
    zero,
)

__all__ = ["add_moved_images", "centre_values", "move_images", "transfer_spectra"]

_POLE = np.sqrt(3.0) - 2.0
"""Pole of the cubic B-spline's inverse filter."""

_PIECES = (
    (1.0, 4.0, 1.0, 0.0),
    (-3.0, 0.0, 3.0, 0.0),
    (3.0, -6.0, 3.0, 0.0),
    (-1.0, 3.0, -3.0, 1.0),
)
"""Six times the factors of powers 0 to 3 of the fraction in the four weights of the spline."""

_HORIZON = 24
"""Terms after which powers of the pole are below single precision."""


@numba.njit(nogil=True, cache=True)
def _spline_room(ny: int, nx: int) -> Any:
    """Room for an image's coefficients and for sixteen of its lines, side by side."""
    lines, line = -(-ny // LANES) * LANES, -(-nx // LANES) * LANES
    return np.zeros((lines + 3, line + 3), np.float32), np.empty(line * LANES, np.float32)


@numba.njit(nogil=True, cache=True)
def _spline_coefficients(image: Any, work: Any, strip: Any) -> None:
    """Fill work with an image's B-spline coefficients; work and strip are from `_spline_room`.

    The image goes on mirrored about its edge pixels; pixel (y, x) is at work[y + 1, x + 1], the
    margin holds the mirrored coefficients that interpolation at the edge needs.
    """
    ny, nx = image.shape
    pole = np.float32(_POLE)
    gain = np.float32(36.0)  # 6 for each axis
    last = pole / (pole * pole - np.float32(1.0))
    # Down the columns: whole rows at a time.
    work[1] = np.float32(0.0)
    power = gain
    for k in range(min(_HORIZON, ny)):
        for x in range(nx):
            work[1, x + 1] += power * image[k, x]
        power *= pole
    for y in range(1, ny):
        for x in range(nx):
            work[y + 1, x + 1] = gain * image[y, x] + pole * work[y, x + 1]
    for x in range(nx):
        work[ny, x + 1] = last * (work[ny, x + 1] + pole * work[ny - 1, x + 1])
    for y in range(ny - 2, -1, -1):
        for x in range(nx):
            work[y + 1, x + 1] = pole * (work[y + 2, x + 1] - work[y + 1, x + 1])
    # Along the rows, sixteen at once: within one, each step waits for the one before.
    flat, width = work.ravel(), work.shape[1]
    for y in range(1, ny + 1, LANES):
        for x in range(0, nx, LANES):
            transpose(flat, y * width + x + 1, width, strip, x * LANES, LANES)
        _filter_lines(strip, nx, pole, last)
        for x in range(0, nx, LANES):
            transpose(strip, x * LANES, LANES, flat, y * width + x + 1, width)
    for y in range(1, ny + 1):
        work[y, 0] = work[y, 2]
        work[y, nx + 1] = work[y, nx - 1]
        work[y, nx + 2] = work[y, nx - 2]
    work[0] = work[2]
    work[ny + 1] = work[ny - 1]
    work[ny + 2] = work[ny - 2]


@numba.njit(nogil=True, cache=True)
def _filter_lines(strip: Any, nx: int, pole: Any, last: Any) -> None:
    """Filter sixteen lines of nx pixels, as `_spline_coefficients` does columns; in place."""
    factors = np.array([pole, last * pole, last])
    step, end = broadcast(factors, 0), (nx - 1) * LANES
    value = zero()
    for k in range(min(_HORIZON, nx) - 1, -1, -1):
        value = fma(step, value, load(strip, k * LANES))
    store(strip, 0, value)
    for at in range(LANES, end + 1, LANES):
        value = fma(step, value, load(strip, at))
        store(strip, at, value)
    before = load(strip, max(end - LANES, 0))
    value = fma(broadcast(factors, 1), before, multiply(broadcast(factors, 2), value))
    store(strip, end, value)
    for at in range(end - LANES, -1, -LANES):
        value = multiply(step, subtract(value, load(strip, at)))
        store(strip, at, value)


@numba.njit(nogil=True, cache=True)
def _find_places(start: Any, step: Any, width: int, count: int, room: Any, first: Any) -> None:
    """Split places along a line into pixels and what is beyond them.

    start and step (x, y), room float32 (2, >= count made up to fours) for the fractions of x and y,
    first int64 (>= count made up to fours) for the place of the pixel in flat rows of `width`.
    """
    for k in range(-(-count // 4) * 4):
        n = np.float32(min(k, count - 1))
        x = np.float32(start[0]) + n * np.float32(step[0])
        y = np.float32(start[1]) + n * np.float32(step[1])
        column, row = np.int32(x), np.int32(y)
        room[0, k], room[1, k] = x - np.float32(column), y - np.float32(row)
        first[k] = row * width + column


@numba.njit(nogil=True, cache=True)
def _add_spline(
    coefficients: Any, width: int, first: Any, room: Any, tables: Any, out: Any
) -> None:
    """Add the spline's values at places from `_find_places` to out (n,).

    coefficients float32 (height * width,), flat; tables: from `_spline_tables`. Four places at a
    time: the 4 x 4 coefficients that each needs are four times four lanes.
    """
    x_fraction, y_fraction, values = room[0], room[1], room[2]
    c0, c1, c2, c3 = load(tables, 0), load(tables, 16), load(tables, 32), load(tables, 48)
    sixth, half = load(tables, 64), load(tables, 80)
    for k in range(0, out.size, 4):
        x, y = repeat_fours(x_fraction, k), repeat_fours(y_fraction, k)
        along = fma(x, fma(x, fma(x, c3, c2), c1), c0)
        square = multiply(y, y)
        last = multiply(sixth, multiply(square, y))
        # the four weights down the columns, from the last to the first, as their cubes make them
        w1 = fma(square, fma(half, y, load(tables, 96)), load(tables, 112))
        rest = subtract(load(tables, 128), y)
        w0 = multiply(sixth, multiply(multiply(rest, rest), rest))
        w2 = subtract(subtract(subtract(load(tables, 128), w0), w1), last)
        i, j, m, n = first[k], first[k + 1], first[k + 2], first[k + 3]
        down = multiply(w0, load_fours(coefficients, i, j, m, n))
        i, j, m, n = i + width, j + width, m + width, n + width
        down = fma(w1, load_fours(coefficients, i, j, m, n), down)
        i, j, m, n = i + width, j + width, m + width, n + width
        down = fma(w2, load_fours(coefficients, i, j, m, n), down)
        i, j, m, n = i + width, j + width, m + width, n + width
        down = fma(last, load_fours(coefficients, i, j, m, n), down)
        store_sums_of_fours(values, k, multiply(along, down))
    for k in range(out.size):
        out[k] += values[k]


@numba.njit(nogil=True, cache=True)
def _spline_tables() -> Any:
    """Numbers of the cubic B-spline's four pieces, sixteen lanes each, for `_add_spline`.

    The powers 0 to 3 of the fraction in each of the four weights, four times over; then 1/6, 1/2,
    -1, 2/3 and 1.
    """
    tables = np.empty(9 * 16, np.float32)
    for lane in range(16):
        piece = lane % 4
        for power in range(4):
            tables[16 * power + lane] = _PIECES[power][piece] / 6.0
        for n in range(5):
            tables[64 + 16 * n + lane] = (1.0 / 6.0, 0.5, -1.0, 2.0 / 3.0, 1.0)[n]
    return tables


@numba.njit(nogil=True, cache=True)
def _is_inside(image: Any, x: float, y: float) -> bool:
    """Tell whether a place lies within the edge pixels."""
    return x >= 0.0 and x <= image.shape[1] - 1.0 and y >= 0.0 and y <= image.shape[0] - 1.0


@numba.njit(nogil=True, cache=True)
def _move_image(
    image: Any, work: Any, pose: Any, tables: Any, places: Any, room: Any, out: Any
) -> None:
    """Add one moved image to out; pose is (cos, sin, tx, ty, sign of x).

    The pixel at v' comes from v = R^-1 (M v' - t). A place outside the image gives the pixel that
    stands at v' before the move: background of the right level. tables from `_spline_tables`;
    places int64 (>= nx + 3,) and room float32 (3, >= nx + 3) are scratch.
    """
    ny, nx = image.shape
    cy, cx = ny // 2, nx // 2
    cosine, sine, tx, ty, sign = pose[0], pose[1], pose[2], pose[3], pose[4]
    dx, dy = sign * cosine, sign * sine
    for j in range(ny):
        y = (j - cy) - ty
        x = -sign * cx - tx
        u, v = cosine * x - sine * y + cx, sine * x + cosine * y + cy
        # the places inside are one stretch of the line
        first, last = 0, nx
        while first < last and not _is_inside(image, u + first * dx, v + first * dy):
            first += 1
        while last > first and not _is_inside(image, u + (last - 1) * dx, v + (last - 1) * dy):
            last -= 1
        for i in range(first):
            out[j, i] += image[j, i]
        for i in range(last, nx):
            out[j, i] += image[j, i]
        start = (u + first * dx, v + first * dy)
        if first < last:
            _find_places(start, (dx, dy), work.shape[1], last - first, room, places)
            line = out[j, first:last]
            _add_spline(work.ravel(), work.shape[1], places, room, tables, line)


@numba.njit(nogil=True, cache=True)
def move_images(images: Any, poses: Any, out: Any) -> None:
    """Move images (n, ny, nx) by poses float64 (n, 5) into out float32 (n, ny, nx)."""
    ny, nx = images.shape[1:]
    (work, strip), tables = _spline_room(ny, nx), _spline_tables()
    places, room = np.empty(nx + 3, np.int64), np.empty((3, nx + 3), np.float32)
    for k in range(images.shape[0]):
        _spline_coefficients(images[k], work, strip)
        out[k] = 0.0
        _move_image(images[k], work, poses[k], tables, places, room, out[k])


@numba.njit(nogil=True, cache=True)
def add_moved_images(images: Any, poses: Any, groups: Any, sums: Any) -> None:
    """Add each moved image to its group's sum, in index order.

    images (n, ny, nx), poses float64 (n, 5), groups int64 (n,) (negative: left out), sums float64
    (groups, ny, nx).
    """
    ny, nx = images.shape[1:]
    (work, strip), tables = _spline_room(ny, nx), _spline_tables()
    places, room = np.empty(nx + 3, np.int64), np.empty((3, nx + 3), np.float32)
    for k in range(images.shape[0]):
        if groups[k] >= 0:
            _spline_coefficients(images[k], work, strip)
            _move_image(images[k], work, poses[k], tables, places, room, sums[groups[k]])


@numba.njit(nogil=True, cache=True)
def transfer_spectra(
    products: Any, frequency: Any, terms: Any, shifts: Any, response: Any, out: Any
) -> None:
    """Phase-flip, shift and filter spectra that are held as cosine and sine products.

    With K frequencies (0 to the band limit, 1/pixel) products, float32 (b, 2 K, 2 K), holds of each
    image the cosine and sine transforms down the columns (rows 0 to K - 1 and K to 2 K - 1) of the
    real and imaginary parts of the transforms along the rows (columns likewise): the coefficients
    at +v and -v are sums and differences of the four. terms float64 (b, 5) are those of
    `isac2.images.ctf.ctf_phase_terms`, shifts float64 (b, 2) x and y, response float32 (K, K).

    out, float32 (b, 2 K, 2 K), becomes F(+v) + F(-v) above i (F(+v) - F(-v)), real parts beside
    imaginary ones: what the inverse cosine and sine transforms take.
    """
    n = frequency.size
    column_real = np.empty(n, np.float32)
    column_imag = np.empty(n, np.float32)
    for b in range(products.shape[0]):
        g, h = products[b], out[b]
        c0, c1, c2, c3, c4 = terms[b, 0], terms[b, 1], terms[b, 2], terms[b, 3], terms[b, 4]
        for i in range(n):
            angle = -2.0 * np.pi * frequency[i] * shifts[b, 0]
            column_real[i] = np.cos(angle)
            column_imag[i] = np.sin(angle)
        for j in range(n):
            v = frequency[j]
            angle = -2.0 * np.pi * v * shifts[b, 1]
            row_real, row_imag = np.float32(np.cos(angle)), np.float32(np.sin(angle))
            for i in range(n):
                u = frequency[i]
                square = u * u + v * v
                even = c0 + (c1 + c4 * square) * square + c2 * (u * u - v * v)
                odd = c3 * (2.0 * u * v)
                # The CTF is sin(pi p): negative where the whole part of p is odd.
                plus, minus = 0.5 * (even + odd), 0.5 * (even - odd)
                weight = response[j, i]
                plus_weight = weight if plus - np.floor(plus) < 0.5 else -weight
                minus_weight = weight if minus - np.floor(minus) < 0.5 else -weight
                cos_real, cos_imag = g[j, i], g[j, n + i]
                sin_real, sin_imag = g[n + j, i], g[n + j, n + i]
                plus_real = (cos_real + sin_imag) * plus_weight
                plus_imag = (cos_imag - sin_real) * plus_weight
                minus_real = (cos_real - sin_imag) * minus_weight
                minus_imag = (cos_imag + sin_real) * minus_weight
                # Phases of the shift at (u, v) and (u, -v).
                a = column_real[i] * row_real
                d = column_imag[i] * row_imag
                e = column_real[i] * row_imag
                f = column_imag[i] * row_real
                pr = plus_real * (a - d) - plus_imag * (e + f)
                pi = plus_real * (e + f) + plus_imag * (a - d)
                mr = minus_real * (a + d) - minus_imag * (f - e)
                mi = minus_real * (f - e) + minus_imag * (a + d)
                h[j, i] = pr + mr
                h[j, n + i] = pi + mi
                h[n + j, i] = mi - pi
                h[n + j, n + i] = pr - mr


@numba.njit(nogil=True, cache=True)
def centre_values(images: Any, inside: Any, out: Any, usable: Any) -> None:
    """Subtract from each image its mean inside a mask, and say which images hold information.

    images and out float32 (b, ny, nx), inside bool (1, ny, nx) or (b, ny, nx). usable, bool (b,),
    becomes False for an image that is constant or holds NaN or infinity; its out is zero.
    """
    ny, nx = images.shape[1:]
    total = np.empty(nx)
    check = np.empty(nx)
    for b in range(images.shape[0]):
        image = images[b]
        mask = inside[b % inside.shape[0]]
        first = image[0, 0]
        total[:] = 0.0
        check[:] = 0.0
        number = 0
        varies = False
        for y in range(ny):
            for x in range(nx):
                value = image[y, x]
                varies |= value != first
                check[x] += value  # a sum in double precision is finite when its terms are
                if mask[y, x]:
                    total[x] += value
                    number += 1
        usable[b] = varies and np.isfinite(check.sum())
        if usable[b]:
            mean = np.float32(total.sum() / max(number, 1))
            for y in range(ny):
                for x in range(nx):
                    out[b, y, x] = image[y, x] - mean
        else:
            out[b] = 0.0
