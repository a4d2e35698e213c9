"""Poses of symmetric particles: equal up to a symmetry of the class average.

Along a symmetry axis a particle looks the same after some rotations, and often in the mirror too.
An image of it has several poses that are equally right, and independent alignments take now one,
now another. That must not count as instability: the poses are compared up to those operations which
leave the average of the group as it is. The historical method knows nothing of this.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isac2.poses import PoseArray, compose, identity_poses, invert, make_poses

__all__ = ["bring_together", "symmetry_operations"]

_HIGHEST_FOLD = 8
_ROTATED_ALIKE = 0.5  # share of the halves' agreement that is left after a rotation
_MIRRORED_ALIKE = 0.65  # and after a mirror, which can be turned to fit best
_HALVES_AGREE = 0.3  # correlation that the halves of an average of nothing do not reach
_MIRROR_ANGLES = 720
_STARTS = 64
_CAP = 0.05  # of 1 - cos: beyond about 18 degrees two poses differ, by however much


def symmetry_operations(
    first: NDArray[np.complex64], second: NDArray[np.complex64], orders: NDArray[np.int64]
) -> PoseArray:
    """Operations that leave an average as it is, from the averages of two halves of its images.

    Parameters
    ----------
    first, second : complex64 (c,)
        Angular coefficients of the two averages, weighted by the square root of ring area.
    orders : int64 (c,)
        Angular order of each.

    Returns
    -------
    POSE (s,)
        A rotation group C_n or, with mirrors, D_n; the identity first.

    Notes
    -----
    The correlation of one half with the rotated (or mirrored) other half is compared with that of
    the two halves as they are. Order 0, which no rotation changes, is left out. The halves' noise
    being independent, a symmetric average keeps all of its correlation, whatever its noise. Halves
    that do not agree tell nothing, and give the identity alone.
    """
    count = int(orders.max()) + 1
    order = np.arange(count)
    rotated = np.bincount(orders, (first * second.conj()).real, count)
    mixed = first * second * np.where(orders % 2 == 1, -1.0, 1.0)
    mirrored = np.bincount(orders, mixed.real, count) + 1j * np.bincount(orders, mixed.imag, count)
    rotated[0], mirrored[0] = 0.0, 0.0
    whole = rotated.sum()
    turned = orders > 0
    power = [float((np.abs(half[turned]) ** 2).sum()) for half in (first, second)]
    if whole <= _HALVES_AGREE * np.sqrt(power[0] * power[1]):
        return identity_poses(1)
    fold = 1
    for n in range(_HIGHEST_FOLD, 1, -1):
        turns = 2 * np.pi * np.arange(1, n)[:, None] / n
        if (rotated * np.cos(order * turns)).sum(axis=1).min() > _ROTATED_ALIKE * whole:
            fold = n
            break
    turns = np.arange(fold) * 360.0 / fold
    operations = make_poses(turns, 0.0, 0.0, 0)
    angles = 2 * np.pi * np.arange(_MIRROR_ANGLES) / _MIRROR_ANGLES
    alike = (mirrored * np.exp(1j * order * angles[:, None])).real.sum(axis=1)
    if alike.max() < _MIRRORED_ALIKE * whole:
        return operations
    flip = make_poses(np.full(fold, np.degrees(angles[alike.argmax()])), 0.0, 0.0, 1)
    return np.concatenate([operations, compose(flip, operations)])


def bring_together(runs: PoseArray, operations: PoseArray) -> PoseArray:
    """Choose, of each image's equivalent poses in each run, the one nearest to the last run's.

    Parameters
    ----------
    runs : POSE (L, m)
        Poses of the same m images from L independent alignments.
    operations : POSE (s,)
        Symmetry operations of the last run's average.

    Returns
    -------
    POSE (L, m)
        Every run moved as a whole into the last run's frame, and each image by one operation.
    """
    last = runs[-1]
    moved = runs.copy()
    for number, run in enumerate(runs[:-1]):
        between = compose(invert(run), last)
        starts = between[np.linspace(0, len(run) - 1, min(_STARTS, len(run))).astype(int)]
        # every whole-run transform, followed by every operation: (starts, operations)
        candidates = compose(starts[:, None], operations[None, :])
        loss = _distance(candidates[:, :, None], between[None, None, :])
        best = np.minimum(loss.min(axis=1), _CAP).sum(axis=1).argmin()
        chosen = operations[loss[best].argmin(axis=0)]
        moved[number] = compose(compose(run, starts[best]), chosen)
    return moved


def _distance(first: PoseArray, second: PoseArray) -> NDArray[np.float64]:
    """1 - cos of the angle between poses; 2 where one is mirrored and the other is not."""
    angle = np.radians(first["alpha"] - second["alpha"])
    apart = first["mirror"] != second["mirror"]
    distance: NDArray[np.float64] = np.where(apart, 2.0, 1.0 - np.cos(angle))
    return distance
