"""One way out: `write_stack` writes any stack in any format, told by the name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.stacks._images import ImageFile, RawImages
from isac2.stacks.mrc import open_mrc, write_mrcs
from isac2.stacks.stack import Stack

__all__ = ["FORMATS", "WriteOptions", "read_in_chunks", "refuse_existing", "write_stack"]

FORMATS = (".mrcs", ".mrc", ".star", ".cs", ".hdf", ".lst", ".lsx", "bdb:")
"""What `write_stack` writes, by the end (or the begin) of the name."""

_CHUNK_BYTES = 64 << 20


@dataclass(frozen=True)
class WriteOptions:
    """How tables refer to pixels.

    Attributes
    ----------
    copy_pixels : bool
        Write the pixels beside the table even where it could point to the ones there are.
    names_relative_to : Path or None
        Folder from which names in the table are to resolve; that of the table by default.
    keep_existing : bool
        Refuse to replace a file that is there already, be it the stack or the pixels beside it.
    """

    copy_pixels: bool = False
    names_relative_to: Path | None = None
    keep_existing: bool = True


def write_stack(
    path: str | os.PathLike[str], stack: Stack, options: WriteOptions | None = None
) -> None:
    """Write a stack; the format is told by the name.

    Tables (`.star`, `.cs`, `.lst`, virtual `bdb:`) point to the pixels where they are when the
    programs that read such tables can read them there; otherwise the pixels are written beside the
    table, under its name.

    Parameters
    ----------
    path : path-like
        What to write; see `FORMATS`.
    stack : Stack
        The particles.
    options : WriteOptions, optional
        How tables refer to pixels.

    Raises
    ------
    InputError
        When the name has none of the known endings, something is there already, or cannot be
        written.
    """
    options = options or WriteOptions()
    name, target = str(path), Path(path)
    if options.keep_existing:
        refuse_existing(name)
    if name.startswith("bdb:") or target.suffix.lower() == ".bdb":
        _write_bdb(name, stack, options)
        return
    suffix = target.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"{name}: what to write is told by the ending, one of {_endings()}.")
    if not target.parent.is_dir():
        raise InputError(f"{name}: there is no folder {target.parent}.")
    if suffix in (".mrc", ".mrcs"):
        write_mrcs(target, read_in_chunks(stack), stack.pixel_size_in_angstroms)
    elif suffix == ".hdf":
        _write_hdf(target, stack)
    elif suffix == ".star":
        from isac2.stacks.relion import write_particles_star

        seen = _with_mrc_pixels(target, stack, options)
        write_particles_star(target, seen, names_relative_to=options.names_relative_to)
    elif suffix == ".cs":
        from isac2.stacks.cryosparc import write_particles_cs

        seen = _with_mrc_pixels(target, stack, options)
        write_particles_cs(target, seen, names_relative_to=options.names_relative_to)
    else:
        _write_list(target, stack, options)


def refuse_existing(name: str) -> None:
    """Raise `InputError` when there is a file or BDB stack of this name."""
    if name.startswith("bdb:"):
        from isac2.stacks.eman_bdb import bdb_file

        there = bdb_file(name).exists()
    else:
        there = Path(name).exists()
    if there:
        raise InputError(f"{name} is there already, and nothing is overwritten: give a new name.")


def _endings() -> str:
    return ", ".join(FORMATS[:-1]) + " or bdb:folder#name"


def read_in_chunks(stack: Stack) -> Iterator[NDArray[np.float32]]:
    """Yield all images in order, some ten megabytes at a time."""
    step = max(1, _CHUNK_BYTES // (4 * stack.box_size**2))
    for start in range(0, len(stack), step):
        yield stack.read(slice(start, start + step))


def _write_hdf(path: Path, stack: Stack) -> None:
    from isac2.stacks.eman_hdf import write_eman_hdf
    from isac2.stacks.eman_header import headers_from_metadata

    headers = headers_from_metadata(stack.metadata)
    write_eman_hdf(path, read_in_chunks(stack), headers, stack.pixel_size_in_angstroms)


def _with_mrc_pixels(path: Path, stack: Stack, options: WriteOptions) -> Stack:
    """Return the stack with pixels in MRC files, written beside `path` if they are elsewhere."""
    if all(_is_plain_mrc(file) for file in stack.files) and not options.copy_pixels:
        return stack
    pixels = _beside(path, ".mrcs", stack)
    if options.keep_existing:
        refuse_existing(str(pixels))
    write_mrcs(pixels, read_in_chunks(stack), stack.pixel_size_in_angstroms)
    return _moved(stack, pixels)


def _beside(path: Path, ending: str, stack: Stack) -> Path:
    """Return the name of the pixels beside a table, which must not be the stack's own."""
    pixels = path.with_suffix(ending)
    if any(file.path.resolve() == pixels.resolve() for file in stack.files):
        raise InputError(
            f"{path}: its pixels would be written over {pixels}, from which they are read; give "
            "another name."
        )
    return pixels


def _is_plain_mrc(file: ImageFile) -> bool:
    """Tell whether the images are those of an MRC file: a BDB may count them from any byte."""
    if not isinstance(file, RawImages):
        return False
    try:
        own = open_mrc(file.path)
    except InputError:
        return False
    return (own.offset, own.dtype, own.shape) == (file.offset, file.dtype, file.shape)


def _moved(stack: Stack, pixels: Path) -> Stack:
    """Return the stack with its pixels, in order, in one new file."""
    from isac2.stacks.image_files import open_image_file

    index, slots = np.zeros(len(stack), np.int32), np.arange(len(stack))
    return Stack(stack.path, stack.kind, [open_image_file(pixels)], index, slots, stack.metadata)


def _write_list(path: Path, stack: Stack, options: WriteOptions) -> None:
    """Write an EMAN2 list; pixels EMAN2 cannot read where they are go into an HDF beside it."""
    from isac2.stacks.eman_hdf import HdfImages
    from isac2.stacks.eman_header import headers_from_metadata
    from isac2.stacks.eman_lst import write_eman_lst

    headers = headers_from_metadata(stack.metadata)
    readable = all(_is_plain_mrc(file) or isinstance(file, HdfImages) for file in stack.files)
    if options.copy_pixels or not readable:
        pixels = _beside(path, ".hdf", stack)
        if options.keep_existing:
            refuse_existing(str(pixels))
        _write_hdf(pixels, stack)
        write_eman_lst(path, _moved(stack, pixels), None, options.names_relative_to)
    else:
        write_eman_lst(path, stack, headers, options.names_relative_to)


def _write_bdb(name: str, stack: Stack, options: WriteOptions) -> None:
    """Write a BDB stack, virtual where the pixels are raw float32 already."""
    from isac2.stacks.eman_bdb_writing import write_eman_bdb, write_virtual_eman_bdb
    from isac2.stacks.eman_header import headers_from_metadata

    headers = headers_from_metadata(stack.metadata)
    raw = all(isinstance(file, RawImages) and file.dtype == np.dtype("<f4") for file in stack.files)
    if raw and not options.copy_pixels:
        write_virtual_eman_bdb(name, stack, headers)
    else:
        write_eman_bdb(name, read_in_chunks(stack), headers)
