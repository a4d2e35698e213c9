from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.alignment.space import SearchSpace
from isac2.classes import order as module
from isac2.classes.order import (
    correlate_averages,
    cut_into_chain,
    order_averages,
    poses_along_chain,
)
from isac2.images.masks import disc_mask
from isac2.images.transform import apply_poses
from isac2.poses import PoseArray, compose, invert, make_poses
from isac2.workers import SerialWorkers

SPACE = SearchSpace(radius=14)


def lopsided_blobs(count: int) -> NDArray[np.float32]:
    """Images that change little by little: a fixed part, and two opposite blobs on their way."""
    y, x = np.mgrid[-20:20, -20:20].astype(np.float64)
    images = []
    for step in range(count):
        angle = np.pi * step / count
        u, v = 8 * np.cos(angle), 8 * np.sin(angle)
        moving = np.exp(-((x - u) ** 2 + (y - v) ** 2) / 6)
        moving += np.exp(-((x + u) ** 2 + (y + v) ** 2) / 6)
        third = (x + 2) ** 2 + (y + 7) ** 2
        fixed = np.exp(-((x / 6) ** 2 + (y / 3) ** 2)) + 0.8 * np.exp(-third / 4)
        images.append(fixed + moving)
    return np.array(images, dtype=np.float32)


def correlation_inside(
    first: NDArray[np.float32], second: NDArray[np.float32], radius: int
) -> float:
    inside = disc_mask(first.shape[-1], radius).astype(bool)
    return float(np.corrcoef(first[inside], second[inside])[0, 1])


def test_turns_every_average_to_match_the_one_before() -> None:
    rng = np.random.default_rng(0)
    poses = make_poses(rng.uniform(0, 360, 6), 0, 0, [0, 1, 1, 0, 0, 1])
    averages = apply_poses(lopsided_blobs(6), poses) * np.arange(1, 7)[:, None, None]
    chain = order_averages(averages.astype(np.float32), SPACE)
    assert sorted(chain.order.tolist()) == [0, 1, 2, 3, 4, 5]
    assert chain.alpha[0] == 0
    assert chain.mirror[0] == 0
    ordered = apply_poses(averages[chain.order].astype(np.float32), chain.poses)
    for place in range(1, 6):
        matched = correlation_inside(ordered[place - 1], ordered[place], 14)
        assert matched == pytest.approx(chain.correlation[place], abs=0.02)
        assert matched > 0.9


def test_equal_averages_have_correlation_one() -> None:
    averages = np.repeat(lopsided_blobs(1), 3, axis=0)
    chain = order_averages(averages, SPACE)
    np.testing.assert_allclose(chain.correlation, 1.0, atol=1e-3)
    np.testing.assert_allclose(chain.alpha, 0.0, atol=0.1)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_averages_keep_their_order(count: int) -> None:
    chain = order_averages(lopsided_blobs(max(count, 1))[:count], SPACE)
    assert chain.order.tolist() == list(range(count))
    assert len(chain.poses) == count


def test_a_blank_average_does_no_harm() -> None:
    averages = lopsided_blobs(4)
    averages[2] = 0
    chain = order_averages(averages, SPACE)
    assert sorted(chain.order.tolist()) == [0, 1, 2, 3]
    assert np.isfinite(chain.correlation).all()


@pytest.mark.parametrize("places", [[0, 1, 2, 3, 4, 5], [3, 1, 5, 0, 4, 2], [4, 2, 0, 5, 3, 1]])
def test_the_chain_is_cut_at_the_weakest_link(places: list[int]) -> None:
    """Things on a line: the tour must jump once, and the chain has no jump inside."""
    place = np.array(places)
    order, links = cut_into_chain(np.exp(-np.abs(place[:, np.newaxis] - place)))
    assert place[order].tolist() in ([0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0])
    assert order[0] < order[-1]
    assert links.tolist() == pytest.approx(np.exp([-5, -1, -1, -1, -1, -1]))


def test_poses_along_the_chain_bring_everything_into_the_first_ones_frame() -> None:
    rng = np.random.default_rng(1)
    own: PoseArray = make_poses(rng.uniform(0, 360, 9), 0, 0, rng.integers(0, 2, 9))
    steps = compose(own, invert(np.roll(own, 1)))  # own frame -> common frame -> the one before
    chain = poses_along_chain(steps)
    seen = compose(chain, own[0])  # into the common frame
    turn = np.exp(1j * np.radians(seen["alpha"] - own["alpha"]))
    np.testing.assert_allclose(turn, 1.0, atol=1e-9)
    assert np.array_equal(seen["mirror"], own["mirror"])


def test_golden_chain_is_no_better(shared: Path) -> None:
    """Neighbours of the established program's chain correlate no better than ours."""

    def read(name: str) -> NDArray[np.float32]:
        with h5py.File(shared / "golden" / "sphire_run" / name) as file:
            images = file["/MDF/images"]
            return np.stack([images[str(number)]["image"][()] for number in range(len(images))])

    averages, theirs = read("class_averages.hdf"), read("ordered_class_averages.hdf")
    chain = order_averages(averages, SearchSpace(radius=29))
    ours = apply_poses(averages[chain.order], chain.poses)

    def neighbours(images: NDArray[np.float32]) -> float:
        pairs = zip(images[1:], images[:-1], strict=True)
        return sum(correlation_inside(one, other, 29) for one, other in pairs)

    assert sorted(chain.order.tolist()) == list(range(len(averages)))
    assert neighbours(ours) > neighbours(theirs)


def test_many_averages_are_compared_faster_to_the_same_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = lopsided_blobs(19)
    full = correlate_averages(images, SPACE, SerialWorkers())
    monkeypatch.setattr(module, "_MANY", 10)
    fast = correlate_averages(images, SPACE, SerialWorkers())
    np.testing.assert_array_equal(fast, fast.T)
    np.testing.assert_allclose(np.diag(fast), 1.0)
    np.testing.assert_allclose(fast, full, atol=0.02)
    order = order_averages(images, SPACE).order
    assert (np.sort(np.abs(np.diff(order)))[:-1] == 1).all()  # all neighbours but for one cut
