"""What is done to many images on any device: prepare them, and add them up in their poses.

`open_image_backend` gives who does it; what one of its functions returns as `Any` is its own, is
handed to the next without looking inside, and stays where the backend keeps it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isac2.devices import torch_names
from isac2.images.ctf import CtfParameters
from isac2.images.ctf_correction import CtfSums
from isac2.images.preparation import PreparationPlan
from isac2.poses import PoseArray

__all__ = ["ImageBackend", "PoseSums", "open_image_backend"]


class PoseSums(Protocol):
    """Sums of images in their poses, one a group; they grow."""

    def add(
        self,
        images: Any,
        poses: PoseArray,
        groups: NDArray[np.int64],
        ctf: CtfParameters | None,
        pixel_size_in_angstroms: ArrayLike,
        flipped: NDArray[np.bool_],
    ) -> None:
        """Move images (m, n, n), multiply their transforms by their CTFs, and add them up.

        Parameters
        ----------
        images : float32 (m, n, n), or what the backend makes of them
            Of mean about zero.
        poses : POSE (m,)
        groups : int64 (m,)
        ctf : CtfParameters or None
            Of the images before they are moved; None counts as a CTF of 1. The same for all calls.
        pixel_size_in_angstroms : float or (m,)
        flipped : bool (m,)
            Images whose phases have been flipped already: the CTF's magnitude counts.
        """
        ...

    def total(self) -> CtfSums:
        """What was added."""
        ...


class ImageBackend(Protocol):
    """What a device can do to images."""

    def prepare(
        self,
        images: NDArray[np.float32],
        shifts: ArrayLike,
        plan: PreparationPlan,
        ctf: CtfParameters | None = None,
        pixel_size_in_angstroms: ArrayLike = 1.0,
        filament_angles: ArrayLike | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """As `isac2.images.preparation.prepare_block`."""
        ...

    def normalised(self, images: NDArray[np.float32], inside: NDArray[np.bool_]) -> Any:
        """Images (m, n, n) as `isac2.images.preparation.normalise_particles` makes them."""
        ...

    def weighed(
        self,
        images: Any,
        ctf: CtfParameters,
        pixel_size_in_angstroms: ArrayLike,
        flipped: NDArray[np.bool_] | None = None,
    ) -> Any:
        """Images (m, n, n) as `isac2.images.ctf_correction.weigh_by_ctf` makes them."""
        ...

    def open_sums(self, group_count: int, box: int) -> PoseSums:
        """Sums of nothing, for images of a box in px."""
        ...


@lru_cache(maxsize=8)
def open_image_backend(device: str) -> ImageBackend:
    """Return what works on images on a device; the same one each time.

    Parameters
    ----------
    device : str
        From `isac2.devices.find_device`.

    Examples
    --------
    >>> images = np.ones((2, 8, 8), np.float32)
    >>> images[:, 0] = 3.0
    >>> inside = np.zeros((8, 8), bool)
    >>> open_image_backend("cpu").normalised(images, inside).std(axis=(1, 2)).round(3).tolist()
    [1.0, 1.0]
    """
    if not torch_names(device):
        from isac2.images.backends import cpu

        return cpu
    from isac2.devices.torch_devices import open_devices
    from isac2.images.backends.torch_backend import TorchImageBackend

    return TorchImageBackend(open_devices(device))
