from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from isac2.clustering.assign import (
    assign_equal_sizes,
    assign_greedily,
    assign_largest_total,
)


def assign_by_sorting_all_pairs(
    similarity: NDArray[np.float32], group_size: int
) -> NDArray[np.int64]:
    """The rule as the specification words it, pair by pair."""
    n_images, n_references = similarity.shape
    values = np.where(np.isnan(similarity), -np.inf, similarity)
    group = np.full(n_images, -1, dtype=np.int64)
    count = np.zeros(n_references, dtype=np.int64)
    still_open = set(range(n_references))
    for pair in np.argsort(-values.T.ravel(), kind="stable"):
        reference, image = divmod(int(pair), n_images)
        if group[image] < 0 and reference in still_open:
            group[image] = reference
            count[reference] += 1
            if count[reference] >= group_size and len(still_open) > 1:
                still_open.remove(reference)
    return group


tables = st.tuples(st.integers(1, 24), st.integers(1, 6)).flatmap(
    lambda shape: hnp.arrays(
        np.float32,
        shape,
        # Few distinct values: ties are the hard case.
        elements=st.sampled_from([-np.inf, np.nan, -1.0, 0.0, 0.25, 0.5, 1.0])
        | st.floats(-1, 1, width=32),
    )
)


@given(tables, st.integers(1, 30), st.booleans())
@settings(max_examples=300, deadline=None)
def test_equals_sorting_all_pairs(
    similarity: NDArray[np.float32], size: int, use_quotient: bool
) -> None:
    n_images, n_references = similarity.shape
    group_size = max(1, n_images // n_references) if use_quotient else size
    assert np.array_equal(
        assign_greedily(similarity, group_size),
        assign_by_sorting_all_pairs(similarity, group_size),
    )


def test_golden(shared: Path) -> None:
    with np.load(shared / "golden" / "reference_vectors.npz") as vectors:
        similarity = vectors["assign_similarity"]  # (reference, image)
        expected = vectors["assign_group"]
    n_references, n_images = similarity.shape
    assert np.array_equal(assign_greedily(similarity.T, n_images // n_references), expected)


def test_last_open_group_takes_the_remainder() -> None:
    # Group 1 fills first (0.9, 0.8); group 0 is then the last open one and takes all three others.
    similarity = np.array(
        [[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.0, 0.6], [0.0, 0.5]], dtype=np.float32
    )
    assert assign_greedily(similarity, 2).tolist() == [1, 1, 0, 0, 0]


def test_missing_similarities_come_last() -> None:
    similarity = np.array([[np.nan, np.nan], [0.5, 0.1], [0.4, -np.inf]], dtype=np.float32)
    # Image 1 fills group 0; group 1 is the last open one, for the image with a number and for NaN.
    assert assign_greedily(similarity, 1).tolist() == [1, 0, 1]


def test_groups_have_equal_sizes() -> None:
    similarity = np.random.default_rng(3).random((1003, 10)).astype(np.float32)
    sizes = np.bincount(assign_greedily(similarity, 100), minlength=10)
    assert sorted(sizes.tolist()) == [100] * 9 + [103]


def test_room_for_all_leaves_everyone_with_the_favourite() -> None:
    similarity = np.random.default_rng(4).random((50, 3)).astype(np.float32)
    assert np.array_equal(assign_greedily(similarity, 50), similarity.argmax(axis=1))


@given(
    st.integers(1, 6),
    st.integers(1, 5),
    st.integers(0, 4),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_no_other_groups_are_more_similar(
    n_references: int, size: int, more: int, seed: int, with_ties: bool
) -> None:
    rng = np.random.default_rng(seed)
    n_images = n_references * size + min(more, n_references - 1)
    table = rng.normal(size=(n_images, n_references)).astype(np.float32)
    table = np.round(table) if with_ties else table
    group = assign_largest_total(table, size)
    counts = np.bincount(group, minlength=n_references)
    assert counts.min() >= size
    assert counts.sum() == n_images
    if n_images == n_references * size:
        # an image and a place in a group at a time: the optimum, slowly
        rows, places = linear_sum_assignment(-np.repeat(table, size, axis=1).astype(np.float64))
        best = table[rows, places // size].sum(dtype=np.float64)
        lost = best - table[np.arange(n_images), group].sum(dtype=np.float64)
        preference = (table.max(axis=1) - table.mean(axis=1)).mean()
        assert -1e-5 <= lost <= 1.01e-3 * max(preference, 1e-3 * np.ptp(table)) * n_images + 1e-6


def test_the_total_counts_not_who_is_first() -> None:
    # the most similar pair first: 0.9 and 0.1; together the others are more, 0.8 and 0.7
    table = np.array([[0.8, 0.1], [0.9, 0.7]], dtype=np.float32)
    assert assign_equal_sizes(table, 1, "total").tolist() == [0, 1]
    assert assign_equal_sizes(table, 1, "greedy").tolist() == [1, 0]


@pytest.mark.parametrize("nothing", [np.nan, -np.inf])
def test_what_is_no_number_is_the_least(nothing: float) -> None:
    table = np.array([[nothing, nothing], [0.5, 0.1], [0.4, nothing], [0.3, 0.2]], np.float32)
    group = assign_largest_total(table, 2)
    assert group[2] == 0  # known to be like 0 only
    assert np.bincount(group).tolist() == [2, 2]


def test_images_all_alike_still_fill_all_groups() -> None:
    group = assign_largest_total(np.ones((31, 3), np.float32), 10)
    assert sorted(np.bincount(group).tolist()) == [10, 10, 11]


def test_one_strong_reference_takes_no_more_than_its_share() -> None:
    table = np.random.default_rng(5).normal(size=(1000, 10)).astype(np.float32)
    table[:, 3] += 5.0
    group = assign_largest_total(table, 100)
    assert np.bincount(group).tolist() == [100] * 10
    # who it has loses most by going anywhere else
    others = np.delete(table, 3, axis=1).max(axis=1)
    gain = table[:, 3] - others
    assert np.median(gain[group == 3]) > np.median(gain[group != 3])


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1.0, 1e8, 1e30])
def test_groups_do_not_depend_on_the_unit(scale: float) -> None:
    table = np.random.default_rng(6).integers(-8, 9, size=(40, 4)).astype(np.float32)
    expected = table[np.arange(40), assign_largest_total(table, 10)].sum()
    group = assign_largest_total(table * np.float32(scale), 10)
    assert np.bincount(group).tolist() == [10] * 4
    assert table[np.arange(40), group].sum() == pytest.approx(expected, abs=0.04)


def test_a_reference_that_nobody_likes_is_filled_as_well() -> None:
    table = np.random.default_rng(7).normal(size=(200, 5)).astype(np.float32)
    table[:, 2] -= 100.0
    assert np.bincount(assign_largest_total(table, 40)).tolist() == [40] * 5


def test_refuses_groups_larger_than_all_images() -> None:
    with pytest.raises(ValueError, match="2 groups of 3 need more than 5 images"):
        assign_largest_total(np.zeros((5, 2), np.float32), 3)


@pytest.mark.parametrize("rule", ["total", "greedy"])
@pytest.mark.parametrize(("shape", "group_size"), [((4,), 1), ((4, 0), 1), ((4, 2), 0)])
def test_refuses_what_is_no_table(shape: tuple[int, ...], group_size: int, rule: str) -> None:
    with pytest.raises(ValueError, match=r"similarity|group_size"):
        assign_equal_sizes(np.zeros(shape, dtype=np.float32), group_size, rule)
