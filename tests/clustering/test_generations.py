"""The whole method: when a pool is finished, what comes next, and going on from any state."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.clustering.generations import (
    begin_next,
    close_generation,
    isac,
    parameters_now,
    start_state,
)
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.state import IsacState
from isac2.poses import make_poses
from isac2.run.parallel import ThreadWorkers
from isac2.workers import SerialWorkers

WORKERS = SerialWorkers()
SEED = 3


def _members(state: IsacState) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, np.int64), *[g.members for g in state.accounted]])


# --- what ends a pool and a main iteration ------------------------------------------------------


@pytest.fixture(scope="module")
def two_shapes(known: Any) -> NDArray[np.int64]:
    """The 50 images of shapes 0 and 1; with the 50 of noise, what the rules are tried on."""
    return np.sort(np.concatenate([known.rows_of(0), known.rows_of(1)]))


@pytest.fixture(scope="module")
def ready(known: Any, parameters: ClusteringParameters, two_shapes: NDArray[np.int64]) -> IsacState:
    """A generation, converged with all of two shapes in two groups; the other 50 are noise."""
    pool = np.sort(np.concatenate([two_shapes, known.rows_of(-1)]))
    groups = tuple(known.group(known.rows_of(label), parameters) for label in (0, 1))
    state = replace(start_state(pool), sac_round=3, groups=groups, agreement=(0.0, 0.6, 0.62))
    return replace(state, poses=known.poses[pool])


def _close(known: Any, state: IsacState, asked: ClusteringParameters) -> IsacState:
    return close_generation(known.images, state, asked, SEED, WORKERS)


def test_large_groups_are_accounted_for_and_all_others_go_back(
    known: Any, parameters: ClusteringParameters, ready: IsacState
) -> None:
    small = known.group(known.rows_of(0)[:12], parameters)  # not *more* than the smallest size
    state = _close(known, replace(ready, groups=(small, ready.groups[1])), parameters)
    (found,) = state.accounted
    assert np.array_equal(found.members, known.rows_of(1))
    assert (found.main_iteration, found.generation) == (1, 1)
    assert [len(group.members) for group in state.candidates] == [12, 25]
    assert np.array_equal(state.pool, np.sort(np.r_[known.rows_of(0), known.rows_of(-1)]))
    assert state.poses.shape == state.pool.shape
    assert state.generation_done
    assert state.groups == ()
    assert state.agreement == ()


def test_images_kept_only_for_a_reference_make_no_class(
    known: Any, parameters: ClusteringParameters, ready: IsacState
) -> None:
    group = ready.groups[0]
    unstable = replace(group, pixel_errors=np.full(len(group.members), np.inf))
    state = _close(known, replace(ready, groups=(unstable, ready.groups[1])), parameters)
    (found,) = state.accounted
    assert np.array_equal(found.members, known.rows_of(1))


@pytest.mark.parametrize(
    ("images_per_group", "main_done", "finished"),
    [
        # 50 images are left: 1.2 * 50 = 60
        (25, False, False),
        (30, False, False),  # 60 < 2 * 30 is not true
        (31, True, True),  # and 50 < 2 * 31: no new main iteration either
    ],
)
def test_a_pool_is_finished_when_it_is_too_small(
    images_per_group: int,
    main_done: bool,
    finished: bool,
    known: Any,
    parameters: ClusteringParameters,
    ready: IsacState,
) -> None:
    asked = replace(parameters, images_per_group=images_per_group)
    state = _close(known, ready, asked)
    assert len(state.pool) == 50
    assert len(state.accounted) == 2
    assert (state.main_done, state.finished) == (main_done, finished)


@pytest.mark.parametrize(
    ("delta_good", "main_done", "finished"),
    [(0, False, False), (1, False, False), (2, True, True), (3, True, True)],
)
def test_two_new_classes_must_be_more_than_delta_good(
    delta_good: int,
    main_done: bool,
    finished: bool,
    known: Any,
    parameters: ClusteringParameters,
    ready: IsacState,
) -> None:
    state = _close(known, ready, replace(parameters, new_classes_needed=delta_good))
    assert (state.main_done, state.finished) == (main_done, finished)


@pytest.mark.parametrize(
    ("images_per_group", "main_of_classes", "finished"),
    [
        (25, 2, False),  # this main iteration gave classes, and 50 images are enough
        (26, 2, True),  # they are fewer than 2 * 26
        (25, 1, True),  # only an earlier main iteration gave any
    ],
)
def test_a_generation_without_new_classes_ends_the_main_iteration(
    images_per_group: int,
    main_of_classes: int,
    finished: bool,
    known: Any,
    parameters: ClusteringParameters,
    ready: IsacState,
) -> None:
    earlier = tuple(replace(g, main_iteration=main_of_classes) for g in ready.groups)
    noise = known.rows_of(-1)
    state = replace(
        ready,
        main_iteration=2,
        generation=2,
        pool=noise,
        poses=known.poses[noise],
        accounted=earlier,
        groups=(known.group(noise[:7], parameters),),
    )
    closed = _close(known, state, replace(parameters, images_per_group=images_per_group))
    assert closed.main_done
    assert closed.finished is finished
    assert len(closed.accounted) == 2


def test_a_main_iteration_that_left_no_fewer_is_the_last(
    known: Any, parameters: ClusteringParameters, ready: IsacState
) -> None:
    noise = known.rows_of(-1)
    state = replace(
        ready,
        generation=2,
        pool=noise,
        poses=known.poses[noise],
        accounted=ready.groups,
        groups=(known.group(noise[:7], parameters),),
    )
    state = replace(state, accounted=tuple(replace(g, main_iteration=1) for g in state.accounted))
    assert not _close(known, state, parameters).finished
    assert _close(known, replace(state, start_of_main=noise), parameters).finished
    one_more = np.append(noise, known.rows_of(0)[0])  # less than a class's worth
    assert _close(known, replace(state, start_of_main=one_more), parameters).finished


def test_nothing_left_is_the_end(
    known: Any, parameters: ClusteringParameters, ready: IsacState, two_shapes: NDArray[np.int64]
) -> None:
    state = replace(ready, pool=two_shapes, poses=known.poses[two_shapes])
    closed = _close(known, state, parameters)
    assert len(closed.pool) == 0
    assert closed.finished


def test_the_next_generation_starts_afresh_on_the_pool() -> None:
    before = IsacState(
        main_iteration=2,
        generation=3,
        sac_round=4,
        pool=np.array([1, 5]),
        poses=make_poses([10.0, 20.0], 1.0, 0.0, 1),
        generation_done=True,
        start_of_main=np.arange(9),
    )
    after = begin_next(before, ClusteringParameters())
    assert (after.main_iteration, after.generation, after.sac_round) == (2, 4, 0)
    assert after.pool.tolist() == [1, 5]
    assert after.start_of_main.tolist() == list(range(9))
    assert not after.generation_done
    assert not any(after.poses[name].any() for name in ("alpha", "tx", "ty", "mirror"))


def test_a_new_main_iteration_starts_on_all_unaccounted_images() -> None:
    before = IsacState(
        main_iteration=2,
        generation=3,
        sac_round=4,
        pool=np.array([1, 5]),
        poses=make_poses([10.0, 20.0], 1.0, 0.0, 1),
        generation_done=True,
        main_done=True,
        start_of_main=np.arange(9),
    )
    after = begin_next(before, ClusteringParameters())
    assert (after.main_iteration, after.generation, after.sac_round) == (3, 1, 0)
    assert after.start_of_main.tolist() == [1, 5]
    assert not after.main_done


def test_what_earlier_main_iterations_left_is_tested_by_what_is_coarser(
    known: Any, ready: IsacState, parameters: ClusteringParameters
) -> None:
    (first, second), usual = ready.groups, replace(parameters, stability_frequency=0.25)
    here = replace(ready, accounted=(replace(first, main_iteration=1),))
    assert parameters_now(ready, usual) == usual
    assert parameters_now(here, usual) == usual
    later = replace(here, main_iteration=2)
    both = replace(later, accounted=(*here.accounted, replace(second, main_iteration=2)))
    coarser = replace(usual, stability_frequency=0.18)
    assert parameters_now(later, usual) == parameters_now(both, usual) == coarser
    lower = replace(usual, stability_frequency=0.14)
    assert parameters_now(later, lower) == lower


# --- whole runs ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quick(parameters: ClusteringParameters) -> ClusteringParameters:
    """Two rounds a generation, so that one generation does not find everything."""
    return replace(parameters, maximum_rounds=2)


@pytest.fixture(scope="module")
def states(known: Any, quick: ClusteringParameters) -> list[IsacState]:
    """A whole run on all 150 images."""
    return list(isac(known.images, quick, SEED, WORKERS))


def test_every_shape_is_found_and_noise_is_not(known: Any, states: list[IsacState]) -> None:
    classes = states[-1].accounted
    assert {int(np.median(known.label[group.members])) for group in classes} == {0, 1, 2, 3}
    for group in classes:
        label = np.median(known.label[group.members])
        assert np.mean(known.label[group.members] == label) >= 0.95
    members = _members(states[-1])
    assert np.sum(known.label[members] >= 0) >= 90
    assert np.sum(known.label[members] < 0) <= 2


def test_the_run_has_several_generations_and_ends(states: list[IsacState]) -> None:
    assert [state.finished for state in states] == [False] * (len(states) - 1) + [True]
    assert sum(state.generation_done for state in states) >= 2
    for before, after in pairwise(states):
        if after.generation_done:
            assert after.sac_round == before.sac_round
        else:
            assert after.sac_round == (1 if before.generation_done else before.sac_round + 1)
            assert after.sac_round <= 2
            assert len(after.agreement) == after.sac_round


def test_every_image_is_accounted_for_or_not_at_every_state(states: list[IsacState]) -> None:
    for state in states:
        everything = np.concatenate([state.pool, _members(state)])
        assert np.array_equal(np.sort(everything), np.arange(150))
        assert np.all(np.diff(state.pool) > 0)
        assert state.poses.shape == state.pool.shape


def test_the_poses_of_stable_members_are_where_the_next_round_begins(
    states: list[IsacState],
) -> None:
    rounds = [state for state in states if not state.generation_done]
    for state in rounds:
        assert state.groups
        for group in state.groups:
            places = np.searchsorted(state.pool, group.members)
            assert np.array_equal(state.poses[places], group.poses)


def test_images_that_are_not_in_the_pool_are_never_touched(
    known: Any, quick: ClusteringParameters
) -> None:
    usable = np.arange(0, 150, 2)
    images = known.images.copy()
    images[1::2] = np.nan
    *_, last = isac(images, quick, SEED, WORKERS, start_state(usable))
    assert np.array_equal(np.sort(np.concatenate([last.pool, _members(last)])), usable)


def test_a_run_goes_on_from_any_state_to_the_same_end(
    known: Any, quick: ClusteringParameters, states: list[IsacState], exact: Callable[[Any], Any]
) -> None:
    # Each state alone makes the next one, to the bit: so any of them makes the last.
    previous = start_state(np.arange(150))
    for expected in states:
        alone = pickle.loads(pickle.dumps(previous))
        after = next(isac(known.images, quick, SEED, WORKERS, alone))
        assert exact(after) == exact(expected)
        previous = expected
    assert list(isac(known.images, quick, SEED, WORKERS, states[-1])) == []


def test_a_run_stopped_half_way_yields_what_was_missing(
    known: Any, quick: ClusteringParameters, states: list[IsacState], exact: Callable[[Any], Any]
) -> None:
    half = len(states) // 2
    rest = list(isac(known.images, quick, SEED, WORKERS, states[half]))
    assert exact(tuple(rest)) == exact(tuple(states[half + 1 :]))


def test_threads_change_no_bit(
    known: Any, quick: ClusteringParameters, states: list[IsacState], exact: Callable[[Any], Any]
) -> None:
    with ThreadPoolExecutor(3) as executor:
        threaded = list(isac(known.images, quick, SEED, ThreadWorkers(executor, 3)))
    assert exact(tuple(threaded)) == exact(tuple(states))


def test_another_seed_starts_from_other_images(
    known: Any, quick: ClusteringParameters, states: list[IsacState], exact: Callable[[Any], Any]
) -> None:
    other = next(isac(known.images, quick, SEED + 1, WORKERS))
    assert exact(other) != exact(states[0])


def test_progress_is_told(known: Any, quick: ClusteringParameters) -> None:
    told: list[str] = []
    next(isac(known.images, quick, SEED, WORKERS, notify=told.append))
    assert told[0] == "clustering at 0.20/px"
    assert told[-1] == "testing stability"
