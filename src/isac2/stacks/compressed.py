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
from collections.abc import Iterator
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
_USUAL_RATIO = 20
"""Particle images are mostly noise, which is packed to a third at best."""


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

    That the file is long enough shows only when it is unpacked. So a header that promises more than
    any compression can have made of it is refused here, and one that promises unusually much is
    believed only after the file has been unpacked to that length, piece by piece and into nothing:
    whoever is told of this many images, or of images this large, will allocate memory for them.

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
    if needed > size * _USUAL_RATIO:
        for _ in _pieces(path, needed):
            pass
    return CompressedMrc(images)


def _is_gzip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _open_stream(path: Path) -> gzip.GzipFile | bz2.BZ2File:
    """Open the unpacked content for reading."""
    return gzip.open(path, "rb") if _is_gzip(path) else bz2.open(path, "rb")


def _pieces(path: Path, needed: int) -> Iterator[bytes]:
    """Yield the unpacked content up to `needed` bytes, and check that it has so many."""
    try:
        with _open_stream(path) as stream:
            copied = 0
            while copied < needed:
                piece = stream.read(min(_PIECE, needed - copied))
                if not piece:
                    raise EOFError(f"it ends after {copied} of {needed} bytes")
                copied += len(piece)
                yield piece
            stream.read(1)  # only reading to the end checks the sums
    except _ERRORS as error:
        raise InputError(f"{path} cannot be unpacked: {error}.") from None


def _unpack(path: Path) -> OwnedDescriptor:
    """Unpack into a temporary file that vanishes when it is closed."""
    images = open_compressed_mrc(path).images
    needed = images.offset + images.count * images.image_bytes
    if shutil.disk_usage(tempfile.gettempdir()).free < needed:
        raise InputError(
            f"{path} needs {needed} bytes to be unpacked, which {tempfile.gettempdir()} does not "
            "have; unpack it yourself, or set TMPDIR."
        )
    with tempfile.TemporaryFile() as target:
        try:
            for piece in _pieces(path, needed):
                target.write(piece)
            target.flush()
        except OSError as error:
            raise InputError(f"{path} cannot be unpacked: {error}.") from None
        return OwnedDescriptor(os.dup(target.fileno()))
