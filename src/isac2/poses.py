"""Two-dimensional rigid poses with mirror, as structured arrays.

A pose ``(alpha, tx, ty, mirror)`` moves the feature at offset ``v = (x, y)`` from the centre
``(nx // 2, ny // 2)`` of an image to ``v' = M (R v + t)`` with
``R = [[cos a, sin a], [-sin a, cos a]]``, ``t = (tx, ty)``, and ``M`` negating x when mirrored.
Angles are degrees, shifts are pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["POSE", "PoseArray", "identity_poses", "make_poses"]

POSE = np.dtype([("alpha", "f8"), ("tx", "f8"), ("ty", "f8"), ("mirror", "i1")])
"""Fields of one pose: in-plane angle (deg), shift (px), mirror (0 or 1)."""

PoseArray = NDArray[Any]
"""An array, of any shape, whose dtype is `POSE`."""


def make_poses(alpha: ArrayLike, tx: ArrayLike, ty: ArrayLike, mirror: ArrayLike) -> PoseArray:
    """Assemble a pose array from its four fields, broadcast against each other."""
    fields = np.broadcast_arrays(alpha, tx, ty, mirror)
    poses = np.empty(fields[0].shape, dtype=POSE)
    for name, values in zip(("alpha", "tx", "ty", "mirror"), fields, strict=True):
        poses[name] = values
    return poses


def identity_poses(count: int) -> PoseArray:
    """Return `count` poses that leave an image as it is."""
    return np.zeros(count, dtype=POSE)
