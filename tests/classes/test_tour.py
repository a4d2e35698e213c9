from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from isac2.classes.tour import find_tour, tour_similarity


def random_table(seed: int, count: int) -> NDArray[np.float64]:
    table = np.random.default_rng(seed).normal(size=(count, count))
    return table + table.T


@given(st.integers(0, 10_000), st.integers(4, 7))
@settings(max_examples=40, deadline=None)
def test_small_tours_are_the_best_there_are(seed: int, count: int) -> None:
    table = random_table(seed, count)
    best = max(
        tour_similarity(table, np.array((0, *rest))) for rest in permutations(range(1, count))
    )
    assert tour_similarity(table, find_tour(table)) == pytest.approx(best)


@pytest.mark.parametrize("count", [4, 5, 17, 120])
def test_finds_a_ring(count: int) -> None:
    """Points on a circle, shuffled: the best tour goes round it."""
    place = np.random.default_rng(count).permutation(count)
    angle = 2 * np.pi * place / count
    tour = find_tour(np.cos(angle[:, np.newaxis] - angle))
    steps = np.abs(np.diff(place[np.append(tour, tour[0])]))
    assert set(np.minimum(steps, count - steps)) == {1}


def test_visits_everything_once_and_starts_at_item_zero() -> None:
    tour = find_tour(random_table(1, 60))
    assert sorted(tour.tolist()) == list(range(60))
    assert tour[0] == 0
    assert tour[1] < tour[-1]


def test_is_better_than_chance_and_greed() -> None:
    points = np.random.default_rng(2).random((200, 2))
    closeness = -np.hypot(*(points[:, np.newaxis] - points).transpose(2, 0, 1))
    # The shortest tour through many random points is about 0.7124 sqrt(count area) long, a little
    # more for few (Johnson and McGeoch, 1997); going to the nearest is 25 % longer.
    assert -tour_similarity(closeness, find_tour(closeness)) < 0.80 * np.sqrt(200)


def test_the_same_table_gives_the_same_tour_in_any_type() -> None:
    table = random_table(3, 50).astype(np.float32)
    assert np.array_equal(find_tour(table), find_tour(table.astype(np.float64)))


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_there_is_one_tour_of_three_or_fewer(count: int) -> None:
    assert find_tour(np.zeros((count, count))).tolist() == list(range(count))


@pytest.mark.parametrize("table", [np.zeros((3, 4)), np.zeros(3), np.full((4, 4), np.nan)])
def test_refuses_what_is_no_table_of_numbers(table: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="similarity must be"):
        find_tour(table)
