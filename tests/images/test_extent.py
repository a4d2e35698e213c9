from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.images.extent import centre_blobs, filament_width, particle_extent, ring_means

BOX, COUNT = 64, 120
OFFSET = np.arange(BOX) - BOX // 2


def noise(seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(COUNT, BOX, BOX)).astype(np.float32)


def discs(radius: float, centres: NDArray[np.float64]) -> NDArray[np.float32]:
    """Images of a bright disc in noise that is as strong as the disc."""
    x = OFFSET[None, None, :] - centres[:, 0, None, None]
    y = OFFSET[None, :, None] - centres[:, 1, None, None]
    return noise() + (np.hypot(x, y) <= radius).astype(np.float32)


def middles(reach: int) -> NDArray[np.float64]:
    return np.random.default_rng(2).integers(-reach, reach + 1, (COUNT, 2)).astype(np.float64)


def test_ring_means_count_every_pixel_of_a_ring_once() -> None:
    image = np.hypot(OFFSET[:, None], OFFSET[None, :])
    np.testing.assert_allclose(ring_means(image), np.arange(BOX // 2), atol=0.35)


@pytest.mark.parametrize("radius", [10, 15, 21])
def test_the_radius_of_discs_is_found(radius: int) -> None:
    extent = particle_extent(discs(radius, middles(0)))
    assert extent.least <= extent.radius <= extent.most
    assert extent.radius == pytest.approx(radius, rel=0.2)
    assert not extent.is_dark


def test_discs_off_the_middle_are_centred_first() -> None:
    centres = middles(5)
    images = discs(15, centres)
    found = centre_blobs(images)
    assert np.median(np.hypot(*(found - centres).T)) <= 1.5
    assert particle_extent(images).radius == pytest.approx(15, rel=0.2)


def test_dark_particles_are_known_as_such_and_measured() -> None:
    images = discs(15, middles(0))
    dark = particle_extent(-images)
    assert dark.is_dark
    assert dark.radius == pytest.approx(particle_extent(images).radius)


def test_the_longest_view_counts() -> None:
    """Half of the particles are seen along their axis, half of them from the side."""
    images = noise()
    angle = np.random.default_rng(3).uniform(0, np.pi, COUNT)[:, None, None]
    along = OFFSET[None, None, :] * np.cos(angle) + OFFSET[None, :, None] * np.sin(angle)
    across = OFFSET[None, :, None] * np.cos(angle) - OFFSET[None, None, :] * np.sin(angle)
    side = (along / 20) ** 2 + (across / 8) ** 2 <= 1
    side[::2] = np.hypot(OFFSET[:, None], OFFSET[None, :]) <= 8
    assert particle_extent(images + 2 * side).radius == pytest.approx(20, rel=0.25)


def test_neighbours_end_the_particle() -> None:
    """As in crowded micrographs: another disc beside each, at a distance of twice the radius."""
    angle = np.random.default_rng(4).uniform(0, 2 * np.pi, COUNT)
    beside = 28 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    images = discs(12, middles(0)) + discs(12, beside) - noise()
    assert particle_extent(images).radius == pytest.approx(12, rel=0.3)


def test_filaments_have_a_width() -> None:
    angles = np.random.default_rng(5).uniform(-180, 180, COUNT)
    turn = np.radians(angles)[:, None, None]
    across = OFFSET[None, :, None] * np.cos(turn) - OFFSET[None, None, :] * np.sin(turn)
    images = noise() + (np.abs(across) <= 7).astype(np.float32)
    width = filament_width(images, angles)
    assert 14 <= width <= 21  # with room for a mask
    # with the wrong directions there is no filament of that width
    assert filament_width(images, angles + 60) > 1.3 * width


def test_one_image_is_not_enough() -> None:
    with pytest.raises(ValueError, match="not enough"):
        particle_extent(noise()[:1])
