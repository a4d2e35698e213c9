"""SAC: the passes, one round on shapes and on nothing, agreement, and when to stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from isac2.alignment.search import search
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.sac import (
    GroupToTest,
    SacRound,
    agreement,
    average_groups,
    equal_size_k_means_pass,
    group_aligner,
    has_converged,
    low_pass_ladder,
    random_references,
    sac_round,
    search_space,
    sharp_average,
    test_group,
    test_groups,
)
from isac2.clustering.state import StableGroup
from isac2.images.filters import tanh_low_pass
from isac2.poses import identity_poses, pixel_error
from isac2.workers import SerialWorkers

WORKERS = SerialWorkers()


def _silent(message: str) -> None:
    pass


def _group(*members: int) -> StableGroup:
    count = len(members)
    return StableGroup(
        members=np.array(members, np.int64),
        poses=identity_poses(count),
        pixel_errors=np.zeros(count),
        average=np.zeros((4, 4), np.float32),
        rms_pixel_error=0.0,
        mirror_consistency=1.0,
        tested=count,
    )


@pytest.mark.parametrize(
    ("lowest", "highest", "passes"),
    [
        (0.2, 0.45, [0.2, 0.25, 0.3, 0.35, 0.4, 0.45]),
        (0.1, 0.3, [0.1, 0.15, 0.2, 0.25, 0.3]),
        (0.3, 0.3, [0.3]),
        (0.2, 0.42, [0.2, 0.25, 0.3, 0.35, 0.4, 0.42]),
        (0.2, 0.22, [0.2, 0.22]),
    ],
)
def test_passes_go_from_the_lowest_to_the_highest_frequency(
    lowest: float, highest: float, passes: list[float]
) -> None:
    asked = ClusteringParameters(lowest_frequency=lowest, highest_frequency=highest)
    assert low_pass_ladder(asked) == passes


def test_random_references_are_distinct_images_of_the_pool() -> None:
    images = np.arange(20, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)
    pool = np.arange(5, 15)
    drawn = random_references(images, pool, 10, np.random.default_rng(1))
    assert sorted(drawn[:, 0, 0].tolist()) == pool.tolist()
    again = random_references(images, pool, 10, np.random.default_rng(1))
    assert np.array_equal(drawn, again)
    other = random_references(images, pool, 10, np.random.default_rng(2))
    assert not np.array_equal(drawn, other)


def test_agreement_by_hand() -> None:
    before = (_group(0, 1, 2, 3), _group(4, 5))
    after = (_group(2, 3, 6), _group(4, 5))
    # common 2 + 2; union 5 + 2
    assert agreement(before, after) == pytest.approx(4 / 7)
    assert agreement(before, before) == 1.0
    assert agreement(before, (before[1], before[0])) == 0.0
    assert agreement((_group(),), (_group(),)) == 0.0


@pytest.mark.parametrize(
    ("agreements", "stops"),
    [
        ((), False),
        ((0.0,), False),
        ((0.0, 0.9), False),  # the first that can be told
        ((0.0, 0.60, 0.64), True),
        ((0.0, 0.60, 0.66), False),  # grows by too much to be the end
        ((0.0, 0.60, 0.60), False),  # has not grown
        ((0.0, 0.64, 0.60), False),
        ((0.0, 0.46, 0.50), False),  # not above a half
        ((0.0, 0.48, 0.51), True),
        ((0.0, 0.1, 0.2, 0.1, 0.2, 0.1), False),
        ((0.0, 0.1, 0.2, 0.1, 0.2, 0.1, 0.2), True),  # as many tests as are allowed
    ],
)
def test_when_sac_stops(agreements: tuple[float, ...], stops: bool) -> None:
    assert has_converged(agreements, 0.5, ClusteringParameters(maximum_rounds=7)) is stops


def test_two_tests_are_enough_when_nearly_all_images_are_stable() -> None:
    parameters = ClusteringParameters(maximum_rounds=7)
    assert has_converged((0.0, 0.3), 0.95, parameters)
    assert not has_converged((0.0, 0.3), 0.94, parameters)
    assert not has_converged((0.0,), 1.0, parameters)


def test_a_single_test_can_be_all_that_is_allowed() -> None:
    assert has_converged((0.0,), 0.5, ClusteringParameters(maximum_rounds=1))


def test_a_pass_makes_equal_groups_and_averages_that_fit_the_poses(
    known: Any, parameters: ClusteringParameters
) -> None:
    pool = np.flatnonzero(known.label >= 0)[:90]  # 4 groups of 22, and 2 images over
    references = random_references(known.images, pool, 4, np.random.default_rng(3))
    assigned, poses, averages = equal_size_k_means_pass(
        known.images, pool, identity_poses(90), references, 0.3, parameters, (3,), WORKERS
    )
    assert sorted(np.bincount(assigned).tolist()) == [22, 22, 23, 23]
    groups = [np.flatnonzero(assigned == k) for k in range(4)]
    expected = average_groups(known.images, pool, poses, groups, WORKERS)
    expected = tanh_low_pass(expected, 0.3, parameters.falloff)
    for average, again in zip(averages, expected, strict=True):
        # averages were moved by less than a pixel: interpolating before or after differs a little
        assert np.corrcoef(average[8:-8, 8:-8].ravel(), again[8:-8, 8:-8].ravel())[0, 1] > 0.98


@pytest.fixture(scope="module")
def one_round(known: Any, parameters: ClusteringParameters) -> SacRound:
    """A round around one noisy image of each shape."""
    pool = np.flatnonzero(known.label >= 0)
    references = known.images[[known.rows_of(label)[0] for label in range(4)]]
    return sac_round(
        known.images, pool, identity_poses(100), references, parameters, (7, 1), WORKERS, _silent
    )


def test_a_round_puts_same_shapes_together_and_keeps_most(known: Any, one_round: SacRound) -> None:
    assert len(one_round.groups) == 4
    for label, group in enumerate(one_round.groups):
        assert group.tested == 25
        assert len(group.members) >= 20
        assert np.mean(known.label[group.members] == label) >= 0.95
        assert np.all(np.diff(group.members) > 0)
        assert group.mirror_consistency >= 0.8
        assert group.pixel_errors.shape == group.poses.shape == group.members.shape
        assert (group.pixel_errors < 0.9).all()
        assert group.rms_pixel_error == pytest.approx(np.sqrt(np.mean(group.pixel_errors**2)))


def test_a_round_recovers_the_shapes(
    known: Any, one_round: SacRound, parameters: ClusteringParameters
) -> None:
    averages = np.stack([group.average for group in one_round.groups])
    space, rows, middle = search_space(parameters), np.arange(4), np.zeros((4, 2))
    table = search(averages, rows, middle, known.shapes, space, WORKERS)
    assert table.argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_averages_are_those_of_the_members_in_their_poses(
    known: Any, one_round: SacRound, parameters: ClusteringParameters
) -> None:
    for group in one_round.groups:
        again = sharp_average(known.images, group.members, group.poses, parameters)
        assert np.array_equal(group.average, again)


def test_the_pool_takes_over_the_poses_of_stable_members(one_round: SacRound) -> None:
    assert one_round.poses.shape == (100,)
    for group in one_round.groups:  # the pool is 0 ... 99
        assert np.array_equal(one_round.poses[group.members], group.poses)


def test_noise_is_not_stable_but_leaves_a_reference(
    known: Any, parameters: ClusteringParameters
) -> None:
    pool = known.rows_of(-1)
    references = known.images[pool[:2]]
    done = sac_round(
        known.images, pool, identity_poses(50), references, parameters, (7, 1), WORKERS, _silent
    )
    for group in done.groups:
        assert group.tested == 25
        assert 5 <= len(group.members) < parameters.minimum_group_size


def _groups_of_shapes(known: Any) -> list[GroupToTest]:
    return [
        GroupToTest(known.rows_of(label), identity_poses(25), (9, label)) for label in (0, 1, 2)
    ]


@pytest.mark.parametrize(
    ("most", "batches"), [(0, [1, 1, 1]), (50, [2, 1]), (74, [2, 1]), (75, [3])]
)
def test_groups_are_tested_in_batches_as_each_alone(
    known: Any,
    parameters: ClusteringParameters,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    batches: list[int],
) -> None:
    monkeypatch.setattr("isac2.alignment.backends.cpu.images_a_batch", most)
    aligner, groups = group_aligner(parameters), _groups_of_shapes(known)
    cut = aligner.batches([25, 25, 25])
    assert [some.stop - some.start for some in cut] == batches
    found = test_groups(aligner, known.images, groups, parameters, WORKERS)
    for group, together in zip(groups, found, strict=True):
        alone = test_group(aligner, known.images, group, parameters)
        for part in ("members", "poses", "pixel_errors", "average"):
            assert np.array_equal(getattr(together, part), getattr(alone, part))


def test_torch_tests_groups_in_batches_and_finds_the_same(
    known: Any, parameters: ClusteringParameters
) -> None:
    pytest.importorskip(
        "torch",
        reason="torch is not installed (pip install 'isac2[gpu]'): its backend is not tried",
    )
    there, groups = replace(parameters, device="torch:cpu"), _groups_of_shapes(known)
    aligner = group_aligner(there)
    assert len(aligner.batches([25, 25, 25])) == 1
    found = test_groups(aligner, known.images, groups, there, WORKERS)
    alone = [test_group(aligner, known.images, group, there) for group in groups]
    here = test_groups(group_aligner(parameters), known.images, groups, parameters, WORKERS)
    # the processor's short cuts in its angles move an average by some hundredths of a pixel
    for others, apart in ((alone, 0.01), (here, 0.15)):
        for group, other in zip(found, others, strict=True):
            assert len(np.setxor1d(group.members, other.members)) <= 2
            both = np.intersect1d(group.members, other.members)
            poses = [one.poses[np.searchsorted(one.members, both)] for one in (group, other)]
            assert np.median(pixel_error(np.stack(poses), parameters.radius)) < apart


def test_a_round_names_its_passes_and_its_test(
    known: Any, parameters: ClusteringParameters
) -> None:
    def passes(interval: int) -> list[str]:
        asked = replace(parameters, stability_interval=interval, stability_alignments=2)
        pool = known.rows_of(0)
        told: list[str] = []
        references = known.images[pool[:1]]
        sac_round(
            known.images,
            pool,
            identity_poses(25),
            references,
            asked,
            (7, 1),
            WORKERS,
            told.append,
        )
        return told

    ladder = ["clustering at 0.20/px", "clustering at 0.25/px", "clustering at 0.30/px"]
    assert passes(1) == [*ladder, "testing stability"]
    # --iter_reali=2: only every second time the groups are tested
    assert passes(2) == [*ladder, *ladder, "testing stability"]
