"""EMAN2's BDB stacks, real and virtual: read without Berkeley DB, and without running anything.

`<folder>/EMAN2DB/<name>.bdb` holds the headers. The pixels of a real stack lie beside it in
`<name>_<nx>x<ny>x<nz>`, raw float32; a virtual stack's headers say where theirs are.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.stacks._berkeley import read_berkeley_tree
from isac2.stacks._images import ImageFile, RawImages
from isac2.stacks._plain_pickle import load_plain_pickle
from isac2.stacks.eman_header import HeaderValue, metadata_from_headers
from isac2.stacks.image_files import open_image_file
from isac2.stacks.stack import Stack

__all__ = ["bdb_file", "open_eman_bdb"]

_SCALARS = (int, float, str, bool)
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
    records = read_berkeley_tree(path, path.stem)
    try:
        headers, slots = _decode(records)
        files, file_index, places = _locate(path, headers, slots)
        metadata = metadata_from_headers([_without_location(header) for header in headers])
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from None
    sizes = np.array([file.pixel_size_in_angstroms for file in files])[file_index]
    metadata = metadata.with_pixel_sizes(sizes)
    return Stack(Path(name), "EMAN2 BDB", files, file_index, places, metadata)


def _decode(records: Mapping[bytes, bytes]) -> tuple[list[dict[str, HeaderValue]], dict[Any, int]]:
    """Return the headers in the order of their numbers, and the slots of real images."""
    headers: dict[int, dict[str, HeaderValue]] = {}
    slots: dict[Any, int] = {}
    last = -1
    for raw_key, raw_value in records.items():
        size, mark, pickled = raw_key.partition(b"\x80")
        if size and mark:  # <nx>x<ny>x<nz> + pickled number -> slot
            number = _load(mark + pickled, "a key")
            slots[size.decode("latin1"), number] = _load(raw_value, "the slot of an image")
            continue
        key = _load(raw_key, "a key")
        if key == "maxrec":
            last = _load(raw_value, "the number of images")
        elif isinstance(key, int):
            headers[key] = _plain_header(_load(raw_value, f"image {key + 1}"), key)
    if not headers:
        raise ValueError("it holds no images")
    if not isinstance(last, int) or not -1 <= last < 2**31:
        raise ValueError("its number of images is no number")
    count = max(last, max(headers)) + 1
    if len(headers) != count:
        lost = next(number for number in range(count) if number not in headers)
        raise ValueError(f"image {lost + 1} of {count} has no header")
    return [headers[number] for number in range(count)], slots


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
    path: Path, headers: list[dict[str, HeaderValue]], slots: Mapping[Any, int]
) -> tuple[list[ImageFile], NDArray[np.int32], NDArray[np.int64]]:
    """Say where the pixels of each image are: file and number in it."""
    files: list[ImageFile] = []
    index: dict[Any, int] = {}
    wanted: dict[Any, list[tuple[int, int]]] = defaultdict(list)
    for number, header in enumerate(headers):
        key, place = _place(path, number, header, slots)
        wanted[key].append((number, place))
    file_index, places = np.zeros(len(headers), np.int32), np.zeros(len(headers), np.int64)
    for key, images in wanted.items():
        numbers, positions = (np.array(column) for column in zip(*images, strict=True))
        source, shape, remainder = key
        if shape is None:
            file: ImageFile = open_image_file(source)
        else:
            file = _open_raw(source, shape, remainder)
        index[key] = len(files)
        files.append(file)
        file_index[numbers], places[numbers] = index[key], positions
    return files, file_index, places


def _place(
    path: Path, number: int, header: Mapping[str, HeaderValue], slots: Mapping[Any, int]
) -> tuple[tuple[Path, tuple[int, int] | None, int], int]:
    """Return the file, the shape and the first byte that an image counts from, and its number."""
    try:
        nx, ny, nz = (int(header[side]) for side in ("nx", "ny", "nz"))
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"image {number + 1} does not say its size") from None
    if min(nx, ny) < 1 or max(nx, ny) > 1 << 16 or nz != 1:
        raise ValueError(f"image {number + 1} has the impossible size {nx} x {ny} x {nz}")
    target = header.get("data_path")
    if target is None:
        slot = slots.get((f"{nx}x{ny}x{nz}", number))
        if not isinstance(slot, int):
            raise ValueError(f"there are no pixels of image {number + 1}")
        return (path.with_name(f"{path.stem}_{nx}x{ny}x{nz}"), (ny, nx), 0), slot
    name, star, offset = str(target).rpartition("*")
    if not star or not offset.isdigit():
        if str(target).endswith((".mrcs", ".mrc", ".hdf")):
            try:
                return (path.parent / str(target), None, 0), int(header["ptcl_source_coord_id"])
            except (KeyError, TypeError, ValueError):
                raise ValueError(
                    f"image {number + 1} does not say its ptcl_source_coord_id"
                ) from None
        raise ValueError(f"image {number + 1} has the unreadable data_path {str(target)[:80]!r}")
    slot, remainder = divmod(int(offset), nx * ny * _PIXEL.itemsize)
    return (path.parent / name, (ny, nx), remainder), slot


def _open_raw(source: Path, shape: tuple[int, int], offset: int) -> RawImages:
    """Describe a file of raw float32 images, as many as its size allows."""
    try:
        size = source.stat().st_size
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror or error}.") from None
    count = max(0, size - offset) // (shape[0] * shape[1] * _PIXEL.itemsize)
    return RawImages(source, offset, _PIXEL, count, shape)
