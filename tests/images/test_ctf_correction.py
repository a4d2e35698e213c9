"""Full CTF correction: images that the CTF has spoilt come back as they were."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from isac2.images.ctf import CtfParameters, ctf_2d
from isac2.images.ctf_correction import (
    CtfSums,
    ctf_in_poses,
    divide_by_ctf,
    ring_means,
    weigh_by_ctf,
)
from isac2.images.transform import apply_poses
from isac2.poses import make_poses

BOX, PIXEL = 48, 3.0


def some_ctf(count: int, astigmatism: float = 0.0) -> CtfParameters:
    defocus = np.linspace(8000.0, 16000.0, count)
    full = np.ones(count)
    return CtfParameters(
        defocus, defocus - astigmatism, 25 * full, 300 * full, 2.7 * full, 0.1 * full, 0 * full
    )


def blob() -> NDArray[np.float32]:
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    image = np.exp(-((x - 3) ** 2 + y**2) / 6) - 0.5 * np.exp(-(x**2 + (y + 4) ** 2) / 10)
    return np.asarray(image, dtype=np.float32)


def test_weighing_is_the_product_with_the_ctf_on_twice_the_box() -> None:
    ctf, image = some_ctf(2, 1000.0), np.stack([blob(), -blob()])
    spectra = scipy.fft.rfft2(image, (2 * BOX, 2 * BOX)) * ctf_2d(2 * BOX, PIXEL, ctf)
    expected = scipy.fft.irfft2(spectra, (2 * BOX, 2 * BOX))[:, :BOX, :BOX]
    np.testing.assert_allclose(weigh_by_ctf(image, ctf, PIXEL), expected, atol=1e-5)


def test_an_image_flipped_before_is_weighed_by_the_magnitude() -> None:
    ctf, image = some_ctf(1), blob()[None]
    spectra = scipy.fft.rfft2(image, (2 * BOX, 2 * BOX)) * np.abs(ctf_2d(2 * BOX, PIXEL, ctf))
    expected = scipy.fft.irfft2(spectra, (2 * BOX, 2 * BOX))[:, :BOX, :BOX]
    flipped = np.array([True])
    np.testing.assert_allclose(weigh_by_ctf(image, ctf, PIXEL, flipped), expected, atol=1e-5)


def test_the_correction_undoes_the_ctf() -> None:
    ctf, image = some_ctf(12), np.repeat(blob()[None], 12, axis=0)
    spectra = scipy.fft.rfft2(image, (2 * BOX, 2 * BOX)) * ctf_2d(2 * BOX, PIXEL, ctf)
    spoilt = scipy.fft.irfft2(spectra, (2 * BOX, 2 * BOX))[:, :BOX, :BOX].astype(np.float32)
    sums = CtfSums.zeros(1, BOX)
    sums.add(spoilt, ctf, PIXEL, np.zeros(12, np.int64))
    found = divide_by_ctf(sums, np.full(2, 1e-2))[0]
    # the lowest frequencies, which the CTF nearly removes, come back only in part
    middle = slice(8, -8)
    assert np.corrcoef(found[middle, middle].ravel(), blob()[middle, middle].ravel())[0, 1] > 0.99


def test_astigmatism_turns_with_the_image() -> None:
    poses = make_poses([35.0, -80.0], 0.0, 0.0, [0, 1])
    ctf = some_ctf(2, 6000.0)
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    dot = np.repeat(np.exp(-(x**2 + y**2) / 3.0)[None], 2, axis=0).astype(np.float32)
    moved_after = apply_poses(weigh_by_ctf(dot, ctf, PIXEL), poses)
    moved_before = weigh_by_ctf(dot, ctf_in_poses(ctf, poses), PIXEL)
    not_moved = weigh_by_ctf(dot, ctf, PIXEL)

    def likeness(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
        middle = slice(12, -12)
        return float(np.corrcoef(one[middle, middle].ravel(), two[middle, middle].ravel())[0, 1])

    for after, before, same in zip(moved_after, moved_before, not_moved, strict=True):
        assert likeness(after, before) > 0.99 > 0.95 > likeness(after, same)


def test_sums_are_of_weighed_transforms_and_squares_by_group() -> None:
    ctf, groups = some_ctf(3, 500.0), np.array([0, 1, 0])
    images = np.random.default_rng(1).normal(size=(3, 8, 8)).astype(np.float32)
    flipped = np.array([False, False, True])
    sums = CtfSums.zeros(2, 8)
    sums.add(images, ctf, PIXEL, groups, flipped)
    c = ctf_2d(16, PIXEL, ctf).astype(np.float64)
    c[2] = np.abs(c[2])
    weighed = scipy.fft.rfft2(images.astype(np.float64), (16, 16)) * c
    np.testing.assert_allclose(sums.weighed, [weighed[0] + weighed[2], weighed[1]], atol=1e-4)
    np.testing.assert_allclose(sums.squares, [c[0] ** 2 + c[2] ** 2, c[1] ** 2], atol=1e-5)


def test_sums_do_not_depend_on_how_many_images_come_at_once() -> None:
    ctf, groups = some_ctf(7, 500.0), np.arange(7) % 2
    images = np.random.default_rng(1).normal(size=(7, 96, 96)).astype(np.float32)
    once, parted = CtfSums.zeros(2, 96), CtfSums.zeros(2, 96)
    once.add(images, ctf, PIXEL, groups)
    for rows in (slice(0, 1), slice(1, 6), slice(6, 7)):
        parted.add(images[rows], ctf[rows], PIXEL, groups[rows])
    assert once.weighed.tobytes() == parted.weighed.tobytes()
    assert once.squares.tobytes() == parted.squares.tobytes()


def test_means_on_rings() -> None:
    values = np.zeros((4, 3))
    values[0, 1] = 3.0  # on ring 1 with (1, 0), (3, 0) and (1, 1), (3, 1), which are at 1.41
    assert ring_means(values).round(3).tolist() == [0.0, 0.75, 0.0]
