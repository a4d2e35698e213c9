"""Columns of numbers in text files, in the widths that programs around SPHIRE read.

Whole numbers are ``%12d``, others ``%14.6f``, each after two blanks; ids count from 0.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isac2.errors import InputError
from isac2.files import write_text_atomic

__all__ = ["read_ids", "read_table", "write_ids", "write_table"]

_WHOLE, _DECIMAL = "  %12d", "  %14.6f"


def write_ids(path: Path, ids: ArrayLike) -> None:
    """Write whole numbers, one a line."""
    write_table(path, [np.asarray(ids, dtype=np.int64)])


def write_table(path: Path, columns: Sequence[ArrayLike]) -> None:
    """Write columns of equal length; those of integer type as whole numbers.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "poses.txt"
    >>> write_table(path, [np.array([90.0]), np.array([1])])
    >>> path.read_text()
    '       90.000000             1\\n'
    """
    arrays = [np.asarray(column) for column in columns]
    form = "".join(_WHOLE if array.dtype.kind in "iu" else _DECIMAL for array in arrays)
    rows = np.rec.fromarrays(arrays) if len(arrays[0]) else np.empty((0, len(arrays)))
    text = io.StringIO()
    np.savetxt(text, rows, fmt=form)
    write_text_atomic(path, text.getvalue())


def read_ids(path: Path) -> NDArray[np.int64]:
    """Read the first column of a file as whole numbers, int64 (n,).

    Raises
    ------
    InputError
        When the file is missing or holds something else.
    """
    ids = read_table(path)[:, :1].ravel()
    if not np.array_equal(ids, np.rint(ids)):
        raise InputError(f"{path} holds a number that is not whole, so it is no list of ids.")
    return ids.astype(np.int64)


def read_table(path: Path) -> NDArray[np.float64]:
    """Read columns of numbers, float64 (rows, columns); an empty file has shape (0, 0).

    Raises
    ------
    InputError
        When the file is missing or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
        rows = [line.split() for line in text.splitlines() if line.strip()]
        if not rows:
            return np.empty((0, 0))
        return np.array(rows, dtype=np.float64)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError:
        raise InputError(f"{path} is no table of numbers.") from None
