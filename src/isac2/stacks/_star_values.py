"""Checking the values of a star's tables, and what is left of the tables when the wrong are out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isac2.stacks._text import TextColumn
from isac2.stacks.faults import Faults
from isac2.stacks.metadata import Metadata
from isac2.stacks.relion import NUMBERS, WHOLE_NUMBERS, metadata_of_tables
from isac2.stacks.star import StarTable

__all__ = ["check_star_values"]

_OTHER_NUMBERS = (
    *("rlnImagePixelSize", "rlnPixelSize", "rlnDetectorPixelSize", "rlnMagnification"),
    *("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst", "rlnOriginX", "rlnOriginY"),
    *("rlnIsFlip", "rlnCtfDataArePhaseFlipped"),
)
_GROUP = "rlnOpticsGroup"
_LARGEST_WHOLE = 2.0**53


def check_star_values(
    path: Path, particles: StarTable, optics: StarTable, faults: Faults
) -> Metadata | None:
    """Report values that cannot be read, and return what the others say.

    Returns
    -------
    Metadata or None
        A row a particle, with nothing known in place of what was reported. None where that is not
        enough to tell.
    """
    particles = _readable(path, "particles", particles, faults)
    optics = _readable(path, "optics", optics, faults)
    if _GROUP in particles and _GROUP in optics:
        particles, optics = _known_groups(path, particles, optics, faults)
    try:
        return metadata_of_tables(particles, optics)
    except ValueError as error:
        faults.add(f"{path}: {error}.")
        return None


def _readable(path: Path, words: str, table: StarTable, faults: Faults) -> StarTable:
    """Report values that are no numbers, and return the table with placeholders for them."""
    columns = dict(table.columns)
    whole = tuple(WHOLE_NUMBERS.values())
    for label in (*NUMBERS.values(), *_OTHER_NUMBERS, *whole):
        if label not in table:
            continue
        where, nothing = f"{label} in data_{words}", b"-1" if label in whole else b"nan"
        column = columns[label]
        wrong = _not_numbers(column)
        _report(path, where, column, wrong, "a number", faults)
        columns[label] = column = _with(column, wrong, nothing)
        if label in whole:
            broken = _not_whole(column)
            _report(path, where, column, broken, "a whole number", faults)
            columns[label] = _with(column, broken, nothing)
    return StarTable(columns, table.is_loop)


def _report(
    path: Path, where: str, column: TextColumn, wrong: NDArray[np.int64], kind: str, faults: Faults
) -> None:
    if not wrong.size:
        return
    shown = repr(bytes(column[wrong[0]])[:40].decode("utf-8", "replace"))
    more = f" (and {wrong.size - 1} more rows)" if wrong.size > 1 else ""
    faults.add(f"{path}: row {wrong[0] + 1} of {where} is {shown}, not {kind}{more}.")


def _with(column: TextColumn, rows: NDArray[np.int64], text: bytes) -> TextColumn:
    if not rows.size:
        return column
    changed = column.astype(f"S{max(column.itemsize, len(text))}")
    changed[rows] = text
    return changed


def _not_numbers(column: TextColumn) -> NDArray[np.int64]:
    """Return the rows whose text is no number."""
    try:
        column.astype(np.float64)
    except ValueError:
        rows = [row for row, value in enumerate(column) if not _is_number(bytes(value))]
        return np.array(rows, np.int64)
    return np.empty(0, np.int64)


def _not_whole(column: TextColumn) -> NDArray[np.int64]:
    values = column.astype(np.float64)
    whole = np.isfinite(values) & (np.abs(values) <= _LARGEST_WHOLE) & (values == np.round(values))
    return np.flatnonzero(~whole)


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _known_groups(
    path: Path, particles: StarTable, optics: StarTable, faults: Faults
) -> tuple[StarTable, StarTable]:
    """Report optics groups that are missing, or there twice, and put the first in their place."""
    numbers = optics.numbers(_GROUP)
    groups, first, counts = np.unique(numbers, return_index=True, return_counts=True)
    for group in groups[counts > 1]:
        faults.add(f"{path}: data_optics has two rows for the optics group {group:g}.")
    wanted = particles.numbers(_GROUP)
    lacking = np.setdiff1d(wanted, groups)
    for group in lacking:
        faults.add(f"{path}: data_optics lacks the optics group {group:g}.")
    columns = dict(particles.columns)
    if lacking.size and len(optics):
        lost = np.flatnonzero(np.isin(wanted, lacking))
        columns[_GROUP] = _with(columns[_GROUP], lost, bytes(optics.columns[_GROUP][0]))
    return StarTable(columns, particles.is_loop), optics.select(np.sort(first))
