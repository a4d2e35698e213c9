"""The similarity of many images to many references, and the pose that reaches it.

The similarity of an image and a reference is their best correlation on the rings over in-plane
angle, mirror and a grid of translations around the image's present centre.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.backends import Backend, cpu
from isac2.alignment.rings import RingGeometry, SamplingTable
from isac2.alignment.space import SearchSpace, poses_from_search
from isac2.lanes import LANES
from isac2.poses import PoseArray
from isac2.workers import Workers

__all__ = [
    "Alignment",
    "SearchTask",
    "align_to_assigned",
    "angle_grid",
    "angular_coefficients",
    "coarse_grid",
    "discrete_angles",
    "reference_coefficients",
    "search",
    "search_assign_align",
]

_LIKELY = 3  # references that an image is aligned to while it is compared with all
_FOUND = np.dtype([("x", "f8"), ("y", "f8"), ("angle", "f8"), ("mirror", "i1"), ("value", "f4")])
_COARSE_ORDERS = 16
_ANGLES_A_ORDER = 0.7  # quarter angles: 2.8 samples a period of the highest order


@dataclass(frozen=True)
class Alignment:
    """Best pose of each image against its reference.

    Attributes
    ----------
    poses : POSE (n,)
    similarity : float32 (n,)
    """

    poses: PoseArray
    similarity: NDArray[np.float32]


def quarter_grid(n_orders: int) -> cpu.AngleGrid:
    """Angles over a quarter turn, both ends included, made up to whole vectors."""
    least = _ANGLES_A_ORDER * n_orders
    count = int(np.ceil((least + 1) / LANES)) * LANES
    return cpu.AngleGrid(np.linspace(0.0, np.pi / 2, count), n_orders, quarters=True)


@lru_cache(maxsize=64)
def angle_grid(n_orders: int) -> cpu.AngleGrid:
    """Angles fine enough that the best of them lies on the highest peak of `n_orders` orders."""
    return quarter_grid(n_orders)


@lru_cache(maxsize=64)
def coarse_grid(n_orders: int) -> cpu.AngleGrid | None:
    """Angles and orders that tell which translations can be the best; None when all must."""
    orders = _COARSE_ORDERS
    if n_orders < 1.5 * orders:
        return None
    return quarter_grid(orders)


def discrete_angles(step: float, n_orders: int) -> cpu.AngleGrid:
    """All multiples of an angle (deg) in a turn, and nothing between."""
    angles = np.deg2rad(np.arange(0.0, 360.0 - 1e-6, step))
    return cpu.AngleGrid(angles, n_orders, quarters=False)


def reference_coefficients(
    references: NDArray[np.float32], geometry: RingGeometry, backend: Backend = cpu
) -> Any:
    """Weighted ring coefficients of references (k, n, n), as the backend takes them."""
    table = geometry.sampling_table(np.zeros((1, 2)))
    rows = np.arange(len(references))
    centres = np.zeros((len(references), 2))
    bank = backend.ring_bank(references, rows, centres, geometry, table, normalise=False)
    return backend.references_from_bank(bank)


def angular_coefficients(
    images: NDArray[np.float32], space: SearchSpace
) -> tuple[NDArray[np.complex64], NDArray[np.int64]]:
    """Ring coefficients of images (k, n, n), weighted by the square root of ring area.

    Returns
    -------
    coefficients : complex64 (c, k)
    orders : int64 (c,)
        Angular order of each coefficient.
    """
    geometry = space.geometry()
    table = geometry.sampling_table(np.zeros((1, 2)))
    rows = np.arange(len(images))
    bank = cpu.ring_bank(images, rows, np.zeros((len(images), 2)), geometry, table, normalise=False)
    weights = np.sqrt(geometry.weights[geometry.coefficient_ring]).astype(np.float32)
    values = bank.coefficients() * weights[:, None]
    return values.astype(np.complex64), geometry.coefficient_order


def search(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    centres: NDArray[np.float64],
    references: NDArray[np.float32],
    space: SearchSpace,
    workers: Workers,
    frequency: float = 0.5,
    exhaustive: bool = False,
) -> NDArray[np.float32]:
    """Similarity of every image to every reference.

    Parameters
    ----------
    images : float32 (N, n, n)
    rows : int64 (m,)
        Which of the images.
    centres : float64 (m, 2)
        Where the search of each image is centred, from the centre of the box, px.
    references : float32 (k, n, n)
    space : SearchSpace
    workers : Workers
        Blocks of images are searched in parallel; the result does not depend on it. Of workers
        that share no memory only one has the table: `workers.once` is where to look at it.
    frequency : float
        Beyond this frequency (1/px) the references hold nothing.
    exhaustive : bool
        Try every angle at every translation. Otherwise only where the low orders come near the best
        of their pair: the same assignments, in half of the time (docs/performance.md).

    Returns
    -------
    float32 (m, k)
    """
    task = SearchTask.of(images, rows, centres, references, space, frequency)
    coarse = None if exhaustive else coarse_grid(task.geometry.n_orders)
    # where nobody keeps a block this takes no memory: the system gives zeros when they are touched
    similarity = np.zeros((len(rows), len(references)), np.float32)

    def search_block(first: int) -> NDArray[np.float32]:
        bank = task.bank(task.block(first))
        return task.backend.find_largest(bank, task.references, task.angles, coarse)

    def keep(first: int, found: NDArray[np.float32]) -> None:
        similarity[first : first + len(found)] = found

    workers.collect(search_block, task.blocks(), keep)
    return similarity


def search_assign_align(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    centres: NDArray[np.float64],
    references: NDArray[np.float32],
    assign: Callable[[NDArray[np.float32]], NDArray[np.int64]],
    space: SearchSpace,
    workers: Workers,
    frequency: float = 0.5,
) -> tuple[NDArray[np.int64], Alignment]:
    """Give every image a reference, by its similarity to all, and align it to that one.

    The same as `search`, `assign` and `align_to_assigned`, in less time: most images get one of the
    references that they are most similar to, and are aligned to these while they are at hand.

    Parameters
    ----------
    assign : callable
        From the similarities float32 (m, k) to the reference of each image, int64 (m,).

    Other parameters are those of `search`.
    """
    task = SearchTask.of(images, rows, centres, references, space, frequency)
    coarse, likely = coarse_grid(task.geometry.n_orders), min(_LIKELY, len(references))
    similarity = np.zeros((len(rows), len(references)), np.float32)
    candidates = np.zeros((len(rows), likely), np.int64)
    poses = np.zeros((len(rows), likely), _FOUND)

    def search_block(first: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.void]]:
        some = task.block(first)
        bank = task.bank(some)
        table = task.backend.find_largest(bank, task.references, task.angles, coarse)
        best = np.argpartition(-table, likely - 1, axis=1)[:, :likely]
        return table, best, task.found(some, bank, best)

    def keep(
        first: int, found: tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.void]]
    ) -> None:
        some = slice(first, first + len(found[0]))
        similarity[some], candidates[some], poses[some] = found

    def assign_and_pick() -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.void]]:
        given = assign(similarity)
        is_given = candidates == given[:, None]
        return given, is_given.any(axis=1), poses[np.arange(len(rows)), is_given.argmax(axis=1)]

    workers.collect(search_block, task.blocks(), keep)
    assigned, known, found = workers.once(assign_and_pick)
    rest = np.flatnonzero(~known)
    found[rest] = task.take(rest).align(assigned[rest], workers)
    return assigned, _alignment(found)


def align_to_assigned(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    centres: NDArray[np.float64],
    references: NDArray[np.float32],
    assigned: NDArray[np.int64],
    space: SearchSpace,
    workers: Workers,
    frequency: float = 0.5,
) -> Alignment:
    """Best pose of every image against the one reference it was given (int64 (m,)).

    The other parameters are those of `search`.
    """
    task = SearchTask.of(images, rows, centres, references, space, frequency)
    return _alignment(task.align(assigned, workers))


def _alignment(found: NDArray[np.void]) -> Alignment:
    """Poses of what the search found, `_FOUND` (m,)."""
    places = np.stack([found["x"], found["y"]], axis=-1)
    return Alignment(poses_from_search(places, found["angle"], found["mirror"]), found["value"])


@dataclass(frozen=True)
class SearchTask:
    """Images, where to look for each, and the references that they are compared with.

    For what is worked out while the ring coefficients of a block of images are at hand.
    """

    images: NDArray[np.float32]
    rows: NDArray[np.int64]
    middles: NDArray[np.float64]
    references: Any
    backend: Backend
    geometry: RingGeometry
    table: SamplingTable

    @classmethod
    def of(
        cls,
        images: NDArray[np.float32],
        rows: NDArray[np.int64],
        centres: NDArray[np.float64],
        references: NDArray[np.float32],
        space: SearchSpace,
        frequency: float,
    ) -> SearchTask:
        """What `search` is asked for."""
        geometry, backend = space.geometry(frequency), space.backend
        return cls(
            images, rows, space.permitted(centres, images.shape[-1]),
            reference_coefficients(references, geometry, backend), backend, geometry,
            space.sampling_table(frequency),
        )  # fmt: skip

    @property
    def angles(self) -> cpu.AngleGrid:
        """All angles."""
        return angle_grid(self.geometry.n_orders)

    def blocks(self) -> range:
        """First image of each block."""
        return range(0, len(self.rows), self.backend.images_a_block)

    def block(self, first: int) -> slice:
        """Images of the block that begins with `first`."""
        return slice(first, first + self.backend.images_a_block)

    def take(self, some: NDArray[np.int64]) -> SearchTask:
        """The same for some of the images."""
        return replace(self, rows=self.rows[some], middles=self.middles[some])

    def bank(self, some: slice) -> Any:
        """Ring coefficients of some of the images at all translations."""
        return self.backend.ring_bank(
            self.images, self.rows[some], self.middles[some], self.geometry, self.table
        )

    def found(self, some: slice, bank: Any, numbers: NDArray[np.int64]) -> NDArray[np.void]:
        """Best poses of some images against a few references of each, `_FOUND` like numbers."""
        references, kinds = self.backend.own_references(self.references, numbers)
        angles = self.angles, None
        peaks = self.backend.find_peaks(bank, kinds, references, angles, self.table)
        found = np.empty(numbers.shape, _FOUND)
        places = self.middles[some, None] + peaks.move
        found["x"], found["y"] = places[..., 0], places[..., 1]
        found["angle"], found["mirror"] = peaks.angle, peaks.mirror
        found["value"] = peaks.value
        return found

    def largest(self, bank: Any, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Similarity of images to a few references of each (int64 (b, q)), as `search` has it."""
        references, kinds = self.backend.own_references(self.references, numbers)
        angles = self.angles, None
        peaks = self.backend.find_peaks(bank, kinds, references, angles, self.table, refine=False)
        return np.asarray(peaks.value)

    def align(self, assigned: NDArray[np.int64], workers: Workers) -> NDArray[np.void]:
        """Best pose of every image against its reference, `_FOUND` (m,)."""

        def align_block(first: int) -> NDArray[np.void]:
            some = self.block(first)
            return self.found(some, self.bank(some), assigned[some, None])[:, 0]

        done = workers.map(align_block, self.blocks())
        return np.concatenate([np.empty(0, _FOUND), *done])
