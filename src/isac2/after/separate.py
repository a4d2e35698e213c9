"""A run taken apart: for each class its particles, as a stack and a list, ready to be looked at."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isac2.after.choose import Choice, chosen_classes
from isac2.after.source import (
    ClassifiedRun,
    make_new_folder,
    open_classified_run,
    with_pixel_size,
)
from isac2.after.work import open_work
from isac2.classes.eigenimages import Eigenimages, find_eigenimages
from isac2.classes.separate import Processing, process_members
from isac2.errors import InputError
from isac2.files import write_text_atomic
from isac2.images.ctf_correction import ctf_in_poses
from isac2.images.masks import disc_mask
from isac2.images.resample import resample
from isac2.images.transform import apply_poses
from isac2.run.communication import OneRank, Ranks
from isac2.run.final_files import project_folder
from isac2.run.progress import Display
from isac2.run.text_tables import write_ids, write_table
from isac2.stacks import (
    ForeignTables,
    Metadata,
    Stack,
    StarTable,
    WriteOptions,
    open_stack,
    write_mrcs,
    write_stack,
    write_star,
)
from isac2.stacks._text import text_column
from isac2.stacks.selection import with_classes

__all__ = ["ClassNames", "SeparateOptions", "separate_run"]


@dataclass(frozen=True)
class ClassNames:
    """How the files of a class are called: format strings of its number, and from what it counts.

    The stack's ending, ``.star`` or ``.mrcs``, is added.
    """

    ids: str = "class_{:03d}.txt"
    stack: str = "class_{:03d}"
    first: int = 1


@dataclass(frozen=True)
class SeparateOptions:
    """How a run is taken apart.

    Attributes
    ----------
    choice : Choice
        Which classes.
    processing : Processing
        What is done to the images; nothing, and the stacks point to the pixels there are.
    eigenimages : int
        How many of each class; they are of the members in their poses.
    mask_radius : float or None
        Of the eigenimages, px of the particles; the run's radius, or half the box.
    mask : path-like or None
        An image whose positive pixels are the mask instead, of the particles' size.
    pixel_size_in_angstroms : float or None
        Of the particles, in place of what their table says.
    names : ClassNames
    threads : int
    """

    choice: Choice = field(default_factory=Choice)
    processing: Processing = field(default_factory=Processing)
    eigenimages: int = 0
    mask_radius: float | None = None
    mask: str | os.PathLike[str] | None = None
    pixel_size_in_angstroms: float | None = None
    names: ClassNames = field(default_factory=ClassNames)
    threads: int = 0


@dataclass(frozen=True)
class _Part:
    """What is known of a class when it has been written."""

    average: NDArray[np.float32]
    variance: NDArray[np.float32]
    eigenimages: Eigenimages | None


@dataclass(frozen=True)
class _Separation:
    """Takes class after class out of a run."""

    run: ClassifiedRun
    folder: Path
    options: SeparateOptions
    mask: NDArray[np.bool_] | None
    pixel: float

    def __call__(self, number: int) -> _Part | None:
        rows = np.sort(self.run.table.members[number])
        names = self.options.names
        place = number + names.first
        ids = self.folder / names.ids.format(place)
        write_ids(ids, rows)
        target = self.folder / names.stack.format(place)
        if not self.options.processing.changes_pixels and not self.options.eigenimages:
            self._write(target.with_suffix(".star"), self._particles(number, rows))
            return None
        return self._process(number, rows, target)

    def _process(self, number: int, rows: NDArray[np.int64], target: Path) -> _Part:
        how, particles = self.options.processing, self.run.particles
        images, poses, pixel = process_members(
            particles.read(rows),
            self.run.poses[rows],
            self.pixel,
            how,
            particles.metadata.ctf_parameters(rows) if how.ctf != "none" else None,
            particles.metadata.phase_flipped[rows],
        )
        if how.changes_pixels:
            pixels = target.with_suffix(".mrcs")
            write_mrcs(pixels, images, pixel)
            metadata = replace(
                self._described(number, rows),
                pixel_size_in_angstroms=np.full(len(rows), pixel),
                foreign=ForeignTables(),
            )
            new = open_stack(pixels)
            moved = Stack(pixels, new.kind, new.files, new.file_index, new.slots, metadata)
            self._write(target.with_suffix(".star"), with_classes(moved, None, poses))
        else:
            self._write(target.with_suffix(".star"), self._particles(number, rows))
        return _look(apply_poses(images, poses), self.mask, self.options.eigenimages)

    def _described(self, number: int, rows: NDArray[np.int64]) -> Metadata:
        """What is known of the members after their images have been processed."""
        how, known = self.options.processing, self._particles(number, rows).metadata
        if how.ctf != "none":
            known = replace(known, phase_flipped=np.ones(len(rows), np.bool_))
        if how.align != "pose":
            return known
        turned = ctf_in_poses(known.ctf_parameters(), self.run.poses[rows])
        return replace(
            known,
            defocus_angle_in_degrees=turned.defocus_angle_in_degrees % 180.0,
            psi_prior_in_degrees=np.full(len(rows), np.nan),
        )

    def _particles(self, number: int, rows: NDArray[np.int64]) -> Stack:
        """The members with the class's number and their poses."""
        chosen = self.run.particles.select(rows)
        numbers = np.full(len(rows), number + 1, np.int64)
        return with_classes(chosen, numbers, self.run.poses[rows])

    def _write(self, path: Path, stack: Stack) -> None:
        write_stack(path, stack, WriteOptions(False, project_folder(stack)))


def separate_run(
    run: str | os.PathLike[str],
    outdir: str | os.PathLike[str],
    stack: str | os.PathLike[str] | None = None,
    options: SeparateOptions | None = None,
    display: Display | None = None,
    ranks: Ranks | None = None,
) -> list[int]:
    """Write a stack and a list for each class of a run.

    Parameters
    ----------
    run : path-like
        A run's directory, of isac2 or SPHIRE, or one of its files of averages with members.
    outdir : path-like
        Folder to be made: for each class its ids and its stack; ``classmap.txt`` (class, id); where
        images are processed ``averages.mrcs`` and ``variances.mrcs`` of them in their poses, and
        where asked for ``eigenimages.mrcs`` with a table beside it.
    stack : path-like, optional
        The particles, row by row those of the run; needed for SPHIRE's runs.
    options : SeparateOptions, optional
    display : Display, optional
        Where progress is shown; by default stderr.
    ranks : Ranks, optional
        Processes that share the classes, all of which make this call; by default this one alone.

    Returns
    -------
    list of int
        The classes, from 0.

    Raises
    ------
    InputError
        When something needed is missing, or `outdir` is there already.
    """
    options, ranks = options or SeparateOptions(), ranks or OneRank()
    source, numbers, mask = ranks.each(lambda: _opened(run, stack, options))
    pixel = source.particles.pixel_size_in_angstroms or 1.0
    folder = ranks.first(lambda: _make_folders(outdir, options))
    with open_work("separate", options.threads, display, ranks) as work:
        separation = _Separation(source, folder, options, mask, pixel)
        parts = work.map("class", separation, numbers)
        work.first(lambda: _write_all(folder, source, numbers, parts, options))
        work.progress.note(f"{len(numbers)} classes in {folder}")
    return numbers


def _opened(
    run: str | os.PathLike[str], stack: str | os.PathLike[str] | None, options: SeparateOptions
) -> tuple[ClassifiedRun, list[int], NDArray[np.bool_] | None]:
    """Open the run; also the numbers of the chosen classes, and the eigenimages' mask."""
    source = with_pixel_size(open_classified_run(run, stack), options.pixel_size_in_angstroms)
    numbers = np.flatnonzero(chosen_classes(source.classes, options.choice)).tolist()
    _check(source, numbers, options)
    return source, numbers, _mask(source, options) if options.eigenimages else None


def _make_folders(outdir: str | os.PathLike[str], options: SeparateOptions) -> Path:
    folder = make_new_folder(outdir)
    for name in (options.names.ids, options.names.stack):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    return folder


def _check(source: ClassifiedRun, numbers: list[int], options: SeparateOptions) -> None:
    if not numbers:
        raise InputError(f"no class of {source.classes.path} meets what was asked for.")
    how, stack = options.processing, source.particles
    rows = np.concatenate([source.table.members[number] for number in numbers])
    if how.ctf != "none":
        missing = source.ctf_problem(rows)
        if missing:
            raise InputError(
                f"--ctf={how.ctf} needs what {stack.path} does not say ({missing}): give the stack "
                "with it as --stack, or leave the option out."
            )
    filtered = (how.low_pass_in_angstroms, how.band_in_angstroms)
    if any(filtered) and stack.pixel_size_in_angstroms is None:
        raise InputError(f"{stack.path} gives no single pixel size for the filter: give --apix.")
    nyquist = 2.0 * (stack.pixel_size_in_angstroms or 0.0)
    for value in filtered:
        if value is not None and value <= nyquist:
            raise InputError(
                f"a filter at {value:g} A is beyond what pixels of {nyquist / 2:g} A hold: give "
                f"more than {nyquist:g}."
            )
    if stack.box_size // how.shrink < 8:
        raise InputError(f"--shrink={how.shrink} leaves nothing of images of {stack.box_size} px.")


def _mask(source: ClassifiedRun, options: SeparateOptions) -> NDArray[np.bool_]:
    """Return the eigenimages' mask at the size of the processed images."""
    box, shrink = source.particles.box_size, options.processing.shrink
    if options.mask is not None:
        drawn = open_stack(options.mask).read([0])[0]
        if len(drawn) != box:
            raise InputError(
                f"{options.mask} is {len(drawn)} px wide, but the particles are {box}: draw the "
                "mask on an image of theirs."
            )
        mask = (drawn > 0).astype(np.float32)
        inside: NDArray[np.bool_] = (
            resample(mask[None], 1 / shrink)[0] if shrink > 1 else mask
        ) > 0.5
        return inside
    radius = options.mask_radius or source.radius or box // 2 - 1
    return disc_mask(int(box / shrink + 0.5), radius / shrink)


def _look(aligned: NDArray[np.float32], mask: NDArray[np.bool_] | None, count: int) -> _Part:
    """Average, variance and eigenimages of members in their poses."""
    average = aligned.mean(axis=0, dtype=np.float64).astype(np.float32)
    variance = aligned.var(axis=0, dtype=np.float64).astype(np.float32)
    found = None if mask is None else find_eigenimages(aligned, mask, count)
    return _Part(average, variance, found)


def _write_all(
    folder: Path,
    source: ClassifiedRun,
    numbers: Sequence[int],
    parts: Sequence[_Part | None],
    options: SeparateOptions,
) -> None:
    """Write what is about all classes."""
    members = [np.sort(source.table.members[number]) for number in numbers]
    place = np.repeat(np.array(numbers) + options.names.first, [len(rows) for rows in members])
    write_table(folder / "classmap.txt", [place, np.concatenate(members)])
    found = [part for part in parts if part is not None]
    pixel = (source.particles.pixel_size_in_angstroms or 1.0) * options.processing.shrink
    if found:
        write_mrcs(folder / "averages.mrcs", np.stack([part.average for part in found]), pixel)
        write_mrcs(folder / "variances.mrcs", np.stack([part.variance for part in found]), pixel)
    if options.eigenimages:
        _write_eigenimages(folder, numbers, found, members, options, pixel)
    document = {
        "program": "isac2",
        "verb": "separate",
        "run": str(source.classes.path),
        "stack": str(source.particles.path),
        "classes": [number + 1 for number in numbers],
        "processing": asdict(options.processing),
    }
    write_text_atomic(folder / "separate.json", json.dumps(document, indent=2) + "\n")


def _write_eigenimages(
    folder: Path,
    numbers: Sequence[int],
    parts: Sequence[_Part],
    members: Sequence[NDArray[np.int64]],
    options: SeparateOptions,
    pixel: float,
) -> None:
    """Write all eigenimages as one stack with a table, and the members' factors by class."""
    found = [part.eigenimages for part in parts if part.eigenimages is not None]
    images = np.concatenate([entry.images for entry in found])
    if not len(images):
        raise InputError("no class has two members, so there are no eigenimages.")
    write_mrcs(folder / "eigenimages.mrcs", images, pixel)
    counts = [len(entry.images) for entry in found]
    table: dict[str, ArrayLike] = {
        "rlnReferenceImage": [f"{n + 1:06d}@eigenimages.mrcs" for n in range(len(images))],
        "rlnClassNumber": np.repeat(np.array(numbers) + 1, counts),
        "isac2Eigenimage": np.concatenate([np.arange(count) + 1 for count in counts]),
        "isac2VarianceShare": np.concatenate([entry.share for entry in found]).round(6),
    }
    star = StarTable({name: text_column(values) for name, values in table.items()})
    write_star(folder / "eigenimages.star", {"eigenimages": star})
    for number, rows, entry in zip(numbers, members, found, strict=True):
        target = folder / options.names.stack.format(number + options.names.first)
        write_table(target.with_name(f"{target.name}_factors.txt"), [rows, *entry.factors.T])
