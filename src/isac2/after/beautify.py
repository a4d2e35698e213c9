"""Class averages of a run at full size, from the original stack to a folder of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isac2 import __version__
from isac2.after.source import (
    ClassifiedRun,
    make_new_folder,
    open_classified_run,
    with_pixel_size,
)
from isac2.after.work import open_work
from isac2.classes.beautify import (
    BeautifiedClass,
    BeautifyParameters,
    LocalAlignment,
    beautify_prepared,
    prepare_members,
)
from isac2.classes.sharpening import Adjustment
from isac2.errors import InputError
from isac2.files import write_text_atomic
from isac2.images.ctf import CtfParameters
from isac2.run.communication import OneRank, Ranks
from isac2.run.final_files import project_folder
from isac2.run.parallel import device_for
from isac2.run.progress import Display
from isac2.run.text_tables import read_table, write_table
from isac2.stacks import (
    StarTable,
    WriteOptions,
    read_eman_headers,
    write_eman_hdf,
    write_mrcs,
    write_stack,
    write_star,
)
from isac2.stacks._text import text_column
from isac2.stacks.selection import with_classes

__all__ = ["Beautified", "BeautifyOptions", "beautify_run", "read_power_table"]

_IMAGES_A_PART = 64  # read at a time
_KEPT = ("pixel_error", "mirror_consistency", "n_tested", "main_iteration", "generation")


@dataclass(frozen=True)
class BeautifyOptions:
    """What can be asked of `beautify_run`; the historical option of each is in brackets.

    Attributes
    ----------
    correct_ctf : bool
        [not noctf]
    adjustment : Adjustment
        [pw_adjustment, Bfactor, B_start, modelpw]
    low_pass : float or None
        [fl] As in `isac2.classes.beautify.BeautifyParameters`.
    local : LocalAlignment or None
        [local_alignment, xr, ts, fh, maxit]
    largest_number : int or None
        [navg] Only the first so many classes.
    pixel_size_in_angstroms : float or None
        [pixel_size] Of the particles, in place of what their table says.
    radius : float or None
        [radius] Of the particle, px of the particles; what the run says by default.
    threads : int
    device : str
        What works on the particles, as `isac2.devices.find_device` takes it.
    """

    correct_ctf: bool = True
    adjustment: Adjustment = Adjustment()  # noqa: RUF009 (frozen)
    low_pass: float | None = -1.0
    local: LocalAlignment | None = None
    largest_number: int | None = None
    pixel_size_in_angstroms: float | None = None
    radius: float | None = None
    threads: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Beautified:
    """Where the averages are, and how good: resolution in A, one a class."""

    directory: Path
    resolutions_in_angstroms: NDArray[np.float64]


@dataclass(frozen=True)
class _Average:
    """Beautifies class after class; holds no pixels, so that other processes can be sent it."""

    run: ClassifiedRun
    parameters: BeautifyParameters
    correct_ctf: bool

    def __call__(self, number: int) -> BeautifiedClass:
        rows = self.run.table.members[number]
        flipped = self.run.particles.metadata.phase_flipped[rows]
        poses = self.run.poses[rows]
        return beautify_prepared(
            self._parts(rows), poses, self.parameters, self._ctf(rows), flipped
        )

    def _parts(self, rows: NDArray[np.int64]) -> Iterator[Any]:
        """Read the members, some at a time."""
        for start in range(0, len(rows), _IMAGES_A_PART):
            part = self.run.particles.read(rows[start : start + _IMAGES_A_PART])
            yield prepare_members(part, self.parameters)

    def _ctf(self, rows: NDArray[np.int64]) -> CtfParameters | None:
        return self.run.particles.metadata.ctf_parameters(rows) if self.correct_ctf else None


def beautify_run(
    run: str | os.PathLike[str],
    outdir: str | os.PathLike[str],
    stack: str | os.PathLike[str] | None = None,
    options: BeautifyOptions | None = None,
    display: Display | None = None,
    ranks: Ranks | None = None,
) -> Beautified:
    """Average the members of each class from the original pixels.

    Each particle in a class is read once, with the others of its class.

    Parameters
    ----------
    run : path-like
        A run's directory, of isac2 or SPHIRE.
    outdir : path-like
        Folder to be made: ``class_averages.hdf``, ``.mrcs`` and ``.star`` (resolution and the
        halves' correlation ring by ring), ``FH_list.txt``, ``beautify.json``, and after a local
        alignment ``particles.star`` with the new poses.
    stack : path-like, optional
        The particles, row by row those of the run; needed for SPHIRE's runs.
    options : BeautifyOptions, optional
    display : Display, optional
        Where progress is shown; by default stderr.
    ranks : Ranks, optional
        Processes that share the classes, all of which make this call; by default this one alone.

    Returns
    -------
    Beautified

    Raises
    ------
    InputError
        When something needed is missing, the device too, or `outdir` is there already.
    """
    options, ranks = options or BeautifyOptions(), ranks or OneRank()
    device = device_for(options.device, ranks)
    source, numbers, parameters = ranks.each(lambda: _opened(run, stack, options))
    parameters = replace(parameters, device=device)
    folder = ranks.first(lambda: make_new_folder(outdir))
    with open_work("beautify", options.threads, display, ranks) as work:
        work.progress.images(len(source.particles))
        average = _Average(source, parameters, options.correct_ctf)
        found = work.map("class", average, numbers.tolist())
        resolutions = work.first(lambda: _write(folder, source, found, parameters, options))
        work.progress.note(
            f"{len(found)} class averages in {folder}, resolution {resolutions.min():.1f} to "
            f"{resolutions.max():.1f} A"
        )
    return Beautified(folder, resolutions)


def _opened(
    run: str | os.PathLike[str], stack: str | os.PathLike[str] | None, options: BeautifyOptions
) -> tuple[ClassifiedRun, NDArray[np.int64], BeautifyParameters]:
    """Open the run; also the numbers of the classes, and what is the same for all of them."""
    source = with_pixel_size(open_classified_run(run, stack), options.pixel_size_in_angstroms)
    numbers = np.arange(min(len(source.table), options.largest_number or len(source.table)))
    return source, numbers, _parameters(source, options, numbers)


def _parameters(
    source: ClassifiedRun, options: BeautifyOptions, numbers: NDArray[np.int64]
) -> BeautifyParameters:
    """Check that all is there, and return what is the same for all classes."""
    if not len(numbers):
        raise InputError(f"{source.classes.path} has no class, so there is nothing to average.")
    rows = np.concatenate([source.table.members[number] for number in numbers])
    path = source.particles.path
    if options.correct_ctf:
        missing = source.ctf_problem(rows)
        if missing:
            raise InputError(
                f"{path} does not say all that the CTF needs ({missing}): give the stack with it "
                "as --stack, or leave the CTF uncorrected with --noctf."
            )
    sizes = source.particles.metadata.pixel_size_in_angstroms[rows]
    known = np.isfinite(sizes)
    if known.any() and float(np.ptp(sizes[known])) > 1e-3 * float(sizes[known][0]):
        raise InputError(
            f"{path} mixes pixel sizes from {sizes[known].min():g} to {sizes[known].max():g} A, "
            "and one average cannot: give the true one as --pixel_size, or separate them."
        )
    radius = options.radius if options.radius is not None else source.radius
    if radius is None:
        raise InputError(
            f"{source.classes.path} does not say the particle's radius: give --radius."
        )
    largest = source.particles.box_size // 2 - 1
    if not 1 <= radius <= largest:
        raise InputError(
            f"--radius={radius:g} does not fit images of {source.particles.box_size} px: give 1 to "
            f"{largest}."
        )
    size = float(sizes[known][0]) if known.any() else 1.0
    return BeautifyParameters(radius, size, options.adjustment, options.low_pass, options.local)


def read_power_table(path: str | os.PathLike[str]) -> NDArray[np.float64]:
    """Read a power spectrum: its last column, at equal spacing from frequency 0 to Nyquist.

    Raises
    ------
    InputError
        When it is no such table.
    """
    table = read_table(Path(path))
    power = table[:, -1] if table.size else np.empty(0)
    if len(power) < 2 or not np.isfinite(power).all() or (power < 0).any():
        raise InputError(
            f"{path} is no power spectrum: give a text file of numbers not below 0, one a line."
        )
    return np.asarray(power, dtype=np.float64)


def _write(
    folder: Path,
    source: ClassifiedRun,
    found: list[BeautifiedClass],
    parameters: BeautifyParameters,
    options: BeautifyOptions,
) -> NDArray[np.float64]:
    """Write all files; the resolutions in A."""
    box, pixel = source.particles.box_size, parameters.pixel_size_in_angstroms
    frequency = np.array([max(entry.frequency, 1.0 / box) for entry in found])
    resolution = pixel / frequency
    averages = np.stack([entry.average for entry in found])
    before = read_eman_headers(source.classes.averages)
    headers = [
        _header(number, old, entry, source, float(resolution[number]))
        for number, (old, entry) in enumerate(zip(before, found, strict=False))
    ]
    write_eman_hdf(folder / "class_averages.hdf", averages, headers, pixel)
    write_mrcs(folder / "class_averages.mrcs", averages, pixel)
    _write_star(folder, source, found, resolution, pixel)
    first = np.array([entry.first_frequency for entry in found])
    write_table(folder / "FH_list.txt", [np.arange(len(found)), first, frequency])
    if options.local is not None:
        _write_poses(folder, source, found)
    document = {
        "program": "isac2",
        "version": __version__,
        "verb": "beautify",
        "run": str(source.classes.path),
        "stack": str(source.particles.path),
        "options": _plain(asdict(options)),
        "b_factors_in_square_angstroms": [round(entry.b_factor, 3) for entry in found],
    }
    write_text_atomic(folder / "beautify.json", json.dumps(document, indent=2) + "\n")
    return np.asarray(resolution)


def _header(
    number: int,
    before: Mapping[str, Any],
    entry: BeautifiedClass,
    source: ClassifiedRun,
    resolution: float,
) -> dict[str, Any]:
    """Header of an average: what the run said of its class, and what is new."""
    members = source.table.members[number]
    return {
        **{key: before[key] for key in _KEPT if key in before},
        "members": members.astype(np.int32),
        "n_objects": len(members),
        "resolution": resolution,
        "frc": entry.curve.correlation.astype(np.float32),
        "b_factor": float(entry.b_factor),
    }


def _write_star(
    folder: Path,
    source: ClassifiedRun,
    found: list[BeautifiedClass],
    resolution: NDArray[np.float64],
    pixel: float,
) -> None:
    """Write the table of averages, and the correlation of their halves ring by ring."""
    counts = np.array([len(source.table.members[number]) for number in range(len(found))])
    # from where the particles' names start: RELION resolves all names from its project's folder
    start = project_folder(source.particles) or folder
    name = os.path.relpath((folder / "class_averages.mrcs").resolve(), start.resolve())
    names = [f"{number + 1:06d}@{name}" for number in range(len(found))]
    classes: dict[str, ArrayLike] = {
        "rlnReferenceImage": names,
        "rlnClassDistribution": (counts / counts.sum()).round(6),
        "rlnEstimatedResolution": resolution.round(4),
        "isac2MemberCount": counts,
        "isac2BFactor": np.array([entry.b_factor for entry in found]).round(3),
    }
    rings = len(found[0].curve.frequency)
    per_angstrom = np.tile(found[0].curve.frequency / pixel, len(found))
    angstrom = 1.0 / np.where(per_angstrom > 0, per_angstrom, 1e-3)
    curves: dict[str, ArrayLike] = {
        "rlnClassNumber": np.repeat(np.arange(1, len(found) + 1), rings),
        "rlnSpectralIndex": np.tile(np.arange(rings), len(found)),
        "rlnResolution": per_angstrom.round(6),
        "rlnAngstromResolution": angstrom.round(4),
        "isac2RingCorrelation": np.concatenate([e.curve.correlation for e in found]).round(6),
    }
    tables = {"model_classes": classes, "model_class_correlation": curves}
    write_star(
        folder / "class_averages.star",
        {
            name: StarTable({label: text_column(values) for label, values in table.items()})
            for name, table in tables.items()
        },
    )


def _write_poses(folder: Path, source: ClassifiedRun, found: list[BeautifiedClass]) -> None:
    """Write the members with their new poses."""
    members = [source.table.members[number] for number in range(len(found))]
    poses = source.poses.copy()
    number = np.zeros(len(source.particles), np.int64)
    for index, (rows, entry) in enumerate(zip(members, found, strict=True)):
        poses[rows], number[rows] = entry.poses, index + 1
    some = with_classes(source.particles, number, poses).select(np.flatnonzero(number))
    write_stack(folder / "particles.star", some, WriteOptions(False, project_folder(some)))


def _plain(value: Any) -> Any:
    """Arrays as lists, for JSON."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value
