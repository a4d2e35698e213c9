"""Reference-free alignment: it finds poses up to one rigid transform of all."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.alignment.reference_free import ReferenceFreeAligner, ReferenceFreeSchedule
from isac2.alignment.space import SearchSpace, centres_from_poses
from isac2.images.filters import tanh_low_pass
from isac2.images.transform import apply_poses
from isac2.poses import PoseArray, compose, invert, make_poses

BOX, RADIUS, COUNT = 44, 16, 24


def particle() -> NDArray[np.float32]:
    """A smooth image without any symmetry, off the middle by nothing."""
    noise = np.random.default_rng(3).normal(size=(1, BOX, BOX)).astype(np.float32)
    offset = np.arange(BOX) - BOX // 2
    envelope = np.exp(-((offset[:, None] ** 2 + offset**2) / (0.5 * RADIUS**2)))
    image = tanh_low_pass(noise, 0.15, 0.2)[0] * envelope
    scaled: NDArray[np.float32] = (image / image.std()).astype(np.float32)
    return scaled


def views(poses: PoseArray, noise: float) -> NDArray[np.float32]:
    """The particle seen so that `poses` would bring every image back, with noise."""
    images = apply_poses(np.repeat(particle()[None], len(poses), axis=0), invert(poses))
    generator = np.random.default_rng(4)
    return images + noise * generator.normal(size=images.shape).astype(np.float32)


def true_poses() -> PoseArray:
    generator = np.random.default_rng(5)
    alpha = generator.uniform(0, 360, COUNT)
    shift = generator.uniform(-1, 1, (COUNT, 2))
    return make_poses(alpha, shift[:, 0], shift[:, 1], generator.integers(0, 2, COUNT))


@pytest.fixture(scope="module")
def aligned() -> PoseArray:
    images = views(true_poses(), 1.0)
    schedule = ReferenceFreeSchedule(30, 0.4, 0.2, 90.0)
    aligner = ReferenceFreeAligner(SearchSpace(RADIUS), schedule)
    generators = [np.random.default_rng([7, run]) for run in range(2)]
    found: PoseArray = aligner.align(images, np.arange(COUNT), np.zeros((COUNT, 2)), generators)
    return found


@pytest.mark.parametrize("run", [0, 1])
def test_poses_are_found_up_to_one_rigid_transform(aligned: PoseArray, run: int) -> None:
    between = compose(invert(aligned[run]), true_poses())
    turn = np.deg2rad(between["alpha"])
    assert len(np.unique(between["mirror"])) == 1
    mean = np.angle(np.exp(1j * turn).mean())
    assert np.abs(np.angle(np.exp(1j * (turn - mean)))).max() < np.deg2rad(5)
    for axis in ("tx", "ty"):
        assert between[axis].std() < 0.5


def test_runs_start_apart(aligned: PoseArray) -> None:
    assert not np.array_equal(aligned[0], aligned[1])


def test_moves_stay_in_the_range(aligned: PoseArray) -> None:
    assert np.abs(centres_from_poses(aligned)).max() <= 1.0 + 1e-9


def test_the_schedule_rises_and_shakes() -> None:
    schedule = ReferenceFreeSchedule(30, 0.4, 0.2, 90.0)
    assert schedule.cutoff(0) == pytest.approx(0.1)
    assert schedule.cutoff(29) == pytest.approx(0.4)
    assert [n + 1 for n in range(30) if schedule.is_shaken(n)] == [4, 8, 12, 16, 20]
