"""Images on torch, on the processor, against the functions of the room and exact references."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import scipy.fft
from numpy.typing import NDArray

from isac2.images.backends import ImageBackend, open_image_backend
from isac2.images.ctf import CtfParameters, ctf_2d, ctf_phase_terms
from isac2.images.ctf_correction import CtfSums, ctf_in_poses, weigh_by_ctf
from isac2.images.masks import disc_mask
from isac2.images.preparation import (
    PreparationParameters,
    normalise_particles,
    plan_preparation,
    prepare_block,
)
from isac2.images.transform import apply_poses
from isac2.poses import PoseArray, make_poses

pytest.importorskip(
    "torch", reason="torch is not installed (pip install 'isac2[gpu]'): no images go there"
)

COUNT, PIXEL = 12, 2.0
GROUPS = np.arange(COUNT) % 3
FLIPPED = np.arange(COUNT) % 4 == 1
TORCH = "torch:cpu"


def backend_with(memory_in_bytes: int) -> ImageBackend:
    """The torch backend, whose steps take no more than so much."""
    from isac2.devices.torch_devices import Devices
    from isac2.images.backends.torch_backend import TorchImageBackend

    return TorchImageBackend(Devices(["cpu"], memory_in_bytes))


def noise(box: int) -> NDArray[np.float32]:
    """Noise on a level, as picked images have it."""
    return np.random.default_rng(3).normal(1.0, 2.0, (COUNT, box, box)).astype(np.float32)


def some_ctf() -> CtfParameters:
    defocus = np.linspace(8000.0, 16000.0, COUNT)
    values = (30.0, 300.0, 2.7, 0.07, 10.0)
    return CtfParameters(defocus, defocus + 900.0, *(np.array([value]) for value in values))


def some_poses() -> PoseArray:
    """A pose that does nothing, quarter turns that keep the edges, and any."""
    random = np.random.default_rng(4)
    x, y = random.uniform(-4, 4, (2, COUNT))
    poses = make_poses(random.uniform(0, 360, COUNT), x, y, np.arange(COUNT) % 2)
    poses[:3] = make_poses([0.0, 90.0, 180.0], 0.0, [0.0, 0.0, 2.0], [0, 0, 1])
    return poses


@pytest.mark.parametrize("box", [24, 31])
def test_images_are_moved_alike(box: int) -> None:
    import torch

    from isac2.images.backends.torch_pixels import moved
    from isac2.images.transform import pose_columns

    images, poses = noise(box), some_poses()
    columns = torch.from_numpy(pose_columns(poses, COUNT))
    found = moved(torch.from_numpy(images), columns).numpy()
    np.testing.assert_allclose(found, apply_poses(images, poses), atol=2e-4)
    np.testing.assert_allclose(found[0], images[0], atol=1e-5)


@pytest.mark.parametrize("box", [24, 31])
@pytest.mark.parametrize("masked", [None, True, False])
def test_prepared_images_are_the_same(box: int, masked: bool | None) -> None:
    images, shifts = noise(box), np.random.default_rng(5).uniform(-3, 3, (COUNT, 2))
    images[2], images[3, 4, 5], images[4, 0, 0] = 5.0, np.nan, np.inf
    width = None if masked is None else 12.0
    for ratio, new_box in ((0.6, 14), (0.6, 20), (1.2, None)):
        parameters = PreparationParameters(8.0, 8.0 * ratio, new_box, width, bool(masked))
        weights = np.linspace(1.0, 2.0, box // 2 + 1) if ratio > 1 else None
        plan = plan_preparation(box, parameters, weights)
        for ctf in (some_ctf(), None):
            given = images, shifts, plan, ctf, PIXEL, np.linspace(0, 170, COUNT)
            expected, usable = prepare_block(*given)
            found, known = open_image_backend(TORCH).prepare(*given)
            np.testing.assert_array_equal(known, usable)
            assert usable.sum() == COUNT - 3
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, atol=2e-5)


def test_devices_share_what_is_prepared() -> None:
    from isac2.devices.torch_devices import Devices
    from isac2.images.backends.torch_backend import TorchImageBackend

    images, plan = noise(24), plan_preparation(24, PreparationParameters(8.0, 5.0, 14))
    expected, _ = open_image_backend(TORCH).prepare(images, (0.5, 0.0), plan)
    devices = Devices(["cpu:0", "cpu:1"])
    backend, used = TorchImageBackend(devices), []

    def prepare(number: int) -> NDArray[np.float32]:
        used.append(devices.mine().index)
        prepared, _ = backend.prepare(images[number : number + 1], (0.5, 0.0), plan)
        return np.asarray(prepared[0], np.float32)

    found = []
    for number in range(3):  # a thread each, which take the devices in turn
        with ThreadPoolExecutor(1) as executor:
            found.append(executor.submit(prepare, number).result())
    assert used == [0, 1, 0]
    np.testing.assert_allclose(found, expected[:3], atol=1e-5)


def test_the_error_of_preparation_is_rounding() -> None:
    """Both against the same sums in double precision, from a plan in double precision."""
    box, ratio = 32, 0.5
    images, ctf, inside = noise(box), some_ctf(), disc_mask(box, 9.0).astype(np.float64)
    plan = plan_preparation(box, PreparationParameters(9.0, 9.0 * ratio, None))
    centred = images - (images * inside).sum(axis=(1, 2), keepdims=True) / inside.sum()
    spectra = np.fft.fft2(centred, (2 * box, 2 * box))
    frequency = np.fft.fftfreq(2 * box)
    phase = _phase_at(ctf, frequency[None, :], frequency[:, None])
    offset = np.exp(-2j * np.pi * np.outer(np.arange(16) / ratio, frequency)).conj()
    kept = np.abs(frequency) < 0.5 * ratio - 1e-9
    offset = np.where(kept, offset, 0) / (2 * box)
    flips = np.where(np.floor(phase) % 2 == 1, -1.0, 1.0)
    exact = (offset @ (spectra * flips) @ offset.T).real
    mask = disc_mask(16, 4.5)
    exact -= exact[:, mask].mean(axis=1)[:, None, None]
    exact /= exact[:, ~mask].std(axis=1)[:, None, None]
    for device in ("cpu", TORCH):
        found, _ = open_image_backend(device).prepare(images, (0.0, 0.0), plan, ctf, PIXEL)
        error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
        assert error < 1e-6


def _phase_at(ctf: CtfParameters, u: Any, v: Any) -> NDArray[np.float64]:
    """Phase of the CTF in half turns at frequencies (1/px), float64."""
    c = ctf_phase_terms(ctf, PIXEL).T[..., None, None]
    square = u**2 + v**2
    phase = c[0] + c[1] * square + c[2] * (u**2 - v**2) + c[3] * 2 * u * v + c[4] * square**2
    return np.asarray(phase)


def test_normalised_and_weighed_images_are_the_same() -> None:
    images, inside = noise(24), disc_mask(24, 8.0)
    images[1] = 3.0
    expected, _ = normalise_particles(images, inside)
    backend = open_image_backend(TORCH)
    found = backend.normalised(images, inside)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    for flipped in (None, FLIPPED):
        weighed = backend.weighed(found, some_ctf(), PIXEL, flipped).numpy()
        np.testing.assert_allclose(
            weighed, weigh_by_ctf(expected, some_ctf(), PIXEL, flipped), atol=2e-5
        )


def sums_on(backend: ImageBackend, images: NDArray[np.float32], ctf: Any) -> CtfSums:
    """Add two parts."""
    poses, sums = some_poses(), backend.open_sums(3, images.shape[-1])
    for rows in (slice(0, 5), slice(5, COUNT)):
        own = None if ctf is None else ctf[rows]
        sums.add(images[rows], poses[rows], GROUPS[rows], own, PIXEL, FLIPPED[rows])
    return sums.total()


@pytest.mark.parametrize("corrected", [True, False])
def test_sums_in_poses_are_those_in_double_precision(corrected: bool) -> None:
    """Both devices, against double precision in all but the images as they were moved."""
    images, ctf = noise(24) - np.float32(1.0), some_ctf() if corrected else None
    c = np.ones((COUNT, 48, 25))
    if ctf is not None:
        frequency = scipy.fft.fftfreq(48)[:, None]
        frequency[24] = 0.5
        phase = _phase_at(ctf_in_poses(ctf, some_poses()), scipy.fft.rfftfreq(48), frequency)
        c = np.sin(np.pi * phase)
        c[FLIPPED] = np.abs(c[FLIPPED])
    moved = apply_poses(images, some_poses()).astype(np.float64)
    spectra = scipy.fft.rfft2(moved, (48, 48)) * c
    weighed = np.stack([spectra[number == GROUPS].sum(axis=0) for number in range(3)])
    squares = np.stack([np.square(c)[number == GROUPS].sum(axis=0) for number in range(3)])
    for device in ("cpu", TORCH):
        found = sums_on(open_image_backend(device), images, ctf)
        assert found.weighed.dtype == np.complex128
        assert np.linalg.norm(found.weighed - weighed) < 5e-6 * np.linalg.norm(weighed)
        assert np.linalg.norm(found.squares - squares) < 5e-6 * np.linalg.norm(squares)


def test_blocks_of_any_size_give_the_same() -> None:
    images, ctf, inside = noise(24), some_ctf(), disc_mask(24, 8.0)
    plan = plan_preparation(24, PreparationParameters(8.0, 6.0, 18))

    def everything(backend: ImageBackend) -> list[NDArray[Any]]:
        prepared, usable = backend.prepare(images, (1.0, 0.0), plan, ctf, PIXEL)
        weighed = backend.weighed(images, ctf, PIXEL).numpy()
        sums = sums_on(backend, images, ctf)
        normalised = backend.normalised(images, inside).numpy()
        return [prepared, usable, normalised, weighed, sums.weighed, sums.squares]

    whole = everything(backend_with(2**30))
    for memory in (1, 2**20):  # one image at a time, and a few
        for found, expected in zip(everything(backend_with(memory)), whole, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_ctfs_are_those_of_the_formula() -> None:
    import torch

    from isac2.images.backends.torch_spectra import ctf_values

    terms = torch.from_numpy(ctf_phase_terms(some_ctf(), PIXEL))
    found = ctf_values(terms, torch.from_numpy(FLIPPED), 24).numpy()
    expected = ctf_2d(24, PIXEL, some_ctf())
    np.testing.assert_allclose(found[~FLIPPED], expected[~FLIPPED], atol=1e-6)
    np.testing.assert_allclose(found[FLIPPED], np.abs(expected[FLIPPED]), atol=1e-6)
