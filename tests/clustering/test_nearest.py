"""The sparse table of similarities against the whole one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isac2.alignment.search import search
from isac2.clustering import nearest
from isac2.clustering.nearest import nearest_averages, similarity_of_pairs
from isac2.clustering.sac import search_space
from isac2.workers import SerialWorkers


def test_it_is_the_best_of_the_whole_table_whatever_the_blocks(
    known: Any, parameters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "_MOST_IMAGES", 7)
    monkeypatch.setattr(nearest, "_FEWEST_IMAGES", 1)
    rows, space, workers = np.arange(20), search_space(parameters), SerialWorkers()
    centres = np.zeros((20, 2))
    whole = search(known.images, rows, centres, known.shapes, space, workers)
    found = nearest_averages(known.images, rows, centres, known.shapes, 2, space, workers)
    order = np.argsort(-whole, axis=1)[:, :2]
    np.testing.assert_array_equal(found.index, order)
    np.testing.assert_allclose(found.similarity, np.take_along_axis(whole, order, axis=1))


def test_a_pair_of_averages_is_as_similar_as_in_the_whole_table(
    known: Any, parameters: Any
) -> None:
    space, workers = search_space(parameters), SerialWorkers()
    each = np.arange(4)
    whole = search(known.shapes, each, np.zeros((4, 2)), known.shapes, space, workers)
    first, second = np.array([0, 3, 0]), np.array([1, 2, 1])
    found = similarity_of_pairs(known.shapes, first, second, space, workers)
    np.testing.assert_allclose(found, whole[first, second], rtol=0.05)
