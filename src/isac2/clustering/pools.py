"""Large sets in pools: split, cluster each pool on its own, match, merge and test together.

The time of one clustering grows with the square of the number of images. So a large set is split
at random into pools of a fixed size, and each goes through the whole method (`generations`).
Classes of different pools that show the same view are merged, and the merged class has to pass the
very test of stability that its parts have passed. What no pool could account for is compared with
all classes, and then pooled anew, in fewer pools: a view too rare for a class in one of them may
have enough images there.

Nothing here grows with images x classes: of every similarity table only the best entries of a row
are kept (`nearest`), and large groups are tested in parts of a fixed size (`parts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.space import Frames
from isac2.clustering.generations import isac, start_state
from isac2.clustering.merging import confirm_against_all, merge_classes, recall_to_classes
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.state import IsacState, Pools, StableGroup
from isac2.workers import Workers

__all__ = [
    "PooledState",
    "begin_pool",
    "isac_in_pools",
    "left_over",
    "split_at_random",
    "start_pools",
]

_SMALLEST_REST = 2  # groups' worth of images
_SPLIT = 5  # names the draw of pools among all that draw from a seed


@dataclass(frozen=True)
class PooledState:
    """Everything the method needs to go on: the pools, and where the running one is."""

    pools: Pools
    running: IsacState = field(default_factory=lambda: start_state(np.empty(0, np.int64)))


def isac_in_pools(
    images: NDArray[np.float32],
    parameters: ClusteringParameters,
    pool_size: int,
    seed: int,
    workers: Workers,
    state: PooledState,
    notify: Callable[[str], None],
    frames: Frames | None = None,
) -> Iterator[PooledState]:
    """Find all classes of a set that is too large for one clustering.

    Parameters
    ----------
    images : float32 (N, n, n)
        Working images, mapped.
    parameters : ClusteringParameters
    pool_size : int
        Images in a pool, at most.
    seed, workers, notify, frames
        As for `isac2.clustering.generations.isac`; the result does not depend on the workers.
    state : PooledState
        From `start_pools`, or any state that was yielded: the end is the same.

    Yields
    ------
    PooledState
        After each step of each pool, each pool, and each matching; the last has ``pools.finished``.
    """
    while not state.pools.finished:
        if state.pools.done < state.pools.count:
            for running in isac(images, parameters, seed, workers, state.running, notify, frames):
                state = replace(state, running=running)
                yield state
            state = close_pool(state)
        else:
            pools = bring_together(
                images, state.pools, parameters, pool_size, seed, workers, notify, frames
            )
            state = begin_pool(pools)
        yield state


def start_pools(usable: NDArray[np.int64], pool_size: int, seed: int) -> PooledState:
    """State before anything is done: images (int64 (n,)) split into pools."""
    images, ends = split_at_random(usable, pool_size, (seed, _SPLIT, 1))
    return begin_pool(Pools(images, ends))


def split_at_random(
    images: NDArray[np.int64], pool_size: int, seed: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split images into as few pools as hold them, whose sizes differ by one at most.

    Returns
    -------
    images : int64 (n,)
        One pool after the other, ascending in each.
    ends : int64 (P,)

    Examples
    --------
    >>> images, ends = split_at_random(np.arange(10, 17), 3, (1,))
    >>> ends.tolist(), sorted(images.tolist())
    ([3, 5, 7], [10, 11, 12, 13, 14, 15, 16])
    """
    count = max(1, -(-len(images) // pool_size))
    shuffled = np.random.default_rng(seed).permutation(images)
    pools = [np.sort(pool) for pool in np.array_split(shuffled, count)]
    return np.concatenate(pools), np.cumsum([len(pool) for pool in pools])


def begin_pool(pools: Pools) -> PooledState:
    """State before the next pool's first step."""
    if pools.finished or pools.done == pools.count:
        return PooledState(pools)
    running = start_state(pools.pool(pools.done))
    return PooledState(pools, replace(running, main_iteration=pools.main_iteration))


def close_pool(state: PooledState) -> PooledState:
    """Take the classes of a pool that is done, and begin the next."""
    pools, running = state.pools, state.running
    number = np.array([pools.first_number + pools.done])
    found = tuple(replace(group, pools=number) for group in running.accounted)
    return begin_pool(
        replace(
            pools,
            done=pools.done + 1,
            main_iteration=running.main_iteration + 1,
            found=pools.found + found,
        )
    )


def bring_together(
    images: NDArray[np.float32],
    pools: Pools,
    parameters: ClusteringParameters,
    pool_size: int,
    seed: int,
    workers: Workers,
    notify: Callable[[str], None],
    frames: Frames | None,
) -> Pools:
    """Match, merge and test the classes of all pools, recall images to them, and pool the rest."""
    name = (seed, _SPLIT, 0, pools.splitting)
    notify(f"matching the {len(pools.classes + pools.found)} classes of {pools.count} pools")
    classes = confirm_against_all(images, pools.classes + pools.found, parameters, workers, frames)
    classes = merge_classes(images, classes, parameters, (*name, 0), workers, notify)
    notify(f"comparing what is left with {len(classes)} classes")
    rest = left_over(pools, classes)
    classes = recall_to_classes(images, rest, classes, parameters, (*name, 1), workers, frames)
    rest = left_over(pools, classes)
    after = replace(pools, found=(), classes=classes, done=pools.count)
    fewer = -(-len(rest) // pool_size) < pools.count
    enough = len(rest) >= _SMALLEST_REST * parameters.images_per_group
    if not (pools.found and fewer and enough):
        return replace(after, finished=True)
    left, ends = split_at_random(rest, pool_size, (seed, _SPLIT, pools.splitting + 1))
    return replace(
        after,
        images=left,
        ends=ends,
        splitting=pools.splitting + 1,
        first_number=pools.first_number + pools.count,
        done=0,
    )


def left_over(pools: Pools, classes: tuple[StableGroup, ...]) -> NDArray[np.int64]:
    """Images of the pools that are in no class, and what classes of old have lost; ascending."""
    known = [pools.images, *(group.members for group in pools.classes)]
    taken = np.concatenate([np.empty(0, np.int64), *(group.members for group in classes)])
    return np.setdiff1d(np.concatenate(known), taken)
