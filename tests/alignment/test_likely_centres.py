"""Where particles most likely lie, faint ones and clear ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.alignment.likely_centres import (
    Spread,
    likely_centres,
    places_around,
    weigh_places,
)
from isac2.alignment.rings import shift_grid
from isac2.alignment.search import align_to_assigned
from isac2.alignment.space import SearchSpace, centres_from_poses
from isac2.images.filters import fourier_shift
from isac2.run.parallel import open_workers
from isac2.workers import SerialWorkers

BOX, RADIUS, COUNT, DEVIATION = 48, 12, 200, 1.5
SPACE = SearchSpace(RADIUS, x_range=0.0, y_range=0.0)


def average() -> NDArray[np.float32]:
    """A lump off the middle of a disc, of unit variance inside the radius."""
    offset = np.arange(BOX) - BOX // 2
    y, x = offset[:, None], offset
    image = 1 / (1 + np.exp(np.hypot(x, y) - 8)) + np.exp(-((x - 5) ** 2 + y**2) / 8)
    inside = image[np.hypot(x, y) <= RADIUS]
    return np.asarray((image - inside.mean()) / inside.std(), np.float32)


def stack(centres: NDArray[np.float64], contrast: float) -> NDArray[np.float32]:
    """The average at the centres, so much stronger than white noise of unit variance."""
    noise = np.random.default_rng(3).normal(size=(len(centres), BOX, BOX))
    moved = fourier_shift(np.repeat(average()[None], len(centres), axis=0), centres)
    return (contrast * moved + noise).astype(np.float32)


@pytest.fixture(scope="module")
def centres() -> NDArray[np.float64]:
    drawn = np.random.default_rng(4).normal(scale=DEVIATION, size=(COUNT, 2))
    return np.asarray(drawn + np.array([1.0, -0.5]))


def best_places(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where each image looks most like the average, whatever is likely."""
    space = SearchSpace(RADIUS, x_range=8.0, y_range=8.0)
    rows, alike = np.arange(len(images)), np.zeros(len(images), np.int64)
    middle = np.zeros((len(images), 2))
    found = align_to_assigned(images, rows, middle, average()[None], alike, space, SerialWorkers())
    return centres_from_poses(found.poses)


def weighed(
    images: NDArray[np.float32], contrast: float, found: NDArray[np.float64], turns: int = 6
) -> tuple[NDArray[np.float64], Spread]:
    spread, known = Spread.of(found), (contrast * average(), 0.5)
    for _ in range(turns):
        likely, spread = weigh_places(
            images, np.arange(len(images)), found, known, spread, SPACE, SerialWorkers()
        )
    return likely, spread


def rms(errors: NDArray[np.float64]) -> float:
    return float(np.sqrt((errors**2).sum(axis=1).mean()))


def test_faint_particles_are_nearer_than_where_they_look_best(
    centres: NDArray[np.float64],
) -> None:
    images = stack(centres, 0.15)
    found = best_places(images)
    likely, spread = weighed(images, 0.15, found)
    as_picked = rms(centres)
    assert rms(found - centres) > as_picked  # looking alone does harm
    assert rms(likely - centres) < 0.9 * as_picked
    assert spread.deviation < 2 * DEVIATION


@pytest.mark.parametrize("deviation", [0.4, 1.0, 2.0])
def test_clear_particles_stay_where_they_look_best(deviation: float) -> None:
    true = np.random.default_rng(5).normal(scale=deviation, size=(COUNT, 2))
    true[0] = 7.5, -7.5  # far beyond three deviations
    true[1] = 3.9 * deviation, 0.0  # just beyond the grid
    images = stack(true, 2.0)
    found = best_places(images)
    likely, spread = weighed(images, 2.0, found)
    assert rms(likely - true) < rms(found - true) + 0.1
    assert np.abs(likely - true).max() < 0.7
    np.testing.assert_allclose(spread.middle, true.mean(axis=0), atol=0.1)


def test_pure_noise_stays_in_the_middle() -> None:
    images = stack(np.zeros((COUNT, 2)), 0.0)
    found = best_places(images)
    likely, _ = weighed(images, 0.15, found)
    assert rms(likely) < 0.5 * rms(found)


def test_a_box_without_room_leaves_particles_in_its_middle() -> None:
    images = stack(np.zeros((5, 2)), 1.0)[:, 11:37, 11:37]
    known = average()[11:37, 11:37], 0.5
    spread = Spread(np.array([0.4, 0.0]), 2.0)
    likely, _ = weigh_places(
        images, np.arange(5), np.zeros((5, 2)), known, spread, SPACE, SerialWorkers()
    )
    np.testing.assert_array_equal(likely, 0.0)


def test_threads_do_not_change_a_bit(centres: NDArray[np.float64]) -> None:
    images, found = stack(centres, 0.3), np.zeros((COUNT, 2))
    known, spread = (average(), 0.5), Spread(np.zeros(2), 2.0)
    rows = np.arange(0, COUNT, 2)
    with open_workers(2) as workers:
        two = weigh_places(images, rows, found[rows], known, spread, SPACE, workers)
    one = weigh_places(images, rows, found[rows], known, spread, SPACE, SerialWorkers())
    np.testing.assert_array_equal(two[0], one[0])
    assert two[1].deviation == one[1].deviation


def test_equal_evidence_leaves_what_is_likely() -> None:
    # two places 1 and 3 from the middle: the densities of a normal distribution there
    places = np.array([[[-2.0, 0.0], [2.0, 0.0]]])
    spread = Spread(np.array([1.0, 0.0]), 2.0)
    weights = np.exp([-9 / 8, -1 / 8]) / np.exp([-9 / 8, -1 / 8]).sum()
    likely, squares = likely_centres(np.zeros((1, 2), np.float32), places, 10, spread)
    np.testing.assert_allclose(likely, [[2.0 * (weights[1] - weights[0]), 0.0]])
    np.testing.assert_allclose(squares, [4.0])


def test_the_spread_of_places_is_more_than_that_of_their_means() -> None:
    assert Spread.of_moments(np.zeros((3, 2)), np.full(3, 8.0)).deviation == pytest.approx(2.0)
    assert Spread.of(np.zeros((3, 2))).deviation == 0.0


@pytest.mark.parametrize("found", [(0.0, 0.0), (3.0, 1.0), (-7.9, 7.9), (20.0, 0.0)])
def test_each_place_but_once_and_none_too_far(found: tuple[float, float]) -> None:
    grid = shift_grid(6.0, 6.0, 2.0)
    places, possible = places_around(np.array([1.0, 0.0]), grid, 2.0, np.array([found]), 8)
    some = places[possible]
    assert np.abs(some).max() <= 8
    apart = np.abs(some[:, None] - some).max(axis=-1) + 9 * np.eye(len(some))
    assert apart.min() >= 1.0
    nearest = np.abs(some - np.clip(found, -8, 8)).max(axis=-1).min()
    assert nearest < 1e-9
