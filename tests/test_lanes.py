"""Sixteen numbers side by side do what sixteen numbers do one by one."""

import numba
import numpy as np

from isac2.lanes import LANES, products, transpose


@numba.njit
def _turn(source: np.ndarray, stride: int, target: np.ndarray, step: int) -> None:
    transpose(source, 3, stride, target, 2, step)


@numba.njit
def _multiply(
    samples: np.ndarray, matrix: np.ndarray, rows: int, target: np.ndarray, step: int
) -> None:
    others = samples.size // LANES - rows
    products(samples, 0, rows, rows * LANES, others, matrix, 8, target, 1, step)


def test_a_square_is_turned_where_it_lies() -> None:
    source = np.arange(3 + 20 * LANES, dtype=np.float32)
    target = np.full(2 + 18 * LANES, -1, np.float32)
    _turn(source, 20, target, 18)
    square = np.stack([source[3 + 20 * n : 3 + 20 * n + LANES] for n in range(LANES)])
    expected = np.full_like(target, -1)
    for n in range(LANES):
        expected[2 + 18 * n : 2 + 18 * n + LANES] = square[:, n]
    np.testing.assert_array_equal(target, expected)


def test_products_of_two_kinds_lie_side_by_side_for_each_image() -> None:
    rng = np.random.default_rng(7)
    samples = rng.integers(-3, 4, (9, LANES)).astype(np.float32)
    matrix = rng.integers(-3, 4, (10, 8)).astype(np.float32)
    target = np.zeros(1 + 17 * LANES, np.float32)
    _multiply(samples.ravel(), matrix.ravel(), 5, target, 17)
    found = np.stack([target[1 + 17 * n : 1 + 17 * n + LANES] for n in range(LANES)])
    np.testing.assert_array_equal(found[:, :8], samples[:5].T @ matrix[1:6])
    np.testing.assert_array_equal(found[:, 8:], samples[5:].T @ matrix[6:])


def test_no_vectors_make_no_products() -> None:
    target = np.ones(1 + 17 * LANES, np.float32)
    _multiply(np.zeros(0, np.float32), np.zeros(16, np.float32), 0, target, 17)
    assert not target[1:17].any()
