"""Class averages in an order in which neighbours look alike, turned to match along it.

The end of section 6 of the specification: all averages are aligned to each other, a circular tour
keeps the most similar next to each other, and it is cut at its weakest link into a chain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.search import align_to_assigned, search
from isac2.alignment.space import SearchSpace
from isac2.classes.tour import find_tour
from isac2.images.masks import disc_mask
from isac2.poses import PoseArray, compose, identity_poses, make_poses, wrap_angle
from isac2.workers import SerialWorkers, Workers

__all__ = [
    "ChainOrder",
    "correlate_averages",
    "cut_into_chain",
    "order_averages",
    "poses_along_chain",
]

_MANY = 500
_ENOUGH_FREQUENCY = 0.25  # 1/px
_STRIPS = 16


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
    averages: NDArray[np.float32],
    space: SearchSpace,
    workers: Workers | None = None,
    correlation: NDArray[np.float64] | None = None,
) -> ChainOrder:
    """Order averages so that neighbours are similar, and turn each to match the one before it.

    Parameters
    ----------
    averages : float32 (K, n, n)
    space : SearchSpace
        Rings and translations of the run; averages are searched one pixel further each way.
    workers : Workers, optional
        Does the alignments; by default the calling thread.
    correlation : float64 (K, K), optional
        From `correlate_averages`, when it is there already.

    Returns
    -------
    ChainOrder
        The chain starts at the end that has the lower class number, whose average stays as it is.

    Notes
    -----
    Averages are centred, so the small shifts of the alignments are dropped: an ordered average is
    only turned and mirrored.
    """
    workers = workers if workers is not None else SerialWorkers()
    count = len(averages)
    if count == 0:
        return ChainOrder(*(np.empty(0, kind) for kind in (np.int64, float, np.int8, float)))
    if correlation is None:
        correlation = correlate_averages(averages, space, workers)
    order, links = cut_into_chain(correlation)
    steps = identity_poses(count)
    if count > 1:
        normalised, centres = _normalise_in_disc(averages, space.radius), np.zeros((count - 1, 2))
        aligned = align_to_assigned(
            normalised, order[1:], centres, normalised, order[:-1], _wider(space), workers
        )
        steps[1:] = aligned.poses
    chain = poses_along_chain(steps)
    return ChainOrder(order, wrap_angle(chain["alpha"]), chain["mirror"].copy(), links)


def correlate_averages(
    averages: NDArray[np.float32], space: SearchSpace, workers: Workers
) -> NDArray[np.float64]:
    """Correlate all pairs of averages, each pair in its best alignment.

    Parameters
    ----------
    averages : float32 (K, n, n)
    space, workers
        As in `order_averages`.

    Returns
    -------
    float64 (K, K)
        The mean of a pair's two directions; 1 with itself.

    Notes
    -----
    More than 500 averages are compared in one direction, and up to 0.25/px only, beyond which they
    are mostly noise: a quarter of the work, for a table (of 300 averages of parts of classes) that
    correlates to 0.9998 with the full one, and whose tour is as good.
    """
    count, normalised = len(averages), _normalise_in_disc(averages, space.radius)
    many = count > _MANY
    cuts = list(range(0, count, -(-count // _STRIPS))) if many else [0]
    strips = [
        search(
            normalised,
            np.arange(first, last),
            np.zeros((last - first, 2)),
            normalised[first:],
            _wider(space),
            workers,
            _ENOUGH_FREQUENCY if many else 0.5,
        )
        for first, last in pairwise([*cuts, count])
    ]
    table = workers.once(lambda: _symmetric(strips, count))
    # An average is most similar to itself; that is where the scale has its 1.
    scale = np.maximum(np.sqrt(np.abs(np.diag(table))), 1e-12)
    return np.asarray(table / np.outer(scale, scale))


def _symmetric(strips: list[NDArray[np.float32]], count: int) -> NDArray[np.float64]:
    """Put strips of rows, from the diagonal block on to the right, together to a whole table."""
    table = np.zeros((count, count))
    first = 0
    for strip in strips:
        last = first + len(strip)
        block = strip[:, : len(strip)].astype(np.float64)
        table[first:last, first:last] = (block + block.T) / 2
        table[first:last, last:] = strip[:, len(strip) :]
        table[last:, first:last] = strip[:, len(strip) :].T
        first = last
    return table


def _wider(space: SearchSpace) -> SearchSpace:
    """Return the space with one pixel more of translations each way."""
    return replace(space, x_range=space.x_range + 1, y_range=space.y_range + 1)


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
