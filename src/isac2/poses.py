"""Two-dimensional rigid poses with mirror, as structured arrays.

A pose ``(alpha, tx, ty, mirror)`` moves the feature at offset ``v = (x, y)`` from the centre
``(nx // 2, ny // 2)`` of an image to ``v' = M (R v + t)`` with
``R = [[cos a, sin a], [-sin a, cos a]]``, ``t = (tx, ty)``, and ``M`` negating x when mirrored.
Angles are degrees, shifts are pixels.

The algebra below uses ``R(a) M = M R(-a)``: a mirror that comes first turns the sign of every
rotation that follows it. All functions take arrays of any shape and broadcast.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "POSE",
    "PoseArray",
    "compose",
    "cryosparc_from_poses",
    "eman_matrix_from_poses",
    "identity_poses",
    "invert",
    "make_poses",
    "mean_pose",
    "pixel_error",
    "poses_from_cryosparc",
    "poses_from_eman_matrix",
    "poses_from_relion",
    "relion_from_poses",
    "transform_points",
    "wrap_angle",
]

POSE = np.dtype([("alpha", "f8"), ("tx", "f8"), ("ty", "f8"), ("mirror", "i1")])
"""Fields of one pose: in-plane angle (deg), shift (px), mirror (0 or 1)."""

PoseArray = NDArray[np.void]
"""An array, of any shape, whose dtype is `POSE`."""

_RELION_ORIGIN_SIGN = 1.0
"""+1: a positive ``rlnOriginX`` says that RELION moves the image's content towards +x."""

_CRYOSPARC_SHIFT_ORDER = (0, 1)
"""Where x and y stand in cryoSPARC's ``alignments2D/shift``."""


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


def wrap_angle(angle_in_degrees: ArrayLike) -> NDArray[np.float64]:
    """Bring angles (deg) into [-180, 180).

    Examples
    --------
    >>> wrap_angle([190.0, -180.0, 540.0]).tolist()
    [-170.0, -180.0, -180.0]
    """
    turned = np.mod(np.asarray(angle_in_degrees, dtype=np.float64) + 180.0, 360.0)
    # A tiny negative number modulo 360 rounds to 360 itself, which belongs to the other end.
    return np.asarray(np.where(turned >= 360.0, 0.0, turned) - 180.0, dtype=np.float64)


def compose(first: PoseArray, second: PoseArray) -> PoseArray:
    """Return the pose that does `first`, then `second`.

    Parameters
    ----------
    first, second : POSE (...)
        Broadcast against each other.

    Returns
    -------
    POSE (...)
        Angles in [-180, 180).

    Examples
    --------
    >>> pose = compose(make_poses(30, 1, 2, 1), make_poses(20, 3, -1, 0))
    >>> [round(float(pose[name]), 4) for name in ("alpha", "tx", "ty", "mirror")]
    [10.0, -2.7443, 1.2214, 1.0]
    """
    # v'' = M2 (R2 M1 (R1 v + t1) + t2) = M2 M1 (R(+-a2) (R1 v + t1) + M1 t2)
    sign = _mirror_sign(first)
    turn = sign * second["alpha"]
    x, y = _rotate(turn, first["tx"], first["ty"])
    return make_poses(
        wrap_angle(first["alpha"] + turn),
        x + sign * second["tx"],
        y + second["ty"],
        np.bitwise_xor(first["mirror"], second["mirror"]),
    )


def invert(poses: PoseArray) -> PoseArray:
    """Return the poses that undo `poses`; angles in [-180, 180).

    Examples
    --------
    >>> pose = invert(make_poses(30, 1, 2, 0))
    >>> [round(float(pose[name]), 6) for name in ("alpha", "tx", "ty", "mirror")]
    [-30.0, 0.133975, -2.232051, 0.0]
    """
    # v = R(-a) (M v' - t): with M pulled to the front, M (R(-+a) v' - R(-+a) M t).
    sign = _mirror_sign(poses)
    turn = -sign * poses["alpha"]
    x, y = _rotate(turn, sign * poses["tx"], poses["ty"])
    return make_poses(wrap_angle(turn), -x, -y, poses["mirror"])


def transform_points(poses: PoseArray, points: ArrayLike) -> NDArray[np.float64]:
    """Say where poses move points.

    Parameters
    ----------
    poses : POSE (...)
    points : (..., 2)
        Offsets (x, y) from the image's centre, pixels; all but the last axis broadcast against
        `poses`.

    Returns
    -------
    float64 (..., 2)

    Examples
    --------
    >>> transform_points(make_poses(90, 2, 0, 1), [4, 0]).round(9).tolist()
    [-2.0, -4.0]
    """
    offsets = np.asarray(points, dtype=np.float64)
    x, y = _rotate(poses["alpha"], offsets[..., 0], offsets[..., 1])
    return np.stack([_mirror_sign(poses) * (x + poses["tx"]), y + poses["ty"]], axis=-1)


def mean_pose(runs: PoseArray) -> PoseArray:
    """Average the poses that several alignments gave to the same images.

    The angle is the direction of the mean of ``exp(i a)``, the shift is the plain mean and the
    mirror is that of the last run: the caller has brought the runs into one frame, where mirrors
    agree.

    Parameters
    ----------
    runs : POSE (L, ...)

    Returns
    -------
    POSE (...)
        Angles in [-180, 180).
    """
    return make_poses(
        wrap_angle(np.degrees(np.angle(_mean_direction(runs)))),
        runs["tx"].mean(axis=0),
        runs["ty"].mean(axis=0),
        runs["mirror"][-1],
    )


def pixel_error(runs: PoseArray, radius: float) -> NDArray[np.float64]:
    """Return how far the pixels of each image lie apart in several alignments of it.

    ``e^2 = r^2 (1 - |sum_l exp(i a_l)| / L) + var(tx_l) + var(ty_l)``: the mean square distance of
    the particle's pixels from where the mean pose puts them (Yang et al., Structure 20:237, 2012).

    Parameters
    ----------
    runs : POSE (L, ...)
        Poses of the same images in L runs, in one frame. The mirrors are not looked at.
    radius : float
        Radius r of the particle, pixels.

    Returns
    -------
    float64 (...)
        Pixels.

    Examples
    --------
    >>> runs = make_poses([[0.0], [0.0]], [[1.0], [-1.0]], 0.0, 0)
    >>> pixel_error(runs, 29.0).tolist()
    [1.0]
    """
    # Rounding can push the length of a mean of unit vectors above 1.
    spread = np.maximum(1.0 - np.abs(_mean_direction(runs)), 0.0)
    squared = radius**2 * spread + runs["tx"].var(axis=0) + runs["ty"].var(axis=0)
    return np.asarray(np.sqrt(squared), dtype=np.float64)


def eman_matrix_from_poses(poses: PoseArray) -> NDArray[np.float64]:
    """Write poses as EMAN2's ``xform.align2d`` keeps them.

    The rows of ``M [R | t]``, widened to three dimensions: with a mirror the first row is negated,
    the shift in it too.

    Parameters
    ----------
    poses : POSE (...)

    Returns
    -------
    float64 (..., 3, 4)
    """
    sign = _mirror_sign(poses)
    angle = np.radians(poses["alpha"])
    matrix = np.zeros((*poses.shape, 3, 4))
    matrix[..., 0, 0] = sign * np.cos(angle)
    matrix[..., 0, 1] = sign * np.sin(angle)
    matrix[..., 0, 3] = sign * poses["tx"]
    matrix[..., 1, 0] = -np.sin(angle)
    matrix[..., 1, 1] = np.cos(angle)
    matrix[..., 1, 3] = poses["ty"]
    matrix[..., 2, 2] = 1.0
    return matrix


def poses_from_eman_matrix(matrix: ArrayLike) -> PoseArray:
    """Read EMAN2's ``xform.align2d`` matrices, shape (..., 3, 4); the inverse of the above."""
    rows = np.asarray(matrix, dtype=np.float64)
    # The upper left corner is M R, whose determinant is that of M.
    mirror = rows[..., 0, 0] * rows[..., 1, 1] < rows[..., 0, 1] * rows[..., 1, 0]
    return make_poses(
        np.degrees(np.arctan2(-rows[..., 1, 0], rows[..., 1, 1])),
        np.where(mirror, -1.0, 1.0) * rows[..., 0, 3],
        rows[..., 1, 3],
        mirror,
    )


def relion_from_poses(
    poses: PoseArray, pixel_size_in_angstroms: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Write poses in RELION's terms.

    RELION brings a particle onto its 2D reference by ``v' = P (v + o)``: it adds the origin ``o``
    to the content's position (its manual: origin offsets "translate the image to its center and
    are to be applied BEFORE rotations"), then turns by psi with
    ``P = [[cos p, -sin p], [sin p, cos p]]``, y pointing down the rows as here. So a particle to
    the left of the box's centre has a positive origin, and re-extraction subtracts the origin from
    the coordinate. Ours, ``R v + t`` before the mirror, is the same for ``p = -a`` and
    ``o = R(-a) t``. RELION has no mirror: the flip is ours, ``M``, after rotation and shift, so
    that psi and origin alone are exact against the mirrored average.

    Parameters
    ----------
    poses : POSE (...)
    pixel_size_in_angstroms : float or (...)
        Pixel size of the images the poses belong to.

    Returns
    -------
    psi, origin_x, origin_y : float64 (...)
        ``rlnAnglePsi`` (deg, in [-180, 180)), ``rlnOriginXAngst``, ``rlnOriginYAngst`` (A).
    flip : int64 (...)
        ``rlnIsFlip``.
    """
    x, y = _rotate(-poses["alpha"], poses["tx"], poses["ty"])
    scale = _RELION_ORIGIN_SIGN * np.asarray(pixel_size_in_angstroms, dtype=np.float64)
    return wrap_angle(-poses["alpha"]), x * scale, y * scale, poses["mirror"].astype(np.int64)


def poses_from_relion(
    psi: ArrayLike,
    origin_x: ArrayLike,
    origin_y: ArrayLike,
    flip: ArrayLike,
    pixel_size_in_angstroms: ArrayLike,
) -> PoseArray:
    """Read poses in RELION's terms; the inverse of `relion_from_poses`."""
    alpha = -np.asarray(psi, dtype=np.float64)
    scale = _RELION_ORIGIN_SIGN / np.asarray(pixel_size_in_angstroms, dtype=np.float64)
    x, y = _rotate(alpha, np.asarray(origin_x) * scale, np.asarray(origin_y) * scale)
    return make_poses(wrap_angle(alpha), x, y, flip)


def cryosparc_from_poses(
    poses: PoseArray,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Write poses in cryoSPARC's terms.

    cryoSPARC keeps psi in radians and the origin in pixels of ``alignments2D/psize_A``, with
    RELION's senses (which is why converters between the two copy them), and knows no mirror.

    Parameters
    ----------
    poses : POSE (...)

    Returns
    -------
    pose : float64 (...)
        ``alignments2D/pose``, radians.
    shift : float64 (..., 2)
        ``alignments2D/shift``, pixels.
    flip : int64 (...)
        1 where the exported pose holds against the mirrored average.
    """
    psi, x, y, flip = relion_from_poses(poses, 1.0)
    components = (x, y)
    order = np.argsort(_CRYOSPARC_SHIFT_ORDER)
    return np.radians(psi), np.stack([components[i] for i in order], axis=-1), flip


def poses_from_cryosparc(pose: ArrayLike, shift: ArrayLike, flip: ArrayLike = 0) -> PoseArray:
    """Read poses in cryoSPARC's terms; the inverse of `cryosparc_from_poses`."""
    components = np.asarray(shift, dtype=np.float64)
    x, y = (components[..., place] for place in _CRYOSPARC_SHIFT_ORDER)
    return poses_from_relion(np.degrees(pose), x, y, flip, 1.0)


def _mirror_sign(poses: PoseArray) -> NDArray[np.float64]:
    """Return -1 where a pose mirrors, else +1."""
    return np.asarray(1.0 - 2.0 * (poses["mirror"] != 0))


def _rotate(
    angle_in_degrees: ArrayLike, x: ArrayLike, y: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return R (x, y) in this module's sense of rotation."""
    angle = np.radians(np.asarray(angle_in_degrees, dtype=np.float64))
    cosine, sine = np.cos(angle), np.sin(angle)
    column, row = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    return cosine * column + sine * row, cosine * row - sine * column


def _mean_direction(runs: PoseArray) -> NDArray[np.complex128]:
    """Return the mean of exp(i alpha) over the first axis."""
    return np.asarray(np.exp(1j * np.radians(runs["alpha"])).mean(axis=0))
