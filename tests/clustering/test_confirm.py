"""Confirming members against all classes, and recalling images that were lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from isac2.alignment.space import Frames
from isac2.clustering.comparison import ClassComparison, compare_with_classes
from isac2.clustering.confirm import (
    belongs_elsewhere,
    clearly_belongs,
    confirm_members,
    prove_classes,
    recall_images,
)
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.sac import class_aligner, sharp_average
from isac2.clustering.state import StableGroup
from isac2.images.filters import tanh_low_pass
from isac2.images.transform import apply_poses
from isac2.poses import identity_poses, invert
from isac2.workers import SerialWorkers

WORKERS = SerialWorkers()


def _comparison(similarity: list[list[float]], against: float, alike: float) -> ClassComparison:
    """Images of the last of two classes whose averages correlate by `alike`; noise 0.1."""
    count = len(similarity)
    likeness = np.array([[1.0, alike], [alike, 1.0]])
    return ClassComparison(
        index=np.tile([1, 0], (count, 1)),
        similarity=np.array(similarity)[:, ::-1],
        against=np.full((count, 2), against),
        likeness=np.tile(likeness, (count, 1, 1)),
        same_view=np.tile(likeness > 0.9, (count, 1, 1)),
        noise=0.1,
    )


def test_leads_by_hand() -> None:
    # of the own class, 0, and of the other; the second image likes the other better
    own = _comparison([[0.9, 0.5], [0.4, 0.8]], against=-0.1, alike=0.5).own()
    # noise of the difference: 0.1 sqrt(2 (1 - 0.5)) = 0.1
    np.testing.assert_allclose(own.lead, [4, -4], atol=1e-5)
    # over chance: 0.1 sqrt(2)
    np.testing.assert_allclose(own.over_chance, np.array([10, 5]) / np.sqrt(2), rtol=1e-5)
    assert own.number.tolist() == [0, 0]
    assert belongs_elsewhere(own).tolist() == [False, True]
    assert clearly_belongs(own).tolist() == [True, False]


def test_the_best_class_by_hand() -> None:
    comparison = _comparison([[0.9, 0.5], [0.4, 0.8]], against=-0.1, alike=0.5)
    best = comparison.best()
    assert best.number.tolist() == [0, 1]
    np.testing.assert_allclose(best.lead, [4, 4], atol=1e-5)
    np.testing.assert_allclose(best.over_chance, np.array([10, 9]) / np.sqrt(2), rtol=1e-5)
    assert comparison.best_is_another_view().tolist() == [False, True]
    assert comparison.first(1).best().number.tolist() == [0]
    twins = _comparison([[0.4, 0.8]], against=-0.1, alike=0.95)
    assert twins.best().number.tolist() == [1]
    assert twins.best_is_another_view().tolist() == [False]


def test_what_is_no_clearer_than_chance_belongs_to_nothing() -> None:
    own = _comparison([[0.4, -0.4]], against=0.1, alike=0.0).own()
    # 0.3 ahead of chance is 2.1 standard deviations
    assert belongs_elsewhere(own).tolist() == [True]
    assert clearly_belongs(own).tolist() == [False]


def test_an_unclear_lead_neither_expels_nor_recalls() -> None:
    own = _comparison([[0.8, 0.9], [0.9, 0.8]], against=0.1, alike=0.5).own()
    assert belongs_elsewhere(own).tolist() == [False, False]
    assert clearly_belongs(own).tolist() == [False, False]


def test_classes_of_the_same_view_are_no_rivals() -> None:
    own = _comparison([[0.90, 0.89]], against=0.1, alike=0.95).own()
    assert clearly_belongs(own).tolist() == [True]


def test_a_twin_is_no_rival_to_a_member_either() -> None:
    own = _comparison([[0.80, 0.89]], against=0.1, alike=0.95).own()
    assert np.isinf(own.lead).all()
    assert belongs_elsewhere(own).tolist() == [False]


def _class_of(average: Any, count: int) -> StableGroup:
    """A class with this average, of `count` images."""
    rows = np.arange(count)
    return StableGroup(rows, identity_poses(count), np.zeros(count), average, 0.0, 1.0, count)


def _compared(known: Any, averages: Any, count: int, parameters: Any) -> ClassComparison:
    classes = tuple(_class_of(average, count) for average in averages)
    return compare_with_classes(
        known.images, np.arange(8), np.zeros((8, 2)), classes, parameters, WORKERS
    )


def test_the_comparison_does_not_depend_on_an_average_s_contrast(
    known: Any, parameters: ClusteringParameters
) -> None:
    shapes = known.shapes[:2]
    first = _compared(known, shapes, 1000, parameters)
    second = _compared(known, [5 * shapes[0] + 2, shapes[1]], 1000, parameters)
    assert first.similarity.shape == (8, 3)
    assert np.isneginf(first.similarity[:, -1]).all()  # these have no class
    np.testing.assert_array_equal(first.index, second.index)
    np.testing.assert_allclose(first.similarity, second.similarity, atol=1e-3)
    np.testing.assert_allclose(first.likeness[:, 0, 0], 1.0, atol=0.1)
    assert (first.likeness[:, 0, 1] < 0.9).all()
    assert first.noise == pytest.approx(1 / np.sqrt(np.pi * 12**2))


def test_averages_of_few_images_are_one_view_though_their_noise_differs(
    known: Any, parameters: ClusteringParameters
) -> None:
    count, generator = 25, np.random.default_rng(3)
    noise = generator.normal(size=(3, *known.shapes.shape[1:])).astype(np.float32) / np.sqrt(count)
    shapes = 0.4 * np.stack([known.shapes[0], known.shapes[0], known.shapes[1]])
    averages = tanh_low_pass(
        (shapes + noise).astype(np.float32), parameters.highest_frequency, parameters.falloff
    )
    compared = _compared(known, averages, count, parameters)
    first, view = compared.index[:, 0], {0: 0, 1: 0, 2: 1}
    for image, row in enumerate(compared.index[:, :3]):
        alike = [view[first[image]] == view[other] for other in row]
        assert compared.same_view[image, 0, :3].tolist() == alike
        twin = compared.likeness[image, 0, :3][row == 1 - first[image]]
        assert (twin < 0.9).all()  # told from the numbers of images only


def test_fewer_input_pixels_mean_more_noise(known: Any, parameters: ClusteringParameters) -> None:
    asked = replace(parameters, noise_radius=6.0)
    compared = _compared(known, known.shapes, 1000, asked)
    assert compared.noise == pytest.approx(1 / np.sqrt(np.pi * 6**2))


@pytest.fixture(scope="module")
def classes(known: Any, parameters: ClusteringParameters) -> tuple[StableGroup, ...]:
    """One class a shape, with all of its images."""
    return tuple(known.group(known.rows_of(label), parameters) for label in range(4))


def test_right_members_stay(
    known: Any, parameters: ClusteringParameters, classes: tuple[StableGroup, ...]
) -> None:
    confirmed = confirm_members(known.images, classes, (), parameters, WORKERS)
    for before, after in zip(classes, confirmed, strict=True):
        assert set(after.members) <= set(before.members)
        assert len(after.members) >= 24


@pytest.mark.parametrize("as_earlier_class", [False, True])
def test_a_wrong_member_goes(
    as_earlier_class: bool,
    known: Any,
    parameters: ClusteringParameters,
    classes: tuple[StableGroup, ...],
) -> None:
    wrong = [known.rows_of(1)[0], known.rows_of(-1)[0]]  # of another shape, and of nothing
    planted = known.group(np.r_[known.rows_of(0), wrong], parameters)
    planted = replace(planted, pixel_errors=np.linspace(0.1, 0.6, 27))
    others = classes[1:]
    groups, earlier = ((planted,), others) if as_earlier_class else ((planted, *others), ())
    confirmed = confirm_members(known.images, groups, earlier, parameters, WORKERS)
    assert len(confirmed) == len(groups)
    after = confirmed[0]
    assert not set(wrong) & set(after.members)
    assert len(after.members) >= 24
    # what is said of the group is said of those who stayed
    stayed = np.isin(planted.members, after.members)
    assert np.array_equal(after.pixel_errors, planted.pixel_errors[stayed])
    assert after.rms_pixel_error == pytest.approx(np.sqrt(np.mean(after.pixel_errors**2)))
    assert np.array_equal(after.poses, planted.poses[stayed])
    again = sharp_average(known.images, after.members, after.poses, parameters)
    assert np.array_equal(after.average, again)


def _frames_that_cut(row: int) -> Frames:
    """Edges far from all particles but one, of which the disc's right half is outside."""
    origins = np.zeros((150, 2))
    origins[row, 0] = -20.0
    return Frames(origins, half_width=20.0)


def test_a_member_that_is_cut_off_goes(
    known: Any, parameters: ClusteringParameters, classes: tuple[StableGroup, ...]
) -> None:
    whole = confirm_members(known.images, classes, (), parameters, WORKERS)
    row = int(whole[2].members[4])
    frames = _frames_that_cut(row)
    confirmed = confirm_members(known.images, classes, (), parameters, WORKERS, frames)
    assert np.array_equal(confirmed[2].members, np.setdiff1d(whole[2].members, row))
    for label in (0, 1, 3):
        assert np.array_equal(confirmed[label].members, whole[label].members)


def test_a_member_that_shows_more_than_its_class_goes(
    known: Any, parameters: ClusteringParameters
) -> None:
    rows = known.rows_of(0)
    images = known.images.copy()
    images[rows[5], 14:22, 8:18] += 1.5  # a neighbour beside and on top of it
    group = replace(known, images=images).group(rows, parameters)
    (after,) = confirm_members(images, (group,), (), parameters, WORKERS)
    assert rows[5] not in after.members
    assert len(after.members) >= 21


def test_no_groups_are_no_work(known: Any, parameters: ClusteringParameters) -> None:
    assert confirm_members(known.images, (), (), parameters, WORKERS) == ()


def test_a_lost_member_comes_back_and_noise_does_not(
    known: Any, parameters: ClusteringParameters, classes: tuple[StableGroup, ...]
) -> None:
    lost = known.rows_of(2)[[3, 11]]
    fewer = known.group(np.setdiff1d(known.rows_of(2), lost), parameters)
    fewer = replace(fewer, main_iteration=4, generation=2)
    before = (*classes[:2], fewer, classes[3])
    pool = np.sort(np.r_[lost, known.rows_of(-1)])
    after = recall_images(
        known.images, pool, identity_poses(len(pool)), before, parameters, (1, 2), WORKERS
    )
    assert np.array_equal(after[2].members, known.rows_of(2))
    assert (after[2].main_iteration, after[2].generation) == (4, 2)
    assert after[2].poses.shape == (25,)
    assert (after[2].pixel_errors < parameters.pixel_error_threshold).all()
    for label in (0, 1, 3):
        assert np.array_equal(after[label].members, before[label].members)


def test_what_is_cut_off_is_not_recalled(known: Any, parameters: ClusteringParameters) -> None:
    lost = known.rows_of(2)[[3, 11]]
    fewer = known.group(np.setdiff1d(known.rows_of(2), lost), parameters)
    frames = _frames_that_cut(int(lost[0]))
    (after,) = recall_images(
        known.images, lost, identity_poses(2), (fewer,), parameters, (1, 2), WORKERS, frames
    )
    assert np.array_equal(after.members, np.setdiff1d(known.rows_of(2), lost[0]))


def test_a_class_grows_to_two_groups_worth_of_images(
    known: Any, parameters: ClusteringParameters
) -> None:
    lost = known.rows_of(2)[::5]
    fewer = known.group(np.setdiff1d(known.rows_of(2), lost), parameters)
    asked = replace(parameters, images_per_group=11)
    (after,) = recall_images(
        known.images, lost, identity_poses(5), (fewer,), asked, (1, 2), WORKERS
    )
    assert len(after.members) == 22
    assert set(fewer.members) < set(after.members) < set(known.rows_of(2))


def test_images_of_a_shape_that_has_no_class_stay_out(
    known: Any, parameters: ClusteringParameters, classes: tuple[StableGroup, ...]
) -> None:
    pool = known.rows_of(3)
    after = recall_images(
        known.images, pool, identity_poses(25), classes[:3], parameters, (1, 2), WORKERS
    )
    recalled = np.isin(pool, np.concatenate([group.members for group in after]))
    assert recalled.sum() <= 1


def test_nothing_to_recall_changes_nothing(
    known: Any, parameters: ClusteringParameters, classes: tuple[StableGroup, ...]
) -> None:
    nobody, poses = np.empty(0, np.int64), identity_poses(0)
    seed = (1, 2)
    assert recall_images(known.images, nobody, poses, classes, parameters, seed, WORKERS) is classes
    pool, poses = known.rows_of(-1), identity_poses(50)
    assert recall_images(known.images, pool, poses, (), parameters, seed, WORKERS) == ()


def test_what_belongs_nowhere_does_not_stand_being_confirmed_and_proven(
    known: Any, parameters: ClusteringParameters
) -> None:
    noise = known.rows_of(-1)[:15]
    good = known.group(known.rows_of(1), parameters)
    mixed = known.group(np.r_[known.rows_of(0), noise], parameters)
    groups = confirm_members(known.images, (good, mixed), (), parameters, WORKERS)
    only_noise = known.group(known.rows_of(-1)[15:40], parameters)
    classes = prove_classes(known.images, (*groups, only_noise), (), parameters, (4,), WORKERS)
    assert len(classes[0].members) >= 23
    assert len(np.intersect1d(classes[1].members, noise)) <= 1
    assert len(classes[2].members) < 12


def test_the_less_a_class_is_shown_the_more_weight_it_is_proven_with(
    known: Any, parameters: ClusteringParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def noted(asked: ClusteringParameters, own_weight: float) -> Any:
        used.append(own_weight)
        return class_aligner(asked, own_weight)

    monkeypatch.setattr("isac2.clustering.confirm.class_aligner", noted)
    clear, noisy, noise = known.rows_of(1), known.rows_of(2), known.rows_of(-1)[:25]
    images = known.images.copy()
    drawn = apply_poses(known.shapes[known.label[clear]], invert(known.poses[clear]))
    images[clear] = drawn + 0.3 * known.images[noise]
    groups = tuple(
        replace(known, images=images).group(r, parameters) for r in (clear, noisy, noise)
    )
    together = prove_classes(images, groups, (), parameters, (4,), WORKERS)
    assert used == [0.3, 0.6, 1.0]
    assert len(together[0].members) == 25
    alone = prove_classes(images, groups[:2], (), parameters, (4,), WORKERS)
    assert np.array_equal(together[1].members, alone[1].members)


def test_a_proven_class_stays_what_it_was_or_grows(
    known: Any, parameters: ClusteringParameters
) -> None:
    proven = known.group(known.rows_of(1), parameters)
    worse = known.group(np.r_[known.rows_of(0)[:5], known.rows_of(-1)[:25]], parameters)
    before = replace(worse, members=worse.members[:20], poses=worse.poses[:20])
    classes = prove_classes(
        known.images, (proven, worse), (proven, before), parameters, (5,), WORKERS
    )
    assert classes[0] is proven
    assert classes[1] is before
