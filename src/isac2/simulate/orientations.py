"""Orientations of particles, RELION's ZYZ angles in degrees.

``euler`` is (rot, tilt, psi): the viewing direction, seen from the molecule, is (rot, tilt) in
polar coordinates, psi turns the image. `isac2.classes.truth.Truth` says what that does to an image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Segments",
    "draw_preferred",
    "draw_segments",
    "draw_uniform",
    "draw_views",
    "opposite",
    "spread_directions",
]

_GOLDEN_ANGLE = 180.0 * (3.0 - 5.0**0.5)


@dataclass(frozen=True)
class Segments:
    """Orientations of n segments cut from filaments.

    Attributes
    ----------
    euler : float64 (n, 3)
    tube : int64 (n,)
        Number of the filament, from 0.
    track_in_angstroms : float64 (n,)
        Length along the filament from its first segment.
    """

    euler: NDArray[np.float64]
    tube: NDArray[np.int64]
    track_in_angstroms: NDArray[np.float64]


def spread_directions(count: int, first_rot: float = 0.0) -> NDArray[np.float64]:
    """Spread directions evenly over half the sphere, on a Fibonacci spiral.

    Parameters
    ----------
    count : int
    first_rot : float
        rot of the first direction, degrees.

    Returns
    -------
    float64 (count, 2)
        rot and tilt, degrees; half the sphere, as the other half shows the mirror images.

    Examples
    --------
    >>> spread_directions(2).round(2).tolist()
    [[0.0, 41.41], [137.51, 75.52]]
    """
    number = np.arange(count)
    rot = (first_rot + number * _GOLDEN_ANGLE) % 360
    return np.column_stack([rot, np.rad2deg(np.arccos(1 - (number + 0.5) / count))])


def opposite(euler: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angles (n, 3) of the mirrored images: the opposite direction, the same psi.

    The image at ``(rot + 180, 180 - tilt, 0)`` is the one at ``(rot, tilt, 0)`` with y negated.
    """
    rot, tilt, psi = euler.T
    return np.column_stack([(rot + 180) % 360, 180 - tilt, psi])


def draw_uniform(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Draw orientations (count, 3) from all, alike."""
    tilt = np.rad2deg(np.arccos(rng.uniform(-1, 1, count)))
    rot, psi = rng.uniform(0, 360, (2, count))
    return np.column_stack([rot, tilt, psi])


def draw_preferred(
    rng: np.random.Generator, count: int, axes: int = 3, width: float = 12.0, other: float = 0.15
) -> NDArray[np.float64]:
    """Draw orientations that are mostly near a few directions, or opposite to them.

    Parameters
    ----------
    axes : int
        Number of preferred directions, each half as popular as the one before.
    width : float
        Standard deviation about the direction along each of two axes, degrees.
    other : float
        Share of the particles that lie anyhow.

    Returns
    -------
    float64 (count, 3)
    """
    euler = draw_uniform(rng, count)
    popularity = 0.5 ** np.arange(axes)
    preferred = spread_directions(axes, rng.uniform(0, 360))
    axis = _unit_vectors(preferred)[rng.choice(axes, count, p=popularity / popularity.sum())]
    axis = axis * rng.choice([-1.0, 1.0], count)[:, None]
    near = axis + np.tan(np.deg2rad(width)) * _across(axis, rng.normal(size=(count, 3)))
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    chosen = rng.random(count) >= other
    euler[chosen, 0] = np.rad2deg(np.arctan2(near[chosen, 1], near[chosen, 0])) % 360
    euler[chosen, 1] = np.rad2deg(np.arccos(near[chosen, 2]))
    return euler


def draw_views(
    rng: np.random.Generator,
    directions: NDArray[np.float64],
    view: NDArray[np.int64],
    mirrors: bool,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw in-plane angles, and mirrors when wanted, of images of discrete views.

    Parameters
    ----------
    directions : float64 (v, 2)
        rot and tilt of each view.
    view : int64 (n,)
        View of each image.
    mirrors : bool

    Returns
    -------
    euler : float64 (n, 3)
    mirror : int64 (n,)
        1 where the image is the mirrored view, about half.
    """
    count = len(view)
    euler = np.column_stack([directions[view], rng.uniform(0, 360, count)])
    mirror = rng.integers(0, 2, count) if mirrors else np.zeros(count, np.int64)
    return np.where(mirror[:, None] == 1, opposite(euler), euler), mirror


def draw_segments(
    rng: np.random.Generator,
    count: int,
    segments_per_tube: int,
    rise_in_angstroms: float,
    twist_in_degrees: float,
) -> Segments:
    """Draw segments of gently bent filaments, one subunit from each to the next.

    Tilt scatters by 4 degrees about 90; psi follows the filament, with a scatter of 2 degrees. A
    step of one rise along the helix is the same as a turn back by one twist.
    """
    tube = np.arange(count) // segments_per_tube
    step = np.arange(count) % segments_per_tube
    tubes = int(tube[-1]) + 1
    first_rot, direction = rng.uniform(0, 360, (2, tubes))
    bend = rng.normal(0, 0.2, tubes)[tube] * (step - 0.5 * segments_per_tube)
    rot = (first_rot[tube] - twist_in_degrees * step) % 360
    tilt = 90 + rng.normal(0, 4, count)
    psi = (direction[tube] + bend + rng.normal(0, 2, count)) % 360
    track = np.asarray(step * rise_in_angstroms, np.float64)
    return Segments(np.column_stack([rot, tilt, psi]), tube, track)


def _unit_vectors(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    rot, tilt = np.deg2rad(directions).T
    return np.column_stack([np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)])


def _across(axis: NDArray[np.float64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the part of each vector that is perpendicular to its axis."""
    return np.asarray(vectors - axis * (vectors * axis).sum(axis=1, keepdims=True))
