from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.report.checks import (
    bright_centre,
    has_rings,
    is_off_centre,
    ring_share,
    share_at_the_edge,
    touches_the_edge,
)


def blobs(places: list[tuple[int, int]]) -> NDArray[np.float32]:
    """One average a place, with a small blob there."""
    y, x = np.mgrid[-20:20, -20:20]
    return np.array(
        [np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8.0) for px, py in places], dtype=np.float32
    )


@pytest.mark.parametrize("place", [(0, 0), (3, 0), (0, -4), (-5, 2)])
def test_bright_centre_is_where_the_blob_is(place: tuple[int, int]) -> None:
    centre = bright_centre(blobs([place]), 16.0)[0]
    np.testing.assert_allclose(centre, place, atol=0.02)


def test_bright_centre_does_not_depend_on_brightness() -> None:
    images = blobs([(3, 1)])
    np.testing.assert_allclose(
        bright_centre(5 * images - 2, 16.0), bright_centre(images, 16.0), atol=1e-5
    )


def test_off_centre_begins_at_a_quarter_of_the_radius() -> None:
    images = blobs([(0, 0), (3, 0), (5, 0)])
    assert is_off_centre(images, 16.0).tolist() == [False, False, True]


def test_a_ring_at_the_rim_touches_the_edge() -> None:
    y, x = np.mgrid[-20:20, -20:20]
    ring = np.exp(-((np.hypot(x, y) - 15.5) ** 2)).astype(np.float32)
    images = np.stack([blobs([(0, 0)])[0], ring])
    assert touches_the_edge(images, 16.0).tolist() == [False, True]
    assert share_at_the_edge(images, 16.0)[1] > 0.9


def test_a_blank_average_is_neither() -> None:
    blank = np.zeros((1, 40, 40), dtype=np.float32)
    assert not is_off_centre(blank, 16.0).any()
    assert not touches_the_edge(blank, 16.0).any()


def test_a_target_has_rings_and_a_blob_or_noise_has_none() -> None:
    y, x = np.mgrid[-20:20, -20:20]
    distance = np.hypot(x, y)
    target = np.cos(2 * np.pi * distance / 6).astype(np.float32)
    noise = np.random.default_rng(1).normal(size=(40, 40)).astype(np.float32)
    images = np.stack([target, noise, blobs([(0, 0)])[0], target.T + noise, 0.1 * target + noise])
    shares = ring_share(images, 16.0)
    assert shares[0] > 0.5
    assert shares[1] < 0.1
    assert has_rings(images[[0, 1, 3, 4]], 16.0).tolist() == [True, False, True, False]


def test_what_is_beside_the_centre_is_no_ring() -> None:
    assert not has_rings(blobs([(6, 0), (0, -8)]), 16.0).any()
    assert ring_share(np.zeros((1, 40, 40), np.float32), 16.0).tolist() == [0.0]
