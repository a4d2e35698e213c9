"""How well the members of a class agree with each other in direction and pose, when both are known.

A projection and its mirror image are one view: the mirrored image of direction d is the image of
direction -d. Mirroring an image is written here as the rotation by 180 degrees about y, which
negates x in the image as the mirror does and turns the direction round; so every member has one
proper rotation ``B = F A`` (molecule to class frame): A the true orientation, F the found pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.poses import PoseArray

__all__ = [
    "ClassAxis",
    "PoseAgreement",
    "class_axis",
    "euler_matrices",
    "pose_agreement",
    "symmetry_matrices",
]

_CANDIDATES = 64  # members tried as the first guess of a class's axis
_REFINEMENTS = 5


@dataclass(frozen=True)
class ClassAxis:
    """The common viewing axis of a class and how far its members lie from it.

    Attributes
    ----------
    axis : float64 (3,)
        Unit vector in the molecule's frame; its sign has no meaning.
    angles : float64 (m,)
        Angle of each member's direction, or of its opposite, from the axis, degrees, 0 to 90.
    mates : int64 (m,)
        Which symmetry mate of each member lies nearest to the axis.
    signs : int64 (m,)
        1 when the member's direction lies on the axis's side, -1 when its opposite does.
    """

    axis: NDArray[np.float64]
    angles: NDArray[np.float64]
    mates: NDArray[np.int64]
    signs: NDArray[np.int64]


@dataclass(frozen=True)
class PoseAgreement:
    """Found poses of one class against the true ones, after the best rigid transform of the class.

    Attributes
    ----------
    members : int
        How many members were compared.
    mirror_agreement : float
        Share of them whose mirror state fits the truth, up to one flip of the whole class.
    in_plane_errors : float64 (k,)
        Error of the in-plane angle of each member that agrees in mirror, degrees.
    shift_errors : float64 (k,)
        Distance of its centre from the class's common centre, pixels.
    orientation : float64 (3, 3)
        How the molecule lies in the class's frame, as most members have it: the class's average
        shows its projection along z of ``orientation r``.
    centre : float64 (2,)
        Where in the average the molecule's origin lies, pixels from the box's centre.
    """

    members: int
    mirror_agreement: float
    in_plane_errors: NDArray[np.float64]
    shift_errors: NDArray[np.float64]
    orientation: NDArray[np.float64]
    centre: NDArray[np.float64]

    def pixel_errors(self, radius: float) -> NDArray[np.float64]:
        """Return the rms move of a point of the disc of `radius` pixels, a member (k,).

        The mean over the disc of ``|R p - p|^2`` is ``radius^2 (1 - cos angle)``.
        """
        angle = np.deg2rad(self.in_plane_errors)
        squared: NDArray[np.float64] = radius**2 * (1 - np.cos(angle)) + self.shift_errors**2
        return np.sqrt(squared)


def euler_matrices(euler: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the RELION matrices of ZYZ angles: molecule's coordinates to the image's.

    Parameters
    ----------
    euler : float64 (n, 3)
        rot, tilt, psi in degrees.

    Returns
    -------
    float64 (n, 3, 3)
        ``A`` with ``r_image = A r_molecule``; its last row is the viewing direction.

    Examples
    --------
    >>> euler_matrices(np.array([[0.0, 90.0, 0.0]]))[0, 2].round(12) + 0.0
    array([1., 0., 0.])
    """
    from scipy.spatial.transform import Rotation

    active = Rotation.from_euler("ZYZ", euler, degrees=True).as_matrix()
    return np.ascontiguousarray(np.swapaxes(active, 1, 2))


def symmetry_matrices(symmetry: str) -> NDArray[np.float64]:
    """Return the rotations (s, 3, 3) of a point group: C1, C4, D7, T, O, I (main axis along z).

    Raises
    ------
    InputError
        When there is no such group.

    Examples
    --------
    >>> len(symmetry_matrices("D7"))
    14
    """
    from scipy.spatial.transform import Rotation

    try:
        group = Rotation.create_group(symmetry.upper())  # type: ignore[arg-type]
        return np.asarray(group.as_matrix(), dtype=np.float64)
    except ValueError:
        raise InputError(
            f"there is no symmetry '{symmetry}': write C1, C4, D7, T, O or I, or the like."
        ) from None


def class_axis(
    directions: NDArray[np.float64], symmetry: NDArray[np.float64] | None = None
) -> ClassAxis:
    """Find the axis about which the viewing directions of a class gather, whatever their mirror.

    Parameters
    ----------
    directions : float64 (m, 3)
        Unit vectors, m at least 1.
    symmetry : float64 (s, 3, 3), optional
        Rotations that leave the molecule as it is; none by default.

    Notes
    -----
    The start is the member (of at most 64, evenly taken) with the smallest median angle to the
    others; then the axis is the principal one of the directions' scatter, five times.
    """
    mates = np.eye(3)[None] if symmetry is None else symmetry
    turned = np.einsum("sij,mj->msi", mates, directions)  # (m, s, 3)
    step = -(-len(directions) // _CANDIDATES)
    candidates = directions[::step]
    cosines = np.stack([np.abs(turned @ candidate).max(axis=1) for candidate in candidates])
    axis = candidates[np.median(cosines, axis=1).argmax()]
    for _ in range(_REFINEMENTS):
        nearest = _nearest_mates(turned, axis)
        chosen = turned[np.arange(len(turned)), nearest]
        near = np.abs(chosen @ axis) >= np.median(np.abs(chosen @ axis))
        # the nearer half only, so that foreign members do not pull the axis off
        axis = np.linalg.eigh(chosen[near].T @ chosen[near])[1][:, -1]
    nearest = _nearest_mates(turned, axis)
    along = turned[np.arange(len(turned)), nearest] @ axis
    angles = np.rad2deg(np.arccos(np.minimum(np.abs(along), 1.0)))
    return ClassAxis(axis, angles, nearest, np.where(along < 0, -1, 1))


def _nearest_mates(turned: NDArray[np.float64], axis: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.asarray(np.abs(turned @ axis).argmax(axis=1), dtype=np.int64)


def pose_agreement(
    matrices: NDArray[np.float64],
    shifts: NDArray[np.float64],
    poses: PoseArray,
    symmetry: NDArray[np.float64] | None = None,
) -> PoseAgreement:
    """Compare the found poses of one class with the true orientations of its members.

    Parameters
    ----------
    matrices : float64 (m, 3, 3)
        True orientations, as `euler_matrices` gives them.
    shifts : float64 (m, 2)
        True positions of the molecule's origin from the box's centre, pixels.
    poses : POSE (m,)
        Found poses, image to class frame, shifts in pixels of the same images.
    symmetry : float64 (s, 3, 3), optional
        Rotations that leave the molecule as it is.

    Returns
    -------
    PoseAgreement
        Each class has a frame of its own: one rotation, shift and mirror a class is free. The
        in-plane angle of a direction off the class's axis is that of the twist about the axis.
    """
    mates = np.eye(3)[None] if symmetry is None else symmetry
    found, centres = _pose_matrices(poses, shifts)
    axis = class_axis(matrices[:, 2], mates)
    # A S is as true as A; the mate that turns the direction to the axis is the transpose's
    frames = np.einsum("mij,mjk,mlk->mil", found, matrices, mates[axis.mates])
    sides = np.where(frames[:, 2] @ axis.axis < 0, -1, 1)
    majority = 1 if (sides == 1).sum() * 2 >= len(sides) else -1
    agree = sides == majority
    seen = _frame_of(majority * axis.axis)
    turns = frames[agree] @ seen.T
    twists = np.arctan2(turns[:, 1, 0] - turns[:, 0, 1], turns[:, 0, 0] + turns[:, 1, 1])
    middle = np.angle(np.exp(1j * twists).mean())
    errors = np.angle(np.exp(1j * (twists - middle)))
    offsets = centres[agree] - centres[agree].mean(axis=0)
    return PoseAgreement(
        members=len(poses),
        mirror_agreement=float(agree.mean()),
        in_plane_errors=np.rad2deg(errors),
        shift_errors=np.hypot(offsets[:, 0], offsets[:, 1]),
        orientation=_about_z(_typical_angle(twists)) @ seen,
        centre=np.median(centres[agree], axis=0),
    )


def _typical_angle(angles: NDArray[np.float64]) -> float:
    """Return where most angles (radians) lie: the mean of the half nearest to the most typical."""
    candidates = angles[:: -(-len(angles) // _CANDIDATES)]
    far = np.abs(np.angle(np.exp(1j * (angles[None, :] - candidates[:, None]))))
    from_best = far[np.median(far, axis=1).argmin()]
    near = angles[from_best <= np.median(from_best)]
    return float(np.angle(np.exp(1j * near).mean()))


def _about_z(angle: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def _pose_matrices(
    poses: PoseArray, shifts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the poses as rotations in space (m, 3, 3) and where they put the centres (m, 2)."""
    angle = np.deg2rad(poses["alpha"])
    flip = np.where(poses["mirror"] == 1, -1.0, 1.0)
    cosine, sine = np.cos(angle), np.sin(angle)
    matrices = np.zeros((len(poses), 3, 3))
    matrices[:, 0, 0], matrices[:, 0, 1] = flip * cosine, flip * sine
    matrices[:, 1, 0], matrices[:, 1, 1] = -sine, cosine
    matrices[:, 2, 2] = flip
    centres = np.einsum("mij,mj->mi", matrices[:, :2, :2], shifts)
    centres[:, 0] += flip * poses["tx"]
    centres[:, 1] += poses["ty"]
    return matrices, centres


def _frame_of(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a rotation (3, 3) whose last row is `direction`."""
    helper = np.eye(3)[np.abs(direction).argmin()]
    first = np.cross(helper, direction)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(direction, first), direction])
