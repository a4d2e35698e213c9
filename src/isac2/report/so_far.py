"""The classes of a run that has not finished: from the state that it saved last."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.classes.quality import ClassQuality, measure_quality
from isac2.clustering.state import StableGroup
from isac2.errors import RunError
from isac2.poses import PoseArray
from isac2.run.directory import RunDirectory
from isac2.run.generation_files import MeasuredGroup, average_header
from isac2.run.record import RunRecord
from isac2.run.run_classes import RunFacts
from isac2.run.standing import read_standing
from isac2.run.whitening import saved_weights

__all__ = ["Measured", "SoFar", "read_so_far"]

Measured = MutableMapping[bytes, ClassQuality]
"""Qualities of classes that were measured before, by what they were measured from."""


@dataclass(frozen=True)
class SoFar:
    """What an unfinished run has found.

    Attributes
    ----------
    averages : float32 (K, n, n)
        Of a run in pools, those of the pools that are done first.
    headers : list of dict
        As those of ``class_averages.hdf``.
    poses : POSE (m,)
        Of the members of all classes, those of the first class first; working pixels.
    pixel_errors : float64 (m,)
    forming : float32 (g, n, n)
        Averages of the groups after the last round of the running generation; none of them is
        a class yet.
    """

    averages: NDArray[np.float32]
    headers: list[dict[str, Any]]
    poses: PoseArray
    pixel_errors: NDArray[np.float64]
    forming: NDArray[np.float32]


def read_so_far(
    directory: RunDirectory, record: RunRecord, measured: Measured | None = None
) -> SoFar | None:
    """Read what an unfinished run has found; None when it has finished, or not begun to sort.

    Parameters
    ----------
    directory : RunDirectory
    record : RunRecord
    measured : dict, optional
        Kept by who reads again and again, so that each class is measured once.
    """
    if record.finished or not directory.working_images.exists():
        return None
    try:
        standing = read_standing(directory)
        images = np.load(directory.working_images, mmap_mode="r", allow_pickle=False)
        facts = _facts(directory, record)
    except (RunError, OSError, ValueError):
        return None  # a run that begins anew has just removed it
    if standing is None:
        return None
    classes = standing.classes
    forming = () if standing.running is None else standing.running.groups
    known: Measured = {} if measured is None else measured
    radius = float(record.options["target_radius"])
    headers = [
        average_header(MeasuredGroup(group, _quality(group, images, radius, known)), facts)
        for group in classes
    ]
    none = np.empty((0, record.working_box_size, record.working_box_size), np.float32)
    return SoFar(
        averages=facts.natural(np.array([g.average for g in classes])) if headers else none,
        headers=headers,
        poses=_joined([group.poses for group in classes]),
        pixel_errors=_joined([group.pixel_errors for group in classes]),
        forming=facts.natural(np.array([g.average for g in forming])) if forming else none,
    )


def _joined(parts: list[Any]) -> Any:
    return np.concatenate(parts) if parts else np.empty(0)


def _quality(
    group: StableGroup, images: NDArray[np.float32], radius: float, known: Measured
) -> ClassQuality:
    digest = blake2b(group.members.tobytes() + group.poses.tobytes()).digest()
    if digest not in known:
        known[digest] = measure_quality(images[group.members], group.poses, group.average, radius)
    return known[digest]


def _facts(directory: RunDirectory, record: RunRecord) -> RunFacts:
    """Return as much as averages and their headers need."""
    pixel_size = record.input.pixel_size_in_angstroms or 1.0
    return RunFacts(
        count=record.input.images,
        shrink_ratio=record.shrink_ratio,
        radius=int(record.options["radius"]),
        target_radius=int(record.options["target_radius"]),
        pixel_size_in_angstroms=np.array([pixel_size]),
        shifts=np.empty((0, 2)),
        whitening=None if record.options["VPP"] else saved_weights(directory),
    )
