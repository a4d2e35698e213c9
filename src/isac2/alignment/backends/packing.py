"""How ring coefficients lie in memory: sixteen angular orders side by side, then rings.

Even and odd orders come from different sums over a ring, and lie apart: of sixteen orders the eight
even ones come first, then the eight odd ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.rings import RingGeometry
from isac2.lanes import LANES

__all__ = ["Packing", "aligned_empty", "aligned_zeros", "lane_of_order", "packing_of"]

_PAIR = 2 * LANES
_HALF = LANES // 2
_CACHE_LINE_BYTES = 64


def aligned_empty(*shape: int) -> NDArray[np.float32]:
    """Room for float32 that begins at a cache line: vectors then never lie across two."""
    size = int(np.prod(shape)) * 4
    raw = np.empty(size + _CACHE_LINE_BYTES, np.uint8)
    start = -raw.ctypes.data % _CACHE_LINE_BYTES
    return raw[start : start + size].view(np.float32).reshape(shape)


def aligned_zeros(*shape: int) -> NDArray[np.float32]:
    """Zeros, float32, that begin at a cache line."""
    room = aligned_empty(*shape)
    room[...] = 0.0
    return room


def lane_of_order(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lane of each angular order among the sixteen of its block."""
    lane: NDArray[np.int64] = order % LANES // 2 + _HALF * (order % 2)
    return lane


@lru_cache(maxsize=64)
def packing_of(geometry: RingGeometry) -> Packing:
    """Packing of a geometry, with its tables, made once."""
    return Packing(geometry)


@dataclass(frozen=True)
class Packing:
    """Places of the coefficients of a geometry.

    Block q holds the angular orders 16 q to 16 q + 15 of all rings that carry the first of them; a
    ring's entry is the real parts of the sixteen, then the imaginary parts. With several
    translations each block holds all entries of the first, then of the second, and so on.
    """

    geometry: RingGeometry

    @cached_property
    def rings(self) -> NDArray[np.int64]:
        """Number of rings in each block, int64 (q,)."""
        return len(self.geometry.radii) - self.geometry.first_ring[::LANES]

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Entries before each block, for one translation, int64 (q,)."""
        return np.concatenate([[0], np.cumsum(self.rings)[:-1]]).astype(np.int64)

    @property
    def size(self) -> int:
        """Floats of one image at one translation."""
        return int(self.rings.sum()) * _PAIR

    def end_of_orders(self, count: int) -> int:
        """Floats, at one translation, of the blocks that hold the first `count` orders."""
        return int(self.rings[: -(-count // LANES)].sum()) * _PAIR

    @property
    def blocks(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Starts and rings, as the compiled loops take them."""
        return self.starts, self.rings

    def places(
        self, ring: NDArray[np.int64] | int, order: NDArray[np.int64], n_shifts: int = 1
    ) -> NDArray[np.int64]:
        """Place of the real part at the first translation; the imaginary part is 16 further."""
        block, lane = order // LANES, lane_of_order(order)
        row = ring - self.geometry.first_ring[block * LANES]
        places: NDArray[np.int64] = (self.starts[block] * n_shifts + row) * _PAIR + lane
        return places

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """Share of area of each float's ring, float32 (v,)."""
        first = self.geometry.first_ring[::LANES]
        rings = np.concatenate([np.arange(f, len(self.geometry.radii)) for f in first])
        return np.repeat(self.geometry.weights[rings], _PAIR).astype(np.float32)

    @cached_property
    def orders(self) -> NDArray[np.int64]:
        """Angular order of each float, int64 (v,)."""
        blocks = np.repeat(np.arange(len(self.rings)), self.rings)
        within = lane_of_order(np.arange(LANES)).argsort()
        return (blocks[:, None] * LANES + np.tile(within, 2)).ravel()

    @cached_property
    def first_rings(self) -> NDArray[np.int64]:
        """First ring of each block, int64 (q,)."""
        return self.geometry.first_ring[::LANES]

    @cached_property
    def ring_blocks(self) -> NDArray[np.int64]:
        """Number of blocks that each ring has an entry in, int64 (r,)."""
        return -(-self.geometry.orders // LANES)

    @cached_property
    def matrices(self) -> NDArray[np.float32]:
        """Fourier transforms of all rings as matrices that take folded samples, flat.

        A ring of 4 q samples is folded twice (`sampling.fold_ring`), so that each of four kinds of
        coefficients sees about q values. Ring by ring and block by block: the real parts of its
        eight even orders, those of its eight odd ones, then the imaginary parts likewise; sample by
        sample eight numbers.
        """
        rings = zip(self.geometry.lengths, self.geometry.orders, strict=True)
        parts = [_folded_transform(int(length), int(count)) for length, count in rings]
        return np.concatenate(parts)

    def filter_matrices(self, matrices: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Matrices of the first orders (r, r), as `averaging.average_others` takes them."""
        count = -(-len(matrices) // LANES)
        parts = []
        for block in range(count):
            rings = int(self.rings[block])
            entries = np.zeros((rings, rings, LANES), np.float32)
            for order in range(block * LANES, min((block + 1) * LANES, len(matrices))):
                left_out = rings - len(matrices[order])
                lane = int(lane_of_order(np.array(order)))
                entries[left_out:, left_out:, lane] = matrices[order]
            parts.append(entries.ravel())
        flat = aligned_zeros(sum(p.size for p in parts))
        flat[:] = np.concatenate(parts)
        return flat


def _folded_transform(length: int, count: int) -> NDArray[np.float32]:
    """Matrices of one ring of `length` samples and `count` orders; see `Packing.matrices`."""
    quarter, inner = length // 4, np.arange(1, length // 4)
    even, odd = np.arange(0, LANES, 2), np.arange(1, LANES, 2)
    parts = []
    for first in range(0, count, LANES):
        for orders, samples, wave in (
            (even, np.arange(quarter + 1), np.cos),
            (odd, np.arange(quarter), np.cos),
            (even, inner, np.sin),
            (odd, np.arange(1, quarter + 1), np.sin),
        ):
            order = first + orders
            sign = 1.0 if wave is np.cos else -1.0
            values = sign * wave(2 * np.pi / length * samples[:, None] * order) / length
            parts.append(np.where(order < count, values, 0.0).ravel())
    return np.concatenate(parts).astype(np.float32)
