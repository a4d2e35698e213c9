"""What a run directory holds, gathered for the page.

A directory that lacks something (an unfinished run, or one that SPHIRE left) gives a page that
lacks it too: whatever is not known is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.poses import PoseArray, identity_poses, make_poses
from isac2.report.data import (
    ChainTable,
    ClassBelief,
    ClassTable,
    MemberTable,
    Parameter,
    PhaseRow,
    ReportData,
    RingCorrelationTable,
)
from isac2.report.member_sample import sample_members
from isac2.report.remarks import remarks
from isac2.report.so_far import Measured, SoFar, read_so_far
from isac2.run.directory import RunDirectory
from isac2.run.options import is_default, option_table
from isac2.run.record import RunRecord, read_record
from isac2.run.text_tables import read_ids, read_table
from isac2.stacks import open_stack, read_eman_headers, read_star

__all__ = ["load_report"]

Headers = Sequence[Mapping[str, Any]]


def load_report(path: Path, measured: Measured | None = None) -> ReportData:
    """Gather what a run directory holds; of an unfinished run, the classes so far.

    Parameters
    ----------
    path : pathlib.Path
        Of a run of isac2, or of SPHIRE's sp_isac2.
    measured : dict, optional
        Of `isac2.report.so_far.read_so_far`, for who loads a run that goes on again and again.

    Raises
    ------
    InputError
        When it is no run's directory, or a file in it cannot be read.
    """
    directory = RunDirectory(path)
    record = read_record(directory.run_json) if directory.run_json.exists() else None
    if record is None and not directory.class_averages.exists():
        raise InputError(
            f"{path} is not the directory of a run (it holds neither {directory.run_json.name} nor "
            f"{directory.class_averages.name}): give the output directory of 'isac2 run'."
        )
    so_far = None if record is None else read_so_far(directory, record, measured)
    averages, headers = _averages(directory, so_far)
    classes = _classes(averages, headers)
    members = _members(directory, headers, so_far)
    compared = _comparison(directory)
    data = ReportData(
        title=path.resolve().name,
        stack=record.input.path if record else "",
        facts=_facts(record),
        particle_count=_particle_count(directory, record),
        pixel_size_in_angstroms=_pixel_size(headers, record),
        radius=_working_radius(directory, record),
        classes=classes,
        generations=tuple(record.generations) if record else (),
        phases=_phases(record),
        parameters=_parameters(record),
        warnings=tuple(record.warnings) if record else (),
        members=members,
        chain=None if so_far else _chain(directory, len(classes.sizes)),
        ring_correlation=_ring_correlation(headers, averages.shape[-1]),
        initial_average=_initial_average(directory),
        is_finished=so_far is None
        and (directory.class_averages.exists() or (record is not None and bool(record.finished))),
        forming=so_far.forming if so_far else None,
        belief=None if so_far else _belief(headers, compared),
        random_groups=record.random_groups if record else {},
        compared_with=tuple(compared.get("runs", ()))[1:],
    )
    return remarks(sample_members(data, directory.working_images))


def _averages(directory: RunDirectory, so_far: SoFar | None) -> tuple[NDArray[np.float32], Headers]:
    """Averages (K, n, n) and their headers; a run that found nothing has no file of them."""
    if so_far is not None:
        return so_far.averages, so_far.headers
    if not directory.class_averages.exists():
        return np.empty((0, 1, 1), dtype=np.float32), []
    averages = open_stack(directory.class_averages).read()
    return averages, read_eman_headers(directory.class_averages)


def _classes(averages: NDArray[np.float32], headers: Headers) -> ClassTable:
    def column(name: str, missing: float) -> NDArray[np.float64]:
        return np.array([header.get(name, missing) for header in headers], dtype=np.float64)

    sizes = [len(_header_members(header)) for header in headers]
    return ClassTable(
        averages=averages,
        sizes=np.array(sizes, dtype=np.int64),
        tested=column("n_tested", 0).astype(np.int64),
        resolution_in_angstroms=column("resolution", math.nan),
        rms_pixel_error=column("pixel_error", math.nan),
        mirror_consistency=column("mirror_consistency", math.nan),
        main_iteration=column("main_iteration", 0).astype(np.int64),
        generation=column("generation", 0).astype(np.int64),
    )


def _belief(headers: Headers, compared: Mapping[str, Any]) -> ClassBelief | None:
    """How far the classes can be believed, as far as the run or a comparison says."""
    if not headers or not (compared or "stable_again" in headers[0]):
        return None

    def column(name: str) -> NDArray[np.float64]:
        return np.array([header.get(name, math.nan) for header in headers], dtype=np.float64)

    found = [row["reproducibility"] for row in compared.get("classes", ())]
    known = len(found) == len(headers)
    return ClassBelief(
        column("stable_again"),
        column("mirror_agreement"),
        column("margin"),
        np.nan_to_num(column("second_class")).astype(np.int64),
        column("chance"),
        np.array(found if known else [math.nan] * len(headers), np.float64),
    )


def _comparison(directory: RunDirectory) -> Mapping[str, Any]:
    """What `isac2 compare --save` left; empty when it did not."""
    if not directory.reproducibility.exists():
        return {}
    found: Mapping[str, Any] = json.loads(directory.reproducibility.read_text(encoding="utf-8"))
    return found


def _header_members(header: Mapping[str, Any]) -> NDArray[np.int64]:
    """Ids of a class's members; a list of one may be written as a number."""
    return np.atleast_1d(np.asarray(header.get("members", ()), dtype=np.int64))


def _members(directory: RunDirectory, headers: Headers, so_far: SoFar | None) -> MemberTable | None:
    if not headers:
        return None
    ids = np.concatenate([_header_members(header) for header in headers])
    if so_far is not None:
        return MemberTable(ids, so_far.poses, so_far.pixel_errors)
    poses = _poses(directory, ids)
    return MemberTable(ids=ids, poses=poses, pixel_errors=_pixel_errors(directory, ids))


def _poses(directory: RunDirectory, ids: NDArray[np.int64]) -> PoseArray:
    if not directory.all_parameters.exists():
        return identity_poses(len(ids))
    table = read_table(directory.all_parameters)
    if table.shape[1:] != (4,) or ids.max(initial=-1) >= len(table):
        return identity_poses(len(ids))
    alpha, tx, ty, mirror = table[ids].T
    return make_poses(alpha, tx, ty, np.maximum(mirror, 0))


def _pixel_errors(directory: RunDirectory, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    unknown = np.full(len(ids), math.nan)
    if not directory.particles_star.exists():
        return unknown
    for table in read_star(directory.particles_star).values():
        if "isac2PixelError" in table.columns:
            errors = np.asarray(table.numbers("isac2PixelError"), dtype=np.float64)
            return errors[ids] if ids.max(initial=-1) < len(errors) else unknown
    return unknown


def _particle_count(directory: RunDirectory, record: RunRecord | None) -> int:
    """Images in the stack; 0 when nothing says how many."""
    if record is not None:
        return record.input.images
    files = (directory.processed_images, directory.not_processed_images)
    if not all(file.exists() for file in files):
        return 0
    return sum(len(read_ids(file)) for file in files)


def _pixel_size(headers: Headers, record: RunRecord | None) -> float:
    """Pixel size of the averages; what SPHIRE writes there is always 1, which is not known."""
    if record is None:
        return math.nan
    if record.input.pixel_size_in_angstroms is not None:
        return record.input.pixel_size_in_angstroms / record.shrink_ratio
    return float(headers[0].get("apix_x", math.nan)) if headers else math.nan


def _working_radius(directory: RunDirectory, record: RunRecord | None) -> float:
    if record is not None:
        return float(record.options["target_radius"])
    if not directory.shrink_ratio_readme.exists():
        return math.nan
    # The ratio and the radius each stand alone on a line.
    words = [line.strip() for line in directory.shrink_ratio_readme.read_text().splitlines()]
    numbers = [float(word) for word in words if word.replace(".", "", 1).isdigit()]
    return float(round(numbers[0] * numbers[1])) if len(numbers) == 2 else math.nan


def _facts(record: RunRecord | None) -> tuple[tuple[str, str], ...]:
    if record is None:
        return ()
    box, size = record.input.box_size, record.input.pixel_size_in_angstroms
    pixels = f"{box} px" + (f" of {size:g} Å" if size is not None else "")
    started = record.started.replace("T", " ")[:16]
    return (
        ("isac2", record.version),
        ("started", started),
        ("seed", str(record.seed)),
        ("box", pixels),
    )


def _phases(record: RunRecord | None) -> tuple[PhaseRow, ...]:
    if record is None:
        return ()
    return tuple(
        PhaseRow(row["name"], float(row["seconds"]), int(row.get("peak_memory_in_bytes", 0)))
        for row in record.phases
    )


def _parameters(record: RunRecord | None) -> tuple[Parameter, ...]:
    """Options as the run used them: those that were set first, each kind in the table's order."""
    if record is None:
        return ()
    rows = []
    for field_name, option in option_table().items():
        if option.name not in record.options:
            continue
        value = record.options[option.name]
        words = {special: text for special, text in option.special}
        rows.append(
            Parameter(
                name=f"--{option.name}",
                value=_value_text(value, words),
                unit="" if value in words or isinstance(value, bool) else option.unit,
                meaning=option.help,
                is_default=is_default(field_name, record.options),
            )
        )
    return tuple(sorted(rows, key=lambda row: row.is_default))


def _value_text(value: Any, special: Mapping[Any, str]) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value in special:
        return special[value] if value is None else f"{value} ({special[value]})"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _chain(directory: RunDirectory, count: int) -> ChainTable | None:
    if not directory.chains_params.exists():
        return None
    table = read_table(directory.chains_params)
    if table.shape != (count, 6) or count == 0:
        return None
    order = table[:, 1].astype(np.int64)
    if not np.array_equal(np.sort(order), np.arange(count)):
        return None
    return ChainTable(order=order, alpha=table[:, 2], mirror=table[:, 5].astype(np.int8))


def _ring_correlation(headers: Headers, box: int) -> RingCorrelationTable | None:
    curves = [np.atleast_1d(header.get("frc", ())) for header in headers]
    if not curves or len({len(curve) for curve in curves}) != 1 or len(curves[0]) < 2:
        return None
    correlation = np.stack(curves).astype(np.float64)
    return RingCorrelationTable(np.arange(correlation.shape[1]) / box, correlation)


def _initial_average(directory: RunDirectory) -> NDArray[np.float32] | None:
    if not directory.global_average.exists():
        return None
    average: NDArray[np.float32] = open_stack(directory.global_average).read(np.array([0]))[0]
    return average
