"""What a run writes at its end: for SPHIRE's readers, and for the programs of today."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isac2.classes.order import ChainOrder
from isac2.files import write_text_atomic
from isac2.images.transform import apply_poses
from isac2.poses import eman_matrix_from_poses, relion_from_poses
from isac2.run.directory import RunDirectory
from isac2.run.generation_files import (
    LARGEST_MARGIN,
    MeasuredGroup,
    average_header,
    resolution_in_angstroms,
    write_averages,
)
from isac2.run.run_classes import Membership, RunFacts
from isac2.run.text_tables import write_ids, write_table
from isac2.stacks import (
    Stack,
    StarTable,
    write_eman_hdf,
    write_mrcs,
    write_particles_star,
    write_star,
)
from isac2.stacks.cryosparc import class_columns, pose_columns, write_particles_cs
from isac2.stacks.relion import without_type

__all__ = [
    "write_class_files",
    "write_ordered_averages",
    "write_particle_files",
    "write_shrink_ratio",
]

_SECOND_CLASS = "isac2SecondClass"
_BELIEF_FIELDS: dict[str, tuple[str, type]] = {
    "isac2StableAgain": ("isac2/stable_again", np.int32),
    "isac2MirrorAgreement": ("isac2/mirror_agreement", np.float32),
    "isac2Margin": ("isac2/margin", np.float32),
    _SECOND_CLASS: ("isac2/second_class", np.uint32),
}
_BELIEF_COLUMNS = {
    "stable_again": "isac2StableAgain",
    "mirror_agreement": "isac2MirrorAgreement",
    "margin": "isac2Margin",
    "chance": "isac2Chance",
    "second_class": _SECOND_CLASS,
}


def write_shrink_ratio(directory: RunDirectory, facts: RunFacts) -> None:
    """Write the shrink ratio and the radius, each alone on a line, the sixth and the seventh.

    Programs around SPHIRE find them there.
    """
    write_text_atomic(
        directory.shrink_ratio_readme,
        "\n"
        "The particles were resampled for the classification. One pixel of the input is this\n"
        "many pixels of the class averages (first number), and this was the radius of the\n"
        "particle in pixels of the input (second number):\n"
        "--------\n"
        f"{facts.shrink_ratio:.8f}\n"
        f"{facts.radius:.5f}\n"
        "--------\n"
        "The pixel size of the class averages is the input's divided by the first number; their\n"
        "headers have it already. Shifts in all_parameters.txt are in pixels of the class\n"
        "averages: divide them by the first number as well.\n",
    )


def write_class_files(
    directory: RunDirectory,
    classes: Sequence[MeasuredGroup],
    facts: RunFacts,
    split_mirrors: bool,
    names_relative_to: Path | None = None,
) -> None:
    """Write the class averages: as EMAN2 reads them, and as RELION does.

    Parameters
    ----------
    directory : RunDirectory
    classes : sequence of MeasuredGroup
    facts : RunFacts
    split_mirrors : bool
        For RELION, follow each average by its mirror image, the class of its mirrored members.
    names_relative_to : pathlib.Path, optional
        Folder that the star's image names are relative to; its own when not given.
    """
    write_averages(directory.class_averages, classes, facts)
    if not classes:
        directory.class_averages_mrcs.unlink(missing_ok=True)
        directory.class_averages_star.unlink(missing_ok=True)
        return
    averages = facts.natural(np.stack([entry.group.average for entry in classes]))
    columns = _class_columns(classes, facts)
    if split_mirrors:
        averages = np.stack([averages, _mirror(averages)], axis=1).reshape(-1, *averages.shape[1:])
        columns = _with_mirrors(columns, classes)
    write_mrcs(directory.class_averages_mrcs, averages, facts.working_pixel_size_in_angstroms)
    counts = columns["isac2MemberCount"]
    table: dict[str, ArrayLike] = {
        "rlnReferenceImage": _image_names(
            directory.class_averages_mrcs, len(averages), names_relative_to or directory.path
        ),
        "rlnClassDistribution": counts / max(1, int(counts.sum())),
        **columns,
    }
    texts = StarTable({name: _text(values) for name, values in table.items()})
    write_star(directory.class_averages_star, {"model_classes": texts})


def _class_columns(classes: Sequence[MeasuredGroup], facts: RunFacts) -> dict[str, NDArray[Any]]:
    """What the star says of each class's quality, and how far it can be believed."""
    columns: dict[str, NDArray[Any]] = {
        "rlnEstimatedResolution": np.array(
            [resolution_in_angstroms(entry, facts) for entry in classes]
        ),
        "isac2MemberCount": np.array([len(entry.group.members) for entry in classes]),
        "isac2PixelError": np.array([entry.group.rms_pixel_error for entry in classes]),
        "isac2MirrorConsistency": np.array([entry.group.mirror_consistency for entry in classes]),
    }
    beliefs = [entry.belief for entry in classes]
    if all(beliefs):
        for name, label in _BELIEF_COLUMNS.items():
            values = [belief[name] for belief in beliefs]
            columns[label] = np.array(
                values if label == _SECOND_CLASS else [_short(value) for value in values]
            )
    return columns


def _with_mirrors(
    columns: dict[str, NDArray[Any]], classes: Sequence[MeasuredGroup]
) -> dict[str, NDArray[Any]]:
    """Columns of twice as many classes: each and its mirror image."""
    mirrored = np.array([int(entry.group.poses["mirror"].sum()) for entry in classes])
    counts = columns["isac2MemberCount"]
    twice = {label: np.repeat(values, 2) for label, values in columns.items()}
    twice["isac2MemberCount"] = np.stack([counts - mirrored, mirrored], axis=1).ravel()
    if _SECOND_CLASS in twice:
        twice[_SECOND_CLASS] = _number_where_split(twice[_SECOND_CLASS])
    return twice


def write_particle_files(
    directory: RunDirectory,
    stack: Stack,
    members: Membership,
    facts: RunFacts,
    split_mirrors: bool,
) -> None:
    """Write which particle is in which class, and in which pose.

    ``particles.star`` has every particle once: ``rlnClassNumber`` (0: in no class), the pose of the
    input image in RELION's terms (of a particle in no class, the pre-alignment's shift alone), and
    ``isac2PixelError`` (working px) and ``isac2Similarity``, both -1 for a particle in no class.
    Where the classes were judged there are also ``isac2StableAgain`` (1, 0, or -1 in no class),
    ``isac2MirrorAgreement`` (-1 in no class), ``isac2Margin`` (standard deviations of the noise)
    and ``isac2SecondClass``, both 0 in no class: docs/confidence.md.
    ``particles.cs`` says the same in cryoSPARC's terms, when the input was cryoSPARC's.
    """
    write_ids(directory.processed_images, members.accounted)
    write_ids(directory.not_processed_images, members.unaccounted)
    poses = members.poses
    mirror = np.where(members.class_index >= 0, poses["mirror"], -1)
    columns = [poses["alpha"], poses["tx"], poses["ty"], mirror.astype(np.int64)]
    write_table(directory.all_parameters, columns)
    write_particles_star(
        directory.particles_star,
        stack,
        _star_columns(members, facts, split_mirrors),
        project_folder(stack),
    )
    if stack.metadata.foreign.kind == "cryosparc":
        columns_cs = _cs_columns(members, facts, split_mirrors)
        write_particles_cs(directory.particles_cs, stack, columns_cs, project_folder(stack))


def write_ordered_averages(
    directory: RunDirectory,
    classes: Sequence[MeasuredGroup],
    chain: ChainOrder,
    facts: RunFacts,
) -> None:
    """Write the averages along the chain, turned to match, and the chain itself."""
    ordered = [classes[number] for number in chain.order]
    if not ordered:
        directory.ordered_class_averages.unlink(missing_ok=True)
        write_text_atomic(directory.chains_params, "")
        return
    matrices = eman_matrix_from_poses(chain.poses)
    headers = [
        {**average_header(entry, facts), "source_n": int(number), "xform.align2d": matrix}
        for entry, number, matrix in zip(ordered, chain.order, matrices, strict=True)
    ]
    averages = facts.natural(np.stack([entry.group.average for entry in ordered]))
    write_eman_hdf(
        directory.ordered_class_averages,
        apply_poses(averages, chain.poses),
        headers,
        facts.working_pixel_size_in_angstroms,
    )
    zeros = np.zeros(len(ordered))
    mirror = chain.mirror.astype(np.int64)
    new_index = np.arange(len(ordered))
    columns = [new_index, chain.order, chain.alpha, zeros, zeros, mirror]
    write_table(directory.chains_params, columns)


def project_folder(stack: Stack) -> Path | None:
    """Folder that the input's image names are relative to; None when it is the table's own.

    RELION and cryoSPARC resolve names from the project's folder. Where the input did so, the output
    does too.
    """
    columns = stack.metadata.foreign.particles
    labels = ("rlnImageName", "rlnReferenceImage", "blob/path")
    label = next((name for name in labels if name in columns), None)
    if label is None:
        return None
    name = without_type(os.fsdecode(columns[label][0]).rpartition("@")[2].lstrip(">"))
    file = str(stack.files[stack.file_index[0]].path)
    if os.path.isabs(name) or not file.endswith(name):
        return None
    folder = Path(file[: -len(name)] or ".")
    return None if folder.resolve() == stack.path.parent.resolve() else folder


def _star_columns(
    members: Membership, facts: RunFacts, split_mirrors: bool
) -> dict[str, ArrayLike]:
    """Columns that a run adds to the particles' star."""
    psi, x, y, flip = relion_from_poses(members.input_poses(facts), facts.pixel_size_in_angstroms)
    number = members.class_index + 1
    if split_mirrors:
        number = _number_where_split(number, flip)
        flip = np.zeros_like(flip)
    return {
        "rlnClassNumber": number,
        "rlnAnglePsi": psi.round(6),
        "rlnOriginXAngst": x.round(6),
        "rlnOriginYAngst": y.round(6),
        "rlnIsFlip": flip,
        "isac2PixelError": np.nan_to_num(members.pixel_error, nan=-1.0).round(6),
        "isac2Similarity": np.nan_to_num(members.similarity, nan=-1.0).round(6),
        **_belief_columns(members, split_mirrors),
    }


def _belief_columns(members: Membership, split_mirrors: bool) -> dict[str, ArrayLike]:
    """Columns that say how far each particle's class can be believed."""
    belief = members.belief
    if belief is None:
        return {}
    second = belief.second_class + 1
    if split_mirrors:
        second = _number_where_split(second)
    margin = np.nan_to_num(belief.margin, nan=0.0, posinf=LARGEST_MARGIN)
    return {
        "isac2StableAgain": np.where(members.class_index >= 0, belief.stable_again, -1),
        "isac2MirrorAgreement": np.nan_to_num(belief.mirror_agreement, nan=-1.0).round(3),
        "isac2Margin": margin.round(3),
        _SECOND_CLASS: second,
    }


def _cs_columns(members: Membership, facts: RunFacts, split_mirrors: bool) -> dict[str, ArrayLike]:
    """Fields that a run adds to the particles' table of cryoSPARC."""
    poses = members.input_poses(facts)
    belief = _belief_columns(members, split_mirrors)
    number = members.class_index + 1
    if split_mirrors:
        number = _number_where_split(number, poses["mirror"])
        poses["mirror"] = 0
    return {
        **pose_columns(poses, facts.pixel_size_in_angstroms),
        **class_columns(number),
        "isac2/pixel_error": np.nan_to_num(members.pixel_error, nan=-1.0).astype(np.float32),
        "isac2/similarity": np.nan_to_num(members.similarity, nan=-1.0).astype(np.float32),
        **{
            field: np.asarray(belief[column]).astype(kind)
            for column, (field, kind) in _BELIEF_FIELDS.items()
            if column in belief
        },
    }


def _number_where_split(number: NDArray[Any], mirror: NDArray[Any] | int = 0) -> NDArray[Any]:
    """Numbers of classes (from 1; 0 none) where each is two: first the one of unmirrored members.

    Examples
    --------
    >>> _number_where_split(np.array([0, 1, 2, 2]), np.array([0, 0, 0, 1])).tolist()
    [0, 1, 3, 4]
    """
    split: NDArray[Any] = np.where(number > 0, 2 * number - 1 + mirror, 0)
    return split


def _mirror(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Negate x about the centre n // 2; an even box's first column, which has no twin, stays."""
    flipped = images[..., ::-1]
    return np.roll(flipped, 1, axis=-1) if images.shape[-1] % 2 == 0 else flipped


def _image_names(file: Path, count: int, folder: Path) -> list[str]:
    """``N@file`` of each image, N from 1, the file relative to a folder."""
    name = os.path.relpath(file.resolve(), folder.resolve())
    return [f"{number:06d}@{name}" for number in range(1, count + 1)]


def _short(value: float) -> str:
    """A number in four digits, however small: probabilities may be."""
    return f"{value:.4g}"


def _text(values: ArrayLike) -> NDArray[np.bytes_]:
    """Values as the text of a star's column."""
    array = np.asarray(values)
    if array.dtype.kind == "f":
        array = array.round(6)
    if array.dtype.kind == "U":
        return np.char.encode(array, "utf-8")
    return array.astype("S")
