"""Compiled loops of the CPU backend; each works on one block and holds no state.

Lanes (images, or images x translations) are the last, contiguous axis everywhere, so that every
inner loop is a plain vector operation.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = [
    "add_products",
    "best_by_owner",
    "best_over_angles",
    "choose_lanes",
    "crop_windows",
    "fill_rotations",
    "fold_ring",
    "gather_products",
    "largest_by_owner",
    "largest_over_angles",
    "locate_peaks",
    "moments",
    "pack_orders",
    "rotation_tables",
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
def fold_ring(samples: Any, scale: Any, even: Any, odd: Any) -> None:
    """Add and subtract the halves of a ring, scaled: what its even and its odd orders see.

    samples float32 (2 h, l), scale float32 (l,), even and odd float32 (h, l).
    """
    half = even.shape[0]
    for sample in range(half):
        here, opposite = samples[sample], samples[sample + half]
        plus, minus = even[sample], odd[sample]
        for lane in range(scale.size):
            a, b = here[lane] * scale[lane], opposite[lane] * scale[lane]
            plus[lane] = a + b
            minus[lane] = a - b


@numba.njit(nogil=True, cache=True)
def pack_orders(spectrum: Any, rows: Any, real: Any, imag: Any) -> None:
    """Put transforms of one ring into the packed coefficients.

    spectrum float32 (2 m, l): real parts, then imaginary parts; rows int64 (m,) where each order
    goes; real, imag float32 (c, l).
    """
    count = rows.size
    for number in range(count):
        real[rows[number]] = spectrum[number]
        imag[rows[number]] = spectrum[count + number]


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def add_products(products: Any, rows: Any, sign: Any, x: Any, y: Any) -> None:
    """Angular coefficients of all correlations from the products of real and imaginary parts.

    products: two float32 (m, 2, l), with the images' real and with their imaginary parts, each with
    the references' real and imaginary parts; rows int64 (n,) of the orders wanted, sign -1 where
    they are odd; x, y float32 (n, 2, l): real and imaginary parts, direct and mirrored.
    """
    with_real, with_imag = products
    for r in range(rows.size):
        p, v = with_real[rows[r]]
        u, t = with_imag[rows[r]]
        x0, x1, y0, y1 = x[r, 0], x[r, 1], y[r, 0], y[r, 1]
        s = sign[r]
        for lane in range(p.size):
            x0[lane] = p[lane] + t[lane]
            x1[lane] = s * (p[lane] - t[lane])
            y0[lane] = u[lane] - v[lane]
            y1[lane] = s * (u[lane] + v[lane])


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def gather_products(products: Any, rows: Any, sign: Any, lanes: Any, x: Any, y: Any) -> None:
    """As `add_products`, of some lanes only, int64 (j,); x, y float32 (n, 2, j)."""
    with_real, with_imag = products
    for r in range(rows.size):
        p, v = with_real[rows[r]]
        u, t = with_imag[rows[r]]
        s = sign[r]
        for number in range(lanes.size):
            lane = lanes[number]
            x[r, 0, number] = p[lane] + t[lane]
            x[r, 1, number] = s * (p[lane] - t[lane])
            y[r, 0, number] = u[lane] - v[lane]
            y[r, 1, number] = s * (u[lane] + v[lane])


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def largest_over_angles(even: Any, odd: Any, sine_even: Any, sine_odd: Any, out: Any) -> None:
    """Largest correlation over all angles.

    Cosine and sine sums over even and over odd orders, float32 (a, l), for a quarter of the angles;
    those of the other three quarters are these with other signs. out float32 (l,).
    """
    out[:] = np.float32(-np.inf)
    for a in range(even.shape[0]):
        e, o, se, so = even[a], odd[a], sine_even[a], sine_odd[a]
        for n in range(out.size):
            first = e[n] + o[n] + abs(se[n] + so[n])
            second = e[n] - o[n] + abs(se[n] - so[n])
            out[n] = max(out[n], max(first, second))


@numba.njit(nogil=True, cache=True)
def choose_lanes(coarse: Any, margin: Any, lanes: Any, owners: Any) -> Any:
    """Find the lanes whose coarse correlation comes within a margin of their pair's best.

    coarse float32 (k, s, b); margin float32 (k,); lanes, owners int64 (k * s * b,): flat
    index of each lane found, and of its pair (k, b). Returns their number.
    """
    n_references, n_shifts, n_images = coarse.shape
    limit = np.empty(n_images, np.float32)
    count = 0
    for k in range(n_references):
        limit[:] = coarse[k, 0]
        for s in range(1, n_shifts):
            for b in range(n_images):
                limit[b] = max(limit[b], coarse[k, s, b])
        for b in range(n_images):
            limit[b] -= margin[k]
        for s in range(n_shifts):
            for b in range(n_images):
                lanes[count] = (k * n_shifts + s) * n_images + b
                owners[count] = k * n_images + b
                count += coarse[k, s, b] >= limit[b]
    return count


@numba.njit(nogil=True, cache=True)
def largest_by_owner(values: Any, owners: Any, out: Any) -> None:
    """Largest of the values float32 (2, j), whose owners are int64 (j,); out float32 (n,)."""
    out[:] = np.float32(-np.inf)
    for number in range(owners.size):
        value = max(values[0, number], values[1, number])
        out[owners[number]] = max(out[owners[number]], value)


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def best_over_angles(
    even: Any, odd: Any, sine_even: Any, sine_odd: Any, out: Any, where: Any
) -> None:
    """As `largest_over_angles`, and where: the angle of the quarter, int32 (l,)."""
    out[:] = np.float32(-np.inf)
    for a in range(even.shape[0]):
        e, o, se, so = even[a], odd[a], sine_even[a], sine_odd[a]
        for n in range(out.size):
            first = e[n] + o[n] + abs(se[n] + so[n])
            second = e[n] - o[n] + abs(se[n] - so[n])
            value = max(first, second)
            better = value > out[n]
            where[n] = np.int32(a) if better else where[n]
            out[n] = value if better else out[n]


@numba.njit(nogil=True, cache=True)
def best_by_owner(
    values: Any, places: Any, lanes: Any, owners: Any, out: Any, lane: Any, where: Any
) -> None:
    """Best lane of each owner, and the place of its peak.

    values float32 (2, j), direct and mirrored; places int32 (2, j) of `best_over_angles`; lanes,
    owners int64 (j,); out float32, lane int64, where int32 (n,): the lane, and its place, negative
    (-1 - place) when mirrored. The first of equals is taken.
    """
    out[:] = np.float32(-np.inf)
    for number in range(owners.size):
        owner = owners[number]
        for mirrored in range(2):
            if values[mirrored, number] > out[owner]:
                out[owner] = values[mirrored, number]
                lane[owner] = lanes[number]
                place = places[mirrored, number]
                where[owner] = -1 - place if mirrored == 1 else place


@numba.njit(nogil=True, cache=True)
def rotation_tables(angles: Any, cosines: Any, sines: Any) -> None:
    """Fill cosines, sines float32 (m, j) of m times each angle (radians, float64 (j,))."""
    for j in range(angles.size):
        turn_x, turn_y = np.cos(angles[j]), np.sin(angles[j])
        x, y = 1.0, 0.0
        for m in range(cosines.shape[0]):
            cosines[m, j], sines[m, j] = x, y
            x, y = x * turn_x - y * turn_y, y * turn_x + x * turn_y


@numba.njit(nogil=True, cache=True)
def fill_rotations(order: Any, lanes: Any, tables: Any, mirrored: Any, weights: Any) -> None:
    """Fill what each lane's real and imaginary part of one angular order add to sums.

    lanes int64 (k, j); tables: cosines and sines float32 (m, k * j) of m times the angle; mirrored
    bool (k, j); weights float32 (2, l, 2 k): of real and of imaginary parts, to the real and to the
    imaginary parts of the k sums. Other entries are left as they are.
    """
    cosines, sines = tables
    count, n_images = lanes.shape
    for k in range(count):
        for j in range(n_images):
            cosine, sine = cosines[order, k * n_images + j], sines[order, k * n_images + j]
            # the mirror conjugates; and it changes the sign of odd orders
            real_sign = np.float32(-1.0 if mirrored[k, j] and order % 2 == 1 else 1.0)
            imag_sign = np.float32(-1.0 if mirrored[k, j] and order % 2 == 0 else 1.0)
            lane = lanes[k, j]
            weights[0, lane, k] = real_sign * cosine
            weights[1, lane, k] = -real_sign * sine
            weights[0, lane, count + k] = imag_sign * sine
            weights[1, lane, count + k] = imag_sign * cosine


@numba.njit(nogil=True, cache=True)
def _derivatives(x: Any, y: Any, angle: Any) -> Any:
    """Value, slope and curvature of sum over m of (1 or 2) (x cos(m a) - y sin(m a))."""
    value, slope, curvature = x[0], 0.0, 0.0
    turn_x, turn_y = np.cos(angle), np.sin(angle)
    cosine, sine = 1.0, 0.0
    for m in range(1, x.size):
        cosine, sine = cosine * turn_x - sine * turn_y, sine * turn_x + cosine * turn_y
        wave = 2.0 * (x[m] * cosine - y[m] * sine)
        value += wave
        slope -= 2.0 * m * (x[m] * sine + y[m] * cosine)
        curvature -= m * m * wave
    return value, slope, curvature


@numba.njit(nogil=True, cache=True)
def _turned(x: Any, y: Any, mirrored: Any, products: Any, rows: Any, lane: Any) -> None:
    """Fill x, y (m,) with the correlation's angular coefficients of one lane.

    products is (with_real, with_imag), each (m, 2 k, l) with even orders first; rows the row
    of the reference's real and of its imaginary part.
    """
    with_real, with_imag = products
    n_even = (x.size + 1) // 2
    for m in range(x.size):
        row = m // 2 if m % 2 == 0 else n_even + m // 2
        p, v = with_real[row, rows[0], lane], with_real[row, rows[1], lane]
        u, t = with_imag[row, rows[0], lane], with_imag[row, rows[1], lane]
        sign = -1.0 if mirrored and m % 2 == 1 else 1.0
        x[m] = sign * (p - t) if mirrored else p + t
        y[m] = sign * (u + v) if mirrored else u - v


@numba.njit(nogil=True, cache=True)
def _best_quarter(x: Any, y: Any, quarter: Any) -> Any:
    """Which of a, -a, pi - a and pi + a is best, for an angle a of the first quarter."""
    even, odd, sine_even, sine_odd = x[0], 0.0, 0.0, 0.0
    turn_x, turn_y = np.cos(quarter), np.sin(quarter)
    cosine, sine = 1.0, 0.0
    for m in range(1, x.size):
        cosine, sine = cosine * turn_x - sine * turn_y, sine * turn_x + cosine * turn_y
        if m % 2 == 0:
            even += 2.0 * x[m] * cosine
            sine_even += 2.0 * y[m] * sine
        else:
            odd += 2.0 * x[m] * cosine
            sine_odd += 2.0 * y[m] * sine
    best, angle = even + odd - sine_even - sine_odd, quarter
    for value, candidate in (
        (even + odd + sine_even + sine_odd, -quarter),
        (even - odd + sine_even - sine_odd, np.pi - quarter),
        (even - odd - sine_even + sine_odd, np.pi + quarter),
    ):
        if value > best:
            best, angle = value, candidate
    return angle


@numba.njit(nogil=True, cache=True)
def locate_peaks(products: Any, lanes: Any, where: Any, angles: Any, refine: Any,
                 value: Any, angle: Any, mirror: Any) -> None:  # fmt: skip
    """Turn the best quarter angle of chosen lanes into the angle itself, refined by Newton's rule.

    products: two float32 (m, 2 k, l) with even orders first; lanes int64 (k, b) the lane of each
    (reference, image); where int32 (k, b) of `best_by_owner`; angles float64 (a,) of the
    quarter; value float32, angle float64 (radians), mirror int8 (k, b).
    """
    n_orders = products[0].shape[0]
    count = lanes.shape[0]
    step = angles[1] - angles[0] if angles.size > 1 else 0.0
    x, y = np.empty(n_orders), np.empty(n_orders)
    for k in range(count):
        for b in range(lanes.shape[1]):
            lane = lanes[k, b]
            place = where[k, b]
            mirrored = place < 0
            quarter = angles[-1 - place] if mirrored else angles[place]
            _turned(x, y, mirrored, products, (k, count + k), lane)
            at = _best_quarter(x, y, quarter)
            best, slope, curvature = _derivatives(x, y, at)
            if refine and curvature < 0.0:
                moved = at + min(max(-slope / curvature, -step), step)
                height = _derivatives(x, y, moved)[0]
                if height > best:
                    best, at = height, moved
            value[k, b], angle[k, b], mirror[k, b] = best, at, 1 if mirrored else 0
