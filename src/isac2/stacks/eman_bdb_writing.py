"""Writing EMAN2 BDB stacks, with the optional package `berkeleydb`.

EMAN2 dropped BDB in 2022; `.star` and `.lst` are what today's programs read.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.files import atomic_path
from isac2.stacks._images import RawImages, image_chunks
from isac2.stacks.eman_bdb import bdb_file
from isac2.stacks.eman_header import HeaderValue
from isac2.stacks.stack import Stack

__all__ = ["write_eman_bdb", "write_virtual_eman_bdb"]


def write_eman_bdb(
    name: str,
    images: NDArray[Any] | Iterable[NDArray[Any]],
    headers: Sequence[Mapping[str, HeaderValue]],
) -> None:
    """Write a BDB stack with its own pixels.

    Parameters
    ----------
    name : str
        `bdb:folder#name`.
    images : array (n, ny, nx) or iterable of arrays (m, ny, nx)
        The images, or chunks of them.
    headers : sequence of mapping
        Header of each image.

    Raises
    ------
    InputError
        When the package `berkeleydb` is not installed, or there is no image.
    """
    path = _prepared(name)
    shape: tuple[int, ...] | None = None
    count = 0
    pixels = path.with_name(f".{path.stem}.pixels.tmp")
    try:
        with open(pixels, "wb") as file:
            for chunk in image_chunks(images):
                if shape is not None and chunk.shape[1:] != shape:
                    raise InputError(f"{name}: images of different sizes do not go into one stack.")
                shape = chunk.shape[1:]
                np.ascontiguousarray(chunk, "<f4").tofile(file)
                count += len(chunk)
        if shape is None:
            raise InputError(f"{name}: there is no image to write.")
        size = f"{shape[1]}x{shape[0]}x1"
        with atomic_path(path.with_name(f"{path.stem}_{size}")) as target:
            pixels.rename(target)
    finally:
        pixels.unlink(missing_ok=True)
    sides = {"nx": shape[1], "ny": shape[0], "nz": 1}
    records = _records([{**header, **sides} for header in headers])
    for number in range(count):
        records[size.encode() + pickle.dumps(number, 2)] = pickle.dumps(number, 2)
    records[pickle.dumps(size, 2)] = pickle.dumps(count - 1, 2)
    _write_tree(path, records)


def write_virtual_eman_bdb(
    name: str, stack: Stack, headers: Sequence[Mapping[str, HeaderValue]]
) -> None:
    """Write a BDB stack whose pixels stay where they are: in raw float32 files, as BDB has them.

    Raises
    ------
    InputError
        When the package `berkeleydb` is not installed, or the pixels are in files of another kind.
    """
    path = _prepared(name)
    complete = []
    for row, header in enumerate(headers):
        file = stack.files[stack.file_index[row]]
        if not isinstance(file, RawImages) or file.dtype != np.dtype("<f4"):
            raise InputError(
                f"{file.path} does not hold raw float32, so no virtual BDB can show it."
            )
        offset = file.offset + int(stack.slots[row]) * file.image_bytes
        place = os.path.relpath(file.path.resolve(), path.parent.resolve())
        sides = {"nx": file.shape[1], "ny": file.shape[0], "nz": 1}
        complete.append({**header, **sides, "data_path": f"{place}*{offset}"})
    _write_tree(path, _records(complete))


def _prepared(name: str) -> Path:
    """Return the file to write, its folder made."""
    path = bdb_file(name)
    if not path.parent.parent.is_dir():
        raise InputError(f"{name}: there is no folder {path.parent.parent}.")
    path.parent.mkdir(exist_ok=True)
    return path


def _records(headers: Sequence[Mapping[str, HeaderValue]]) -> dict[bytes, bytes]:
    """Return the keys and values that hold the headers."""
    records = {
        pickle.dumps(number, 2): pickle_header(header) for number, header in enumerate(headers)
    }
    records[pickle.dumps("maxrec", 2)] = pickle.dumps(len(headers) - 1, 2)
    return records


def _write_tree(path: Path, records: Mapping[bytes, bytes]) -> None:
    """Write keys and values as the one database of a B-tree file."""
    try:
        from berkeleydb import db
    except ImportError:
        raise InputError(
            "writing BDB stacks needs the package berkeleydb (pip install 'isac2[bdb]'); .star and "
            ".lst need nothing and are what today's programs read."
        ) from None
    with atomic_path(path) as temporary:
        tree = db.DB()
        tree.open(str(temporary), path.stem, db.DB_BTREE, db.DB_CREATE)
        try:
            for key in sorted(records):
                tree.put(key, records[key])
        finally:
            tree.close()


def pickle_header(header: Mapping[str, HeaderValue]) -> bytes:
    """Write a header as the pickle (protocol 2) that EMAN2 makes of it.

    The instructions are put together here, because EMAN2's classes are not there to be pickled.

    Examples
    --------
    >>> pickle.loads(pickle_header({"nx": 64, "mean": 0.5, "name": "x", "members": [1, 2]}))
    {'nx': 64, 'mean': 0.5, 'name': 'x', 'members': [1, 2]}
    """
    parts = [b"\x80\x02}("]
    for key, value in header.items():
        parts.append(_pickled(key))
        if key == "ctf":
            numbers = [float(word) for word in str(value)[1:].split()]
            parts.append(_object("libpyAligner2", "EMAN2Ctf", numbers))
        elif np.shape(value) == (3, 4):
            numbers = [float(number) for number in np.ravel(value)]
            parts.append(_object("libpyTransform2", "Transform", numbers))
        else:
            parts.append(_pickled(value))
    return b"".join(parts) + b"u."


def _pickled(value: HeaderValue) -> bytes:
    """Return the instructions that make a number, a text or a list."""
    plain = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
    if isinstance(plain, (list, tuple)):
        return b"](" + b"".join(_pickled(item) for item in plain) + b"e"
    return pickle.dumps(plain, 2)[2:-1]  # without the first and the last instruction


def _object(module: str, name: str, numbers: list[float]) -> bytes:
    """Return the instructions that make one of EMAN2's objects from its numbers."""
    return f"c{module}\n{name}\n".encode() + _pickled(numbers) + b"\x85R"
