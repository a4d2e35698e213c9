"""What a run writes while it works: the pre-alignment, each generation, each main iteration."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.classes.quality import ClassQuality
from isac2.clustering.confidence import ClassConfidence
from isac2.clustering.state import IsacState, StableGroup
from isac2.files import atomic_path, write_text_atomic
from isac2.run.directory import GenerationDirectory, MainDirectory, RunDirectory
from isac2.run.run_classes import RunFacts
from isac2.run.text_tables import write_ids, write_table
from isac2.stacks import write_eman_hdf

__all__ = [
    "LARGEST_MARGIN",
    "MeasuredGroup",
    "average_header",
    "resolution_in_angstroms",
    "write_averages",
    "write_generation",
    "write_main_iteration",
    "write_prealignment",
    "write_start_of_main",
]

LARGEST_MARGIN = 999.0
"""Stands in files for the margin of the only class."""


@dataclass(frozen=True)
class MeasuredGroup:
    """A group and its quality; of a final class also how far it can be believed.

    Attributes
    ----------
    group : StableGroup
    quality : ClassQuality
    confidence : ClassConfidence, optional
    chance : float
        Probability that so much of a random group of its size is stable; NaN when not known.
    """

    group: StableGroup
    quality: ClassQuality
    confidence: ClassConfidence | None = None
    chance: float = math.nan

    @property
    def belief(self) -> dict[str, float]:
        """What the tables say of it, by the name in an EMAN2 header; empty when not known."""
        found = self.confidence
        if found is None:
            return {}
        return {
            "stable_again": found.stable_share,
            "mirror_agreement": float(found.mirror_agreement.mean()),
            "margin": float(np.minimum(np.median(found.margin), LARGEST_MARGIN)),
            "second_class": int(np.bincount(found.second_class + 1).argmax()),
            "chance": self.chance,
        }


def average_header(
    measured: MeasuredGroup, facts: RunFacts, members: NDArray[np.int64] | None = None
) -> dict[str, Any]:
    """Header of a class average in an EMAN2 file.

    Besides ``members`` and ``n_objects``: ``pixel_error`` (root mean square, working px),
    ``mirror_consistency`` (0 to 1), ``n_tested`` (images in the stability test), ``resolution``
    (A), ``frc`` (correlation of the averages of odd and even members, ring k at k / n of the
    working pixel's inverse), ``main_iteration`` and ``generation``, ``n_pools`` (how many pools
    have found it; 1 without pools); of a final class also
    ``stable_again`` (share of the members), ``mirror_agreement`` (their mean), ``margin`` (their
    median, standard deviations of the noise), ``second_class`` (of most of them, from 1; 0 none)
    and ``chance`` (a probability): docs/confidence.md.

    Parameters
    ----------
    measured : MeasuredGroup
    facts : RunFacts
    members : int64 (m,), optional
        Ids to write instead of the group's own.
    """
    group = measured.group
    ids = group.members if members is None else members
    return {
        "members": ids.astype(np.int32),
        "n_objects": len(ids),
        "pixel_error": float(group.rms_pixel_error),
        "mirror_consistency": float(group.mirror_consistency),
        "n_tested": int(group.tested),
        "resolution": resolution_in_angstroms(measured, facts),
        "frc": measured.quality.ring_correlation.astype(np.float32),
        "main_iteration": int(group.main_iteration),
        "generation": int(group.generation),
        "n_pools": len(group.pools),
        **measured.belief,
    }


def resolution_in_angstroms(measured: MeasuredGroup, facts: RunFacts) -> float:
    """Resolution of an average; the width of its box where even the first ring is noise."""
    lowest = 1.0 / measured.group.average.shape[-1]
    frequency = max(measured.quality.resolution_frequency, lowest)
    return float(facts.working_pixel_size_in_angstroms / frequency)


def write_averages(
    path: Path,
    groups: Sequence[MeasuredGroup],
    facts: RunFacts,
    members: Sequence[NDArray[np.int64]] | None = None,
) -> None:
    """Write averages with their headers to an EMAN2 file; without groups, remove the file."""
    if not groups:
        path.unlink(missing_ok=True)
        return
    chosen = members if members is not None else [None] * len(groups)
    headers = [average_header(group, facts, ids) for group, ids in zip(groups, chosen, strict=True)]
    averages = facts.natural(np.stack([measured.group.average for measured in groups]))
    write_eman_hdf(path, averages, headers, facts.working_pixel_size_in_angstroms)


def write_prealignment(
    directory: RunDirectory,
    facts: RunFacts,
    averages: NDArray[np.float32],
) -> None:
    """Write the shifts found, and the average after each round (the last one is the final one).

    Parameters
    ----------
    directory : RunDirectory
    facts : RunFacts
    averages : float32 (rounds, n, n)
        Empty when there was no pre-alignment.
    """
    directory.prealignment.mkdir(exist_ok=True)
    zeros = np.zeros(facts.count)
    columns = [zeros, facts.shifts[:, 0], facts.shifts[:, 1], zeros.astype(np.int64)]
    write_table(directory.initial_parameters, columns)
    if len(averages):
        pixel_size = facts.working_pixel_size_in_angstroms
        write_eman_hdf(
            directory.prealignment_averages, averages, pixel_size_in_angstroms=pixel_size
        )
        write_eman_hdf(directory.global_average, averages[-1:], pixel_size_in_angstroms=pixel_size)


def write_start_of_main(directory: RunDirectory, state: IsacState) -> None:
    """Write which images a main iteration starts from."""
    start = directory.main(state.main_iteration).generation(0)
    start.path.mkdir(parents=True, exist_ok=True)
    write_ids(start.to_process_next, state.start_of_main)


def write_generation(
    directory: RunDirectory,
    state: IsacState,
    started_from: NDArray[np.int64],
    candidates: Sequence[MeasuredGroup],
    classes: Sequence[MeasuredGroup],
    facts: RunFacts,
) -> None:
    """Write the files of a generation that has ended, under SPHIRE's names and the manual's.

    Parameters
    ----------
    directory : RunDirectory
    state : IsacState
        With `generation_done`.
    started_from : int64 (n,)
        Ids of the images that the generation worked on, ascending.
    candidates, classes : sequence of MeasuredGroup
        All its groups, and the classes that came of them.
    facts : RunFacts
    """
    folder = directory.main(state.main_iteration).generation(state.generation)
    folder.path.mkdir(parents=True, exist_ok=True)
    local = [np.searchsorted(started_from, entry.group.members) for entry in candidates]
    write_averages(folder.original_class_averages, candidates, facts, local)
    write_averages(folder.class_averages, candidates, facts)
    write_averages(folder.good_class_averages, classes, facts)
    write_ids(folder.to_process_next, state.pool)
    write_ids(folder.accounted, np.setdiff1d(started_from, state.pool))
    _write_second_names(folder)
    write_text_atomic(folder.finished, "\n")


def write_main_iteration(
    directory: RunDirectory,
    state: IsacState,
    classes: Sequence[MeasuredGroup],
    facts: RunFacts,
) -> None:
    """Write the files of a main iteration that has ended: all classes so far.

    Parameters
    ----------
    directory : RunDirectory
    state : IsacState
        With `main_done`.
    classes : sequence of MeasuredGroup
        The state's accounted groups.
    facts : RunFacts
    """
    folder: MainDirectory = directory.main(state.main_iteration)
    accounted = np.zeros(facts.count, bool)
    for entry in classes:
        accounted[entry.group.members] = True
    write_averages(folder.class_averages, classes, facts)
    write_ids(folder.processed_images, np.flatnonzero(accounted))
    write_ids(folder.not_processed_images, np.flatnonzero(~accounted))
    write_text_atomic(folder.finished, "\n")


def _write_second_names(folder: GenerationDirectory) -> None:
    """Give files their second name: the same file under both where the file system can."""
    for file, name in (
        (folder.class_averages, folder.manual_candidates),
        (folder.good_class_averages, folder.manual_class_averages),
        (folder.to_process_next, folder.unaccounted),
    ):
        if not file.exists():
            name.unlink(missing_ok=True)
            continue
        with atomic_path(name) as temporary:
            temporary.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                os.link(file, temporary)
            if not temporary.exists():
                shutil.copyfile(file, temporary)
