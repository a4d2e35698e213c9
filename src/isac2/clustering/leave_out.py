"""What images look like to their own class's average once they have been taken out of it.

An average of N images holds an N-th of each, so a member is the more similar to its class the
fewer they are, whatever it shows; and its noise, which is in the average too, is nobody's evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.state import StableGroup
from isac2.images.filters import tanh_low_pass
from isac2.images.masks import disc_mask
from isac2.images.transform import apply_poses
from isac2.workers import Workers

__all__ = [
    "OwnPart",
    "measure_own_part",
    "measure_own_parts",
    "unexplained_energy",
    "well_explained",
]

_BLOCK = 256  # images moved at a time
_CYCLES = 1.5  # in a radius: beyond, single images hold next to nothing but noise
_FALLOFF = 0.2
_MOST_UNEXPLAINED = 2.5  # robust standard deviations


@dataclass(frozen=True)
class OwnPart:
    """What each of m members puts into its class's average; everything inside the disc.

    Attributes
    ----------
    count : int64 (m,)
        Members of its class.
    strength : float64 (m,)
        Norm of the average.
    along : float64 (m,)
        Product of the member, of norm 1, with what the average's filter leaves of it.
    with_average, squared : float64 (m,)
        Product of what the filter leaves with the average, and with itself.
    """

    count: NDArray[np.int64]
    strength: NDArray[np.float64]
    along: NDArray[np.float64]
    with_average: NDArray[np.float64]
    squared: NDArray[np.float64]

    def take_out(self, similarity: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the members' similarity to the average of all the others of their class.

        With x a member of norm 1, f what the filter leaves of it and A the average of N, the
        average of the others is ``(N A - f) / (N - 1)``; its product with x is
        ``(N r |A| - <x, f>) / (N - 1)``, r being the `similarity` to A, float (m,). That of the
        only member of a class is 0.
        """
        whole = self.count * self.strength
        squared = whole**2 - 2 * self.count * self.with_average + self.squared
        others = np.sqrt(np.maximum(squared, 1e-6 * whole**2 + 1e-12))
        left: NDArray[np.float64] = (whole * similarity - self.along) / others
        return np.where(self.count > 1, left, 0.0)


def measure_own_part(
    images: NDArray[np.float32],
    group: StableGroup,
    parameters: ClusteringParameters,
    some: slice = slice(None),
) -> OwnPart:
    """Measure it for (some of) the members of a class; images are float32 (N, n, n)."""
    members, poses = group.members[some], group.poses[some]
    inside = disc_mask(images.shape[-1], parameters.radius)
    average = _centred(group.average[None, inside])[0]
    along, with_average, squared = (np.empty(len(members)) for _ in range(3))
    for first in range(0, len(members), _BLOCK):
        block = slice(first, first + _BLOCK)
        moved = apply_poses(np.asarray(images[members[block]]), poses[block])
        left = tanh_low_pass(moved, parameters.highest_frequency, parameters.falloff)
        x, f = _centred(moved[:, inside]), _centred(left[:, inside])
        along[block] = (x * f).sum(axis=1) / np.maximum(np.linalg.norm(x, axis=1), 1e-12)
        with_average[block] = (f * average).sum(axis=1)
        squared[block] = np.square(f).sum(axis=1)
    count = np.full(len(members), len(group.members))
    strength = np.full(len(members), float(np.linalg.norm(average)))
    return OwnPart(count, strength, along, with_average, squared)


def measure_own_parts(
    images: NDArray[np.float32],
    groups: Sequence[StableGroup],
    parameters: ClusteringParameters,
    workers: Workers,
) -> OwnPart:
    """Measure it for all members of several classes, one class after the other."""
    parts = workers.map(lambda group: measure_own_part(images, group, parameters), groups)
    return OwnPart(
        *(
            np.concatenate([getattr(part, entry.name) for part in parts])
            for entry in fields(OwnPart)
        )
    )


def unexplained_energy(
    images: NDArray[np.float32], group: StableGroup, parameters: ClusteringParameters
) -> NDArray[np.float64]:
    """What the class's average leaves of each member, as the logarithm of an energy, float64 (m,).

    Members and the average of the others are low-passed at what single images show, 1.5 cycles in a
    radius; the average is fitted to the member by one factor inside the disc. The energy is told
    from what is common in the class, its median: one particle has more contrast than another.
    """
    if not len(group.members):
        return np.empty(0)
    inside = disc_mask(images.shape[-1], parameters.radius)
    cutoff = min(0.5, _CYCLES / parameters.radius)
    values = np.empty((len(group.members), np.count_nonzero(inside)))
    for first in range(0, len(values), _BLOCK):
        block = slice(first, first + _BLOCK)
        moved = apply_poses(np.asarray(images[group.members[block]]), group.poses[block])
        values[block] = _centred(tanh_low_pass(moved, cutoff, _FALLOFF)[:, inside])
    others = values.sum(axis=0) - values
    factor = (values * others).sum(axis=1) / np.maximum(np.square(others).sum(axis=1), 1e-12)
    left = np.square(values - factor[:, None] * others).mean(axis=1)
    energy: NDArray[np.float64] = np.log(np.maximum(left, 1e-12))
    return energy - np.median(energy)


def well_explained(energies: Sequence[NDArray[np.float64]]) -> list[NDArray[np.bool_]]:
    """Whose energy (of each class's members) is not far above what members of all classes have.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> energies = [rng.normal(0, 0.1, 50), np.append(rng.normal(0, 0.1, 50), 2.0)]
    >>> kept = well_explained(energies)
    >>> bool(kept[1][-1]), sum(int(k.sum()) for k in kept) > 95
    (False, True)
    """
    every = np.concatenate([np.empty(0), *energies])
    if not len(every):
        return [np.ones(0, np.bool_) for _ in energies]
    middle = np.median(every)
    scale = 1.4826 * float(np.median(np.abs(every - middle)))
    return [energy <= middle + _MOST_UNEXPLAINED * scale for energy in energies]


def _centred(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rows less their means."""
    return np.asarray(rows - rows.mean(axis=1, keepdims=True), np.float64)
