"""Eigenimages: in which ways the members of a class differ from their average."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Eigenimages", "find_eigenimages"]


@dataclass(frozen=True)
class Eigenimages:
    """Principal components of m aligned images; k of them.

    Attributes
    ----------
    images : float32 (k, n, n)
        As large as one standard deviation of the members along it; zero outside the mask.
    factors : float64 (m, k)
        Where each member lies, in those standard deviations.
    share : float64 (k,)
        Of the variance inside the mask, 0 to 1.
    """

    images: NDArray[np.float32]
    factors: NDArray[np.float64]
    share: NDArray[np.float64]


def find_eigenimages(
    images: NDArray[np.float32], mask: NDArray[np.bool_], count: int
) -> Eigenimages:
    """Find the principal components of aligned images under a mask (scikit-learn's PCA).

    Parameters
    ----------
    images : float32 (m, n, n)
        In their poses.
    mask : bool (n, n)
    count : int
        Eigenimages wanted; there are at most m - 1.

    Examples
    --------
    >>> step = np.zeros((4, 2, 2), np.float32)
    >>> step[:, 0, 0] = [-1, 1, -1, 1]
    >>> found = find_eigenimages(step, np.ones((2, 2), bool), 1)
    >>> found.share.round(3).item(), round(abs(float(found.images[0, 0, 0])), 3)
    (1.0, 1.155)
    """
    from sklearn.decomposition import PCA

    kept = min(count, len(images) - 1, int(mask.sum()))
    if kept < 1:
        empty = np.zeros((0, *mask.shape), np.float32)
        return Eigenimages(empty, np.zeros((len(images), 0)), np.zeros(0))
    values = images[:, mask].astype(np.float64)
    # the exact solver: which one is meant must not hang on the sizes
    found = PCA(kept, svd_solver="full").fit(values)
    deviation = np.sqrt(found.explained_variance_)
    eigenimages = np.zeros((kept, *mask.shape), np.float32)
    eigenimages[:, mask] = found.components_ * deviation[:, None]
    factors = found.transform(values) / np.where(deviation > 0, deviation, 1.0)
    return Eigenimages(eigenimages, factors, found.explained_variance_ratio_)
