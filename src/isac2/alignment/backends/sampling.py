"""Compiled loops from pixels to packed ring coefficients, sixteen images side by side.

Everything that belongs to sixteen images fits the cache: their windows, moved so that the middle
pixel is each one's centre; the samples of one ring at all translations; these folded; and what
their transforms make of them, which at last is turned so that an image's coefficients lie together.
All arrays of these steps are flat, and their entries are vectors of the sixteen images.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from isac2.alignment.backends.correlation import aligned_scratch
from isac2.lanes import (
    LANES,
    add,
    broadcast,
    fma,
    load,
    multiply,
    products,
    store,
    subtract,
    transpose,
    zero,
)

__all__ = ["fill_bank"]

_TAPS = 8
_PAIR = 2 * LANES


@numba.njit(nogil=True, cache=True)
def _crop(images: Any, rows: Any, corners: Any, first: Any, wide: Any, strip: Any, out: Any) -> Any:
    """Copy a window of sixteen images, from rows[first] on; return the length of its lines.

    images float32 (n, ny, nx), rows int64 (b,), corners int64 (b, 2) x and y of the window's first
    pixel from the box's centre, wide its side; strip is scratch, out vectors. Pixels outside the
    image become zero; lanes beyond the last image repeat it.
    """
    ny, nx = images.shape[1:]
    length = -(-wide // LANES) * LANES
    for y in range(wide):
        for lane in range(LANES):
            number = min(first + lane, rows.size - 1)
            left = nx // 2 + corners[number, 0]
            v = ny // 2 + corners[number, 1] + y
            line = strip[lane * length : (lane + 1) * length]
            line[:] = np.float32(0.0)
            begin, end = max(0, -left), min(wide, nx - left)
            if 0 <= v < ny and begin < end:
                line[begin:end] = images[rows[number], v, left + begin : left + end]
        for x in range(0, length, LANES):
            transpose(strip, x, length, out, (y * length + x) * LANES, LANES)
    return length


@numba.njit(nogil=True, cache=True)
def _weigh_8(
    pixels: Any, first: Any, stride: Any, count: Any, taps: Any, out: Any, to: Any
) -> None:
    """Weighted sums of 8 vectors, `stride` apart from `first`, and of `count` such neighbours."""
    t0, t1, t2, t3 = load(taps, 0), load(taps, 16), load(taps, 32), load(taps, 48)
    t4, t5, t6, t7 = load(taps, 64), load(taps, 80), load(taps, 96), load(taps, 112)
    for n in range(count):
        at = first + n * LANES
        low = multiply(t0, load(pixels, at))
        high = multiply(t1, load(pixels, at + stride))
        low = fma(t2, load(pixels, at + 2 * stride), low)
        high = fma(t3, load(pixels, at + 3 * stride), high)
        low = fma(t4, load(pixels, at + 4 * stride), low)
        high = fma(t5, load(pixels, at + 5 * stride), high)
        low = fma(t6, load(pixels, at + 6 * stride), low)
        high = fma(t7, load(pixels, at + 7 * stride), high)
        store(out, to + n * LANES, add(low, high))


@numba.njit(nogil=True, cache=True)
def _centre(
    pixels: Any, length: Any, window: Any, taps: Any, first: Any, between: Any, out: Any
) -> None:
    """Move the content of windows by less than a pixel, rows and columns in turn.

    pixels: window + 7 lines of `length` vectors, of which the first of 8 taps of output pixel
    (0, 0) is the first; taps float32 (2, 8, b made up to whole vectors), of x and y; between is
    scratch, out window^2 vectors.
    """
    weights = np.empty(_TAPS * LANES, np.float32)
    for tap in range(_TAPS):
        weights[tap * LANES : (tap + 1) * LANES] = taps[0, tap, first : first + LANES]
    for y in range(window + _TAPS - 1):
        _weigh_8(pixels, y * length * LANES, LANES, window, weights, between, y * window * LANES)
    for tap in range(_TAPS):
        weights[tap * LANES : (tap + 1) * LANES] = taps[1, tap, first : first + LANES]
    for y in range(window):
        line = y * window * LANES
        _weigh_8(between, line, window * LANES, window, weights, out, line)


@numba.njit(nogil=True, cache=True)
def _sample_ring(
    pixels: Any, window: Any, grid: Any, begin: Any, count: Any, between: Any, out: Any
) -> None:
    """Sample one ring at all translations by 4 x 4 pixels, rows and columns in turn.

    pixels: window^2 vectors; grid: place (ny, nx), left (nx, p), top (ny, p), and flat weights
    (nx * p * 4), (ny * p * 4) of `rings.SamplingTable`; the ring's samples are `count` from `begin`
    on; between is scratch for the rows that one sample reads, out vectors (s, count).
    """
    place, left, top, x_weights, y_weights = grid
    samples = left.shape[1]
    for sample in range(begin, begin + count):
        lowest = top[0, sample]
        lines = top[-1, sample] + 4 - lowest
        for i in range(left.shape[0]):
            w = (i * samples + sample) * 4
            w0, w1 = broadcast(x_weights, w), broadcast(x_weights, w + 1)
            w2, w3 = broadcast(x_weights, w + 2), broadcast(x_weights, w + 3)
            for line in range(lines):
                p = ((lowest + line) * window + left[i, sample]) * LANES
                low = fma(w1, load(pixels, p + LANES), multiply(w0, load(pixels, p)))
                p += 2 * LANES
                high = fma(w3, load(pixels, p + LANES), multiply(w2, load(pixels, p)))
                store(between, line * LANES, add(low, high))
            for j in range(top.shape[0]):
                line = (top[j, sample] - lowest) * LANES
                w = (j * samples + sample) * 4
                low = multiply(broadcast(y_weights, w), load(between, line))
                low = fma(broadcast(y_weights, w + 1), load(between, line + LANES), low)
                line += 2 * LANES
                high = multiply(broadcast(y_weights, w + 2), load(between, line))
                high = fma(broadcast(y_weights, w + 3), load(between, line + LANES), high)
                store(out, (place[j, i] * count + sample - begin) * LANES, add(low, high))


@numba.njit(nogil=True, cache=True)
def _fold_ring(samples: Any, start: Any, quarter: Any, out: Any, sums: Any) -> None:
    """Fold a ring of 4 q samples twice: opposite ones first, then those that mirror each other.

    samples: vectors from `start` on. out: 4 q vectors; the first q + 1 are what the real parts of
    even orders see, the next q - 1 the imaginary parts; then q for the real and q for the imaginary
    parts of odd orders. sums: becomes the samples' sum and that of their squares, two vectors.
    """
    total = squares = zero()
    half, whole = 2 * quarter, 4 * quarter
    for k in range(quarter):
        a = load(samples, start + k * LANES)
        b = load(samples, start + (k + half) * LANES)
        squares = fma(b, b, fma(a, a, squares))
        plus, minus = add(a, b), subtract(a, b)
        # the first sample mirrors the one a quarter turn on, which then have places of their own
        other = half - k if k else quarter
        c = load(samples, start + other * LANES)
        d = load(samples, start + (other + half) * LANES)
        squares = fma(d, d, fma(c, c, squares))
        other_plus, other_minus = add(c, d), subtract(c, d)
        total = add(total, add(plus, other_plus))
        if k:
            store(out, k * LANES, add(plus, other_plus))
            store(out, (quarter + k) * LANES, subtract(plus, other_plus))
            store(out, (half + k) * LANES, subtract(minus, other_minus))
            store(out, (whole - quarter + k - 1) * LANES, add(minus, other_minus))
        else:
            store(out, 0, plus)
            store(out, quarter * LANES, other_plus)
            store(out, half * LANES, minus)
            store(out, (whole - 1) * LANES, other_minus)
    store(sums, 0, total)
    store(sums, LANES, squares)


@numba.njit(nogil=True, cache=True)
def _transform_ring(
    folded: Any, quarter: Any, matrices: Any, entry: Any, places: Any, out: Any, size: Any
) -> Any:
    """Transform one ring of sixteen images into packed coefficients; return where entries end.

    folded: from `_fold_ring`; matrices: `Packing.matrices`, the ring's from `entry` on; places
    int64: where each of its blocks of orders goes in out, the flat coefficients, image by image
    `size` apart.
    """
    vectors = quarter * LANES
    for place in places:
        products(
            folded, 0, quarter + 1, 2 * vectors, quarter, matrices, entry, out, place, size
        )  # fmt: skip
        entry += (2 * quarter + 1) * (LANES // 2)
        products(
            folded, vectors + LANES, quarter - 1, 3 * vectors, quarter, matrices, entry, out,
            place + LANES, size,
        )  # fmt: skip
        entry += (2 * quarter - 1) * (LANES // 2)
    return entry


@numba.njit(nogil=True, cache=True)
def _add_moments(sums: Any, weight: Any, mean: Any, power: Any) -> None:
    """Add the weighted sums of sixteen images over one ring to their mean and power, float64."""
    for lane in range(LANES):
        mean[lane] += weight * sums[lane]
        power[lane] += weight * sums[LANES + lane]


@numba.njit(nogil=True, cache=True)
def _normalise(values: Any, mean: Any, power: Any, packing: Any, translation: Any) -> None:
    """Bring one image's coefficients at one translation to zero mean and unit variance.

    values float32 (v * s,); mean and power float64: over the rings, weighted by area. A constant
    image becomes zero.
    """
    starts, rings = packing[:2]
    number, n_shifts = translation
    variance = power - mean * mean
    # what is left of a constant image is rounding
    scale = np.float32(1.0 / np.sqrt(variance)) if variance > 1e-6 * power else np.float32(0.0)
    for ring in range(rings[0]):
        values[(number * rings[0] + ring) * _PAIR] -= np.float32(mean)
    for block in range(starts.size):
        place = (starts[block] * n_shifts + number * rings[block]) * _PAIR
        part = values[place : place + rings[block] * _PAIR]
        for n in range(part.size):
            part[n] *= scale


@numba.njit(nogil=True, cache=True)
def fill_bank(
    images: Any, rows: Any, windows: Any, grid: Any, rings: Any, packing: Any, normalise: Any,
    out: Any,
) -> None:  # fmt: skip
    """Fill packed coefficients of images at all translations of a grid.

    images float32 (n, ny, nx), rows int64 (b,); windows: corners int64 (b, 2) and taps float32 (2,
    8, b made up to sixteens), window and sub-pixel move of each image, and a window's side; grid as
    in `_sample_ring`; rings: lengths, starts int64 (r + 1,), blocks int64 (r,), weights float64
    (r,) and `Packing.matrices`; packing: (starts, rings, first_rings); out float32 (b made up to
    sixteens, v * s).
    """
    corners, taps, window = windows
    lengths, begins, blocks, weights, matrices = rings
    n_shifts, wide, longest = grid[0].size, window + _TAPS - 1, lengths.max()
    line = -(-wide // LANES) * LANES
    strip, pixels = aligned_scratch(line * LANES), aligned_scratch(wide * line * LANES)
    between = aligned_scratch(wide * window * LANES)
    centred = aligned_scratch(window * window * LANES)
    samples, folded = aligned_scratch(n_shifts * longest * LANES), aligned_scratch(longest * LANES)
    sums, size, flat = aligned_scratch(2 * LANES), out.shape[1], out.reshape(-1)
    places = np.empty(blocks.max(), np.int64)
    for first in range(0, rows.size, LANES):
        mean, power = np.zeros((n_shifts, LANES)), np.zeros((n_shifts, LANES))
        _crop(images, rows, corners, first, wide, strip, pixels)
        _centre(pixels, line, window, taps, first, between, centred)
        begin = end = 0
        for ring in range(lengths.size):
            length = lengths[ring]
            _sample_ring(centred, window, grid, begins[ring], length, between, samples)
            for s in range(n_shifts):
                _fold_ring(samples, s * length * LANES, length // 4, folded, sums)
                _add_moments(sums, weights[ring] / length, mean[s], power[s])
                for block in range(blocks[ring]):
                    row = _row_of_ring(packing, block, ring, s, n_shifts)
                    places[block] = first * size + row * _PAIR
                end = _transform_ring(
                    folded, length // 4, matrices, begin, places[: blocks[ring]], flat, size
                )
            begin = end
        if normalise:
            for lane in range(LANES):
                for s in range(n_shifts):
                    _normalise(
                        out[first + lane], mean[s, lane], power[s, lane], packing, (s, n_shifts)
                    )


@numba.njit(nogil=True, cache=True)
def _row_of_ring(packing: Any, block: Any, ring: Any, number: Any, n_shifts: Any) -> Any:
    """Entry, of sixteen orders' real and imaginary parts, of a ring at a translation."""
    starts, rings, first_rings = packing
    return starts[block] * n_shifts + number * rings[block] + ring - first_rings[block]
