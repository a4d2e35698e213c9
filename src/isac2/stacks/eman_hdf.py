"""EMAN2's HDF files: a group an image, an attribute a header value."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5p, h5s, h5t, h5z
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.files import atomic_path
from isac2.stacks._eman_attributes import HeaderValue, read_attribute, write_attribute
from isac2.stacks._images import OpenFiles, RawImages, image_chunks
from isac2.stacks.eman_header import PIXEL_KEYS
from isac2.stacks.faults import Faults

__all__ = ["HdfImages", "open_eman_hdf", "read_eman_headers", "write_eman_hdf"]

_PREFIX = b"EMAN."
_NOT_NEEDED = frozenset(_PREFIX + key.encode() for key in PIXEL_KEYS if not key.startswith("apix"))
_ALWAYS_LISTS = ("members",)
_LARGEST_RATIO = 1100  # deflate shrinks at most about a thousandfold
_LARGEST_SIDE = 1 << 16
_LARGEST_GAP = 10_000
_LARGEST_CHUNK = 1 << 20  # bytes, of an image that is smaller
_MOST_BITS = 32
_NOT_COMPRESSING = (h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32)
_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError)
_LOCK = threading.Lock()


@dataclass(frozen=True)
class HdfImages:
    """Images of an EMAN2 HDF file.

    Attributes
    ----------
    path : Path
        The file.
    count : int
        Number of images.
    shape : tuple of int
        Rows and columns.
    offsets : int64 (count,)
        Byte at which an image's uncompressed float32 pixels start; -1 where HDF5 has to be asked.
    pixel_size_in_angstroms : float
        NaN: it is in the images' headers.
    """

    path: Path
    count: int
    shape: tuple[int, int]
    offsets: NDArray[np.int64] = field(repr=False)
    pixel_size_in_angstroms: float = float("nan")

    def read_into(
        self,
        files: OpenFiles,
        slots: NDArray[np.int64],
        out: NDArray[np.float32],
        places: NDArray[np.int64],
    ) -> None:
        """Read image `slots[i]` into `out[places[i]]`; out is (m, ny, nx)."""
        offsets = self.offsets[slots]
        direct, others = np.flatnonzero(offsets >= 0), np.flatnonzero(offsets < 0)
        if direct.size:
            raw = RawImages(self.path, 0, np.dtype("<f4"), 1, self.shape)
            raw.read_at(files, offsets[direct], out, places[direct])
        if not others.size:
            return
        with files.borrow(self.path, _open_hdf) as file, _LOCK:
            for slot, place in zip(slots[others], places[others], strict=True):
                try:
                    out[place] = _read_rendered(file.id, int(slot))
                except _ERRORS as error:
                    raise _unreadable(self.path, error, int(slot)) from None


def open_eman_hdf(path: Path) -> HdfImages:
    """Look at the group of every image of an EMAN2 HDF file, without reading pixels.

    Raises
    ------
    InputError
        When it is no such file, or lacks an image; images of different sizes are named.
    """
    return _scan(path, (), Faults())[0]


def read_eman_headers(
    path: str | os.PathLike[str], numbers: Sequence[int] | None = None
) -> list[dict[str, HeaderValue]]:
    """Read headers of an EMAN2 HDF file.

    Parameters
    ----------
    path : path-like
        The file.
    numbers : sequence of int, optional
        Images whose headers are wanted, from 0; all by default.

    Returns
    -------
    list of dict
        Header of each image: values by their keys without `EMAN.`.

    Raises
    ------
    InputError
        When the file cannot be read, or has no such image.
    """
    headers = _scan(Path(path), None if numbers is None else set(numbers), Faults())[1]
    if numbers is None:
        return list(headers.values())
    lost = [number for number in numbers if number not in headers]
    if lost:
        raise InputError(f"{path} has no image {lost[0] + 1}.")
    return [headers[number] for number in numbers]


def scan_eman_hdf(
    path: Path, faults: Faults | None = None
) -> tuple[HdfImages, dict[int, dict[str, HeaderValue]]]:
    """Return the images and the headers, by number, of those that can be read, in one pass.

    What only describes the pixels as stored (statistics and the like) is left out.
    """
    return _scan(path, None, faults or Faults(), _NOT_NEEDED)


def _scan(
    path: Path,
    wanted: Container[int] | None,
    faults: Faults,
    left_out: frozenset[bytes] = frozenset(),
) -> tuple[HdfImages, dict[int, dict[str, HeaderValue]]]:
    """Look at all images, and read the headers of those wanted (None: all)."""
    file = _open_hdf(path)
    headers: dict[int, dict[str, HeaderValue]] = {}
    shape: tuple[int, int] | None = None
    try:
        size = path.stat().st_size
        group = _images_group(file.id, path)
        numbers, count = _image_numbers(group, path, faults)
        offsets = np.full(count, -1, np.int64)
        for number in numbers:
            try:
                image = _open_group(group, str(number).encode())
                found, offsets[number] = _look_at_pixels(image, size)
                header = None
                if wanted is None or number in wanted:
                    header = _read_attributes(image, size, left_out)
            except _ERRORS as error:
                faults.add(str(_unreadable(path, error, number)))
                continue
            shape = shape or found
            if found != shape:
                faults.add(
                    f"{path}: image {number + 1} is {found[1]} x {found[0]} pixels, but the first "
                    f"is {shape[1]} x {shape[0]}."
                )
            elif header is not None:
                headers[number] = header
    except _ERRORS as error:
        raise _unreadable(path, error, None) from None
    finally:
        file.close()
    return HdfImages(path, len(offsets), shape or (0, 0), offsets), headers


def _open_hdf(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise _unreadable(path, error, None) from None


def _unreadable(path: Path, error: BaseException, number: int | None) -> InputError:
    """Make one sentence of an error of the HDF5 library."""
    reason = (str(error).strip("'\" ").splitlines() or [type(error).__name__])[0]
    where = "" if number is None else f", image {number + 1}"
    return InputError(f"{path}{where}: cannot be read as EMAN2 HDF ({reason.rstrip('.')}).")


def _open_group(parent: Any, name: bytes) -> Any:
    """Open a group that really lies in this file: links elsewhere are refused."""
    if name not in parent:
        raise KeyError(f"the group {name.decode()} is missing")
    if parent.links.get_info(name).type != h5l.TYPE_HARD:
        raise ValueError(f"the group {name.decode()} is a link to something else")
    return h5g.open(parent, name)


def _images_group(file: Any, path: Path) -> Any:
    """Return the group that holds the images."""
    try:
        return _open_group(_open_group(h5g.open(file, b"/"), b"MDF"), b"images")
    except KeyError:
        raise InputError(
            f"{path} is an HDF5 file, but not one of EMAN2: it has no group /MDF/images."
        ) from None


def _image_numbers(group: Any, path: Path, faults: Faults) -> tuple[list[int], int]:
    """Return the numbers of the images that have a group, and how many there should be."""
    numbers = {int(name) for name in group if name.isdigit() and len(name) < 10}
    if not numbers:
        raise InputError(f"{path} holds no images.")
    count = max(numbers) + 1
    if h5a.exists(group, b"imageid_max"):
        count = max(count, int(read_attribute(group, b"imageid_max", 64)) + 1)
    if count > len(numbers) + _LARGEST_GAP:
        raise InputError(f"{path} claims {count} images, but has only {len(numbers)}.")
    for lost in range(count):
        if lost not in numbers:
            faults.add(
                f"{path}: image {lost + 1} of {count} is missing (there is no group "
                f"/MDF/images/{lost})."
            )
    return sorted(numbers), count


def _look_at_pixels(image: Any, file_size: int) -> tuple[tuple[int, int], int]:
    """Return the size of an image and where its pixels are, -1 when HDF5 has to be asked."""
    if b"image" not in image or image.links.get_info(b"image").type != h5l.TYPE_HARD:
        raise KeyError("the dataset with the pixels is missing")
    dataset = h5d.open(image, b"image")
    shape = dataset.shape
    if len(shape) == 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != 2 or min(shape) < 1 or max(shape) > _LARGEST_SIDE:
        raise ValueError(f"the pixels have the shape {dataset.shape}, not that of an image")
    plist = dataset.get_create_plist()
    layout, plain = plist.get_layout(), dataset.get_type().equal(h5t.IEEE_F32LE)
    if layout not in (h5d.COMPACT, h5d.CONTIGUOUS, h5d.CHUNKED) or plist.get_external_count():
        raise ValueError("the pixels lie in another file")
    dtype = np.dtype("<f4") if plain else dataset.dtype
    if dtype.kind not in "iuf":
        raise ValueError(f"the pixels are of the type {dtype}, not numbers")
    needed = shape[0] * shape[1] * dtype.itemsize
    if layout == h5d.CHUNKED:
        _check_chunks(plist, needed, dtype.itemsize)
    stored = min(dataset.get_storage_size(), file_size)
    if needed > stored * (_LARGEST_RATIO if layout == h5d.CHUNKED else 1):
        raise ValueError(f"{needed} bytes of pixels are promised, but {stored} stored")
    offset = -1
    if plain and layout == h5d.CONTIGUOUS and not h5a.exists(image, b"EMAN.stored_renderbits"):
        offset = dataset.get_offset()
        if offset is None or offset + needed > file_size:
            raise ValueError("the pixels lie beyond the end of the file")
    return shape, offset


def _check_chunks(plist: Any, needed: int, item_bytes: int) -> None:
    """Refuse chunks that unpack to far more than the image: HDF5 allocates whole chunks."""
    chunk = math.prod(plist.get_chunk()) * item_bytes
    if chunk > max(2 * needed, _LARGEST_CHUNK):
        raise ValueError(f"the pixels are in chunks of {chunk} bytes, but need {needed}")
    filters = [plist.get_filter(number)[0] for number in range(plist.get_nfilters())]
    if sum(code not in _NOT_COMPRESSING for code in filters) > 1:
        raise ValueError("the pixels are compressed more than once")


def _read_rendered(file: Any, number: int) -> NDArray[Any]:
    """Read one image through HDF5 and undo the compression's scaling."""
    image = h5g.open(file, f"/MDF/images/{number}".encode())
    dataset = h5d.open(image, b"image")
    stored = np.empty(dataset.shape, dataset.dtype)
    dataset.read(h5s.ALL, h5s.ALL, stored)
    stored = stored.reshape(stored.shape[-2:])
    bits = 0
    if h5a.exists(image, b"EMAN.stored_renderbits"):
        bits = int(read_attribute(image, b"EMAN.stored_renderbits", 64))
    if bits <= 0 or stored.dtype.kind == "f":
        return stored
    if bits > _MOST_BITS:
        raise ValueError(f"the pixels are said to be of {bits} bits")
    low = float(read_attribute(image, b"EMAN.stored_rendermin", 64))
    high = float(read_attribute(image, b"EMAN.stored_rendermax", 64))
    return stored / float(2**bits - 1) * (high - low) + low


def _read_attributes(
    image: Any, file_size: int, left_out: frozenset[bytes]
) -> dict[str, HeaderValue]:
    """Read an image's header; values of kinds that EMAN2 does not write are left out."""
    names: list[bytes] = []
    h5a.iterate(image, lambda name, *_: names.append(name))
    header = {}
    for name in names:
        if name.startswith(_PREFIX) and name not in left_out:
            value = read_attribute(image, name, file_size)
            if value is not None:
                key = name[len(_PREFIX) :].decode("utf-8", "replace")
                header[key] = np.atleast_1d(value) if key in _ALWAYS_LISTS else value
    return header


def write_eman_hdf(
    path: str | os.PathLike[str],
    images: NDArray[Any] | Iterable[NDArray[Any]],
    headers: Iterable[Mapping[str, HeaderValue]] | None = None,
    pixel_size_in_angstroms: float | None = None,
) -> None:
    """Write images as EMAN2 would, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file to write.
    images : array (n, ny, nx) or iterable of arrays (m, ny, nx)
        The images, or chunks of them; stored as float32.
    headers : iterable of mapping, optional
        Header of each image: numbers (`n_objects`), lists of numbers (`members`), text, 3 x 4
        matrices (`xform.align2d`). Size, statistics and the like are added.
    pixel_size_in_angstroms : float, optional
        `apix_x`, `apix_y` and `apix_z` of headers that have none; EMAN2's default, 1, without it.

    Raises
    ------
    InputError
        When there is no image, or a header has a value that EMAN2 cannot hold.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "averages.hdf"
    >>> write_eman_hdf(path, np.eye(4)[None], [{"members": [3, 5], "n_objects": 2}], 2.0)
    >>> read_eman_headers(path)[0]["members"]
    array([3, 5], dtype=int32)
    """
    # HDF5 1.8 and later store an attribute beyond 64 KiB, such as a long list of members, apart.
    with (
        atomic_path(path) as temporary,
        h5py.File(temporary, "w", libver=("v108", "v108")) as file,
    ):
        timeless = _timeless(h5p.GROUP_CREATE)
        h5g.create(file.id, b"MDF", gcpl=timeless)
        group = h5g.create(file.id, b"/MDF/images", gcpl=timeless)
        given = iter(headers) if headers is not None else repeat({})
        single = chain.from_iterable(image_chunks(images))
        try:
            count = _write_images(group, single, given, pixel_size_in_angstroms or 1.0)
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: {error}.") from None
        write_attribute(group, b"imageid_max", np.int32(count - 1))


def _write_images(
    group: Any,
    images: Iterator[NDArray[Any]],
    headers: Iterator[Mapping[str, HeaderValue]],
    pixel_size: float,
) -> int:
    """Write all images and return their number; `ValueError` says what is wrong."""
    count = 0
    for image in images:
        header = next(headers, None)
        if header is None:
            raise ValueError(f"there are more images than the {count} headers")
        values = {**_made_header(image, pixel_size), **header}
        try:
            _write_image(group, count, np.ascontiguousarray(image, "<f4"), values)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the header of image {count + 1}: {error}") from None
        count += 1
    if not count:
        raise ValueError("there is no image to write")
    return count


def _timeless(kind: Any) -> Any:
    """Return creation properties that keep no times: the same images make the same bytes."""
    properties = h5p.create(kind)
    properties.set_obj_track_times(False)
    return properties


def _made_header(image: NDArray[Any], pixel_size: float) -> dict[str, HeaderValue]:
    """Make the header values that EMAN2 writes for every image (its sigma divides by n - 1)."""
    values = image.astype(np.float64).ravel()
    nonzero = values[values != 0]
    rows, columns = image.shape
    header: dict[str, HeaderValue] = {
        "nx": columns, "ny": rows, "nz": 1,
        "is_complex": 0, "is_complex_x": 0, "is_complex_ri": 0,
        "datatype": 7, "changecount": 0,
        "HostEndian": "little", "ImageEndian": "little",
    }  # fmt: skip
    header.update(dict.fromkeys(("apix_x", "apix_y", "apix_z"), np.float32(pixel_size)))
    numbers = {
        "minimum": values.min(),
        "maximum": values.max(),
        "mean": values.mean(),
        "sigma": values.std(ddof=1) if values.size > 1 else 0.0,
        "mean_nonzero": nonzero.mean() if nonzero.size else 0.0,
        "sigma_nonzero": nonzero.std(ddof=1) if nonzero.size > 1 else 0.0,
        "square_sum": (values * values).sum(),
    }
    return {**header, **{key: np.float32(value) for key, value in numbers.items()}}


def _write_image(
    group: Any, number: int, image: NDArray[Any], header: Mapping[str, HeaderValue]
) -> None:
    """Write one group: the pixels, contiguous float32, and the header as attributes."""
    owner = h5g.create(group, str(number).encode(), gcpl=_timeless(h5p.GROUP_CREATE))
    space = h5s.create_simple(image.shape)
    timeless = _timeless(h5p.DATASET_CREATE)
    dataset = h5d.create(owner, b"image", h5t.IEEE_F32LE, space, dcpl=timeless)
    dataset.write(h5s.ALL, h5s.ALL, image)
    for key in sorted(header):
        if header[key] is not None:
            write_attribute(owner, _PREFIX + key.encode(), header[key])
