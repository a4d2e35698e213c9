"""Class averages from the original pixels, with the CTF corrected in full.

Pure: the members' images, poses and CTFs in, an average and its resolution out. The halves whose
correlation is the resolution are the members at odd and at even places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.search import align_to_assigned
from isac2.alignment.space import SearchSpace, centres_from_poses
from isac2.classes.quality import soft_disc
from isac2.classes.sharpening import Adjustment, adjust_power
from isac2.images.backends import ImageBackend, open_image_backend
from isac2.images.ctf import CtfParameters
from isac2.images.ctf_correction import CtfSums, divide_by_ctf, ring_means
from isac2.images.filters import tanh_low_pass
from isac2.images.masks import disc_mask
from isac2.images.spectra import RingCorrelation, fourier_ring_correlation, resolution_at
from isac2.poses import PoseArray, pixel_error
from isac2.workers import SerialWorkers

__all__ = [
    "BeautifiedClass",
    "BeautifyParameters",
    "LocalAlignment",
    "beautify_class",
    "beautify_prepared",
    "prepare_members",
]

_THRESHOLD = 0.5
_FALLOFF = 0.1
_FIRST_NOISE = 0.1  # of the mean squared CTF, until the halves tell how much noise there is
_LEAST_CORRELATION, _MOST_CORRELATION = 0.01, 0.9999
_ROLL_OFF = 1.25  # what a low-passed reference holds nothing beyond
_ALIGNED_TOGETHER = 64  # images that are weighed by their CTFs at a time
_FARTHEST = 2.0  # px beyond the range: a pose that moves by more was not improved but replaced


@dataclass(frozen=True)
class LocalAlignment:
    """Refinement of the members' poses against their average; lengths in px of the images.

    Attributes
    ----------
    x_range, step : float
        Translations around the present ones.
    frequency : float or None
        The reference's low-pass cut-off, 1/px; the average's resolution when None.
    rounds : int
    """

    x_range: float = 1.0
    step: float = 1.0
    frequency: float | None = None
    rounds: int = 5


@dataclass(frozen=True)
class BeautifyParameters:
    """How an average is made.

    Attributes
    ----------
    radius : float
        Of the particle, px.
    pixel_size_in_angstroms : float
    adjustment : Adjustment
    low_pass : float or None
        Cut-off, 1/px; None is none, -1 the resolution that the average has in the end, 0 the one
        before its local alignment.
    local : LocalAlignment or None
        None leaves the poses as they are.
    device : str
        What adds the members up and aligns them (`isac2.devices.find_device`).
    """

    radius: float
    pixel_size_in_angstroms: float
    adjustment: Adjustment = field(default_factory=Adjustment)
    low_pass: float | None = -1.0
    local: LocalAlignment | None = None
    device: str = "cpu"

    @property
    def backend(self) -> ImageBackend:
        """What works on the members' images."""
        return open_image_backend(self.device)


@dataclass(frozen=True)
class BeautifiedClass:
    """An average at full size.

    Attributes
    ----------
    average : float32 (n, n)
    poses : POSE (m,)
        Of the members, refined where that was asked for.
    curve : RingCorrelation
        Of the averages of odd and even members, each divided by its own squared CTFs.
    first_frequency, frequency : float
        Resolution, 1/px, before and after the local alignment: where ``2 c / (1 + c)`` falls below
        0.5, c the correlation of the halves.
    b_factor : float
        Applied, square A.
    """

    average: NDArray[np.float32]
    poses: PoseArray
    curve: RingCorrelation
    first_frequency: float
    frequency: float
    b_factor: float


@dataclass(frozen=True)
class _Members:
    """Images ready to be averaged, in consecutive parts, and what is known of them."""

    parts: Iterable[Any]
    box: int
    ctf: CtfParameters | None
    flipped: NDArray[np.bool_]
    parameters: BeautifyParameters

    def with_rows(self) -> Iterator[tuple[Any, slice]]:
        """Yield each part, and which of the members it is."""
        start = 0
        for part in self.parts:
            yield part, slice(start, start + len(part))
            start += len(part)

    def ctf_of(self, rows: slice) -> CtfParameters | None:
        """Return the CTFs of some members."""
        return None if self.ctf is None else self.ctf[rows]


def beautify_class(
    images: NDArray[np.float32],
    poses: PoseArray,
    parameters: BeautifyParameters,
    ctf: CtfParameters | None = None,
    flipped: NDArray[np.bool_] | None = None,
    notify: Callable[[int], None] | None = None,
) -> BeautifiedClass:
    """Average the members of one class at full size.

    Parameters
    ----------
    images : float32 (m, n, n)
        The members as they were picked.
    poses : POSE (m,)
        Shifts in px of these images.
    parameters : BeautifyParameters
    ctf : CtfParameters, optional
        Of the m images; without it the images are averaged as they are.
    flipped : bool (m,), optional
        Images whose phases have been flipped already.
    notify : callable, optional
        Told of each round of local alignment.

    Returns
    -------
    BeautifiedClass

    Notes
    -----
    The average is ``sum(c d) / (sum(c^2) + q)``; with c the correlation of the halves on a ring,
    the noise's power over the signal's is ``q = (1 - c) / c * sum(c^2) / 2``.
    """
    prepared = prepare_members(images, parameters)
    return beautify_prepared([prepared], poses, parameters, ctf, flipped, notify)


def prepare_members(images: NDArray[np.float32], parameters: BeautifyParameters) -> Any:
    """Normalise images, float32 (m, n, n), and leave them where `parameters.backend` keeps them.

    What becomes of one does not depend on the others.
    """
    box = images.shape[-1]
    inside = disc_mask(box, min(parameters.radius, box // 2 - 2))
    return parameters.backend.normalised(images, inside)


def beautify_prepared(
    parts: Iterable[Any],
    poses: PoseArray,
    parameters: BeautifyParameters,
    ctf: CtfParameters | None = None,
    flipped: NDArray[np.bool_] | None = None,
    notify: Callable[[int], None] | None = None,
) -> BeautifiedClass:
    """Average members that `prepare_members` has prepared; else as `beautify_class`.

    Parameters
    ----------
    parts : iterable of images (k, n, n)
        The members, in order, some at a time. Without a local alignment each part is let go of
        before the next is taken; on the processor the result is the same, byte by byte, however
        they are parted.
    poses, parameters, ctf, flipped, notify
        As `beautify_class` has them, of all members.
    """
    known = np.zeros(len(poses), np.bool_) if flipped is None else flipped
    if parameters.local is not None:
        parts = list(parts)  # taken again in each round
    first_part, parts = _first_of(parts)
    members = _Members(parts, first_part.shape[-1], ctf, known, parameters)
    box = members.box
    average, curve = _average(members, poses)
    first = _resolution(curve)
    if parameters.local is not None:
        for number in range(parameters.local.rounds):
            poses = _refine(members, poses, average, curve)
            average, curve = _average(members, poses)
            if notify is not None:
                notify(number + 1)
    frequency = _resolution(curve)
    adjusted, b_factor = adjust_power(
        average, _share(curve), parameters.pixel_size_in_angstroms, parameters.adjustment
    )
    cutoff = _cutoff(parameters.low_pass, first, frequency, box)
    if cutoff is not None:
        adjusted = tanh_low_pass(adjusted, cutoff, _FALLOFF)
    return BeautifiedClass(adjusted, poses, curve, first, frequency, b_factor)


def _cutoff(asked: float | None, first: float, frequency: float, box: int) -> float | None:
    """Return the low-pass cut-off, 1/px, at least one ring; None for none."""
    if asked is None:
        return None
    if asked > 0.0:
        return asked
    return max(frequency if asked < 0.0 else first, 1.0 / box)


def _first_of(parts: Iterable[Any]) -> tuple[Any, Iterable[Any]]:
    """Return the first part, and all of them."""
    if isinstance(parts, list):
        return parts[0], parts
    iterator = iter(parts)
    first = next(iterator)
    return first, chain([first], iterator)


def _average(members: _Members, poses: PoseArray) -> tuple[NDArray[np.float32], RingCorrelation]:
    """Return the Wiener average of members in their poses, and how well its halves agree."""
    box = members.box
    sums = _sums(members, poses)
    level = ring_means(sums.squares.mean(axis=0))[::2]  # of one half, on the rings of the box
    mask = soft_disc(box, members.parameters.radius)
    first = level * (_FIRST_NOISE if members.ctf is not None else 0.0)
    odd, even = _without_mean(divide_by_ctf(sums, first), mask)
    curve = fourier_ring_correlation(odd, even)
    curve.correlation[0] = 1.0  # without their means only rounding is left there, of either sign
    c = np.clip(curve.correlation, _LEAST_CORRELATION, _MOST_CORRELATION)
    both = CtfSums(*(part.sum(axis=0, keepdims=True) for part in (sums.weighed, sums.squares)))
    return divide_by_ctf(both, (1 - c) / c * level)[0], curve


def _sums(members: _Members, poses: PoseArray) -> CtfSums:
    """Sum the members in their poses, those at odd places and those at even ones."""
    sums = members.parameters.backend.open_sums(2, members.box)
    pixel = members.parameters.pixel_size_in_angstroms
    for part, rows in members.with_rows():
        half = np.arange(rows.start, rows.stop) % 2
        sums.add(part, poses[rows], half, members.ctf_of(rows), pixel, members.flipped[rows])
    return sums.total()


def _without_mean(images: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images under a soft mask, less their mean there, whose edge would correlate everything."""
    mean = (images * mask).sum(axis=(-2, -1), dtype=np.float64) / mask.sum(dtype=np.float64)
    return np.asarray((images - mean[..., None, None]) * mask, dtype=np.float32)


def _share(curve: RingCorrelation) -> NDArray[np.float64]:
    """Share of signal on each ring of the average of both halves, 0 to 1."""
    half = np.clip(curve.correlation, 0.0, 1.0)
    return np.asarray(2 * half / (1 + half))


def _resolution(curve: RingCorrelation) -> float:
    return resolution_at(replace(curve, correlation=_share(curve)), _THRESHOLD)


def _refine(
    members: _Members,
    poses: PoseArray,
    average: NDArray[np.float32],
    curve: RingCorrelation,
) -> PoseArray:
    """Align the members to their average around their present poses.

    A pose is kept as it was where the best one is mirrored, or far from it: classes are stable, so
    that is another maximum and no refinement.
    """
    how, radius, box = members.parameters.local, members.parameters.radius, members.box
    assert how is not None
    reach = int(np.ceil(how.x_range))
    rings = int(min(radius, box // 2 - 2 - reach))
    cutoff = how.frequency or max(_resolution(curve), 2.0 / box)
    reference = tanh_low_pass(average, cutoff, _FALLOFF)[None]
    device = members.parameters.device
    space = SearchSpace(rings, 1, 1, how.x_range, how.x_range, how.step, device)
    found = poses.copy()
    for part, place in members.with_rows():
        for start in range(0, len(part), _ALIGNED_TOGETHER):
            own = slice(start, min(start + _ALIGNED_TOGETHER, len(part)))
            some = slice(place.start + own.start, place.start + own.stop)
            found[some] = align_to_assigned(
                _weighed(members, part[own], some),
                np.arange(some.stop - some.start),
                centres_from_poses(poses[some]),
                reference,
                np.zeros(some.stop - some.start, np.int64),
                space,
                SerialWorkers(),
                min(0.5, _ROLL_OFF * cutoff),
            ).poses
    moved = 2.0 * pixel_error(np.stack([poses, found]), radius)
    near = (found["mirror"] == poses["mirror"]) & (moved <= how.x_range + _FARTHEST)
    return np.where(near, found, poses)


def _weighed(members: _Members, images: Any, rows: slice) -> Any:
    """Images times their CTFs: what correlates with an average as well as it can."""
    ctf, parameters = members.ctf_of(rows), members.parameters
    if ctf is None:
        return images
    pixel = parameters.pixel_size_in_angstroms
    return parameters.backend.weighed(images, ctf, pixel, members.flipped[rows])
