"""Rings: what is sampled where, and what a rotation does to the coefficients."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.alignment.backends import cpu
from isac2.alignment.rings import RingGeometry, shift_grid
from isac2.alignment.search import angular_coefficients
from isac2.alignment.space import SearchSpace
from isac2.images.filters import tanh_low_pass
from isac2.images.transform import apply_poses
from isac2.poses import make_poses


def test_areas_of_the_rings_add_up_to_one() -> None:
    geometry = RingGeometry(1, 29)
    assert geometry.weights.sum() == pytest.approx(1.0)
    assert geometry.weights[-1] == pytest.approx(29 * geometry.weights[0])


def test_weights_of_every_sample_add_up_to_one() -> None:
    table = RingGeometry(1, 12).sampling_table(shift_grid(1, 1, 0.5))
    np.testing.assert_allclose(table.x_weights.sum(axis=-1), 1.0, atol=1e-6)
    np.testing.assert_allclose(table.y_weights.sum(axis=-1), 1.0, atol=1e-6)
    for j, i in np.ndindex(table.place.shape):
        x, y = table.shifts[table.place[j, i]]
        assert (x, y) == (-1 + 0.5 * i, -1 + 0.5 * j)


def test_orders_never_exceed_what_a_ring_can_carry() -> None:
    geometry = RingGeometry(1, 29)
    assert (geometry.orders - 1 <= np.pi * geometry.radii).all()
    assert (np.diff(geometry.orders) >= 0).all()
    assert geometry.order_starts[-1] == geometry.orders.sum()


def test_a_delta_on_a_ring_has_all_orders_with_its_phase() -> None:
    """A pixel at (0, 5), a quarter turn from the x axis: order m has the phase of (-i)^m."""
    geometry = RingGeometry(1, 8)
    image = np.zeros((1, 32, 32), np.float32)
    image[0, 16 + 5, 16] = 1.0
    table = geometry.sampling_table(np.zeros((1, 2)))
    bank = cpu.ring_bank(image, np.arange(1), np.zeros((1, 2)), geometry, table, normalise=False)
    on_ring = (geometry.coefficient_ring == 4) & (geometry.coefficient_order < 4)
    value = bank.coefficients()[on_ring, 0]
    length = geometry.lengths[4]
    assert value[0].real * length >= 1.0  # the pixel itself, and interpolated neighbours
    turned = value / (-1j) ** np.arange(4)
    np.testing.assert_allclose(turned.imag, 0.0, atol=1e-6)
    assert (turned.real > 0).all()


def test_a_constant_image_has_nothing_but_its_mean() -> None:
    coefficients, orders = angular_coefficients(
        np.full((1, 32, 32), 3.0, np.float32), SearchSpace(9)
    )
    weights = RingGeometry(1, 9).weights
    np.testing.assert_allclose(coefficients[orders == 0, 0], 3.0 * np.sqrt(weights), rtol=1e-5)
    np.testing.assert_allclose(coefficients[orders > 0, 0], 0.0, atol=1e-5)


def test_a_rotated_image_is_a_phase_and_a_mirrored_one_a_conjugate() -> None:
    image = np.random.default_rng(1).normal(size=(1, 64, 64)).astype(np.float32)
    image = tanh_low_pass(image, 0.12, 0.2)
    before, orders = angular_coefficients(image, SearchSpace(20))
    angle = 37.0
    rotated = apply_poses(image, make_poses([angle], [0.0], [0.0], [0]))
    after, _ = angular_coefficients(rotated, SearchSpace(20))
    expected = before * np.exp(1j * np.deg2rad(angle) * orders)[:, None]
    assert np.linalg.norm(after - expected) < 0.01 * np.linalg.norm(before)
    mirrored = apply_poses(image, make_poses([0.0], [0.0], [0.0], [1]))
    after, _ = angular_coefficients(mirrored, SearchSpace(20))
    sign = np.where(orders % 2 == 1, -1.0, 1.0)[:, None]
    np.testing.assert_allclose(after, before.conj() * sign, atol=1e-3 * np.abs(before).max())


def test_moving_the_centre_is_sampling_there() -> None:
    """A bank around a fractional centre equals the bank of the image moved back, when smooth."""
    image = tanh_low_pass(
        np.random.default_rng(2).normal(size=(1, 64, 64)).astype(np.float32), 0.1, 0.2
    )
    moved = apply_poses(image, make_poses([0.0], [1.25], [-2.5], [0]))
    geometry = RingGeometry(1, 16)
    table = geometry.sampling_table(np.zeros((1, 2)))
    one = np.arange(1)
    here = cpu.ring_bank(image, one, np.zeros((1, 2)), geometry, table).coefficients()
    there = cpu.ring_bank(moved, one, np.array([[1.25, -2.5]]), geometry, table).coefficients()
    np.testing.assert_allclose(there, here, atol=0.01 * np.abs(here).max())


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic convolution, a = -1/2."""
    d = np.abs(distance)
    near, far = (1.5 * d - 2.5) * d**2 + 1, ((-0.5 * d + 2.5) * d - 4) * d + 2
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _lanczos(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sinc in a window of four lobes to either side, rows made to add up to 1."""
    inside = (distance > -4) & (distance <= 4)
    weights = np.where(inside, np.sinc(distance) * np.sinc(distance / 4), 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def test_the_error_of_the_coefficients_is_rounding() -> None:
    """The same sums in double precision: moved, sampled, normalised and transformed."""
    box, centre = 40, np.array([0.3, -1.4])
    image = np.random.default_rng(3).normal(size=(box, box)).astype(np.float32)
    geometry = RingGeometry(1, 12)
    table = geometry.sampling_table(shift_grid(1, 1, 1))
    bank = cpu.ring_bank(image[None], np.zeros(1, np.int64), centre[None], geometry, table)
    pixel = np.arange(box, dtype=float)
    moved = image.astype(float)
    for c in centre[::-1]:  # rows, then columns
        moved = (_lanczos(pixel - pixel[:, None] - c) @ moved).T
    angles = [2 * np.pi * np.arange(n) / n for n in geometry.lengths]
    share = np.repeat(geometry.weights / geometry.lengths, geometry.lengths)
    order, ring = geometry.coefficient_order, geometry.coefficient_ring
    for number, (x, y) in enumerate(table.shifts + box // 2):
        columns, rows = (
            np.concatenate(
                [
                    _cubic(middle + r * wave(a)[:, None] - pixel)
                    for r, a in zip(geometry.radii, angles, strict=True)
                ]
            )
            for middle, wave in ((x, np.cos), (y, np.sin))
        )
        samples = ((rows @ moved) * columns).sum(axis=1)
        samples -= (share * samples).sum()
        samples /= np.sqrt((share * samples**2).sum())
        rings = np.split(samples, geometry.starts[1:-1])
        exact = [
            np.mean(rings[r] * np.exp(-1j * m * angles[r]))
            for m, r in zip(order, ring, strict=True)
        ]
        error = np.linalg.norm(bank.coefficients(number)[:, 0] - exact)
        assert error < 1e-6 * np.linalg.norm(exact)
