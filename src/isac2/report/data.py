"""What the page shows: plain values and arrays, from wherever they come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.poses import PoseArray
from isac2.run.record import GenerationRecord

__all__ = [
    "ChainTable",
    "ClassBelief",
    "ClassTable",
    "MemberSample",
    "MemberTable",
    "Parameter",
    "PhaseRow",
    "ReportData",
    "RingCorrelationTable",
]

_Float = NDArray[np.float64]
_Integer = NDArray[np.int64]


@dataclass(frozen=True)
class ClassTable:
    """The K classes; numbers that are not known are NaN, whole numbers 0.

    Attributes
    ----------
    averages : float32 (K, n, n)
    sizes : int64 (K,)
        Members.
    tested : int64 (K,)
        Images that went into the stability test.
    resolution_in_angstroms, rms_pixel_error, mirror_consistency : float64 (K,)
        From the Fourier ring correlation of half averages; working pixels; 0 to 1.
    main_iteration, generation : int64 (K,)
        Where each was found, counted from 1.
    """

    averages: NDArray[np.float32]
    sizes: _Integer
    tested: _Integer
    resolution_in_angstroms: _Float
    rms_pixel_error: _Float
    mirror_consistency: _Float
    main_iteration: _Integer
    generation: _Integer


@dataclass(frozen=True)
class ClassBelief:
    """How far the K classes can be believed: `isac2.clustering.confidence`; NaN is not known.

    Attributes
    ----------
    stable_again, mirror_agreement, margin : float64 (K,)
        Share of the members, 0 to 1; their mean, 0 to 1; their median, standard deviations.
    second_class : int64 (K,)
        From 1; 0 is none.
    chance : float64 (K,)
        Probability that as much of a random group would be stable.
    reproducibility : float64 (K,)
        Mean Jaccard index with the matching classes of other runs.
    """

    stable_again: _Float
    mirror_agreement: _Float
    margin: _Float
    second_class: _Integer
    chance: _Float
    reproducibility: _Float


@dataclass(frozen=True)
class MemberTable:
    """Members of all classes, those of the first class first.

    Attributes
    ----------
    ids : int64 (m,)
        Rows of the input stack, counted from 0; class k's are the next ``sizes[k]``.
    poses : POSE (m,)
        In the class average, working pixels.
    pixel_errors : float64 (m,)
        Working pixels; NaN where not known.
    """

    ids: _Integer
    poses: PoseArray
    pixel_errors: _Float


@dataclass(frozen=True)
class ChainTable:
    """The averages along a tour of look-alikes.

    Attributes
    ----------
    order : int64 (K,)
        Class at each place.
    alpha : float64 (K,)
        Rotation, degrees, that matches the average at each place to the one before.
    mirror : int8 (K,)
    """

    order: _Integer
    alpha: _Float
    mirror: NDArray[np.int8]


@dataclass(frozen=True)
class RingCorrelationTable:
    """Fourier ring correlation of each class's half averages.

    Attributes
    ----------
    frequency : float64 (r,)
        1/pixel, working pixels, evenly spaced from 0.
    correlation : float64 (K, r)
    """

    frequency: _Float
    correlation: _Float


@dataclass(frozen=True)
class MemberSample:
    """A few members of each class, moved into the frame of their average.

    Attributes
    ----------
    images : float32 (s, n, n)
    member : int64 (s,)
        Which row of the `MemberTable` each one is, ascending.
    """

    images: NDArray[np.float32]
    member: _Integer


@dataclass(frozen=True)
class PhaseRow:
    """A phase of the run: wall time in seconds, largest resident memory in bytes (0: not known)."""

    name: str
    seconds: float
    peak_memory_in_bytes: int = 0


@dataclass(frozen=True)
class Parameter:
    """An option as the run used it."""

    name: str
    value: str
    unit: str = ""
    meaning: str = ""
    is_default: bool = True


@dataclass(frozen=True)
class ReportData:
    """Everything on the page.

    Attributes
    ----------
    title : str
        Name of the run.
    stack : str
        Name of the input stack.
    facts : tuple of (str, str)
        Version, date, seed and the like, by name.
    particle_count : int
        Images in the input stack; 0 when not known.
    pixel_size_in_angstroms : float
        Of the working images and averages; NaN when not known.
    radius : float
        Of the particle's disc, working pixels; NaN when not known.
    classes : ClassTable
    generations, phases, parameters, warnings : tuple
    members, chain, ring_correlation, sample, initial_average : optional
        None when the run did not leave them. `initial_average` is float32 (n, n), the average of
        all images after the pre-alignment.
    is_finished : bool
    forming : float32 (g, n, n), optional
        Averages of the groups of a generation that is not over yet.
    belief : ClassBelief, optional
    random_groups : mapping
        As in ``run.json``; empty when none were tested.
    compared_with : tuple of str
        Runs that the reproducibility is from.
    """

    title: str
    stack: str
    facts: tuple[tuple[str, str], ...]
    particle_count: int
    pixel_size_in_angstroms: float
    radius: float
    classes: ClassTable
    generations: tuple[GenerationRecord, ...] = ()
    phases: tuple[PhaseRow, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    warnings: tuple[str, ...] = ()
    members: MemberTable | None = None
    chain: ChainTable | None = None
    ring_correlation: RingCorrelationTable | None = None
    sample: MemberSample | None = None
    initial_average: NDArray[np.float32] | None = None
    is_finished: bool = True
    forming: NDArray[np.float32] | None = None
    belief: ClassBelief | None = None
    random_groups: Mapping[str, Any] = field(default_factory=dict)
    compared_with: tuple[str, ...] = ()
