"""Class averages in an order in which neighbours look alike, turned to match along it.

The end of section 6 of the specification: all averages are aligned to each other, a circular tour
keeps the most similar next to each other, and it is cut at its weakest link into a chain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.search import align_to_assigned, search
from isac2.alignment.space import SearchSpace
from isac2.classes.tour import find_tour
from isac2.images.masks import disc_mask
from isac2.poses import PoseArray, compose, identity_poses, make_poses, wrap_angle
from isac2.workers import SerialWorkers, Workers

__all__ = ["ChainOrder", "cut_into_chain", "order_averages", "poses_along_chain"]


@dataclass(frozen=True)
class ChainOrder:
    """Averages along a chain.

    Attributes
    ----------
    order : int64 (K,)
        Class at each place of the chain.
    alpha : float64 (K,)
        In-plane rotation of that class's average that matches it to the one before, degrees in
        [-180, 180).
    mirror : int8 (K,)
        Whether it is mirrored (1), after the rotation.
    correlation : float64 (K,)
        Correlation inside the disc with the one before in the chain; of the first, with the last.
    """

    order: NDArray[np.int64]
    alpha: NDArray[np.float64]
    mirror: NDArray[np.int8]
    correlation: NDArray[np.float64]

    @property
    def poses(self) -> PoseArray:
        """Poses (K,) that turn ``averages[order]`` into the ordered averages; no shifts."""
        return make_poses(self.alpha, 0.0, 0.0, self.mirror)


def order_averages(
    averages: NDArray[np.float32], space: SearchSpace, workers: Workers | None = None
) -> ChainOrder:
    """Order averages so that neighbours are similar, and turn each to match the one before it.

    Parameters
    ----------
    averages : float32 (K, n, n)
    space : SearchSpace
        Rings and translations of the run; averages are searched one pixel further each way.
    workers : Workers, optional
        Does the alignments; by default the calling thread.

    Returns
    -------
    ChainOrder
        The chain starts at the end that has the lower class number, whose average stays as it is.

    Notes
    -----
    The correlation of a pair is the mean of its two directions. Averages are centred, so the small
    shifts of the alignments are dropped: an ordered average is only turned and mirrored.
    """
    workers = workers if workers is not None else SerialWorkers()
    count = len(averages)
    if count == 0:
        return ChainOrder(*(np.empty(0, kind) for kind in (np.int64, float, np.int8, float)))
    normalised = _normalise_in_disc(averages, space.radius)
    wider = replace(space, x_range=space.x_range + 1, y_range=space.y_range + 1)
    rows, centres = np.arange(count), np.zeros((count, 2))
    similarity = search(normalised, rows, centres, normalised, wider, workers)
    table = workers.once(lambda: similarity.astype(np.float64))
    # An average is most similar to itself; that is where the scale has its 1.
    scale = np.maximum(np.sqrt(np.abs(np.diag(table))), 1e-12)
    correlation = (table + table.T) / 2 / np.outer(scale, scale)
    order, links = cut_into_chain(correlation)
    steps = identity_poses(count)
    if count > 1:
        aligned = align_to_assigned(
            normalised, order[1:], centres[1:], normalised, order[:-1], wider, workers
        )
        steps[1:] = aligned.poses
    chain = poses_along_chain(steps)
    return ChainOrder(order, wrap_angle(chain["alpha"]), chain["mirror"].copy(), links)


def _normalise_in_disc(averages: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """Give every average mean 0 and variance 1 inside the disc, so that none outshines others."""
    inside = disc_mask(averages.shape[-1], radius).astype(bool)
    pixels = averages[:, inside].astype(np.float64)
    mean = pixels.mean(axis=1)[:, np.newaxis, np.newaxis]
    deviation = np.maximum(pixels.std(axis=1), 1e-12)[:, np.newaxis, np.newaxis]
    normalised: NDArray[np.float32] = ((averages - mean) / deviation).astype(np.float32)
    return normalised


def cut_into_chain(
    correlation: NDArray[np.floating],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find a circular tour of similar neighbours and cut it at its weakest link.

    Parameters
    ----------
    correlation : floating (K, K)
        Symmetric.

    Returns
    -------
    order : int64 (K,)
        The chain; it starts at the end that has the lower number.
    links : float64 (K,)
        Correlation of each with the one before; the first is that of the cut.

    Examples
    --------
    >>> table = np.array([[1.0, 0.1, 0.9, 0.2], [0.1, 1.0, 0.2, 0.8],
    ...                   [0.9, 0.2, 1.0, 0.7], [0.2, 0.8, 0.7, 1.0]])
    >>> order, links = cut_into_chain(table)
    >>> order.tolist(), links.tolist()
    ([0, 2, 3, 1], [0.1, 0.9, 0.7, 0.8])
    """
    tour = find_tour(correlation)
    links = correlation[tour, np.roll(tour, 1)].astype(np.float64)
    if len(tour) > 2:
        cut = int(links.argmin())
        tour, links = np.roll(tour, -cut), np.roll(links, -cut)
        if tour[0] > tour[-1]:  # walked the other way, each link belongs to its other end
            tour, links = tour[::-1].copy(), np.roll(links[::-1], 1)
    return tour, links


def poses_along_chain(steps: PoseArray) -> PoseArray:
    """Compose poses (K,) that take each to the one before it into poses that take it to the first.

    The first of `steps` is not read.

    Examples
    --------
    >>> poses_along_chain(make_poses([0, 30, 10], 0, 0, [0, 1, 0]))["alpha"].tolist()
    [0.0, 30.0, 40.0]
    """
    chain = identity_poses(len(steps))
    for place in range(1, len(steps)):
        chain[place] = compose(steps[place], chain[place - 1])
    return chain
