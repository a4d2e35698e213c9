"""Settling: all images and all classes weighed once more, when all views have their classes.

A class of an early generation was confirmed when most views had no class yet, so that it had nobody
to lose its strangers to. Now a member that prefers another view goes there if it is stable in it,
and an image of the pool that no other view is nearly as good for is tested with its best class.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.space import Frames, centres_from_poses
from isac2.clustering.comparison import ClassComparison, Standing, compare_with_classes
from isac2.clustering.confirm import (
    CLEARLY,
    Candidates,
    are_whole,
    belongs_elsewhere,
    clearly_belongs,
    keep_confirmed,
    keep_members,
    members_of,
    take_in,
)
from isac2.clustering.leave_out import measure_own_parts
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.state import (
    IsacState,
    StableGroup,
    are_large_enough,
    large_enough,
    unaccounted,
)
from isac2.poses import PoseArray
from isac2.workers import Workers

__all__ = ["as_similar_as_members", "less_moved", "settle"]

_TURNS = 3
_SETTLE = 3  # names what is drawn then
_AT_ALL = 1.0  # standard deviations
_FARTHEST = 4.0  # robust standard deviations below the median member

Refused = tuple[NDArray[np.int64], ...]  # by each class


def settle(
    images: NDArray[np.float32],
    state: IsacState,
    parameters: ClusteringParameters,
    seed: tuple[int, ...],
    workers: Workers,
    frames: Frames | None = None,
) -> IsacState:
    """Weigh all images and all classes once more, now that all views have their classes.

    Classes that become too small are dissolved, and the next main iteration begins with their
    images. No image is tested with the same class twice, but for the last turn.

    Parameters
    ----------
    images : float32 (N, n, n)
    state : IsacState
        With the classes, the images that are in none, and the poses of all.
    parameters, seed, workers
        As in `isac2.clustering.sac.sac_round`.
    frames : Frames, optional
        Edges of the picked images: particles cut off there are in no class.
    """
    refused: Refused = tuple(np.empty(0, np.int64) for _ in state.accounted)
    for turn in range(_TURNS):
        if not state.accounted:
            break
        if turn == _TURNS - 1:  # the classes are others by now
            refused = tuple(np.empty(0, np.int64) for _ in state.accounted)
        name = (*seed, turn, _SETTLE)
        state, refused = _settle_once(images, state, refused, parameters, name, workers, frames)
    return state


def _settle_once(
    images: NDArray[np.float32],
    state: IsacState,
    refused: Refused,
    parameters: ClusteringParameters,
    seed: tuple[int, ...],
    workers: Workers,
    frames: Frames | None,
) -> tuple[IsacState, Refused]:
    """Take out who belongs elsewhere, and take in who belongs here."""
    classes = state.accounted
    members, places, own = members_of(classes)
    rows, starts = np.concatenate([members, state.pool]), np.concatenate([places, state.poses])
    comparison = _weigh(images, rows, starts, classes, parameters, workers)
    stays = ~belongs_elsewhere(comparison.first(len(own)).own())
    stays &= are_whole(members, places, parameters, frames)
    kept = keep_confirmed(classes, stays, images, parameters, workers)
    refused = _also_refused(refused, classes, kept)

    remaining = np.concatenate([[-1], *(g.members for g in large_enough(kept, parameters))])
    wanted, best = _wanted(comparison, own, ~np.isin(members, remaining)), comparison.best()
    wanted &= are_large_enough(kept, parameters)[best.number]
    wanted &= ~_are_refused(rows, best.number, refused)
    asked = Candidates(rows, starts, best.number, best.similarity).where(wanted)
    grown = take_in(images, asked, kept, parameters, seed, workers, frames)

    grown = less_moved(kept, grown, images, parameters, workers)
    refused = _also_refused(refused, _with_all(asked, kept), grown)
    large = are_large_enough(grown, parameters)
    refused = tuple(rows for rows, is_large in zip(refused, large, strict=True) if is_large)
    left = large_enough(grown, parameters)
    pool, poses = unaccounted(state, left)
    return replace(state, pool=pool, poses=poses, accounted=left), refused


def _weigh(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    poses: PoseArray,
    classes: tuple[StableGroup, ...],
    parameters: ClusteringParameters,
    workers: Workers,
) -> ClassComparison:
    """Compare all images, first the members of the classes, with the classes."""
    part = measure_own_parts(images, classes, parameters, workers)
    centres = centres_from_poses(poses)
    return compare_with_classes(images, rows, centres, classes, parameters, workers, part)


def _wanted(
    comparison: ClassComparison, own: NDArray[np.int64], have_left: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Who is to be tested with the class that it is most similar to; first come the members.

    An image in no class, or no longer in one, has to prefer its class to other views by one
    standard deviation and be as similar to it as members are; a member that prefers another view at
    all is tested there.
    """
    best, of_members = comparison.best(), comparison.first(len(own))
    wanted = clearly_belongs(best, _AT_ALL) & as_similar_as_members(best, of_members.own())
    moves = of_members.best_is_another_view() & (best.over_chance[: len(own)] > CLEARLY)
    wanted[: len(own)] = np.where(have_left, wanted[: len(own)], moves)
    return wanted


def as_similar_as_members(standing: Standing, of_members: Standing) -> NDArray[np.bool_]:
    """Whether each image prefers its class to chance by as much as its members commonly do."""
    least = np.empty(int(standing.number.max()) + 1)
    for number in range(len(least)):
        common = of_members.over_chance[of_members.number == number]
        middle = np.median(common)
        spread = 1.4826 * np.median(np.abs(common - middle))
        least[number] = middle - _FARTHEST * spread
    similar: NDArray[np.bool_] = standing.over_chance >= least[standing.number]
    return similar


def _also_refused(
    refused: Refused, before: tuple[StableGroup, ...], after: tuple[StableGroup, ...]
) -> Refused:
    """Those who were refused by each class, and who are no longer in it."""
    return tuple(
        np.union1d(rows, np.setdiff1d(one.members, other.members))
        for rows, one, other in zip(refused, before, after, strict=True)
    )


def _with_all(asked: Candidates, classes: tuple[StableGroup, ...]) -> tuple[StableGroup, ...]:
    """Classes with all who asked to be in them; of their attributes only the members count."""
    return tuple(
        replace(group, members=np.union1d(group.members, asked.rows[asked.number == number]))
        for number, group in enumerate(classes)
    )


def _are_refused(
    rows: NDArray[np.int64], number: NDArray[np.int64], refused: Refused
) -> NDArray[np.bool_]:
    """Whether the class that each image asks for has refused it."""
    are_refused = np.zeros(len(rows), np.bool_)
    for one, of_this in enumerate(refused):
        are_refused |= (number == one) & np.isin(rows, of_this)
    return are_refused


def less_moved(
    before: tuple[StableGroup, ...],
    after: tuple[StableGroup, ...],
    images: NDArray[np.float32],
    parameters: ClusteringParameters,
    workers: Workers,
) -> tuple[StableGroup, ...]:
    """Groups as they are `after`, less what is new in another one of them.

    Examples
    --------
    Image 3 moves from the first class to the second.

    >>> from isac2.poses import identity_poses
    >>> from isac2.workers import SerialWorkers
    >>> def group(*rows):
    ...     some = len(rows)
    ...     return StableGroup(np.array(rows), identity_poses(some), np.zeros(some),
    ...                        np.zeros((64, 64), np.float32), 0.0, 1.0, some)
    >>> before, after = (group(1, 3), group(2)), (group(1, 3), group(2, 3))
    >>> images = np.zeros((4, 64, 64), np.float32)
    >>> some, alone = ClusteringParameters(), SerialWorkers()
    >>> moved = less_moved(before, after, images, some, alone)
    >>> [one.members.tolist() for one in moved]
    [[1], [2, 3]]
    """
    new = [np.setdiff1d(b.members, a.members) for a, b in zip(before, after, strict=True)]
    everywhere = np.concatenate([np.empty(0, np.int64), *new])

    def keep(number: int) -> StableGroup:
        group = after[number]
        stays = ~np.isin(group.members, np.setdiff1d(everywhere, new[number]))
        return keep_members(group, stays, images, parameters)

    return tuple(workers.map(keep, range(len(after))))
