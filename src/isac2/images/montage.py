"""Many images beside each other on one sheet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["montage"]

_STANDARD_DEVIATIONS = 3.0


def montage(
    images: NDArray[np.float32], columns: int | None = None, gap: int = 2
) -> NDArray[np.uint8]:
    """Lay images out in rows, each with its own contrast: mean -+ 3 standard deviations.

    Parameters
    ----------
    images : float32 (n, ny, nx)
        Pixels that are not finite are shown black.
    columns : int, optional
        Images in a row; about as many as rows by default.
    gap : int
        Pixels between images.

    Returns
    -------
    uint8 (height, width)
        Grey values; the gaps are white.

    Examples
    --------
    >>> montage(np.zeros((3, 4, 4), np.float32), columns=2).shape
    (10, 10)
    """
    count, rows, width = images.shape
    columns = columns or max(1, int(np.ceil(np.sqrt(count))))
    lines = -(-count // columns)
    sheet = np.full((lines * (rows + gap) - gap, columns * (width + gap) - gap), 255, np.uint8)
    for number, image in enumerate(images):
        top, left = (number // columns) * (rows + gap), (number % columns) * (width + gap)
        sheet[top : top + rows, left : left + width] = _grey(image)
    return sheet


def _grey(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Scale one image to 0-255."""
    finite = np.isfinite(image)
    values = image[finite].astype(np.float64)
    if not values.size:
        return np.zeros(image.shape, np.uint8)
    spread = _STANDARD_DEVIATIONS * (values.std() or 1.0)
    centred = np.where(finite, image, -np.inf).astype(np.float64) - values.mean()
    grey: NDArray[np.uint8] = np.rint(127.5 * (1.0 + np.clip(centred / spread, -1.0, 1.0))).astype(
        np.uint8
    )
    return grey
