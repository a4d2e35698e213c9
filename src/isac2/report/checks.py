"""What a person would notice in an average, as numbers: is it centred, does it end at the disc."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from isac2.images.masks import pixel_offsets

__all__ = [
    "bright_centre",
    "has_rings",
    "is_off_centre",
    "ring_share",
    "share_at_the_edge",
    "touches_the_edge",
]

_OFF_CENTRE = 0.25  # of the radius
_EDGE = 0.9  # of the radius; beyond it a particle that fits its disc has little
_TOO_MUCH_AT_THE_EDGE = 0.35  # of the bright part
_RING_WIDTH = 0.14  # of the radius: what changes along it more slowly is the particle's shape
_TOO_MUCH_IN_RINGS = 0.15  # of the variance; averages with detail have 0.01 to 0.1


def _bright(averages: NDArray[np.float32], radius: float) -> tuple[NDArray[np.float64], ...]:
    """Return what exceeds mean + sigma inside the disc (k, n, n), and x, y and distance (n, n)."""
    box = averages.shape[-1]
    y, x = np.mgrid[:box, :box].astype(np.float64) - box // 2
    distance = np.hypot(x, y)
    inside = distance <= radius
    pixels = averages[:, inside].astype(np.float64)
    limit = pixels.mean(axis=1) + pixels.std(axis=1)
    bright = np.maximum(averages - limit[:, np.newaxis, np.newaxis], 0.0) * inside
    return bright, x, y, distance


def bright_centre(averages: NDArray[np.float32], radius: float) -> NDArray[np.float64]:
    """Centre of gravity of each average's bright part, from the centre of the box.

    Parameters
    ----------
    averages : float32 (k, n, n)
    radius : float
        Radius of the particle's disc, px. Bright is what exceeds mean + sigma inside it.

    Returns
    -------
    float64 (k, 2)
        x and y, px; 0 where nothing is bright.

    Examples
    --------
    >>> average = np.zeros((1, 9, 9), dtype=np.float32)
    >>> average[0, 4, 6] = 1
    >>> bright_centre(average, 4).tolist()
    [[2.0, 0.0]]
    """
    bright, x, y, _ = _bright(averages, radius)
    total = bright.sum(axis=(1, 2))
    moments = np.stack([(bright * x).sum(axis=(1, 2)), (bright * y).sum(axis=(1, 2))], axis=1)
    centres: NDArray[np.float64] = moments / np.where(total > 0, total, 1.0)[:, np.newaxis]
    return centres


def share_at_the_edge(averages: NDArray[np.float32], radius: float) -> NDArray[np.float64]:
    """Share of each average's bright part that lies beyond nine tenths of the radius, (k,)."""
    bright, _, _, distance = _bright(averages, radius)
    total = bright.sum(axis=(1, 2))
    share: NDArray[np.float64] = (bright * (distance > _EDGE * radius)).sum(axis=(1, 2))
    return share / np.where(total > 0, total, 1.0)


def is_off_centre(averages: NDArray[np.float32], radius: float) -> NDArray[np.bool_]:
    """Whether the bright part lies off the centre by more than a quarter of the radius, (k,)."""
    centres = bright_centre(averages, radius)
    off: NDArray[np.bool_] = np.hypot(centres[:, 0], centres[:, 1]) > _OFF_CENTRE * radius
    return off


def touches_the_edge(averages: NDArray[np.float32], radius: float) -> NDArray[np.bool_]:
    """Whether more than 35 % of the bright part lies at the edge of the disc, (k,)."""
    return share_at_the_edge(averages, radius) > _TOO_MUCH_AT_THE_EDGE


def ring_share(averages: NDArray[np.float32], radius: float) -> NDArray[np.float64]:
    """Share of each average's variance that lies in narrow rings about the centre, (k,).

    Images whose angles are not determined average to their rotational mean: rings, as a target has
    them. What changes slowly along the radius, and the middle third of it, do not count, because
    every blob is like that.

    Parameters
    ----------
    averages : float32 (k, n, n)
    radius : float
        Of the particle's disc, px.
    """
    offset = pixel_offsets(averages.shape[-1])
    distance = np.hypot(offset[:, None], offset[None, :])
    inside = distance <= radius
    ring = np.rint(distance[inside]).astype(np.int64)  # (pixels,)
    count = np.maximum(np.bincount(ring), 1)
    shares = np.zeros(len(averages))
    for k, pixels in enumerate(averages[:, inside].astype(np.float64)):
        means = np.bincount(ring, weights=pixels) / count
        slow = scipy.ndimage.gaussian_filter1d(means, _RING_WIDTH * radius, mode="nearest")
        narrow = np.square((means - slow)[ring[ring > radius / 3]]).sum()
        total = np.square(pixels - pixels.mean()).sum()
        shares[k] = narrow / total if total > 0 else 0.0
    return shares


def has_rings(averages: NDArray[np.float32], radius: float) -> NDArray[np.bool_]:
    """Whether more than 15 % of the variance lies in narrow rings about the centre, (k,)."""
    return ring_share(averages, radius) > _TOO_MUCH_IN_RINGS
