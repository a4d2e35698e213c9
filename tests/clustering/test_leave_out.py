"""What a member owes to itself is taken out exactly, and what does not fit its class stands out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.clustering.leave_out import (
    OwnPart,
    measure_own_part,
    measure_own_parts,
    unexplained_energy,
    well_explained,
)
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.sac import sharp_average
from isac2.clustering.state import StableGroup
from isac2.images.filters import tanh_low_pass
from isac2.images.masks import disc_mask
from isac2.poses import identity_poses
from isac2.workers import SerialWorkers

BOX, RADIUS = 40, 14
PARAMETERS = ClusteringParameters(radius=RADIUS)
INSIDE = disc_mask(BOX, RADIUS)


def _images(count: int, signal: float = 0.3) -> NDArray[np.float32]:
    rng = np.random.default_rng(5)
    view = tanh_low_pass(rng.normal(size=(1, BOX, BOX)).astype(np.float32), 0.1, 0.2)[0]
    view *= signal / view[INSIDE].std()
    images: NDArray[np.float32] = view + rng.normal(size=(count, BOX, BOX)).astype(np.float32)
    return images


def _group(images: NDArray[np.float32], members: NDArray[np.int64]) -> StableGroup:
    poses = identity_poses(len(members))
    return StableGroup(
        members=members,
        poses=poses,
        pixel_errors=np.zeros(len(members)),
        average=sharp_average(images, members, poses, PARAMETERS),
        rms_pixel_error=0.0,
        mirror_consistency=1.0,
        tested=len(members),
    )


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return float(np.corrcoef(first[INSIDE], second[INSIDE])[0, 1])


def test_similarity_to_an_average_without_the_image_by_hand() -> None:
    # two images at right angles: their average has the norm sqrt(1/2), at 45 degrees to either
    part = OwnPart(
        count=np.array([2]),
        strength=np.array([np.sqrt(0.5)]),
        along=np.array([1.0]),
        with_average=np.array([0.5]),
        squared=np.array([1.0]),
    )
    assert part.take_out(np.array([np.sqrt(0.5)]))[0] == pytest.approx(0.0, abs=1e-12)
    alone = replace(part, count=np.array([1]))
    assert alone.take_out(np.array([1.0])).tolist() == [0.0]


@pytest.mark.parametrize("count", [10, 60])
def test_what_is_left_is_the_correlation_with_the_others(count: int) -> None:
    images = _images(count)
    group = _group(images, np.arange(count))
    with_itself = np.array([_correlation(image, group.average) for image in images])
    found = measure_own_part(images, group, PARAMETERS).take_out(with_itself)
    expected = []
    for number in range(count):
        others = np.delete(np.arange(count), number)
        expected.append(_correlation(images[number], _group(images, others).average))
    assert with_itself.mean() - np.mean(expected) > 1 / count
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_parts_of_several_classes_are_one_after_the_other() -> None:
    images = _images(30)
    groups = _group(images, np.arange(10)), _group(images, np.arange(10, 30))
    both = measure_own_parts(images, groups, PARAMETERS, SerialWorkers())
    some = measure_own_part(images, groups[1], PARAMETERS, slice(None, None, 2))
    assert both.count.tolist() == [10] * 10 + [20] * 20
    assert np.array_equal(both.along[10::2], some.along)


def test_a_neighbour_on_top_of_the_particle_is_left_unexplained() -> None:
    images = _images(60)
    images[7, 20:28, 8:22] += 1.5
    images[9] = images[9] * 1.2  # only stronger: little that the average does not show
    energy = unexplained_energy(images, _group(images, np.arange(60)), PARAMETERS)
    assert np.median(energy) == pytest.approx(0.0, abs=1e-12)
    assert energy.argmax() == 7
    (kept,) = well_explained([energy])
    assert not kept[7]
    assert kept.sum() > 54


def test_no_group_and_an_empty_group_are_left_alone() -> None:
    assert well_explained([]) == []
    images = _images(3)
    empty = replace(_group(images, np.arange(3)), members=np.arange(0), poses=identity_poses(0))
    nothing = unexplained_energy(images, empty, PARAMETERS)
    assert nothing.shape == (0,)
    assert [len(part) for part in well_explained([nothing])] == [0]
    assert [len(part) for part in well_explained([nothing, np.zeros(3)])] == [0, 3]
