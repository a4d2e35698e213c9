"""Poses and the centres they turn images about."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from isac2.alignment.space import SearchSpace, centres_from_poses, poses_from_search
from isac2.poses import make_poses, transform_points

NUMBER = st.floats(-20, 20)


@given(st.lists(st.tuples(NUMBER, NUMBER, st.floats(0, 6.28), st.integers(0, 1)), min_size=1))
def test_centres_and_poses_round_trip(found: list[tuple[float, float, float, int]]) -> None:
    centres = np.array([row[:2] for row in found])
    angle = np.array([row[2] for row in found])
    mirror = np.array([row[3] for row in found], np.int8)
    poses = poses_from_search(centres, angle, mirror)
    np.testing.assert_allclose(centres_from_poses(poses), centres, atol=1e-9)
    np.testing.assert_allclose(np.deg2rad(poses["alpha"]), angle, atol=1e-9)
    np.testing.assert_array_equal(poses["mirror"], mirror)


def test_a_pose_moves_its_centre_to_the_middle() -> None:
    poses = make_poses([33.0, 250.0], [2.0, -1.0], [0.5, 3.0], [0, 1])
    centres = centres_from_poses(poses)
    moved = np.stack([transform_points(poses[i], centres[i]) for i in range(2)])
    np.testing.assert_allclose(moved, 0.0, atol=1e-9)


def test_no_disc_leaves_the_box() -> None:
    space = SearchSpace(radius=29, x_range=2.0, y_range=1.0)
    permitted = space.permitted(np.array([[50.0, -50.0], [1.5, -2.5]]), 76)
    np.testing.assert_array_equal(permitted, [[6.0, -6.0], [1.5, -2.5]])
    assert 76 // 2 - 6 - 2 - 29 >= 1
