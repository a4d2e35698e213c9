"""Ring coefficients of images with torch: the formulas of `backends.sampling`, on any device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isac2.alignment.backends.cpu import shift_weights
from isac2.alignment.rings import RingGeometry, SamplingTable

__all__ = ["RingSampler"]

Tensor = Any
Device = Any

_TAPS = 8  # of the windowed sinc, along each axis
_TINY_VARIANCE = 1e-6  # of the mean square: what is left of a constant image is rounding


@dataclass(frozen=True)
class RingSampler:
    """The tables of one geometry and one grid of translations, on one device.

    Attributes
    ----------
    geometry : RingGeometry
    window : int
        Side of the window of pixels around an image's centre.
    first_pixel : int64 (s, p)
        In the flat window, the first of the 4 x 4 pixels of each sample.
    x_weights, y_weights : float32 (s, p, 4)
    ring_weights : float32 (p,)
        Share of each sample in the area of all rings; they add up to 1.
    """

    geometry: RingGeometry
    window: int
    first_pixel: Tensor
    x_weights: Tensor
    y_weights: Tensor
    ring_weights: Tensor

    @classmethod
    def on(cls, device: Device, geometry: RingGeometry, table: SamplingTable) -> RingSampler:
        """Bring the tables to a device."""
        # the row and the column of the grid that each translation has
        row, column = (v[np.argsort(table.place.ravel())] for v in np.indices(table.place.shape)
                       .reshape(2, -1))  # fmt: skip
        first = table.top[row] * table.window + table.left[column]
        share = np.repeat(geometry.weights / geometry.lengths, geometry.lengths)
        tables = (
            first, table.x_weights[column], table.y_weights[row], share.astype(np.float32)
        )  # fmt: skip
        return cls(geometry, table.window, *(torch.from_numpy(t).to(device) for t in tables))

    @property
    def bytes_an_image(self) -> int:
        """Memory that sampling one image takes, all its intermediate steps counted."""
        return 16 * int(self.first_pixel.numel()) + 16 * (self.window + _TAPS) ** 2

    def coefficients(
        self, images: Tensor, centres: NDArray[np.float64], normalise: bool, out: Tensor
    ) -> None:
        """Fill out (m, b, s, 2 r) with the angular orders of images (b, ny, nx) on the rings.

        centres float64 (b, 2) from the centre of the box, px. The last axis of `out`, zero where a
        ring does not carry an order, has the real parts of all rings, then the imaginary parts.
        """
        samples = self._samples(self._centred(images, centres))
        if normalise:
            samples = self._normalised(samples)
        geometry, rings = self.geometry, len(self.geometry.radii)
        for ring, (length, count) in enumerate(
            zip(geometry.lengths, geometry.orders, strict=True)
        ):  # fmt: skip
            start = int(geometry.starts[ring])
            spectrum = torch.fft.rfft(samples[..., start : start + int(length)], norm="forward")
            orders = spectrum[..., : int(count)].permute(2, 0, 1)
            out[: int(count), :, :, ring] = orders.real
            out[: int(count), :, :, rings + ring] = orders.imag

    def _centred(self, images: Tensor, centres: NDArray[np.float64]) -> Tensor:
        """Windows (b, w, w) whose middle pixel is each image's centre."""
        whole = np.floor(centres)
        corners = whole.astype(np.int64) - self.window // 2 - (_TAPS // 2 - 1)
        weights = torch.from_numpy(shift_weights(centres - whole)).to(images.device)  # (b, 2, 8)
        pixels = _cut_out(images, corners, self.window + _TAPS - 1)
        x, y = weights[:, 0, :, None, None], weights[:, 1, :, None, None]
        window = self.window
        rows = sum(x[:, tap] * pixels[:, :, tap : tap + window] for tap in range(_TAPS))
        return sum(y[:, tap] * rows[:, tap : tap + window] for tap in range(_TAPS))

    def _samples(self, windows: Tensor) -> Tensor:
        """Samples on all rings at all translations, (b, s, p)."""
        flat = windows.reshape(len(windows), -1)
        samples = torch.zeros((len(flat), *self.first_pixel.shape), device=flat.device)
        for row in range(4):
            for column in range(4):
                place = self.first_pixel + (row * self.window + column)
                weight = self.y_weights[..., row] * self.x_weights[..., column]
                pixels = flat.index_select(1, place.ravel()).view_as(samples)
                samples.addcmul_(pixels, weight)
        return samples

    def _normalised(self, samples: Tensor) -> Tensor:
        """Samples with zero mean and unit variance over the rings; constant images become zero."""
        mean = samples @ self.ring_weights
        centred = samples - mean[..., None]
        variance = centred.square() @ self.ring_weights
        constant = variance <= _TINY_VARIANCE * (variance + mean.square())
        scale = torch.where(constant, torch.zeros_like(variance), variance.rsqrt())
        return centred * scale[..., None]


def _cut_out(images: Tensor, corners: NDArray[np.int64], wide: int) -> Tensor:
    """Windows (b, wide, wide) of images; pixels outside an image become zero.

    corners int64 (b, 2): x and y of the first pixel, from the centre of the box.
    """
    height, width = images.shape[1:]
    first = torch.from_numpy(corners).to(images.device)
    steps = torch.arange(wide, device=images.device)
    x = first[:, :1] + (width // 2 + steps)
    y = first[:, 1:] + (height // 2 + steps)
    inside_x, inside_y = (x >= 0) & (x < width), (y >= 0) & (y < height)
    number = torch.arange(len(images), device=images.device)[:, None, None]
    pixels = images[number, y.clamp(0, height - 1)[:, :, None], x.clamp(0, width - 1)[:, None]]
    inside = inside_y[:, :, None] & inside_x[:, None]
    return torch.where(inside, pixels, torch.zeros_like(pixels))
