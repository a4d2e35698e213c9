"""Runs of the same particles compared: which classes come again, and which particles in them.

Classes of two runs are matched one to one so that the matched ones share as much as they can, all
together (the assignment problem, by SciPy). What two classes share is the Jaccard index of their
members, |common| / |either|.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError

__all__ = ["Comparison", "compare_classifications", "match_classes"]


@dataclass(frozen=True)
class Comparison:
    """R classifications of n particles against the first of them, which has K classes.

    Attributes
    ----------
    classes : int64 (R, n)
        Class of each particle in each run, from 0; -1 none.
    matched : int64 (R, K)
        Class of each run that matches each class of the first; -1 none.
    shared : float64 (R, K)
        Jaccard index of the two; 0 where there is none.
    good_in : int64 (n,)
        In how many runs each particle is in a class.
    consensus : int64 (n,)
        Class, as numbered in the first run, that most runs put each particle into; -1 none.
    same_in : int64 (n,)
        How many runs those are.
    """

    classes: NDArray[np.int64]
    matched: NDArray[np.int64]
    shared: NDArray[np.float64]
    good_in: NDArray[np.int64]
    consensus: NDArray[np.int64]
    same_in: NDArray[np.int64]

    @property
    def runs(self) -> int:
        """How many there are."""
        return len(self.classes)

    @property
    def reproducibility(self) -> NDArray[np.float64]:
        """Of each class of the first run: mean Jaccard index with its matches, float64 (K,)."""
        return np.asarray(self.shared[1:].mean(axis=0), dtype=np.float64)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Members of each class of the first run, int64 (K,)."""
        mine = self.classes[0]
        return np.bincount(mine[mine >= 0], minlength=self.matched.shape[1])

    def chosen(self, least_runs: int, same_class: bool = False) -> NDArray[np.int64]:
        """Return the particles that are good in at least so many runs, ascending.

        Parameters
        ----------
        least_runs : int
        same_class : bool
            Count only the runs that put the particle into the same class.

        Raises
        ------
        InputError
            When there are not that many runs.
        """
        if not 1 <= least_runs <= self.runs:
            raise InputError(
                f"--min-runs={least_runs} cannot be: {self.runs} runs are compared, so give 1 to "
                f"{self.runs}."
            )
        return np.flatnonzero((self.same_in if same_class else self.good_in) >= least_runs)


def match_classes(
    first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Match the classes of two runs one to one.

    Parameters
    ----------
    first, second : int64 (n,)
        Class of each particle, from 0; negative for none.

    Returns
    -------
    matched : int64 (K,)
        For each class of the first, its partner in the second; -1 where nothing is shared.
    shared : float64 (K,)
        Jaccard index of the two.

    Examples
    --------
    >>> match_classes(np.array([0, 0, 0, 1, 1, -1]), np.array([1, 1, -1, 0, 0, 0]))
    (array([1, 0]), array([0.66666667, 0.66666667]))
    """
    from scipy.optimize import linear_sum_assignment

    counts = [int(run.max(initial=-1)) + 1 for run in (first, second)]
    both = (first >= 0) & (second >= 0)
    pairs = first[both] * max(1, counts[1]) + second[both]
    common = np.bincount(pairs, minlength=counts[0] * counts[1]).reshape(counts)
    sizes = np.bincount(first[first >= 0]), np.bincount(second[second >= 0])
    either = sizes[0][:, None] + sizes[1][None, :] - common
    jaccard = np.divide(common, either, out=np.zeros(common.shape), where=either > 0)
    matched, shared = np.full(counts[0], -1, np.int64), np.zeros(counts[0])
    rows, columns = linear_sum_assignment(jaccard, maximize=True)
    found = jaccard[rows, columns] > 0
    matched[rows[found]] = columns[found]
    shared[rows[found]] = jaccard[rows, columns][found]
    return matched, shared


def compare_classifications(classifications: Sequence[NDArray[np.int64]]) -> Comparison:
    """Compare two or more classifications of the same particles.

    Parameters
    ----------
    classifications : sequence of int64 (n,)
        Class of each particle, from 0; negative for none.

    Raises
    ------
    InputError
        When there are fewer than two, or they are of different numbers of particles.
    """
    if len(classifications) < 2:
        raise InputError("a comparison needs two runs or more: give another.")
    lengths = {len(run) for run in classifications}
    if len(lengths) > 1:
        counts = " and ".join(str(len(run)) for run in classifications)
        raise InputError(f"the runs are of {counts} particles: give runs of the same stack.")
    classes = np.stack([np.maximum(run, -1) for run in classifications])
    found = [match_classes(classes[0], run) for run in classes]
    matched, shared = np.stack([f[0] for f in found]), np.stack([f[1] for f in found])
    labels = np.stack([_in_first(run, match) for run, match in zip(classes, matched, strict=True)])
    votes = np.stack([((labels == own) & (own >= 0)).sum(axis=0) for own in labels])
    best = votes.argmax(axis=0)  # of equal ones, the earliest run's
    each = np.arange(classes.shape[1])
    return Comparison(
        classes, matched, shared, (classes >= 0).sum(axis=0), labels[best, each], votes[best, each]
    )


def _in_first(run: NDArray[np.int64], matched: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a run's classes as the first run numbers their partners; -1 without one."""
    back = np.full(int(run.max(initial=-1)) + 2, -1, np.int64)  # the last is for -1
    partners = np.flatnonzero(matched >= 0)
    back[matched[partners]] = partners
    back[-1] = -1
    return np.asarray(back[run])
