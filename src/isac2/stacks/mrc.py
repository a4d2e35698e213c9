"""MRC stacks: reading any mode and byte order lazily, writing image stacks.

The header is that of MRC2014 (https://www.ccpem.ac.uk/mrc-format/mrc2014/). Sections of a
volume are read as images.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.files import atomic_path
from isac2.stacks._images import RawImages, image_chunks

__all__ = ["HEADER_BYTES", "open_mrc", "parse_mrc_header", "write_mrcs"]

HEADER_BYTES = 1024

_MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_MODE_OF = {"int8": 0, "int16": 1, "float32": 2, "uint16": 6, "float16": 12}


def open_mrc(path: Path) -> RawImages:
    """Read the header of an MRC file and say where its images are.

    Parameters
    ----------
    path : Path
        The file; gzip and bzip2 are not understood here.

    Returns
    -------
    RawImages
        One image a section.

    Raises
    ------
    InputError
        When the file is no MRC file, has a mode without real numbers, or is shorter than its header
        says.
    """
    try:
        with open(path, "rb") as file:
            header = file.read(HEADER_BYTES)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    images = parse_mrc_header(path, header)
    needed = images.offset + images.count * images.image_bytes
    if size < needed:
        raise InputError(
            f"{path} is cut short: its header promises {images.count} images, {images.shape[1]} x "
            f"{images.shape[0]} ({needed} bytes), but the file has {size} bytes."
        )
    return images


def parse_mrc_header(path: Path, header: bytes) -> RawImages:
    """Say where the images of an MRC file are, from its first 1024 bytes.

    Raises
    ------
    InputError
        When the header is not one of an MRC file that holds real numbers.
    """
    order = _byte_order(header) if len(header) == HEADER_BYTES else None
    if order is None:
        raise InputError(
            f"{path} is not an MRC file: its first {HEADER_BYTES} bytes are no MRC header."
        )
    nx, ny, nz, mode = (int(value) for value in _integers(header, order, 0, 4))
    if mode not in _MODES:
        raise InputError(
            f"{path} has MRC mode {mode}; modes 0, 1, 2, 6 and 12 (real numbers) can be read."
        )
    extended = int(_integers(header, order, 92, 1)[0])
    if min(nx, ny, nz) < 1 or extended < 0:
        raise InputError(
            f"{path} has an impossible MRC header: {nx} x {ny} x {nz} pixels, extended header of "
            f"{extended} bytes."
        )
    return RawImages(
        path=path,
        offset=HEADER_BYTES + extended,
        dtype=np.dtype(order + _MODES[mode]),
        count=nz,
        shape=(ny, nx),
        pixel_size_in_angstroms=_pixel_size(header, order),
    )


def _integers(header: bytes, order: str, offset: int, count: int) -> NDArray[Any]:
    return np.frombuffer(header, order + "i4", count, offset)


def _byte_order(header: bytes) -> str | None:
    """Return `<` or `>`, by the machine stamp, else by which order gives a mode; None if neither.

    Old programs left the stamp empty or wrong, so the mode decides when stamp and mode disagree.
    """
    stamped = ">" if header[212:213] == b"\x11" else "<"
    for order in (stamped, "<" if stamped == ">" else ">"):
        sizes = _integers(header, order, 0, 3)
        if 0 <= int(_integers(header, order, 12, 1)[0]) <= 128 and (sizes >= 0).all():
            return order
    return None


def _pixel_size(header: bytes, order: str) -> float:
    """Return cell length over sampling along x, or NaN when the header has none."""
    sampling = int(_integers(header, order, 28, 1)[0])
    length = float(np.frombuffer(header, order + "f4", 1, 40)[0])
    if sampling < 1 or not np.isfinite(length) or length <= 0:
        return float("nan")
    return length / sampling


def write_mrcs(
    path: str | os.PathLike[str],
    images: NDArray[Any] | Iterable[NDArray[Any]],
    pixel_size_in_angstroms: float | None = None,
) -> None:
    """Write an MRC image stack, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file to write.
    images : array (n, ny, nx) or iterable of arrays (m, ny, nx)
        The images, or chunks of them. int8, int16, uint16 and float16 are stored as they are, all
        else as float32.
    pixel_size_in_angstroms : float, optional
        Written into the header; 0 (unknown) without it.

    Raises
    ------
    InputError
        When there is no image, or chunks have different sizes.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "two.mrcs"
    >>> write_mrcs(path, np.zeros((2, 4, 4)), 1.5)
    >>> open_mrc(path).count
    2
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(bytes(HEADER_BYTES))
        sums = _Sums()
        dtype, shape = np.dtype(np.float32), None
        for chunk in image_chunks(images):
            if shape is None:
                shape = chunk.shape[1:]
                dtype = chunk.dtype if chunk.dtype.name in _MODE_OF else dtype
            if chunk.shape[1:] != shape:
                raise InputError(f"{path}: images of different sizes do not go into one stack.")
            stored = np.ascontiguousarray(chunk, dtype.newbyteorder("<"))
            stored.tofile(file)
            sums.add(stored)
        if shape is None or sums.images == 0:
            raise InputError(f"{path}: there is no image to write.")
        _write_header(file, (sums.images, *shape), dtype, pixel_size_in_angstroms or 0.0, sums)


class _Sums:
    """Extremes and moments of the finite pixels that have been written, in float64."""

    def __init__(self) -> None:
        self.images = 0
        self.minimum, self.maximum = np.inf, -np.inf
        self.total = self.total_squares = self.pixels = 0.0

    def add(self, chunk: NDArray[Any]) -> None:
        """Take one chunk of images into account, image by image to stay small."""
        self.images += len(chunk)
        for image in chunk:
            values = image[np.isfinite(image)].astype(np.float64)
            if not values.size:
                continue
            self.minimum = min(self.minimum, float(values.min()))
            self.maximum = max(self.maximum, float(values.max()))
            self.total += float(values.sum())
            self.total_squares += float((values * values).sum())
            self.pixels += values.size


def _write_header(
    file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any], pixel_size: float, sums: _Sums
) -> None:
    """Fill in the first 1024 bytes: an image stack (space group 0, one section a unit cell)."""
    from mrcfile.dtypes import HEADER_DTYPE

    header = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    header["nz"], header["ny"], header["nx"] = shape
    header["mode"] = _MODE_OF[dtype.name]
    header["mx"], header["my"], header["mz"] = shape[2], shape[1], 1
    cell = (shape[2] * pixel_size, shape[1] * pixel_size, pixel_size)
    header["cella"], header["cellb"] = cell, (90.0, 90.0, 90.0)
    header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
    mean = sums.total / max(1.0, sums.pixels)
    variance = max(0.0, sums.total_squares / max(1.0, sums.pixels) - mean * mean)
    if sums.pixels:
        header["dmin"], header["dmax"] = sums.minimum, sums.maximum
    header["dmean"], header["rms"] = mean, np.sqrt(variance)
    header["map"] = b"MAP "
    header["nversion"] = 20140
    header["machst"] = (0x44, 0x44, 0, 0)
    file.seek(0)
    file.write(header.tobytes())
