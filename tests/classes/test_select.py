"""Choosing classes: limits, class numbers, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from isac2.classes.select import Limits, class_table, classes_within, parse_numbers
from isac2.errors import InputError

HEADERS = [
    {"members": [5, 1, 3], "resolution": 10.0, "pixel_error": 0.5, "mirror_consistency": 1.0},
    {"members": np.int32(2), "resolution": 20.0, "pixel_error": 0.2, "mirror_consistency": 0.8},
    {"members": [0, 4], "pixel_error": 0.9, "mirror_consistency": 0.9},
]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), [True, True, True]),
        (Limits(minimum_size=2), [True, False, True]),
        (Limits(maximum_size=2), [False, True, True]),
        (Limits(maximum_resolution_in_angstroms=20.0), [True, True, False]),
        (Limits(maximum_pixel_error=0.5), [True, True, False]),
        (Limits(minimum_mirror_consistency=0.9), [True, False, True]),
        (Limits(minimum_size=2, maximum_pixel_error=0.5), [True, False, False]),
    ],
)
def test_limits(limits: Limits, expected: list[bool]) -> None:
    assert classes_within(class_table(HEADERS, "a.hdf"), limits, "a.hdf").tolist() == expected


def test_ids_are_ascending() -> None:
    table = class_table(HEADERS, "a.hdf")
    assert table.ids(np.array([True, False, True])).tolist() == [0, 1, 3, 4, 5]
    assert table.ids(np.zeros(3, bool)).tolist() == []


def test_what_is_not_known_is_no_limit() -> None:
    table = class_table([{"members": [0]}], "a.hdf")
    with pytest.raises(InputError, match="does not say the pixel error"):
        classes_within(table, Limits(maximum_pixel_error=1.0), "a.hdf")
    with pytest.raises(InputError, match="image 2 does not know its members"):
        class_table([{"members": [0]}, {}], "a.hdf")


@pytest.mark.parametrize("text", ["", "0", "9", "3-2", "a", "1,-2", "1-", "1.5", "²"])
def test_numbers_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="class"):
        parse_numbers(text, 8)
