"""The classes of a run as arrays: what the result files are written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isac2.classes.quality import ClassQuality, measure_quality
from isac2.clustering.confidence import ClassConfidence
from isac2.clustering.state import StableGroup
from isac2.images.background import recolour
from isac2.poses import PoseArray, compose, identity_poses, make_poses
from isac2.workers import Workers

__all__ = [
    "Belief",
    "Membership",
    "RunFacts",
    "beliefs",
    "measure_classes",
    "membership",
    "poses_of_input",
]


@dataclass(frozen=True)
class RunFacts:
    """What every result file needs to know about the run.

    Attributes
    ----------
    count : int
        Images in the input stack.
    shrink_ratio : float
        Working pixels in an input pixel.
    radius : int
        Particle radius, input pixels.
    target_radius : int
        Particle radius, working pixels.
    pixel_size_in_angstroms : float64 (count,)
        Of each input image; 1 where nobody knows it.
    shifts : float64 (count, 2)
        Shift of each input image found by the pre-alignment, input pixels, x and y.
    whitening : float64 (n // 2 + 1,), optional
        Factors at the input's frequencies that whitened the noise of the working images.
    """

    count: int
    shrink_ratio: float
    radius: int
    target_radius: int
    pixel_size_in_angstroms: NDArray[np.float64]
    shifts: NDArray[np.float64]
    whitening: NDArray[np.float64] | None = None

    def natural(self, averages: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return averages (k, m, m) as they would be of images that had not been whitened."""
        if self.whitening is None:
            return averages
        return recolour(averages, self.whitening, self.shrink_ratio)

    @property
    def working_pixel_size_in_angstroms(self) -> float:
        """Pixel size of the class averages; of the mean input pixel when they differ."""
        return float(self.pixel_size_in_angstroms.mean()) / self.shrink_ratio


@dataclass(frozen=True)
class Belief:
    """How far the class of each input image can be believed; NaN, False, -1 where unaccounted.

    Attributes
    ----------
    mirror_agreement, margin : float64 (count,)
        As in `isac2.clustering.confidence.ClassConfidence`.
    stable_again : bool (count,)
    second_class : int64 (count,)
        Counted from 0.
    """

    mirror_agreement: NDArray[np.float64]
    margin: NDArray[np.float64]
    stable_again: NDArray[np.bool_]
    second_class: NDArray[np.int64]


@dataclass(frozen=True)
class Membership:
    """Which class each input image is in, and how.

    Attributes
    ----------
    class_index : int64 (count,)
        Counted from 0 in the order in which classes were found; -1 is unaccounted.
    poses : POSE (count,)
        Pose of each image in its class, working pixels, after the pre-alignment's shift; the
        identity where unaccounted.
    pixel_error : float64 (count,)
        Working pixels; NaN where unaccounted.
    similarity : float64 (count,)
        Correlation with the class average; NaN where unaccounted.
    belief : Belief, optional
    """

    class_index: NDArray[np.int64]
    poses: PoseArray
    pixel_error: NDArray[np.float64]
    similarity: NDArray[np.float64]
    belief: Belief | None = None

    @property
    def accounted(self) -> NDArray[np.int64]:
        """Ids of the images in a class, ascending."""
        return np.flatnonzero(self.class_index >= 0)

    @property
    def unaccounted(self) -> NDArray[np.int64]:
        """Ids of all other images, ascending."""
        return np.flatnonzero(self.class_index < 0)

    def input_poses(self, facts: RunFacts) -> PoseArray:
        """Poses of the input images, input px: the pre-alignment's shift, then the class's pose.

        Returns
        -------
        POSE (count,)
        """
        return poses_of_input(facts.shifts, self.poses, facts.shrink_ratio)


def poses_of_input(shifts: NDArray[np.float64], poses: PoseArray, shrink_ratio: float) -> PoseArray:
    """Poses of the input images, input px: the pre-alignment's shift, then the class's pose.

    Parameters
    ----------
    shifts : float64 (n, 2)
        Of the pre-alignment, input px, x and y.
    poses : POSE (n,)
        After it, working px.
    shrink_ratio : float
        Working pixels in an input pixel.

    Examples
    --------
    >>> found = poses_of_input(np.array([[1.0, 0.0]]), make_poses([90], [2], [0], [0]), 0.5)
    >>> [found[name].round(6).tolist() for name in ("alpha", "tx", "ty")]
    [[90.0], [4.0], [-1.0]]
    """
    second = poses.copy()
    second["tx"] /= shrink_ratio
    second["ty"] /= shrink_ratio
    return compose(make_poses(0.0, shifts[:, 0], shifts[:, 1], 0), second)


def measure_classes(
    images: NDArray[np.float32], groups: Sequence[StableGroup], radius: float, workers: Workers
) -> list[ClassQuality]:
    """Measure the quality of groups of the working images."""

    def measure(group: StableGroup) -> ClassQuality:
        return measure_quality(images[group.members], group.poses, group.average, radius)

    return workers.map(measure, groups)


def beliefs(
    count: int,
    groups: Sequence[StableGroup],
    judged: Sequence[ClassConfidence],
    pixel_error_threshold: float,
) -> Belief:
    """Lay out what is believed of each class's members as one row an input image."""
    found = Belief(
        mirror_agreement=np.full(count, np.nan),
        margin=np.full(count, np.nan),
        stable_again=np.zeros(count, np.bool_),
        second_class=np.full(count, -1, np.int64),
    )
    for group, confidence in zip(groups, judged, strict=True):
        found.mirror_agreement[group.members] = confidence.mirror_agreement
        found.margin[group.members] = confidence.margin
        found.stable_again[group.members] = confidence.pixel_errors < pixel_error_threshold
        found.second_class[group.members] = confidence.second_class
    return found


def membership(
    count: int,
    groups: Sequence[StableGroup],
    qualities: Sequence[ClassQuality],
    belief: Belief | None = None,
) -> Membership:
    """Lay the classes out as one row an input image.

    Parameters
    ----------
    count : int
        Images in the input stack.
    groups, qualities : sequence (K,)
        The classes; no image is in two.
    belief : Belief, optional
    """
    found = Membership(
        np.full(count, -1, np.int64),
        identity_poses(count),
        np.full(count, np.nan),
        np.full(count, np.nan),
        belief,
    )
    for number, (group, quality) in enumerate(zip(groups, qualities, strict=True)):
        found.class_index[group.members] = number
        found.poses[group.members] = group.poses
        found.pixel_error[group.members] = group.pixel_errors
        found.similarity[group.members] = quality.similarity
    return found
