import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from isac2.classes.orientations_in_class import (
    class_axis,
    euler_matrices,
    pose_agreement,
    symmetry_matrices,
)
from isac2.classes.truth import Truth, true_poses
from isac2.errors import InputError
from isac2.poses import PoseArray, compose, make_poses

angles = st.floats(-180, 180)


def _true_poses(
    euler: NDArray[np.float64], shift: NDArray[np.float64], mirror: NDArray[np.int64]
) -> PoseArray:
    return true_poses(Truth(np.zeros(len(euler), int), euler=euler, shift=shift, mirror=mirror))


def _images_of_a_view(
    count: int, seed: int = 3
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    mirror = np.arange(count) % 2
    psi = rng.uniform(0, 360, count)
    direct, opposite = (30.0, 50.0), (210.0, 130.0)
    directions = np.where(mirror[:, None] == 1, opposite, direct)
    return np.column_stack([directions, psi]), rng.normal(0, 3, (count, 2)), mirror


@given(angles, angles, angles)
def test_matrix_is_the_one_relion_writes(rot: float, tilt: float, psi: float) -> None:
    (ca, cb, cg), (sa, sb, sg) = (f(np.deg2rad([rot, tilt, psi])) for f in (np.cos, np.sin))
    by_hand = [
        [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
        [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
        [sb * ca, sb * sa, cb],
    ]
    np.testing.assert_allclose(euler_matrices(np.array([[rot, tilt, psi]]))[0], by_hand, atol=1e-12)


def test_axis_of_mirrored_directions_and_a_stranger() -> None:
    axis = class_axis(np.array([[0, 0, 1.0], [0, 0, -1.0], [0, 0, 1.0], [1.0, 0, 0]]))
    np.testing.assert_allclose(axis.angles, [0, 0, 0, 90], atol=1e-6)
    assert axis.signs[0] == -axis.signs[1]


def test_symmetry_mates_are_one_direction() -> None:
    mates = symmetry_matrices("C4")
    directions = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, -1.0, 0]])
    np.testing.assert_allclose(class_axis(directions, mates).angles, 0, atol=1e-6)
    assert class_axis(directions).angles.max() > 80


def test_unknown_symmetry_is_an_input_error() -> None:
    with pytest.raises(InputError, match="no symmetry 'Q3'"):
        symmetry_matrices("Q3")


@settings(max_examples=30)
@given(angles, st.floats(-5, 5), st.floats(-5, 5), st.integers(0, 1))
def test_true_poses_agree_whatever_the_frame_of_the_class(
    alpha: float, x: float, y: float, mirror: int
) -> None:
    euler, shift, mirrored = _images_of_a_view(8)
    poses = compose(_true_poses(euler, shift, mirrored), make_poses(alpha, x, y, mirror))
    found = pose_agreement(euler_matrices(euler), shift, poses)
    assert found.mirror_agreement == 1
    np.testing.assert_allclose(found.pixel_errors(30), 0, atol=1e-5)


def test_known_errors_are_found() -> None:
    euler, shift, mirrored = _images_of_a_view(4)
    wrong = compose(
        _true_poses(euler, shift, mirrored), make_poses([2, -2, 0, 0], [0, 0, 1, -1], 0, 0)
    )
    found = pose_agreement(euler_matrices(euler), shift, wrong)
    np.testing.assert_allclose(np.abs(found.in_plane_errors), [2, 2, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found.shift_errors, [0, 0, 1, 1], atol=1e-6)
    # a turn by 2 degrees moves the rms point of the disc by radius * sqrt(1 - cos 2)
    np.testing.assert_allclose(found.pixel_errors(30)[0], 30 * np.sqrt(1 - np.cos(np.deg2rad(2))))


def test_a_wrong_mirror_counts_against_agreement_only() -> None:
    euler, shift, mirrored = _images_of_a_view(10)
    poses = _true_poses(euler, shift, mirrored)
    poses[3:4] = compose(poses[3:4], make_poses([0], 0, 0, 1))
    found = pose_agreement(euler_matrices(euler), shift, poses)
    assert found.mirror_agreement == pytest.approx(0.9)
    np.testing.assert_allclose(found.in_plane_errors, np.zeros(9), atol=1e-6)


def test_symmetry_mates_have_one_pose() -> None:
    mates = symmetry_matrices("D7")
    matrices = euler_matrices(np.array([[10.0, 40.0, 25.0]] * 14)) @ mates
    poses = make_poses(np.full(14, -25.0), 0, 0, 0)
    found = pose_agreement(matrices, np.zeros((14, 2)), poses, mates)
    assert found.mirror_agreement == 1
    np.testing.assert_allclose(found.in_plane_errors, 0, atol=1e-5)
    assert np.ptp(pose_agreement(matrices, np.zeros((14, 2)), poses).in_plane_errors) > 1
