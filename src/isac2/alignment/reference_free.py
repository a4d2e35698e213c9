"""Reference-free alignment of groups of images: each group to its own evolving average.

The alignment never touches pixels: on the rings a rotation is a phase and a mirror a conjugate, so
the average is a sum of coefficients, and its low-pass filter a small matrix an angular order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.backends import cpu
from isac2.alignment.ring_filter import RingFilter
from isac2.alignment.rings import RingGeometry, SamplingTable
from isac2.alignment.search import angle_grid, coarse_grid
from isac2.alignment.space import SearchSpace, poses_from_search
from isac2.poses import PoseArray

__all__ = ["ReferenceFreeAligner", "ReferenceFreeSchedule"]

_IMAGES_A_BLOCK = 128
_FIRST_CUTOFF = 0.1
_COARSEST_STEP = 0.5  # radians: wider grids of angles are there to shake, not to be refined
_SHAKE_EVERY = 4
_CALM_ROUNDS = 10
_ROLL_OFF = 1.25  # a tanh filter of fall-off 0.2 has died away at this multiple of its cut-off


@dataclass(frozen=True)
class ReferenceFreeSchedule:
    """Rounds of a reference-free alignment.

    Attributes
    ----------
    rounds : int
        Number of averages that are made.
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
        count = number + 1
        return count % _SHAKE_EVERY == 0 and count <= self.rounds - _CALM_ROUNDS


@dataclass(frozen=True)
class _Plan:
    """Tables of a schedule.

    Attributes
    ----------
    geometry : RingGeometry
    table : SamplingTable
    filters : tuple of list of float32 (r, r)
        For each round, one matrix an angular order: low-pass filter and area weights.
    angles : tuple of (cpu.AngleGrid, cpu.AngleGrid or None)
        For each round, all angles, and coarse ones to begin with.
    """

    geometry: RingGeometry
    table: SamplingTable
    filters: tuple[list[NDArray[np.float32]], ...]
    angles: tuple[tuple[cpu.AngleGrid, cpu.AngleGrid | None], ...]


@lru_cache(maxsize=8)
def _plan(space: SearchSpace, schedule: ReferenceFreeSchedule) -> _Plan:
    """Tables for all rounds; they take longer to make than a group to align, so they are kept."""
    limit = min(0.5, schedule.last_cutoff * _ROLL_OFF)
    geometry = space.geometry(limit)
    low_pass = RingFilter(geometry, schedule.falloff)
    weights = geometry.weights.astype(np.float32)[:, None]
    filters: list[list[NDArray[np.float32]]] = []
    angles: list[tuple[cpu.AngleGrid, cpu.AngleGrid | None]] = []
    for number in range(schedule.rounds - 1):
        cutoff = schedule.cutoff(number)
        n_orders = space.geometry(min(0.5, cutoff * _ROLL_OFF)).n_orders
        n_orders = min(n_orders, geometry.n_orders)
        matrices = low_pass.matrices(cutoff, n_orders)
        # the correlation weighs rings by their area: put that into the filter
        filters.append([m * weights[geometry.first_ring[o] :] for o, m in enumerate(matrices)])
        step = float(np.deg2rad(schedule.discrete_angle))
        if schedule.is_shaken(number):
            angles.append((cpu.AngleGrid(step, n_orders), None))
        else:
            # the last round decides on the translations, and does without short cuts
            last = number == schedule.rounds - 2
            angles.append((angle_grid(n_orders), None if last else coarse_grid(n_orders)))
    return _Plan(geometry, space.sampling_table(limit), tuple(filters), tuple(angles))


class ReferenceFreeAligner:
    """Aligns groups of images reference-free; made once, used for every group.

    Parameters
    ----------
    space : SearchSpace
    schedule : ReferenceFreeSchedule
    """

    def __init__(self, space: SearchSpace, schedule: ReferenceFreeSchedule) -> None:
        self._space = space
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
        middles = self._space.permitted(centres, images.shape[-1])
        blocks = [
            slice(first, min(first + _IMAGES_A_BLOCK, len(rows)))
            for first in range(0, len(rows), _IMAGES_A_BLOCK)
        ]
        banks = [
            cpu.ring_bank(images, rows[b], middles[b], self._plan.geometry, self._plan.table)
            for b in blocks
        ]
        peaks = _random_start(blocks, len(rows), generators)
        scratch = cpu.Scratch()
        plan = self._plan
        for filters, angles in zip(plan.filters, plan.angles, strict=True):
            references = self._filtered_average(banks, peaks, filters, len(generators))
            shaken = angles[0].step >= _COARSEST_STEP
            peaks = [
                cpu.find_peaks(
                    bank, references, plan.geometry, angles, plan.table, not shaken, scratch
                )
                for bank in banks
            ]
        move, angle, mirror = (
            np.concatenate([getattr(p, name) for p in peaks], axis=1)
            for name in ("move", "angle", "mirror")
        )
        return poses_from_search(middles + move, angle, mirror)

    def _filtered_average(
        self,
        banks: list[cpu.RingBank],
        peaks: list[cpu.Peaks],
        filters: list[NDArray[np.float32]],
        runs: int,
    ) -> NDArray[np.float32]:
        """Filtered, area-weighted average of each run, float32 (2, c, L)."""
        geometry = self._plan.geometry
        sums = np.zeros((2, geometry.n_coefficients, runs))
        for bank, found in zip(banks, self._without_drift(peaks), strict=True):
            cpu.add_rotated(bank, geometry, len(filters), found, sums)
        count = sum(found.angle.shape[1] for found in peaks)
        average: NDArray[np.float32] = (sums / count).astype(np.float32)
        filtered: NDArray[np.float32] = np.zeros_like(average)
        for order, matrix in enumerate(filters):
            some = slice(geometry.order_starts[order], geometry.order_starts[order + 1])
            filtered[:, some] = matrix @ average[:, some]
        return filtered

    def _without_drift(self, peaks: list[cpu.Peaks]) -> list[cpu.Peaks]:
        """Poses with the mean translation in the average's frame taken out of every image.

        Nothing else holds the average: it would drift with all its images, and images that lie off
        their centres would be turned until they all lie off to the same side.
        """
        turned = [_in_average_frame(p.move, p) for p in peaks]
        drift = np.concatenate(turned, axis=1).mean(axis=1, keepdims=True)  # (L, 1, 2)
        centred = []
        for found in peaks:
            move = found.move - _in_image_frame(drift, found)
            distance = ((move[:, :, None] - self._plan.table.shifts) ** 2).sum(axis=-1)
            centred.append(replace(found, shift=distance.argmin(axis=2)))
        return centred


def _in_average_frame(vectors: NDArray[np.float64], peaks: cpu.Peaks) -> NDArray[np.float64]:
    """Turn vectors (L, m, 2) of the images into the frame of their averages."""
    cosine, sine = np.cos(peaks.angle), np.sin(peaks.angle)
    x, y = vectors[..., 0], vectors[..., 1]
    sign = np.where(peaks.mirror == 1, -1.0, 1.0)
    return np.stack([sign * (cosine * x + sine * y), cosine * y - sine * x], axis=-1)


def _in_image_frame(vectors: NDArray[np.float64], peaks: cpu.Peaks) -> NDArray[np.float64]:
    """Turn vectors (L, m or 1, 2) of the averages back into the frames of their images."""
    cosine, sine = np.cos(peaks.angle), np.sin(peaks.angle)
    x, y = np.where(peaks.mirror == 1, -1.0, 1.0) * vectors[..., 0], vectors[..., 1]
    return np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def _random_start(
    blocks: list[slice], count: int, generators: list[np.random.Generator]
) -> list[cpu.Peaks]:
    """Random angles and mirrors at the present centres."""
    angle = np.stack([g.uniform(0.0, 2 * np.pi, count) for g in generators])
    mirror = np.stack([g.integers(0, 2, count) for g in generators]).astype(np.int8)
    value = np.zeros(angle.shape, np.float32)
    shift = np.zeros(angle.shape, np.int64)
    move = np.zeros((*angle.shape, 2))
    return [
        cpu.Peaks(
            value[:, b],
            shift[:, b],
            move[:, b],
            np.ascontiguousarray(angle[:, b]),
            mirror[:, b],
        )
        for b in blocks
    ]
