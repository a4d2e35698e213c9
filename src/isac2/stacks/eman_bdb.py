"""EMAN2's BDB stacks, real and virtual: read without Berkeley DB, and without running anything.

`<folder>/EMAN2DB/<name>.bdb` holds the headers. The pixels of a real stack lie beside it in
`<name>_<nx>x<ny>x<nz>`, raw float32; a virtual stack's headers say where theirs are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.stacks._berkeley import read_berkeley_tree
from isac2.stacks._images import ImageFile, RawImages
from isac2.stacks._plain_pickle import load_plain_pickle
from isac2.stacks.eman_header import HeaderValue, metadata_from_headers
from isac2.stacks.faults import Faults
from isac2.stacks.image_files import open_image_file
from isac2.stacks.stack import Stack

__all__ = ["Place", "bdb_file", "open_eman_bdb", "open_place", "read_bdb_places"]

_SCALARS = (int, float, str, bool)
_LARGEST_GAP = 10_000
_PIXEL = np.dtype("<f4")


def bdb_file(name: str) -> Path:
    """Return the file behind `bdb:folder#name`, `bdb:name`, `bdb:folder/name` or `x.bdb`.

    Examples
    --------
    >>> bdb_file("bdb:data#particles").as_posix()
    'data/EMAN2DB/particles.bdb'
    >>> bdb_file("bdb:particles").as_posix()
    'EMAN2DB/particles.bdb'
    """
    if not name.startswith("bdb:"):
        return Path(name)
    rest = name[4:].split("?")[0]
    folder, found, stack = rest.rpartition("#")
    if not found:
        folder, stack = os.path.split(rest)
    return Path(folder, "EMAN2DB", f"{stack}.bdb")


def open_eman_bdb(name: str) -> Stack:
    """Open a BDB stack.

    Parameters
    ----------
    name : str
        As `bdb_file` takes it.

    Raises
    ------
    InputError
        When it is not there, is broken, or its records hold anything but plain data.
    """
    if "?" in name:
        raise InputError(f"{name}: selections behind a question mark are not understood.")
    path = bdb_file(name)
    headers, places = read_bdb_places(path, Faults())
    try:
        files, file_index, slots = _locate(places)
        metadata = metadata_from_headers(list(headers.values()))
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from None
    sizes = np.array([file.pixel_size_in_angstroms for file in files])[file_index]
    metadata = metadata.with_pixel_sizes(sizes)
    return Stack(Path(name), "EMAN2 BDB", files, file_index, slots, metadata)


@dataclass(frozen=True)
class Place:
    """Where the pixels of one image are.

    Attributes
    ----------
    source : Path
        The file.
    shape : tuple of int or None
        Rows and columns of raw float32 images; None for a file that says so itself.
    start : int
        Byte from which raw images are counted.
    number : int
        Number of the image, from 0.
    """

    source: Path
    shape: tuple[int, int] | None
    start: int
    number: int


def read_bdb_places(
    path: Path, faults: Faults
) -> tuple[dict[int, dict[str, HeaderValue]], list[Place]]:
    """Return header, by number, and place of the pixels of every image that can be understood."""
    records = read_berkeley_tree(path, path.stem)
    headers, slots = _decode(path, records, faults)
    good: dict[int, dict[str, HeaderValue]] = {}
    places = []
    for number, header in headers.items():
        try:
            places.append(_place(path, number, header, slots))
        except ValueError as error:
            faults.add(f"{path}: {error}.")
            continue
        good[number] = _without_location(header)
    return good, places


def _decode(
    path: Path, records: Mapping[bytes, bytes], faults: Faults
) -> tuple[dict[int, dict[str, HeaderValue]], dict[Any, int]]:
    """Return the headers by their numbers, ascending, and the slots of images with pixels."""
    headers: dict[int, dict[str, HeaderValue]] = {}
    slots: dict[Any, int] = {}
    last: Any = -1
    for raw_key, raw_value in records.items():
        try:
            size, mark, pickled = raw_key.partition(b"\x80")
            if size and mark:  # <nx>x<ny>x<nz> + pickled number -> slot
                number = _load(mark + pickled, "a key")
                slots[size.decode("latin1"), number] = _load(raw_value, "the slot of an image")
                continue
            key = _load(raw_key, "a key")
            if key == "maxrec":
                last = _load(raw_value, "the number of images")
            elif isinstance(key, int) and key >= 0:
                headers[key] = _plain_header(_load(raw_value, f"image {key + 1}"), key)
        except (ValueError, TypeError) as error:
            faults.add(f"{path}: {error}.")
    if not isinstance(last, int) or not -1 <= last < 2**31:
        faults.add(f"{path}: its number of images is no number.")
        last = -1
    if not headers:
        raise InputError(f"{path} holds no images.")
    count = max(last, max(headers)) + 1
    if count > len(headers) + _LARGEST_GAP:
        raise InputError(f"{path} claims {count} images, but has only {len(headers)}.")
    for lost in range(count):
        if lost not in headers:
            faults.add(f"{path}: image {lost + 1} of {count} has no header.")
    return dict(sorted(headers.items())), slots


def _load(pickled: bytes, what: str) -> Any:
    try:
        return load_plain_pickle(pickled)
    except ValueError as error:
        raise ValueError(f"the record of {what} cannot be read: {error}") from None


def _plain_header(header: Any, number: int) -> dict[str, HeaderValue]:
    """Check that a header has nothing but numbers, text and flat lists of them."""
    if not isinstance(header, dict):
        raise ValueError(f"the record of image {number + 1} is no header")
    plain = {}
    for key, value in header.items():
        if value is None or not isinstance(key, str):
            continue
        if isinstance(value, (list, tuple)):
            if not all(isinstance(item, _SCALARS) for item in value):
                raise ValueError(f"the value {key[:40]} of image {number + 1} is not a plain list")
            value = np.array(value).reshape(3, 4) if _is_matrix(key, value) else list(value)
        elif not isinstance(value, _SCALARS):
            raise ValueError(f"the value {key[:40]} of image {number + 1} is not plain")
        plain[key] = value
    return plain


def _is_matrix(key: str, value: Any) -> bool:
    return key.startswith("xform.") and len(value) == 12


def _without_location(header: dict[str, HeaderValue]) -> dict[str, HeaderValue]:
    gone = ("data_path", "data_n", "data_source")
    return {key: value for key, value in header.items() if key not in gone}


def _locate(
    places: list[Place],
) -> tuple[list[ImageFile], NDArray[np.int32], NDArray[np.int64]]:
    """Open the files of pixels, and say which file and which number each image has."""
    index: dict[tuple[Path, tuple[int, int] | None, int], int] = {}
    keys = [(place.source, place.shape, place.start) for place in places]
    file_index = np.array([index.setdefault(key, len(index)) for key in keys], np.int32)
    return (
        [open_place(source, shape, start) for source, shape, start in index],
        file_index,
        np.array([place.number for place in places], np.int64),
    )


def open_place(source: Path, shape: tuple[int, int] | None, start: int) -> ImageFile:
    """Open a file of pixels that BDB headers name."""
    return open_image_file(source) if shape is None else _open_raw(source, shape, start)


def _place(
    path: Path, number: int, header: Mapping[str, HeaderValue], slots: Mapping[Any, int]
) -> Place:
    """Say where the pixels of one image are."""
    try:
        nx, ny, nz = (int(header[side]) for side in ("nx", "ny", "nz"))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError(f"image {number + 1} does not say its size") from None
    if min(nx, ny) < 1 or max(nx, ny) > 1 << 16 or nz != 1:
        raise ValueError(f"image {number + 1} has the impossible size {nx} x {ny} x {nz}")
    target = header.get("data_path")
    if target is None:
        slot = slots.get((f"{nx}x{ny}x{nz}", number))
        if not isinstance(slot, int):
            raise ValueError(f"there are no pixels of image {number + 1}")
        return Place(path.with_name(f"{path.stem}_{nx}x{ny}x{nz}"), (ny, nx), 0, slot)
    name, star, offset = str(target).rpartition("*")
    if star and offset.isdecimal() and len(offset) < 19:
        slot, remainder = divmod(int(offset), nx * ny * _PIXEL.itemsize)
        return Place(path.parent / name, (ny, nx), remainder, slot)
    if not str(target).endswith((".mrcs", ".mrc", ".hdf")):
        shown = repr(str(target)[:80])
        raise ValueError(f"image {number + 1} has the unreadable data_path {shown}")
    try:
        return Place(path.parent / str(target), None, 0, int(header["ptcl_source_coord_id"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError(f"image {number + 1} does not say its ptcl_source_coord_id") from None


def _open_raw(source: Path, shape: tuple[int, int], offset: int) -> RawImages:
    """Describe a file of raw float32 images, as many as its size allows."""
    try:
        size = source.stat().st_size
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror or error}.") from None
    count = max(0, size - offset) // (shape[0] * shape[1] * _PIXEL.itemsize)
    return RawImages(source, offset, _PIXEL, count, shape)
