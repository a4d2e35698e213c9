"""The similarity of many images to many references, and the pose that reaches it.

The similarity of an image and a reference is their best correlation on the rings over in-plane
angle, mirror and a grid of translations around the image's present centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.backends import cpu
from isac2.alignment.backends.lanes import LANES
from isac2.alignment.rings import RingGeometry
from isac2.alignment.space import SearchSpace, poses_from_search
from isac2.poses import PoseArray
from isac2.workers import Workers

__all__ = [
    "Alignment",
    "align_to_assigned",
    "angle_grid",
    "angular_coefficients",
    "coarse_grid",
    "discrete_angles",
    "reference_coefficients",
    "search",
]

_IMAGES_A_BLOCK = 64
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
    references: NDArray[np.float32], geometry: RingGeometry
) -> cpu.References:
    """Weighted ring coefficients of references (k, n, n)."""
    table = geometry.sampling_table(np.zeros((1, 2)))
    rows = np.arange(len(references))
    centres = np.zeros((len(references), 2))
    bank = cpu.ring_bank(references, rows, centres, geometry, table, normalise=False)
    return cpu.references_from_bank(bank)


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
    geometry = space.geometry(frequency)
    table = space.sampling_table(frequency)
    angles = angle_grid(geometry.n_orders)
    coarse = None if exhaustive else coarse_grid(geometry.n_orders)
    coefficients = reference_coefficients(references, geometry)
    middles = space.permitted(centres, images.shape[-1])
    # where nobody keeps a block this takes no memory: the system gives zeros when they are touched
    similarity = np.zeros((len(rows), len(references)), np.float32)

    def search_block(first: int) -> NDArray[np.float32]:
        last = min(first + _IMAGES_A_BLOCK, len(rows))
        bank = cpu.ring_bank(images, rows[first:last], middles[first:last], geometry, table)
        return cpu.find_largest(bank, coefficients, angles, coarse)

    def keep(first: int, found: NDArray[np.float32]) -> None:
        similarity[first : first + len(found)] = found

    workers.collect(search_block, range(0, len(rows), _IMAGES_A_BLOCK), keep)
    return similarity


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
    geometry = space.geometry(frequency)
    table = space.sampling_table(frequency)
    angles = angle_grid(geometry.n_orders)
    coefficients = reference_coefficients(references, geometry)
    middles = space.permitted(centres, images.shape[-1])
    # one kind of images a group: each is compared with its own reference only
    own = cpu.References(coefficients.values.transpose(1, 0, 2).copy(), coefficients.packing)
    blocks = [
        np.arange(first, min(first + _IMAGES_A_BLOCK, len(rows)))
        for first in range(0, len(rows), _IMAGES_A_BLOCK)
    ]
    angle, mirror = np.empty(len(rows)), np.empty(len(rows), np.int8)
    found, similarity = np.empty((len(rows), 2)), np.empty(len(rows), np.float32)

    def align_block(block: NDArray[np.int64]) -> cpu.Peaks:
        bank = cpu.ring_bank(images, rows[block], middles[block], geometry, table)
        return cpu.find_peaks(bank, assigned[block], own, (angles, None), table)

    for block, peaks in zip(blocks, workers.map(align_block, blocks), strict=True):
        angle[block], mirror[block] = peaks.angle[:, 0], peaks.mirror[:, 0]
        found[block] = middles[block] + peaks.move[:, 0]
        similarity[block] = peaks.value[:, 0]
    return Alignment(poses_from_search(found, angle, mirror), similarity)
