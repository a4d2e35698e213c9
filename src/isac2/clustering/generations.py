"""The whole method: generations of SAC on what is not yet accounted for, until no more is found.

`isac` is a generator. It hands out its whole state after each step, and goes on from any such state
to the same end; so a run can be stopped and taken up anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.space import Frames
from isac2.clustering.confirm import confirm_members, prove_classes, recall_images
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.sac import agreement, has_converged, random_references, sac_round
from isac2.clustering.settle import settle
from isac2.clustering.state import IsacState, large_enough, unaccounted
from isac2.poses import identity_poses
from isac2.workers import Workers

__all__ = ["isac", "parameters_now", "sac_is_over", "start_state"]

_LATER_CUTOFF = 0.18  # 1/px, of the averages in the tests of what an earlier main iteration left
_POOL_MARGIN = 1.2
_SMALLEST_POOL = 2  # groups' worth of images


def _silent(message: str) -> None:
    """Tell nobody."""


def isac(
    images: NDArray[np.float32],
    parameters: ClusteringParameters,
    seed: int,
    workers: Workers,
    state: IsacState | None = None,
    notify: Callable[[str], None] = _silent,
    frames: Frames | None = None,
) -> Iterator[IsacState]:
    """Find all groups of images that are homogeneous and reproducible.

    Parameters
    ----------
    images : float32 (N, n, n)
        Working images: centred, normalised, particle radius `parameters.radius`. May be mapped.
    parameters : ClusteringParameters
    seed : int
    workers : Workers
        Does the work; the result does not depend on it.
    state : IsacState, optional
        Where to go on from; by default the start, with all images in the pool.
    notify : callable, optional
        Told, in words, what begins.
    frames : Frames, optional
        Edges of the picked images in the working images; particles cut off there join no class.

    Yields
    ------
    IsacState
        After each SAC round and each generation; the last one has `finished` set.
    """
    if state is None:
        state = start_state(np.arange(len(images)))
    while not state.finished:
        now = parameters_now(state, parameters)
        if state.generation_done:
            state = begin_next(state, now)
        elif sac_is_over(state, now):
            state = close_generation(images, state, now, seed, workers, frames)
            yield state
        else:
            state = next_round(images, state, now, seed, workers, notify)
            yield state


def parameters_now(state: IsacState, parameters: ClusteringParameters) -> ClusteringParameters:
    """What earlier main iterations have left beside their classes is tested by what is coarser."""
    if all(group.main_iteration == state.main_iteration for group in state.accounted):
        return parameters
    cutoff = min(_LATER_CUTOFF, parameters.stability_frequency)
    return replace(parameters, stability_frequency=cutoff)


def sac_is_over(state: IsacState, parameters: ClusteringParameters) -> bool:
    """Whether the running generation has had its last round."""
    threshold = parameters.pixel_error_threshold
    stable = sum(int((g.pixel_errors < threshold).sum()) for g in state.groups)
    return has_converged(state.agreement, stable / max(1, len(state.pool)), parameters)


def start_state(pool: NDArray[np.int64]) -> IsacState:
    """State before anything is done: main iteration 1, generation 1, all of `pool` unaccounted."""
    return IsacState(
        main_iteration=1,
        generation=1,
        sac_round=0,
        pool=pool,
        poses=identity_poses(len(pool)),
        start_of_main=pool,
    )


def next_round(
    images: NDArray[np.float32],
    state: IsacState,
    parameters: ClusteringParameters,
    seed: int,
    workers: Workers,
    notify: Callable[[str], None],
) -> IsacState:
    """Run one SAC round of the running generation."""
    name = (seed, state.main_iteration, state.generation, state.sac_round)
    count = max(1, len(state.pool) // parameters.images_per_group)
    if state.sac_round == 0:
        references = random_references(images, state.pool, count, np.random.default_rng(name))
    else:
        references = np.stack([group.average for group in state.groups])
    done = sac_round(images, state.pool, state.poses, references, parameters, name, workers, notify)
    common = agreement(state.groups, done.groups) if state.groups else 0.0
    return replace(
        state,
        sac_round=state.sac_round + 1,
        poses=done.poses,
        groups=done.groups,
        agreement=(*state.agreement, common),
    )


def close_generation(
    images: NDArray[np.float32],
    state: IsacState,
    parameters: ClusteringParameters,
    seed: int,
    workers: Workers,
    frames: Frames | None = None,
) -> IsacState:
    """Account for the groups that stayed large enough; all other images go back to the pool.

    Members that clearly belong to another class go back too; images of the pool that clearly belong
    to one of the classes, and are stable in it, are recalled; and new classes, and those that have
    grown, are proven. At the end of a main iteration that gave classes, all are settled.
    """
    name = (seed, state.main_iteration, state.generation, state.sac_round)
    candidates = tuple(
        replace(group, main_iteration=state.main_iteration, generation=state.generation)
        for group in state.groups
    )
    found = large_enough(candidates, parameters)
    found = confirm_members(images, found, state.accounted, parameters, workers, frames)
    found = large_enough(found, parameters)
    pool, poses = unaccounted(state, state.accounted + found)
    classes = recall_images(
        images, pool, poses, state.accounted + found, parameters, name, workers, frames
    )
    classes = prove_classes(images, classes, state.accounted, parameters, name, workers)
    classes = large_enough(classes, parameters)
    pool, poses = unaccounted(state, classes)
    closed = replace(
        state,
        pool=pool,
        poses=poses,
        accounted=classes,
        candidates=candidates,
        groups=(),
        agreement=(),
        generation_done=True,
    )
    new_classes = len(classes) - len(state.accounted)
    main_done = _pool_is_finished(closed, new_classes, parameters)
    if main_done and _of_this_main_iteration(closed):
        closed = settle(images, closed, parameters, name, workers, frames)
    finished = main_done and not _another_main_iteration(closed, parameters)
    return replace(closed, main_done=main_done, finished=finished)


def begin_next(state: IsacState, parameters: ClusteringParameters) -> IsacState:
    """Start the next generation, or the next main iteration, on all unaccounted images."""
    fresh = replace(
        state,
        sac_round=0,
        poses=identity_poses(len(state.pool)),
        candidates=(),
        generation_done=False,
        main_done=False,
    )
    if state.main_done:
        return replace(
            fresh,
            main_iteration=state.main_iteration + 1,
            generation=1,
            start_of_main=state.pool,
        )
    return replace(fresh, generation=state.generation + 1)


def _pool_is_finished(state: IsacState, new_classes: int, parameters: ClusteringParameters) -> bool:
    """Whether this main iteration has nothing more to look for."""
    too_few = _POOL_MARGIN * len(state.pool) < _SMALLEST_POOL * parameters.images_per_group
    nothing_new = new_classes <= parameters.new_classes_needed
    return too_few or nothing_new


def _another_main_iteration(state: IsacState, parameters: ClusteringParameters) -> bool:
    """Whether enough is left, and this main iteration gave enough, to begin anew."""
    enough = len(state.pool) >= _SMALLEST_POOL * parameters.images_per_group
    # a class's worth fewer than it began with, or some would come and go for ever
    fewer = len(state.pool) + parameters.minimum_group_size < len(state.start_of_main)
    return enough and fewer and _of_this_main_iteration(state) > parameters.new_classes_needed


def _of_this_main_iteration(state: IsacState) -> int:
    """How many classes it gave."""
    return sum(1 for group in state.accounted if group.main_iteration == state.main_iteration)
