"""The search against golden vectors, against a double precision sum, and for any workers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.alignment.backends import cpu
from isac2.alignment.search import (
    align_to_assigned,
    angle_grid,
    reference_coefficients,
    search,
    search_assign_align,
)
from isac2.alignment.space import SearchSpace, centres_from_poses
from isac2.clustering.assign import assign_greedily
from isac2.images.filters import tanh_low_pass
from isac2.run.parallel import open_workers
from isac2.workers import SerialWorkers

RADIUS = 29
Golden = Mapping[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    with np.load(shared / "golden" / "reference_vectors.npz") as file:
        return {name: file[name] for name in file.files if name.startswith("search_")}


def noisy_images(count: int, box: int, seed: int) -> NDArray[np.float32]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, box, box)).astype(np.float32)


def test_similarities_are_proportional_to_the_established_ones(golden: Golden) -> None:
    images, references = golden["search_images"], golden["search_references"]
    rows, centres = np.arange(len(images)), np.zeros((len(images), 2))
    found = search(images, rows, centres, references, SearchSpace(RADIUS), SerialWorkers())
    ratio = found / golden["search_similarity"]
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=0.0101)


def test_best_poses_are_the_established_ones(golden: Golden) -> None:
    images, references = golden["search_images"], golden["search_references"]
    rows, centres = np.arange(len(images)), np.zeros((len(images), 2))
    expected = golden["search_pose"]
    same = np.zeros(expected.shape[:2], bool)
    for k in range(len(references)):
        given = np.full(len(images), k)
        poses = align_to_assigned(
            images, rows, centres, references, given, SearchSpace(RADIUS), SerialWorkers()
        ).poses
        apart = (poses["alpha"] - expected[:, k, 0] + 180) % 360 - 180
        alpha, tx, ty, _ = expected[:, k].T
        theirs = poses.copy()
        theirs["alpha"], theirs["tx"], theirs["ty"] = alpha, tx, ty
        shifts = np.rint(centres_from_poses(poses)), np.rint(centres_from_poses(theirs))
        same[:, k] = (
            (np.abs(apart) < 1.4)
            & (poses["mirror"] == expected[:, k, 3])
            & (shifts[0] == shifts[1]).all(axis=1)
        )
    true = golden["search_truth"][:, 0].astype(int)
    assert same[rows, true].all()
    # of images with references that are not theirs, near ties go by the interpolation
    assert same.mean() >= 0.93


def test_float32_is_as_good_as_float64() -> None:
    """The correlation at the pose that was found, summed again in double precision."""
    images = noisy_images(5, 40, 1)
    references = tanh_low_pass(noisy_images(2, 40, 2), 0.3, 0.2)
    space = SearchSpace(15)
    geometry = space.geometry()
    table = geometry.sampling_table(space.shifts())
    bank = cpu.ring_bank(images, np.arange(5), np.zeros((5, 2)), geometry, table)
    weighted = reference_coefficients(references, geometry)
    angles = angle_grid(geometry.n_orders)
    owners = np.zeros(5, np.int64)  # one kind of images, compared with both
    peaks = cpu.find_peaks(bank, owners, weighted, (angles, None), table)
    order, weights = geometry.coefficient_order, geometry.weights[geometry.coefficient_ring]
    alone = geometry.sampling_table(np.zeros((1, 2)))
    given = cpu.ring_bank(references, np.arange(2), np.zeros((2, 2)), geometry, alone, False)
    for b, k in np.ndindex(5, 2):
        image = bank.coefficients(int(peaks.shift[b, k]))[:, b].astype(complex)
        reference = given.coefficients()[:, k].astype(complex).conj() * weights
        if peaks.mirror[b, k]:  # in the mirror (x to -x) of the rotated image
            reference = reference.conj() * np.where(order % 2 == 1, -1.0, 1.0)
        turned = image * reference * np.exp(1j * order * peaks.angle[b, k])
        exact = (turned.real * np.where(order == 0, 1.0, 2.0)).sum()
        assert peaks.value[b, k] == pytest.approx(exact, rel=1e-5)


def test_threads_do_not_change_a_bit() -> None:
    images = noisy_images(150, 40, 3)
    references = tanh_low_pass(noisy_images(7, 40, 4), 0.3, 0.2)
    rows = np.arange(150)
    centres = np.random.default_rng(5).uniform(-2, 2, (150, 2))
    space = SearchSpace(15)
    given = rows % 7
    alone = search(images, rows, centres, references, space, SerialWorkers(), 0.4)
    aligned = align_to_assigned(
        images, rows, centres, references, given, space, SerialWorkers(), 0.4
    )
    with open_workers(3) as workers:
        together = search(images, rows, centres, references, space, workers, 0.4)
        same = align_to_assigned(images, rows, centres, references, given, space, workers, 0.4)
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(same.poses, aligned.poses)
    np.testing.assert_array_equal(same.similarity, aligned.similarity)


def test_the_short_cut_finds_what_the_exhaustive_search_finds() -> None:
    """Noisy images, low-passed references: nearly all pairs to the last bit, none far off."""
    images = noisy_images(96, 64, 6)
    references = tanh_low_pass(images[:12], 0.3, 0.2)
    rows, centres, space = np.arange(96), np.zeros((96, 2)), SearchSpace(24)
    tables = [
        search(images, rows, centres, references, space, SerialWorkers(), 0.375, exhaustive)
        for exhaustive in (False, True)
    ]
    lost = 1 - tables[0] / tables[1]
    assert lost.min() > -1e-5  # it never finds more
    assert (lost < 1e-5).mean() > 0.98
    assert lost.max() < 0.15
    np.testing.assert_array_equal(tables[0].argmax(axis=1), tables[1].argmax(axis=1))


def equal_groups(similarity: NDArray[np.float32]) -> NDArray[np.int64]:
    return assign_greedily(similarity, 16)


def test_search_assignment_and_alignment_in_one_are_the_three_in_turn() -> None:
    images = noisy_images(100, 40, 7)
    references = tanh_low_pass(noisy_images(6, 40, 8), 0.3, 0.2)
    rows, space = np.arange(100), SearchSpace(15)
    centres = np.random.default_rng(9).uniform(-2, 2, (100, 2))
    similarity = search(images, rows, centres, references, space, SerialWorkers(), 0.4)
    given = equal_groups(similarity)
    aligned = align_to_assigned(
        images, rows, centres, references, given, space, SerialWorkers(), 0.4
    )
    with open_workers(2) as workers:
        assigned, found = search_assign_align(
            images,
            rows,
            centres,
            references,
            lambda t: assign_greedily(t, 16),
            space,
            workers,
            0.4,
        )
    assert (similarity.argmax(axis=1) != given).any()  # some images do not get what they like best
    np.testing.assert_array_equal(assigned, given)
    np.testing.assert_array_equal(found.poses, aligned.poses)
    np.testing.assert_array_equal(found.similarity, aligned.similarity)


def test_images_that_are_no_numbers_get_a_place_that_exists() -> None:
    images = noisy_images(3, 40, 10)
    images[1, 20, 20] = np.nan
    references = tanh_low_pass(noisy_images(2, 40, 11), 0.3, 0.2)
    space, rows = SearchSpace(15), np.arange(3)
    geometry, table = space.geometry(0.4), space.sampling_table(0.4)
    bank = cpu.ring_bank(images, rows, np.zeros((3, 2)), geometry, table)
    own, kinds = cpu.own_references(
        reference_coefficients(references, geometry), np.zeros((3, 1), np.int64)
    )
    peaks = cpu.find_peaks(bank, kinds, own, (angle_grid(geometry.n_orders), None), table)
    assert np.isfinite(peaks.value[[0, 2]]).all()
    assert peaks.shift[1, 0] == 0
    assert peaks.mirror[1, 0] == 0


def test_blocks_that_are_not_full_are_the_same_images() -> None:
    images, space = noisy_images(21, 40, 12), SearchSpace(15)
    geometry, table = space.geometry(), space.sampling_table()
    centres = np.random.default_rng(13).uniform(-2, 2, (21, 2))
    whole = cpu.ring_bank(images, np.arange(21), centres, geometry, table)
    for row in (0, 15, 16, 20):
        alone = cpu.ring_bank(images, np.array([row]), centres[[row]], geometry, table)
        np.testing.assert_array_equal(alone.values[0], whole.values[row])
    flat = cpu.ring_bank(images * 0 + 3, np.arange(2), centres[:2] * 0, geometry, table)
    assert (flat.values == 0).all()
