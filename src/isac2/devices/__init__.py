"""Which devices there are to compute on: the processor, and GPUs by way of torch.

Here alone devices have names; the backends of other rooms, which compute on them, ask
`torch_names` what to open. Nothing here knows what is computed.
"""

from __future__ import annotations

import importlib.util
import re

from isac2.errors import InputError

__all__ = ["DEVICES", "count_gpus", "find_device", "torch_names"]

DEVICES = "auto|cpu|cuda(:[0-9]+)?|torch:cpu"
"""Regular expression of the words for a device."""

_TORCH_ON_CPU = "torch:cpu"


def find_device(asked: str) -> str:
    """Return the device that a word stands for, and make sure that it is there.

    Parameters
    ----------
    asked : str
        ``cpu``; ``cuda`` for all GPUs that the program sees, ``cuda:N`` for one of them; ``auto``
        for ``cuda`` where it can be had, else ``cpu``; ``torch:cpu`` for the torch backend without
        a GPU, for tests.

    Raises
    ------
    InputError
        The word means nothing, torch is not installed, or there is no such GPU.

    Examples
    --------
    >>> find_device("cpu")
    'cpu'
    >>> find_device("gpu")
    Traceback (most recent call last):
        ...
    isac2.errors.InputError: --device=gpu is no device: give auto, cpu, cuda or cuda:N.
    """
    if not re.fullmatch(DEVICES, asked):
        raise InputError(f"--device={asked} is no device: give auto, cpu, cuda or cuda:N.")
    if asked == "cpu":
        return asked
    has_torch = importlib.util.find_spec("torch") is not None
    if asked == "auto":
        return "cuda" if has_torch and count_gpus() else "cpu"
    if not has_torch:
        raise InputError(
            f"--device={asked} needs torch, which is not installed: install it with "
            "pip install 'isac2[gpu]', or give --device=cpu."
        )
    if asked != _TORCH_ON_CPU:
        _check_gpu(asked, count_gpus())
    return asked


def _check_gpu(asked: str, count: int) -> None:
    """Refuse a GPU that is not there."""
    if not count:
        raise InputError(
            f"--device={asked}: torch finds no GPU here (its driver, CUDA_VISIBLE_DEVICES, or a "
            "torch built without CUDA may be why), so give --device=cpu."
        )
    number = int(asked.partition(":")[2] or 0)
    if number >= count:
        raise InputError(
            f"--device={asked}: there are GPUs 0 to {count - 1} here; give one of these, or cuda "
            "for all."
        )


def count_gpus() -> int:
    """Return how many GPUs torch, which has to be installed, can use."""
    import torch

    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


def torch_names(device: str) -> tuple[str, ...]:
    """Return what torch calls the parts of a device; none for the processor without torch.

    Parameters
    ----------
    device : str
        From `find_device`.

    Examples
    --------
    >>> torch_names("cpu"), torch_names("torch:cpu"), torch_names("cuda:1")
    ((), ('cpu',), ('cuda:1',))
    """
    if device == "cpu":
        return ()
    if device == _TORCH_ON_CPU:
        return ("cpu",)
    if device == "cuda":
        return tuple(f"cuda:{number}" for number in range(count_gpus()))
    return (device,)
