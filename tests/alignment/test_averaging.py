"""Averages less each part's own share, and translations without what all have in common."""

import numpy as np
import pytest

from isac2.alignment.backends.averaging import mean_of_others, take_out_drift
from isac2.alignment.rings import shift_grid


def test_a_part_sees_the_others_only_when_it_has_no_weight() -> None:
    total, own, out = np.array([11.0]), np.array([9.0], np.float32), np.empty(1, np.float32)

    def mean(own_weight: float, counts: tuple[int, int] = (5, 3)) -> float:
        mean_of_others(total, own, counts, own_weight, out)
        return float(out[0])

    assert mean(0.0) == 1.0  # (11 - 9) / (5 - 3)
    assert mean(0.5) == pytest.approx((11 - 4.5) / (5 - 1.5))
    assert mean(1.0) == pytest.approx(11 / 5)
    assert mean(0.0, (5, 5)) == pytest.approx(11 / 5)  # there are no others


def test_what_all_images_have_in_common_is_taken_out() -> None:
    shifts = shift_grid(1, 1, 1)
    move = np.array([[[1.0, 0.0]], [[1.0, 0.0]], [[1.0, 1.0]]])
    angle, mirror = np.zeros((3, 1)), np.zeros((3, 1), np.int8)
    found = np.zeros((3, 1), np.int64)
    take_out_drift(move, angle, mirror, shifts, found)
    # the mean is (1, 1/3): what is left is (0, -1/3) twice and (0, 2/3)
    assert shifts[found[:, 0]].tolist() == [[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]]


def test_the_drift_is_one_of_the_average_not_of_the_images() -> None:
    shifts = shift_grid(1, 1, 1)
    quarter = np.pi / 2
    # each image moved so that, turned or mirrored, it moves its average by +1 in x
    move = np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[-1.0, 0.0]]])
    angle, mirror = np.array([[0.0], [quarter], [0.0]]), np.array([[0], [0], [1]], np.int8)
    found = np.ones((3, 1), np.int64)
    take_out_drift(move, angle, mirror, shifts, found)
    assert found.ravel().tolist() == [0, 0, 0]
