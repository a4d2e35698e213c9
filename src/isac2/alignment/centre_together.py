"""Centring averages on each other, so that no reference is off its neighbours' centre."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.reference_free import ReferenceFreeAligner, ReferenceFreeSchedule
from isac2.alignment.space import SearchSpace, centres_from_poses
from isac2.images.filters import fourier_shift

__all__ = ["align_averages_together"]

_SCHEDULE = ReferenceFreeSchedule(rounds=10, last_cutoff=0.25, falloff=0.2, discrete_angle=90.0)


def align_averages_together(
    averages: NDArray[np.float32],
    moves: NDArray[np.float64],
    space: SearchSpace,
    seed: tuple[int, ...],
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Align averages reference-free to their common average, and keep only the shifts.

    Rotations and mirrors of a reference change nothing in a search over all of them, and every
    interpolation costs sharpness; so an average is only shifted, in Fourier space.

    Parameters
    ----------
    averages : float32 (k, n, n)
    moves : float64 (k, 2)
        Shifts to make first, px.
    space : SearchSpace
    seed : tuple of int
        For the random start of the alignment.

    Returns
    -------
    averages : float32 (k, n, n)
        The averages, moved.
    moves : float64 (k, 2)
        The whole shift of each, px.
    """
    moved = fourier_shift(averages, moves)
    if len(averages) == 1:
        return moved, moves
    aligner = ReferenceFreeAligner(space, _SCHEDULE)
    generator = np.random.default_rng([*seed, 1])
    rows, centres = np.arange(len(averages)), np.zeros((len(averages), 2))
    poses = aligner.align(moved, rows, centres, [generator])[0]
    found = centres_from_poses(poses)
    found -= found.mean(axis=0)
    return fourier_shift(moved, -found), moves - found
