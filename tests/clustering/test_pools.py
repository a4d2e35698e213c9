"""Pools: split, clustered apart, and brought together again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from isac2.clustering import parts
from isac2.clustering.merging import (
    confirm_against_all,
    merge_classes,
    recall_to_classes,
    show_the_same_view,
)
from isac2.clustering.parts import test_in_parts
from isac2.clustering.pools import PooledState, isac_in_pools, split_at_random, start_pools
from isac2.clustering.state import StableGroup
from isac2.poses import identity_poses
from isac2.workers import SerialWorkers


def silent(words: str) -> None:
    assert words


def of_pool(group: StableGroup, number: int) -> StableGroup:
    return replace(group, pools=np.array([number]))


@pytest.fixture(scope="module")
def halves(known: Any, parameters: Any) -> list[StableGroup]:
    """Each of the first two shapes as two classes, of pools 0 and 1."""
    return [
        of_pool(known.group(known.rows_of(label)[part::2], parameters), part)
        for label in (0, 1)
        for part in (0, 1)
    ]


def test_pools_hold_every_image_once_and_are_of_one_size() -> None:
    images, ends = split_at_random(np.arange(100, 203), 25, (1, 2))
    assert np.diff([0, *ends]).tolist() == [21, 21, 21, 20, 20]
    assert np.diff([0, *ends]).max() <= 25
    np.testing.assert_array_equal(np.sort(images), np.arange(100, 203))
    state = start_pools(np.arange(100, 203), 25, 1)
    assert all((np.diff(state.pools.pool(k)) > 0).all() for k in range(5))
    assert not np.array_equal(state.pools.pool(0), np.arange(100, 100 + state.pools.ends[0]))


def test_only_classes_of_one_view_and_of_different_pools_are_merged(
    known: Any, parameters: Any, halves: list[StableGroup]
) -> None:
    found = merge_classes(known.images, tuple(halves), parameters, (1,), SerialWorkers(), silent)
    assert len(found) == 2
    for group in found:
        assert len(set(known.label[group.members])) == 1
        assert len(group.members) >= 0.9 * 25
        np.testing.assert_array_equal(group.pools, [0, 1])
    same_pool = tuple(of_pool(group, 0) for group in halves)
    kept = merge_classes(known.images, same_pool, parameters, (1,), SerialWorkers(), silent)
    assert len(kept) == 4


def test_members_say_whether_two_classes_are_the_same(
    known: Any, parameters: Any, halves: list[StableGroup]
) -> None:
    assert show_the_same_view(known.images, halves[0], halves[1], parameters)
    assert not show_the_same_view(known.images, halves[0], halves[2], parameters)


def test_views_that_one_pool_mixed_up_are_told_apart_by_the_other(
    known: Any, parameters: Any
) -> None:
    few = replace(parameters, minimum_group_size=6)
    mixed = np.concatenate([known.rows_of(0)[:14], known.rows_of(1)[:6]])
    classes = (
        of_pool(known.group(mixed, few), 0),
        of_pool(known.group(known.rows_of(0)[14:], few), 1),
        of_pool(known.group(known.rows_of(1)[6:], few), 1),
    )
    found = confirm_against_all(known.images, classes, few, SerialWorkers())
    for group, label in zip(found, (0, 0, 1), strict=True):
        assert set(known.label[group.members]) == {label}
    strict = replace(few, minimum_group_size=10)
    assert len(confirm_against_all(known.images, classes, strict, SerialWorkers())) == 2


def test_what_belongs_is_recalled_and_noise_is_not(known: Any, parameters: Any) -> None:
    classes = tuple(known.group(known.rows_of(label)[5:], parameters) for label in range(4))
    rest = np.setdiff1d(np.arange(150), np.concatenate([group.members for group in classes]))
    found = recall_to_classes(known.images, rest, classes, parameters, (1,), SerialWorkers(), None)
    members = np.concatenate([group.members for group in found])
    assert not np.isin(known.rows_of(-1), members).any()
    for label, group in enumerate(found):
        assert (known.label[group.members] == label).all()
    assert len(members) >= 90


def test_a_group_tested_in_parts_is_the_group(
    known: Any, parameters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = known.rows_of(2)
    start = identity_poses(len(rows))
    whole = test_in_parts(known.images, rows, start, parameters, (1,))
    monkeypatch.setattr(parts, "_LARGEST_PART", 13)
    monkeypatch.setattr(parts, "SAME_VIEW", 0.7)  # parts of so few images are noisy
    parted = test_in_parts(known.images, rows, start, parameters, (1,))
    assert whole is not None
    assert parted is not None
    assert parted.tested == 25
    assert len(np.intersect1d(whole.members, parted.members)) >= 20
    # posed alike: the average of all is no worse than that of one test
    assert parted.average.std() > 0.9 * whole.average.std()
    monkeypatch.setattr(parts, "SAME_VIEW", 1.1)
    assert test_in_parts(known.images, rows, start, parameters, (1,)) is None


def test_shapes_are_found_across_pools_from_any_state_alike(known: Any, parameters: Any) -> None:
    few = replace(parameters, images_per_group=13, minimum_group_size=6)

    def steps(state: PooledState) -> list[PooledState]:
        return list(isac_in_pools(known.images, few, 75, 3, SerialWorkers(), state, silent))

    states = steps(start_pools(np.arange(150), 75, 3))
    last = states[-1].pools
    assert last.finished
    assert last.found == ()
    members = np.concatenate([group.members for group in last.classes])
    assert len(np.unique(members)) == len(members) >= 70
    labels = [known.label[group.members] for group in last.classes]
    assert (
        np.mean(np.concatenate([group == np.bincount(group + 1).argmax() - 1 for group in labels]))
        > 0.9
    )
    assert any(len(group.pools) > 1 for group in last.classes)
    again = steps(states[len(states) // 2])[-1].pools
    for one, two in zip(last.classes, again.classes, strict=True):
        np.testing.assert_array_equal(one.members, two.members)
        np.testing.assert_array_equal(one.poses, two.poses)
