from __future__ import annotations

import numpy as np
import pytest

from isac2.classes.order import chain_from_alignments
from isac2.poses import PoseArray, compose, invert, make_poses, transform_points


def posed_classes(seed: int, count: int) -> tuple[PoseArray, PoseArray]:
    """Copies of one average in different poses, and the pose that takes each to each other."""
    rng = np.random.default_rng(seed)
    own = make_poses(rng.uniform(0, 360, count), 0, 0, rng.integers(0, 2, count))
    # i -> common frame -> j
    pairs = compose(
        np.repeat(invert(own)[:, np.newaxis], count, axis=1),
        np.repeat(own[np.newaxis], count, axis=0),
    )
    return own, pairs


def test_poses_along_the_chain_bring_all_averages_into_one_frame() -> None:
    own, pairs = posed_classes(1, 9)
    table = np.random.default_rng(1).random((9, 9))
    chain = chain_from_alignments(table, pairs)
    point = np.array([3.0, 1.0])
    seen = [
        transform_points(chain.poses[place : place + 1], transform_points(own[k : k + 1], point))
        for place, k in enumerate(chain.order)
    ]
    np.testing.assert_allclose(np.squeeze(seen), np.tile(np.squeeze(seen[0]), (9, 1)), atol=1e-9)
    assert chain.alpha[0] == 0
    assert chain.mirror[0] == 0
    assert (np.abs(chain.alpha) <= 180).all()


@pytest.mark.parametrize("places", [[0, 1, 2, 3, 4, 5], [3, 1, 5, 0, 4, 2], [4, 2, 0, 5, 3, 1]])
def test_the_chain_is_cut_at_the_weakest_link(places: list[int]) -> None:
    """Classes on a line: the tour must jump once, and the chain has no jump inside."""
    place = np.array(places)
    table = np.exp(-np.abs(place[:, np.newaxis] - place))
    chain = chain_from_alignments(table, make_poses(np.zeros((6, 6)), 0, 0, 0))
    along = place[chain.order]
    assert along.tolist() in ([0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0])
    assert chain.order[0] < chain.order[-1]
    assert chain.similarity.tolist() == pytest.approx(np.exp([-5, -1, -1, -1, -1, -1]))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_averages_keep_their_order(count: int) -> None:
    poses = make_poses(np.full((count, count), 10.0), 0, 0, 0)
    chain = chain_from_alignments(np.ones((count, count)), poses)
    assert chain.order.tolist() == list(range(count))
    assert chain.alpha.tolist() == [0.0, 10.0][:count]
