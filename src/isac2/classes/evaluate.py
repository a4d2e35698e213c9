"""Scores of a classification against the truth of a simulated stack.

Pure: arrays in, an `Evaluation` out. `isac2.classes.evaluate_files` reads the arrays from files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.classes.orientations_in_class import (
    PoseAgreement,
    class_axis,
    euler_matrices,
    pose_agreement,
    symmetry_matrices,
)
from isac2.classes.truth import Truth
from isac2.errors import InputError
from isac2.poses import PoseArray

__all__ = [
    "ClassFrame",
    "ClassScore",
    "Evaluation",
    "PoseScore",
    "evaluate_classes",
    "find_class_frames",
]

_NEAR_AXIS = 20.0
"""Degrees: where views are continuous, only members this near the class's axis have their pose
compared; farther off, an in-plane angle relative to the axis says little."""


@dataclass(frozen=True)
class PoseScore:
    """Found poses against true ones, up to one rigid transform (and mirror) a class.

    Attributes
    ----------
    members : int
        How many members were compared: good ones of the class's commonest view.
    mirror_agreement : float
        Share of them whose mirror state fits the truth.
    in_plane_rms : float
        Root mean square error of the in-plane angle, degrees, over those that fit.
    shift_rms : float
        Root mean square distance of the centres from their class's common centre, pixels.
    pixel_error_rms : float or None
        Root mean square move of the points of the particle's disc, pixels; None without a radius.
    pixel_error_median : float or None
        Median over the members of that move, which a few wrong angles do not carry away.
    """

    members: int
    mirror_agreement: float
    in_plane_rms: float
    shift_rms: float
    pixel_error_rms: float | None
    pixel_error_median: float | None


@dataclass(frozen=True)
class ClassScore:
    """One class: `identifier` as the program numbers it, and how it fares."""

    identifier: int
    size: int
    good: int
    majority_label: int | None
    majority_view: int | None
    purity: float | None
    purity_by_label: float | None
    angular_spread_median: float | None
    pose: PoseScore | None


@dataclass(frozen=True)
class Evaluation:
    """Scores of a whole classification; shares are 0 to 1, None is "the truth does not say".

    Attributes
    ----------
    particles, good_particles, classes : int
        Sizes; a class has at least one member.
    class_sizes : tuple of int
        Members of each class, in the order of their numbers.
    purity : float or None
        Over good accounted particles: the share that belongs to the commonest view of its class
        (a view is a molecule and a direction; where views are continuous, the molecule alone):
        the classes' purity weighted by their size.
    purity_by_label : float or None
        The same by molecule.
    adjusted_rand_index : float or None
        scikit-learn's, on good accounted particles, by view (or by molecule).
    views_found, views_total : int or None
        A view is found when it is the commonest of some class.
    good_accounted : float or None
        Share of the good particles that are in some class.
    junk_accounted : float or None
        Share of the junk that is in some class.
    junk_accounted_by_kind : dict of str to float
        The same for each kind that occurs.
    angular_spread_median, angular_spread_mean : float or None
        Over good accounted particles, of the angle between a particle's viewing direction (or its
        opposite: the mirrored view) and the axis of its class, degrees.
    pose : PoseScore or None
        Over all classes together.
    per_class : tuple of ClassScore
    """

    particles: int
    good_particles: int
    classes: int
    class_sizes: tuple[int, ...]
    purity: float | None
    purity_by_label: float | None
    adjusted_rand_index: float | None
    views_found: int | None
    views_total: int | None
    good_accounted: float | None
    junk_accounted: float | None
    junk_accounted_by_kind: dict[str, float]
    angular_spread_median: float | None
    angular_spread_mean: float | None
    pose: PoseScore | None
    per_class: tuple[ClassScore, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the scores as plain Python values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ClassFrame:
    """What the average of a class should show.

    Attributes
    ----------
    identifier : int
        Number of the class.
    label : int or None
        The molecule that most of its good members are.
    orientation : float64 (3, 3)
        Molecule's coordinates to the class frame's; the average is a projection along z.
    centre : float64 (2,)
        Where the molecule's origin lies in the average, pixels from the box's centre.
    """

    identifier: int
    label: int | None
    orientation: NDArray[np.float64]
    centre: NDArray[np.float64]


@dataclass(frozen=True)
class _Known:
    """Truth and found poses, ready to score one class after the other."""

    truth: Truth
    poses: PoseArray | None
    view_codes: NDArray[np.int64] | None  # (n,) a number a (molecule, view) pair
    view_pairs: NDArray[np.int64]  # (codes, 2)
    matrices: NDArray[np.float64] | None  # (n, 3, 3)
    symmetries: tuple[NDArray[np.float64], ...]  # one a molecule, or one for all

    def mates_of(self, label: int | None) -> NDArray[np.float64]:
        """Return the symmetry rotations of a molecule."""
        return self.symmetries[min(max(label or 0, 0), len(self.symmetries) - 1)]


@dataclass(frozen=True)
class _Scored:
    """One class's score with what the totals need of it."""

    score: ClassScore
    angles: NDArray[np.float64] | None
    agreement: PoseAgreement | None


def evaluate_classes(
    class_of_particle: NDArray[np.integer[Any]],
    truth: Truth,
    poses: PoseArray | None = None,
    *,
    radius: float | None = None,
    symmetries: Sequence[str] = ("C1",),
) -> Evaluation:
    """Score a classification.

    Parameters
    ----------
    class_of_particle : int (n,)
        Class of each particle; negative: in none.
    truth : Truth
        Of the same n particles.
    poses : POSE (n,), optional
        Found poses, image to class frame, shifts in pixels of the images; without them (or without
        `euler` and `shift` in the truth) poses are not scored.
    radius : float, optional
        Particle radius, pixels, for the pixel error.
    symmetries : sequence of str
        Point group of each molecule, in the order of the labels; a single one stands for all.

    Raises
    ------
    InputError
        When the numbers of particles differ or a symmetry is unknown.

    Examples
    --------
    >>> truth = Truth(junk=np.array([0, 0, 0, 1]), view=np.array([4, 4, 7, -1]))
    >>> evaluation = evaluate_classes(np.array([0, 0, 0, -1]), truth)
    >>> round(evaluation.purity, 3), evaluation.views_found, evaluation.views_total
    (0.667, 1, 2)
    """
    classes = np.asarray(class_of_particle)
    if len(classes) != len(truth):
        raise InputError(
            f"the classification has {len(classes)} particles and the truth {len(truth)}: "
            "give the truth of the same stack."
        )
    good, accounted = truth.junk == 0, classes >= 0
    known = _known(truth, poses, symmetries)
    target = known.view_codes if known.view_codes is not None else truth.label
    scored = [
        _score_class(int(number), np.flatnonzero(classes == number), known, radius)
        for number in np.unique(classes[accounted])
    ]
    per_class = tuple(item.score for item in scored)
    angles = [item.angles for item in scored if item.angles is not None]
    spread = np.concatenate(angles) if angles else None
    found = {(score.majority_label, score.majority_view) for score in per_class if score.good}
    views = None if known.view_codes is None else np.unique(known.view_codes[good])
    return Evaluation(
        particles=len(truth),
        good_particles=int(good.sum()),
        classes=len(per_class),
        class_sizes=tuple(score.size for score in per_class),
        purity=_weighted_purity([(score.purity, score.good) for score in per_class]),
        purity_by_label=_weighted_purity([(s.purity_by_label, s.good) for s in per_class]),
        adjusted_rand_index=_adjusted_rand_index(target, classes, good & accounted),
        views_found=None if views is None else len(found),
        views_total=None if views is None else len(views),
        good_accounted=_share(accounted[good]),
        junk_accounted=_share(accounted[~good]),
        junk_accounted_by_kind=_junk_by_kind(truth, accounted),
        angular_spread_median=None if spread is None else float(np.median(spread)),
        angular_spread_mean=None if spread is None else float(spread.mean()),
        pose=_pose_score([item.agreement for item in scored if item.agreement], radius),
        per_class=per_class,
    )


def find_class_frames(
    class_of_particle: NDArray[np.integer[Any]],
    truth: Truth,
    poses: PoseArray,
    symmetries: Sequence[str] = ("C1",),
) -> list[ClassFrame]:
    """Find how the molecule lies in each class's average; parameters as `evaluate_classes`.

    It is the commonest view, in the pose that most of its members have; classes of which too little
    is known (no good member, or a truth without orientations) are left out.
    """
    known, frames = _known(truth, poses, symmetries), []
    for number in np.unique(class_of_particle[class_of_particle >= 0]):
        scored = _score_class(int(number), np.flatnonzero(class_of_particle == number), known, None)
        agreement, label = scored.agreement, scored.score.majority_label
        if agreement is not None:
            frames.append(ClassFrame(int(number), label, agreement.orientation, agreement.centre))
    return frames


def _known(truth: Truth, poses: PoseArray | None, symmetries: Sequence[str]) -> _Known:
    codes, pairs = _view_codes(truth)
    return _Known(
        truth=truth,
        poses=poses,
        view_codes=codes,
        view_pairs=pairs,
        matrices=None if truth.euler is None else euler_matrices(truth.euler),
        symmetries=tuple(symmetry_matrices(name) for name in symmetries),
    )


def _view_codes(
    truth: Truth,
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Number the (molecule, view) pairs: a code a particle, and the pair of each code."""
    if truth.view is None:
        return None, np.empty((0, 2), np.int64)
    label = truth.label if truth.label is not None else np.zeros_like(truth.view)
    pairs, codes = np.unique(np.stack([label, truth.view], axis=1), axis=0, return_inverse=True)
    return codes.reshape(-1).astype(np.int64), pairs


def _majority(values: NDArray[np.int64] | None) -> tuple[int | None, float | None]:
    """Return the commonest value and its share; the smallest value wins a tie."""
    if values is None or len(values) == 0:
        return None, None
    numbers, counts = np.unique(values, return_counts=True)
    return int(numbers[counts.argmax()]), float(counts.max() / len(values))


def _score_class(
    number: int, members: NDArray[np.int64], known: _Known, radius: float | None
) -> _Scored:
    """Score one class from the rows of its members."""
    truth = known.truth
    good = members[truth.junk[members] == 0]
    label, purity_by_label = _majority(None if truth.label is None else truth.label[good])
    view, purity, of_view = None, purity_by_label, None
    if known.view_codes is not None and len(good):
        code, purity = _majority(known.view_codes[good])
        label, view = (int(value) for value in known.view_pairs[code])
        of_view = good[known.view_codes[good] == code]
    one_molecule = good if truth.label is None else good[truth.label[good] == label]
    angles, agreement = _orientations(one_molecule, of_view, label, known)
    score = ClassScore(
        identifier=number,
        size=len(members),
        good=len(good),
        majority_label=label,
        majority_view=view,
        purity=purity,
        purity_by_label=purity_by_label,
        angular_spread_median=None if angles is None else float(np.median(angles)),
        pose=_pose_score([agreement] if agreement else [], radius),
    )
    return _Scored(score, angles, agreement)


def _orientations(
    members: NDArray[np.int64],
    of_view: NDArray[np.int64] | None,
    label: int | None,
    known: _Known,
) -> tuple[NDArray[np.float64] | None, PoseAgreement | None]:
    """Return the members' angles from the class's axis, and how their poses agree."""
    if known.matrices is None or len(members) == 0:
        return None, None
    mates = known.mates_of(label)
    angles = class_axis(known.matrices[members, 2], mates).angles
    compared = members[angles < _NEAR_AXIS] if of_view is None else of_view
    shift = known.truth.shift
    if known.poses is None or shift is None or len(compared) == 0:
        return angles, None
    return angles, pose_agreement(
        known.matrices[compared], shift[compared], known.poses[compared], mates
    )


def _pose_score(agreements: list[PoseAgreement], radius: float | None) -> PoseScore | None:
    """Put the agreement of several classes together, each member with equal weight."""
    if not agreements:
        return None
    members = sum(agreement.members for agreement in agreements)
    agreeing = sum(agreement.mirror_agreement * agreement.members for agreement in agreements)
    angles = np.concatenate([agreement.in_plane_errors for agreement in agreements])
    shifts = np.concatenate([agreement.shift_errors for agreement in agreements])
    pixels = None
    if radius is not None:
        pixels = np.concatenate([agreement.pixel_errors(radius) for agreement in agreements])
    return PoseScore(
        members=members,
        mirror_agreement=agreeing / members,
        in_plane_rms=_root_mean_square(angles),
        shift_rms=_root_mean_square(shifts),
        pixel_error_rms=None if pixels is None else _root_mean_square(pixels),
        pixel_error_median=None if pixels is None else float(np.median(pixels)),
    )


def _root_mean_square(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _weighted_purity(classes: list[tuple[float | None, int]]) -> float | None:
    known = [(purity, good) for purity, good in classes if purity is not None]
    total = sum(good for _, good in known)
    return sum(purity * good for purity, good in known) / total if total else None


def _adjusted_rand_index(
    target: NDArray[np.int64] | None,
    classes: NDArray[np.integer[Any]],
    selected: NDArray[np.bool_],
) -> float | None:
    if target is None or not selected.any():
        return None
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(target[selected], classes[selected]))


def _share(flags: NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _junk_by_kind(truth: Truth, accounted: NDArray[np.bool_]) -> dict[str, float]:
    names = truth.junk_names
    return {
        names[kind] if kind < len(names) else str(kind): float(accounted[truth.junk == kind].mean())
        for kind in np.unique(truth.junk[truth.junk != 0]).tolist()
    }
