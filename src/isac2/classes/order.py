"""Class averages in an order in which neighbours look alike, turned to match along it.

The end of section 6 of the specification: all averages are aligned to each other, a circular tour
keeps the most similar next to each other, and it is cut at its weakest link into a chain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isac2.classes.tour import find_tour
from isac2.poses import PoseArray, compose, identity_poses, make_poses, wrap_angle

__all__ = ["ChainOrder", "chain_from_alignments"]


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
    similarity : float64 (K,)
        Similarity to the one before in the chain; for the first, to the last (the tour's weakest
        link, where it was cut).
    """

    order: NDArray[np.int64]
    alpha: NDArray[np.float64]
    mirror: NDArray[np.int8]
    similarity: NDArray[np.float64]

    @property
    def poses(self) -> PoseArray:
        """Poses (K,) that turn ``averages[order]`` into the ordered averages."""
        return make_poses(self.alpha, 0.0, 0.0, self.mirror)


def chain_from_alignments(similarity: NDArray[np.floating], poses: PoseArray) -> ChainOrder:
    """Order averages from all their pairwise alignments.

    Parameters
    ----------
    similarity : floating (K, K)
        Similarity of average i to average j at their best alignment. The two directions of a pair
        may differ; their mean orders the chain.
    poses : POSE (K, K)
        Pose that takes average i to average j. Shifts are not read: averages are centred, and an
        ordered average is only turned and mirrored.

    Returns
    -------
    ChainOrder
        The chain starts at the end that has the lower class number, whose average stays as it is.

    Examples
    --------
    Class 1 resembles both others, and is class 0 turned by 30 degrees.

    >>> similarity = np.array([[1.0, 0.9, 0.1], [0.9, 1.0, 0.8], [0.1, 0.8, 1.0]])
    >>> poses = make_poses([[0, 30, 0], [-30, 0, 5], [0, -5, 0]], 0, 0, 0)
    >>> chain = chain_from_alignments(similarity, poses)
    >>> chain.order.tolist(), chain.alpha.tolist()
    ([0, 1, 2], [0.0, -30.0, -35.0])
    """
    count = len(similarity)
    both_ways = (similarity.astype(np.float64) + similarity.T) / 2
    tour = find_tour(both_ways)
    links = both_ways[tour, np.roll(tour, 1)]  # to the one before
    if count > 2:
        cut = int(links.argmin())
        tour, links = np.roll(tour, -cut), np.roll(links, -cut)
        if tour[0] > tour[-1]:  # walked the other way, the link to the next becomes the one before
            tour, links = tour[::-1].copy(), np.roll(links[::-1], 1)
    chain = identity_poses(count)
    for place in range(1, count):
        this, before = tour[place], tour[place - 1]
        chain[place] = compose(poses[this, before], chain[place - 1])
    return ChainOrder(tour, wrap_angle(chain["alpha"]), chain["mirror"].copy(), links)
