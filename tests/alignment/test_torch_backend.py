"""The torch backend, on the processor, against the CPU backend; skipped where torch is missing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.alignment.backends import Backend, cpu, open_backend
from isac2.alignment.prealignment import pre_align
from isac2.alignment.reference_free import (
    Group,
    ReferenceFreeAligner,
    ReferenceFreeSchedule,
)
from isac2.alignment.search import (
    align_to_assigned,
    angle_grid,
    discrete_angles,
    reference_coefficients,
    search,
    search_assign_align,
)
from isac2.alignment.space import SearchSpace
from isac2.devices import find_device
from isac2.images.filters import tanh_low_pass
from isac2.images.transform import apply_poses
from isac2.poses import PoseArray, make_poses, pixel_error
from isac2.run.parallel import open_workers
from isac2.workers import SerialWorkers

pytest.importorskip(
    "torch", reason="torch is not installed (pip install 'isac2[gpu]'): its backend is not tried"
)

BOX, RADIUS, COUNT, KINDS = 40, 14, 70, 5
ON_CPU = SearchSpace(RADIUS)
ON_TORCH = SearchSpace(RADIUS, device="torch:cpu")
FREQUENCY = 0.35


@pytest.fixture(scope="module")
def references() -> NDArray[np.float32]:
    """Smooth random shapes, unlike each other and unlike their mirror images."""
    noise = np.random.default_rng(1).normal(size=(KINDS, BOX, BOX)).astype(np.float32)
    shapes = tanh_low_pass(noise, 0.15, 0.2)
    normalised: NDArray[np.float32] = shapes / shapes.std(axis=(1, 2), keepdims=True)
    return normalised


@pytest.fixture(scope="module")
def images(references: NDArray[np.float32]) -> NDArray[np.float32]:
    """References in random poses under twice as much noise; the last image is constant."""
    generator = np.random.default_rng(2)
    turn, mirror = generator.uniform(0, 360, COUNT), generator.integers(0, 2, COUNT)
    x, y = generator.uniform(-1, 1, (2, COUNT))
    moved = apply_poses(references[np.arange(COUNT) % KINDS], make_poses(turn, x, y, mirror))
    noisy = moved + 2.0 * generator.normal(size=moved.shape)
    noisy[-1] = 3.0
    return noisy.astype(np.float32)


@pytest.fixture(scope="module")
def centres() -> NDArray[np.float64]:
    return np.random.default_rng(3).uniform(-2, 2, (COUNT, 2))


def coefficients_of(bank: Any, geometry: Any, shift: int) -> NDArray[np.complex64]:
    """What `cpu.RingBank.coefficients` gives, of a bank of torch."""
    values = bank.values.numpy()[:, :, shift]
    ring, order = geometry.coefficient_ring, geometry.coefficient_order
    both = values[order, :, ring] + 1j * values[order, :, len(geometry.radii) + ring]
    found: NDArray[np.complex64] = both
    return found


@pytest.mark.parametrize("normalise", [True, False])
def test_rings_hold_the_same_coefficients(
    images: NDArray[np.float32], centres: NDArray[np.float64], normalise: bool
) -> None:
    geometry, table = ON_CPU.geometry(FREQUENCY), ON_CPU.sampling_table(FREQUENCY)
    rows = np.arange(COUNT)[::-1].copy()
    # the first ones reach over the edge of the image
    far = centres + np.where(np.arange(COUNT) < 4, 9.0, 0.0)[:, None]
    given = rows, far, geometry, table, normalise
    expected = cpu.ring_bank(images, *given)
    found = open_backend("torch:cpu").ring_bank(images, *given)
    for shift in range(len(table.shifts)):
        np.testing.assert_allclose(
            coefficients_of(found, geometry, shift), expected.coefficients(shift), atol=2e-6
        )


def test_the_search_finds_the_same(
    images: NDArray[np.float32], references: NDArray[np.float32], centres: NDArray[np.float64]
) -> None:
    rows, workers = np.arange(COUNT), SerialWorkers()
    given = images, rows, centres, references
    expected = search(*given, ON_CPU, workers, FREQUENCY, exhaustive=True)
    found = search(*given, ON_TORCH, workers, FREQUENCY)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert expected[:-1].min() > 0.1
    np.testing.assert_array_equal(found[:-1].argmax(axis=1), expected[:-1].argmax(axis=1))


def test_poses_are_the_same(
    images: NDArray[np.float32], references: NDArray[np.float32], centres: NDArray[np.float64]
) -> None:
    rows, workers = np.arange(COUNT - 1), SerialWorkers()
    given = images, rows, centres[:-1], references, rows % KINDS
    expected = align_to_assigned(*given, ON_CPU, workers, FREQUENCY)
    found = align_to_assigned(*given, ON_TORCH, workers, FREQUENCY)
    np.testing.assert_allclose(found.similarity, expected.similarity, rtol=1e-4)
    np.testing.assert_array_equal(found.poses["mirror"], expected.poses["mirror"])
    assert pixel_error(np.stack([found.poses, expected.poses]), RADIUS).max() < 1e-2


def test_best_references_and_their_poses_are_the_same(
    images: NDArray[np.float32], references: NDArray[np.float32], centres: NDArray[np.float64]
) -> None:
    rows, workers = np.arange(COUNT - 1), SerialWorkers()
    given = images, rows, centres[:-1], references, lambda similarity: similarity.argmax(axis=1)
    # several references an image: the images' own, which are not stored one a kind
    best, expected = search_assign_align(*given, ON_CPU, workers, FREQUENCY)
    assigned, found = search_assign_align(*given, ON_TORCH, workers, FREQUENCY)
    np.testing.assert_array_equal(assigned, best)
    assert pixel_error(np.stack([found.poses, expected.poses]), RADIUS).max() < 1e-2


@pytest.mark.parametrize("refine", [True, False])
def test_peaks_over_discrete_angles_are_the_same(
    images: NDArray[np.float32], references: NDArray[np.float32], refine: bool
) -> None:
    geometry, table = ON_CPU.geometry(FREQUENCY), ON_CPU.sampling_table(FREQUENCY)
    rows, middle = np.arange(COUNT - 1), np.zeros((COUNT - 1, 2))
    angles = discrete_angles(30.0, geometry.n_orders - 3), None

    def peaks(backend: Backend) -> cpu.Peaks:
        bank = backend.ring_bank(images, rows, middle, geometry, table)
        compared = reference_coefficients(references, geometry, backend)
        owners = np.zeros(len(rows), np.int64)
        return backend.find_peaks(bank, owners, compared, angles, table, refine)

    expected, found = peaks(cpu), peaks(open_backend("torch:cpu"))
    assert found.value.shape == (COUNT - 1, KINDS)
    np.testing.assert_allclose(found.value, expected.value, atol=1e-5)
    np.testing.assert_array_equal(found.shift, expected.shift)
    np.testing.assert_array_equal(found.mirror, expected.mirror)
    np.testing.assert_allclose(np.exp(1j * found.angle), np.exp(1j * expected.angle), atol=1e-4)
    np.testing.assert_allclose(found.move, expected.move, atol=1e-3)


def test_filtered_sums_of_turned_images_are_the_same(images: NDArray[np.float32]) -> None:
    geometry, table = ON_CPU.geometry(FREQUENCY), ON_CPU.sampling_table(FREQUENCY)
    rows, middle = np.arange(COUNT), np.zeros((COUNT, 2))
    generator, runs, orders = np.random.default_rng(4), 3, geometry.n_orders - 2
    shape = COUNT, runs
    peaks = cpu.Peaks(
        np.zeros(shape, np.float32), generator.integers(0, len(table.shifts), shape),
        np.zeros((*shape, 2)), generator.uniform(-9, 9, shape),
        generator.integers(0, 2, shape).astype(np.int8),
    )  # fmt: skip
    matrices = [
        generator.normal(size=(len(geometry.radii) - first,) * 2).astype(np.float32)
        for first in geometry.first_ring[:orders]
    ]

    # two groups of two parts
    first = COUNT // 2
    owners = np.concatenate([np.arange(first) % 2, 2 + np.arange(COUNT - first) % 2])
    counts = np.bincount(owners).reshape(2, 2)

    def similarity(backend: Backend) -> NDArray[np.float32]:
        """Of images with the filtered sums, each to those of its owner: what they are for."""
        bank = backend.ring_bank(images, rows, middle, geometry, table)
        along_radius = backend.make_filter(geometry, matrices)
        averages = backend.averages_of_others(
            bank, owners, counts, 0.3, orders, peaks, along_radius
        )
        angles = angle_grid(orders), None
        return backend.find_peaks(bank, owners, averages, angles, table).value

    expected, found = similarity(cpu), similarity(open_backend("torch:cpu"))
    np.testing.assert_allclose(found[:-1], expected[:-1], rtol=1e-4)
    np.testing.assert_allclose(found[-1], 0.0, atol=1e-6)


def test_reference_free_alignment_comes_to_the_same(references: NDArray[np.float32]) -> None:
    generator = np.random.default_rng(5)
    count = 40
    x, y = generator.uniform(-1, 1, (2, count))
    true = make_poses(generator.uniform(0, 360, count), x, y, generator.integers(0, 2, count))
    views = apply_poses(np.repeat(references[:1], count, axis=0), true)
    noisy = (views + generator.normal(size=views.shape)).astype(np.float32)

    def groups() -> list[Group]:
        first, middle = np.arange(count), np.zeros((count, 2))
        second = Group(first[:15], middle[:15], [np.random.default_rng(n) for n in (8, 9)])
        return [Group(first, middle, [np.random.default_rng(n) for n in (6, 7)]), second]

    schedule = ReferenceFreeSchedule(6, 0.3, 0.2, 90.0)
    aligners = [ReferenceFreeAligner(space, schedule, 0.5) for space in (ON_CPU, ON_TORCH)]
    here, there = (aligner.align_groups(noisy, groups()) for aligner in aligners)
    alone = [
        aligners[1].align(noisy, group.rows, group.centres, group.generators) for group in groups()
    ]
    for expected, *found in zip(here, there, alone, strict=True):
        for poses in found:
            np.testing.assert_array_equal(poses["mirror"], expected["mirror"])
            # rounding grows over the rounds, where two translations are nearly as good
            apart = pixel_error(np.stack([poses, expected]), RADIUS)
            assert np.quantile(apart, 0.9) < 0.05
            assert apart.max() < 0.5


def test_prealignment_finds_the_same_centres(
    images: NDArray[np.float32], references: NDArray[np.float32]
) -> None:
    moves = make_poses(np.zeros(30), 1.5, -0.5, 0)
    shifted = apply_poses(np.repeat(references[:1], 30, axis=0), moves)
    noisy = (shifted + 0.5 * images[:30]).astype(np.float32)
    with open_workers(2) as workers:
        centres = [
            pre_align(noisy, np.arange(30), 10, -1, workers, device=device).centres
            for device in ("cpu", "torch:cpu")
        ]
    # one image in ten may take another way in one of its rounds
    apart = np.linalg.norm(centres[0] - centres[1], axis=1)
    assert np.quantile(apart, 0.9) < 0.1


def test_blocks_of_any_size_give_the_same(
    images: NDArray[np.float32], references: NDArray[np.float32]
) -> None:
    from isac2.alignment.backends.torch_backend import TorchBackend
    from isac2.devices.torch_devices import Devices

    geometry, table = ON_CPU.geometry(FREQUENCY), ON_CPU.sampling_table(FREQUENCY)
    rows, middle = np.arange(20), np.zeros((20, 2))
    angles = angle_grid(geometry.n_orders)

    along_radius = TorchBackend(Devices(["cpu"], 2**28)).make_filter(
        geometry, [np.eye(len(geometry.radii), dtype=np.float32)] * 5
    )

    def everything(backend: TorchBackend) -> list[NDArray[np.float32]]:
        bank = backend.ring_bank(images, rows, middle, geometry, table)
        compared = reference_coefficients(references, geometry, backend)
        found = backend.find_largest(bank, compared, angles, None)
        peaks = backend.find_peaks(bank, rows * 0, compared, (angles, None), table)
        half = rows // 10, np.array([[10], [10]])
        averages = backend.averages_of_others(bank, *half, 1.0, 5, peaks, along_radius)
        return [found, peaks.value, averages.values.numpy()]

    whole = everything(TorchBackend(Devices(["cpu"], 2**28)))
    # less than an image and a reference need: one of each at a time
    for memory in (1, 2**20):
        for found, expected in zip(
            everything(TorchBackend(Devices(["cpu"], memory))), whole, strict=True
        ):  # fmt: skip
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_devices_share_the_blocks_of_a_search(
    monkeypatch: pytest.MonkeyPatch,
    images: NDArray[np.float32],
    references: NDArray[np.float32],
    centres: NDArray[np.float64],
) -> None:
    from isac2.alignment.backends.torch_backend import TorchBackend
    from isac2.devices.torch_devices import Devices

    given = images, np.arange(COUNT), centres, references
    alone = search(*given, ON_TORCH, SerialWorkers(), FREQUENCY)
    both = TorchBackend(Devices(["cpu:0", "cpu:1"]))
    monkeypatch.setattr("isac2.alignment.space.open_backend", lambda device: both)
    with open_workers(3) as workers:
        shared = search(*given, ON_TORCH, workers, FREQUENCY)
    np.testing.assert_array_equal(shared, alone)


def test_devices_share_the_groups_of_an_alignment(
    monkeypatch: pytest.MonkeyPatch, images: NDArray[np.float32]
) -> None:
    from isac2.alignment.backends.torch_backend import TorchBackend
    from isac2.devices.torch_devices import Devices

    def groups() -> list[Group]:
        return [
            Group(rows, np.zeros((len(rows), 2)), [np.random.default_rng([rows[0], 1])])
            for rows in np.arange(60).reshape(4, 15)
        ]

    schedule, devices = ReferenceFreeSchedule(4, 0.3, 0.2, 90.0), Devices(["cpu:0", "cpu:1"])
    alone = ReferenceFreeAligner(ON_TORCH, schedule, 0.5)
    expected = [alone.align_groups(images, [group])[0] for group in groups()]
    both, used = TorchBackend(devices), []
    monkeypatch.setattr("isac2.alignment.space.open_backend", lambda device: both)
    aligner = ReferenceFreeAligner(ON_TORCH, schedule, 0.5)

    def align(group: Group) -> PoseArray:
        used.append(devices.mine().index)
        return aligner.align_groups(images, [group])[0]

    found = []
    for group in groups():  # a thread each, which take the devices in turn
        with ThreadPoolExecutor(1) as executor:
            found.append(executor.submit(align, group).result())
    assert used == [0, 1, 0, 1]
    np.testing.assert_array_equal(found, expected)


def test_a_stack_that_stays_on_the_device_gives_the_same(
    tmp_path: Path, images: NDArray[np.float32], references: NDArray[np.float32]
) -> None:
    from isac2.alignment.backends.torch_backend import TorchBackend
    from isac2.devices.torch_devices import Devices

    np.save(tmp_path / "stack.npy", images)
    stack = np.load(tmp_path / "stack.npy", mmap_mode="r")
    geometry, table = ON_CPU.geometry(FREQUENCY), ON_CPU.sampling_table(FREQUENCY)
    rows, middle = np.arange(COUNT)[::-1].copy(), np.zeros((COUNT, 2))
    expected = open_backend("torch:cpu").ring_bank(images, rows, middle, geometry, table)
    backend = TorchBackend(Devices(["cpu"]), keeps_stacks=True)
    for _ in range(2):
        found = backend.ring_bank(stack, rows, middle, geometry, table)
        np.testing.assert_array_equal(found.values, expected.values)


def test_references_of_one_device_are_copied_to_another(
    images: NDArray[np.float32], references: NDArray[np.float32]
) -> None:
    import torch

    geometry = ON_CPU.geometry(FREQUENCY)
    compared = reference_coefficients(references, geometry, open_backend("torch:cpu"))
    here, there = torch.device("cpu"), torch.device("meta")  # holds shapes only
    assert compared.rows(there).shape == compared.rows(here).shape
    assert compared.rows(there).device == there
    assert compared.rows(here) is compared.rows(here)


def test_torch_on_the_processor_is_a_device() -> None:
    assert find_device("torch:cpu") == "torch:cpu"
    assert open_backend("torch:cpu") is open_backend("torch:cpu")
