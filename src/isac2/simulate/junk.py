"""What is on images that are no particles: ice and the edge of the carbon film.

(Images of noise show nothing; off-centre particles and aggregates are molecules in the wrong
place.) Signals are in units of the particles' own, whose standard deviation in the disc is 1.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.special
from numpy.typing import NDArray

__all__ = ["edge_image", "ice_image"]


def ice_image(rng: np.random.Generator, size: int, box: int) -> NDArray[np.float32]:
    """Draw one to four crystals of ice: bright, rounded polygons with sharp edges.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : int
        Side of the image, pixels.
    box : int
        Side of the part, from pixel 0, in which the crystals lie.

    Returns
    -------
    float32 (size, size)
    """
    image = np.zeros((size, size), np.float32)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    for _ in range(rng.integers(1, 5)):
        centre = rng.uniform(0.15, 0.85, 2) * box
        radius = box * rng.uniform(0.05, 0.22)
        distance = _polygon_distance(x - centre[0], y - centre[1], rng)
        image += rng.uniform(0.6, 2.5) * scipy.special.expit((radius - distance) / 1.2)
    return image


def edge_image(rng: np.random.Generator, size: int, box: int) -> NDArray[np.float32]:
    """Draw the edge of a carbon film: one side brighter and grainy.

    Parameters and result as for `ice_image`; the edge goes through the part of side `box`.
    """
    y, x = np.mgrid[:size, :size].astype(np.float32) - box / 2
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y - rng.uniform(-0.25, 0.25) * box
    across = -np.sin(angle) * x + np.cos(angle) * y
    along = along + rng.uniform(0.5, 2) * np.sin(across / rng.uniform(6, 15))
    film = scipy.special.expit(along / 1.5)
    grain = rng.standard_normal((size, size), dtype=np.float32)
    squared = scipy.fft.fftfreq(size)[:, None] ** 2 + scipy.fft.rfftfreq(size) ** 2
    grain = scipy.fft.irfft2(scipy.fft.rfft2(grain) * np.exp(-squared / 0.02), (size, size))
    return np.asarray(film * (rng.uniform(1, 2) + 0.4 * grain / grain.std()), np.float32)


def _polygon_distance(
    x: NDArray[np.float32], y: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the distance from a centre in the norm whose unit ball is a stretched polygon."""
    corners = int(rng.integers(5, 8))
    angles = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(corners) / corners
    stretch = rng.uniform(0.8, 1.3, corners)
    sides = [
        scale * (np.cos(angle) * x + np.sin(angle) * y)
        for angle, scale in zip(angles, stretch, strict=True)
    ]
    return np.asarray(np.maximum.reduce(sides), np.float32)
