"""The devices that torch computes on: which one a thread uses, and how much memory it may take."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch

from isac2.devices import torch_names
from isac2.errors import RunError

__all__ = ["Devices", "Same", "in_parts", "open_devices"]

Device = Any

_MOST_BYTES = 2 * 2**30  # larger blocks are no faster
_CPU_BYTES = 32 * 2**20  # about what the caches hold
_SHARE_OF_FREE = 0.4  # the rest is for what other blocks keep, and for who else uses the device


class Devices:
    """Devices that share the work: each thread keeps to one of them, the threads in turn.

    Parameters
    ----------
    names : sequence of str
        As torch names them.
    memory_in_bytes : int, optional
        What one step may take; by default a share of what is free on the device.
    """

    def __init__(self, names: Sequence[str], memory_in_bytes: int | None = None) -> None:
        self._devices = [torch.device(name) for name in names]
        self._memory = memory_in_bytes
        self._locks = {device: threading.Lock() for device in self._devices}
        self._turn = itertools.count()
        self._own = threading.local()
        if not self.has_gpu:
            torch.set_num_threads(1)  # blocks are shared by threads already

    @property
    def has_gpu(self) -> bool:
        """Whether they are not the processor itself."""
        return bool(self._devices[0].type == "cuda")

    def mine(self) -> Device:
        """Return the calling thread's device."""
        if not hasattr(self._own, "device"):
            self._own.device = self._devices[next(self._turn) % len(self._devices)]
        return self._own.device

    @contextmanager
    def alone_on(self, device: Device) -> Iterator[int]:
        """Yield how many bytes a step may take on a device, which works on this step alone.

        A GPU does one thing after the other anyway; so a step may use the memory that is free.

        Raises
        ------
        RunError
            Another program took the memory in between.
        """
        if device.type != "cuda":
            yield self._memory or _CPU_BYTES
            return
        with self._locks[device], _saying_what_is_full(device):
            yield self._memory or self._free_bytes(device)

    def place_for(self, device: Device, wanted: int) -> Device:
        """Return where to keep so many bytes between steps: there while half of it stays free."""
        if device.type != "cuda":
            return device
        free, total = _free_and_total(device)
        return device if free - wanted >= total // 2 else torch.device("cpu")

    def _free_bytes(self, device: Device) -> int:
        """Share of the free memory."""
        return int(min(_MOST_BYTES, _SHARE_OF_FREE * _free_and_total(device)[0]))


def _free_and_total(device: Device) -> tuple[int, int]:
    """Memory of a GPU in bytes; what torch holds without using it counts as free."""
    free, total = torch.cuda.mem_get_info(device)
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + held, total


@contextmanager
def _saying_what_is_full(device: Device) -> Iterator[None]:
    """Turn torch's word for a full memory into one sentence."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise RunError(
            f"The memory of {device} is full, perhaps with another program's data: give the same "
            "command again when it is free, or with --device=cpu, and it goes on from the last "
            "saved point."
        ) from error


@lru_cache(maxsize=8)
def open_devices(device: str) -> Devices:
    """Return the devices that a word stands for, which all backends share; the same each time.

    Parameters
    ----------
    device : str
        From `isac2.devices.find_device`; one of torch.
    """
    return Devices(torch_names(device))


class Same:
    """Stands for an object in a table of what was made from it: the same one, not an equal one."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.thing is self.thing


def in_parts(count: int, limit: int) -> Iterator[slice]:
    """Cut a number of things into parts of at most so many, at least one each."""
    size = max(1, min(count, limit))
    for first in range(0, count, size):
        yield slice(first, min(first + size, count))
