"""The few references that an image is most similar to: a sparse table, whatever their number.

The whole table of similarities has an entry for every image and reference. Here it is worked out a
block of images at a time, and of each row only the largest entries are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.search import SearchTask, align_to_assigned, coarse_grid
from isac2.alignment.space import SearchSpace
from isac2.workers import Workers

__all__ = ["Nearest", "nearest_references", "similarity_of_pairs"]


@dataclass(frozen=True)
class Nearest:
    """What m images are most similar to, the most similar first, apart from what is their own.

    Attributes
    ----------
    index : int64 (m, k)
        Which references; of equal similarities the first ones.
    similarity : float32 (m, k)
        Minus infinity where there are no more than k references and one is the image's own.
    against : float32 (m,)
        Similarity to the first of these with its contrast inverted.
    own, against_own : float32 (m,)
        Similarity to the image's own reference, and to that one with its contrast inverted; minus
        infinity where there is none.
    """

    index: NDArray[np.int64]
    similarity: NDArray[np.float32]
    against: NDArray[np.float32]
    own: NDArray[np.float32]
    against_own: NDArray[np.float32]


def nearest_references(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    centres: NDArray[np.float64],
    references: NDArray[np.float32],
    count: int,
    space: SearchSpace,
    workers: Workers,
    own: NDArray[np.int64] | None = None,
    frequency: float = 0.5,
) -> Nearest:
    """Find the references that each image is most similar to.

    Parameters
    ----------
    images : float32 (N, n, n)
    rows : int64 (m,)
        Which of the images.
    centres : float64 (m, 2)
        Where the search of each image is centred, from the centre of the box, px.
    references : float32 (K, n, n)
    count : int
        How many to keep of each row; fewer where there are fewer references.
    space, workers, frequency
        As for `isac2.alignment.search.search`.
    own : int64 (m,), optional
        The reference to which each image belongs, -1 for none.
    """
    count = min(count, len(references))
    own = np.full(len(rows), -1) if own is None else own
    task = SearchTask.of(images, rows, centres, references, space, frequency)
    opposite = SearchTask.of(images, rows, centres, -references, space, frequency)
    coarse = coarse_grid(task.geometry.n_orders)

    def search_block(first: int) -> Nearest:
        some = task.block(first)
        bank, mine = task.bank(some), own[some]
        table = task.backend.find_largest(bank, task.references, task.angles, coarse)
        image, has_own = np.arange(len(mine)), mine >= 0
        of_own = np.where(has_own, table[image, mine], -np.inf).astype(np.float32)
        table[image[has_own], mine[has_own]] = -np.inf
        index = np.argsort(-table, axis=1, kind="stable")[:, :count]
        asked = np.stack([index[:, 0], np.where(has_own, mine, index[:, 0])], axis=1)
        against = opposite.largest(bank, asked)
        against[~has_own, 1] = -np.inf
        similarity = np.take_along_axis(table, index, axis=1)
        return Nearest(index, similarity, against[:, 0], of_own, against[:, 1])

    return _joined(workers.map(search_block, task.blocks()), count)


def _joined(blocks: list[Nearest], count: int) -> Nearest:
    """All blocks, one after the other."""
    nothing = np.empty(0, np.float32)
    none = Nearest(
        np.empty((0, count), np.int64), nothing.reshape(0, count), nothing, nothing, nothing
    )
    columns = {
        entry.name: np.concatenate([getattr(block, entry.name) for block in (none, *blocks)])
        for entry in fields(Nearest)
    }
    return replace(none, **columns)


def similarity_of_pairs(
    averages: NDArray[np.float32],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    space: SearchSpace,
    workers: Workers,
) -> NDArray[np.float64]:
    """Similarity of pairs of averages (indices int64 (p,)), float64 (p,); each pair once."""
    pairs, back = np.unique(
        np.stack([np.minimum(first, second), np.maximum(first, second)], axis=1),
        axis=0,
        return_inverse=True,
    )
    middle = np.zeros((len(pairs), 2))
    found = align_to_assigned(averages, pairs[:, 0], middle, averages, pairs[:, 1], space, workers)
    return np.asarray(found.similarity[back.reshape(-1)], np.float64)
