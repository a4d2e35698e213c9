"""What is searched: rings, translations, and where each image's search is centred."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.backends import Backend, open_backend
from isac2.alignment.rings import RingGeometry, SamplingTable, shift_grid
from isac2.poses import PoseArray, make_poses

__all__ = ["Frames", "SearchSpace", "centres_from_poses", "poses_from_search"]


@dataclass(frozen=True)
class SearchSpace:
    """The rings of the particle's disc and the translations that are tried; lengths in px.

    `device` is what computes it (`backends.open_backend`).

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
    device: str = "cpu"

    @property
    def backend(self) -> Backend:
        """What computes on the device."""
        return open_backend(self.device)

    def geometry(self, frequency: float = 0.5) -> RingGeometry:
        """Rings with the angular orders that images limited to `frequency` (1/px) carry."""
        return _geometry(self.inner_radius, self.radius, self.ring_step, frequency)

    def sampling_table(self, frequency: float = 0.5) -> SamplingTable:
        """Where the rings of all translations are sampled."""
        ranges = (self.x_range, self.y_range, self.translation_step)
        return _sampling_table(self.geometry(frequency), *ranges)

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


@dataclass(frozen=True)
class Frames:
    """Where the edges of the picked images lie in the working images, which were moved since.

    Attributes
    ----------
    origins : float64 (N, 2)
        x and y of the middle of each picked image, from the centre of the working box, px.
    half_width : float
        From there to the edges, px.
    """

    origins: NDArray[np.float64]
    half_width: float

    def share_outside(
        self, rows: NDArray[np.int64], centres: NDArray[np.float64], radius: float
    ) -> NDArray[np.float64]:
        """Share of a disc around each centre (px (m, 2)) that lies outside the picked image.

        What lies beyond each edge is a segment of the disc; corners count twice. rows int64 (m,)
        names the images. Returns float64 (m,).

        Examples
        --------
        >>> frames = Frames(np.zeros((1, 2)), half_width=10.0)
        >>> centres = np.array([[5.0, 0.0], [10.0, 0.0]])
        >>> frames.share_outside(np.array([0, 0]), centres, radius=5.0).tolist()
        [0.0, 0.5]
        """
        from_origin = np.abs(centres - self.origins[rows])
        # of the chord along an edge: how far from the disc's centre, in radii
        chord = np.clip((self.half_width - from_origin) / radius, -1.0, 1.0)
        segments = (np.arccos(chord) - chord * np.sqrt(1.0 - chord**2)) / np.pi
        share: NDArray[np.float64] = segments.sum(axis=-1)
        return share


# Every pass of the method asks for the same few again, and their tables take as long to make as the
# search of a hundred images.
@lru_cache(maxsize=64)
def _geometry(inner_radius: int, radius: int, ring_step: int, frequency: float) -> RingGeometry:
    return RingGeometry(inner_radius, radius, ring_step, frequency)


@lru_cache(maxsize=16)
def _sampling_table(
    geometry: RingGeometry, x_range: float, y_range: float, step: float
) -> SamplingTable:
    return geometry.sampling_table(shift_grid(x_range, y_range, step))


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
