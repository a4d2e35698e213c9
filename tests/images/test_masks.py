"""Discs and rectangles, pixel by pixel."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from isac2.images.masks import disc_mask, pixel_offsets, rectangle_mask


def test_offsets_are_from_the_pixel_right_of_the_middle() -> None:
    assert pixel_offsets(4).tolist() == [-2, -1, 0, 1]
    assert pixel_offsets(5).tolist() == [-2, -1, 0, 1, 2]


def test_the_disc_holds_its_rim() -> None:
    mask = disc_mask(11, 5)
    assert mask[5, 0]  # (-5, 0)
    assert mask[5 + 4, 5 + 3]  # 3, 4, 5
    assert not mask[5 + 4, 5 + 4]
    assert disc_mask(11, 0).sum() == 1


def test_rectangles_along_the_axes_and_the_diagonal() -> None:
    rows, columns, diagonal = rectangle_mask(9, 3, [0.0, 90.0, 45.0])
    assert rows[3:6].all()
    assert rows.sum() == 27
    np.testing.assert_array_equal(columns, rows.T)
    # (x, y) = (1, 1) direction, y down the rows: the main diagonal of the array.
    assert np.diag(diagonal).all()
    assert not diagonal[0, 8]


@given(st.floats(-360.0, 360.0), st.floats(1.0, 20.0))
def test_a_rectangle_is_the_same_for_the_opposite_angle(angle: float, width: float) -> None:
    mask = rectangle_mask(33, width, angle)
    np.testing.assert_array_equal(mask, rectangle_mask(33, width, angle + 180.0))
    np.testing.assert_array_equal(mask, mask[::-1, ::-1])
