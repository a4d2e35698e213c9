"""Which images a file lists, read as far as it can be read, with all its faults reported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.stacks._images import ImageFile
from isac2.stacks._text import TextColumn
from isac2.stacks.faults import Faults
from isac2.stacks.image_files import HDF5_SIGNATURE, first_bytes, open_image_file
from isac2.stacks.relion import NUMBERS, WHOLE_NUMBERS, split_image_name, split_image_names
from isac2.stacks.star import StarTable, read_star

__all__ = ["Listing", "list_images"]


@dataclass(frozen=True)
class Listing:
    """Images and where they should be.

    Attributes
    ----------
    sources : tuple of str or ImageFile
        Names of files that have not been looked for, or files that are open already.
    file_index : int64 (n,)
        Which of them each image is in.
    slots : int64 (n,)
        Number of the image in its file, from 0.
    """

    sources: tuple[str | ImageFile, ...]
    file_index: NDArray[np.int64]
    slots: NDArray[np.int64]


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

        slots, names, _ = read_lst_lines(path, faults)
        return _by_name(names, slots)
    if suffix == ".cs" or beginning[1:6] in (b"NUMPY", b"CSDAT"):
        return _list_cs(path)
    if beginning.startswith(HDF5_SIGNATURE):
        from isac2.stacks.eman_hdf import scan_eman_hdf
        from isac2.stacks.eman_header import metadata_from_headers

        images, headers = scan_eman_hdf(path, faults)
        for number, header in headers.items():
            try:
                metadata_from_headers([header])
            except ValueError as error:
                faults.add(f"{path}: image {number + 1}: {str(error).partition(': ')[2]}.")
        numbers = np.array(list(headers), np.int64)
        return Listing((images,), np.zeros(len(numbers), np.int64), numbers)
    file = open_image_file(path)
    return Listing((file,), np.zeros(file.count, np.int64), np.arange(file.count))


def _by_name(names: list[str], slots: NDArray[np.int64]) -> Listing:
    unique, index = np.unique(np.array(names, object), return_inverse=True)
    return Listing(tuple(str(name) for name in unique), index.astype(np.int64), slots)


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
    for table, words in ((particles, "particles"), (optics, "optics")):
        for column in (*NUMBERS.values(), *WHOLE_NUMBERS.values(), *_OTHER_NUMBERS):
            if column in table:
                _check_column(path, words, column, table.columns[column], faults)
    _check_groups(path, particles, optics, faults)
    try:
        known, index, numbers = split_image_names(particles.columns[label])
        return Listing(known, index.astype(np.int64), numbers)
    except ValueError:
        names, slots = [], []  # one by one, to name all that are wrong
    for row, text in enumerate(particles.columns[label]):
        try:
            number, name = split_image_name(bytes(text))
        except ValueError as error:
            faults.add(f"{path}: image {row + 1} {error}.")
            continue
        names.append(name)
        slots.append(number)
    return _by_name(names, np.array(slots, np.int64))


_OTHER_NUMBERS = (
    *("rlnImagePixelSize", "rlnPixelSize", "rlnDetectorPixelSize", "rlnMagnification"),
    *("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst", "rlnOriginX", "rlnOriginY"),
)


def _check_column(path: Path, words: str, label: str, column: TextColumn, faults: Faults) -> None:
    """Report the values of a column that are no numbers."""
    try:
        column.astype(np.float64)
    except ValueError:
        wrong = [row for row, value in enumerate(column) if not _is_number(bytes(value))]
        shown = repr(bytes(column[wrong[0]])[:40].decode("utf-8", "replace"))
        more = f" (and {len(wrong) - 1} more rows)" if len(wrong) > 1 else ""
        faults.add(
            f"{path}: row {wrong[0] + 1} of {label} in data_{words} is {shown}, not a number{more}."
        )


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_groups(path: Path, particles: StarTable, optics: StarTable, faults: Faults) -> None:
    """Report optics groups that are missing, or there twice."""
    label = "rlnOpticsGroup"
    if label not in particles or label not in optics:
        return
    groups, counts = np.unique(optics.columns[label], return_counts=True)
    for group in groups[counts > 1]:
        shown = group.decode("utf-8", "replace")
        faults.add(f"{path}: data_optics has two rows for the optics group {shown}.")
    for group in np.unique(particles.columns[label]):
        if group not in groups:
            shown = group.decode("utf-8", "replace")
            faults.add(f"{path}: data_optics lacks the optics group {shown}.")


def _list_cs(path: Path) -> Listing:
    from isac2.stacks.cryosparc import read_cs_images

    _, names, slots = read_cs_images(path)
    return _by_name(names.tolist(), slots)


def _list_bdb(name: str, faults: Faults) -> Listing:
    from isac2.stacks.eman_bdb import bdb_file, open_place, read_bdb_places

    _, places = read_bdb_places(bdb_file(name), faults)
    sources: list[ImageFile] = []
    index: dict[object, int | None] = {}
    rows, slots = [], []
    for place in places:
        key = (place.source, place.shape, place.start)
        if key not in index:
            index[key] = None
            try:
                sources.append(open_place(*key))
                index[key] = len(sources) - 1
            except InputError as error:
                faults.add(str(error))
        number = index[key]
        if number is not None:
            rows.append(number)
            slots.append(place.number)
    return Listing(tuple(sources), np.array(rows, np.int64), np.array(slots, np.int64))
