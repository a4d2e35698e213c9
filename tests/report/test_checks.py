from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.report.checks import bright_centre, is_off_centre, share_at_the_edge, touches_the_edge


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
