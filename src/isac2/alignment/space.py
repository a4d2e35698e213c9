"""What is searched: rings, translations, and where each image's search is centred."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.rings import RingGeometry, shift_grid
from isac2.poses import PoseArray, make_poses

__all__ = ["SearchSpace", "centres_from_poses", "poses_from_search"]


@dataclass(frozen=True)
class SearchSpace:
    """The rings of the particle's disc and the translations that are tried; lengths in px.

    Examples
    --------
    >>> SearchSpace(radius=29).farthest_centre(76)
    7
    """

    radius: int
    inner_radius: int = 1
    ring_step: int = 1
    x_range: float = 1.0
    y_range: float = 1.0
    translation_step: float = 1.0

    def geometry(self, frequency: float = 0.5) -> RingGeometry:
        """Rings with the angular orders that images limited to `frequency` (1/px) carry."""
        return RingGeometry(self.inner_radius, self.radius, self.ring_step, frequency)

    def shifts(self) -> NDArray[np.float64]:
        """Translations tried, float64 (s, 2)."""
        return shift_grid(self.x_range, self.y_range, self.translation_step)

    def farthest_centre(self, box: int) -> int:
        """How far a search's centre may lie from the box's so that no disc leaves the box."""
        reach = int(np.ceil(max(self.x_range, self.y_range)))
        return max(0, box // 2 - self.radius - 1 - reach)

    def permitted(self, centres: NDArray[np.float64], box: int) -> NDArray[np.float64]:
        """Nearest centres from which no disc leaves the box, float64 (n, 2)."""
        limit = self.farthest_centre(box)
        return np.clip(centres, -limit, limit)


def centres_from_poses(poses: PoseArray) -> NDArray[np.float64]:
    """Point of each image, from the centre of its box, that its pose moves to the centre.

    Parameters
    ----------
    poses : POSE (n,)

    Returns
    -------
    float64 (n, 2)
        x and y, px: ``-R^-1 t``.
    """
    angle = np.deg2rad(poses["alpha"])
    cosine, sine = np.cos(angle), np.sin(angle)
    x, y = poses["tx"], poses["ty"]
    return np.stack([-(cosine * x - sine * y), -(sine * x + cosine * y)], axis=-1)


def poses_from_search(
    centres: NDArray[np.float64], angle: NDArray[np.float64], mirror: NDArray[np.int8]
) -> PoseArray:
    """Poses that turn each image about its found centre (px (..., 2)) by `angle` (radians)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    x, y = centres[..., 0], centres[..., 1]
    degrees = np.rad2deg(angle) % 360.0
    return make_poses(degrees, -(cosine * x + sine * y), sine * x - cosine * y, mirror)
