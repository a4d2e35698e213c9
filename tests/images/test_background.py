"""The noise around particles: measured past what is in the disc, and taken back to white."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
from numpy.typing import NDArray

from isac2.images.background import measure_background, recolour, whitening_weights
from isac2.images.filters import frequency_grid, tanh_low_pass
from isac2.images.masks import disc_mask
from isac2.images.preparation import PreparationParameters, plan_preparation, prepare_block

BOX, RADIUS, COUNT = 48, 14, 150


def power_at(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power of coloured noise, 9 at the lowest frequencies and 1 at the highest."""
    return np.asarray(1 + 8 / (1 + (frequency / 0.08) ** 2))


@pytest.fixture(scope="module")
def white() -> NDArray[np.float32]:
    return np.random.default_rng(3).standard_normal((COUNT, BOX, BOX), dtype=np.float32)


@pytest.fixture(scope="module")
def coloured(white: NDArray[np.float32]) -> NDArray[np.float32]:
    amplitudes = np.sqrt(power_at(frequency_grid(BOX)))
    images = scipy.fft.irfft2(scipy.fft.rfft2(white) * amplitudes, (BOX, BOX))
    return np.asarray(images, np.float32)


def test_white_noise_is_found_white(white: NDArray[np.float32]) -> None:
    found = measure_background(5 + 3 * white, RADIUS)
    assert found.images == COUNT
    assert found.colour(2.0) < 1.2
    assert abs(found.skewness) < 0.1
    # less at the lowest frequencies: the mean is taken out of each image
    np.testing.assert_allclose(found.spectrum[2:], 1.0, atol=0.12)


def test_the_colour_of_noise_is_found_whatever_is_in_the_disc(
    coloured: NDArray[np.float32],
) -> None:
    particle = 100 * disc_mask(BOX, RADIUS - 1)
    found = measure_background(coloured + particle.astype(np.float32), RADIUS)
    frequency = np.arange(BOX // 2 + 1) / BOX
    true = power_at(frequency) / np.mean(power_at(np.hypot(*np.mgrid[-24:24, -24:24] / BOX)))
    # the taper smoothes over 1 / RADIUS, and the mean is taken out of each image
    np.testing.assert_allclose(found.spectrum[3:], true[3:], rtol=0.12)
    assert 3.0 < found.colour(2.0) < 9.0


def test_what_few_images_have_around_them_does_not_count(white: NDArray[np.float32]) -> None:
    images = white.copy()
    images[::5] += 4 * tanh_low_pass(white[::5], 0.05, 0.2) / 0.05
    assert measure_background(images[::5], RADIUS).colour(2.0) > 5
    assert measure_background(images, RADIUS).colour(2.0) < 1.3


def test_neighbours_are_skewed_and_noise_is_not(coloured: NDArray[np.float32]) -> None:
    rng = np.random.default_rng(8)
    angle = rng.uniform(0, 2 * np.pi, COUNT)
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    away = np.hypot(x - 22 * np.cos(angle)[:, None, None], y - 22 * np.sin(angle)[:, None, None])
    dark = (-6.0 * (away < 5)).astype(np.float32)
    assert abs(measure_background(coloured, RADIUS).skewness) < 0.1
    assert measure_background(coloured + dark, RADIUS).skewness < -0.3


def test_images_without_noise_are_left_out(white: NDArray[np.float32]) -> None:
    images = white[:10].copy()
    images[1], images[2, 0, 0], images[3, 0, 0] = 7.0, np.nan, np.inf
    images[4], images[5, BOX // 2, BOX // 2] = np.inf, np.nan  # all of it, and inside the disc
    found = measure_background(images, RADIUS)
    assert found.images == 5
    np.testing.assert_array_equal(
        found.spectrum, measure_background(images[[0, 6, 7, 8, 9]], RADIUS).spectrum
    )
    nothing = measure_background(images[1:3], RADIUS)
    assert (nothing.images, nothing.colour(1.0), nothing.skewness) == (0, 1.0, 0.0)


def test_whitened_working_images_have_noise_half_way_to_white_and_averages_look_as_before(
    coloured: NDArray[np.float32],
) -> None:
    parameters = PreparationParameters(RADIUS, 10.0, 34)
    ratio = parameters.ratio
    weights = whitening_weights(measure_background(coloured, RADIUS).spectrum, ratio)
    no_shifts = np.zeros((COUNT, 2))
    plain, _ = prepare_block(coloured, no_shifts, plan_preparation(BOX, parameters))
    whitened, _ = prepare_block(coloured, no_shifts, plan_preparation(BOX, parameters, weights))
    before, after = (measure_background(images, 10).colour(1.0) for images in (plain, whitened))
    assert before > 2.5
    np.testing.assert_allclose(after, np.sqrt(before), rtol=0.15)  # half-way to white
    inside = disc_mask(34, 10)
    average, again = plain.mean(axis=0), recolour(whitened.mean(axis=0), weights, ratio)
    alike = np.corrcoef(average[inside], again[inside])[0, 1]
    untreated = np.corrcoef(average[inside], whitened.mean(axis=0)[inside])[0, 1]
    assert 1 - alike < 0.1 * (1 - untreated)


def test_what_is_fainter_than_usual_is_not_amplified() -> None:
    weights = whitening_weights(np.array([256.0, 81.0, 16.0, 1.0, 1.0, 1.0, 1.0, 0.01, 0.0]), 1.0)
    np.testing.assert_allclose(weights, [0.25, 1 / 3, 0.5, 1, 1, 1, 1, 1, 1])
