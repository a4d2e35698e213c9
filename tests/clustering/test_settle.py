"""All images and all classes weighed once more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isac2.clustering import confirm
from isac2.clustering.comparison import Standing
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.settle import as_similar_as_members, settle
from isac2.clustering.state import IsacState, StableGroup
from isac2.workers import SerialWorkers

WORKERS, SEED = SerialWorkers(), 7


def _state(known: Any, pool: Any, *classes: StableGroup) -> IsacState:
    """After a main iteration that left `pool` in no class."""
    pool = np.sort(np.asarray(pool, np.int64))
    return IsacState(1, 1, 2, pool, known.poses[pool], accounted=classes)


def _settled(known: Any, state: IsacState, parameters: ClusteringParameters) -> IsacState:
    settled = settle(known.images, state, parameters, (SEED, 1), WORKERS)
    everything = np.sort(np.concatenate([settled.pool, _members(settled)]))
    before = np.sort(np.concatenate([state.pool, _members(state)]))
    np.testing.assert_array_equal(everything, before)  # nobody twice, nobody lost
    assert settled.poses.shape == settled.pool.shape
    return settled


def _members(state: IsacState) -> Any:
    return np.concatenate([np.empty(0, np.int64), *(group.members for group in state.accounted)])


def test_what_is_far_less_similar_than_members_is_told_by_hand() -> None:
    # leads of the members: 7, 8, 9; spread 1.48; least 8 - 4 * 1.48 = 2.07
    def standing(*over_chance: float) -> Standing:
        count = len(over_chance)
        nothing = np.zeros(count)
        return Standing(np.zeros(count, np.int64), nothing, nothing, np.array(over_chance))

    images, members = standing(7, 8, 9, 2.2, 1.9), standing(7, 8, 9)
    assert as_similar_as_members(images, members).tolist() == [True] * 4 + [False]


def test_members_and_images_of_the_pool_come_to_their_own_class(
    known: Any, parameters: ClusteringParameters
) -> None:
    wrong, lost = known.rows_of(1)[:2], known.rows_of(2)[:1]
    classes = (
        known.group(np.r_[known.rows_of(0), wrong], parameters),
        known.group(known.rows_of(1)[2:], parameters),
        known.group(known.rows_of(2)[1:], parameters),
        known.group(known.rows_of(3), parameters),
    )
    state = _state(known, np.r_[lost, known.rows_of(-1)], *classes)
    after = _settled(known, state, parameters).accounted
    assert not np.isin(wrong, after[0].members).any()
    assert np.isin(wrong, after[1].members).all()
    assert np.isin(lost, after[2].members).all()
    assert np.isin(known.rows_of(-1), _members(_state(known, [], *after))).sum() <= 1


def test_a_class_that_becomes_too_small_is_dissolved(
    known: Any, parameters: ClusteringParameters
) -> None:
    true = known.group(known.rows_of(1)[:14], parameters)
    mixed = known.group(np.r_[known.rows_of(0)[:8], known.rows_of(1)[14:]], parameters)
    (left,) = _settled(known, _state(known, [], true, mixed), parameters).accounted
    assert (known.label[left.members] == 1).all()
    assert len(left.members) > 14


def test_no_classes_are_left_alone(known: Any, parameters: ClusteringParameters) -> None:
    state = _settled(known, _state(known, known.rows_of(0)), parameters)
    assert state.accounted == ()


def test_an_image_is_tested_with_a_class_again_in_the_last_turn_only(
    known: Any, parameters: ClusteringParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def refuse_all(group: StableGroup, tested: StableGroup, *_: Any) -> StableGroup:
        new = np.setdiff1d(tested.members, group.members)
        asked.extend((int(group.members[-1]), int(row)) for row in new)
        return group

    monkeypatch.setattr(confirm, "_grown", refuse_all)
    lost = known.rows_of(0)[:3]
    classes = (
        known.group(known.rows_of(0)[3:], parameters),
        known.group(known.rows_of(1), parameters),
    )
    state = _settled(known, _state(known, lost, *classes), parameters)
    assert sorted(row for _, row in asked) == sorted([*lost, *lost])
    assert state.pool.tolist() == lost.tolist()
