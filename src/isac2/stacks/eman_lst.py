"""EMAN2's image lists, `.lst` and `.lsx`: a number, a file, and perhaps a header, a line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.files import atomic_path
from isac2.stacks.eman_hdf import HdfImages, read_eman_headers
from isac2.stacks.eman_header import HeaderValue, metadata_from_headers
from isac2.stacks.faults import Faults
from isac2.stacks.image_files import open_named_files
from isac2.stacks.stack import Stack

__all__ = ["open_eman_lst", "read_lst_lines", "write_eman_lst"]

_LONGEST_LINE = 1 << 20
_FAST_HEADER = (
    "#LSX\n# This file is in fast LST format. All lines after the next line have exactly the "
    "number of characters shown on the next line. This MUST be preserved if editing.\n"
)


def open_eman_lst(path: Path, root: Path | None = None) -> Stack:
    """Open an EMAN2 list; headers are those of the files it names, overlaid by its own.

    Raises
    ------
    InputError
        When a line cannot be understood, or a file it names is missing or broken.
    """
    slots, names, own = read_lst_lines(path, Faults())
    unique, inverse = np.unique(np.array(names, object), return_inverse=True)
    file_index = inverse.astype(np.int32)
    files = open_named_files(path, [str(name) for name in unique], root)
    headers: list[dict[str, HeaderValue]] = [{} for _ in names]
    for number, file in enumerate(files):
        if isinstance(file, HdfImages):
            rows = np.flatnonzero(file_index == number)
            for row, header in zip(
                rows, read_eman_headers(file.path, slots[rows].tolist()), strict=True
            ):
                headers[row].update(header)
    for header, overlay in zip(headers, own, strict=True):
        header.update(overlay)
    try:
        metadata = metadata_from_headers(headers)
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from None
    metadata = metadata.with_pixel_sizes(
        np.array([file.pixel_size_in_angstroms for file in files])[file_index]
    )
    return Stack(path, "EMAN2 list", files, file_index, slots, metadata)


def read_lst_lines(
    path: Path, faults: Faults
) -> tuple[NDArray[np.int64], list[str], list[dict[str, HeaderValue]]]:
    """Return the number, the file and the header of each line that can be understood."""
    numbers: list[int] = []
    names: list[str] = []
    headers: list[dict[str, HeaderValue]] = []
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for count, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), ""), 1):
                text = line.strip()
                if not text or text.startswith("#"):
                    continue
                words = text.split("\t" if "\t" in text else None, 2)
                try:
                    number, name, header = _line_values(words)
                except ValueError as error:
                    more = " (images are counted without it)" if faults.collects else ""
                    faults.add(f"{path} is not a readable EMAN2 list: line {count} {error}{more}.")
                    continue
                numbers.append(number)
                names.append(name)
                headers.append(header)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    if not names and not faults.sentences:
        raise InputError(f"{path} lists no images.")
    return np.array(numbers, np.int64), names, headers


def _line_values(words: list[str]) -> tuple[int, str, dict[str, HeaderValue]]:
    """Return what the words of one line stand for; `ValueError` says what they are not."""
    if len(words) < 2 or not words[0].strip().isdecimal() or len(words[0]) > 18:
        raise ValueError("is not NUMBER FILE")
    return int(words[0]), words[1].strip(), _own_header(words[2].strip()) if words[2:] else {}


def _own_header(text: str) -> dict[str, HeaderValue]:
    """Read what stands behind the file's name: JSON, or words that are kept."""
    if not text.startswith("{"):
        return {"lst_comment": text} if text else {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("has broken JSON") from None
    header = {}
    for key, value in values.items():
        plain = _plain_value(value)
        if plain is not None:
            header[key] = plain
    return header


def _plain_value(value: Any) -> HeaderValue:
    """Return a number, a text, a flat list of numbers or a matrix; None for anything else."""
    if isinstance(value, dict):
        matrix = value.get("matrix")
        numbers = str(matrix).strip("[]").split(",") if isinstance(matrix, str) else matrix
        if not isinstance(numbers, list) or len(numbers) != 12:
            return None
        return np.array([float(number) for number in numbers]).reshape(3, 4)
    if isinstance(value, list):
        return value if all(type(item) in (int, float) for item in value) else None
    return value if isinstance(value, (bool, int, float, str)) else None


def write_eman_lst(
    path: str | os.PathLike[str],
    stack: Stack,
    headers: Sequence[Mapping[str, HeaderValue]] | None = None,
    names_relative_to: str | os.PathLike[str] | None = None,
) -> None:
    """Write an EMAN2 list of a stack's images, in the fast format (LSX).

    Parameters
    ----------
    path : path-like
        The list to write.
    stack : Stack
        Images in MRC or HDF files.
    headers : sequence of mapping, optional
        Written behind each image's file, as JSON.
    names_relative_to : path-like, optional
        Folder from which the names are to resolve, by default that of `path`; EMAN2 itself resolves
        them from its project folder.
    """
    folder = Path(names_relative_to) if names_relative_to is not None else Path(path).parent
    names = [os.path.relpath(file.path.resolve(), folder.resolve()) for file in stack.files]
    lines = []
    for row, (slot, index) in enumerate(zip(stack.slots, stack.file_index, strict=True)):
        line = f"{slot}\t{names[index]}"
        if headers is not None and headers[row]:
            line += "\t" + json.dumps({k: _as_json(v) for k, v in headers[row].items()})
        lines.append(line)
    if any("\n" in line for line in lines):
        raise InputError(f"{path}: the name of a file holds a line break, which no list can hold.")
    encoded = [line.encode("utf-8", "surrogateescape") for line in lines]
    width = max(len(line) for line in encoded) + 1
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(_FAST_HEADER.encode() + f"# {width}\n".encode())
        file.writelines(line.ljust(width - 1) + b"\n" for line in encoded)


def _as_json(value: HeaderValue) -> Any:
    """Return what JSON can hold of a header value."""
    array = np.asarray(value)
    if array.shape == (3, 4):
        matrix = ",".join(f"{number:.9g}" for number in array.ravel())
        return {"__class__": "Transform", "matrix": f"[{matrix}]"}
    return array.tolist()
