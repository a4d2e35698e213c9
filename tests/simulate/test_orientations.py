import numpy as np

from isac2.classes.orientations_in_class import class_axis, euler_matrices
from isac2.simulate.orientations import (
    draw_preferred,
    draw_segments,
    draw_uniform,
    draw_views,
    opposite,
    spread_directions,
)


def _directions(euler: np.ndarray) -> np.ndarray:
    return euler_matrices(euler)[:, 2]


def test_spread_directions_lie_apart_on_half_the_sphere() -> None:
    directions = _directions(np.column_stack([spread_directions(16, 20.0), np.zeros(16)]))
    assert (directions[:, 2] > 0).all()
    cosines = directions @ directions.T - 2 * np.eye(16)
    assert np.rad2deg(np.arccos(cosines.max())) > 20


def test_opposite_directions_are_opposite() -> None:
    euler = draw_uniform(np.random.default_rng(1), 20)
    np.testing.assert_allclose(_directions(opposite(euler)), -_directions(euler), atol=1e-12)


def test_uniform_directions_have_no_mean_and_an_even_spread() -> None:
    directions = _directions(draw_uniform(np.random.default_rng(2), 20_000))
    np.testing.assert_allclose(directions.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(directions.T @ directions / 20_000, np.eye(3) / 3, atol=0.02)


def test_preferred_directions_gather_about_axes() -> None:
    euler = draw_preferred(np.random.default_rng(3), 4000, axes=1, width=10, other=0.0)
    angles = class_axis(_directions(euler)).angles
    assert 8 < np.median(angles) < 16  # Rayleigh's median is 1.18 widths
    assert np.isfinite(euler).all()


def test_views_keep_their_directions_and_half_are_mirrored() -> None:
    directions, view = spread_directions(3), np.arange(300) % 3
    euler, mirror = draw_views(np.random.default_rng(4), directions, view, mirrors=True)
    assert 100 < mirror.sum() < 200
    np.testing.assert_allclose(euler[mirror == 0, :2], directions[view[mirror == 0]])
    np.testing.assert_allclose(opposite(euler)[mirror == 1, 1], directions[view[mirror == 1], 1])
    _, none = draw_views(np.random.default_rng(4), directions, view, mirrors=False)
    assert none.sum() == 0


def test_segments_follow_their_filaments() -> None:
    segments = draw_segments(np.random.default_rng(5), 25, 10, 9.5, 71.0)
    np.testing.assert_array_equal(segments.tube, np.repeat([0, 1, 2], [10, 10, 5]))
    np.testing.assert_allclose(segments.track_in_angstroms[:3], [0, 9.5, 19.0])
    steps = np.diff(segments.euler[:10, 0]) % 360
    np.testing.assert_allclose(steps, 289.0)
    turned = np.exp(1j * np.deg2rad(segments.euler[:10, 2]))
    assert np.abs(turned.mean()) > 0.98
    assert np.abs(segments.euler[:, 1] - 90).max() < 20
