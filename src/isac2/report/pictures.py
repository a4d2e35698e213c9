"""Images as the page carries them: 8-bit pictures, many to a sheet, inside the address itself."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sheets", "picture_address", "sheets_of_images", "to_bytes"]

_TILES_A_SHEET = 256
_COLUMNS = 16


@dataclass(frozen=True)
class Sheets:
    """Images cut from sheets of 16 columns, 256 to a sheet, row by row.

    Attributes
    ----------
    addresses : tuple of str
        One ``data:`` address a sheet.
    box : int
        Side of each image, pixels.
    windows : int64 (n, 2)
        Darkest and brightest grey that is worth showing of each image, 0 to 255.
    """

    addresses: tuple[str, ...]
    box: int
    windows: NDArray[np.int64]


def sheets_of_images(images: NDArray[np.float32], lossy: bool = False) -> Sheets:
    """Put images (n, box, box) on sheets, each scaled from its own minimum to its own maximum.

    Parameters
    ----------
    images : float32 (n, box, box)
        Not finite pixels are shown as the image's minimum.
    lossy : bool
        JPEG instead of PNG: a fifth of the size for single particles, which are mostly noise.
    """
    tiles, windows = to_bytes(images)
    sheets = [
        _sheet(tiles[first : first + _TILES_A_SHEET])
        for first in range(0, len(tiles), _TILES_A_SHEET)
    ]
    addresses = tuple(picture_address(sheet, lossy) for sheet in sheets)
    return Sheets(addresses, images.shape[-1], windows)


def to_bytes(images: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Scale each image to 0-255; also say between which greys all but 1 % of it lies.

    Examples
    --------
    >>> greys, window = to_bytes(np.array([[[0.0, 1.0], [2.0, 5.0]]], dtype=np.float32))
    >>> greys.tolist(), window.tolist()
    ([[[0, 51], [102, 255]]], [[1, 253]])
    """
    if len(images) == 0:
        return images.astype(np.uint8), np.empty((0, 2), dtype=np.int64)
    flat = images.reshape(len(images), -1).astype(np.float64)
    flat = np.where(np.isfinite(flat), flat, np.nan)
    flat = np.where(np.isnan(flat).all(axis=1, keepdims=True), 0.0, flat)
    low = np.nanmin(flat, axis=1, keepdims=True)
    span = np.nanmax(flat, axis=1, keepdims=True) - low
    scaled = np.nan_to_num((flat - low) / np.where(span > 0, span, 1.0), nan=0.0) * 255
    limits = np.percentile(scaled, [0.5, 99.5], axis=1).T
    windows = np.rint(limits).astype(np.int64)
    return np.rint(scaled).astype(np.uint8).reshape(images.shape), windows


def _sheet(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay tiles (n, box, box) out in rows of 16; the last row is filled up with black."""
    box = tiles.shape[-1]
    rows = -(-len(tiles) // _COLUMNS)
    columns = min(_COLUMNS, len(tiles))
    sheet = np.zeros((rows * columns, box, box), dtype=np.uint8)
    sheet[: len(tiles)] = tiles
    return sheet.reshape(rows, columns, box, box).swapaxes(1, 2).reshape(rows * box, columns * box)


def picture_address(picture: NDArray[np.uint8], lossy: bool = False) -> str:
    """Return a grey picture (height, width) as a ``data:`` address."""
    from PIL import Image

    file = io.BytesIO()
    if lossy:
        Image.fromarray(picture).save(file, format="JPEG", quality=60)
    else:
        Image.fromarray(picture).save(file, format="PNG", optimize=True)
    kind = "jpeg" if lossy else "png"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
