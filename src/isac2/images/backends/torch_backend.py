"""Work on images on devices of torch, in blocks that fit the memory that a step may take.

The sums of `isac2.images.backends.cpu` to rounding, not the same bits: splines come from a matrix
product instead of a recursion, CTFs from double precision, and sums run in another order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from isac2.devices.torch_devices import Devices, Same, in_parts
from isac2.images.backends import torch_pixels as pixels
from isac2.images.backends import torch_spectra as spectra
from isac2.images.ctf import CtfParameters, ctf_phase_terms
from isac2.images.ctf_correction import CtfSums, ctf_in_poses
from isac2.images.preparation import PreparationPlan, particle_mask
from isac2.images.transform import pose_columns
from isac2.poses import PoseArray

__all__ = ["TorchImageBackend", "TorchSums"]

Tensor = Any
Device = Any


@lru_cache(maxsize=16)
def _resampler(device: Device, plan: Same) -> spectra.Resampler:
    return spectra.Resampler.on(device, plan.thing)


def _on(device: Device, values: NDArray[Any] | Tensor) -> Tensor:
    """Bring values to a device."""
    if isinstance(values, torch.Tensor):
        return values.to(device)
    return torch.from_numpy(np.require(values, requirements=["C", "W"])).to(device)


class TorchImageBackend:
    """`isac2.images.backends.ImageBackend` on devices of torch.

    Parameters
    ----------
    devices : Devices
        That share the work.
    """

    def __init__(self, devices: Devices) -> None:
        self._devices = devices

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
        count, device = len(images), self._devices.mine()
        masks = [particle_mask(plan, before, filament_angles) for before in (True, False)]
        terms = np.zeros((count, 5))
        if ctf is not None:
            terms = ctf_phase_terms(ctf, pixel_size_in_angstroms)
        moves = np.broadcast_to(np.asarray(shifts, np.float64), (count, 2))
        prepared = np.empty((count, plan.box, plan.box), np.float32)
        usable = np.empty(count, np.bool_)
        with self._devices.alone_on(device) as memory:
            resampler = _resampler(device, Same(plan))
            one = pixels.NORMALISING_BYTES * (plan.input_box**2 + plan.box**2)
            for some in in_parts(count, memory // (one + resampler.bytes_an_image)):
                before, after = (_on(device, m[some] if m.ndim == 3 else m[None]) for m in masks)
                values, known = pixels.centred(_on(device, images[some]), before)
                values = resampler.resampled(
                    values, _on(device, terms[some]), _on(device, moves[some])
                )
                values, measurable = pixels.normalised(pixels.resized(values, plan.box), after)
                if plan.parameters.filament_width is not None and plan.parameters.mask_filaments:
                    values = values * after
                known &= measurable
                values = torch.where(known[:, None, None], values, torch.zeros_like(values))
                prepared[some], usable[some] = values.cpu().numpy(), known.cpu().numpy()
        return prepared, usable

    def normalised(self, images: NDArray[np.float32], inside: NDArray[np.bool_]) -> Tensor:
        """Images as `normalise_particles` makes them, on the device while it has room for them."""
        device = self._devices.mine()
        with self._devices.alone_on(device) as memory:
            mask = _on(device, inside if inside.ndim == 3 else inside[None])
            found = torch.empty(images.shape, device=self._devices.place_for(device, images.nbytes))
            one = pixels.NORMALISING_BYTES * images[0].size
            for some in in_parts(len(images), memory // one):
                own = mask[some] if len(mask) > 1 else mask
                found[some] = pixels.normalised(_on(device, images[some]), own)[0]
        return found

    def weighed(
        self,
        images: Tensor | NDArray[np.float32],
        ctf: CtfParameters,
        pixel_size_in_angstroms: ArrayLike,
        flipped: NDArray[np.bool_] | None = None,
    ) -> Tensor:
        """As `isac2.images.ctf_correction.weigh_by_ctf`."""
        device, box = self._devices.mine(), images.shape[-1]
        known = np.zeros(len(images), np.bool_) if flipped is None else flipped
        terms = ctf_phase_terms(ctf, pixel_size_in_angstroms)
        with self._devices.alone_on(device) as memory:
            found = torch.empty(tuple(images.shape), device=device)
            one = spectra.WEIGHING_BYTES * 2 * box * (box + 1)
            for some in in_parts(len(images), memory // one):
                values = spectra.padded_transform(_on(device, images[some]))
                values *= spectra.ctf_values(
                    _on(device, terms[some]), _on(device, known[some]), 2 * box
                )
                found[some] = spectra.transformed_back(values)
        return found

    def open_sums(self, group_count: int, box: int) -> TorchSums:
        """Sums of nothing, for images of a box in px."""
        return TorchSums(self._devices, group_count, box)


class TorchSums:
    """`isac2.images.backends.PoseSums` on the device of the thread that opens it."""

    def __init__(self, devices: Devices, group_count: int, box: int) -> None:
        self._devices, self._device = devices, devices.mine()
        shape = group_count, 2 * box, box + 1
        with devices.alone_on(self._device):
            self._weighed = torch.zeros((*shape, 2), dtype=torch.float64, device=self._device)
            self._squares = torch.zeros(shape, dtype=torch.float64, device=self._device)

    def add(
        self,
        images: Tensor | NDArray[np.float32],
        poses: PoseArray,
        groups: NDArray[np.int64],
        ctf: CtfParameters | None,
        pixel_size_in_angstroms: ArrayLike,
        flipped: NDArray[np.bool_],
    ) -> None:
        """Move images, multiply their transforms by their CTFs, and add them up."""
        device, box = self._device, images.shape[-1]
        moves = pose_columns(poses, len(images))
        terms = None
        if ctf is not None:
            terms = ctf_phase_terms(ctf_in_poses(ctf, poses), pixel_size_in_angstroms)
        one = pixels.MOVING_BYTES * box**2 + spectra.WEIGHING_BYTES * 2 * box * (box + 1)
        with self._devices.alone_on(device) as memory:
            for some in in_parts(len(images), memory // one):
                values = spectra.padded_transform(
                    pixels.moved(_on(device, images[some]), _on(device, moves[some]))
                )
                weights = None
                if terms is not None:
                    weights = spectra.ctf_values(
                        _on(device, terms[some]), _on(device, flipped[some]), 2 * box
                    )
                    values *= weights
                self._add_groups(values, weights, groups[some])

    def _add_groups(self, values: Tensor, weights: Tensor | None, groups: NDArray[Any]) -> None:
        """Add transforms, and the squares of what they were multiplied by, in a fixed order."""
        for number in np.unique(groups):
            rows = _on(self._device, np.flatnonzero(groups == number))
            real = torch.view_as_real(values[rows])
            self._weighed[number] += real.sum(dim=0, dtype=torch.float64)
            if weights is None:
                self._squares[number] += len(rows)
            else:
                self._squares[number] += weights[rows].square().sum(dim=0, dtype=torch.float64)

    def total(self) -> CtfSums:
        """What was added."""
        weighed = torch.view_as_complex(self._weighed).cpu().numpy()
        return CtfSums(weighed, self._squares.cpu().numpy())
