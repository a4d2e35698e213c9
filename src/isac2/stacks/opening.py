"""One way in: `open_stack` tells what a file is from its content and its name."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from isac2.errors import InputError
from isac2.stacks._images import ImageFile
from isac2.stacks.eman_hdf import open_eman_hdf, scan_eman_hdf
from isac2.stacks.eman_header import metadata_from_headers
from isac2.stacks.metadata import Metadata, unknown_metadata
from isac2.stacks.mrc import open_mrc
from isac2.stacks.relion import read_relion_particles
from isac2.stacks.stack import Stack

__all__ = ["open_image_file", "open_stack"]

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def open_stack(path: str | os.PathLike[str], root: str | os.PathLike[str] | None = None) -> Stack:
    """Open a particle stack of any known format; reads headers and tables only.

    Parameters
    ----------
    path : path-like
        `.mrcs` or `.mrc` stack, or RELION `.star`.
    root : path-like, optional
        Folder from which image names resolve; without it (or where they do not), the folder of the
        file, the working directory, and the folders above the file are tried, in this order.

    Returns
    -------
    Stack
        The particles.

    Raises
    ------
    InputError
        When the file, or one that it names, is missing, broken or of an unknown kind.
    """
    source = Path(path)
    if source.is_dir():
        raise InputError(f"{source} is a folder, not a particle stack.")
    beginning = _beginning(source)
    if source.suffix.lower() == ".star" or beginning.lstrip()[:5] == b"data_":
        return _open_star(source, Path(root) if root is not None else None)
    if beginning.startswith(_HDF5_SIGNATURE):
        return _open_hdf(source)
    return _open_bare(source, open_image_file(source))


def open_image_file(path: Path) -> ImageFile:
    """Open one file of images, of whatever format, for its pixels only."""
    if _beginning(path).startswith(_HDF5_SIGNATURE):
        return open_eman_hdf(path)
    return open_mrc(path)


def _beginning(path: Path) -> bytes:
    """Return the first bytes of a file."""
    try:
        with open(path, "rb") as file:
            return file.read(1024)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


def _open_bare(path: Path, images: ImageFile) -> Stack:
    """Make a stack of all images of one file."""
    metadata = replace(
        unknown_metadata(images.count),
        pixel_size_in_angstroms=np.full(images.count, images.pixel_size_in_angstroms),
    )
    index = np.zeros(images.count, np.int32)
    return Stack(path, "MRC stack", [images], index, np.arange(images.count), metadata)


def _open_hdf(path: Path) -> Stack:
    """Make a stack of the images of an EMAN2 HDF file."""
    images, headers = scan_eman_hdf(path)
    try:
        metadata = metadata_from_headers(headers)
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from None
    index = np.zeros(images.count, np.int32)
    return Stack(path, "EMAN2 HDF", [images], index, np.arange(images.count), metadata)


def _open_star(path: Path, root: Path | None) -> Stack:
    """Make a stack of the particles of a RELION star."""
    particles = read_relion_particles(path)
    files = open_named_files(path, particles.image_paths, root)
    metadata = _with_header_pixel_sizes(particles.metadata, files, particles.file_index)
    return Stack(path, "RELION star", files, particles.file_index, particles.slots, metadata)


def open_named_files(path: Path, names: tuple[str, ...], root: Path | None) -> list[ImageFile]:
    """Open the files that a table names, complaining about all that are missing at once."""
    folders = [folder for folder in (root, path.parent, Path()) if folder is not None]
    folders += [folder for folder in path.absolute().parents if folder not in folders]
    found = [_resolve(name, folders) for name in names]
    missing = [name for name, place in zip(names, found, strict=True) if place is None]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{path} names {missing[0]}{more}, which is neither relative to its own folder nor to "
            "the working directory; give the folder with the option for it."
        )
    return [open_image_file(place) for place in found if place is not None]


def _resolve(name: str, folders: list[Path]) -> Path | None:
    """Return the first place where a named file is, or None."""
    for folder in folders:
        try:
            if (folder / name).is_file():
                return folder / name
        except (OSError, ValueError):  # too long, a loop of links, a zero byte
            continue
    return None


def _with_header_pixel_sizes(
    metadata: Metadata,
    files: list[ImageFile],
    file_index: np.ndarray[tuple[int], np.dtype[np.int32]],
) -> Metadata:
    """Fill pixel sizes that the table does not give from the headers of the files."""
    known = metadata.pixel_size_in_angstroms
    if np.isfinite(known).all():
        return metadata
    headers = np.array([file.pixel_size_in_angstroms for file in files])[file_index]
    return replace(metadata, pixel_size_in_angstroms=np.where(np.isfinite(known), known, headers))
