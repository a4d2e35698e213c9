"""Which images a file lists, read as far as it can be read, with all its faults reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.stacks._images import ImageFile
from isac2.stacks._star_values import check_star_values
from isac2.stacks._text import TextColumn
from isac2.stacks.faults import Faults
from isac2.stacks.image_files import HDF5_SIGNATURE, first_bytes, open_image_file
from isac2.stacks.metadata import Metadata
from isac2.stacks.relion import split_image_name, split_image_names
from isac2.stacks.star import StarTable, read_star

if TYPE_CHECKING:
    from isac2.stacks.eman_header import HeaderValue

__all__ = ["Listing", "list_images"]


@dataclass(frozen=True)
class Listing:
    """Images and where they should be, and what is known of them.

    Attributes
    ----------
    sources : tuple of str or ImageFile
        Names of files that have not been looked for, or files that are open already.
    file_index : int64 (n,)
        Which of them each image is in.
    slots : int64 (n,)
        Number of the image in its file, from 0.
    numbers : int64 (n,)
        Number of the image in the table, from 0: there may be others that cannot be understood.
    metadata : Metadata or None
        What can be read, a row for each number in `described`.
    described : int64 (m,)
        Numbers, from 0, of the images that `metadata` is about.
    """

    sources: tuple[str | ImageFile, ...]
    file_index: NDArray[np.int64]
    slots: NDArray[np.int64]
    numbers: NDArray[np.int64]
    metadata: Metadata | None = None
    described: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


def list_images(name: str, faults: Faults) -> Listing:
    """Return the images that a file of any format lists, reporting what is wrong with the file.

    Raises
    ------
    InputError
        When nothing of the file can be understood.
    """
    if name.startswith("bdb:") or name.endswith(".bdb"):
        return _list_bdb(name, faults)
    path = Path(name)
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a particle stack.")
    beginning, suffix = first_bytes(path), path.suffix.lower()
    if suffix == ".star" or beginning.lstrip()[:5] == b"data_":
        return _list_star(path, faults)
    if suffix in (".lst", ".lsx") or beginning.startswith((b"#LST", b"#LSX")):
        from isac2.stacks.eman_lst import read_lst_lines

        slots, names, headers = read_lst_lines(path, faults)
        by_number = dict(enumerate(headers))
        return _by_name(names, slots, metadata=_of_headers(path, by_number, faults))
    if suffix == ".cs" or beginning[1:6] in (b"NUMPY", b"CSDAT"):
        return _list_cs(path, faults)
    if beginning.startswith(HDF5_SIGNATURE):
        from isac2.stacks.eman_hdf import scan_eman_hdf

        images, by_number = scan_eman_hdf(path, faults)
        numbers = np.array(list(by_number), np.int64)
        metadata = _of_headers(path, by_number, faults)
        index = np.zeros(len(numbers), np.int64)
        return Listing((images,), index, numbers, numbers, metadata, numbers)
    file = open_image_file(path)
    index = np.zeros(file.count, np.int64)
    return Listing((file,), index, np.arange(file.count), np.arange(file.count))


def _of_headers(path: Path, headers: dict[int, dict[str, HeaderValue]], faults: Faults) -> Metadata:
    from isac2.stacks.eman_header import metadata_of_readable

    return metadata_of_readable(headers, lambda fault: faults.add(f"{path}: {fault}."))


def _by_name(
    names: list[str],
    slots: NDArray[np.int64],
    numbers: NDArray[np.int64] | None = None,
    metadata: Metadata | None = None,
) -> Listing:
    """Make the listing of images by the names of their files; all of them, when not numbered."""
    unique, index = np.unique(np.array(names, object), return_inverse=True)
    sources = tuple(str(name) for name in unique)
    numbers = np.arange(len(names)) if numbers is None else numbers
    described = np.arange(0 if metadata is None else len(metadata))
    return Listing(sources, index.astype(np.int64), slots, numbers, metadata, described)


def _list_star(path: Path, faults: Faults) -> Listing:
    """List the images of a RELION star, reporting names and numbers that cannot be read."""
    tables = read_star(path, faults)
    label = "rlnImageName"
    particles = next((table for table in tables.values() if label in table), None)
    if particles is None:
        label = "rlnReferenceImage"
        particles = next((table for table in tables.values() if label in table), None)
    if particles is None:
        raise InputError(f"{path} has no table with the column rlnImageName.")
    if not len(particles):
        raise InputError(f"{path} lists no images.")
    optics = tables.get("optics", StarTable({}))
    metadata = check_star_values(path, particles, optics, faults)
    try:
        known, index, slots = split_image_names(particles.columns[label])
    except ValueError:
        return _list_names(path, particles.columns[label], metadata, faults)
    rows = np.arange(len(particles))
    return Listing(known, index.astype(np.int64), slots, rows, metadata, rows)


def _list_names(
    path: Path, column: TextColumn, metadata: Metadata | None, faults: Faults
) -> Listing:
    """List images one by one, to name all whose names cannot be read."""
    names, slots, rows = [], [], []
    for row, text in enumerate(column):
        try:
            number, name = split_image_name(bytes(text))
        except ValueError as error:
            faults.add(f"{path}: image {row + 1} {error}.")
            continue
        names.append(name)
        slots.append(number)
        rows.append(row)
    return _by_name(names, np.array(slots, np.int64), np.array(rows, np.int64), metadata)


def _list_cs(path: Path, faults: Faults) -> Listing:
    from isac2.stacks.cryosparc import images_of_columns, metadata_of_readable, read_cs_columns

    columns = read_cs_columns(path, faults)
    metadata = metadata_of_readable(path, columns, faults)
    try:
        names, slots = images_of_columns(path, columns)
    except InputError as error:
        faults.add(str(error))
        names, slots = np.empty(0, object), np.empty(0, np.int64)
    return _by_name(names.tolist(), slots, metadata=metadata)


def _list_bdb(name: str, faults: Faults) -> Listing:
    from isac2.stacks.eman_bdb import bdb_file, open_place, read_bdb_places

    headers, places = read_bdb_places(bdb_file(name), faults)
    sources: list[ImageFile] = []
    index: dict[object, int | None] = {}
    rows, slots, numbers = [], [], []
    for number, place in zip(headers, places, strict=True):
        key = (place.source, place.shape, place.start)
        if key not in index:
            index[key] = None
            try:
                sources.append(open_place(*key))
                index[key] = len(sources) - 1
            except InputError as error:
                faults.add(str(error))
        source = index[key]
        if source is not None:
            rows.append(source)
            slots.append(place.number)
            numbers.append(number)
    metadata = _of_headers(bdb_file(name), headers, faults)
    index_of, slot_of, number_of = (np.array(part, np.int64) for part in (rows, slots, numbers))
    described = np.array(list(headers), np.int64)
    return Listing(tuple(sources), index_of, slot_of, number_of, metadata, described)
