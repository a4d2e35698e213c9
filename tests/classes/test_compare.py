"""Classes matched between runs, and the particles on which runs agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isac2.classes.compare import compare_classifications, match_classes
from isac2.errors import InputError

ONE = np.array([0, 0, 0, 1, 1, 1, 2, 2, -1, -1])
TWO = np.array([1, 1, -1, 0, 0, 0, 0, -1, 1, -1])  # two classes, numbered the other way
THREE = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, -1])


def test_matching_by_hand() -> None:
    matched, shared = match_classes(ONE, TWO)
    assert matched.tolist() == [1, 0, -1]
    assert shared.tolist() == [0.5, 0.75, 0.0]


def test_the_matching_is_the_best_of_all_together() -> None:
    # class 0 shares most with partner 0, but then nothing would be left for class 1
    one = np.array([0] * 5 + [1] * 4)
    two = np.array([0, 0, 0, 1, 1, 0, 0, 0, 0])
    matched, _ = match_classes(one, two)
    assert matched.tolist() == [1, 0]


def test_particles_of_three_runs_by_hand() -> None:
    found = compare_classifications([ONE, TWO, THREE])
    assert found.runs == 3
    assert found.sizes.tolist() == [3, 3, 2]
    assert found.good_in.tolist() == [3, 3, 2, 3, 3, 3, 3, 2, 2, 0]
    # of particle 6 runs 1 and 3 say class 2; particle 8 is in classes 0 and 2, of which run 2's,
    # the earlier one, counts
    assert found.consensus.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 0, -1]
    assert found.same_in.tolist() == [3, 3, 2, 3, 3, 3, 2, 2, 1, 0]
    assert found.chosen(3).tolist() == [0, 1, 3, 4, 5, 6]
    assert found.chosen(3, same_class=True).tolist() == [0, 1, 3, 4, 5]
    np.testing.assert_allclose(found.reproducibility, [0.75, 0.875, (2 / 3) / 2])


def test_a_run_without_classes() -> None:
    found = compare_classifications([ONE, np.full(10, -1)])
    assert found.matched[1].tolist() == [-1, -1, -1]
    assert found.chosen(2).tolist() == []


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=40), st.permutations(range(5)))
def test_numbering_does_not_matter(labels: list[int], order: list[int]) -> None:
    first = np.array(labels)
    renamed = np.where(first < 0, -1, np.array(order)[first])
    found = compare_classifications([first, renamed])
    np.testing.assert_array_equal(found.consensus, first)
    np.testing.assert_array_equal(found.same_in, 2 * (first >= 0))
    used = np.unique(first[first >= 0])
    np.testing.assert_allclose(found.reproducibility[used], 1.0)


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="two runs or more"):
        compare_classifications([ONE])
    with pytest.raises(InputError, match="10 and 3 particles"):
        compare_classifications([ONE, ONE[:3]])
    with pytest.raises(InputError, match="give 1 to 2"):
        compare_classifications([ONE, TWO]).chosen(3)
