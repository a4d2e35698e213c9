"""Which images of a group come out the same in every independent alignment of it.

Section 5 of the specification. A pose's rotation is kept as one complex number and its shift as
another, so that a rigid transform of a whole run is one multiplication and one addition.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isac2.poses import PoseArray, make_poses

__all__ = ["Stability", "test_stability"]

_Complex = NDArray[np.complex128]
_Float = NDArray[np.float64]

_OUTLIER_FACTOR = 3.0  # images off by more than this many thresholds do not steer the minimisation
_MAXIMUM_STARTS = 256  # images, evenly spread over a group, whose own agreement is tried
_MAXIMUM_ROUNDS = 100
_ENOUGH_TURN = 1e-12  # radians; the minimisation has converged when no run turns by more


@dataclass(frozen=True)
class Stability:
    """What a stability test found out about a group of m images.

    Attributes
    ----------
    stable : int64 (k,)
        Positions in the group of the stable images, ascending.
    poses : POSE (k,)
        Mean pose of each stable image over the runs, in the last run's frame and mirror.
    pixel_errors : float64 (k,)
        Pixel error of each stable image, pixels.
    mirror_consistency : float
        Share of the m images whose mirror agrees over all runs, 0 to 1.
    rms_pixel_error : float
        Root mean square pixel error of the stable images; 0 when there are none.
    rms_pixel_error_consistent : float
        The same over all images whose mirror agrees, stable or not.
    all_poses : POSE (m,)
        Mean pose of every image; the last run's pose where the mirror disagrees.
    all_pixel_errors : float64 (m,)
        Pixel error of every image; infinite where the mirror disagrees.
    """

    stable: NDArray[np.int64]
    poses: PoseArray
    pixel_errors: _Float
    mirror_consistency: float
    rms_pixel_error: float
    rms_pixel_error_consistent: float
    all_poses: PoseArray
    all_pixel_errors: _Float

    def keep_at_least(self, count: int) -> Stability:
        """Return this result with the most reproducible images added until `count` are kept.

        Added are those with the lowest pixel errors, ties (and images whose mirror disagrees) by
        position. There are fewer than `count` only if the group itself is smaller.
        """
        if len(self.stable) >= count:
            return self
        order = np.argsort(self.all_pixel_errors, kind="stable")
        kept = np.sort(order[:count])
        return _select(self, kept)


def test_stability(runs: PoseArray, radius: float, pixel_error_threshold: float) -> Stability:
    """Find the images of a group that every alignment of it poses alike.

    Parameters
    ----------
    runs : POSE (L, m)
        Poses of the same m images from L independent alignments.
    radius : float
        Radius of the particle's disc, pixels: an error in the angle weighs as much as the shift it
        makes at that distance.
    pixel_error_threshold : float
        Images with a pixel error below this are stable, pixels.

    Returns
    -------
    Stability

    Raises
    ------
    ValueError
        If `runs` is not two-dimensional or has no run.

    Notes
    -----
    1. Mirror: an image's mirror states relative to the last run are a code of L - 1 bits. The
       images for which some flip of whole runs makes all states agree are those that share a code,
       so the largest such set is the commonest code (the lowest of equally common ones).
    2. Whole runs are moved by one rigid transform each, the last one staying, so that the mean over
       the images of ``e^2 = r^2 (1 - |sum_l exp(i a_l)| / L) + var_l(tx) + var_l(ty)`` is least.
       Given each image's mean pose, the best transform of a run is known in closed form, and the
       other way round; alternating the two never increases the mean and converges in few rounds.
       Images with e above three thresholds at the start are left out of this. The start is the
       best of: the mean difference of each run from the last; and, for every image (256 of them in
       a larger group), the transforms that make its own poses equal. The second kind finds the
       common part of a group in which many images are posed at random, where a mean over all lands
       between.
    3. Mean poses are those after the transforms.

    Examples
    --------
    Two runs that differ by a rotation of the whole group by 30 degrees; image 2 does not follow.

    >>> from isac2.poses import make_poses
    >>> runs = make_poses([[10, 20, 30, 40], [40, 50, 180, 70]], 0, 0, 0)
    >>> result = test_stability(runs, radius=29, pixel_error_threshold=0.7)
    >>> result.stable
    array([0, 1, 3])
    >>> result.poses["alpha"].round(6)
    array([40., 50., 70.])
    """
    if runs.ndim != 2 or runs.shape[0] == 0:
        raise ValueError(f"runs must be (alignments, images), got shape {runs.shape}")
    consistent = _mirror_consistent(runs["mirror"])
    rotations, shifts = _unmirrored(runs[:, consistent])
    threshold = float(pixel_error_threshold)
    rotations, shifts = _bring_together(rotations, shifts, radius, _OUTLIER_FACTOR * threshold)

    poses = runs[-1].copy()
    errors = np.full(runs.shape[1], np.inf)
    errors[consistent] = np.sqrt(_squared_errors(rotations, shifts, radius))
    poses[consistent] = _mean_poses(rotations, shifts, runs["mirror"][-1, consistent])
    everything = Stability(
        stable=np.arange(runs.shape[1]),
        poses=poses,
        pixel_errors=errors,
        mirror_consistency=len(consistent) / max(1, runs.shape[1]),
        rms_pixel_error=0.0,
        rms_pixel_error_consistent=_root_mean_square(errors[consistent]),
        all_poses=poses,
        all_pixel_errors=errors,
    )
    return _select(everything, np.flatnonzero(errors < threshold))


# Its name, fixed by the method's own words, would make pytest take it for a test where imported.
test_stability.__dict__["__test__"] = False


def _select(result: Stability, kept: NDArray[np.intp]) -> Stability:
    """Return the result with `kept` as its stable images."""
    errors = result.all_pixel_errors[kept]
    return replace(
        result,
        stable=kept.astype(np.int64),
        poses=result.all_poses[kept],
        pixel_errors=errors,
        rms_pixel_error=_root_mean_square(errors),
    )


def _root_mean_square(values: _Float) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else 0.0


def _mirror_consistent(mirror: NDArray[np.int8]) -> NDArray[np.intp]:
    """Return the largest set of images whose mirrors (L, m) agree up to flips of whole runs."""
    if mirror.shape[1] == 0:
        return np.empty(0, dtype=np.intp)
    _, code, frequency = np.unique(
        mirror[:-1] != mirror[-1], axis=1, return_inverse=True, return_counts=True
    )
    return np.flatnonzero(code.reshape(-1) == frequency.argmax())


def _unmirrored(runs: PoseArray) -> tuple[_Complex, _Complex]:
    """Return rotations exp(i a) and shifts x + i y (L, m) as they act beside no mirror.

    A mirror applied last turns a following rotation the other way. Taken to the other side of the
    mirror, angles and x shifts change sign, and a whole run moves by one formula. The flips of
    whole runs drop out: after them every run has the last one's mirror.
    """
    sign = np.where(runs["mirror"][-1] == 1, -1.0, 1.0)
    rotations = np.exp(1j * np.radians(runs["alpha"] * sign))
    return rotations, runs["tx"] * sign + 1j * runs["ty"]


def _mean_poses(rotations: _Complex, shifts: _Complex, mirror: NDArray[np.int8]) -> PoseArray:
    """Return the mean over the runs, taken back through the mirror of `_unmirrored`."""
    sign = np.where(mirror == 1, -1.0, 1.0)
    alpha = np.degrees(np.angle(rotations.sum(axis=0))) * sign
    shift = shifts.mean(axis=0)
    return make_poses(alpha, shift.real * sign, shift.imag, mirror)


def _squared_errors(rotations: _Complex, shifts: _Complex, radius: float) -> _Float:
    """Return the squared pixel error (m,) of images with these rotations and shifts (L, m)."""
    turn = 1.0 - np.abs(rotations.sum(axis=0)) / len(rotations)
    spread = shifts.real.var(axis=0) + shifts.imag.var(axis=0)
    squares: _Float = np.maximum(radius**2 * turn + spread, 0.0)
    return squares


def _bring_together(
    rotations: _Complex, shifts: _Complex, radius: float, outlier_error: float
) -> tuple[_Complex, _Complex]:
    """Move whole runs so that the images' mean squared error is least; the last run stays."""
    if rotations.shape[1] == 0 or len(rotations) == 1:
        return rotations, shifts
    turns, moves = _best_start(rotations, shifts, radius, outlier_error)
    rotations, shifts = _move_runs(rotations, shifts, turns, moves)
    steering = _squared_errors(rotations, shifts, radius) <= outlier_error**2
    if not steering.any():
        return rotations, shifts
    turns, moves = _least_error_moves(rotations[:, steering], shifts[:, steering], radius)
    return _move_runs(rotations, shifts, turns, moves)


def _move_runs(
    rotations: _Complex, shifts: _Complex, turns: _Complex, moves: _Complex
) -> tuple[_Complex, _Complex]:
    """Apply one rotation exp(i b) and one shift a run (L,) after the poses (L, m)."""
    # With R = [[cos, sin], [-sin, cos]] a positive angle turns x + i y by exp(-i b).
    moved = np.conj(turns)[:, np.newaxis] * shifts + moves[:, np.newaxis]
    return rotations * turns[:, np.newaxis], moved


def _best_start(
    rotations: _Complex, shifts: _Complex, radius: float, outlier_error: float
) -> tuple[_Complex, _Complex]:
    """Return the run transforms (L,), of many candidates, under which the images agree best."""
    mean_turn = (rotations[-1] * np.conj(rotations)).mean(axis=1)
    mean_turn = np.where(np.abs(mean_turn) > 1e-9, mean_turn, 1.0)
    mean_turn /= np.abs(mean_turn)
    mean_move = shifts[-1].mean() - np.conj(mean_turn) * shifts.mean(axis=1)
    some = slice(None, None, -(-rotations.shape[1] // _MAXIMUM_STARTS))
    own_turns = rotations[-1, some] * np.conj(rotations[:, some])  # column j: image j agrees
    own_moves = shifts[-1, some] - np.conj(own_turns) * shifts[:, some]
    turns = np.column_stack([mean_turn, own_turns]).T  # (candidates, L)
    moves = np.column_stack([mean_move, own_moves]).T

    # Squared errors of all images under all candidates, (candidates, m), as matrix products.
    count = len(rotations)
    turn_errors = 1.0 - np.abs(turns @ rotations) / count
    sums = np.conj(turns) @ shifts + moves.sum(axis=1)[:, np.newaxis]
    squares = (
        (np.abs(shifts) ** 2).sum(axis=0)
        + (np.abs(moves) ** 2).sum(axis=1)[:, np.newaxis]
        + 2.0 * (np.conj(moves * turns) @ shifts).real
    )
    errors = radius**2 * turn_errors + squares / count - np.abs(sums / count) ** 2
    # The error that counts ends at the outliers' limit, as in the minimisation that follows. The
    # sum is rounded so that the choice does not hang on the last bits of a matrix product.
    cost = np.minimum(errors, outlier_error**2).sum(axis=1).round(6)
    best = int(cost.argmin())
    return turns[best], moves[best]


def _least_error_moves(
    rotations: _Complex, shifts: _Complex, radius: float
) -> tuple[_Complex, _Complex]:
    """Return the transforms (L,) of the runs that minimise the mean squared error of all images.

    With mean angles p_i and mean shifts u_i held, run l adds
    ``sum_i -r^2 cos(a_il + b - p_i) + |R_b t_il + s - u_i|^2`` (up to constants), which is linear
    in exp(i b) once s is eliminated: a weighted Procrustes problem in the plane.
    """
    turns = np.ones(len(rotations), dtype=np.complex128)
    run_means = shifts.mean(axis=1)
    centred = np.conj(shifts - run_means[:, np.newaxis])
    for _ in range(_MAXIMUM_ROUNDS):
        total = (rotations * turns[:, np.newaxis]).sum(axis=0)
        directions = total / np.maximum(np.abs(total), 1e-300)
        targets = (turns[:, np.newaxis] * centred).conj().mean(axis=0)
        # Sums, not matrix products: their order must not hang on the number of threads.
        pull = (radius**2 * rotations * np.conj(directions) + 2.0 * centred * targets).sum(axis=1)
        updated = np.where(np.abs(pull) > 1e-300, np.conj(pull), turns)
        updated /= np.abs(updated)
        updated *= np.conj(updated[-1])  # the last run stays
        change = np.abs(updated - turns).max()
        turns = updated
        if change < _ENOUGH_TURN:
            break
    return turns, run_means[-1] - np.conj(turns) * run_means
