"""Symmetry operations of averages, and poses that are equal up to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.alignment.search import angular_coefficients
from isac2.alignment.space import SearchSpace
from isac2.clustering.symmetry import bring_together, symmetry_operations
from isac2.images.filters import tanh_low_pass
from isac2.images.transform import apply_poses
from isac2.poses import PoseArray, compose, identity_poses, make_poses, transform_points

SPACE = SearchSpace(radius=12)
BOX = 32
CORNER = (4.0, 3.0)


def _blobs(*places: tuple[float, float]) -> NDArray[np.float32]:
    """Gaussian blobs at (distance px, angle deg)."""
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    image = np.zeros((BOX, BOX))
    for distance, angle in places:
        bx, by = distance * np.cos(np.radians(angle)), distance * np.sin(np.radians(angle))
        image += np.exp(-((x - bx) ** 2 + (y - by) ** 2) / 5)
    return image.astype(np.float32)


def _operations(image: NDArray[np.float32], noise: float = 0.0, seed: int = 1) -> PoseArray:
    """Symmetry of an average whose halves are the image with independent noise."""
    random = np.random.default_rng(seed)
    halves = image + noise * random.standard_normal((2, BOX, BOX)).astype(np.float32)
    coefficients, orders = angular_coefficients(tanh_low_pass(halves, 0.3, 0.2), SPACE)
    return symmetry_operations(coefficients[:, 0], coefficients[:, 1], orders)


def _star(fold: int, *places: tuple[float, float]) -> NDArray[np.float32]:
    """Blobs, repeated by rotation."""
    turned = [(r, a + 360.0 * k / fold) for r, a in places for k in range(fold)]
    return _blobs(*turned)


PINWHEEL = ((9.0, 10.0), (5.0, 40.0))  # its mirror image turns the other way
ASYMMETRIC = _blobs((9, 0), (5, 100), (8, 150), (10, 230))


@pytest.mark.parametrize(
    ("image", "count"),
    [
        (_star(4, (9.0, 20.0)), 8),
        (_star(4, *PINWHEEL), 4),
        (_star(3, (9.0, 50.0)), 6),
        (_star(3, *PINWHEEL), 3),
        (_star(2, *PINWHEEL), 2),
        (_star(2, (9.0, 0.0), (4.0, 90.0)), 4),
        (_blobs((10, 30), (7, 170), (7, -110)), 2),  # an isosceles triangle: one mirror
        (ASYMMETRIC, 1),
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_the_symmetry_of_an_average_is_found(
    image: NDArray[np.float32], count: int, noise: float
) -> None:
    operations = _operations(image, noise)
    assert len(operations) == count
    assert operations[0] == identity_poses(1)[0]
    moved = apply_poses(np.repeat(image[None], count, axis=0), operations)
    inside = np.hypot(*(np.mgrid[:BOX, :BOX] - BOX // 2)) <= 12
    for again in moved:
        assert np.corrcoef(again[inside], image[inside])[0, 1] > 0.9


def test_operations_are_a_group() -> None:
    operations = _operations(_star(4, (9.0, 20.0)))
    assert operations["mirror"].sum() == 4
    places = {tuple(p) for p in transform_points(operations, CORNER).round(1).tolist()}
    assert len(places) == 8
    every_pair = compose(operations[:, None], operations[None, :]).ravel()
    again = transform_points(every_pair, CORNER)
    distances = np.linalg.norm(again[:, None] - transform_points(operations, CORNER), axis=-1)
    assert distances.min(axis=1).max() < 0.1


@pytest.mark.parametrize("seed", range(20))
def test_noise_has_no_symmetry(seed: int) -> None:
    assert len(_operations(np.zeros((BOX, BOX), np.float32), 1.0, seed)) == 1


def test_halves_that_disagree_have_no_symmetry() -> None:
    halves = np.stack([_star(4, (9.0, 20.0)), -_star(4, (9.0, 20.0))])
    coefficients, orders = angular_coefficients(halves, SPACE)
    assert len(symmetry_operations(coefficients[:, 0], coefficients[:, 1], orders)) == 1


def _runs(operations: PoseArray, seed: int) -> tuple[PoseArray, PoseArray]:
    """Runs that differ by a move of each run, and by an operation of each pose; and the last."""
    random = np.random.default_rng(seed)
    count = 30
    last = make_poses(
        random.uniform(0, 360, count),
        random.uniform(-2, 2, count),
        random.uniform(-2, 2, count),
        random.integers(0, 2, count),
    )
    runs = [last]
    for _ in range(3):
        move = make_poses(random.uniform(0, 360), 0.0, 0.0, random.integers(0, 2))
        chosen = operations[random.integers(0, len(operations), count)]
        runs.insert(0, compose(compose(last, chosen), move))
    return np.stack(runs), last


def _reached(poses: PoseArray) -> Any:
    """Where poses bring two points, which together tell everything of a pose."""
    return transform_points(poses[..., None], [CORNER, (-2.0, 5.0)])


def _distances(poses: PoseArray) -> Any:
    """How far apart each two poses bring the points."""
    return np.linalg.norm(_reached(poses)[:, None] - _reached(poses)[None], axis=-1)


@pytest.mark.parametrize("fold", [2, 4, 7])
@pytest.mark.parametrize("mirrored", [False, True])
def test_runs_that_differ_by_operations_become_equal(fold: int, mirrored: bool) -> None:
    operations = make_poses(np.arange(fold) * 360.0 / fold, 0.0, 0.0, 0)
    if mirrored:
        flip = make_poses(np.full(fold, 25.0), 0.0, 0.0, 1)
        operations = np.concatenate([operations, compose(flip, operations)])
    runs, last = _runs(operations, fold)
    together = bring_together(runs, operations)
    assert together.shape == runs.shape
    for run in together:
        np.testing.assert_allclose(_reached(run), _reached(last), atol=1e-6)


def test_without_symmetry_runs_only_move_as_wholes() -> None:
    runs, _ = _runs(identity_poses(1), 5)
    random = np.random.default_rng(6)
    runs["alpha"] += random.normal(0, 2, runs.shape)
    together = bring_together(runs, identity_poses(1))
    for before, after in zip(runs, together, strict=True):
        # what a run moves by is the same for all of its images
        np.testing.assert_allclose(_distances(before), _distances(after), atol=1e-6)
    assert np.array_equal(together[-1], runs[-1])


def test_an_image_that_is_posed_otherwise_stays_apart() -> None:
    operations = make_poses([0.0, 90.0, 180.0, 270.0], 0.0, 0.0, 0)
    runs, last = _runs(operations, 8)
    runs["alpha"][0, 4] += 45.0  # between two operations
    together = bring_together(runs, operations)
    assert np.linalg.norm(_reached(together[0, 4]) - _reached(last[4]), axis=-1).min() > 2.0
    others = np.arange(30) != 4
    np.testing.assert_allclose(_reached(together[0, others]), _reached(last[others]), atol=1e-6)


def test_poses_that_are_wrong_do_not_pull_the_others() -> None:
    angles = np.zeros(33)
    angles[:12], angles[12:15] = 40.0, 15.0  # the three between would please all by a little
    runs = np.stack([make_poses(angles, 0.0, 0.0, 0), identity_poses(33)])
    together = bring_together(runs, identity_poses(1))
    np.testing.assert_allclose(together[0]["alpha"], angles, atol=1e-6)


def test_the_runs_given_are_left_alone() -> None:
    runs, _ = _runs(identity_poses(1), 9)
    before = runs.copy()
    bring_together(runs, identity_poses(1))
    assert np.array_equal(runs, before)
