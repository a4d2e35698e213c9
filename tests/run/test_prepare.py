"""The working stack: whole, the same for any workers, and clear about what is missing."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from isac2.errors import InputError, RunError
from isac2.images.preparation import plan_preparation, prepare_block
from isac2.run import prepare
from isac2.run.options import Settings
from isac2.run.parallel import open_workers
from isac2.run.prepare import (
    check_stack,
    measure_spectrum_weights,
    open_working_stack,
    preparation_parameters,
    prepare_for_prealignment,
    prepare_working_stack,
)
from isac2.stacks.metadata import unknown_metadata
from isac2.stacks.stack import Stack
from isac2.workers import SerialWorkers

COUNT, BOX = 23, 64


class MemoryStack(Stack):
    """Images and metadata in memory, with the verbs of a stack that preparation uses."""

    def __init__(self, images: NDArray[np.float32], **metadata: float | NDArray[Any]) -> None:
        self.path = Path("particles.star")
        self.box_size = BOX
        self.pixels = images
        columns: dict[str, Any] = {
            name: np.broadcast_to(values, (len(images),)) for name, values in metadata.items()
        }
        self.metadata = replace(unknown_metadata(len(images)), **columns)

    def __len__(self) -> int:
        return len(self.pixels)

    def read(
        self, indices: ArrayLike | slice | None = None, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        assert isinstance(indices, np.ndarray)
        assert out is None
        return np.asarray(self.pixels[indices])


@pytest.fixture
def stack() -> MemoryStack:
    images = np.random.default_rng(12).normal(5.0, 3.0, (COUNT, BOX, BOX)).astype(np.float32)
    return MemoryStack(
        images,
        pixel_size_in_angstroms=2.0,
        voltage_in_kilovolts=300.0,
        spherical_aberration_in_millimetres=2.7,
        amplitude_contrast=0.1,
        defocus_u_in_angstroms=np.linspace(9e3, 2e4, COUNT),
        defocus_v_in_angstroms=np.linspace(9.5e3, 2e4, COUNT),
        defocus_angle_in_degrees=20.0,
        phase_shift_in_degrees=0.0,
    )


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "_BLOCK_BYTES", 4 * 4 * BOX**2)  # four images
    monkeypatch.setattr(prepare, "_BLOCKS_A_STEP", 1)


def settings(**more: Any) -> Settings:
    return Settings(radius=25, target_radius=15, target_box_size=40, **more)


@pytest.mark.usefixtures("small_blocks")
def test_the_file_is_the_same_for_any_workers_and_holds_prepared_images(
    stack: MemoryStack, tmp_path: Path
) -> None:
    shifts = np.random.default_rng(13).normal(size=(COUNT, 2))
    options = settings(phase_flip=True)
    told: list[tuple[int, int]] = []
    serial = prepare_working_stack(
        stack, shifts, options, tmp_path / "a.npy", SerialWorkers(), lambda *n: told.append(n)
    )
    with open_workers(2) as workers:
        prepare_working_stack(stack, shifts, options, tmp_path / "b.npy", workers)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    plan = plan_preparation(BOX, preparation_parameters(options))
    ctf = stack.metadata.ctf_parameters(None)
    expected, _ = prepare_block(stack.pixels, shifts, plan, ctf, 2.0)
    np.testing.assert_allclose(serial.images, expected, atol=1e-5)
    assert serial.images.shape == (COUNT, 40, 40)
    assert not serial.images.flags.writeable
    assert told == [(n, COUNT) for n in (4, 8, 12, 16, 20, 23)]
    names = {"a.npy", "a.unusable.txt", "b.npy", "b.unusable.txt"}
    assert {file.name for file in tmp_path.iterdir()} == names


@pytest.mark.usefixtures("small_blocks")
def test_devices_share_the_blocks(
    stack: MemoryStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(
        "torch", reason="torch is not installed (pip install 'isac2[gpu]'): it prepares nothing"
    )
    from isac2.devices.torch_devices import Devices
    from isac2.images.backends.torch_backend import TorchImageBackend

    stack.pixels[3] = 1.0
    given = stack, np.linspace(-2, 2, 2 * COUNT).reshape(COUNT, 2)
    options = settings(phase_flip=True)
    expected = prepare_working_stack(*given, options, tmp_path / "a.npy", SerialWorkers())
    both = TorchImageBackend(Devices(["cpu:0", "cpu:1"]))
    monkeypatch.setattr(prepare, "open_image_backend", lambda device: {"torch:cpu": both}[device])
    options = replace(options, device="torch:cpu")
    with open_workers(3) as workers:
        found = prepare_working_stack(*given, options, tmp_path / "b.npy", workers)
    assert found.unusable.tolist() == expected.unusable.tolist() == [3]
    np.testing.assert_allclose(found.images, expected.images, atol=2e-5)


@pytest.mark.usefixtures("small_blocks")
def test_unusable_images_are_listed_by_id_and_can_be_read_again(
    stack: MemoryStack, tmp_path: Path
) -> None:
    stack.pixels[3] = 1.0
    stack.pixels[17, 2, 2] = np.nan
    path = tmp_path / "working.npy"
    working = prepare_working_stack(stack, 0.0, settings(), path, SerialWorkers())
    assert working.unusable.tolist() == [3, 17]
    np.testing.assert_array_equal(working.images[[3, 17]], 0.0)
    again = open_working_stack(path)
    np.testing.assert_array_equal(again.images, working.images)
    assert again.unusable.tolist() == [3, 17]


def test_the_prealignment_gets_the_whole_resampled_image(
    stack: MemoryStack, tmp_path: Path
) -> None:
    wide = prepare_for_prealignment(stack, settings(), tmp_path / "p.npy", SerialWorkers())
    assert wide.images.shape == (COUNT, 38, 38)  # 64 * 15 / 25 = 38.4
    np.testing.assert_allclose(wide.images[:, 4:34, 4:34].std(axis=(1, 2)), 1.0, atol=0.2)


@pytest.mark.usefixtures("small_blocks")
def test_the_spectrum_is_measured_over_blocks_as_over_the_whole(stack: MemoryStack) -> None:
    stack.pixels[5] = 0.0
    stack.pixels[6, 0, 0] = np.inf
    weights = measure_spectrum_weights(stack, SerialWorkers())
    usable = MemoryStack(np.delete(stack.pixels, [5, 6], axis=0))
    np.testing.assert_allclose(weights, measure_spectrum_weights(usable, SerialWorkers()))
    assert weights.shape == (BOX // 2 + 1,)
    assert weights[0] == 1.0


def test_filaments_are_masked_at_minus_the_prior(stack: MemoryStack, tmp_path: Path) -> None:
    filaments = MemoryStack(stack.pixels, psi_prior_in_degrees=30.0)
    options = settings(filament_width=20)
    check_stack(filaments, options)
    working = prepare_working_stack(filaments, 0.0, options, tmp_path / "f.npy", SerialWorkers())
    # The axis lies at -30 degrees, y down: up to the right. Centre (20, 20), half width 6.
    assert np.all(working.images[:, 20 - 7, 20 + 12] != 0.0)
    assert np.all(working.images[:, 20 + 7, 20 + 12] == 0.0)


def test_what_the_options_need_and_the_stack_lacks_is_named(stack: MemoryStack) -> None:
    check_stack(stack, settings(phase_flip=True))
    bare = MemoryStack(stack.pixels)
    check_stack(bare, settings())
    with pytest.raises(
        InputError, match=r"--CTF needs.*particles\.star.*rlnDefocusU.*rlnImagePixelSize"
    ):
        check_stack(bare, settings(phase_flip=True))
    with pytest.raises(InputError, match="rlnAnglePsiPrior"):
        check_stack(bare, settings(filament_width=20))
    with pytest.raises(InputError, match=r"--radius=32.*64 px wide: give at most 31"):
        check_stack(bare, Settings(radius=32))


@pytest.mark.parametrize(
    ("radius", "largest"),
    [(25, 62), (15, 38)],  # the box of 64 px less two; the working box of 40 px less two
)
def test_a_filament_leaves_something_to_normalise_by(
    stack: MemoryStack, radius: int, largest: int
) -> None:
    filaments = MemoryStack(stack.pixels, psi_prior_in_degrees=30.0)
    fitting = replace(settings(), radius=radius, filament_width=largest)
    check_stack(filaments, fitting)
    with pytest.raises(InputError, match=rf"--filament_width={largest + 1} .*at most {largest},"):
        check_stack(filaments, replace(fitting, filament_width=largest + 1))


def test_phases_are_not_flipped_twice(stack: MemoryStack) -> None:
    stack.metadata = replace(stack.metadata, phase_flipped=np.ones(len(stack), np.bool_))
    check_stack(stack, settings())
    with pytest.raises(InputError, match="flipped already: leave --CTF out"):
        check_stack(stack, settings(phase_flip=True))


def test_a_full_disk_is_an_error_and_leaves_nothing(
    stack: MemoryStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", no_space)
    with pytest.raises(RunError, match="No space left"):
        prepare_working_stack(stack, 0.0, settings(), tmp_path / "w.npy", SerialWorkers())
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be read"):
        open_working_stack(tmp_path / "absent.npy")
    np.save(tmp_path / "other.npy", np.zeros((2, 2)))
    (tmp_path / "other.unusable.txt").touch()
    with pytest.raises(RunError, match="no working images"):
        open_working_stack(tmp_path / "other.npy")
