"""Resampling: exact in scale and centre, no aliasing; cropping and padding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isac2.images.filters import fourier_shift
from isac2.images.masks import pixel_offsets
from isac2.images.resample import crop_or_pad, resample, resampled_box


def gaussian(box: int, x: float, y: float, sigma: float) -> np.ndarray:
    offset = pixel_offsets(box)
    squared = (offset[None, :] - x) ** 2 + (offset[:, None] - y) ** 2
    return np.exp(-squared / (2 * sigma**2)).astype(np.float32)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_resampling_meets_the_established_implementation(shared: Path, number: int) -> None:
    golden = np.load(shared / "golden" / "reference_vectors.npz")
    ratio = float(golden["resample_ratios"][number])
    expected = golden[f"resample_output_{number}"]
    resampled = resample(golden["resample_input"], ratio)
    assert resampled.shape == expected.shape
    if ratio < 1.0:
        # When shrinking, the established one keeps the first pixel in place, not the centre.
        drift = 75 * ratio - resampled.shape[0] // 2
        resampled = fourier_shift(resampled, (drift, drift))
    assert np.corrcoef(resampled.ravel(), expected.ravel())[0, 1] > 0.9999


@given(
    st.sampled_from([64, 65]),
    st.floats(0.4, 1.7),
    st.floats(-6.0, 6.0),
    st.floats(-6.0, 6.0),
)
def test_a_feature_lands_at_its_scaled_offset(box: int, ratio: float, x: float, y: float) -> None:
    resampled = resample(gaussian(box, x, y, 4.0), ratio)
    expected = gaussian(resampled_box(box, ratio), ratio * x, ratio * y, 4.0 * ratio)
    np.testing.assert_allclose(resampled, expected, atol=2e-3)


def test_what_the_new_sampling_cannot_carry_is_gone() -> None:
    box = 64
    fine = np.cos(2 * np.pi * 20 * np.arange(box) / box).astype(np.float32)  # 20 > 64 * 0.5 / 2
    image = np.tile(fine, (box, 1))
    np.testing.assert_allclose(resample(image, 0.5), 0.0, atol=1e-5)


def test_ratio_one_changes_nothing_and_batches_are_resampled_alike() -> None:
    images = np.random.default_rng(3).normal(size=(2, 3, 9, 9)).astype(np.float32)
    np.testing.assert_allclose(resample(images, 1.0), images, atol=1e-5)
    np.testing.assert_allclose(resample(images, 0.7)[1, 2], resample(images[1, 2], 0.7), atol=1e-6)


@given(st.integers(2, 9), st.integers(2, 9))
def test_the_centre_stays_the_centre(old_box: int, new_box: int) -> None:
    image = np.zeros((old_box, old_box), np.float32)
    image[old_box // 2, old_box // 2] = 1.0
    moved = crop_or_pad(image, new_box)
    assert moved.shape == (new_box, new_box)
    assert moved[new_box // 2, new_box // 2] == 1.0
    assert moved.sum() == 1.0


def test_padding_is_undone_by_cropping() -> None:
    images = np.arange(50, dtype=np.float32).reshape(2, 5, 5)
    np.testing.assert_array_equal(crop_or_pad(crop_or_pad(images, 8), 5), images)
