"""Averages of any file in an order in which neighbours look alike."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isac2.after.work import open_work
from isac2.alignment.space import SearchSpace
from isac2.classes.evaluate_files import numbers_of_note
from isac2.classes.order import ChainOrder, correlate_averages, order_averages
from isac2.errors import InputError
from isac2.images.transform import apply_poses
from isac2.poses import eman_matrix_from_poses, relion_from_poses
from isac2.run.communication import OneRank, Ranks
from isac2.run.directory import RunDirectory
from isac2.run.parallel import device_for
from isac2.run.progress import Display
from isac2.run.record import read_record
from isac2.run.text_tables import write_table
from isac2.stacks import (
    Stack,
    StarTable,
    open_stack,
    read_eman_headers,
    write_eman_hdf,
    write_mrcs,
    write_star,
)
from isac2.stacks._text import text_column
from isac2.stacks.writing import refuse_existing

__all__ = ["OrderOptions", "order_file", "parameters_path"]


@dataclass(frozen=True)
class OrderOptions:
    """How averages are ordered.

    Attributes
    ----------
    radius : int or None
        Of the particle, px of the averages; that of the run, or the largest that fits.
    x_range : float
        Translations that are tried, px; one more each way is.
    turn : bool
        Whether averages are turned to match along the chain, or left as they are.
    table : path-like or None
        Text file for the correlations of all pairs: rows ``i j correlation``, i < j, from 0.
    threads : int
    device : str
        What computes the alignments, as `isac2.devices.find_device` takes it.
    """

    radius: int | None = None
    x_range: float = 1.0
    turn: bool = True
    table: str | os.PathLike[str] | None = None
    threads: int = 0
    device: str = "cpu"


def parameters_path(output: str | os.PathLike[str]) -> Path:
    """Return where the chain goes: beside the ordered averages.

    Examples
    --------
    >>> parameters_path("ordered.mrcs").name
    'ordered_params.txt'
    """
    path = Path(output)
    return path.with_name(f"{path.stem}_params.txt")


def order_file(
    averages: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: OrderOptions | None = None,
    display: Display | None = None,
    ranks: Ranks | None = None,
) -> ChainOrder:
    """Order averages so that neighbours are similar, and turn them to match.

    Parameters
    ----------
    averages : path-like
        A run's directory, or a file of averages in any format.
    output : path-like
        ``.mrcs``, with a table ``.star`` beside it, or ``.hdf`` with the headers there were. The
        chain goes to `parameters_path`, in the columns of a run's ``chains_params.txt``.
    options : OrderOptions, optional
    display : Display, optional
        Where progress is shown; by default stderr.
    ranks : Ranks, optional
        Processes that share the work, all of which make this call; by default this one alone.

    Raises
    ------
    InputError
        When averages cannot be read, the radius does not fit, a file is there already, or the
        device is not.
    """
    options, ranks, target = options or OrderOptions(), ranks or OneRank(), Path(output)
    ranks.first(lambda: _check_outputs(target, options))
    device = device_for(options.device, ranks)
    stack, space = ranks.each(lambda: _opened(Path(averages), options, device))
    with open_work("order", options.threads, display, ranks) as work:
        images = stack.read()
        work.progress.step(f"correlating {len(images)} x {len(images)} averages", 0, 0)
        correlation = correlate_averages(images, space, work.workers)
        work.progress.step("ordering", 0, 0)
        chain = order_averages(images, space, work.workers, correlation)

        def write() -> None:
            _write(target, stack, images[chain.order], chain, options)
            if options.table is not None:
                i, j = np.triu_indices(len(images), 1)
                write_table(Path(options.table), [i, j, correlation[i, j]])

        work.first(write)
    return chain


def _check_outputs(target: Path, options: OrderOptions) -> None:
    """Refuse what cannot be written."""
    if target.suffix.lower() not in (".mrcs", ".hdf"):
        raise InputError(f"{target}: ordered averages are written as .mrcs or .hdf, by the ending.")
    for path in _outputs(target, options):
        refuse_existing(str(path))


def _opened(averages: Path, options: OrderOptions, device: str) -> tuple[Stack, SearchSpace]:
    """Open the averages; also what is searched."""
    source = _averages_file(averages)
    stack = open_stack(source)
    radius = _radius(stack, source, options)
    return stack, SearchSpace(radius, 1, 1, options.x_range, options.x_range, device=device)


def _outputs(target: Path, options: OrderOptions) -> list[Path]:
    """Return all files that will be written."""
    found = [target, parameters_path(target)]
    if target.suffix.lower() == ".mrcs":
        found.append(target.with_suffix(".star"))
    return found if options.table is None else [*found, Path(options.table)]


def _averages_file(averages: Path) -> Path:
    """Return the file of averages, that of the run where a directory is given."""
    if not averages.is_dir():
        return averages
    file = averages / "class_averages.hdf"
    if not file.exists():
        raise InputError(f"{averages} holds no class_averages.hdf, so there is nothing to order.")
    return file


def _radius(stack: Stack, source: Path, options: OrderOptions) -> int:
    """Return the radius asked for, the run's, or the largest; it has to fit."""
    largest = stack.box_size // 2 - 2 - int(np.ceil(options.x_range + 1))
    if largest < 1:
        raise InputError(f"{source} has images of {stack.box_size} px, too few for such a search.")
    if options.radius is None:
        known = _radius_of_run(source.parent)
        return largest if known is None else min(known, largest)
    if not 1 <= options.radius <= largest:
        raise InputError(
            f"--radius={options.radius} and a search of {options.x_range + 1:g} px do not fit "
            f"images of {stack.box_size} px: give a radius from 1 to {largest}."
        )
    return options.radius


def _radius_of_run(folder: Path) -> int | None:
    """Return the radius in a run's own averages, px, when the folder is a run's."""
    directory = RunDirectory(folder)
    if not directory.is_new():
        return int(read_record(directory.run_json).options["target_radius"])
    numbers = numbers_of_note(directory.shrink_ratio_readme)
    return round(numbers[0] * numbers[1]) if len(numbers) == 2 else None


def _write(
    target: Path,
    stack: Stack,
    ordered: NDArray[np.float32],
    chain: ChainOrder,
    options: OrderOptions,
) -> None:
    """Write the averages, turned where that is asked for, and the chain."""
    moved = apply_poses(ordered, chain.poses) if options.turn else ordered
    zeros, place = np.zeros(len(moved)), np.arange(len(moved))
    mirror = chain.mirror.astype(np.int64)
    columns = [place, chain.order, chain.alpha, zeros, zeros, mirror]
    write_table(parameters_path(target), columns)
    pixel = stack.pixel_size_in_angstroms
    if target.suffix.lower() == ".mrcs":
        write_mrcs(target, moved, pixel)
        psi, _, _, flip = relion_from_poses(chain.poses, 1.0)
        table: dict[str, ArrayLike] = {
            "rlnReferenceImage": [f"{number + 1:06d}@{target.name}" for number in place],
            "isac2Class": chain.order + 1,
            "isac2CorrelationWithLast": chain.correlation.round(6),
            "rlnAnglePsi": psi.round(6),
            "rlnIsFlip": flip,
        }
        star = StarTable({name: text_column(values) for name, values in table.items()})
        write_star(target.with_suffix(".star"), {"model_classes": star})
        return
    known: list[dict[str, Any]] = [{} for _ in place]
    if stack.path.suffix.lower() in (".hdf", ".hdf5"):
        known = read_eman_headers(stack.path)
    headers = [{**known[number], "source_n": int(number)} for number in chain.order]
    if options.turn:
        matrices = eman_matrix_from_poses(chain.poses)
        headers = [
            {**header, "xform.align2d": matrix}
            for header, matrix in zip(headers, matrices, strict=True)
        ]
    write_eman_hdf(target, moved, headers, pixel)
