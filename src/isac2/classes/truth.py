"""What is known of a stack whose particles were simulated: for scoring, never for classifying."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.poses import PoseArray, make_poses

__all__ = ["JUNK_NAMES", "Truth", "true_poses", "truth_from_arrays"]

JUNK_NAMES = ("good", "noise", "ice", "off-centre", "aggregate", "edge")
"""What the values of `Truth.junk` stand for."""


@dataclass(frozen=True)
class Truth:
    """The truth of n images; row i is image i, and what is not known is None.

    An image of molecule M (its projection along z of ``A r``, where `A` is the RELION ZYZ matrix of
    `euler` = (rot, tilt, psi), taking the molecule's coordinates to the image's) has the molecule's
    origin at `shift` (dx, dy) from the box's centre ``n // 2``. A mirrored image of a discrete view
    (rot, tilt) has `mirror` 1 and the opposite direction ``(rot + 180, 180 - tilt)`` in `euler`, so
    that `euler` alone describes the image.

    In terms of `isac2.poses`: the pose that brings an image onto its clean view (psi 0, no mirror)
    has ``alpha = -psi`` (``180 - psi`` when mirrored), ``mirror``, and ``t = -R shift``.

    Attributes
    ----------
    junk : int64 (n,)
        0 good, 1 noise, 2 ice, 3 off-centre, 4 aggregate, 5 edge.
    label : int64 (n,) or None
        Which molecule, -1 none.
    view : int64 (n,) or None
        Which of the discrete views, -1 none; None when orientations are continuous.
    mirror : int64 (n,) or None
        Whether the image shows the mirrored view.
    euler : float64 (n, 3) or None
        Rotation, tilt and in-plane angle, degrees.
    shift : float64 (n, 2) or None
        Where the molecule's origin lies, pixels from the box's centre, x and y.
    tube : int64 (n,) or None
        Which filament a segment was cut from, -1 none.
    defocus : float64 (n, 3) or None
        Of the simulation: U and V, A, and the angle of U, degrees.
    coordinates : float64 (n, 2) or None
        In the micrograph, pixels; with `defocus`, what a stack is known by.
    label_names, junk_names : tuple of str
        Names of the values of `label` and `junk`.
    """

    junk: NDArray[np.int64]
    label: NDArray[np.int64] | None = None
    view: NDArray[np.int64] | None = None
    mirror: NDArray[np.int64] | None = None
    euler: NDArray[np.float64] | None = None
    shift: NDArray[np.float64] | None = None
    tube: NDArray[np.int64] | None = None
    defocus: NDArray[np.float64] | None = None
    coordinates: NDArray[np.float64] | None = None
    label_names: tuple[str, ...] = ()
    junk_names: tuple[str, ...] = JUNK_NAMES

    def __len__(self) -> int:
        return len(self.junk)


def true_poses(truth: Truth) -> PoseArray:
    """Return the poses (n,) that bring images of discrete views onto their clean views.

    Parameters
    ----------
    truth : Truth
        With `euler` and `shift`; without `mirror`, no image is mirrored.

    Examples
    --------
    >>> truth = Truth(np.zeros(1, int), euler=np.zeros((1, 3)), shift=np.array([[3.0, -2.0]]))
    >>> true_poses(truth)[["tx", "ty"]].tolist()
    [(-3.0, 2.0)]
    """
    if truth.euler is None or truth.shift is None:
        raise InputError("this truth has no euler angles or shifts, so true poses are not known.")
    mirror = np.zeros(len(truth), np.int64) if truth.mirror is None else truth.mirror
    alpha = np.where(mirror == 1, 180.0, 0.0) - truth.euler[:, 2]
    turn = np.deg2rad(alpha)
    x, y = truth.shift.T
    return make_poses(
        alpha, -np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x - np.cos(turn) * y, mirror
    )


_SHAPES = {
    "label": (),
    "view": (),
    "mirror": (),
    "euler": (3,),
    "shift": (2,),
    "tube": (),
    "defocus": (3,),
    "coordinates": (2,),
}
_FRACTIONS = ("euler", "shift", "defocus", "coordinates")


def truth_from_arrays(arrays: Mapping[str, NDArray[np.generic]], source: str = "truth") -> Truth:
    """Check the arrays of a truth file and make a `Truth` of them.

    Parameters
    ----------
    arrays : mapping of str to array
        `junk` is needed; `label`, `view`, `mirror`, `euler`, `shift`, `tube`, `defocus`,
        `coordinates`, `map_names` and `junk_names` are taken when there; other keys are left alone.
        A `label` or `view` that is nowhere 0 or more says nothing and is dropped.
    source : str
        What to call the file in errors.

    Raises
    ------
    InputError
        When `junk` is missing or an array's shape or kind does not fit.

    Examples
    --------
    >>> len(truth_from_arrays({"junk": np.array([0, 0, 1])}))
    3
    """
    if "junk" not in arrays:
        raise InputError(f"{source} has no array 'junk': give a truth file (.npz) of a simulation.")
    count = len(np.atleast_1d(arrays["junk"]))
    fields: dict[str, NDArray[np.generic]] = {
        "junk": _checked(arrays["junk"], "junk", (count,), source)
    }
    for name, shape in _SHAPES.items():
        if name in arrays:
            fields[name] = _checked(arrays[name], name, (count, *shape), source)
    for name in ("label", "view"):
        if name in fields and not (np.asarray(fields[name], dtype=np.int64) >= 0).any():
            del fields[name]
    names = {
        target: tuple(str(value) for value in np.atleast_1d(arrays[name]))
        for name, target in (("map_names", "label_names"), ("junk_names", "junk_names"))
        if name in arrays
    }
    return Truth(**fields, **names)  # type: ignore[arg-type]  # the table above fixes the types


def _checked(
    array: NDArray[np.generic], name: str, shape: tuple[int, ...], source: str
) -> NDArray[np.generic]:
    """Return `array` as int64 or float64 after a look at its shape and kind."""
    array = np.asarray(array)
    if array.shape != shape or array.dtype.kind not in "iufb":
        raise InputError(
            f"{source}: array '{name}' has shape {array.shape} and type {array.dtype}, "
            f"where numbers of shape {shape} are needed."
        )
    return array.astype(np.float64 if name in _FRACTIONS else np.int64)
