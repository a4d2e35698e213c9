"""Compiled loops over pixels; each works on what it is given and holds no state.

Interpolation is by cubic B-splines through the pixels (Unser, IEEE Signal Processing Magazine
16(6):22, 1999): smoother than cubic convolution and closer to the band-limited ideal, at the price
of one recursive pass over each image.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["add_moved_images", "centre_values", "move_images", "transfer_spectra"]

_POLE = np.sqrt(3.0) - 2.0
"""Pole of the cubic B-spline's inverse filter."""

_HORIZON = 24
"""Terms after which powers of the pole are below single precision."""


@numba.njit(nogil=True, cache=True)
def _spline_coefficients(image: Any, work: Any) -> None:
    """Fill work, float32 (ny + 3, nx + 3), with an image's B-spline coefficients.

    The image goes on mirrored about its edge pixels; pixel (y, x) is at work[y + 1, x + 1], the
    margin holds the mirrored coefficients that interpolation at the edge needs.
    """
    ny, nx = image.shape
    pole = np.float32(_POLE)
    gain = np.float32(36.0)  # 6 for each axis
    last = pole / (pole * pole - np.float32(1.0))
    # Down the columns: whole rows at a time.
    for x in range(nx):
        total = np.float32(0.0)
        power = np.float32(1.0)
        for k in range(min(_HORIZON, ny)):
            total += power * image[k, x]
            power *= pole
        work[1, x + 1] = gain * total
    for y in range(1, ny):
        for x in range(nx):
            work[y + 1, x + 1] = gain * image[y, x] + pole * work[y, x + 1]
    for x in range(nx):
        work[ny, x + 1] = last * (work[ny, x + 1] + pole * work[ny - 1, x + 1])
    for y in range(ny - 2, -1, -1):
        for x in range(nx):
            work[y + 1, x + 1] = pole * (work[y + 2, x + 1] - work[y + 1, x + 1])
    # Along the rows, all of them at once: within one, each step would wait for the one before.
    for y in range(1, ny + 1):
        total = np.float32(0.0)
        power = np.float32(1.0)
        for k in range(min(_HORIZON, nx)):
            total += power * work[y, k + 1]
            power *= pole
        work[y, 1] = total
    for x in range(2, nx + 1):
        for y in range(1, ny + 1):
            work[y, x] += pole * work[y, x - 1]
    for y in range(1, ny + 1):
        work[y, nx] = last * (work[y, nx] + pole * work[y, nx - 1])
    for x in range(nx - 1, 0, -1):
        for y in range(1, ny + 1):
            work[y, x] = pole * (work[y, x + 1] - work[y, x])
    for y in range(1, ny + 1):
        work[y, 0] = work[y, 2]
        work[y, nx + 1] = work[y, nx - 1]
        work[y, nx + 2] = work[y, nx - 2]
    work[0] = work[2]
    work[ny + 1] = work[ny - 1]
    work[ny + 2] = work[ny - 2]


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _add_spline(coefficients: Any, width: int, start: Any, step: Any, out: Any) -> None:
    """Add the spline's values along a line to out (n,): at start + k step, k = 0 ... n - 1.

    coefficients float32 (height * width,), flat, so that the loop is one of vectors; start and step
    (x, y), places of the image within its edge pixels.
    """
    one, sixth = np.float32(1.0), np.float32(1.0 / 6.0)
    wide, n1, n2, n3 = np.uint32(width), np.uint32(1), np.uint32(2), np.uint32(3)
    x, y = np.float32(start[0]), np.float32(start[1])
    dx, dy = np.float32(step[0]), np.float32(step[1])
    for k in range(out.size):
        u, v = x + np.float32(k) * dx, y + np.float32(k) * dy
        column, row = np.int32(u), np.int32(v)
        u, v = u - np.float32(column), v - np.float32(row)
        u1, v1 = one - u, one - v
        a0 = v1 * v1 * v1 * sixth
        a3 = v * v * v * sixth
        a1 = np.float32(4.0) * sixth - v * v * (one - np.float32(0.5) * v)
        a2 = one - a0 - a1 - a3
        b0 = u1 * u1 * u1 * sixth
        b3 = u * u * u * sixth
        b1 = np.float32(4.0) * sixth - u * u * (one - np.float32(0.5) * u)
        b2 = one - b0 - b1 - b3
        # unsigned, because a signed index might be meant to count from the end
        c0 = np.uint32(np.uint32(row) * wide + np.uint32(column))
        c1 = np.uint32(c0 + wide)
        c2 = np.uint32(c1 + wide)
        c3 = np.uint32(c2 + wide)
        f = coefficients
        out[k] += (
            a0
            * (
                b0 * f[c0]
                + b1 * f[np.uint32(c0 + n1)]
                + b2 * f[np.uint32(c0 + n2)]
                + b3 * f[np.uint32(c0 + n3)]
            )
            + a1
            * (
                b0 * f[c1]
                + b1 * f[np.uint32(c1 + n1)]
                + b2 * f[np.uint32(c1 + n2)]
                + b3 * f[np.uint32(c1 + n3)]
            )
            + a2
            * (
                b0 * f[c2]
                + b1 * f[np.uint32(c2 + n1)]
                + b2 * f[np.uint32(c2 + n2)]
                + b3 * f[np.uint32(c2 + n3)]
            )
            + a3
            * (
                b0 * f[c3]
                + b1 * f[np.uint32(c3 + n1)]
                + b2 * f[np.uint32(c3 + n2)]
                + b3 * f[np.uint32(c3 + n3)]
            )
        )


@numba.njit(nogil=True, cache=True)
def _is_inside(image: Any, x: float, y: float) -> bool:
    """Tell whether a place lies within the edge pixels."""
    return x >= 0.0 and x <= image.shape[1] - 1.0 and y >= 0.0 and y <= image.shape[0] - 1.0


@numba.njit(nogil=True, cache=True)
def _move_image(image: Any, work: Any, pose: Any, out: Any) -> None:
    """Add one moved image to out; pose is (cos, sin, tx, ty, sign of x).

    The pixel at v' comes from v = R^-1 (M v' - t). A place outside the image gives the pixel that
    stands at v' before the move: background of the right level.
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
        _add_spline(work.ravel(), work.shape[1], start, (dx, dy), out[j, first:last])


@numba.njit(nogil=True, cache=True)
def move_images(images: Any, poses: Any, out: Any) -> None:
    """Move images (n, ny, nx) by poses float64 (n, 5) into out float32 (n, ny, nx)."""
    ny, nx = images.shape[1:]
    work = np.empty((ny + 3, nx + 3), np.float32)
    for k in range(images.shape[0]):
        _spline_coefficients(images[k], work)
        out[k] = 0.0
        _move_image(images[k], work, poses[k], out[k])


@numba.njit(nogil=True, cache=True)
def add_moved_images(images: Any, poses: Any, groups: Any, sums: Any) -> None:
    """Add each moved image to its group's sum, in index order.

    images (n, ny, nx), poses float64 (n, 5), groups int64 (n,) (negative: left out), sums float64
    (groups, ny, nx).
    """
    ny, nx = images.shape[1:]
    work = np.empty((ny + 3, nx + 3), np.float32)
    for k in range(images.shape[0]):
        if groups[k] >= 0:
            _spline_coefficients(images[k], work)
            _move_image(images[k], work, poses[k], sums[groups[k]])


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
