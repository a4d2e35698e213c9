"""Read classifications and truths from files: the edge of `isac2.classes.evaluate`.

A classification is a run directory of ours (``particles.star``), one that SPHIRE left
(``class_averages.hdf`` and ``all_parameters.txt``), or any particle star file with class numbers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from isac2.classes.evaluate import Evaluation, evaluate_classes
from isac2.classes.truth import Truth, truth_from_arrays
from isac2.errors import InputError
from isac2.poses import PoseArray, compose, make_poses
from isac2.stacks.relion import RelionParticles, read_relion_particles

__all__ = [
    "Classification",
    "evaluate_run",
    "numbers_of_note",
    "radius_of_run",
    "read_classification",
    "read_truth",
]


_SAME = 1.0  # A or px: what tables round is less, what chance brings together is rare


@dataclass(frozen=True)
class Classification:
    """Which class each particle of a stack is in, as some program found it.

    Attributes
    ----------
    class_of_particle : int64 (n,)
        Class of each row of the stack, in the program's own numbers; -1 none.
    poses : POSE (n,) or None
        Image to class frame, shifts in pixels of the images.
    radius : float or None
        Particle radius the run was told, pixels.
    defocus, coordinates : float64 (n, 2) or None
        What the program's table says of each particle, by which the stack is known: U and V, A; x
        and y, pixels. NaN where it says nothing.
    """

    class_of_particle: NDArray[np.int64]
    poses: PoseArray | None
    radius: float | None = None
    defocus: NDArray[np.float64] | None = None
    coordinates: NDArray[np.float64] | None = None


def evaluate_run(
    run: str | os.PathLike[str],
    truth: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    radius: float | None = None,
    symmetries: Sequence[str] = ("C1",),
) -> Evaluation:
    """Score a run on disk against a truth file; see `evaluate_classes` for the scores.

    Parameters
    ----------
    run : path-like
        A run directory of isac2 or SPHIRE, or a star file.
    truth : path-like
        ``truth.npz`` of a simulated stack; row i is image i of that stack.
    images : path-like, optional
        The stack's star file, when its rows (image i is row i of the truth) take their pixels from
        several files or not in order; particles are then found by ``rlnImageName``.
    radius : float, optional
        Particle radius, pixels; what the run says by default.
    symmetries : sequence of str
        Point group of each molecule.

    Raises
    ------
    InputError
        When a file is missing or cannot be what it should be, or the truth is another stack's.
    """
    known = read_truth(truth)
    found = read_classification(run, len(known), images=images)
    if not _may_be_of_one_stack(found, known):
        raise InputError(
            f"the particles of '{run}' have neither the defocus nor the coordinates that '{truth}' "
            "knows: give the truth of the same stack."
        )
    return evaluate_classes(
        found.class_of_particle,
        known,
        found.poses,
        radius=found.radius if radius is None else radius,
        symmetries=symmetries,
    )


def _may_be_of_one_stack(found: Classification, known: Truth) -> bool:
    """Whether particles have the defocus or the coordinates of the truth, or neither is known.

    One of the two is enough: a program may have refined the one, and another the other.
    """
    shares = []
    for here, there in (
        (found.defocus, known.defocus),
        (found.coordinates, known.coordinates),
    ):
        if here is None or there is None:
            continue
        said = np.isfinite(here).all(axis=1)
        if said.any():
            shares.append((np.abs(here - there[:, :2])[said] < _SAME).all(axis=1).mean())
    return not shares or max(shares) > 0.5


def read_truth(path: str | os.PathLike[str]) -> Truth:
    """Read a truth file (``.npz``)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise InputError(f"there is no truth file '{path}': check the name.") from None
    except (OSError, ValueError, TypeError, AttributeError, BadZipFile):
        raise InputError(
            f"'{path}' is no NumPy .npz file: give the truth of a simulation."
        ) from None
    return truth_from_arrays(arrays, source=f"'{path}'")


def read_classification(
    run: str | os.PathLike[str], count: int, *, images: str | os.PathLike[str] | None = None
) -> Classification:
    """Read the classes (and poses, when there) of a stack of `count` particles."""
    path = Path(run)
    if path.is_dir():
        if (path / "particles.star").is_file():
            return _read_star(path / "particles.star", count, images, radius_of_run(path))
        if (path / "class_averages.hdf").is_file():
            return _read_sphire(path, count)
        raise InputError(
            f"the directory '{path}' holds neither particles.star nor class_averages.hdf: "
            "give a run directory whose run has ended."
        )
    if not path.exists():
        raise InputError(f"there is no run '{path}': give a run directory or a star file.")
    return _read_star(path, count, images, None)


def radius_of_run(directory: Path) -> float | None:
    """Return the particle's radius (input px) that a run of isac2 or SPHIRE recorded, or None."""
    try:
        record = json.loads((directory / "run.json").read_text(encoding="utf-8"))
        return float(record["options"]["radius"])
    except (OSError, ValueError, KeyError, TypeError):
        numbers = numbers_of_note(directory / "README_shrink_ratio.txt")
        return numbers[1] if len(numbers) == 2 else None


def _read_sphire(directory: Path, count: int) -> Classification:
    """Read the members of SPHIRE's averages (0-based ids) and its combined poses."""
    classes = np.full(count, -1, dtype=np.int64)
    file = directory / "class_averages.hdf"
    for number, members in enumerate(_members_of_averages(file)):
        if len(members) and (members.min() < 0 or members.max() >= count):
            raise InputError(
                f"class {number} of '{file}' has member {members.max()}, but the truth knows only "
                f"{count} particles: give the truth of the same stack."
            )
        classes[members] = number
    numbers = numbers_of_note(directory / "README_shrink_ratio.txt")
    ratio, radius = numbers if len(numbers) == 2 else (1.0, None)
    return Classification(classes, _poses_of_sphire(directory, count, ratio), radius)


def _poses_of_sphire(directory: Path, count: int, ratio: float) -> PoseArray | None:
    """Return the prealignment's shift and then the final pose, in original pixels.

    ``initial2Dparams.txt`` is in original pixels, ``all_parameters.txt`` starts from the prealigned
    images and is in working pixels, `ratio` of the original.
    """
    tables = []
    for name in ("2dalignment/initial2Dparams.txt", "all_parameters.txt"):
        if not (directory / name).is_file():
            return None
        tables.append(np.loadtxt(directory / name, ndmin=2))
        if tables[-1].shape != (count, 4):
            return None
    first, second = tables
    final = make_poses(
        second[:, 0], second[:, 1] / ratio, second[:, 2] / ratio, np.maximum(second[:, 3], 0)
    )
    return compose(make_poses(first[:, 0], first[:, 1], first[:, 2], first[:, 3]), final)


def _members_of_averages(file: Path) -> list[NDArray[np.int64]]:
    import h5py

    try:
        with h5py.File(file, "r") as handle:
            images = handle["MDF/images"]
            return [
                np.atleast_1d(images[name].attrs["EMAN.members"]).astype(np.int64)
                for name in sorted(images, key=int)
            ]
    except (OSError, KeyError, ValueError):
        raise InputError(
            f"'{file}' is no EMAN2 file of class averages with their members: "
            "give the class_averages.hdf of a run."
        ) from None


def numbers_of_note(note: Path) -> list[float]:
    """Return the numbers that stand alone on a line: the shrink ratio, the radius in pixels."""
    numbers = []
    for line in note.read_text(encoding="utf-8").splitlines() if note.is_file() else []:
        try:
            numbers.append(float(line))
        except ValueError:
            continue
    return numbers


def _read_star(
    file: Path, count: int, images: str | os.PathLike[str] | None, radius: float | None
) -> Classification:
    """Read ``rlnClassNumber`` (1-based, 0 none) and the 2D pose of each particle."""
    particles = read_relion_particles(file)
    column = particles.metadata.foreign.particles.get("rlnClassNumber")
    if column is None:
        raise InputError(f"'{file}' has no column rlnClassNumber: give the result of a 2D run.")
    rows = _truth_rows(particles, file, count, images)
    classes = np.full(count, -1, dtype=np.int64)
    try:
        classes[rows] = np.maximum(column.astype(np.float64), 0).astype(np.int64) - 1
    except ValueError:
        raise InputError(f"'{file}' has an rlnClassNumber that is no number.") from None
    known = particles.metadata
    poses = None
    if known.poses is not None:
        poses = np.zeros(count, dtype=known.poses.dtype)
        poses[rows] = known.poses
    defocus, coordinates = np.full((2, count, 2), np.nan)
    defocus[rows, 0], defocus[rows, 1] = known.defocus_u_in_angstroms, known.defocus_v_in_angstroms
    coordinates[rows, 0], coordinates[rows, 1] = known.coordinate_x, known.coordinate_y
    return Classification(classes, poses, radius, defocus, coordinates)


def _truth_rows(
    particles: RelionParticles, file: Path, count: int, images: str | os.PathLike[str] | None
) -> NDArray[np.int64]:
    """Return which row of the truth each particle is."""
    if images is not None:
        order = {
            key: row for row, key in enumerate(_image_keys(read_relion_particles(Path(images))))
        }
        rows = np.array([order.get(key, -1) for key in _image_keys(particles)], dtype=np.int64)
    elif len(particles.image_paths) == 1:
        rows = particles.slots
    else:
        rows = np.arange(len(particles.slots), dtype=np.int64)
    wrong = np.flatnonzero((rows < 0) | (rows >= count))
    if len(wrong):
        raise InputError(
            f"particle {wrong[0] + 1} of '{file}' is none of the {count} of the truth: "
            "give the truth of the same stack, or its star file as --images."
        )
    if len(np.unique(rows)) != len(rows):
        raise InputError(f"'{file}' lists an image twice: each particle must be in it once.")
    return rows


def _image_keys(particles: RelionParticles) -> list[tuple[str, int]]:
    """Return the name of each image's file, without the folders that programs rewrite, and slot."""
    names = [Path(path).name for path in particles.image_paths]
    return [
        (names[file], slot)
        for file, slot in zip(particles.file_index.tolist(), particles.slots.tolist(), strict=True)
    ]
