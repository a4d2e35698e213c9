"""Preparation in one pass is the same as its steps, one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from isac2.images.ctf import CtfParameters, ctf_2d, phase_flip
from isac2.images.filters import fourier_shift
from isac2.images.masks import disc_mask, pixel_offsets, rectangle_mask
from isac2.images.preparation import (
    PreparationParameters,
    centre_particles,
    equalising_weights,
    normalise_particles,
    plan_preparation,
    prepare_block,
)
from isac2.images.resample import crop_or_pad, resample, resampling_matrix
from isac2.images.spectra import rotational_power_spectrum


def noise(count: int, box: int, seed: int = 9) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(3.0, 2.0, (count, box, box)).astype(np.float32)


def gaussian(box: int, x: float, y: float, sigma: float) -> NDArray[np.float32]:
    offset = pixel_offsets(box)
    squared = (offset[None, :] - x) ** 2 + (offset[:, None] - y) ** 2
    return np.asarray(np.exp(-squared / (2 * sigma**2)), np.float32)


def some_ctf(count: int) -> CtfParameters:
    defocus = np.linspace(8000.0, 16000.0, count)
    values = (30.0, 300.0, 2.7, 0.07, 10.0)
    return CtfParameters(defocus, defocus + 700.0, *(np.array([value]) for value in values))


@settings(max_examples=20)
@example(30, 0.95, 29, False, False)
@given(
    st.integers(24, 41),
    st.floats(0.45, 0.99),
    st.sampled_from([20, 29, 48]),
    st.booleans(),
    st.booleans(),
)
def test_the_one_pass_does_what_the_steps_do(
    box: int, ratio: float, new_box: int, flips: bool, shifts_them: bool
) -> None:
    images = noise(3, box)
    shifts = np.array([[1.5, -2.25], [0.0, 0.0], [-3.0, 0.4]]) * shifts_them
    ctf = some_ctf(3)
    parameters = PreparationParameters(radius=9.0, target_radius=9.0 * ratio, box=new_box)
    plan = plan_preparation(box, parameters)
    prepared, usable = prepare_block(images, shifts, plan, ctf if flips else None, 2.0)
    centred, _ = centre_particles(images, disc_mask(box, 9.0))
    padded = crop_or_pad(centred, 2 * box)
    if flips:
        sign = np.where(ctf_2d(2 * box, 2.0, ctf) < 0.0, -1.0, 1.0)
        padded = np.fft.irfft2(np.fft.rfft2(padded) * sign, padded.shape[1:]).astype(np.float32)
    shifted = fourier_shift(padded, shifts)
    ratio = parameters.ratio  # the last bit decides where half a pixel is rounded to
    whole = int(box * ratio + 0.5)
    matrix = resampling_matrix(2 * box, whole, ratio).astype(np.float32)
    resampled = crop_or_pad(np.asarray(matrix @ shifted @ matrix.T, np.float32), new_box)
    expected, _ = normalise_particles(resampled, disc_mask(new_box, 9.0 * ratio))
    assert usable.all()
    assert prepared.dtype == np.float32
    np.testing.assert_allclose(prepared, expected, atol=2e-4)


@pytest.mark.parametrize("box", [30, 31])
def test_at_ratio_one_only_the_normalisation_is_left(box: int) -> None:
    images = noise(2, box)
    plan = plan_preparation(box, PreparationParameters(9.0, 9.0, None))
    prepared, _ = prepare_block(images, (0.0, 0.0), plan)
    expected, _ = normalise_particles(images, disc_mask(box, 9.0))
    np.testing.assert_allclose(prepared, expected, atol=1e-4)


def test_enlarged_images_keep_their_features_in_proportion() -> None:
    images = np.stack([gaussian(40, 3.0, -2.0, 4.0), gaussian(40, -5.0, 1.0, 4.0)])
    plan = plan_preparation(40, PreparationParameters(8.0, 11.0, None))
    prepared, _ = prepare_block(images, [(1.0, 0.5), (0.0, 0.0)], plan)
    for own, (x, y) in zip(prepared, [(5.5, -2.0625), (-6.875, 1.375)], strict=True):
        expected = gaussian(55, x, y, 5.5)
        assert np.corrcoef(own[8:-8, 8:-8].ravel(), expected[8:-8, 8:-8].ravel())[0, 1] > 0.999


def test_a_particle_is_moved_to_the_centre_and_scaled_to_the_target_radius() -> None:
    image = gaussian(64, -4.0, 6.0, 6.0)
    plan = plan_preparation(64, PreparationParameters(20.0, 10.0, 40))
    prepared, _ = prepare_block(image[None], [(4.0, -6.0)], plan)
    shape = gaussian(40, 0.0, 0.0, 3.0)[15:26, 15:26]
    assert np.corrcoef(prepared[0, 15:26, 15:26].ravel(), shape.ravel())[0, 1] > 0.9999


def test_prepared_images_are_normalised_on_their_disc() -> None:
    plan = plan_preparation(48, PreparationParameters(16.0, 12.0, 36))
    prepared, _ = prepare_block(noise(2, 48), np.zeros((2, 2)), plan)
    inside = disc_mask(36, 12.0)
    np.testing.assert_allclose(prepared[:, inside].mean(axis=1), 0.0, atol=1e-5)
    np.testing.assert_allclose(prepared[:, ~inside].std(axis=1), 1.0, atol=1e-5)


def test_without_a_box_the_whole_resampled_image_is_kept() -> None:
    plan = plan_preparation(50, PreparationParameters(20.0, 13.0, None))
    prepared, _ = prepare_block(noise(1, 50), (0.0, 0.0), plan)
    assert prepared.shape == (1, 33, 33)


def test_phases_are_flipped_as_by_hand() -> None:
    images, ctf = noise(2, 40) - np.float32(3.0), some_ctf(2)
    plan = plan_preparation(40, PreparationParameters(12.0, 9.0, None))
    prepared, _ = prepare_block(images, (0.0, 0.0), plan, ctf, 3.0)
    for own, flipped in zip(prepared, resample(phase_flip(images, ctf, 3.0), 0.75), strict=True):
        assert np.corrcoef(own[4:-4, 4:-4].ravel(), flipped[4:-4, 4:-4].ravel())[0, 1] > 0.99


def test_images_without_information_are_told_and_become_zero() -> None:
    images = noise(5, 32)
    images[1] = 7.0
    images[2, 3, 4] = np.nan
    images[3, 5, 6] = -np.inf
    plan = plan_preparation(32, PreparationParameters(10.0, 8.0, 28))
    prepared, usable = prepare_block(images, np.zeros((5, 2)), plan, some_ctf(5), 2.0)
    assert usable.tolist() == [True, False, False, False, True]
    np.testing.assert_array_equal(prepared[~usable], 0.0)
    alone, _ = prepare_block(images[4:], np.zeros((1, 2)), plan, some_ctf(5)[4:], 2.0)
    np.testing.assert_array_equal(alone[0], prepared[4])


def test_nothing_outside_the_particle_to_measure_by_is_told() -> None:
    image = np.zeros((1, 16, 16), np.float32)
    image[0, 8, 8] = 1.0
    normalised, measurable = normalise_particles(image, disc_mask(16, 4.0))
    assert not measurable[0]
    np.testing.assert_array_equal(normalised, 0.0)


def test_the_result_does_not_depend_on_the_company() -> None:
    images, shifts, ctf = noise(20, 32), np.linspace(-2, 2, 40).reshape(20, 2), some_ctf(20)
    plan = plan_preparation(32, PreparationParameters(10.0, 8.0, 28))
    together, _ = prepare_block(images, shifts, plan, ctf, 2.0)
    apart, _ = prepare_block(images[5:9], shifts[5:9], plan, ctf[5:9], 2.0)
    np.testing.assert_array_equal(apart, together[5:9])


@pytest.mark.parametrize("masked", [True, False])
def test_filaments_are_normalised_on_and_masked_by_their_rectangles(masked: bool) -> None:
    angles = np.array([0.0, 60.0])
    parameters = PreparationParameters(20.0, 15.0, 44, filament_width=16.0, mask_filaments=masked)
    plan = plan_preparation(64, parameters)
    prepared, _ = prepare_block(noise(2, 64), (0.0, 0.0), plan, filament_angles=angles)
    inside = rectangle_mask(44, 12.0, angles)
    for image, mask in zip(prepared, inside, strict=True):
        assert abs(image[mask].mean()) < 1e-5
        if masked:
            np.testing.assert_array_equal(image[~mask], 0.0)
        else:
            assert image[~mask].std() == pytest.approx(1.0, abs=1e-4)


def test_filaments_need_angles() -> None:
    plan = plan_preparation(32, PreparationParameters(10.0, 8.0, 28, filament_width=9.0))
    with pytest.raises(ValueError, match="angles"):
        prepare_block(noise(1, 32), (0.0, 0.0), plan)


def test_equalising_flattens_the_spectrum() -> None:
    images = np.cumsum(noise(200, 32) - np.float32(3.0), axis=2)  # low frequencies are strong
    amplitudes = np.sqrt(rotational_power_spectrum(images)).sum(axis=0)
    weights = equalising_weights(amplitudes, len(images))
    assert weights[0] == 1.0
    parameters = PreparationParameters(10.0, 9.9, 32)
    flat, _ = prepare_block(images, (0.0, 0.0), plan_preparation(32, parameters, weights))
    spectrum = np.sqrt(rotational_power_spectrum(flat)).mean(axis=0)[2:14]
    plain, _ = prepare_block(images, (0.0, 0.0), plan_preparation(32, parameters))
    before = np.sqrt(rotational_power_spectrum(plain)).mean(axis=0)[2:14]
    assert before.max() / before.min() > 2.0
    assert spectrum.max() / spectrum.min() < 1.5
