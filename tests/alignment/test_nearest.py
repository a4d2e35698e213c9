"""The sparse table of similarities against the whole one."""

from __future__ import annotations

import numpy as np
import pytest

from isac2.alignment.backends import cpu
from isac2.alignment.nearest import nearest_references, similarity_of_pairs
from isac2.alignment.search import search
from isac2.alignment.space import SearchSpace
from isac2.workers import SerialWorkers

WORKERS, SPACE = SerialWorkers(), SearchSpace(12)
GENERATOR = np.random.default_rng(5)
REFERENCES = GENERATOR.normal(size=(4, 32, 32)).astype(np.float32)
IMAGES = (REFERENCES[np.arange(20) % 4] + GENERATOR.normal(size=(20, 32, 32))).astype(np.float32)
ROWS, CENTRES = np.arange(20), np.zeros((20, 2))


def _whole(sign: int = 1) -> np.ndarray:
    return search(IMAGES, ROWS, CENTRES, sign * REFERENCES, SPACE, WORKERS)


def test_it_is_the_largest_of_the_whole_table_whatever_the_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cpu, "images_a_block", 7)
    whole = _whole()
    found = nearest_references(IMAGES, ROWS, CENTRES, REFERENCES, 2, SPACE, WORKERS)
    order = np.argsort(-whole, axis=1)[:, :2]
    np.testing.assert_array_equal(found.index, order)
    np.testing.assert_allclose(found.similarity, np.take_along_axis(whole, order, axis=1))
    opposite = _whole(-1)[ROWS, order[:, 0]]
    np.testing.assert_allclose(found.against, opposite, rtol=1e-4)
    assert np.isneginf(found.own).all()
    assert np.isneginf(found.against_own).all()


def test_what_is_an_image_s_own_is_told_apart() -> None:
    own = np.array([0, 1, 2, -1] * 5)
    whole, opposite, has_own = _whole(), _whole(-1), own >= 0
    found = nearest_references(IMAGES, ROWS, CENTRES, REFERENCES, 9, SPACE, WORKERS, own)
    assert found.index.shape == (20, 4)
    np.testing.assert_allclose(found.own[has_own], whole[has_own, own[has_own]])
    np.testing.assert_allclose(
        found.against_own[has_own], opposite[has_own, own[has_own]], rtol=1e-4
    )
    assert np.isneginf(found.own[~has_own]).all()
    whole[has_own, own[has_own]] = -np.inf
    order = np.argsort(-whole, axis=1, kind="stable")
    np.testing.assert_array_equal(found.index, order)
    np.testing.assert_allclose(found.similarity, np.take_along_axis(whole, order, axis=1))


def test_of_no_images_nothing_is_found() -> None:
    found = nearest_references(IMAGES, ROWS[:0], CENTRES[:0], REFERENCES, 2, SPACE, WORKERS)
    assert found.index.shape == found.similarity.shape == (0, 2)


def test_a_pair_of_averages_is_as_similar_as_in_the_whole_table() -> None:
    each = np.arange(4)
    whole = search(REFERENCES, each, np.zeros((4, 2)), REFERENCES, SPACE, WORKERS)
    first, second = np.array([0, 3, 0, 1]), np.array([1, 2, 1, 0])
    found = similarity_of_pairs(REFERENCES, first, second, SPACE, WORKERS)
    np.testing.assert_allclose(
        found, whole[np.minimum(first, second), np.maximum(first, second)], rtol=0.05
    )
    assert found[0] == found[2] == found[3]
