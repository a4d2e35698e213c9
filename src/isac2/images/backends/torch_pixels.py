"""Images' pixels on devices of torch: normalised, and moved by poses.

The formulas of `isac2.images.kernels`, all images at once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch

__all__ = ["MOVING_BYTES", "NORMALISING_BYTES", "centred", "moved", "normalised", "resized"]

Tensor = Any
Device = Any

NORMALISING_BYTES, MOVING_BYTES = 48, 136
"""Memory that a pixel takes on the way, all intermediate steps counted."""


def centred(images: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Images float32 (b, n, n) with zero mean inside a mask (1 or b, n, n), and which hold any.

    As `isac2.images.kernels.centre_values`: constant ones and such with NaN become zero.
    """
    varies = (images != images[:, :1, :1]).any(dim=2).any(dim=1)
    usable = varies & images.isfinite().all(dim=2).all(dim=1)
    nothing = torch.zeros((), device=images.device)
    total = torch.where(inside, images, nothing).sum(dim=(1, 2), dtype=torch.float64)
    mean = (total / inside.sum(dim=(1, 2)).clamp(min=1)).float()
    return torch.where(usable[:, None, None], images - mean[:, None, None], nothing), usable


def normalised(images: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Images as `isac2.images.preparation.normalise_particles` makes them, and which could be."""
    values, measurable = centred(images, inside)
    number = (~inside).sum(dim=(1, 2)).clamp(min=1)
    outside = torch.where(inside, torch.zeros((), device=values.device), values)
    mean = outside.sum(dim=(1, 2), dtype=torch.float64) / number
    square = outside.square().sum(dim=(1, 2), dtype=torch.float64) / number
    variance = square - mean.square()
    measurable &= variance > 1e-10 * square
    scale = torch.where(measurable, variance, torch.ones_like(variance)).rsqrt() * measurable
    return values * scale.float()[:, None, None], measurable


def resized(images: Tensor, box: int) -> Tensor:
    """Images as `isac2.images.resample.crop_or_pad` makes them."""
    old_box = images.shape[-1]
    start = old_box // 2 - box // 2
    source = slice(max(start, 0), min(start + box, old_box))
    target = slice(source.start - start, source.stop - start)
    result = torch.zeros((len(images), box, box), device=images.device)
    result[:, target, target] = images[:, source, source]
    return result


@lru_cache(maxsize=16)
def _spline_matrix(device: Device, box: int) -> Tensor:
    """From the pixels of a line to its cubic B-spline's coefficients, float32 (n + 3, n).

    The line goes on mirrored about its last pixels; one coefficient stands before it, two behind.
    """
    weights = np.diag(np.full(box, 4.0)) + np.eye(box, k=1) + np.eye(box, k=-1)
    weights[0, 1] = weights[-1, -2] = 2.0
    coefficients = 6.0 * np.linalg.inv(weights)
    mirrored = np.concatenate([[1], np.arange(box), [box - 2, box - 3]])
    return torch.from_numpy(coefficients[mirrored].astype(np.float32)).to(device)


def moved(images: Tensor, poses: Tensor) -> Tensor:
    """Images float32 (b, n, n) moved by poses float64 (b, 5): cos, sin, tx, ty and sign of x.

    As `isac2.images.kernels.move_images`: a place outside the image leaves the pixel as it was.
    """
    box = images.shape[-1]
    matrix = _spline_matrix(images.device, box)
    coefficients = (matrix @ images @ matrix.T).flatten(start_dim=1)
    cosine, sine, tx, ty, sign = (column[:, None] for column in poses.T)
    pixel = torch.arange(box, device=images.device, dtype=torch.float64)
    y, x = (pixel - box // 2) - ty, -sign * (box // 2) - tx
    u = (cosine * x - sine * y + box // 2)[..., None] + pixel * (sign * cosine)[..., None]
    v = (sine * x + cosine * y + box // 2)[..., None] + pixel * (sign * sine)[..., None]
    inside = (u >= 0.0) & (u <= box - 1.0) & (v >= 0.0) & (v <= box - 1.0)
    column, row = (place.clamp(0.0, box - 1.0).floor() for place in (u, v))
    along, down = _spline_weights((u - column).float()), _spline_weights((v - row).float())
    first = (row * (box + 3) + column).long().flatten(start_dim=1)
    found = torch.zeros_like(images)
    for j, weight in enumerate(down):
        for i, other in enumerate(along):
            values = coefficients.gather(1, first + (j * (box + 3) + i)).view_as(images)
            found.addcmul_(values, weight * other)
    return torch.where(inside, found, images)


def _spline_weights(place: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights of the four coefficients around a place, 0 to 1, behind the second of them."""
    rest = 1.0 - place
    first, last = rest**3 / 6.0, place**3 / 6.0
    second = 4.0 / 6.0 - place.square() * (1.0 - 0.5 * place)
    return first, second, 1.0 - first - second - last, last
