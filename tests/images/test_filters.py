"""Low-pass filter and sub-pixel shift."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isac2.images.filters import fourier_shift, frequency_grid, tanh_low_pass, tanh_response


def test_the_low_pass_meets_the_established_implementation(shared: Path) -> None:
    golden = np.load(shared / "golden" / "reference_vectors.npz")
    for (cutoff, falloff), expected in zip(
        golden["tanh_params"], golden["tanh_output"], strict=True
    ):
        filtered = tanh_low_pass(golden["tanh_input"], cutoff, falloff)
        np.testing.assert_allclose(filtered, expected, atol=1e-5)


def test_the_shift_meets_the_established_implementation(shared: Path) -> None:
    golden = np.load(shared / "golden" / "reference_vectors.npz")
    images = np.stack([golden["apply_input"]] * 3)
    shifted = fourier_shift(images, golden["fshift_params"])
    np.testing.assert_allclose(shifted, golden["fshift_output"], atol=1e-5)


def test_frequencies_reach_nyquist_on_the_axes() -> None:
    grid = frequency_grid(6)
    assert grid.shape == (6, 4)
    assert grid[0, 3] == 0.5
    assert grid[3, 0] == 0.5
    assert grid[0, 0] == 0.0


@given(st.floats(0.05, 0.5), st.floats(0.02, 0.5))
def test_the_response_falls_from_one_through_a_half(cutoff: float, falloff: float) -> None:
    response = tanh_response(np.linspace(0.0, 0.5, 51), cutoff, falloff)
    assert np.all(np.diff(response) <= 1e-12)
    assert np.all((response >= 0.0) & (response <= 1.0))
    np.testing.assert_allclose(tanh_response(cutoff, cutoff, falloff), 0.5, atol=2e-3)


@pytest.mark.parametrize(("cutoff", "falloff"), [(0.0, 0.2), (0.2, 0.0), (-0.1, 0.2)])
def test_a_response_needs_positive_numbers(cutoff: float, falloff: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        tanh_response(0.1, cutoff, falloff)


def test_the_low_pass_keeps_the_mean() -> None:
    images = np.random.default_rng(1).normal(2.0, 1.0, (3, 8, 8)).astype(np.float32)
    filtered = tanh_low_pass(images, 0.2, 0.2)
    np.testing.assert_allclose(filtered.mean(axis=(1, 2)), images.mean(axis=(1, 2)), atol=1e-3)
    assert filtered.dtype == np.float32


@given(st.integers(-8, 8), st.integers(-8, 8), st.sampled_from([7, 8]))
def test_a_whole_shift_rolls_the_image(x: int, y: int, box: int) -> None:
    image = np.random.default_rng(2).normal(size=(box, box)).astype(np.float32)
    expected = np.roll(image, (y, x), axis=(0, 1))
    np.testing.assert_allclose(fourier_shift(image, (x, y)), expected, atol=1e-5)
