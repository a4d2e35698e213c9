"""The run that another one starts from: its settings, particles, centring and classes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.likely_centres import Spread
from isac2.classes.evaluate_files import numbers_of_note
from isac2.classes.select_files import open_run_classes
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.sac import sharp_average
from isac2.clustering.state import StableGroup
from isac2.errors import InputError
from isac2.poses import make_poses
from isac2.run.checkpoint import load_prealignment, load_state
from isac2.run.directory import RunDirectory
from isac2.run.options import Settings, option_default, option_table
from isac2.run.record import GenerationRecord, RunRecord, read_record
from isac2.run.text_tables import read_table
from isac2.run.whitening import saved_weights
from isac2.stacks import Stack, open_stack, read_eman_headers

__all__ = ["BaseRun", "open_base_run", "settings_of_record"]

_SPHIRE_LEAST_CLASS = 60  # its --minimum_grp_size, whatever the groups
_MACHINE = ("threads", "device", "maximum_hours", "restart", "skip_ordering", "split_mirrors")


@dataclass(frozen=True)
class BaseRun:
    """A finished run of isac2, or one of SPHIRE.

    Attributes
    ----------
    directory : RunDirectory
    record : RunRecord or None
        None for SPHIRE's.
    settings : Settings
        With the seed that was used.
    particles : Stack
        Row by row what was classified.
    shifts : float64 (n, 2)
        That centre the particles, px of the particles.
    """

    directory: RunDirectory
    record: RunRecord | None
    settings: Settings
    particles: Stack
    shifts: NDArray[np.float64]

    @property
    def generations(self) -> list[GenerationRecord]:
        """What the run's generations did; empty where nobody knows."""
        return [] if self.record is None else self.record.generations

    @property
    def last_main_iteration(self) -> int:
        """Number of the run's last main iteration, 0 where nobody knows."""
        return max((row.main_iteration for row in self.generations), default=0)

    @property
    def spectrum_weights(self) -> NDArray[np.float64] | None:
        """How the run equalised the power spectra, or whitened the noise; None for not at all."""
        if self.directory.spectrum_state.exists() or not self.settings.phase_plate:
            return saved_weights(self.directory)
        return read_table(self.directory.spectrum_weights)[:, -1]

    @property
    def spread(self) -> Spread:
        """How the particles were found to lie around the middle of their images, input px."""
        state = self.directory.prealignment_state
        known = load_prealignment(state)[1] if state.exists() else None
        return known or Spread.of(-self.shifts)

    def common_average(self) -> NDArray[np.float32] | None:
        """Return the average of all particles after the pre-alignment, working px, if kept."""
        file = self.directory.global_average
        return open_stack(file).read([0])[0] if file.exists() else None

    def groups(
        self, images: NDArray[np.float32], parameters: ClusteringParameters
    ) -> tuple[StableGroup, ...]:
        """Return the classes as the method has them.

        Parameters
        ----------
        images : float32 (N, n, n)
            Working images; the averages are made anew where the run has not kept its state.
        parameters : ClusteringParameters
        """
        saved = self.directory.clustering_state
        if self.record is not None and saved.exists():
            return load_state(saved).accounted
        return _groups_from_files(self.directory, images, parameters)


def open_base_run(
    run: str | os.PathLike[str],
    stack: str | os.PathLike[str] | None,
    words: Mapping[str, Any],
) -> BaseRun:
    """Open the run that another one is to start from.

    Parameters
    ----------
    run : path-like
        Directory of a finished run.
    stack : path-like or None
        What SPHIRE's run classified; a run of isac2 says itself.
    words : mapping of str to value
        Settings by their Python names: those that SPHIRE's run does not say, or about the machine.

    Raises
    ------
    InputError
        When there is no finished run, or what is needed of it is gone.
    """
    directory = RunDirectory(Path(run))
    if not directory.path.is_dir():
        raise InputError(f"there is no run '{run}': give the directory of one.")
    if directory.is_new():
        return _open_sphire(directory, stack, words)
    record = read_record(directory.run_json)
    if not directory.finished.exists():
        raise InputError(f"{run} has not finished: give the same 'isac2 run' again first.")
    method = [option_table()[word].name for word in words if word not in _MACHINE]
    if method:
        raise InputError(f"--{method[0]} is what {run} was run with already: leave it out.")
    settings = replace(settings_of_record(record), **words)
    source = next(f for f in (directory.particles_cs, directory.particles_star) if f.exists())
    return BaseRun(directory, record, settings, open_stack(source), _shifts(directory))


def settings_of_record(record: RunRecord) -> Settings:
    """Return the settings of a run, with the seed that it used, for another start.

    The device is not among them: another start may be on another machine.
    """
    known = {
        name: record.options[option.name]
        for name, option in option_table().items()
        if option.name in record.options and name != "device"
    }
    return Settings(**{**known, "seed": record.seed, "restart": -1, "maximum_hours": 0.0})


def _open_sphire(
    directory: RunDirectory, stack: str | os.PathLike[str] | None, words: Mapping[str, Any]
) -> BaseRun:
    """Open a run that SPHIRE made."""
    numbers = numbers_of_note(directory.shrink_ratio_readme)
    if len(numbers) != 2 or not directory.class_averages.exists():
        raise InputError(f"{directory.path} is no finished run of isac2 or of SPHIRE.")
    if stack is None:
        raise InputError(
            f"{directory.path} does not say where its particles are: give them as --stack."
        )
    ratio, radius = numbers
    known = {"radius": round(radius), "target_radius": round(ratio * radius), "seed": 0}
    particles, shifts = open_stack(stack), _shifts(directory)
    if len(particles) != len(shifts):
        raise InputError(
            f"{stack} has {len(particles)} images, but {directory.path} is of {len(shifts)}: give "
            "the stack that was classified."
        )
    group = words.get("images_per_group") or option_default("images_per_group")
    if group >= _SPHIRE_LEAST_CLASS:
        known["minimum_group_size"] = _SPHIRE_LEAST_CLASS
    return BaseRun(directory, None, Settings(**{**known, **words}), particles, shifts)


def _shifts(directory: RunDirectory) -> NDArray[np.float64]:
    """Return the shifts of the pre-alignment, exact where the run's state has them."""
    if directory.prealignment_state.exists():
        return load_prealignment(directory.prealignment_state)[0]
    return read_table(directory.initial_parameters)[:, 1:3]


def _groups_from_files(
    directory: RunDirectory, images: NDArray[np.float32], parameters: ClusteringParameters
) -> tuple[StableGroup, ...]:
    """Return the classes from the files that SPHIRE writes too."""
    table = open_run_classes(directory.path).table
    headers = read_eman_headers(directory.class_averages)
    columns = read_table(directory.all_parameters)
    poses = make_poses(columns[:, 0], columns[:, 1], columns[:, 2], np.maximum(columns[:, 3], 0))
    groups = []
    for members, header in zip(table.members, headers, strict=True):
        rows = np.sort(members)
        error = float(header.get("pixel_error", 0.0))
        groups.append(
            StableGroup(
                members=rows,
                poses=poses[rows],
                pixel_errors=np.full(len(rows), error),
                average=sharp_average(images, rows, poses[rows], parameters),
                rms_pixel_error=error,
                mirror_consistency=float(header.get("mirror_consistency", 1.0)),
                tested=int(header.get("n_tested", len(rows))),
                main_iteration=int(header.get("main_iteration", 0)),
                generation=int(header.get("generation", 0)),
            )
        )
    return tuple(groups)
