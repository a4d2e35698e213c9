"""The numerical kernels behind the alignment, one interface for every device.

`open_backend` is the only place that knows devices by name; everybody else asks a `SearchSpace` for
its backend, and hands what one function of it returns to the next without looking inside.
"""

from __future__ import annotations

import importlib.util
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from isac2.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from isac2.alignment.backends.cpu import AngleGrid, Peaks
    from isac2.alignment.rings import RingGeometry, SamplingTable

__all__ = ["DEVICES", "Backend", "count_gpus", "find_device", "open_backend"]

DEVICES = "auto|cpu|cuda(:[0-9]+)?|torch:cpu"
"""Regular expression of the words for a device."""

_TORCH_ON_CPU = "torch:cpu"


class Backend(Protocol):
    """What a device can do for the alignment; the functions are described in `backends.cpu`.

    Banks, references and filters are each backend's own, and stay where it keeps them; what is
    found comes back as NumPy arrays.
    """

    @property
    def images_a_block(self) -> int:
        """How many images a caller should hand over at a time."""
        ...

    def ring_bank(
        self,
        images: NDArray[np.float32],
        rows: NDArray[np.int64],
        centres: NDArray[np.float64],
        geometry: RingGeometry,
        table: SamplingTable,
        normalise: bool = True,
    ) -> Any:
        """Sample images on rings at every translation around its centre, and transform."""
        ...

    def references_from_bank(self, bank: Any) -> Any:
        """Weigh coefficients (at one translation) by ring area: k references for every image."""
        ...

    def own_references(
        self, references: Any, numbers: NDArray[np.int64]
    ) -> tuple[Any, NDArray[np.int64]]:
        """Give each image a few (b, k) of the references: what `find_peaks` takes, and owners."""
        ...

    def find_largest(
        self, bank: Any, references: Any, angles: AngleGrid, coarse: AngleGrid | None
    ) -> NDArray[np.float32]:
        """Best correlation of every image with every reference, float32 (b, k)."""
        ...

    def find_peaks(
        self,
        bank: Any,
        owners: NDArray[np.int64],
        references: Any,
        angles: tuple[AngleGrid, AngleGrid | None],
        table: SamplingTable,
        refine: bool = True,
    ) -> Peaks:
        """Best correlation of every image with its owner's references, and its pose."""
        ...

    def add_rotated(
        self, bank: Any, owners: NDArray[np.int64], count: int, n_orders: int, peaks: Peaks
    ) -> NDArray[np.float32]:
        """Sums of every owner's images in their poses, float32 (count, k, v)."""
        ...

    def make_filter(self, geometry: RingGeometry, matrices: list[NDArray[np.float32]]) -> Any:
        """Matrices along the radius of the first angular orders (r, r), for `filtered`."""
        ...

    def filtered(self, averages: NDArray[np.float32], along_radius: Any) -> Any:
        """Averages (j, k, v), from sums of `add_rotated`, filtered: references of j kinds."""
        ...


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


@lru_cache(maxsize=8)
def open_backend(device: str) -> Backend:
    """Return what computes on a device; the same one each time.

    Parameters
    ----------
    device : str
        From `find_device`.

    Examples
    --------
    >>> open_backend("cpu").images_a_block
    64
    """
    if device == "cpu":
        from isac2.alignment.backends import cpu

        return cpu
    from isac2.alignment.backends.torch_backend import TorchBackend

    if device == _TORCH_ON_CPU:
        return TorchBackend(["cpu"])
    names = [f"cuda:{number}" for number in range(count_gpus())]
    return TorchBackend(names if device == "cuda" else [device])
