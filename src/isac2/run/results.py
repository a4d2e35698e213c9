"""The result of a run as arrays, for notebooks and scripts."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.poses import PoseArray, make_poses
from isac2.run.choices import choose_settings
from isac2.run.directory import RunDirectory, open_run_directory
from isac2.run.displays import SilentDisplay
from isac2.run.options import check_words
from isac2.run.record import read_record
from isac2.run.run_classes import poses_of_input
from isac2.run.text_tables import read_table
from isac2.stacks import open_stack, read_eman_headers, read_star

__all__ = ["RunResult", "classify", "read_run"]


@dataclass(frozen=True, repr=False)
class RunResult:
    """K classes of N particles.

    Attributes
    ----------
    averages : float32 (K, n, n)
        Class averages, in working pixels.
    members : tuple of int64 (m,)
        Ids of each class's particles: rows of the input stack, counted from 0.
    class_of_particle : int64 (N,)
        Class of each particle, counted from 0; -1 for a particle in no class.
    poses : POSE (N,)
        What brings each input image onto its class average, in input pixels
        (`isac2.poses` says how a pose moves an image); in no class, only the centring.
    pixel_errors : float64 (N,)
        How far the poses of independent alignments differ, working pixels; NaN in no class.
    similarities : float64 (N,)
        Correlation of each particle with its class average; NaN in no class.
    rms_pixel_errors, mirror_consistency, resolutions_in_angstroms : float64 (K,)
        Quality of each class; `isac2.clustering.state.StableGroup` and `isac2.classes.quality` say
        how they are measured.
    pixel_size_in_angstroms : float
        Of the averages.
    directory : pathlib.Path or None
        The run's folder; None when it was a temporary one.
    """

    averages: NDArray[np.float32]
    members: tuple[NDArray[np.int64], ...]
    class_of_particle: NDArray[np.int64]
    poses: PoseArray
    pixel_errors: NDArray[np.float64]
    similarities: NDArray[np.float64]
    rms_pixel_errors: NDArray[np.float64]
    mirror_consistency: NDArray[np.float64]
    resolutions_in_angstroms: NDArray[np.float64]
    pixel_size_in_angstroms: float
    directory: Path | None

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.averages)

    def __repr__(self) -> str:
        """Say in a line what there is, without printing arrays."""
        inside, count = int((self.class_of_particle >= 0).sum()), len(self.class_of_particle)
        where = "" if self.directory is None else f", in {self.directory}"
        return f"<{len(self)} classes of {inside} of {count} particles{where}>"

    def _repr_html_(self) -> str:
        """Show the classes as a gallery in a notebook; numbers count from 0, as in the arrays."""
        from isac2.report.notebook import gallery_html

        sizes = np.array([len(members) for members in self.members], np.int64)
        heading = repr(self)[1:-1]
        return gallery_html(self.averages, sizes, self.resolutions_in_angstroms, heading)


def classify(
    stack: str | os.PathLike[str],
    output_directory: str | os.PathLike[str] | None = None,
    *,
    progress: bool = False,
    **settings: Any,
) -> RunResult:
    """Sort a particle stack into validated class averages.

    Parameters
    ----------
    stack : path-like
        A particle stack, such as a RELION star.
    output_directory : path-like, optional
        Where to keep the run, which can then be taken up again; without it everything happens in a
        temporary folder.
    progress : bool
        Whether to show on stderr how far it is.
    **settings
        The options of `isac2 run` by their Python names (``docs/options.md``). What can be
        ``"auto"`` there can be here; `radius`, in pixels, is measured when it is not given.

    Returns
    -------
    RunResult

    Raises
    ------
    InputError
        The stack or a setting cannot be used.
    RunError
        The run cannot be finished.
    """
    from isac2.run.runner import run_isac

    check_words(settings)
    checked, choices = choose_settings(stack, settings, output_directory)
    display = None if progress else SilentDisplay()
    if output_directory is not None:
        return read_run(run_isac(stack, output_directory, checked, display, None, choices).path)
    with tempfile.TemporaryDirectory(prefix="isac2-") as folder:
        run = run_isac(stack, Path(folder) / "run", checked, display, None, choices)
        return read_run(run.path, keep=False)


def read_run(run_directory: str | os.PathLike[str], *, keep: bool = True) -> RunResult:
    """Read the result of a finished run.

    Parameters
    ----------
    run_directory : path-like
    keep : bool
        Whether the result names the directory.

    Raises
    ------
    InputError
        When it is no run's directory, or the run has not finished.
    """
    directory = open_run_directory(run_directory)
    if directory.is_new() or not directory.finished.exists():
        raise InputError(
            f"{directory.path} holds no finished run: give the folder of one, or start the same "
            "run again to finish it."
        )
    record = read_record(directory.run_json)
    count = record.input.images
    averages, headers = _averages(directory, record.working_box_size)
    members = tuple(np.asarray(header["members"], np.int64) for header in headers)
    class_of_particle = np.full(count, -1, np.int64)
    for number, ids in enumerate(members):
        class_of_particle[ids] = number
    table = read_star(directory.particles_star)["particles"]
    # what was made of a RELION table may have kept another name
    columns = [table.numbers(name) for name in ("isac2PixelError", "isac2Similarity")]
    pixel_errors, similarities = (np.where(class_of_particle < 0, np.nan, c) for c in columns)
    pixel_size = record.input.pixel_size_in_angstroms or 1.0
    return RunResult(
        averages=averages,
        members=members,
        class_of_particle=class_of_particle,
        poses=_input_poses(directory, record.shrink_ratio),
        pixel_errors=pixel_errors,
        similarities=similarities,
        rms_pixel_errors=_column(headers, "pixel_error"),
        mirror_consistency=_column(headers, "mirror_consistency"),
        resolutions_in_angstroms=_column(headers, "resolution"),
        pixel_size_in_angstroms=float(headers[0]["apix_x"])
        if headers
        else pixel_size / record.shrink_ratio,
        directory=directory.path if keep else None,
    )


def _averages(
    directory: RunDirectory, box: int
) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
    """Averages and headers of the classes; of none when there is no file."""
    if not directory.class_averages.exists():
        return np.empty((0, box, box), np.float32), []
    stack = open_stack(directory.class_averages)
    try:
        return stack.read(), read_eman_headers(directory.class_averages)
    finally:
        stack.close()


def _column(headers: list[dict[str, Any]], key: str) -> NDArray[np.float64]:
    return np.array([header[key] for header in headers], np.float64)


def _input_poses(directory: RunDirectory, shrink_ratio: float) -> PoseArray:
    """Poses of the input images, from the two tables that hold their parts."""
    first, second = read_table(directory.initial_parameters), read_table(directory.all_parameters)
    mirror = np.maximum(second[:, 3], 0)
    poses = make_poses(second[:, 0], second[:, 1], second[:, 2], mirror)
    return poses_of_input(first[:, 1:3], poses, shrink_ratio)
