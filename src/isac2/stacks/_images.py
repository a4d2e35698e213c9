"""Where pixels are: files of raw images, and reading many of them with few files open."""

from __future__ import annotations

import itertools
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError

__all__ = [
    "Descriptor",
    "ImageFile",
    "OpenFiles",
    "OwnedDescriptor",
    "RawImages",
    "find_runs",
    "image_chunks",
]

_BUFFERS_PER_CALL = 512
_BYTES_PER_CALL = 32 << 20


class _Closeable(Protocol):
    def close(self) -> None: ...


class OpenFiles:
    """A bounded set of open files, shared by threads.

    A file that is in use is never closed; of the others the one unused for longest goes first.
    Copies made by pickling start empty.
    """

    def __init__(self, limit: int = 64) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._files: OrderedDict[str, tuple[Any, list[int]]] = OrderedDict()

    def __reduce__(self) -> tuple[type[OpenFiles], tuple[int]]:
        """Pickle the limit only: descriptors do not travel."""
        return OpenFiles, (self._limit,)

    def __len__(self) -> int:
        """Return how many files are open now."""
        return len(self._files)

    @contextmanager
    def borrow(self, path: Path, opener: Callable[[Path], _Closeable]) -> Iterator[Any]:
        """Yield the open file of `path`, opened by `opener` when it is not open yet."""
        key = f"{opener.__name__} {path}"
        with self._lock:
            if key not in self._files:
                self._close_idle(self._limit - 1)
                self._files[key] = (opener(path), [0])
            handle, users = self._files[key]
            self._files.move_to_end(key)
            users[0] += 1
        try:
            yield handle
        finally:
            with self._lock:
                users[0] -= 1
                self._close_idle(self._limit)

    def close(self) -> None:
        """Close all files that nobody is using."""
        with self._lock:
            self._close_idle(0)

    def _close_idle(self, keep: int) -> None:
        for key in list(self._files):
            if len(self._files) <= keep:
                break
            handle, users = self._files[key]
            if users[0] == 0:
                del self._files[key]
                handle.close()


class Descriptor(Protocol):
    """An open file of the operating system."""

    def fileno(self) -> int:
        """Return its number."""

    def close(self) -> None:
        """Close it."""


class ImageFile(Protocol):
    """Images of one size in one file."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def count(self) -> int:
        """Number of images."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of an image, (ny, nx)."""

    @property
    def pixel_size_in_angstroms(self) -> float:
        """Pixel size in the file's header, or NaN."""

    def read_into(
        self,
        files: OpenFiles,
        slots: NDArray[np.int64],
        out: NDArray[np.float32],
        places: NDArray[np.int64],
    ) -> None:
        """Read image `slots[i]` into `out[places[i]]`; slots ascend, out is (m, ny, nx)."""


@dataclass(frozen=True)
class RawImages:
    """Uncompressed images that follow each other in a file."""

    path: Path
    offset: int  # of the first image, bytes
    dtype: np.dtype[Any]
    count: int
    shape: tuple[int, int]
    pixel_size_in_angstroms: float = float("nan")

    @property
    def image_bytes(self) -> int:
        """Bytes of one image."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    def read_into(
        self,
        files: OpenFiles,
        slots: NDArray[np.int64],
        out: NDArray[np.float32],
        places: NDArray[np.int64],
    ) -> None:
        """Read image `slots[i]` into `out[places[i]]`; slots ascend, out is (m, ny, nx)."""
        self.read_at(files, self.offset + slots * self.image_bytes, out, places)

    def read_at(
        self,
        files: OpenFiles,
        positions: NDArray[np.int64],
        out: NDArray[np.float32],
        places: NDArray[np.int64],
        opener: Callable[[Path], Descriptor] | None = None,
    ) -> None:
        """Read the image at byte `positions[i]` of the file into `out[places[i]]`.

        `opener` opens the bytes, when they are not simply those of the file.
        """
        if not len(positions):
            return
        with files.borrow(self.path, opener or _open_descriptor) as file:
            if self.dtype == np.dtype("<f4") and np.dtype("<f4").isnative:
                self._fill(file.fileno(), positions, out, places)
                return
            longest = min(max(1, _BYTES_PER_CALL // self.image_bytes), _BUFFERS_PER_CALL)
            for start, stop in find_runs(positions, longest, self.image_bytes):
                stored = np.empty((stop - start, *self.shape), self.dtype)
                _read_exactly(
                    file.fileno(), [stored.data.cast("B")], int(positions[start]), self.path
                )
                out[places[start:stop]] = stored

    def _fill(
        self,
        descriptor: int,
        positions: NDArray[np.int64],
        out: NDArray[np.float32],
        places: NDArray[np.int64],
    ) -> None:
        """Read pixels that need no conversion straight to where they go.

        A run of images may be short, in EMAN2's HDF a single one, so little is done for each.
        """
        target, size = out.data.cast("B"), self.image_bytes
        # the same number where a place is the one after the place before
        stretch = np.cumsum(np.diff(places, prepend=places[:1]) != 1).tolist()
        where, at = places.tolist(), positions.tolist()
        for start, stop in find_runs(positions, _BUFFERS_PER_CALL, size):
            if stretch[start] == stretch[stop - 1]:
                first = where[start] * size
                buffers = [target[first : first + (stop - start) * size]]
            else:
                buffers = [target[place * size : (place + 1) * size] for place in where[start:stop]]
            _read_exactly(descriptor, buffers, at[start], self.path)


def find_runs(numbers: NDArray[np.int64], longest: int, step: int = 1) -> Iterator[tuple[int, int]]:
    """Yield the limits of runs of numbers a step apart, each at most `longest` long.

    Examples
    --------
    >>> list(find_runs(np.array([3, 4, 5, 9]), 2))
    [(0, 2), (2, 3), (3, 4)]
    """
    breaks = np.flatnonzero(np.diff(numbers) != step) + 1
    limits = [0, *breaks.tolist(), len(numbers)]
    for start, stop in itertools.pairwise(limits):
        for first in range(start, stop, longest):
            yield first, min(first + longest, stop)


def image_chunks(images: NDArray[Any] | Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Yield arrays (m, ny, nx), whether one array, chunks or single images are given."""
    pieces = [images] if isinstance(images, np.ndarray) else images
    for piece in pieces:
        array = np.asarray(piece)
        yield array if array.ndim == 3 else array.reshape(-1, *array.shape[-2:])


class OwnedDescriptor:
    """A file descriptor that closes itself when it is no longer referred to."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        """Return the descriptor's number."""
        return self._number

    def close(self) -> None:
        """Close the descriptor, once."""
        if self._number >= 0:
            os.close(self._number)
            self._number = -1

    def __del__(self) -> None:
        """Close what was left open."""
        self.close()


def _open_descriptor(path: Path) -> OwnedDescriptor:
    try:
        return OwnedDescriptor(os.open(path, os.O_RDONLY))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


def _read_exactly(descriptor: int, buffers: list[memoryview], position: int, path: Path) -> None:
    """Fill the buffers from the file, starting at a position; safe from many threads at once."""
    wanted = sum(map(len, buffers))
    while wanted:
        read = os.preadv(descriptor, buffers, position)
        if read == 0:
            raise InputError(
                f"{path} ends at byte {position}, in the middle of an image: it was cut short or "
                "is still being written."
            )
        position, wanted = position + read, wanted - read
        if wanted:
            buffers = _left_of(buffers, read)


def _left_of(buffers: list[memoryview], filled: int) -> list[memoryview]:
    """Return what is left of buffers of which the first bytes are filled."""
    for number, buffer in enumerate(buffers):
        if filled < len(buffer):
            return [buffer[filled:], *buffers[number + 1 :]]
        filled -= len(buffer)
    return []
