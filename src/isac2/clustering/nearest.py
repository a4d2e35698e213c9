"""The few averages that an image is most similar to: a sparse table, whatever their number.

The whole table of similarities has an entry for every image and average. Here it is worked out a
block of images at a time, and of each row only the best entries are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.search import align_to_assigned, search
from isac2.alignment.space import SearchSpace
from isac2.workers import Workers

__all__ = ["Nearest", "nearest_averages", "similarity_of_pairs"]

_BLOCK_ENTRIES = 2**24  # of the table that is whole at one time: 64 MiB
_FEWEST_IMAGES, _MOST_IMAGES = 64, 16384  # in a block


@dataclass(frozen=True)
class Nearest:
    """The most similar averages of each of m images, the best first.

    Attributes
    ----------
    index : int32 (m, k)
        Which averages; of equal similarities the first ones.
    similarity : float32 (m, k)
    """

    index: NDArray[np.int32]
    similarity: NDArray[np.float32]


def nearest_averages(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    centres: NDArray[np.float64],
    averages: NDArray[np.float32],
    count: int,
    space: SearchSpace,
    workers: Workers,
) -> Nearest:
    """Find the averages that each image is most similar to.

    Parameters
    ----------
    images : float32 (N, n, n)
    rows : int64 (m,)
        Which of the images; `centres`, float64 (m, 2), is where their search is centred, px.
    averages : float32 (K, n, n)
    count : int
        How many to keep of each row; fewer where there are fewer averages.
    space, workers
        As for `isac2.alignment.search.search`.
    """
    count = min(count, len(averages))
    index = np.empty((len(rows), count), np.int32)
    similarity = np.empty((len(rows), count), np.float32)
    block = int(np.clip(_BLOCK_ENTRIES // max(1, len(averages)), _FEWEST_IMAGES, _MOST_IMAGES))
    for first in range(0, len(rows), block):
        some = slice(first, first + block)
        table = search(images, rows[some], centres[some], averages, space, workers)
        index[some], similarity[some] = workers.once(partial(_best, table, count))
    return Nearest(index, similarity)


def similarity_of_pairs(
    averages: NDArray[np.float32],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    space: SearchSpace,
    workers: Workers,
) -> NDArray[np.float64]:
    """Similarity of pairs of averages (indices int64 (p,)), float64 (p,); each pair once."""
    pairs, back = np.unique(np.stack([first, second], axis=1), axis=0, return_inverse=True)
    middle = np.zeros((len(pairs), 2))
    found = align_to_assigned(averages, pairs[:, 0], middle, averages, pairs[:, 1], space, workers)
    return np.asarray(found.similarity[back.reshape(-1)], np.float64)


def _best(table: NDArray[np.float32], count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Columns and values of the largest entries of each row, the largest first."""
    order = np.argsort(-table, axis=1, kind="stable")[:, :count]
    return order.astype(np.int32), np.take_along_axis(table, order, axis=1)
