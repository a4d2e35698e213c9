"""Centring an average by each of the seven methods."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.alignment.centring import centre_average
from isac2.images.ctf import CtfParameters, ctf_2d
from isac2.images.filters import fourier_shift, tanh_low_pass
from isac2.images.masks import disc_mask, pixel_offsets
from isac2.simulate.molecule import built_in_molecule

BOX, RADIUS = 64, 12.0


def soft_disc(x: float, y: float, hollow: bool = False) -> NDArray[np.float32]:
    """A particle at (x, y): a disc with a soft rim, with a hole in the middle when hollow."""
    offset = pixel_offsets(BOX)
    distance = np.hypot(offset[None, :] - x, offset[:, None] - y)
    disc = 1.0 / (1.0 + np.exp(2.0 * (distance - RADIUS)))
    if hollow:
        disc -= 0.9 * np.exp(-(distance**2) / 18.0)
    return disc.astype(np.float32)


@pytest.mark.parametrize("method", [1, 4, 5, 6, 7])
@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (5.0, -3.0), (-6.3, 2.6)])
def test_a_disc_is_brought_to_the_centre(method: int, x: float, y: float) -> None:
    dx, dy = centre_average(soft_disc(x, y), method, RADIUS)
    assert dx == pytest.approx(-x, abs=0.7)
    assert dy == pytest.approx(-y, abs=0.7)


@pytest.mark.parametrize("method", [1, 2, 5, 6])
def test_a_compact_blob_is_brought_to_the_centre(method: int) -> None:
    offset = pixel_offsets(BOX)
    squared = (offset[None, :] - 4.0) ** 2 + (offset[:, None] + 7.0) ** 2
    dx, dy = centre_average(np.exp(-squared / 18.0).astype(np.float32), method, RADIUS)
    assert dx == pytest.approx(-4.0, abs=0.3)
    assert dy == pytest.approx(7.0, abs=0.3)


@pytest.mark.parametrize("method", [1, 3, 4, 5])
def test_a_hollow_particle_is_brought_to_the_centre(method: int) -> None:
    dx, dy = centre_average(soft_disc(-4.0, 5.0, hollow=True), method, RADIUS)
    assert dx == pytest.approx(4.0, abs=0.7)
    assert dy == pytest.approx(-5.0, abs=0.7)


@functools.cache
def simulated_average(
    apix: float, phase_flipped: bool, views: tuple[int, ...]
) -> NDArray[np.float32]:
    """A pseudo-atomic molecule seen along some axes, in all quarter turns, in a box of 82."""
    density = built_in_molecule("complex", 82, apix).density
    sums = [density.sum(axis=axis) for axis in views]
    turned = [
        np.roll(np.rot90(view, turn), (turn in (1, 2), turn > 1), (0, 1))
        for view in sums
        for turn in range(4 if len(views) > 1 else 1)
    ]
    average = np.mean(turned, axis=0)
    if phase_flipped:
        values = (15000.0, 15500.0, 30.0, 300.0, 2.7, 0.1, 0.0)
        ctf = ctf_2d(82, apix, CtfParameters(*(np.array([value]) for value in values)))[0]
        average = np.fft.irfft2(np.fft.rfft2(average) * np.abs(ctf), average.shape)
    return tanh_low_pass(average.astype(np.float32), 0.2, 0.2)


def distances_from_centre(average: NDArray[np.float32], method: int, radius: float) -> list[float]:
    """How far off an average is left that is moved about, in a little noise."""
    rng = np.random.default_rng(3)
    left = []
    for shift in rng.uniform(-9.0, 9.0, (6, 2)):
        noise = rng.normal(0.0, 0.1 * average.std(), average.shape).astype(np.float32)
        found = centre_average(fourier_shift(average, shift) + noise, method, radius)
        left.append(float(np.hypot(*(shift + found))))
    return left


# The molecule's radius is 75 A: at 2.6 A / px it fills its disc of 29 pixels, at 8 A a third of it.
CENTRED_WITHIN_TWO_PIXELS = [
    *[(method, apix) for method in (1, 4, 5, 6, 7) for apix in (2.6, 5.0, 8.0)],
    (2, 10.0),  # looks for a spot: only a particle of that size is centred by it
    (3, 3.4),  # looks for a hollow or a body of some fifteen pixels
]


@pytest.mark.parametrize("views", [(0, 1, 2), (0,)])
@pytest.mark.parametrize("phase_flipped", [False, True])
@pytest.mark.parametrize(("method", "apix"), CENTRED_WITHIN_TWO_PIXELS)
def test_a_simulated_average_is_brought_to_the_centre(
    method: int, apix: float, phase_flipped: bool, views: tuple[int, ...]
) -> None:
    average = simulated_average(apix, phase_flipped, views)
    assert max(distances_from_centre(average, method, 29.0)) < 2.0


@pytest.mark.parametrize("method", range(1, 8))
def test_noise_and_background_do_not_move_the_answer_much(method: int) -> None:
    noise = np.random.default_rng(11).normal(0.0, 0.1, (BOX, BOX))
    image = (soft_disc(3.0, 4.0, hollow=method == 3) + noise + 10.0).astype(np.float32)
    dx, dy = centre_average(image, method, RADIUS)
    assert np.hypot(dx + 3.0, dy + 4.0) < (9.0 if method == 2 else 1.5)


@pytest.mark.parametrize("method", range(1, 8))
def test_the_answer_moves_with_the_image(method: int) -> None:
    lopsided = soft_disc(0.0, 0.0) + np.float32(0.5) * soft_disc(5.0, 2.0)
    here_x, here_y = centre_average(lopsided, method, RADIUS)
    moved = fourier_shift(lopsided, (6.0, -4.0))
    x, y = centre_average(moved, method, RADIUS)
    tolerance = 0.7 if method == 5 else 0.05
    np.testing.assert_allclose((x - here_x, y - here_y), (-6.0, 4.0), atol=tolerance)


@pytest.mark.parametrize("method", range(1, 8))
def test_an_image_without_features_stays(method: int) -> None:
    assert centre_average(np.full((16, 16), 2.0, np.float32), method, 5.0) == (0.0, 0.0)


def test_features_finer_than_the_smoothing_still_count() -> None:
    image = np.zeros((BOX, BOX), np.float32)
    image[BOX // 2 + 3, BOX // 2 - 2] = 1.0
    dx, dy = centre_average(image, 7, 0.5)
    assert (round(dx), round(dy)) == (2, -3)


@pytest.mark.parametrize("method", [0, -1, 8])
def test_other_methods_are_refused(method: int) -> None:
    with pytest.raises(ValueError, match="no centring method"):
        centre_average(disc_mask(8, 2).astype(np.float32), method, 2.0)
