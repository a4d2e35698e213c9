"""How ring coefficients lie in memory: sixteen angular orders side by side, then rings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.backends.lanes import LANES
from isac2.alignment.rings import RingGeometry

__all__ = ["Packing", "aligned_zeros"]

_PAIR = 2 * LANES
_CACHE_LINE_BYTES = 64


def aligned_zeros(*shape: int) -> NDArray[np.float32]:
    """Zeros, float32, that begin at a cache line: vectors then never lie across two."""
    size = int(np.prod(shape)) * 4
    raw = np.zeros(size + _CACHE_LINE_BYTES, np.uint8)
    start = -raw.ctypes.data % _CACHE_LINE_BYTES
    return raw[start : start + size].view(np.float32).reshape(shape)


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

    @property
    def blocks(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Starts and rings, as the compiled loops take them."""
        return self.starts, self.rings

    def places(
        self, ring: NDArray[np.int64] | int, order: NDArray[np.int64], n_shifts: int = 1
    ) -> NDArray[np.int64]:
        """Place of the real part at the first translation; the imaginary part is 16 further."""
        block, lane = order // LANES, order % LANES
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
        lanes = np.tile(np.arange(LANES), 2)
        return (blocks[:, None] * LANES + lanes).ravel()

    def filter_matrices(self, matrices: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Matrices of the first orders (r, r), as `correlation.filter_averages` takes them."""
        count = -(-len(matrices) // LANES)
        parts = []
        for block in range(count):
            rings = int(self.rings[block])
            entries = np.zeros((rings, rings, LANES), np.float32)
            for order in range(block * LANES, min((block + 1) * LANES, len(matrices))):
                left_out = rings - len(matrices[order])
                entries[left_out:, left_out:, order % LANES] = matrices[order]
            parts.append(entries.ravel())
        flat = aligned_zeros(sum(p.size for p in parts))
        flat[:] = np.concatenate(parts)
        return flat
