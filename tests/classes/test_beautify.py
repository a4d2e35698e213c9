"""Averages at full size: as good as at the true poses, CTF and all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.fft
from numpy.typing import NDArray

from isac2.classes.beautify import (
    BeautifiedClass,
    BeautifyParameters,
    LocalAlignment,
    beautify_class,
    beautify_prepared,
    prepare_members,
)
from isac2.classes.quality import soft_disc
from isac2.classes.sharpening import Adjustment
from isac2.images.ctf import CtfParameters, ctf_2d
from isac2.images.filters import tanh_low_pass
from isac2.images.spectra import fourier_ring_correlation
from isac2.images.transform import apply_poses
from isac2.poses import PoseArray, compose, invert, make_poses, pixel_error

COUNT, BOX, PIXEL, RADIUS = 60, 48, 3.0, 15
PLAIN = Adjustment("no_adjustment")


@pytest.fixture(scope="module")
def truth() -> NDArray[np.float32]:
    random = np.random.default_rng(5).standard_normal((1, BOX, BOX)).astype(np.float32)
    image = tanh_low_pass(random, 0.3, 0.1)[0] * soft_disc(BOX, 9)
    return np.asarray((image - image.mean()) / image.std(), dtype=np.float32)


@pytest.fixture(scope="module")
def poses() -> PoseArray:
    """Poses that bring each image onto the truth."""
    random = np.random.default_rng(6)
    return make_poses(
        random.uniform(-180, 180, COUNT),
        random.uniform(-2, 2, COUNT),
        random.uniform(-2, 2, COUNT),
        random.integers(0, 2, COUNT),
    )


@pytest.fixture(scope="module")
def ctf() -> CtfParameters:
    random, full = np.random.default_rng(7), np.ones(COUNT)
    defocus = random.uniform(8000, 16000, COUNT)
    angle = random.uniform(0, 180, COUNT)
    return CtfParameters(
        defocus, defocus - 400, angle, 300 * full, 2.7 * full, 0.1 * full, 0 * full
    )


@pytest.fixture(scope="module")
def images(truth: NDArray[np.float32], poses: PoseArray, ctf: CtfParameters) -> NDArray[np.float32]:
    clean = apply_poses(np.repeat(truth[None], COUNT, axis=0), invert(poses))
    spectra = scipy.fft.rfft2(clean, (2 * BOX, 2 * BOX)) * ctf_2d(2 * BOX, PIXEL, ctf)
    seen = scipy.fft.irfft2(spectra, (2 * BOX, 2 * BOX))[:, :BOX, :BOX]
    noise = np.random.default_rng(8).standard_normal(seen.shape)
    return np.asarray(seen + 0.7 * noise, dtype=np.float32)


def agreement(found: BeautifiedClass, truth: NDArray[np.float32]) -> float:
    """Mean ring correlation with the truth up to 0.3/px, where it has something."""
    mask = soft_disc(BOX, 12)
    curve = fourier_ring_correlation(found.average * mask, truth * mask)
    return float(curve.correlation[2:14].mean())


def test_the_ctf_is_corrected(
    images: NDArray[np.float32],
    truth: NDArray[np.float32],
    poses: PoseArray,
    ctf: CtfParameters,
) -> None:
    parameters = BeautifyParameters(RADIUS, PIXEL, PLAIN, None)
    corrected = beautify_class(images, poses, parameters, ctf)
    assert agreement(corrected, truth) > 0.95
    assert agreement(beautify_class(images, poses, parameters), truth) < 0.6
    assert corrected.first_frequency == corrected.frequency > 0.2
    np.testing.assert_array_equal(corrected.poses, poses)


def test_the_rounding_of_the_halves_means_decides_nothing(
    images: NDArray[np.float32], poses: PoseArray, ctf: CtfParameters
) -> None:
    """The halves have no means, so that their correlation at frequency 0 would be a toss."""
    parameters = BeautifyParameters(RADIUS, PIXEL)
    for count in range(20, 28):
        found = beautify_class(images[:count], poses[:count], parameters, ctf[:count])
        assert found.curve.correlation[0] == 1.0


def test_images_flipped_before_give_the_same(
    images: NDArray[np.float32], poses: PoseArray, ctf: CtfParameters
) -> None:
    sign = np.sign(ctf_2d(BOX, PIXEL, ctf))
    flipped = scipy.fft.irfft2(scipy.fft.rfft2(images) * sign, (BOX, BOX)).astype(np.float32)
    parameters = BeautifyParameters(RADIUS, PIXEL, PLAIN, None)
    one = beautify_class(images, poses, parameters, ctf)
    two = beautify_class(flipped, poses, parameters, ctf, np.ones(COUNT, bool))
    middle = slice(12, -12)
    pair = one.average[middle, middle].ravel(), two.average[middle, middle].ravel()
    assert np.corrcoef(*pair)[0, 1] > 0.97


def test_local_alignment_mends_poses_that_are_off(
    images: NDArray[np.float32],
    truth: NDArray[np.float32],
    poses: PoseArray,
    ctf: CtfParameters,
) -> None:
    random = np.random.default_rng(9)
    off = compose(
        poses,
        make_poses(
            random.normal(0, 5, COUNT),
            random.normal(0, 1.2, COUNT),
            random.normal(0, 1.2, COUNT),
            0,
        ),
    )
    plain = BeautifyParameters(RADIUS, PIXEL, PLAIN, None)
    refined = BeautifyParameters(RADIUS, PIXEL, PLAIN, None, LocalAlignment(2.0, 0.5, None, 3))
    rounds: list[int] = []
    before = beautify_class(images, off, plain, ctf)
    after = beautify_class(images, off, refined, ctf, notify=rounds.append)
    assert rounds == [1, 2, 3]
    assert after.first_frequency == pytest.approx(before.frequency)
    assert after.frequency > before.frequency
    at_truth = agreement(beautify_class(images, poses, plain, ctf), truth)
    assert agreement(before, truth) + 0.02 < agreement(after, truth) < at_truth + 0.01
    assert (after.poses["mirror"] == off["mirror"]).all()


def test_low_pass(images: NDArray[np.float32], poses: PoseArray, ctf: CtfParameters) -> None:
    def highest(low_pass: float | None) -> float:
        found = beautify_class(
            images, poses, BeautifyParameters(RADIUS, PIXEL, PLAIN, low_pass), ctf
        )
        spectrum = np.abs(scipy.fft.rfft2(found.average))[0]
        return float(spectrum[12:].sum() / spectrum.sum())

    assert highest(0.1) < 0.1 * highest(None)
    assert highest(-1.0) <= highest(None)
    assert highest(0.0) == highest(-1.0)  # without a local alignment the two are one


def test_two_members_are_enough(
    images: NDArray[np.float32], poses: PoseArray, ctf: CtfParameters
) -> None:
    found = beautify_class(images[:2], poses[:2], BeautifyParameters(RADIUS, PIXEL), ctf[:2])
    assert np.isfinite(found.average).all()


def test_parts_give_the_same_bytes_as_all_at_once(
    images: NDArray[np.float32], poses: PoseArray, ctf: CtfParameters
) -> None:
    parameters = BeautifyParameters(RADIUS, PIXEL)
    for known in (ctf, None):
        whole = beautify_class(images, poses, parameters, known)
        ends = (0, 7, 8, 41, COUNT)
        parts = (
            prepare_members(images[start:stop], parameters)
            for start, stop in itertools.pairwise(ends)
        )
        parted = beautify_prepared(parts, poses, parameters, known)
        assert parted.average.tobytes() == whole.average.tobytes()


@pytest.mark.parametrize("local", [None, LocalAlignment(1.0, 0.5, None, 2)])
@pytest.mark.parametrize("corrected", [True, False])
def test_averages_on_torch_are_the_same(
    images: NDArray[np.float32],
    poses: PoseArray,
    ctf: CtfParameters,
    local: LocalAlignment | None,
    corrected: bool,
) -> None:
    pytest.importorskip(
        "torch", reason="torch is not installed (pip install 'isac2[gpu]'): it averages nothing"
    )
    found = []
    for device in ("cpu", "torch:cpu"):
        parameters = BeautifyParameters(RADIUS, PIXEL, PLAIN, None, local, device)
        parts = (prepare_members(images[n : n + 25], parameters) for n in range(0, COUNT, 25))
        known = ctf if corrected else None
        found.append(beautify_prepared(parts, poses, parameters, known, np.arange(COUNT) % 7 == 0))
    here, there = found
    # rounding may take one image to a neighbouring translation
    limit = 2e-6 if local is None else 1e-3
    apart = np.linalg.norm(there.average - here.average) / np.linalg.norm(here.average)
    assert apart < limit
    np.testing.assert_allclose(
        there.curve.correlation, here.curve.correlation, atol=1e-4 if local is None else 0.02
    )
    assert pixel_error(np.stack([there.poses, here.poses]), RADIUS).mean() < 1e-2
