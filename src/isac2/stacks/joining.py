"""Several stacks taken as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.stacks._images import ImageFile
from isac2.stacks._text import text_column
from isac2.stacks.metadata import ForeignTables, Metadata
from isac2.stacks.relion import relion_tables
from isac2.stacks.stack import Stack
from isac2.stacks.star import StarTable

__all__ = ["join_stacks"]


def join_stacks(stacks: Sequence[Stack]) -> Stack:
    """Return one stack of the images of several, in order.

    Foreign columns are kept when all stacks come from the same kind of file; a column that one of
    them lacks is left out. RELION's optics groups are numbered anew.

    Raises
    ------
    InputError
        When there is none, or the images differ in size.
    """
    if not stacks:
        raise InputError("no particle stack is given.")
    if len(stacks) == 1:
        return stacks[0]
    files: list[ImageFile] = []
    index = []
    for stack in stacks:
        index.append(stack.file_index + np.int32(len(files)))
        files += stack.files
    path = Path(", ".join(str(stack.path) for stack in stacks))
    kinds = " and ".join(dict.fromkeys(stack.kind for stack in stacks))
    slots = np.concatenate([stack.slots for stack in stacks])
    metadata = _join_metadata([stack.metadata for stack in stacks])
    return Stack(path, kinds, files, np.concatenate(index), slots, metadata)


def _join_metadata(tables: Sequence[Metadata]) -> Metadata:
    joined: dict[str, Any] = {}
    for item in fields(Metadata):
        if item.name == "foreign":
            continue
        parts = [getattr(table, item.name) for table in tables]
        if all(part is not None for part in parts):
            joined[item.name] = np.concatenate(parts)
        else:
            joined[item.name] = None
    groups, foreign = _join_foreign(tables)
    if groups is not None:
        joined["optics_group"] = groups
    return Metadata(**joined, foreign=foreign)


def _join_foreign(
    tables: Sequence[Metadata],
) -> tuple[NDArray[np.int64] | None, ForeignTables]:
    """Return new optics groups (RELION only) and the joined foreign tables."""
    kinds = {table.foreign.kind for table in tables}
    if len(kinds) > 1 or kinds == {"none"}:
        return None, ForeignTables()
    kind = kinds.pop()
    if kind == "eman2":
        return None, ForeignTables(kind, _join_objects(tables))
    if kind == "relion":
        return _join_relion(tables)
    return None, ForeignTables(kind, _join_common([table.foreign.particles for table in tables]))


def _join_common(parts: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Join the columns that all parts have."""
    names = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _join_objects(tables: Sequence[Metadata]) -> dict[str, NDArray[Any]]:
    """Join columns of objects; None where a part lacks one."""
    names = dict.fromkeys(name for table in tables for name in table.foreign.particles)
    return {
        name: np.concatenate(
            [table.foreign.particles.get(name, np.full(len(table), None)) for table in tables]
        )
        for name in names
    }


def _join_relion(tables: Sequence[Metadata]) -> tuple[NDArray[np.int64], ForeignTables]:
    """Join RELION tables, in the layout of 3.1, with the optics groups numbered anew."""
    particles, optics, groups = [], [], []
    count = 0
    for table in tables:
        part, part_optics, _ = relion_tables(table)
        numbers = part_optics.numbers("rlnOpticsGroup").astype(np.int64)
        order = np.argsort(numbers)
        own = part["rlnOpticsGroup"].astype(np.float64).astype(np.int64)
        new = order[np.searchsorted(numbers[order], own)] + 1 + count
        fresh = text_column(np.arange(len(numbers)) + 1 + count)
        optics.append({**part_optics.columns, "rlnOpticsGroup": fresh})
        particles.append({**part, "rlnOpticsGroup": text_column(new)})
        groups.append(new)
        count += len(numbers)
    others = {"optics": StarTable(_join_common(optics))}
    foreign = ForeignTables("relion", _join_common(particles), others, "particles")
    return np.concatenate(groups), foreign
