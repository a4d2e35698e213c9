"""The numerical kernels behind the alignment, one interface for every device.

Everybody asks a `SearchSpace` for its backend, and hands what one function of it returns to the
next without looking inside.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from isac2.devices import torch_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from isac2.alignment.backends.cpu import AngleGrid, Peaks
    from isac2.alignment.rings import RingGeometry, SamplingTable

__all__ = ["Backend", "open_backend"]


class Backend(Protocol):
    """What a device can do for the alignment; the functions are described in `backends.cpu`.

    Banks, references and filters are each backend's own, and stay where it keeps them; what is
    found comes back as NumPy arrays.
    """

    @property
    def images_a_block(self) -> int:
        """How many images a caller should hand over at a time."""
        ...

    @property
    def images_a_batch(self) -> int:
        """Up to how many images groups that are aligned reference-free go together; 0: never."""
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

    def averages_of_others(
        self,
        bank: Any,
        owners: NDArray[np.int64],
        counts: NDArray[np.int64],
        own_weight: float,
        n_orders: int,
        peaks: Peaks,
        along_radius: Any,
    ) -> Any:
        """For the images of each part of each group, the group's filtered average in its poses."""
        ...

    def make_filter(self, geometry: RingGeometry, matrices: list[NDArray[np.float32]]) -> Any:
        """Matrices along the radius of the first angular orders (r, r), for the averages."""
        ...


@lru_cache(maxsize=8)
def open_backend(device: str) -> Backend:
    """Return what computes on a device; the same one each time.

    Parameters
    ----------
    device : str
        From `isac2.devices.find_device`.

    Examples
    --------
    >>> open_backend("cpu").images_a_block
    64
    """
    if not torch_names(device):
        from isac2.alignment.backends import cpu

        return cpu
    from isac2.alignment.backends.torch_backend import TorchBackend
    from isac2.devices.torch_devices import open_devices

    return TorchBackend(open_devices(device))
