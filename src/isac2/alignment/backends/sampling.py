"""Compiled loops that sample images on rings; each works on one block and holds no state.

Lanes (images, or images x translations) are the last, contiguous axis, so that every inner loop is
a plain vector operation.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = [
    "crop_windows",
    "fold_ring",
    "moments",
    "place_orders",
    "sample_windows",
    "shift_windows",
]

_FAST: Any = {"contract", "reassoc", "nsz"}
"""Floating-point freedoms that keep NaN and infinity meaning what they mean."""


@numba.njit(nogil=True, cache=True)
def crop_windows(images: Any, rows: Any, corners: Any, window: Any, out: Any) -> None:
    """Copy a window of each image, lanes last.

    images (n, ny, nx), rows (b,) of images, corners int64 (b, 2) x and y of the window's first
    pixel from the box's centre, window its side, out float32 (window * window, b); pixels outside
    the image become zero.
    """
    ny, nx = images.shape[1:]
    for lane in range(rows.size):
        image = images[rows[lane]]
        left, top = nx // 2 + corners[lane, 0], ny // 2 + corners[lane, 1]
        first, last = max(0, -left), min(window, nx - left)
        for y in range(window):
            v = top + y
            if 0 <= v < ny and first < last:
                for x in range(first):
                    out[y * window + x, lane] = np.float32(0.0)
                for x in range(first, last):
                    out[y * window + x, lane] = image[v, left + x]
                for x in range(last, window):
                    out[y * window + x, lane] = np.float32(0.0)
            else:
                for x in range(window):
                    out[y * window + x, lane] = np.float32(0.0)


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def _weigh_8(pixels: Any, first: Any, stride: Any, weights: Any, out: Any) -> None:
    """Add up 8 pixels, `stride` apart from `first`, with weights (8, b) of each lane's own."""
    i1, i2, i3 = first + stride, first + 2 * stride, first + 3 * stride
    i4, i5, i6, i7 = i3 + stride, i3 + 2 * stride, i3 + 3 * stride, i3 + 4 * stride
    for lane in range(out.size):
        out[lane] = (
            weights[0, lane] * pixels[first, lane]
            + weights[1, lane] * pixels[i1, lane]
            + weights[2, lane] * pixels[i2, lane]
            + weights[3, lane] * pixels[i3, lane]
            + weights[4, lane] * pixels[i4, lane]
            + weights[5, lane] * pixels[i5, lane]
            + weights[6, lane] * pixels[i6, lane]
            + weights[7, lane] * pixels[i7, lane]
        )


@numba.njit(nogil=True, cache=True)
def shift_windows(pixels: Any, window: Any, weights: Any, between: Any, out: Any) -> None:
    """Move the content of windows by less than a pixel, rows and columns in turn.

    pixels float32 ((window + 7)^2, b), of which the first of 8 taps of output pixel (0, 0) is
    the first; weights float32 (2, 8, b) of x and y; between float32 ((window + 7) * window,
    b) is scratch; out float32 (window^2, b).
    """
    wide = window + 7
    for y in range(wide):
        for x in range(window):
            _weigh_8(pixels, y * wide + x, 1, weights[0], between[y * window + x])
    for y in range(window):
        for x in range(window):
            _weigh_8(between, y * window + x, window, weights[1], out[y * window + x])


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def sample_windows(
    pixels: Any, window: Any, table: Any, between: Any, out: Any, first_lane: Any
) -> None:
    """Sample all rings of all translations of a grid by 4 x 4 pixels, columns and rows in turn.

    pixels float32 (window * window, b); table: place (ny, nx), left (nx, p), top (ny, p),
    x_weights (nx, p, 4), y_weights (ny, p, 4) of `rings.SamplingTable`; between float32
    (>= rows that one sample reads, b) is scratch; out float32 (p, s, >= first_lane + b).
    """
    place, left, top, x_weights, y_weights = table
    for sample in range(left.shape[1]):
        lowest = top[0, sample]
        count = top[-1, sample] + 4 - lowest
        for i in range(left.shape[0]):
            w = x_weights[i, sample]
            w0, w1, w2, w3 = w[0], w[1], w[2], w[3]
            for row in range(count):
                p = (lowest + row) * window + left[i, sample]
                for lane in range(pixels.shape[1]):
                    between[row, lane] = (
                        w0 * pixels[p, lane]
                        + w1 * pixels[p + 1, lane]
                        + w2 * pixels[p + 2, lane]
                        + w3 * pixels[p + 3, lane]
                    )
            for j in range(top.shape[0]):
                row = top[j, sample] - lowest
                w = y_weights[j, sample]
                w0, w1, w2, w3 = w[0], w[1], w[2], w[3]
                values = out[sample, place[j, i], first_lane : first_lane + pixels.shape[1]]
                for lane in range(pixels.shape[1]):
                    values[lane] = (
                        w0 * between[row, lane]
                        + w1 * between[row + 1, lane]
                        + w2 * between[row + 2, lane]
                        + w3 * between[row + 3, lane]
                    )


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def moments(samples: Any, starts: Any, ring_weights: Any, mean: Any, deviation: Any) -> None:
    """Weighted mean and standard deviation over all rings.

    samples float32 (p, l), starts int64 (r + 1,), ring_weights float64 (r,) adding up to 1; mean
    and deviation float64 (l,). A constant image gets deviation 0. One ring is summed in single,
    all rings in double precision.
    """
    mean[:] = 0.0
    deviation[:] = 0.0
    total = np.empty(mean.size, np.float32)
    squares = np.empty(mean.size, np.float32)
    for ring in range(ring_weights.size):
        total[:] = np.float32(0.0)
        squares[:] = np.float32(0.0)
        for sample in range(starts[ring], starts[ring + 1]):
            values = samples[sample]
            for lane in range(values.size):
                total[lane] += values[lane]
                squares[lane] += values[lane] * values[lane]
        weight = ring_weights[ring] / (starts[ring + 1] - starts[ring])
        for lane in range(mean.size):
            mean[lane] += weight * total[lane]
            deviation[lane] += weight * squares[lane]
    for lane in range(mean.size):
        variance = deviation[lane] - mean[lane] * mean[lane]
        # what is left of a constant image is rounding
        deviation[lane] = np.sqrt(variance) if variance > 1e-6 * deviation[lane] else 0.0


@numba.njit(nogil=True, cache=True)
def fold_ring(samples: Any, scale: Any, out: Any) -> None:
    """Fold a ring twice, scaled: opposite samples first, then those that mirror each other.

    samples float32 (4 q, l), scale float32 (l,), out float32 (4 q, l). Its first q + 1 rows are
    what the real parts of even orders see, the next q - 1 the imaginary parts; then q rows for the
    real and q for the imaginary parts of odd orders.
    """
    quarter = samples.shape[0] // 4
    for k in range(1, quarter):
        a, b = samples[k], samples[k + 2 * quarter]
        c, d = samples[2 * quarter - k], samples[4 * quarter - k]
        even_real, even_imag = out[k], out[quarter + k]
        odd_real, odd_imag = out[2 * quarter + k], out[3 * quarter + k - 1]
        for lane in range(scale.size):
            factor = scale[lane]
            plus, minus = (a[lane] + b[lane]) * factor, (a[lane] - b[lane]) * factor
            other_plus, other_minus = (c[lane] + d[lane]) * factor, (c[lane] - d[lane]) * factor
            even_real[lane], even_imag[lane] = plus + other_plus, plus - other_plus
            odd_real[lane], odd_imag[lane] = minus - other_minus, minus + other_minus
    # the first sample and the one a quarter turn on mirror themselves
    for k in range(0, 2 * quarter, quarter):
        a, b = samples[k], samples[k + 2 * quarter]
        even, odd = out[k], out[2 * quarter] if k == 0 else out[4 * quarter - 1]
        for lane in range(scale.size):
            even[lane] = (a[lane] + b[lane]) * scale[lane]
            odd[lane] = (a[lane] - b[lane]) * scale[lane]


@numba.njit(nogil=True, cache=True)
def place_orders(
    spectrum: Any, ring: Any, first_rings: Any, starts: Any, rings: Any, n_shifts: Any, values: Any
) -> None:
    """Put the transforms of one ring into packed coefficients.

    spectrum float32 (4, s * b made up, 8 n): kinds of `Packing.transforms`, of n blocks; ring: its
    number; first_rings, starts, rings int64 (blocks,) of the packing; values float32 (b, v * s).
    """
    lanes = spectrum.shape[1] // n_shifts
    one, two, three = np.uint64(8), np.uint64(16), np.uint64(24)
    for block in range(spectrum.shape[2] // 8):
        base = (starts[block] * n_shifts + ring - first_rings[block]) * 32
        for s in range(n_shifts):
            place = np.uint64(base + s * rings[block] * 32)
            for b in range(values.shape[0]):
                out, row = values[b], s * lanes + b
                even_real, even_imag = spectrum[0, row], spectrum[1, row]
                odd_real, odd_imag = spectrum[2, row], spectrum[3, row]
                for n in range(8):
                    at, of = place + np.uint64(n), np.uint64(8 * block + n)
                    out[at], out[at + one] = even_real[of], odd_real[of]
                    out[at + two], out[at + three] = even_imag[of], odd_imag[of]
