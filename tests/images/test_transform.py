"""Moving and averaging images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

from isac2.images.masks import disc_mask, pixel_offsets
from isac2.images.transform import apply_poses, average_in_poses
from isac2.poses import identity_poses, invert, make_poses, transform_points


def blob(box: int, centre: np.ndarray) -> np.ndarray:
    offset = pixel_offsets(box)
    squared = (offset[None, :] - centre[0]) ** 2 + (offset[:, None] - centre[1]) ** 2
    return np.asarray(np.exp(-squared / 12.0), np.float32)


def noise(count: int, box: int) -> np.ndarray:
    return np.random.default_rng(8).normal(size=(count, box, box)).astype(np.float32)


def test_moving_meets_the_established_implementation(shared: Path) -> None:
    golden = np.load(shared / "golden" / "reference_vectors.npz")
    poses = make_poses(*golden["apply_poses"].T)
    moved = apply_poses(np.stack([golden["apply_input"]] * len(poses)), poses)
    inside = disc_mask(76, 29)
    for own, expected in zip(moved, golden["apply_output"], strict=True):
        assert np.corrcoef(own[inside], expected[inside])[0, 1] > 0.99999
        np.testing.assert_allclose(own, expected, atol=0.01)


@given(
    st.floats(-180, 180),
    st.floats(-4, 4),
    st.floats(-4, 4),
    st.integers(0, 1),
    st.sampled_from([48, 49]),
)
def test_a_feature_goes_where_the_pose_says(
    alpha: float, tx: float, ty: float, mirror: int, box: int
) -> None:
    pose = make_poses([alpha], [tx], [ty], [mirror])
    start = np.array([7.0, -3.0])
    moved = apply_poses(blob(box, start)[None], pose)[0]
    expected = blob(box, transform_points(pose[0], start))
    np.testing.assert_allclose(moved, expected, atol=5e-3)


def test_doing_nothing_gives_the_same_pixels() -> None:
    images = noise(3, 20)
    np.testing.assert_allclose(apply_poses(images, identity_poses(3)), images, atol=5e-5)


def test_quarter_turns_and_mirrors_move_whole_pixels() -> None:
    images = noise(2, 21)
    moved = apply_poses(images, make_poses([90.0, 0.0], 0.0, 0.0, [0, 1]))
    np.testing.assert_allclose(moved[0], np.rot90(images[0]), atol=5e-5)
    np.testing.assert_allclose(moved[1], images[1, :, ::-1], atol=5e-5)


def test_a_move_and_its_inverse_cancel_inside() -> None:
    image = blob(48, np.array([5.0, 2.0]))[None]
    pose = make_poses([33.0], [1.5], [-2.25], [1])
    back = apply_poses(apply_poses(image, pose), invert(pose))
    np.testing.assert_allclose(back, image, atol=2e-3)


def test_a_place_outside_keeps_the_pixel_that_stood_there() -> None:
    image = noise(1, 9)
    moved = apply_poses(image, make_poses([0.0], [3.0], [0.0], [0]))
    np.testing.assert_array_equal(moved[0, :, :3], image[0, :, :3])
    np.testing.assert_allclose(moved[0, :, 3:], image[0, :, :-3], atol=5e-5)


def test_averages_are_means_of_the_moved_members() -> None:
    images = noise(6, 16)
    poses = make_poses(np.arange(6) * 17.0, 0.5, -1.0, np.arange(6) % 2)
    moved = apply_poses(images, poses)
    groups = np.array([0, 2, -1, 0, 2, 0])
    averages = average_in_poses(images, poses, groups, 4)
    assert averages.shape == (4, 16, 16)
    np.testing.assert_allclose(averages[0], moved[[0, 3, 5]].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(averages[2], moved[[1, 4]].mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(averages[[1, 3]], 0.0)
    np.testing.assert_allclose(average_in_poses(images, poses), moved.mean(axis=0), atol=1e-6)


def test_what_does_not_fit_together_is_refused() -> None:
    images = noise(2, 8)
    with pytest.raises(ValueError, match="2 images need 2 poses"):
        apply_poses(images, identity_poses(3))
    with pytest.raises(ValueError, match="one group"):
        average_in_poses(images, identity_poses(2), np.array([0, 5]), 2)


@pytest.mark.parametrize("shape", [(16, 16), (18, 40), (33, 31)])
def test_interpolation_is_the_cubic_spline_of_scipy(shape: tuple[int, int]) -> None:
    ny, nx = shape
    image = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    moved = apply_poses(image[None], make_poses([25.0], [0.3], [-0.4], [1]))[0]
    y, x = np.mgrid[:ny, :nx]
    x, y = -(x - nx // 2) - 0.3, y - ny // 2 + 0.4
    cosine, sine = np.cos(np.radians(25)), np.sin(np.radians(25))
    places = np.stack([sine * x + cosine * y + ny // 2, cosine * x - sine * y + nx // 2])
    expected = scipy.ndimage.map_coordinates(image, places, order=3, mode="mirror")
    inside = (places >= 0).all(axis=0) & (places[0] <= ny - 1) & (places[1] <= nx - 1)
    assert inside.any()
    np.testing.assert_allclose(moved[inside], expected[inside], atol=2e-5)
