"""Power spectra and Fourier ring correlation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isac2.images.filters import tanh_response
from isac2.images.spectra import (
    RingCorrelation,
    fit_low_pass,
    fourier_ring_correlation,
    resolution_at,
    rotational_power_spectrum,
)


def curve_of(correlation: np.ndarray) -> RingCorrelation:
    frequency = np.linspace(0.0, 0.5, correlation.size)
    return RingCorrelation(frequency, correlation, np.ones(correlation.size))


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_the_power_spectrum_meets_the_established_implementation(shared: Path) -> None:
    golden = np.load(shared / "golden" / "reference_vectors.npz")
    spectrum = rotational_power_spectrum(golden["rops_input"])
    np.testing.assert_allclose(spectrum, golden["rops_output"], rtol=1e-4)


def test_ring_correlation_meets_the_established_implementation(shared: Path) -> None:
    golden = np.load(shared / "golden" / "reference_vectors.npz")
    curve = fourier_ring_correlation(golden["frc_a"], golden["frc_b"])
    frequency, correlation, count = golden["frc_output"]
    np.testing.assert_allclose(curve.frequency, frequency, atol=1e-6)
    np.testing.assert_allclose(curve.correlation, correlation, atol=1e-6)
    np.testing.assert_array_equal(curve.count, count)


@pytest.mark.parametrize("box", [32, 33])
def test_white_noise_has_a_flat_spectrum_of_the_right_level(box: int) -> None:
    spectrum = rotational_power_spectrum(noise(4, 400, box, box)).mean(axis=0)
    assert spectrum.shape == (box // 2 + 1,)
    # The mean of |F|^2 is n^2 for unit variance.
    np.testing.assert_allclose(spectrum * box**2 / 4.0, 1.0, atol=0.2)


def test_batches_are_treated_image_by_image() -> None:
    a, b = noise(5, 2, 3, 16, 16), noise(6, 2, 3, 16, 16)
    np.testing.assert_allclose(
        rotational_power_spectrum(a)[1, 2], rotational_power_spectrum(a[1, 2]), rtol=1e-6
    )
    np.testing.assert_allclose(
        fourier_ring_correlation(a, b).correlation[0, 1],
        fourier_ring_correlation(a[0, 1], b[0, 1]).correlation,
        atol=1e-12,
    )


@pytest.mark.parametrize("box", [15, 16])
def test_an_image_correlates_with_itself_and_against_its_negative(box: int) -> None:
    image = noise(7, box, box)
    np.testing.assert_allclose(fourier_ring_correlation(image, image).correlation, 1.0)
    np.testing.assert_allclose(fourier_ring_correlation(image, -image).correlation, -1.0)
    nothing = np.zeros_like(image)
    np.testing.assert_array_equal(fourier_ring_correlation(image, nothing).correlation, 0.0)


@given(st.floats(0.14, 0.38), st.floats(0.04, 0.2))
def test_the_fit_finds_the_filter_behind_a_clean_curve(cutoff: float, falloff: float) -> None:
    response = tanh_response(np.linspace(0.0, 0.5, 61), cutoff, falloff)
    fitted, _ = fit_low_pass(curve_of(response / (2.0 - response)))
    assert abs(fitted - cutoff) < 0.01


def test_the_fit_keeps_its_limits_and_ignores_what_comes_after_the_fall() -> None:
    ones, none = np.ones(39), np.full(39, -0.1)
    assert fit_low_pass(curve_of(ones))[0] == pytest.approx(0.4)
    cutoff, falloff = fit_low_pass(curve_of(none))
    assert cutoff == pytest.approx(0.12)
    assert 0.0 < falloff <= 0.2
    peak = np.where(np.arange(39) < 15, 1.0, 0.0)
    again = np.where(np.arange(39) > 30, 1.0, peak)
    assert fit_low_pass(curve_of(again)) == fit_low_pass(curve_of(peak))


def test_the_resolution_is_where_the_curve_first_falls() -> None:
    correlation = np.array([0.0, 1.0, 0.9, 0.1, 0.9, 0.0])
    assert resolution_at(curve_of(correlation), 0.5) == pytest.approx(0.25)
    assert resolution_at(curve_of(np.ones(6)), 0.5) == 0.5
    assert resolution_at(curve_of(np.zeros(6)), 0.5) == 0.0
