"""Stacks on devices: copied once it pays, where they fit, and only what cannot change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip(
    "torch", reason="torch is not installed (pip install 'isac2[gpu]'): no stack stays on a device"
)

COUNT = 10


@pytest.fixture
def stack(tmp_path: Path) -> NDArray[np.float32]:
    """A stack in a file, mapped for reading."""
    images = np.arange(COUNT * 4, dtype=np.float32).reshape(COUNT, 2, 2)
    np.save(tmp_path / "stack.npy", images)
    mapped: NDArray[np.float32] = np.load(tmp_path / "stack.npy", mmap_mode="r")
    return mapped


def open_stacks(kept: bool | None = True) -> tuple[Any, Any]:
    """Stacks that stay on the processor, and what torch calls it."""
    import torch

    from isac2.devices.torch_devices import Devices
    from isac2.devices.torch_stacks import ResidentStacks

    return ResidentStacks(Devices(["cpu"]), kept), torch.device("cpu")


def copies_of(stacks: Any) -> list[Any]:
    return [stack.copy for stack in stacks._last.values() if stack.copy is not None]


def test_rows_are_those_of_the_stack_and_it_is_copied_once(stack: NDArray[np.float32]) -> None:
    stacks, device = open_stacks()
    copies = []
    for rows in (np.array([7, 2, 2]), np.arange(6), np.array([9]), np.array([0, 8])):
        np.testing.assert_array_equal(stacks.take(stack, rows, device), stack[rows])
        copies.append(copies_of(stacks))
    assert [len(found) for found in copies] == [0, 0, 1, 1]  # after as many rows as it has
    assert copies[3][0] is copies[2][0]


def test_a_copy_is_given_in_large_pieces(
    stack: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isac2.devices.torch_stacks._BYTES_A_COPY", 3 * stack[0].nbytes)
    stacks, device = open_stacks()
    stacks.take(stack, np.arange(COUNT), device)
    np.testing.assert_array_equal(copies_of(stacks)[0], stack)


def test_another_stack_takes_its_place(stack: NDArray[np.float32], tmp_path: Path) -> None:
    np.save(tmp_path / "other.npy", stack + 100.0)
    other = np.load(tmp_path / "other.npy", mmap_mode="r")
    stacks, device = open_stacks()
    for images in (stack, other, stack):
        found = stacks.take(images, np.arange(COUNT), device)
        np.testing.assert_array_equal(found, images)
        assert len(copies_of(stacks)) == 1


def test_what_may_change_or_does_not_fit_is_not_kept(
    stack: NDArray[np.float32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    every = np.arange(COUNT)
    in_memory = np.array(stack)
    writable = np.load(tmp_path / "stack.npy", mmap_mode="r+")
    for images in (in_memory, writable):
        stacks, device = open_stacks()
        stacks.take(images, every, device)
        images[3] = -1.0
        np.testing.assert_array_equal(stacks.take(images, every, device), images)
        assert not copies_of(stacks)
    stacks, device = open_stacks(None)  # nothing is gained on the processor
    stacks.take(stack, every, device)
    assert not copies_of(stacks)
    stacks, device = open_stacks()
    monkeypatch.setattr(stacks._devices, "place_for", lambda *_: torch.device("meta"))
    np.testing.assert_array_equal(stacks.take(stack, every, device), stack)
    assert not copies_of(stacks)


def test_images_of_torch_stay_what_they_are(stack: NDArray[np.float32]) -> None:
    import torch

    stacks, device = open_stacks()
    rows = np.array([4, 1])
    found = stacks.take(torch.from_numpy(np.array(stack)), rows, device)
    np.testing.assert_array_equal(found, stack[rows])
