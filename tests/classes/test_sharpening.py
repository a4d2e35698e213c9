"""Adjusting power spectra: what comes out has the power that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
from numpy.typing import NDArray

from isac2.classes.sharpening import (
    Adjustment,
    adjust_power,
    estimate_b_factor,
    protein_power,
)
from isac2.errors import InputError
from isac2.images.filters import frequency_grid
from isac2.images.spectra import rotational_power_spectrum

BOX, PIXEL = 64, 2.0
RINGS = BOX // 2 + 1


def noise() -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((BOX, BOX)).astype(np.float32)


def test_nothing_is_adjusted() -> None:
    image = noise()
    same, b_factor = adjust_power(image, np.ones(RINGS), PIXEL, Adjustment("no_adjustment"))
    assert b_factor == 0.0
    assert same is image


def test_a_b_factor_is_found_and_undone() -> None:
    image, b_factor = noise(), 120.0
    damping = np.exp(-0.25 * b_factor * (frequency_grid(BOX) / PIXEL) ** 2)
    damped = scipy.fft.irfft2(scipy.fft.rfft2(image) * damping, (BOX, BOX)).astype(np.float32)
    sharp, found = adjust_power(damped, np.ones(RINGS), PIXEL, Adjustment("bfactor"))
    assert found == pytest.approx(b_factor, abs=12.0)
    power = rotational_power_spectrum(sharp)[4:-1]
    assert power.max() / power.min() < 2.5  # flat again; damped, it falls by a factor of 40
    given, applied = adjust_power(
        damped, np.ones(RINGS), PIXEL, Adjustment("bfactor", b_factor_in_square_angstroms=50.0)
    )
    assert applied == 50.0
    weaker, full = rotational_power_spectrum(given), rotational_power_spectrum(sharp)
    assert weaker[30] / weaker[3] < 0.5 * full[30] / full[3]


def test_a_b_factor_needs_rings() -> None:
    share = np.zeros(RINGS)
    assert estimate_b_factor(np.ones(RINGS), share, PIXEL, 45.0) == 0.0


def test_power_becomes_the_model_s_as_far_as_it_is_signal() -> None:
    share = np.linspace(1.0, 0.2, RINGS)
    image, _ = adjust_power(noise(), share, PIXEL, Adjustment())
    expected = protein_power(np.linspace(0, 0.5, RINGS) / PIXEL) * share
    ratio = (rotational_power_spectrum(image) / expected)[3:-1]
    assert ratio.max() / ratio.min() < 1.5


def test_a_table_of_power() -> None:
    table = np.linspace(2.0, 1.0, 5)
    image, _ = adjust_power(noise(), np.ones(RINGS), PIXEL, Adjustment("table", table=table))
    ratio = rotational_power_spectrum(image) / np.linspace(2.0, 1.0, RINGS)
    assert ratio[3:-1].max() / ratio[3:-1].min() < 1.3
    assert image.std() == pytest.approx(noise().std(), rel=1e-5)


def test_an_unknown_adjustment_is_refused() -> None:
    with pytest.raises(InputError, match="no such adjustment"):
        Adjustment("sharper")
