"""Eigenimages of images whose differences are known."""

from __future__ import annotations

import numpy as np
import pytest

from isac2.classes.eigenimages import find_eigenimages


def test_two_ways_to_differ() -> None:
    random = np.random.default_rng(1)
    first, second = np.zeros((2, 6, 6))
    first[1, 1], second[4, 4] = 1.0, 1.0
    a, b = random.standard_normal(50) * 3, random.standard_normal(50)
    images = (5.0 + a[:, None, None] * first + b[:, None, None] * second).astype(np.float32)
    found = find_eigenimages(images, np.ones((6, 6), bool), 2)
    assert found.share.sum() == pytest.approx(1.0, abs=1e-5)
    assert np.abs(found.images[0, 1, 1]) == pytest.approx(a.std(ddof=1), rel=0.02)
    assert np.abs(found.images[1, 4, 4]) == pytest.approx(b.std(ddof=1), rel=0.02)
    assert np.abs(np.corrcoef(found.factors[:, 0], a)[0, 1]) > 0.99
    # average and factors give the members back
    restored = images.mean(axis=0) + np.tensordot(found.factors, found.images, 1)
    np.testing.assert_allclose(restored, images, atol=1e-4)


def test_outside_the_mask_there_is_nothing() -> None:
    images = np.random.default_rng(2).standard_normal((9, 6, 6)).astype(np.float32)
    mask = np.zeros((6, 6), bool)
    mask[2:4, 2:4] = True
    found = find_eigenimages(images, mask, 9)
    assert len(found.images) == 4
    assert not found.images[:, ~mask].any()


def test_one_member_has_no_eigenimage() -> None:
    found = find_eigenimages(np.zeros((1, 4, 4), np.float32), np.ones((4, 4), bool), 3)
    assert found.images.shape == (0, 4, 4)
    assert found.factors.shape == (1, 0)
