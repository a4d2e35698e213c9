"""Filtering on rings is filtering of the image."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

from isac2.alignment.ring_filter import RingFilter, bessel_functions
from isac2.alignment.rings import RingGeometry
from isac2.alignment.search import angular_coefficients
from isac2.alignment.space import SearchSpace
from isac2.images.filters import tanh_low_pass


@pytest.mark.parametrize("cutoff", [0.1, 0.25, 0.4])
def test_it_is_the_filter_of_images(cutoff: float) -> None:
    box, radius = 64, 24
    offset = np.arange(box) - box // 2
    inside = np.hypot(offset[:, None], offset) < radius - 8
    noise = np.random.default_rng(1).normal(size=(1, box, box)) * inside
    image = tanh_low_pass(noise.astype(np.float32), 0.3, 0.2)
    before, orders = angular_coefficients(image, SearchSpace(radius))
    after, _ = angular_coefficients(tanh_low_pass(image, cutoff, 0.2), SearchSpace(radius))
    geometry = RingGeometry(1, radius)
    root = np.sqrt(geometry.weights[geometry.coefficient_ring])[:, None]
    matrices = RingFilter(geometry, 0.2).matrices(cutoff, geometry.n_orders)
    plain = before / root
    filtered = np.concatenate([m @ plain[orders == o] for o, m in enumerate(matrices)]) * root
    alike = np.vdot(filtered, after).real
    alike /= np.linalg.norm(filtered) * np.linalg.norm(after)
    assert alike > 0.999


def test_a_constant_stays_up_to_the_edge() -> None:
    geometry = RingGeometry(1, 20)
    matrix = RingFilter(geometry, 0.2).matrices(0.2, 1)[0]
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-5)


def test_bessel_functions_are_those_of_scipy() -> None:
    x = np.concatenate([[0.0, 1e-3], np.random.default_rng(3).uniform(0, 150, 40)])
    expected = scipy.special.jv(np.arange(80)[:, None], x)
    np.testing.assert_allclose(bessel_functions(80, x), expected, atol=1e-13)
