"""Stacks of images that stay on devices: what is used again and again is copied there once."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isac2.devices.torch_devices import Devices, in_parts

__all__ = ["ResidentStacks"]

Tensor = Any
Device = Any

_BYTES_A_COPY = 64 * 2**20


@dataclass
class _Stack:
    """A stack that has been asked for: how many of its rows so far, and its copy once there is one.

    `images` is a weak reference, so that nobody's files are held open for it.
    """

    images: weakref.ref[NDArray[np.float32]]
    asked: int = 0
    copy: Tensor = field(default=None)


class ResidentStacks:
    """Rows of stacks, from a copy on the device where that fits; of the last stack on each device.

    Only a file mapped for reading is kept, which cannot change. It is copied when as many rows have
    been asked for as it has, so that this costs no more than what has been copied already, and only
    where half of the device's memory stays free.

    Parameters
    ----------
    devices : Devices
    kept : bool, optional
        Whether stacks are kept; by default on GPUs.
    """

    def __init__(self, devices: Devices, kept: bool | None = None) -> None:
        self._devices = devices
        self._kept = devices.has_gpu if kept is None else kept
        self._last: dict[Device, _Stack] = {}
        self._lock = threading.Lock()

    def take(
        self, images: NDArray[np.float32] | Tensor, rows: NDArray[np.int64], device: Device
    ) -> Tensor:
        """Return images[rows], float32 (m, n, n), on a device.

        Parameters
        ----------
        images : float32 (N, n, n), of NumPy or torch
        rows : int64 (m,)
        device : torch.device
        """
        if not isinstance(images, torch.Tensor):
            copy = self._copy(images, len(rows), device)
            if copy is None:
                return torch.from_numpy(np.asarray(images[rows], np.float32)).to(device)
            images = copy
        return images[torch.from_numpy(rows).to(images.device)].to(device)

    def _copy(self, images: NDArray[np.float32], count: int, device: Device) -> Tensor | None:
        """Return the copy of a stack of which some more rows are asked for, if there is one."""
        if not self._kept or not isinstance(images, np.memmap) or images.flags.writeable:
            return None
        with self._lock:
            stack = self._last.get(device)
            if stack is None or stack.images() is not images:
                # the copy of the stack before goes first
                stack = self._last[device] = _Stack(weakref.ref(images))
            stack.asked += count
            if stack.copy is None and stack.asked >= len(images):
                stack.copy = self._copied(images, device)
            return stack.copy

    def _copied(self, images: NDArray[np.float32], device: Device) -> Tensor | None:
        """Copy a whole stack, some rows at a time; None when it would take too much memory."""
        if self._devices.place_for(device, images.nbytes) != device:
            return None
        copy = torch.empty(images.shape, device=device)
        for some in in_parts(len(images), _BYTES_A_COPY // images[0].nbytes):
            copy[some] = torch.from_numpy(np.array(images[some], np.float32))
        return copy
