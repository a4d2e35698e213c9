"""Pre-alignment finds where the particles lie."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.alignment.prealignment import PreAlignment, pre_align, search_stages
from isac2.images.filters import fourier_shift
from isac2.run.parallel import open_workers
from isac2.workers import SerialWorkers

BOX, RADIUS, COUNT = 48, 14, 60


def off_centre(shifts: NDArray[np.float64], noise: float) -> NDArray[np.float32]:
    """Round particles with a feature each, shifted, with noise."""
    offset = np.arange(BOX) - BOX // 2
    distance = np.hypot(offset[:, None], offset)
    disc = 1 / (1 + np.exp(distance - 0.8 * RADIUS))
    generator = np.random.default_rng(1)
    images = np.empty((len(shifts), BOX, BOX), np.float32)
    for image in images:
        angle = generator.uniform(0, 2 * np.pi)
        x, y = 6 * np.cos(angle), 6 * np.sin(angle)
        lump = np.exp(-((offset[:, None] - y) ** 2 + (offset - x) ** 2) / 10)
        image[:] = disc + lump
    moved = fourier_shift(images, shifts)
    return moved + noise * generator.normal(size=images.shape).astype(np.float32)


@pytest.fixture(scope="module")
def shifts() -> NDArray[np.float64]:
    return np.random.default_rng(2).uniform(-4, 4, (COUNT, 2))


def find(shifts: NDArray[np.float64], threads: int) -> PreAlignment:
    images = off_centre(shifts, 1.0)
    if threads == 1:
        return pre_align(images, np.arange(COUNT), RADIUS, -1, SerialWorkers())
    with open_workers(threads) as workers:
        return pre_align(images, np.arange(COUNT), RADIUS, -1, workers)


def test_known_shifts_are_found(shifts: NDArray[np.float64]) -> None:
    error = find(shifts, 1).centres - shifts
    error -= error.mean(axis=0)
    assert error.std(axis=0).max() < 0.8


def test_threads_do_not_change_a_bit(shifts: NDArray[np.float64]) -> None:
    one, two = find(shifts, 1), find(shifts, 2)
    np.testing.assert_array_equal(two.centres, one.centres)
    np.testing.assert_array_equal(two.averages, one.averages)


def test_images_that_are_not_aligned_keep_their_centre(shifts: NDArray[np.float64]) -> None:
    images = off_centre(shifts, 1.0)
    rows = np.arange(0, COUNT, 2)
    centres = pre_align(images, rows, RADIUS, -1, SerialWorkers()).centres
    np.testing.assert_array_equal(centres[1::2], 0.0)
    assert (np.abs(centres[rows]).max(axis=1) > 0).mean() > 0.9


def test_stages_narrow_down() -> None:
    assert search_stages(128, 29) == [(32, 8), (16, 4), (8, 2), (4, 1)]
    assert search_stages(61, 29) == [(0, 1)]
