"""Work on images by the processor: the functions of this room as an `ImageBackend`."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from isac2.images.ctf import CtfParameters
from isac2.images.ctf_correction import CtfSums, ctf_in_poses, weigh_by_ctf
from isac2.images.preparation import normalise_particles, prepare_block
from isac2.images.transform import apply_poses
from isac2.poses import PoseArray

__all__ = ["CpuSums", "normalised", "open_sums", "prepare", "weighed"]

prepare = prepare_block
weighed = weigh_by_ctf


def normalised(images: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Images (m, n, n) with zero mean inside a mask and unit standard deviation outside it."""
    return normalise_particles(images, inside)[0]


def open_sums(group_count: int, box: int) -> CpuSums:
    """Sums of nothing, for images of a box in px."""
    return CpuSums(group_count, box)


class CpuSums:
    """Sums of images in their poses; the same bytes however the images are parted.

    They are moved first, and with them the axes of their CTFs, so that one transform is enough.
    """

    def __init__(self, group_count: int, box: int) -> None:
        self._sums = CtfSums.zeros(group_count, box)
        self._plain = np.zeros((group_count, box, box))  # transformed when all are there
        self._corrected = False

    def add(
        self,
        images: NDArray[np.float32],
        poses: PoseArray,
        groups: NDArray[np.int64],
        ctf: CtfParameters | None,
        pixel_size_in_angstroms: ArrayLike,
        flipped: NDArray[np.bool_],
    ) -> None:
        """Move images, multiply their transforms by their CTFs, and add them up."""
        moved = apply_poses(images, poses)
        if ctf is None:
            np.add.at(self._plain, groups, moved)
            counts = np.bincount(groups, minlength=len(self._plain))
            self._sums.squares[:] += counts[:, None, None]
        else:
            self._corrected = True
            turned = ctf_in_poses(ctf, poses)
            self._sums.add(moved, turned, pixel_size_in_angstroms, groups, flipped)

    def total(self) -> CtfSums:
        """What was added."""
        if self._corrected:
            return self._sums
        shape = self._sums.squares.shape[1], self._sums.squares.shape[1]
        return CtfSums(np.asarray(scipy.fft.rfft2(self._plain, shape)), self._sums.squares)
