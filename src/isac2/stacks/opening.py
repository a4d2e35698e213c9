"""One way in: `open_stack` tells what a file is from its content and its name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from isac2.errors import InputError
from isac2.stacks.image_files import (
    HDF5_SIGNATURE,
    first_bytes,
    open_image_file,
    open_named_files,
)
from isac2.stacks.joining import join_stacks
from isac2.stacks.metadata import unknown_metadata
from isac2.stacks.relion import read_relion_particles, with_pixel_sizes_of_files
from isac2.stacks.stack import Stack

__all__ = ["open_stack"]

PathLike = str | os.PathLike[str]


def open_stack(path: PathLike | Sequence[PathLike], root: PathLike | None = None) -> Stack:
    """Open a particle stack of any known format; reads headers and tables only.

    Parameters
    ----------
    path : path-like or sequence of path-like
        MRC stack (`.mrcs`, `.mrc`, gzip and bzip2 too), RELION `.star`, cryoSPARC `.cs`, EMAN2 HDF,
        list (`.lst`) or BDB (`bdb:folder#name`); or several of these, to be taken as one.
    root : path-like, optional
        Folder from which the names in a table resolve. Without it, or where they do not, the folder
        of the table, the working directory, and the folders above the table are tried.

    Returns
    -------
    Stack
        The particles.

    Raises
    ------
    InputError
        When the file, or one that it names, is missing, broken or of an unknown kind.
    """
    if not isinstance(path, (str, os.PathLike)):
        return join_stacks([open_stack(each, root) for each in path])
    folder = None if root is None else Path(root)
    if str(path).startswith("bdb:") or str(path).endswith(".bdb"):
        from isac2.stacks.eman_bdb import open_eman_bdb

        return open_eman_bdb(str(path))
    source = Path(path)
    if source.is_dir():
        raise InputError(f"{source} is a folder, not a particle stack.")
    beginning, suffix = first_bytes(source), source.suffix.lower()
    if suffix == ".star" or beginning.lstrip()[:5] == b"data_":
        return _open_star(source, folder)
    if suffix in (".lst", ".lsx") or beginning.startswith((b"#LST", b"#LSX")):
        from isac2.stacks.eman_lst import open_eman_lst

        return open_eman_lst(source, folder)
    if suffix == ".cs" or beginning[1:6] in (b"NUMPY", b"CSDAT"):
        from isac2.stacks.cryosparc import open_cryosparc

        return open_cryosparc(source, folder)
    if beginning.startswith(HDF5_SIGNATURE):
        return _open_hdf(source)
    return _open_bare(source)


def _open_bare(path: Path) -> Stack:
    """Make a stack of all images of one MRC file."""
    images = open_image_file(path)
    metadata = replace(
        unknown_metadata(images.count),
        pixel_size_in_angstroms=np.full(images.count, images.pixel_size_in_angstroms),
    )
    index = np.zeros(images.count, np.int32)
    return Stack(path, "MRC stack", [images], index, np.arange(images.count), metadata)


def _open_hdf(path: Path) -> Stack:
    """Make a stack of the images of an EMAN2 HDF file."""
    from isac2.stacks.eman_hdf import scan_eman_hdf
    from isac2.stacks.eman_header import metadata_from_headers

    images, headers = scan_eman_hdf(path)
    try:
        metadata = metadata_from_headers(list(headers.values()))
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from None
    index = np.zeros(images.count, np.int32)
    return Stack(path, "EMAN2 HDF", [images], index, np.arange(images.count), metadata)


def _open_star(path: Path, root: Path | None) -> Stack:
    """Make a stack of the particles of a RELION star."""
    particles = read_relion_particles(path)
    files = open_named_files(path, particles.image_paths, root)
    sizes = np.array([file.pixel_size_in_angstroms for file in files])[particles.file_index]
    try:
        metadata = with_pixel_sizes_of_files(particles.metadata, sizes)
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from None
    return Stack(path, "RELION star", files, particles.file_index, particles.slots, metadata)
