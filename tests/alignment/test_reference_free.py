"""Reference-free alignment: it finds poses up to one rigid transform of all."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.alignment.backends import cpu
from isac2.alignment.reference_free import (
    Group,
    ReferenceFreeAligner,
    ReferenceFreeSchedule,
)
from isac2.alignment.search import discrete_angles, reference_coefficients
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


def test_one_round_aligns_too() -> None:
    found = ReferenceFreeAligner(
        SearchSpace(RADIUS), ReferenceFreeSchedule(1, 0.4, 0.2, 90.0)
    ).align(
        views(true_poses(), 1.0), np.arange(COUNT), np.zeros((COUNT, 2)), [np.random.default_rng(1)]
    )
    assert np.abs(centres_from_poses(found)).max() > 0


def test_a_shaken_round_finds_multiples_of_its_angle_only() -> None:
    space = SearchSpace(RADIUS)
    geometry, table = space.geometry(0.3), space.sampling_table(0.3)
    images = views(true_poses(), 0.5)
    bank = cpu.ring_bank(images, np.arange(COUNT), np.zeros((COUNT, 2)), geometry, table)
    reference = reference_coefficients(particle()[None], geometry)
    angles = discrete_angles(30.0, geometry.n_orders), None
    found = cpu.find_peaks(bank, np.zeros(COUNT, np.int64), reference, angles, table, refine=False)
    turns = np.rad2deg(found.angle[:, 0]) / 30.0
    np.testing.assert_allclose(turns, turns.round(), atol=1e-9)
    assert len(np.unique(turns.round())) > 3


@pytest.mark.parametrize("own_weight", [0.0, 1.0])
def test_an_image_without_weight_does_not_see_where_it_began(own_weight: float) -> None:
    """Image 0 of four begins at many angles, the others where they are: what comes of it?"""
    images, count = views(true_poses(), 1.0), 4
    schedule = ReferenceFreeSchedule(2, 0.4, 0.2, 90.0)  # one round
    aligner = ReferenceFreeAligner(SearchSpace(RADIUS), schedule, own_weight)
    angles = [StartAngles(first) for first in range(0, 360, 30)]
    found = aligner.align(images, np.arange(count), np.zeros((count, 2)), angles)  # type: ignore[arg-type]
    spread = np.abs(np.exp(1j * np.deg2rad(found["alpha"][:, 0])).mean())
    assert (spread > 1 - 1e-9) == (own_weight == 0)


class StartAngles:
    """Draws the same angles and mirrors always, but for the first image's angle."""

    def __init__(self, first_angle_deg: float) -> None:
        self._first = np.deg2rad(first_angle_deg)

    def uniform(self, low: float, high: float, count: int) -> NDArray[np.float64]:
        return np.concatenate([[self._first], np.linspace(low, high, count - 1)])

    def integers(self, low: int, high: int, count: int) -> NDArray[np.int64]:
        return np.arange(low, low + count) % high


@pytest.mark.parametrize("own_weight", [0.1, 1.0])
def test_groups_aligned_at_once_come_out_as_each_alone(own_weight: float) -> None:
    images = views(true_poses(), 1.0)
    aligner = ReferenceFreeAligner(
        SearchSpace(RADIUS), ReferenceFreeSchedule(6, 0.4, 0.2, 90.0), own_weight
    )

    def groups() -> list[Group]:
        rows = np.arange(COUNT)
        return [
            Group(some, np.zeros((len(some), 2)), [np.random.default_rng([n, r]) for r in (0, 1)])
            for n, some in enumerate((rows[:9], rows[9:], rows[::2]))
        ]

    together = aligner.align_groups(images, groups())
    for found, group in zip(together, groups(), strict=True):
        alone = aligner.align(images, group.rows, group.centres, group.generators)
        np.testing.assert_array_equal(found, alone)
