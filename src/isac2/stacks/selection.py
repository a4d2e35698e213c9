"""Parts of a stack: images chosen by number or by class, and classes told apart by mirror."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.poses import PoseArray, eman_matrix_from_poses, relion_from_poses
from isac2.stacks._text import text_column
from isac2.stacks.metadata import ForeignTables, Metadata
from isac2.stacks.stack import Stack

__all__ = ["accounted_images", "chosen_images", "split_mirrored_classes", "with_classes"]


def chosen_images(stack: Stack, ids: Path) -> Stack:
    """Return the images whose numbers, from 0, a text file lists, one a line.

    Raises
    ------
    InputError
        When the file has anything else, or names an image that is not there.
    """
    try:
        words = ids.read_text(encoding="utf-8", errors="replace").split()
    except OSError as error:
        raise InputError(f"{ids} cannot be read: {error.strerror or error}.") from None
    numbers = []
    for place, word in enumerate(words, 1):
        if not word.isdecimal() or len(word) > 18 or int(word) >= len(stack):
            raise InputError(
                f"{ids}: entry {place} is {word[:40]!r}, not the number of an image, 0 to "
                f"{len(stack) - 1}."
            )
        numbers.append(int(word))
    if not numbers:
        raise InputError(f"{ids} names no image.")
    return stack.select(np.array(numbers, np.int64))


def accounted_images(stack: Stack) -> Stack:
    """Return the images that are in a class.

    Raises
    ------
    InputError
        When there is none.
    """
    rows = np.flatnonzero(stack.metadata.class_number > 0)
    if not rows.size:
        raise InputError(f"{stack.path} has no image that is in a class.")
    return stack.select(rows)


def split_mirrored_classes(stack: Stack) -> Stack:
    """Make the mirrored members of class k the class 2k, and the others 2k - 1; 0 stays 0.

    The poses of mirrored members then hold against the mirrored average, so they lose the mirror.

    Raises
    ------
    InputError
        When the stack has no classes or no poses.
    """
    metadata = stack.metadata
    if metadata.poses is None or not (metadata.class_number > 0).any():
        raise InputError(f"{stack.path} has no classes with poses whose mirrors could be split.")
    mirror = metadata.poses["mirror"] != 0
    number = metadata.class_number
    number = np.where(number > 0, 2 * number - 1 + mirror, number)
    poses = metadata.poses.copy()
    poses["mirror"] = 0
    changed = replace(metadata, poses=poses, class_number=number)
    changed = replace(changed, foreign=_without_mirrors(changed, number))
    return Stack(stack.path, stack.kind, stack.files, stack.file_index, stack.slots, changed)


def _without_mirrors(metadata: Metadata, number: NDArray[np.int64]) -> ForeignTables:
    """Return foreign tables that say the same as the changed table."""
    foreign = metadata.foreign
    particles = dict(foreign.particles)
    if foreign.kind == "relion":
        particles["rlnClassNumber"] = text_column(number)
        particles["rlnIsFlip"] = text_column(np.zeros(len(number), np.int8))
    elif foreign.kind == "cryosparc":
        from isac2.stacks.cryosparc import MIRROR, class_columns

        particles.update(class_columns(number))
        particles.pop(MIRROR, None)
    elif foreign.kind == "eman2":
        # EMAN2's matrices hold the mirror; those of the changed table do not.
        assert metadata.poses is not None
        particles["xform.align2d"] = _matrices(metadata.poses)
        particles["class_id"] = np.array([int(value) - 1 for value in number], object)
    return replace(foreign, particles=particles)


def with_classes(
    stack: Stack, class_number: NDArray[np.int64] | None, poses: PoseArray | None
) -> Stack:
    """Return the stack with other classes, other poses, or both; None leaves what there is.

    The tables that are written back say the same as the table of the stack.

    Parameters
    ----------
    stack : Stack
        Of n images.
    class_number : int64 (n,) or None
        From 1; 0 is no class.
    poses : POSE (n,) or None
        Shifts in pixels of the images.
    """
    metadata = stack.metadata
    number = metadata.class_number if class_number is None else class_number
    changed = replace(
        metadata, class_number=number, poses=metadata.poses if poses is None else poses
    )
    particles = dict(metadata.foreign.particles)
    kind = metadata.foreign.kind
    if class_number is not None:
        particles.update(_class_fields(kind, class_number))
    if poses is not None:
        particles.update(_pose_fields(kind, poses, metadata.pixel_size_in_angstroms))
        if "rlnOriginXAngst" in particles:  # of RELION 3.0; in pixels, and now wrong
            particles.pop("rlnOriginX", None)
            particles.pop("rlnOriginY", None)
    if kind == "none":
        particles = {}
    changed = replace(changed, foreign=replace(metadata.foreign, particles=particles))
    return Stack(stack.path, stack.kind, stack.files, stack.file_index, stack.slots, changed)


def _class_fields(kind: str, number: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return classes as the table of a format has them."""
    if kind == "relion":
        return {"rlnClassNumber": text_column(number)}
    if kind == "cryosparc":
        from isac2.stacks.cryosparc import class_columns

        return class_columns(number)
    return {"class_id": np.array([int(value) - 1 for value in number], object)}


def _pose_fields(
    kind: str, poses: PoseArray, pixel_size_in_angstroms: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """Return poses as the table of a format has them."""
    if kind == "cryosparc":
        from isac2.stacks.cryosparc import MIRROR, pose_columns

        mirror = np.zeros(len(poses), np.uint8)
        return {MIRROR: mirror, **pose_columns(poses, pixel_size_in_angstroms)}
    if kind != "relion":
        return {"xform.align2d": _matrices(poses)}
    known = np.isfinite(pixel_size_in_angstroms).all()
    psi, x, y, flip = relion_from_poses(poses, pixel_size_in_angstroms if known else 1.0)
    shifts = ("rlnOriginXAngst", "rlnOriginYAngst") if known else ("rlnOriginX", "rlnOriginY")
    columns = dict(zip(("rlnAnglePsi", *shifts), (psi, x, y), strict=True))
    fields = {label: text_column(values.round(6)) for label, values in columns.items()}
    return {**fields, "rlnIsFlip": text_column(flip)}


def _matrices(poses: PoseArray) -> NDArray[np.object_]:
    """Return EMAN2's matrices as a column of objects."""
    matrices = np.empty(len(poses), object)
    matrices[:] = list(eman_matrix_from_poses(poses))
    return matrices
