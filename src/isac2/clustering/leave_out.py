"""What images look like to their own class's average once they have been taken out of it.

An average of N images holds an N-th of each, so a member is the more similar to its class the
fewer they are, whatever it shows; and its noise, which is in the average too, is nobody's evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.state import StableGroup
from isac2.images.filters import tanh_low_pass, tanh_response
from isac2.images.masks import disc_mask, pixel_offsets
from isac2.images.transform import apply_poses
from isac2.poses import PoseArray
from isac2.workers import Workers

__all__ = [
    "OwnPart",
    "measure_own_part",
    "measure_own_parts",
    "most_unexplained",
    "unexplained_energies",
    "unexplained_energy",
    "well_explained",
]

_BLOCK = 256  # images moved at a time
_CYCLES = 1.5  # in a radius: beyond, single images hold next to nothing but noise
_FALLOFF = 0.2
_PASSES = 1e-3  # least response of the filter that counts
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
    nobody = group.members[:0], group.poses[:0]
    return unexplained_energies(images, group, *nobody, parameters)[0]


def unexplained_energies(
    images: NDArray[np.float32],
    group: StableGroup,
    rows: NDArray[np.int64],
    poses: PoseArray,
    parameters: ClusteringParameters,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a class's average leaves of its members, and of images (rows int64 (k,)) not of it.

    As `unexplained_energy`, both told from the median of the members: float64 (m,) and (k,). A
    class of nobody explains nothing.
    """
    if not len(group.members):
        return np.empty(0), np.full(len(rows), np.inf)
    members = _what_single_images_show(images, group.members, group.poses, parameters)
    others = _what_single_images_show(images, rows, poses, parameters)
    whole = members.sum(axis=0)
    of_members = _energy_left(members, whole - members)
    of_others = _energy_left(others, np.broadcast_to(whole, others.shape))
    common = np.median(of_members)
    return of_members - common, of_others - common


def most_unexplained(energies: Sequence[NDArray[np.float64]]) -> float:
    """Up to where energies (of each class's members) are what members of all classes have."""
    every = np.concatenate([np.empty(0), *energies])
    if not len(every):
        return np.inf
    middle = np.median(every)
    scale = 1.4826 * float(np.median(np.abs(every - middle)))
    return float(middle + _MOST_UNEXPLAINED * scale)


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
    most = most_unexplained(energies)
    return [energy <= most for energy in energies]


def _what_single_images_show(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    poses: PoseArray,
    parameters: ClusteringParameters,
) -> NDArray[np.float64]:
    """Images in their poses, low-passed, less their mean, as coordinates inside the disc (m, c)."""
    onto = _low_orders(images.shape[-1], parameters.radius)
    values = np.empty((len(rows), len(onto)))
    for first in range(0, len(values), _BLOCK):
        block = slice(first, first + _BLOCK)
        moved = apply_poses(np.asarray(images[rows[block]]), poses[block])
        values[block] = moved.reshape(len(moved), -1) @ onto.T
    return values


@lru_cache(maxsize=4)
def _low_orders(box: int, radius: float) -> NDArray[np.float32]:
    """Matrix (c, box * box) from an image to coordinates of its low-passed self inside the disc.

    Few Fourier terms pass the filter. With E from the image to these, S from them to the disc's
    pixels less their mean, and ``S^T S = L L^T``, the coordinates ``L^T E x`` of an image x have
    the products that the pixels of the filtered image have.
    """
    axis = np.fft.fftfreq(box)
    response = tanh_response(np.hypot(axis[:, None], axis), min(0.5, _CYCLES / radius), _FALLOFF)
    y, x = np.nonzero(response > _PASSES)
    half = (axis[y] > 0) | ((axis[y] == 0) & (axis[x] >= 0))  # the others are conjugates
    y, x = y[half], x[half]
    place = pixel_offsets(box)
    phase = 2 * np.pi * (axis[y, None, None] * place[:, None] + axis[x, None, None] * place)
    terms = np.concatenate([np.cos(phase), np.sin(phase)]).reshape(2 * len(y), -1)
    strength = np.tile(np.where((y == 0) & (x == 0), 1, 2) * response[y, x], 2) / box**2
    inside = terms[:, disc_mask(box, radius).ravel()]
    synthesis = strength[:, None] * (inside - inside.mean(axis=1, keepdims=True))
    values, vectors = np.linalg.eigh(synthesis @ synthesis.T)
    matter = values > _PASSES**2 * values.max()
    onto = np.sqrt(values[matter])[:, None] * (vectors[:, matter].T @ terms)
    return np.asarray(onto, np.float32)


def _energy_left(values: NDArray[np.float64], averages: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of what averages (m, c), each fitted by one factor, leave of values (m, c)."""
    squared = np.square(averages).sum(axis=1)
    factor = (values * averages).sum(axis=1) / np.maximum(squared, 1e-12)
    left = np.square(values - factor[:, None] * averages).sum(axis=1)
    energy: NDArray[np.float64] = np.log(np.maximum(left, 1e-12))
    return energy


def _centred(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rows less their means."""
    return np.asarray(rows - rows.mean(axis=1, keepdims=True), np.float64)
