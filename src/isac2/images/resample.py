"""Changing the sampling and the box of images without moving their centre.

Resampling is exact in its ratio and in the centre, whatever the boxes are: a feature at offset v
from the centre ``n // 2`` lands at ``ratio * v`` from the new centre ``m // 2``. It is two matrix
products an image, because the band-limited interpolation of a row is linear and the same for all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isac2.images.masks import pixel_offsets

__all__ = ["crop_or_pad", "resample", "resampled_box", "resampling_matrix"]


def resampled_box(box: int, ratio: float) -> int:
    """Return the box that holds a resampled image: ``box * ratio`` to the nearest pixel."""
    return int(box * ratio + 0.5)


def resampling_matrix(box: int, new_box: int, ratio: float) -> NDArray[np.float64]:
    """Return the band-limited interpolation of one axis, float64 (new_box, box).

    Row j holds the trigonometric interpolation of the periodic signal at the place that output
    pixel j comes from; frequencies that the new sampling cannot carry are left out.

    Parameters
    ----------
    box, new_box : int
        Pixels before and after.
    ratio : float
        Old pixel size over new pixel size.
    """
    # (new_box, box): distance from where output pixel j comes from to input pixel i
    distance = pixel_offsets(new_box)[:, None] / ratio - pixel_offsets(box)[None, :]
    number = np.arange(box // 2 + 1)
    carried = number[number < 0.5 * box * ratio] if ratio < 1.0 else number
    matrix = np.zeros_like(distance)
    for k in carried:
        # The two coefficients at +k and -k; zero and an even box's Nyquist have only one.
        weight = 1.0 if k == 0 or 2 * k == box else 2.0
        matrix += weight * np.cos(2.0 * np.pi * k * distance / box)
    return matrix / box


def resample(images: NDArray[np.float32], ratio: float) -> NDArray[np.float32]:
    """Resample images band-limited, so that nothing is aliased.

    Parameters
    ----------
    images : float32 (..., n, n)
    ratio : float
        Old pixel size over new pixel size: below 1 the images shrink.

    Returns
    -------
    float32 (..., m, m)
        ``m = int(n * ratio + 0.5)``; grey values keep their level.

    Examples
    --------
    >>> resample(np.ones((2, 10, 10), np.float32), 0.5).shape
    (2, 5, 5)
    """
    box = images.shape[-1]
    matrix = resampling_matrix(box, resampled_box(box, ratio), ratio).astype(np.float32)
    return np.asarray(matrix @ images @ matrix.T, dtype=np.float32)


def crop_or_pad(images: NDArray[np.float32], box: int) -> NDArray[np.float32]:
    """Cut images down, or widen them with zeros, about their centre.

    Parameters
    ----------
    images : float32 (..., n, n)
    box : int
        The new side, pixels; pixel ``n // 2`` becomes pixel ``box // 2``.

    Returns
    -------
    float32 (..., box, box)
        A copy.

    Examples
    --------
    >>> crop_or_pad(np.arange(16, dtype=np.float32).reshape(4, 4), 2).tolist()
    [[5.0, 6.0], [9.0, 10.0]]
    """
    old_box = images.shape[-1]
    result = np.zeros((*images.shape[:-2], box, box), dtype=np.float32)
    start = old_box // 2 - box // 2
    source = slice(max(start, 0), min(start + box, old_box))
    target = slice(source.start - start, source.stop - start)
    result[..., target, target] = images[..., source, source]
    return result
