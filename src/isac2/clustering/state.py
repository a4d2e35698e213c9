"""What travels out of the method: groups, classes, and the state from which it can go on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from isac2.clustering.parameters import ClusteringParameters
from isac2.poses import POSE, PoseArray

__all__ = [
    "IsacState",
    "Pools",
    "StableGroup",
    "are_large_enough",
    "large_enough",
    "unaccounted",
]


@dataclass(frozen=True)
class StableGroup:
    """A group of images whose poses came out the same in every alignment.

    Attributes
    ----------
    members : int64 (m,)
        Rows of the image array the method was given, ascending.
    poses : POSE (m,)
        Mean pose of each member over the alignments.
    pixel_errors : float64 (m,)
        Pixel error of each member, working pixels.
    average : float32 (nx, nx)
        Filtered average of the members in their poses.
    rms_pixel_error : float
        Root mean square pixel error of the members.
    mirror_consistency : float
        Share of the tested images whose mirror agreed over all alignments, 0 to 1.
    tested : int
        Number of images that went into the stability test.
    main_iteration, generation : int
        Where it was found, counted from 1.
    pools : int64 (p,)
        Pools that have found it, from 0: several where classes of different pools were merged.
    """

    members: NDArray[np.int64]
    poses: PoseArray
    pixel_errors: NDArray[np.float64]
    average: NDArray[np.float32]
    rms_pixel_error: float
    mirror_consistency: float
    tested: int
    main_iteration: int = 0
    generation: int = 0
    pools: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))


@dataclass(frozen=True)
class IsacState:
    """Everything the method needs to go on from where it is.

    Attributes
    ----------
    main_iteration, generation, sac_round : int
        Where the method is, counted from 1; `sac_round` counts the finished rounds of the running
        generation's SAC, 0 at its start.
    pool : int64 (n,)
        Images the running generation works on.
    poses : POSE (n,)
        Present pose of each image of the pool; its centre is where the next search looks.
    groups : tuple of StableGroup
        Groups after the last finished SAC round (references of the next), empty at the start.
    agreement : tuple of float
        Agreement of each finished SAC round of this generation with the one before.
    accounted : tuple of StableGroup
        Final classes so far, in the order in which they were found.
    candidates : tuple of StableGroup
        All groups of the generation that has just ended, the rejected ones too; else empty.
    generation_done, main_done, finished : bool
        What has just ended.
    start_of_main : int64 (n,)
        Images this main iteration started from.
    """

    main_iteration: int
    generation: int
    sac_round: int
    pool: NDArray[np.int64]
    poses: PoseArray = field(default_factory=lambda: np.empty(0, POSE))
    groups: tuple[StableGroup, ...] = ()
    agreement: tuple[float, ...] = ()
    accounted: tuple[StableGroup, ...] = ()
    candidates: tuple[StableGroup, ...] = ()
    generation_done: bool = False
    main_done: bool = False
    finished: bool = False
    start_of_main: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True)
class Pools:
    """Images split into pools, and what has come of those that are done.

    Attributes
    ----------
    images, ends : int64 (n,), (P,)
        The pools' images, one pool after the other, and where each ends.
    splitting : int
        How often images have been split, from 1.
    first_number : int
        Number of the first of these pools among all pools of all splittings.
    done : int
        Pools that are done.
    main_iteration : int
        Where the next pool begins to count its main iterations.
    found : tuple of StableGroup
        Classes of the pools that are done.
    classes : tuple of StableGroup
        Classes of earlier splittings, matched and merged.
    finished : bool
        Nothing is left to do; `classes` is the result.
    """

    images: NDArray[np.int64]
    ends: NDArray[np.int64]
    splitting: int = 1
    first_number: int = 0
    done: int = 0
    main_iteration: int = 1
    found: tuple[StableGroup, ...] = ()
    classes: tuple[StableGroup, ...] = ()
    finished: bool = False

    @property
    def count(self) -> int:
        """How many pools there are."""
        return len(self.ends)

    def pool(self, number: int) -> NDArray[np.int64]:
        """Images of one pool, ascending."""
        first = self.ends[number - 1] if number else 0
        return self.images[first : self.ends[number]]


def are_large_enough(
    groups: tuple[StableGroup, ...], parameters: ClusteringParameters
) -> NDArray[np.bool_]:
    """Which groups have more stable members than the smallest reproducible class, bool (K,).

    A group may hold a few that are not, kept so that the next round has a reference.
    """
    threshold = parameters.pixel_error_threshold
    stable = np.array([(group.pixel_errors < threshold).sum() for group in groups], np.int64)
    large: NDArray[np.bool_] = stable > parameters.minimum_group_size
    return large


def large_enough(
    groups: tuple[StableGroup, ...], parameters: ClusteringParameters
) -> tuple[StableGroup, ...]:
    """Return the groups that are."""
    large = are_large_enough(groups, parameters)
    return tuple(group for group, is_large in zip(groups, large, strict=True) if is_large)


def unaccounted(
    state: IsacState, classes: tuple[StableGroup, ...]
) -> tuple[NDArray[np.int64], PoseArray]:
    """All images in none of the classes, ascending, and their present poses."""
    before = [g.members for g in state.accounted]
    everything = np.concatenate([state.pool, *before])
    poses = np.concatenate([state.poses, *[g.poses for g in state.accounted]])
    order = np.argsort(everything)
    taken = np.concatenate([np.empty(0, np.int64), *[g.members for g in classes]])
    order = order[~np.isin(everything[order], taken)]
    return everything[order], poses[order]
