"""Compiled loops over pixels; each works on what it is given and holds no state.

Interpolation is by cubic B-splines through the pixels (Unser, IEEE Signal Processing Magazine
16(6):22, 1999): smoother than cubic convolution and closer to the band-limited ideal, at the price
of one recursive pass over each image.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["add_moved_images", "move_images"]

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
    # Along the rows.
    for y in range(1, ny + 1):
        row = work[y]
        total = np.float32(0.0)
        power = np.float32(1.0)
        for k in range(min(_HORIZON, nx)):
            total += power * row[k + 1]
            power *= pole
        row[1] = total
        for x in range(2, nx + 1):
            row[x] += pole * row[x - 1]
        row[nx] = last * (row[nx] + pole * row[nx - 1])
        for x in range(nx - 1, 0, -1):
            row[x] = pole * (row[x + 1] - row[x])
        row[0] = row[2]
        row[nx + 1] = row[nx - 1]
        row[nx + 2] = row[nx - 2]
    work[0] = work[2]
    work[ny + 1] = work[ny - 1]
    work[ny + 2] = work[ny - 2]


@numba.njit(nogil=True, cache=True, inline="always")
def _interpolate(work: Any, y: float, x: float) -> Any:
    """Evaluate the spline at a place of the image that lies within its edge pixels."""
    row, column = int(y), int(x)
    one, sixth = np.float32(1.0), np.float32(1.0 / 6.0)
    v, u = np.float32(y - row), np.float32(x - column)
    v1, u1 = one - v, one - u
    a0 = v1 * v1 * v1 * sixth
    a3 = v * v * v * sixth
    a1 = np.float32(4.0) * sixth - v * v * (one - np.float32(0.5) * v)
    a2 = one - a0 - a1 - a3
    b0 = u1 * u1 * u1 * sixth
    b3 = u * u * u * sixth
    b1 = np.float32(4.0) * sixth - u * u * (one - np.float32(0.5) * u)
    b2 = one - b0 - b1 - b3
    r0, r1, r2, r3 = work[row], work[row + 1], work[row + 2], work[row + 3]
    c = column
    return (
        a0 * (b0 * r0[c] + b1 * r0[c + 1] + b2 * r0[c + 2] + b3 * r0[c + 3])
        + a1 * (b0 * r1[c] + b1 * r1[c + 1] + b2 * r1[c + 2] + b3 * r1[c + 3])
        + a2 * (b0 * r2[c] + b1 * r2[c + 1] + b2 * r2[c + 2] + b3 * r2[c + 3])
        + a3 * (b0 * r3[c] + b1 * r3[c + 1] + b2 * r3[c + 2] + b3 * r3[c + 3])
    )


@numba.njit(nogil=True, cache=True)
def _move_image(image: Any, work: Any, pose: Any, out: Any) -> None:
    """Add one moved image to out; pose is (cos, sin, tx, ty, sign of x).

    The pixel at v' comes from v = R^-1 (M v' - t). A place outside the image gives the pixel that
    stands at v' before the move: background of the right level.
    """
    ny, nx = image.shape
    cy, cx = ny // 2, nx // 2
    cosine, sine, tx, ty, sign = pose[0], pose[1], pose[2], pose[3], pose[4]
    for j in range(ny):
        y = (j - cy) - ty
        for i in range(nx):
            x = sign * (i - cx) - tx
            u = cosine * x - sine * y + cx
            v = sine * x + cosine * y + cy
            if u >= 0.0 and u <= nx - 1.0 and v >= 0.0 and v <= ny - 1.0:
                out[j, i] += _interpolate(work, v, u)
            else:
                out[j, i] += image[j, i]


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
