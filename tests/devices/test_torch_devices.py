"""Threads share devices, and what a full memory is called; skipped where torch is missing."""

from __future__ import annotations

import pytest

from isac2.errors import RunError

pytest.importorskip(
    "torch", reason="torch is not installed (pip install 'isac2[gpu]'): no devices are opened"
)


def test_threads_take_the_devices_in_turn() -> None:
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    from isac2.devices.torch_devices import Devices

    devices, together = Devices(["cpu:0", "cpu:1"]), Barrier(4)

    def mine(number: int) -> list[str]:
        together.wait()  # so that each thread has one
        return [str(devices.mine()), str(devices.mine())]

    with ThreadPoolExecutor(4) as executor:
        found = sorted(executor.map(mine, range(4)))
    assert found == [["cpu:0"] * 2, ["cpu:0"] * 2, ["cpu:1"] * 2, ["cpu:1"] * 2]


def test_a_full_memory_is_said_in_one_sentence() -> None:
    import torch

    from isac2.devices.torch_devices import Devices

    device = torch.device("cuda:0")  # only named: nothing is asked of it

    def fill() -> None:
        with Devices(["cuda:0"], memory_in_bytes=7).alone_on(device) as memory:
            assert memory == 7
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(RunError, match="The memory of cuda:0 is full"):
        fill()


def test_half_of_a_memory_is_kept_free(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from isac2.devices.torch_devices import Devices

    # 60 of 100 bytes are free, and torch holds 10 more that it does not use
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (60, 100))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 30)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 20)
    device, devices = torch.device("cuda:0"), Devices(["cuda:0"])
    assert devices.place_for(device, 20) == device
    assert devices.place_for(device, 21) == torch.device("cpu")
    with devices.alone_on(device) as memory:
        assert memory == 28  # two fifths of what is free


def test_backends_share_the_devices() -> None:
    from isac2.devices.torch_devices import open_devices

    assert open_devices("torch:cpu") is open_devices("torch:cpu")
