"""Everything that is wrong with a stack, not only the first thing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.stacks._images import ImageFile, OpenFiles
from isac2.stacks.faults import Faults
from isac2.stacks.image_files import find_named_file, open_image_file, search_folders
from isac2.stacks.listing import Listing, list_images
from isac2.stacks.metadata import Metadata
from isac2.stacks.opening import open_stack

__all__ = ["check_stack", "examine_stack"]

_PIXELS_AT_ONCE = 4 << 20
_SHOWN = 5


def check_stack(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    read_pixels: bool = True,
) -> list[str]:
    """Return every fault of a stack, a sentence each; an empty list when there is none.

    Parameters
    ----------
    path : path-like
        As for `open_stack`.
    root : path-like, optional
        Folder from which the names in a table resolve.
    read_pixels : bool
        Also read all images, to find those with NaN or constant pixels.

    Returns
    -------
    list of str
        Faults of the table, of the files of pixels, and of single images (counted, the first few
        named by number, from 1).
    """
    return list(dict.fromkeys(examine_stack(path, root, read_pixels).sentences))


def examine_stack(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    read_pixels: bool = True,
) -> Faults:
    """Look at a stack as `check_stack` does, and also remark what may or may not be as meant.

    Names that lead out of the table's own folder are remarked: a run's table names its input so,
    and so may a table whose author wants to see other people's files.

    Returns
    -------
    Faults
        `sentences` and `remarks`.
    """
    faults = Faults(collect=True)
    try:
        listing = list_images(str(path), faults)
    except InputError as error:
        faults.add(str(error))
        return faults
    files = _open_files(path, listing, None if root is None else Path(root), faults)
    _check_sizes(listing, files, faults)
    _check_numbers(path, listing, files, faults)
    if read_pixels:
        _check_pixels(path, listing, files, faults)
    metadata, numbers = listing.metadata, listing.described
    try:
        metadata = open_stack(path, root).metadata
        numbers = np.arange(len(metadata))
    except InputError as error:
        if not faults.sentences:  # else it is one of those said already
            faults.add(str(error))
    if metadata is not None and len(metadata):
        _check_metadata(path, metadata, numbers, faults)
    return faults


def _open_files(
    path: str | os.PathLike[str], listing: Listing, root: Path | None, faults: Faults
) -> list[ImageFile | None]:
    """Open the files of pixels; None for one that cannot be."""
    folders = search_folders(Path(path), root)
    files: list[ImageFile | None] = []
    for source in listing.sources:
        if not isinstance(source, str):
            files.append(source)
            continue
        files.append(None)
        if ".." in Path(source).parts or os.path.isabs(source):
            _check_escape(path, source, folders, faults)
        place = find_named_file(source, folders)
        if place is None:
            faults.add(f"{path} names {source}, which is not found.")
            continue
        try:
            files[-1] = open_image_file(place)
        except InputError as error:
            faults.add(str(error))
    return files


def _check_escape(
    path: str | os.PathLike[str], source: str, folders: Sequence[Path], faults: Faults
) -> None:
    """Report a name that leads out of the table's folder and of the working directory."""
    places = [Path(os.path.normpath(folder.absolute() / source)) for folder in folders[:3]]
    homes = [folder.absolute() for folder in folders[:3]]
    if not any(place.is_relative_to(home) for place in places for home in homes):
        faults.remark(f"{path} names {source}, which leads out of its own folder.")


def _check_sizes(listing: Listing, files: Sequence[ImageFile | None], faults: Faults) -> None:
    """Report files whose images are not square, or not of the size of most."""
    sides: dict[int, int] = {}
    counts = np.bincount(listing.file_index, minlength=len(files))
    for file, count in zip(files, counts, strict=True):
        if file is None:
            continue
        rows, columns = file.shape
        if rows != columns:
            faults.add(f"{file.path}: images are {columns} x {rows} pixels, but must be square.")
        else:
            sides[rows] = sides.get(rows, 0) + int(count)
    usual = max(sides, key=lambda side: sides[side], default=0)
    for file in files:
        if file is not None and file.shape[0] == file.shape[1] != usual:
            faults.add(f"{file.path}: images are {file.shape[0]} pixels wide, most others {usual}.")


def _check_numbers(
    path: str | os.PathLike[str],
    listing: Listing,
    files: Sequence[ImageFile | None],
    faults: Faults,
) -> None:
    """Report images beyond the end of their file, and images listed twice."""
    for file, rows in zip(files, _rows_of_files(listing, len(files)), strict=True):
        if file is None:
            continue
        slots = listing.slots[rows]
        wrong = listing.numbers[rows[(slots < 0) | (slots >= file.count)]]
        if wrong.size:
            faults.add(
                f"{path}: {_images(wrong)} beyond the end of {file.path}, which has {file.count}."
            )
    pairs = np.stack([listing.file_index, listing.slots], axis=1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    again = np.setdiff1d(np.arange(len(pairs)), first)
    if again.size:
        faults.add(f"{path}: {_images(listing.numbers[again])} listed a second time.")


def _rows_of_files(listing: Listing, count: int) -> list[NDArray[np.int64]]:
    """Return the rows, ascending, of the images in each file."""
    if not count:
        return []
    order = np.argsort(listing.file_index, kind="stable")
    limits = np.searchsorted(listing.file_index[order], np.arange(1, count))
    return np.split(order, limits)


def _images(rows: NDArray[np.int64]) -> str:
    """Say which images, as the subject of a sentence with its verb."""
    numbers = ", ".join(str(row + 1) for row in rows[:_SHOWN])
    if rows.size == 1:
        return f"image {numbers} is"
    more = f" and {rows.size - _SHOWN} more" if rows.size > _SHOWN else ""
    return f"images {numbers}{more} are"


@dataclass
class _Found:
    """Rows of images whose pixels are not usable."""

    not_finite: list[int]
    constant: list[int]


def _check_pixels(
    path: str | os.PathLike[str],
    listing: Listing,
    files: Sequence[ImageFile | None],
    faults: Faults,
) -> None:
    """Report images with pixels that are no numbers, or that are all the same."""
    found = _Found([], [])
    open_files = OpenFiles()
    for file, rows in zip(files, _rows_of_files(listing, len(files)), strict=True):
        if file is None:
            continue
        rows = rows[(listing.slots[rows] >= 0) & (listing.slots[rows] < file.count)]
        rows = rows[np.argsort(listing.slots[rows], kind="stable")]
        step = max(1, _PIXELS_AT_ONCE // (file.shape[0] * file.shape[1] or 1))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            out = np.empty((len(part), *file.shape), np.float32)
            try:
                file.read_into(open_files, listing.slots[part], out, np.arange(len(part)))
            except InputError as error:
                faults.add(str(error))
                continue
            _look_at(out, listing.numbers[part], found)
    if found.not_finite:
        rows = np.sort(np.array(found.not_finite))
        faults.add(f"{path}: {_images(rows)} unusable: pixels that are NaN or infinite.")
    if found.constant:
        rows = np.sort(np.array(found.constant))
        faults.add(f"{path}: {_images(rows)} unusable: all pixels are the same.")


def _look_at(images: NDArray[np.float32], rows: NDArray[np.int64], found: _Found) -> None:
    low, high = images.min(axis=(1, 2)), images.max(axis=(1, 2))
    finite = np.isfinite(low) & np.isfinite(high)
    found.not_finite += rows[~finite].tolist()
    found.constant += rows[finite & (low == high)].tolist()


_PLAUSIBLE = {
    "pixel_size_in_angstroms": (0.05, 100.0, "pixel size", "A"),
    "voltage_in_kilovolts": (30.0, 1500.0, "voltage", "kV"),
    "spherical_aberration_in_millimetres": (0.0, 20.0, "spherical aberration", "mm"),
    "amplitude_contrast": (-1.0, 1.0, "amplitude contrast", ""),
    "defocus_u_in_angstroms": (-1e5, 1.5e5, "defocus U", "A"),
    "defocus_v_in_angstroms": (-1e5, 1.5e5, "defocus V", "A"),
}


def _check_metadata(
    path: str | os.PathLike[str], metadata: Metadata, numbers: NDArray[np.int64], faults: Faults
) -> None:
    """Report values that no microscope gives, and poses that are no numbers."""

    def report(wrong: Any, words: str) -> None:
        if wrong.any():
            faults.add(f"{path}: {_images(numbers[np.flatnonzero(wrong)])} {words}.")

    for name, (low, high, words, unit) in _PLAUSIBLE.items():
        values = getattr(metadata, name)
        wrong = (values < low) | (values > high) | np.isinf(values)
        value = f"{values[np.argmax(wrong)]:g} {unit}".strip()
        report(wrong, f"given the {words} {value}, which cannot be")
    known = np.isfinite([getattr(metadata, name) for name in _DEFOCUS])
    some = known.any(axis=0)
    report(some & ~known.all(axis=0), "without a part of the defocus (U, V or angle)")
    if some.any():
        report(~some, "without a defocus, though others have one")
    for name, words in _OPTICS.items():
        unknown = some & ~np.isfinite(getattr(metadata, name))
        report(unknown, f"given a defocus, but no {words}, so the CTF is not known")
    poses = metadata.poses
    if poses is not None:
        finite = np.isfinite([poses["alpha"], poses["tx"], poses["ty"]]).all(axis=0)
        report(~finite, "given a pose that is no number")


_DEFOCUS = ("defocus_u_in_angstroms", "defocus_v_in_angstroms", "defocus_angle_in_degrees")
_OPTICS = {
    "voltage_in_kilovolts": "voltage",
    "spherical_aberration_in_millimetres": "spherical aberration",
    "amplitude_contrast": "amplitude contrast",
}
