"""MRC stacks compressed by gzip or bzip2.

`mrcfile` reads them too, but unpacks into memory all that the header promises. Here the stack is
unpacked piece by piece into a nameless temporary file, once, when the first image is asked for.
"""

from __future__ import annotations

import bz2
import gzip
import os
import shutil
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.stacks._images import OpenFiles, OwnedDescriptor, RawImages
from isac2.stacks.mrc import HEADER_BYTES, parse_mrc_header

__all__ = ["CompressedMrc", "open_compressed_mrc"]

_PIECE = 4 << 20
_ERRORS = (OSError, EOFError, ValueError, zlib.error)
_LARGEST_RATIO = {True: 1_100, False: 1_000_000}  # of gzip and of bzip2


@dataclass(frozen=True)
class CompressedMrc:
    """Images of a compressed MRC file; `images` is where they are once unpacked."""

    images: RawImages

    @property
    def path(self) -> Path:
        """The file."""
        return self.images.path

    @property
    def count(self) -> int:
        """Number of images."""
        return self.images.count

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of an image."""
        return self.images.shape

    @property
    def pixel_size_in_angstroms(self) -> float:
        """Pixel size in the header, or NaN."""
        return self.images.pixel_size_in_angstroms

    def read_into(
        self,
        files: OpenFiles,
        slots: NDArray[np.int64],
        out: NDArray[np.float32],
        places: NDArray[np.int64],
    ) -> None:
        """Read image `slots[i]` into `out[places[i]]`; slots ascend, out is (m, ny, nx)."""
        positions = self.images.offset + slots * self.images.image_bytes
        self.images.read_at(files, positions, out, places, _unpack)


def open_compressed_mrc(path: Path) -> CompressedMrc:
    """Read the header of a compressed MRC file.

    That the file is long enough shows only when it is unpacked, so a header that promises more than
    any compression can have made of it is refused here.

    Raises
    ------
    InputError
        When it cannot be unpacked, or is no MRC file inside.
    """
    try:
        with _open_stream(path) as stream:
            header = stream.read(HEADER_BYTES)
        size = path.stat().st_size
    except _ERRORS as error:
        raise InputError(f"{path} cannot be unpacked: {error}.") from None
    images = parse_mrc_header(path, header)
    needed = images.offset + images.count * images.image_bytes
    if needed > size * _LARGEST_RATIO[_is_gzip(path)]:
        raise InputError(
            f"{path} promises {needed} bytes of images, which {size} compressed bytes cannot hold."
        )
    return CompressedMrc(images)


def _is_gzip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _open_stream(path: Path) -> gzip.GzipFile | bz2.BZ2File:
    """Open the unpacked content for reading."""
    return gzip.open(path, "rb") if _is_gzip(path) else bz2.open(path, "rb")


def _unpack(path: Path) -> OwnedDescriptor:
    """Unpack into a temporary file that vanishes when it is closed."""
    images = open_compressed_mrc(path).images
    needed = images.offset + images.count * images.image_bytes
    if shutil.disk_usage(tempfile.gettempdir()).free < needed:
        raise InputError(
            f"{path} needs {needed} bytes to be unpacked, which {tempfile.gettempdir()} does not "
            "have; unpack it yourself, or set TMPDIR."
        )
    try:
        with _open_stream(path) as stream, tempfile.TemporaryFile() as target:
            copied = 0
            while copied < needed:
                piece = stream.read(min(_PIECE, needed - copied))
                if not piece:
                    raise EOFError(f"it ends after {copied} of {needed} bytes")
                copied += target.write(piece)
            stream.read(1)  # only reading to the end checks the sums
            target.flush()
            return OwnedDescriptor(os.dup(target.fileno()))
    except _ERRORS as error:
        raise InputError(f"{path} cannot be unpacked: {error}.") from None
