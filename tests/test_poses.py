"""Poses: by hand, against the established implementation, and by their algebra."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isac2.poses import (
    PoseArray,
    compose,
    cryosparc_from_poses,
    eman_matrix_from_poses,
    identity_poses,
    invert,
    make_poses,
    mean_pose,
    pixel_error,
    poses_from_cryosparc,
    poses_from_eman_matrix,
    poses_from_relion,
    relion_from_poses,
    transform_points,
    wrap_angle,
)

poses_strategy = st.builds(
    make_poses,
    st.floats(-720, 720),
    st.floats(-20, 20),
    st.floats(-20, 20),
    st.integers(0, 1),
)
points_strategy = st.tuples(st.floats(-30, 30), st.floats(-30, 30))


def poses_from_columns(columns: np.ndarray) -> PoseArray:
    return make_poses(*np.moveaxis(np.asarray(columns), -1, 0))


def assert_same_poses(actual: PoseArray, expected: PoseArray, tolerance: float = 1e-9) -> None:
    np.testing.assert_array_equal(actual["mirror"], expected["mirror"])
    np.testing.assert_allclose(actual["tx"], expected["tx"], atol=tolerance)
    np.testing.assert_allclose(actual["ty"], expected["ty"], atol=tolerance)
    difference = wrap_angle(actual["alpha"] - expected["alpha"])
    np.testing.assert_allclose(difference, 0.0, atol=tolerance)


@pytest.mark.parametrize(
    ("pose", "moved"),
    [((90, 0, 0, 0), (0, -4)), ((90, 2, 0, 1), (-2, -4)), ((0, 1, 2, 1), (-5, 2))],
)
def test_a_pose_moves_a_point_as_the_convention_says(
    pose: tuple[float, ...], moved: tuple[float, float]
) -> None:
    np.testing.assert_allclose(transform_points(make_poses(*pose), (4, 0)), moved, atol=1e-12)


def test_compose_meets_the_established_implementation(shared: Path) -> None:
    golden = np.load(shared / "golden" / "reference_vectors.npz")
    first = poses_from_columns(golden["compose_first"])
    second = poses_from_columns(golden["compose_second"])
    expected = poses_from_columns(golden["compose_result"])
    assert_same_poses(compose(first, second), expected, tolerance=1e-4)


def test_invert_meets_the_established_implementation(shared: Path) -> None:
    golden = np.load(shared / "golden" / "reference_vectors.npz")
    first = poses_from_columns(golden["compose_first"])
    expected = poses_from_columns(golden["invert_result"])
    assert_same_poses(invert(first), expected, tolerance=1e-4)


@given(poses_strategy, poses_strategy, points_strategy)
def test_compose_is_doing_one_after_the_other(
    first: PoseArray, second: PoseArray, point: tuple[float, float]
) -> None:
    one_after_the_other = transform_points(second, transform_points(first, point))
    at_once = transform_points(compose(first, second), point)
    np.testing.assert_allclose(at_once, one_after_the_other, atol=1e-9)


@given(poses_strategy)
def test_a_pose_and_its_inverse_cancel_on_either_side(pose: PoseArray) -> None:
    nothing = identity_poses(1)[0]
    assert_same_poses(compose(pose, invert(pose)), nothing)
    assert_same_poses(compose(invert(pose), pose), nothing)


@given(poses_strategy, poses_strategy, poses_strategy)
def test_compose_is_associative(a: PoseArray, b: PoseArray, c: PoseArray) -> None:
    assert_same_poses(compose(compose(a, b), c), compose(a, compose(b, c)))


def test_arrays_of_poses_broadcast() -> None:
    many = make_poses([10.0, 20.0, 30.0], 1.0, 0.0, [0, 1, 0])
    one = make_poses(5.0, 0.0, 2.0, 1)
    assert_same_poses(compose(many, one)[1], compose(many[1], one))
    assert transform_points(many[:, None], np.zeros((4, 2))).shape == (3, 4, 2)


@given(st.floats(-1e6, 1e6))
def test_wrapped_angles_are_the_same_angle_in_range(angle: float) -> None:
    wrapped = wrap_angle(angle)
    assert -180.0 <= wrapped < 180.0
    turns = (angle - wrapped) / 360.0
    assert abs(turns - round(float(turns))) < 1e-9


def test_wrapping_rounds_to_the_closed_end() -> None:
    assert wrap_angle(np.nextafter(-180.0, -200.0)) == -180.0


def test_the_mean_pose_takes_the_direction_of_the_angles() -> None:
    runs = make_poses([[170.0], [-170.0]], [[0.0], [2.0]], [[1.0], [1.0]], [[0], [1]])
    assert_same_poses(mean_pose(runs), make_poses([180.0], [1.0], [1.0], [1]))


def test_the_pixel_error_of_a_rotation_by_hand() -> None:
    # Two runs 60 degrees apart: |mean direction| = cos 30.
    runs = make_poses([[0.0], [60.0]], 0.0, 0.0, 0)
    expected = 29.0 * np.sqrt(1.0 - np.cos(np.radians(30.0)))
    np.testing.assert_allclose(pixel_error(runs, 29.0), [expected])


@given(st.lists(poses_strategy, min_size=2, max_size=5), poses_strategy)
def test_the_pixel_error_does_not_depend_on_the_common_frame(
    poses: list[PoseArray], frame: PoseArray
) -> None:
    # Images all seen in one more, common, rotation (no mirror) have moved apart by nothing.
    runs = np.stack(poses)
    runs["mirror"] = 0
    frame["mirror"] = 0
    moved = compose(runs, frame)
    np.testing.assert_allclose(pixel_error(moved, 29.0), pixel_error(runs, 29.0), atol=1e-6)


def test_eman_matrices_meet_the_ones_eman_wrote(shared: Path) -> None:
    with h5py.File(shared / "golden" / "eman2_files" / "particles.hdf") as file:
        images = file["MDF/images"]
        stored = [images[str(number)].attrs["EMAN.xform.align2d"] for number in range(len(images))]
    written = np.stack([np.array(matrix[0].tolist()).reshape(3, 4) for matrix in stored])
    poses = poses_from_eman_matrix(written)
    number = np.arange(len(written))
    assert_same_poses(
        poses, make_poses(10.0 * number, 0.5 * number, -0.25 * number, number % 2), 1e-4
    )
    np.testing.assert_allclose(eman_matrix_from_poses(poses), written, atol=1e-6)


@given(poses_strategy)
def test_poses_survive_the_way_through_other_programs(pose: PoseArray) -> None:
    assert_same_poses(poses_from_eman_matrix(eman_matrix_from_poses(pose)), pose)
    assert_same_poses(poses_from_relion(*relion_from_poses(pose, 1.7), 1.7), pose)
    assert_same_poses(poses_from_cryosparc(*cryosparc_from_poses(pose)), pose)


@given(poses_strategy, points_strategy, st.floats(0.5, 4.0))
def test_relion_adds_the_origin_turns_by_psi_and_flips_last(
    pose: PoseArray, point: tuple[float, float], pixel_size: float
) -> None:
    psi, origin_x, origin_y, flip = relion_from_poses(pose, pixel_size)
    x, y = point[0] + origin_x / pixel_size, point[1] + origin_y / pixel_size
    turn = np.exp(1j * np.radians(psi)) * (x + 1j * y)
    expected = (-turn.real if flip else turn.real, turn.imag)
    np.testing.assert_allclose(transform_points(pose, point), expected, atol=1e-9)


def test_a_particle_left_of_the_centre_has_a_positive_origin() -> None:
    # The content sits at x = -3 and the pose brings it to the centre.
    pose = make_poses(0.0, 3.0, 0.0, 0)
    np.testing.assert_allclose(transform_points(pose, (-3.0, 0.0)), 0.0, atol=1e-12)
    _, origin_x, origin_y, _ = relion_from_poses(pose, 2.0)
    assert (float(origin_x), float(origin_y)) == (6.0, 0.0)


def test_cryosparc_keeps_radians_and_pixels() -> None:
    psi, shift, flip = cryosparc_from_poses(make_poses([-90.0], [0.0], [2.0], [1]))
    np.testing.assert_allclose(psi, [np.pi / 2])
    np.testing.assert_allclose(shift, [[2.0, 0.0]], atol=1e-12)
    assert flip.tolist() == [1]
