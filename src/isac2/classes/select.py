"""Choosing classes of a run, and with them particles: by number, quality, or a saved selection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError

__all__ = ["ClassTable", "Limits", "class_table", "classes_within", "parse_numbers"]


@dataclass(frozen=True)
class ClassTable:
    """K classes: their members, and their quality where it is known (else NaN).

    Attributes
    ----------
    members : tuple of int64 (m,)
        Ids of each class's particles, rows of the input stack, from 0.
    resolution_in_angstroms : float64 (K,)
    pixel_error : float64 (K,)
        Root mean square over the members, working pixels.
    mirror_consistency : float64 (K,)
        Share, 0 to 1.
    """

    members: tuple[NDArray[np.int64], ...]
    resolution_in_angstroms: NDArray[np.float64]
    pixel_error: NDArray[np.float64]
    mirror_consistency: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.members)

    def ids(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Ids, ascending, of the members of the chosen classes (bool (K,))."""
        some = [members for members, keep in zip(self.members, chosen, strict=True) if keep]
        return np.unique(np.concatenate([np.empty(0, np.int64), *some]))


@dataclass(frozen=True)
class Limits:
    """What a class has to keep to; None is no limit. Units are those of `ClassTable`."""

    minimum_size: int | None = None
    maximum_size: int | None = None
    maximum_resolution_in_angstroms: float | None = None
    maximum_pixel_error: float | None = None
    minimum_mirror_consistency: float | None = None


def class_table(headers: Sequence[Mapping[str, Any]], source: str) -> ClassTable:
    """Gather what the headers of averages say.

    Raises
    ------
    InputError
        When an average does not know its members.
    """
    for number, header in enumerate(headers):
        if "members" not in header:
            raise InputError(
                f"{source}: image {number + 1} does not know its members, so it is no class "
                "average: give a run's directory or its class_averages.hdf."
            )

    def column(key: str) -> NDArray[np.float64]:
        return np.array([header.get(key, np.nan) for header in headers], np.float64)

    members = tuple(np.atleast_1d(np.asarray(h["members"], np.int64)) for h in headers)
    return ClassTable(
        members, column("resolution"), column("pixel_error"), column("mirror_consistency")
    )


def classes_within(classes: ClassTable, limits: Limits, source: str) -> NDArray[np.bool_]:
    """Say which classes keep to all limits, bool (K,).

    Raises
    ------
    InputError
        When a limit is on something that the run does not know of its classes.

    Examples
    --------
    >>> table = class_table([{"members": [0, 3, 4]}, {"members": [2]}], "a.hdf")
    >>> classes_within(table, Limits(minimum_size=2), "a.hdf").tolist()
    [True, False]
    """
    sizes = np.array([len(members) for members in classes.members], np.int64)
    keep = np.ones(len(classes), bool)
    if limits.minimum_size is not None:
        keep &= sizes >= limits.minimum_size
    if limits.maximum_size is not None:
        keep &= sizes <= limits.maximum_size
    for words, values, limit, sign in (
        ("resolution", classes.resolution_in_angstroms, limits.maximum_resolution_in_angstroms, 1),
        ("pixel error", classes.pixel_error, limits.maximum_pixel_error, 1),
        ("mirror consistency", classes.mirror_consistency, limits.minimum_mirror_consistency, -1),
    ):
        if limit is None:
            continue
        if len(values) and np.isnan(values).all():
            raise InputError(
                f"{source} does not say the {words} of its classes, as runs of isac2 do: choose by "
                "number, size or a saved selection."
            )
        keep &= sign * values <= sign * limit  # unknown (NaN) is not within
    return keep


def parse_numbers(text: str, count: int) -> NDArray[np.int64]:
    """Read class numbers from 1, such as ``1,4-6``, as indices from 0.

    Raises
    ------
    InputError
        When it is something else, or there is no such class.

    Examples
    --------
    >>> parse_numbers("1,4-6", 8).tolist()
    [0, 3, 4, 5]
    """
    found: set[int] = set()
    for part in text.replace(",", " ").split():
        first, dash, last = part.partition("-")
        last = last if dash else first
        words = (first, last)
        if not all(w.isascii() and w.isdecimal() and len(w) < 10 for w in words):
            raise InputError(f"'{part}' is no class number: give numbers and ranges, as in 1,4-6.")
        if not 1 <= int(first) <= int(last) <= count:
            raise InputError(f"'{part}' is not among the {count} classes, 1 to {count}.")
        found.update(range(int(first) - 1, int(last)))
    if not found:
        raise InputError("no class number is given: give numbers and ranges, as in 1,4-6.")
    return np.array(sorted(found), np.int64)
