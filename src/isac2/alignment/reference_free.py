"""Reference-free alignment of groups of images: each group to its own evolving average.

The alignment never touches pixels: on the rings a rotation is a phase and a mirror a conjugate, so
the average is a sum of coefficients, and its low-pass filter a small matrix an angular order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.backends import averaging, cpu
from isac2.alignment.ring_filter import RingFilter
from isac2.alignment.rings import RingGeometry, SamplingTable
from isac2.alignment.search import angle_grid, coarse_grid, discrete_angles
from isac2.alignment.space import SearchSpace, poses_from_search
from isac2.images.filters import end_of_pass_band
from isac2.poses import PoseArray

__all__ = ["Group", "ReferenceFreeAligner", "ReferenceFreeSchedule", "is_shaken"]

_FOLDS = 10
_FIRST_CUTOFF = 0.1
_SHAKE_EVERY = 4
_CALM_ROUNDS = 10


def is_shaken(number: int, rounds: int) -> bool:
    """Whether round `number`, counted from 0, of so many tries discrete angles only.

    Examples
    --------
    >>> [number for number in range(30) if is_shaken(number, 30)]
    [3, 7, 11, 15, 19]
    """
    return number % _SHAKE_EVERY == _SHAKE_EVERY - 1 and number < rounds - _CALM_ROUNDS


@dataclass(frozen=True)
class ReferenceFreeSchedule:
    """Rounds of a reference-free alignment.

    Attributes
    ----------
    rounds : int
        Number of averages that are made; the last one is what comes out, and nothing is aligned to
        it unless it is the only one.
    last_cutoff : float
        The average's low-pass cut-off rises linearly from 0.1 to this (1/px).
    falloff : float
        Fall-off of the low-pass filter.
    discrete_angle : float
        Every fourth round, except in the last ten, only multiples of this angle (deg) are tried.
    """

    rounds: int
    last_cutoff: float
    falloff: float
    discrete_angle: float

    def cutoff(self, number: int) -> float:
        """Low-pass cut-off (1/px) of the average of round `number`, counted from 0."""
        share = number / max(1, self.rounds - 1)
        return _FIRST_CUTOFF + (self.last_cutoff - _FIRST_CUTOFF) * share

    def is_shaken(self, number: int) -> bool:
        """Whether round `number` tries discrete angles only."""
        return is_shaken(number, self.rounds)


@dataclass(frozen=True)
class _Plan:
    """Tables of a schedule.

    Attributes
    ----------
    geometry : RingGeometry
    table : SamplingTable
    filters : tuple
        For each round, the backend's filter: low-pass and area weights.
    orders : tuple of int
        For each round, how many angular orders its average holds.
    angles : tuple of (cpu.AngleGrid, cpu.AngleGrid or None)
        For each round, all angles, and coarse ones to begin with.
    """

    geometry: RingGeometry
    table: SamplingTable
    filters: tuple[Any, ...]
    orders: tuple[int, ...]
    angles: tuple[tuple[cpu.AngleGrid, cpu.AngleGrid | None], ...]


@lru_cache(maxsize=8)
def _plan(space: SearchSpace, schedule: ReferenceFreeSchedule) -> _Plan:
    """Tables for all rounds; they take longer to make than a group to align, so they are kept."""
    limit = end_of_pass_band(schedule.last_cutoff, schedule.falloff)
    geometry = space.geometry(limit)
    low_pass = RingFilter(geometry, schedule.falloff)
    weights = geometry.weights.astype(np.float32)[:, None]
    filters: list[Any] = []
    orders: list[int] = []
    angles: list[tuple[cpu.AngleGrid, cpu.AngleGrid | None]] = []
    for number in range(max(1, schedule.rounds - 1)):
        cutoff = schedule.cutoff(number)
        n_orders = space.geometry(end_of_pass_band(cutoff, schedule.falloff)).n_orders
        n_orders = min(n_orders, geometry.n_orders)
        matrices = low_pass.matrices(cutoff, n_orders)
        # the correlation weighs rings by their area: put that into the filter
        weighted = [m * weights[geometry.first_ring[o] :] for o, m in enumerate(matrices)]
        filters.append(space.backend.make_filter(geometry, weighted))
        orders.append(n_orders)
        if schedule.is_shaken(number):
            angles.append((discrete_angles(schedule.discrete_angle, n_orders), None))
        else:
            # the last round decides on the translations, and does without short cuts
            last = number >= schedule.rounds - 2
            angles.append((angle_grid(n_orders), None if last else coarse_grid(n_orders)))
    table = space.sampling_table(limit)
    return _Plan(geometry, table, tuple(filters), tuple(orders), tuple(angles))


@dataclass(frozen=True)
class Group:
    """A group of images to be aligned.

    Attributes
    ----------
    rows : int64 (m,)
        Which of the images.
    centres : float64 (m, 2)
        Where each image's translations are searched around, px.
    generators : list of numpy.random.Generator
        One a run, L of them.
    """

    rows: NDArray[np.int64]
    centres: NDArray[np.float64]
    generators: list[np.random.Generator]


class ReferenceFreeAligner:
    """Aligns groups of images reference-free; made once, used for every group.

    Parameters
    ----------
    space : SearchSpace
    schedule : ReferenceFreeSchedule
    own_weight : float
        Weight of an image in the average that it is aligned to itself; the others have 1. (For
        speed the images fall into ten parts, and each image's whole part has this weight.)
    """

    def __init__(
        self, space: SearchSpace, schedule: ReferenceFreeSchedule, own_weight: float = 1.0
    ) -> None:
        self._space = space
        self._backend = space.backend
        self._schedule = schedule
        self._own_weight = own_weight
        self._folds = 1 if own_weight == 1.0 else _FOLDS
        self._plan = _plan(space, schedule)

    def align(
        self,
        images: NDArray[np.float32],
        rows: NDArray[np.int64],
        centres: NDArray[np.float64],
        generators: list[np.random.Generator],
    ) -> PoseArray:
        """Align one group several times, each from its own random angles and mirrors.

        Parameters
        ----------
        images : float32 (N, n, n)
        rows : int64 (m,)
            The group's images.
        centres : float64 (m, 2)
            Where each image's translations are searched around, px.
        generators : list of numpy.random.Generator
            One a run, L of them.

        Returns
        -------
        POSE (L, m)
        """
        return self.align_groups(images, [Group(rows, centres, generators)])[0]

    def batches(self, sizes: Sequence[int]) -> list[slice]:
        """Cut groups of so many images into those that `align_groups` is to be given at once.

        On the processor each is by itself; a GPU takes as long for small steps as for larger ones.

        Examples
        --------
        >>> aligner = ReferenceFreeAligner(
        ...     SearchSpace(8), ReferenceFreeSchedule(2, 0.3, 0.2, 90.0)
        ... )
        >>> aligner.batches([50, 60])
        [slice(0, 1, None), slice(1, 2, None)]
        """
        most, together = self._backend.images_a_batch, 0
        begins: list[int] = []
        for number, size in enumerate(sizes):
            if not begins or together + size > most:
                begins.append(number)
                together = 0
            together += size
        ends = [*begins, len(sizes)][1:]
        return [slice(first, end) for first, end in zip(begins, ends, strict=True)]

    def align_groups(self, images: NDArray[np.float32], groups: Sequence[Group]) -> list[PoseArray]:
        """Align several groups at once (`batches`), each as `align` does it alone, and as often.

        Parameters
        ----------
        images : float32 (N, n, n)
        groups : sequence of Group
            At least one.

        Returns
        -------
        list of POSE (L, m)
            One a group.
        """
        sizes = [len(group.rows) for group in groups]
        places = [slice(end - n, end) for n, end in zip(sizes, np.cumsum(sizes), strict=True)]
        rows = np.concatenate([group.rows for group in groups])
        centres = np.concatenate([group.centres for group in groups])
        middles, plan = self._space.permitted(centres, images.shape[-1]), self._plan
        bank = self._backend.ring_bank(images, rows, middles, plan.geometry, plan.table)
        folds = np.concatenate([np.arange(size) % self._folds for size in sizes])
        owners = folds + np.repeat(self._folds * np.arange(len(sizes)), sizes)
        peaks = _random_start(groups)
        for number, angles in enumerate(plan.angles):
            averages = self._averages(bank, owners, places, peaks, number)
            shaken = self._schedule.is_shaken(number)
            peaks = self._backend.find_peaks(bank, owners, averages, angles, plan.table, not shaken)
        poses = poses_from_search(middles[:, None] + peaks.move, peaks.angle, peaks.mirror)
        return [np.ascontiguousarray(poses[place].T) for place in places]

    def _averages(
        self,
        bank: Any,
        owners: NDArray[np.int64],
        places: list[slice],
        peaks: cpu.Peaks,
        number: int,
    ) -> Any:
        """For the images of each fold of each group, the filtered average of all in each run.

        An image finds itself in an average that it helped to make, and tends to stay where it is.
        """
        plan = self._plan
        counts = np.bincount(owners, minlength=self._folds * len(places))
        return self._backend.averages_of_others(
            bank, owners, counts.reshape(-1, self._folds), self._own_weight, plan.orders[number],
            self._without_drift(peaks, places), plan.filters[number],
        )  # fmt: skip

    def _without_drift(self, peaks: cpu.Peaks, places: list[slice]) -> cpu.Peaks:
        """Poses with the mean translation in their average's frame taken out of every image.

        Nothing else holds the average: it would drift with all its images, and images that lie off
        their centres would be turned until they all lie off to the same side.
        """
        shift = np.zeros(peaks.shift.shape, np.int64)
        for own in places:
            averaging.take_out_drift(
                peaks.move[own], peaks.angle[own], peaks.mirror[own], self._plan.table.shifts,
                shift[own],
            )  # fmt: skip
        return replace(peaks, shift=shift)


def _random_start(groups: Sequence[Group]) -> cpu.Peaks:
    """Random angles and mirrors at the present centres."""
    angle = [
        np.stack([g.uniform(0.0, 2 * np.pi, len(group.rows)) for g in group.generators], axis=1)
        for group in groups
    ]
    mirror = [
        np.stack([g.integers(0, 2, len(group.rows)) for g in group.generators], axis=1)
        for group in groups
    ]
    angles, mirrors = np.concatenate(angle), np.concatenate(mirror).astype(np.int8)
    value, shift = np.zeros(angles.shape, np.float32), np.zeros(angles.shape, np.int64)
    return cpu.Peaks(value, shift, np.zeros((*angles.shape, 2)), angles, mirrors)
