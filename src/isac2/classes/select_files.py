"""Classes and saved selections from files: the edge of `isac2.classes.select`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isac2.classes.evaluate_files import read_classification
from isac2.classes.select import ClassTable, class_table, parse_numbers
from isac2.errors import InputError
from isac2.poses import PoseArray, make_poses
from isac2.stacks import Stack, open_stack, read_eman_headers, read_star
from isac2.stacks.relion import split_image_names
from isac2.stacks.selection import with_classes

__all__ = ["RunClasses", "classified_particles", "open_run_classes", "saved_classes"]

_SAME = 0.9999  # of the correlation of two pictures of one average, the one perhaps compressed


@dataclass(frozen=True)
class RunClasses:
    """The classes of a run, or of one file of averages.

    Attributes
    ----------
    path : pathlib.Path
        What was given.
    averages : pathlib.Path
        The file of averages.
    table : ClassTable
    directory : pathlib.Path or None
        The run's folder, where there is one.
    """

    path: Path
    averages: Path
    table: ClassTable
    directory: Path | None


def open_run_classes(path: Path) -> RunClasses:
    """Open the classes of a run's directory (isac2's or SPHIRE's), or of a file of averages.

    Raises
    ------
    InputError
        When there are none.
    """
    if not path.exists():
        raise InputError(f"there is no run '{path}': give a run's directory or file of averages.")
    averages = path / "class_averages.hdf" if path.is_dir() else path
    if not averages.exists():
        raise InputError(f"{path} holds no class_averages.hdf, so there is no class to choose.")
    table = class_table(read_eman_headers(averages), str(averages))
    return RunClasses(path, averages, table, _run_of(averages))


def _run_of(averages: Path) -> Path | None:
    """Return the run's folder that a file of averages lies in, at most two folders deep."""
    for folder in averages.resolve().parents[:3]:
        if any((folder / name).is_file() for name in ("particles.star", "all_parameters.txt")):
            return folder
    return None


def classified_particles(run: RunClasses, stack: str | None) -> Stack:
    """Return all particles of a run, with their classes and poses.

    Parameters
    ----------
    run : RunClasses
    stack : str or None
        The particles, row by row those of the run; what the run itself says by default.

    Raises
    ------
    InputError
        When no particles are known, or they cannot be those of the run.
    """
    star = None if run.directory is None else run.directory / "particles.star"
    if star is not None and not star.is_file():
        star = None
    if stack is None and star is None:
        raise InputError(f"{run.path} does not say where its particles are: give them as --stack.")
    particles = open_stack(str(star) if stack is None else stack)
    largest = max((int(m.max(initial=-1)) for m in run.table.members), default=-1)
    _check_count(run, particles, largest + 1)
    if stack is None and run.path.is_dir():
        return particles
    if star is not None:
        known = open_stack(star).metadata
        _check_count(run, particles, len(known), exactly=True)
        if run.averages.parent.resolve() == star.parent.resolve():
            # where mirrors are split, these are the classes with such poses
            return with_classes(particles, known.class_number, known.poses)
    number = np.zeros(len(particles), np.int64)
    for index, members in enumerate(run.table.members):
        number[members] = index + 1
    return with_classes(particles, number, _poses(run, len(particles)))


def _poses(run: RunClasses, count: int) -> PoseArray | None:
    """Return the poses in the classes of a file; the centring alone where they are not final."""
    if run.directory is None:
        return None
    poses: PoseArray | None
    if run.averages.parent.resolve() == run.directory:
        poses = read_classification(run.directory, count).poses
    else:
        file = run.directory / "2dalignment" / "initial2Dparams.txt"
        shifts = np.loadtxt(file, ndmin=2) if file.is_file() else np.empty((0, 4))
        fits = shifts.shape == (count, 4)
        poses = make_poses(0.0, shifts[:, 1], shifts[:, 2], 0) if fits else None
    if poses is None:
        raise InputError(
            f"{run.directory} does not hold the poses of {count} particles: give the stack that "
            "was classified, or its partners row by row."
        )
    return poses


def _check_count(run: RunClasses, particles: Stack, count: int, exactly: bool = False) -> None:
    if len(particles) < count or (exactly and len(particles) != count):
        raise InputError(
            f"{particles.path} has {len(particles)} images, but {run.path} classified "
            f"{'' if exactly else 'at least '}{count}: give the stack that was classified, or its "
            "partners row by row."
        )


def saved_classes(run: RunClasses, saved: Path) -> NDArray[np.int64]:
    """Return which classes of a run a saved selection holds, int64 indices from 0.

    The selection is a text file of class numbers from 1, or averages that were saved after others
    had been deleted: told by their members (EMAN2), by the images they name (RELION's star), or
    by their pixels (any format).

    Raises
    ------
    InputError
        When an image of the selection is no class of the run.
    """
    if saved.suffix.lower() == ".txt":
        try:
            text = saved.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise InputError(f"{saved} cannot be read: {error.strerror or error}.") from None
        return parse_numbers(text, len(run.table))
    found = _by_members(run, saved)
    if found is None:
        found = _by_name(run, saved)
    if found is None:
        found = _by_pixels(run, saved)
    lost = np.flatnonzero(found < 0)
    if lost.size:
        raise InputError(f"image {lost[0] + 1} of {saved} is no class average of {run.path}.")
    return np.unique(found)


def _by_members(run: RunClasses, saved: Path) -> NDArray[np.int64] | None:
    """Find classes by the members in EMAN2's headers; None when they are not there."""
    if saved.suffix.lower() not in (".hdf", ".hdf5"):
        return None
    headers = read_eman_headers(saved)
    if not all("members" in header for header in headers):
        return None
    index = {frozenset(members.tolist()): k for k, members in enumerate(run.table.members)}
    table = class_table(headers, str(saved))
    return np.array([index.get(frozenset(m.tolist()), -1) for m in table.members], np.int64)


def _by_name(run: RunClasses, saved: Path) -> NDArray[np.int64] | None:
    """Find classes by their places in the run's class_averages.mrcs, as a star names them."""
    if saved.suffix.lower() != ".star" or run.directory is None:
        return None
    label = "rlnReferenceImage"
    table = next((table for table in read_star(saved).values() if label in table), None)
    own = run.directory / "class_averages.mrcs"
    if table is None or not own.is_file():
        return None
    try:
        names, _, slots = split_image_names(table.columns[label])
    except ValueError as error:
        raise InputError(f"{saved}: {error}.") from None
    if any(not _names(name, own) for name in names):
        return None
    return _class_of_average(run, slots.astype(np.int64), len(open_stack(own)))


def _names(name: str, own: Path) -> bool:
    """Whether a name, relative to whatever folder, can mean the run's own file."""
    parts = [part for part in Path(name).parts if part not in ("..", ".")]
    return bool(parts) and own.resolve().parts[-len(parts) :] == tuple(parts)


def _class_of_average(run: RunClasses, slots: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the class of each image of a file with one average a class, or two (mirrors split)."""
    each = 2 if count == 2 * len(run.table) else 1
    return np.where(slots < count, slots // each, -1)


def _by_pixels(run: RunClasses, saved: Path) -> NDArray[np.int64]:
    """Find classes by what their averages look like."""
    stack = open_stack(saved)
    files = [run.averages]
    if run.directory is not None and run.path.is_dir():
        files += [run.path / "class_averages.mrcs", run.path / "ordered_class_averages.hdf"]
    found = np.full(len(stack), -1, np.int64)
    for file in files:
        if not file.is_file():
            continue
        known = open_stack(file)
        if known.box_size != stack.box_size:
            continue
        likeness = _unit(stack.read()) @ _unit(known.read()).T
        best = likeness.argmax(axis=1)
        if file.name.startswith("ordered"):
            classes = _by_members(run, file)
            if classes is None:
                continue
            classes = classes[best]
        else:
            classes = _class_of_average(run, best, len(known))
        found = np.where((found < 0) & (likeness.max(axis=1) > _SAME), classes, found)
    return found


def _unit(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Images as rows of mean 0 and norm 1, float64 (n, pixels); blank ones are zeros."""
    rows = images.reshape(len(images), -1).astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(rows, norm, out=np.zeros_like(rows), where=norm > 0)
    return unit
