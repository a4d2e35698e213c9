"""Images' transforms on devices of torch: the CTF, and what preparation does to coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from isac2.images.preparation import PreparationPlan

__all__ = ["WEIGHING_BYTES", "Resampler", "ctf_values", "padded_transform", "transformed_back"]

Tensor = Any
Device = Any

WEIGHING_BYTES = 72
"""Memory that a coefficient of a padded transform takes on the way."""


def padded_transform(images: Tensor) -> Tensor:
    """Transform images (b, n, n) as on twice their box, complex64 (b, 2 n, n + 1)."""
    box = images.shape[-1]
    return torch.fft.rfft2(images, (2 * box, 2 * box))


def transformed_back(spectra: Tensor) -> Tensor:
    """Transform back (b, 2 n, n + 1) to the first n x n pixels."""
    box = spectra.shape[-1] - 1
    return torch.fft.irfft2(spectra, (2 * box, 2 * box))[:, :box, :box]


def ctf_values(terms: Tensor, flipped: Tensor, box: int) -> Tensor:
    """CTFs of images on a box (px), float32 (b, box, box // 2 + 1).

    terms float64 (b, 5) of `isac2.images.ctf.ctf_phase_terms`; flipped bool (b,): without its sign.
    """
    row = torch.arange(box, device=terms.device, dtype=torch.float64)
    u = (row[: box // 2 + 1] / box)[None, :]
    v = (torch.where(2 * row <= box, row, row - box) / box)[:, None]  # Nyquist is positive
    phase = _phase(terms, u, v, 1.0)
    phase -= 2.0 * (0.5 * phase).round()  # half turns, -1 to 1
    values = torch.sin(torch.pi * phase.float())
    return torch.where(flipped[:, None, None], values.abs(), values)


def _phase(terms: Tensor, u: Tensor, v: Tensor, side: float) -> Tensor:
    """Phases of CTFs in half turns, float64 (b, v, u); side -1.0 is at the frequencies (u, -v)."""
    c0, c1, c2, c3, c4 = (column[:, None, None] for column in terms.T)
    square = u.square() + v.square()
    even = c0 + (c1 + c4 * square) * square + c2 * (u.square() - v.square())
    return even + side * c3 * (2.0 * u * v)


@dataclass(frozen=True)
class Resampler:
    """The matrices of a preparation on one device; see `isac2.images.preparation`."""

    plan: PreparationPlan
    frequency: Tensor
    response: Tensor
    along_rows: Tensor
    down_columns: Tensor
    back_down_columns: Tensor
    back_along_rows: Tensor

    @classmethod
    def on(cls, device: Device, plan: PreparationPlan) -> Resampler:
        """Bring a plan to a device."""
        names = ("frequency", "response", "along_rows", "down_columns", "back_down_columns",
                 "back_along_rows")  # fmt: skip
        arrays = (np.ascontiguousarray(getattr(plan, name)) for name in names)
        return cls(plan, *(torch.from_numpy(array).to(device) for array in arrays))

    @property
    def bytes_an_image(self) -> int:
        """Memory that resampling one image takes, all its intermediate steps counted."""
        kept, box = len(self.frequency), self.back_along_rows.shape[1]
        return int(4 * (40 * kept**2 + 2 * kept * (self.plan.input_box + box) + box**2))

    def resampled(self, images: Tensor, terms: Tensor, shifts: Tensor) -> Tensor:
        """Flip, shift and resample images (b, n, n); terms float64 (b, 5), shifts (b, 2)."""
        products = self.down_columns @ (images @ self.along_rows)
        changed = self._transferred(products, terms, shifts)
        return self.back_down_columns @ changed @ self.back_along_rows

    def _transferred(self, products: Tensor, terms: Tensor, shifts: Tensor) -> Tensor:
        """As `isac2.images.kernels.transfer_spectra`: float32 (b, 2 K, 2 K) both."""
        kept = len(self.frequency)
        (cos_real, cos_imag), (sin_real, sin_imag) = (
            half.split(kept, dim=2) for half in products.split(kept, dim=1)
        )
        along, down = (
            torch.exp(-2j * torch.pi * shifts[:, axis, None] * self.frequency).to(torch.complex64)
            for axis in range(2)
        )
        plus = torch.complex(cos_real + sin_imag, cos_imag - sin_real)
        minus = torch.complex(cos_real - sin_imag, cos_imag + sin_real)
        plus = plus * self._signs(terms, 1.0) * (down[:, :, None] * along[:, None])
        minus = minus * self._signs(terms, -1.0) * (down.conj()[:, :, None] * along[:, None])
        total, rest = plus + minus, plus - minus
        upper = torch.cat([total.real, total.imag], dim=2)
        return torch.cat([upper, torch.cat([-rest.imag, rest.real], dim=2)], dim=1)

    def _signs(self, terms: Tensor, side: float) -> Tensor:
        """Response, negative where the CTF is, float32 (b, K, K)."""
        half = 0.5 * _phase(terms, self.frequency[None, :], self.frequency[:, None], side)
        return torch.where(half - half.floor() < 0.5, self.response, -self.response)
