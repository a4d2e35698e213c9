"""A particle stack: where each image's pixels are, and what is known about it."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isac2.errors import InputError
from isac2.stacks._images import ImageFile, OpenFiles
from isac2.stacks.metadata import Metadata

__all__ = ["Stack"]

_FINGERPRINT_BLOCK = 4096
_PIXEL_SIZE_TOLERANCE = 1e-3
_MOST_THREADS = 4
_BYTES_A_THREAD = 16 << 20


class Stack:
    """Lazy pixels and one table of metadata, a row an image.

    Parameters
    ----------
    path : Path
        What the stack was opened from.
    kind : str
        Words for the file's format.
    files : sequence of ImageFile
        Files that hold pixels.
    file_index : int32 (n,)
        Which file each image is in.
    slots : int64 (n,)
        Number, from 0, of each image in its file.
    metadata : Metadata
        Of n particles.

    Raises
    ------
    InputError
        When images are not square, not of one size, or beyond the end of their file.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        files: Sequence[ImageFile],
        file_index: NDArray[np.int32],
        slots: NDArray[np.int64],
        metadata: Metadata,
    ) -> None:
        self.path = path
        self.kind = kind
        self.metadata = metadata
        self.files = tuple(files)
        self.file_index = file_index
        self.slots = slots
        self._open_files = OpenFiles()
        self._check_slots()
        self.box_size = self._common_box_size()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.slots)

    def __repr__(self) -> str:
        """Return the stack in one line."""
        return f"<Stack {self.path}: {len(self)} images of {self.box_size} px>"

    @property
    def pixel_size_in_angstroms(self) -> float | None:
        """The one pixel size of all images, or None when it is unknown or differs."""
        known = self.metadata.pixel_size_in_angstroms
        if not len(known) or not np.isfinite(known).all():
            return None
        spread = float(known.max() - known.min())
        return float(known[0]) if spread <= _PIXEL_SIZE_TOLERANCE * float(known[0]) else None

    def read(
        self,
        indices: ArrayLike | slice | None = None,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Read images.

        Safe from many threads at once. Images are fetched file by file, neighbours together,
        whatever the order asked for; large requests by a few threads.

        Parameters
        ----------
        indices : int array (m,), slice or None
            Which images, in any order, repeats allowed; None is all.
        out : float32 array (m, box_size, box_size), optional
            C-contiguous array to fill; a loop that uses one again reads about twice as fast.

        Returns
        -------
        float32 array (m, box_size, box_size)
            C-contiguous, in the order of `indices`.

        Raises
        ------
        IndexError
            When there is no such image.
        InputError
            When a file cannot be read any more.
        """
        rows = self._rows(indices)
        shape = (len(rows), self.box_size, self.box_size)
        if out is None:
            out = np.empty(shape, np.float32)
        elif out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise ValueError(f"out must be a C-contiguous float32 array of the shape {shape}")
        if len(rows):
            self._read_rows(rows, out)
        return out

    def _read_rows(self, rows: NDArray[np.int64], out: NDArray[np.float32]) -> None:
        """Fill `out` with the images of `rows`, file by file."""
        files, slots = self.file_index[rows], self.slots[rows]
        order = np.lexsort((slots, files))
        files, slots = files[order], slots[order]

        def read_part(part: slice) -> None:
            file = self.files[files[part.start]]
            file.read_into(self._open_files, slots[part], out, order[part])

        parts = _parts_of_one_file(files, max(1, _BYTES_A_THREAD // (4 * self.box_size**2)))
        threads = min(_MOST_THREADS, len(parts), _core_count())
        if threads > 1 and out.nbytes >= 2 * _BYTES_A_THREAD:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(read_part, parts))
        else:
            for part in parts:
                read_part(part)

    def select(self, indices: ArrayLike | slice) -> Stack:
        """Return the stack of these images only, in this order; no pixel is copied."""
        rows = self._rows(indices)
        return Stack(
            self.path,
            self.kind,
            self.files,
            self.file_index[rows],
            self.slots[rows],
            self.metadata.select(rows),
        )

    def close(self) -> None:
        """Close the files that are open; reading opens them again."""
        self._open_files.close()

    def describe(self) -> str:
        """Return a few words on the stack: count, size, pixel size, files, CTF, poses."""
        pixel_size = self.pixel_size_in_angstroms
        size = f"{pixel_size:g} A" if pixel_size else "unknown or mixed pixel size"
        parts = [
            f"{self.path}: {self.kind}",
            f"{len(self)} images of {self.box_size} x {self.box_size} px, {size}",
            f"{len(self.files)} file(s) of pixels",
            "CTF known" if self.metadata.has_ctf else "CTF not known",
            "2D poses" if self.metadata.poses is not None else "no 2D poses",
        ]
        return "; ".join(parts)

    def fingerprint(self) -> str:
        """Return a SHA-256 over the table, and over size, begin and end of each file of pixels.

        It does not read all pixels, so a change in the middle of a file is not seen.
        """
        digest = hashlib.sha256()
        for array in (self.file_index, self.slots, *_numeric_columns(self.metadata)):
            digest.update(np.ascontiguousarray(array).tobytes())
        for file in self.files:
            try:
                with open(file.path, "rb") as content:
                    size = content.seek(0, 2)
                    content.seek(0)
                    digest.update(size.to_bytes(8, "little") + content.read(_FINGERPRINT_BLOCK))
                    content.seek(max(0, size - _FINGERPRINT_BLOCK))
                    digest.update(content.read(_FINGERPRINT_BLOCK))
            except OSError as error:
                raise InputError(f"{file.path} cannot be read: {error.strerror}.") from None
        return digest.hexdigest()

    def _rows(self, indices: ArrayLike | slice | None) -> NDArray[np.int64]:
        if indices is None or isinstance(indices, slice):
            return np.arange(len(self))[indices or slice(None)]
        rows = np.atleast_1d(np.asarray(indices))
        if rows.size == 0:
            return np.empty(0, np.int64)
        if rows.dtype.kind not in "iu" or rows.ndim != 1:
            raise IndexError("images are chosen by a one-dimensional array of whole numbers")
        wrong = (rows < 0) | (rows >= len(self))
        if wrong.any():
            raise IndexError(f"image {rows[wrong][0]} does not exist: {self.path} has {len(self)}")
        return rows.astype(np.int64)

    def _check_slots(self) -> None:
        counts = np.array([file.count for file in self.files], np.int64)
        if not len(self.slots):
            raise InputError(f"{self.path} holds no images.")
        wrong = np.flatnonzero((self.slots < 0) | (self.slots >= counts[self.file_index]))
        if wrong.size:
            image = int(wrong[0])
            file = self.files[self.file_index[image]]
            raise InputError(
                f"{self.path}: image {image + 1} is number {self.slots[image] + 1} of {file.path}, "
                f"which has {file.count} images ({wrong.size} image(s) like this)."
            )

    def _common_box_size(self) -> int:
        used, examples = np.unique(self.file_index, return_index=True)
        first = self.files[self.file_index[0]]
        for file, image in zip((self.files[index] for index in used), examples, strict=True):
            rows, columns = file.shape
            where = f"(image {image + 1} of {self.path})"
            if rows != columns:
                raise InputError(
                    f"{file.path}: images are {columns} x {rows} px, but must be square {where}."
                )
            if file.shape != first.shape:
                raise InputError(
                    f"{file.path}: images are {columns} x {rows} pixels, but those of {first.path} "
                    f"are {first.shape[1]} x {first.shape[0]} {where}."
                )
        return int(first.shape[0])


def _core_count() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _parts_of_one_file(files: NDArray[np.int32], longest: int) -> list[slice]:
    """Cut sorted file numbers into parts of one file each, at most `longest` long."""
    limits = [0, *(np.flatnonzero(np.diff(files)) + 1).tolist(), len(files)]
    return [
        slice(first, min(first + longest, stop))
        for start, stop in itertools.pairwise(limits)
        for first in range(start, stop, longest)
    ]


def _numeric_columns(metadata: Metadata) -> list[NDArray[Any]]:
    """Return the columns that a result may depend on."""
    columns = [getattr(metadata, item.name) for item in fields(metadata)]
    return [c for c in columns if isinstance(c, np.ndarray) and c.dtype.kind in "fiV"]
