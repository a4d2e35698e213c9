"""How good a class average is: its resolution, and how much each member looks like it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isac2.images.masks import disc_mask, pixel_offsets
from isac2.images.spectra import fourier_ring_correlation, resolution_at
from isac2.images.transform import apply_poses, average_in_poses
from isac2.poses import PoseArray

__all__ = ["ClassQuality", "measure_quality", "soft_disc"]

_SOFT_EDGE = 5.0  # px
_THRESHOLD = 0.5


@dataclass(frozen=True)
class ClassQuality:
    """Quality of one class.

    Attributes
    ----------
    resolution_frequency : float
        Where the average's signal and noise are equally strong, 1/px; 0.5 is Nyquist.
    ring_correlation : float64 (n // 2 + 1,)
        Of the averages of odd and even members; ring k is at the frequency k / n.
    similarity : float32 (m,)
        Correlation of each member, in its pose, with the average, inside the particle's disc.
    """

    resolution_frequency: float
    ring_correlation: NDArray[np.float64]
    similarity: NDArray[np.float32]


def measure_quality(
    images: NDArray[np.float32],
    poses: PoseArray,
    average: NDArray[np.float32],
    radius: float,
) -> ClassQuality:
    """Measure a class from its members.

    The averages of the odd and the even members, unfiltered, are correlated ring by ring, both
    multiplied by a disc that falls to zero as a cosine within five pixels outside `radius`. With
    ``c`` that correlation, ``2 c / (1 + c)`` is the one of two averages of as many images as the
    whole class has (Rosenthal & Henderson, J. Mol. Biol. 333:721, 2003); the resolution is where
    it falls below 0.5.

    Parameters
    ----------
    images : float32 (m, n, n)
        The members.
    poses : POSE (m,)
    average : float32 (n, n)
    radius : float
        Of the particle, px.
    """
    halves = average_in_poses(images, poses, np.arange(len(images)) % 2, 2)
    mask = soft_disc(images.shape[-1], radius)
    curve = fourier_ring_correlation(halves[0] * mask, halves[1] * mask)
    half = np.maximum(curve.correlation, 0.0)
    frequency = resolution_at(replace(curve, correlation=2 * half / (1 + half)), _THRESHOLD)
    inside = disc_mask(images.shape[-1], radius)
    moved = apply_poses(images, poses)[:, inside].astype(np.float64)  # (m, pixels)
    similarity = _correlation(moved, average[inside].astype(np.float64))
    return ClassQuality(frequency, curve.correlation, similarity)


def _correlation(rows: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float32]:
    """Pearson correlation of each row with the reference; 0 where either has no variance."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    reference = reference - reference.mean()
    norm = np.linalg.norm(rows, axis=1) * np.linalg.norm(reference)
    found = np.divide(rows @ reference, norm, out=np.zeros(len(rows)), where=norm > 0)
    return np.asarray(found, dtype=np.float32)


def soft_disc(box: int, radius: float) -> NDArray[np.float32]:
    """Disc of ones with a cosine edge outside it, float32 (box, box)."""
    offset = pixel_offsets(box)
    beyond = np.hypot(offset[:, None], offset[None, :]) - radius
    edge = 0.5 + 0.5 * np.cos(np.pi * np.clip(beyond / _SOFT_EDGE, 0.0, 1.0))
    return np.asarray(edge, dtype=np.float32)
