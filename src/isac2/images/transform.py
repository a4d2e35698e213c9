"""Moving images by poses, and averaging them in their poses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isac2.poses import PoseArray

__all__ = ["apply_poses", "average_in_poses", "pose_columns"]


def apply_poses(images: NDArray[np.float32], poses: PoseArray) -> NDArray[np.float32]:
    """Rotate, shift and mirror images.

    Pixels are interpolated by cubic B-splines. Where a place lies outside the image the pixel that
    stood there before the move is kept, so that corners have the background's level and noise.

    Parameters
    ----------
    images : float32 (n, ny, nx)
    poses : POSE (n,)
        A feature at offset v from the centre moves to ``M (R v + t)``.

    Returns
    -------
    float32 (n, ny, nx)

    Examples
    --------
    >>> from isac2.poses import make_poses
    >>> image = np.zeros((1, 9, 9), np.float32)
    >>> image[0, 4, 8] = 1.0  # at (4, 0) from the centre
    >>> moved = apply_poses(image, make_poses([90.0], [0.0], [0.0], [0]))
    >>> moved.argmax() // 9, moved.argmax() % 9  # at (0, -4)
    (np.int64(0), np.int64(4))
    """
    from isac2.images.kernels import move_images

    images = np.ascontiguousarray(images, dtype=np.float32)
    moved = np.empty_like(images)
    move_images(images, pose_columns(poses, len(images)), moved)
    return moved


def average_in_poses(
    images: NDArray[np.float32],
    poses: PoseArray,
    groups: NDArray[np.integer] | None = None,
    group_count: int | None = None,
) -> NDArray[np.float32]:
    """Average images after moving them by their poses, one average a group.

    Sums are double precision and in index order, so the result does not depend on who computes it.

    Parameters
    ----------
    images : float32 (n, ny, nx)
    poses : POSE (n,)
    groups : int (n,), optional
        The group of each image, counted from 0; images with a negative number are left out. All
        images are one group when not given.
    group_count : int, optional
        Number of averages K; one more than the highest group when not given.

    Returns
    -------
    float32 (ny, nx), or (K, ny, nx) when `groups` is given
        Zero where a group is empty.
    """
    from isac2.images.kernels import add_moved_images

    labels = np.zeros(len(images), np.int64) if groups is None else np.asarray(groups, np.int64)
    if group_count is None:
        group_count = int(labels.max(initial=-1)) + 1 if groups is not None else 1
    if labels.shape != (len(images),) or labels.max(initial=-1) >= group_count:
        raise ValueError("each image needs one group, below the number of groups")
    sums = np.zeros((group_count, *images.shape[1:]))
    images = np.ascontiguousarray(images, dtype=np.float32)
    add_moved_images(images, pose_columns(poses, len(images)), labels, sums)
    counts = np.bincount(labels[labels >= 0], minlength=group_count)
    averages = (sums / np.maximum(counts, 1)[:, None, None]).astype(np.float32)
    return averages if groups is not None else averages[0]


def pose_columns(poses: PoseArray, count: int) -> NDArray[np.float64]:
    """Return (cos, sin, tx, ty, sign of x) of each pose, float64 (n, 5)."""
    if poses.shape != (count,):
        raise ValueError(f"{count} images need {count} poses, not an array {poses.shape}")
    angle = np.radians(poses["alpha"])
    sign = 1.0 - 2.0 * (poses["mirror"] != 0)
    columns = [np.cos(angle), np.sin(angle), poses["tx"], poses["ty"], sign]
    return np.ascontiguousarray(np.stack(columns, axis=-1), dtype=np.float64)
