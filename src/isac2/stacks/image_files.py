"""Files of pixels: telling what one is, and finding those that a table names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isac2.errors import InputError
from isac2.stacks._images import ImageFile, RawImages
from isac2.stacks._regular import refuse_special_file
from isac2.stacks.mrc import open_mrc

__all__ = ["HDF5_SIGNATURE", "first_bytes", "open_image_file", "open_named_files", "search_folders"]

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_EMAN_FOLDER, _SHAPE = "EMAN2DB", re.compile(r"_([1-9]\d{0,8})x([1-9]\d{0,8})x1$")
_GZIP, _BZIP2 = b"\x1f\x8b", b"BZh"


def first_bytes(path: Path) -> bytes:
    """Return the first bytes of a file."""
    refuse_special_file(path)
    try:
        with open(path, "rb") as file:
            return file.read(1024)
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"{path} cannot be read: {reason}.") from None


def open_image_file(path: Path) -> ImageFile:
    """Open one file of images, MRC (compressed too) or EMAN2 HDF, for its pixels only."""
    beginning = first_bytes(path)
    if beginning.startswith(HDF5_SIGNATURE):
        from isac2.stacks.eman_hdf import open_eman_hdf

        return open_eman_hdf(path)
    if beginning.startswith((_GZIP, _BZIP2)):
        from isac2.stacks.compressed import open_compressed_mrc

        return open_compressed_mrc(path)
    if path.parent.name == _EMAN_FOLDER and beginning[208:211] != b"MAP":
        shape = _SHAPE.search(path.name)
        if shape is not None:
            return _open_raw(path, (int(shape[2]), int(shape[1])))
    return open_mrc(path)


def _open_raw(path: Path, shape: tuple[int, int]) -> ImageFile:
    """Open the pixels of an EMAN2 BDB stack, whose name says how large the images are."""
    image_bytes = 4 * shape[0] * shape[1]
    if image_bytes == 0 or path.stat().st_size < image_bytes:
        raise InputError(f"{path} has no image of the size that its name says.")
    return RawImages(path, 0, np.dtype("<f4"), path.stat().st_size // image_bytes, shape)


def search_folders(table: Path, root: Path | None) -> list[Path]:
    """Return the folders from which names in a table may resolve, in the order they are tried.

    A given root, the table's folder, the working directory; then the folders above the table, since
    RELION, EMAN2 and cryoSPARC write names relative to the project's folder.
    """
    folders = [folder for folder in (root, table.parent, Path()) if folder is not None]
    return folders + list(table.absolute().parents)[1:]


def open_named_files(table: Path, names: Sequence[str], root: Path | None) -> list[ImageFile]:
    """Open the files of pixels that a table names.

    Raises
    ------
    InputError
        When files are not found (the first is named, all are counted) or cannot be read.
    """
    folders = search_folders(table, root)
    found = [find_named_file(name, folders) for name in names]
    missing = [name for name, place in zip(names, found, strict=True) if place is None]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{table} names {missing[0]}{more}, found neither from its own folder, nor those "
            "above, nor the working directory; say from which folder its names start."
        )
    return [open_image_file(place) for place in found if place is not None]


def find_named_file(name: str, folders: Sequence[Path]) -> Path | None:
    """Return the first place where a named file is, or None."""
    for folder in folders:
        try:
            if os.path.isfile(folder / name):
                return folder / name
        except ValueError:  # a zero byte in the name
            return None
    return None
