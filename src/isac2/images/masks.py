"""Masks: which pixels belong to a particle or a filament."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["disc_mask", "pixel_offsets", "rectangle_mask"]


def pixel_offsets(box: int) -> NDArray[np.float64]:
    """Return each pixel's offset from the centre ``box // 2`` along one axis, float64 (box,)."""
    return np.arange(box, dtype=np.float64) - box // 2


def disc_mask(box: int, radius: float) -> NDArray[np.bool_]:
    """Mark the pixels inside a disc about the image's centre.

    Parameters
    ----------
    box : int
        Side of the square image, pixels.
    radius : float
        A pixel is inside when ``x^2 + y^2 <= radius^2``, offsets from ``box // 2``.

    Returns
    -------
    bool (box, box)

    Examples
    --------
    >>> disc_mask(4, 1).astype(int).tolist()
    [[0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 1, 1], [0, 0, 1, 0]]
    """
    offset = pixel_offsets(box)
    return np.asarray(offset[:, None] ** 2 + offset[None, :] ** 2 <= radius**2)


def rectangle_mask(box: int, width: float, angle_in_degrees: ArrayLike) -> NDArray[np.bool_]:
    """Mark the pixels of a rectangle that runs through the whole box and its centre.

    Parameters
    ----------
    box : int
        Side of the square image, pixels.
    width : float
        Across the rectangle, pixels: a pixel is inside when it lies within half of it of the axis.
    angle_in_degrees : float (...)
        Direction ``(cos, sin)`` of the axis in (x, y), y down the rows: 0 lies along the rows, 90
        along the columns. A filament's axis is at minus RELION's in-plane prior.

    Returns
    -------
    bool (..., box, box)

    Examples
    --------
    >>> rectangle_mask(4, 2, 0).astype(int).tolist()
    [[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
    """
    offset = pixel_offsets(box)
    angle = np.radians(np.asarray(angle_in_degrees, dtype=np.float64))[..., None, None]
    distance = np.abs(offset[:, None] * np.cos(angle) - offset[None, :] * np.sin(angle))
    # A hair's breadth of tolerance keeps the mask the same for an angle and its opposite.
    return np.asarray(distance <= 0.5 * width + 1e-9)
