"""Confirming classes against each other, and recalling images that they had lost.

Equal-size assignment gives an image to a group although it likes another one better, when that one
is full; and the image may well be posed alike there every time. So, once a generation's groups are
stable, every image is compared with all classes on equal terms: a member that belongs elsewhere
goes back to the pool, and an image of the pool that clearly belongs to one class, and is stable in
it, comes back. At last the class is proven: it is tested with each image's full weight in the
average, so that what belongs nowhere is held back by itself. All three are departures from the
historical method.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.search import align_to_assigned, search
from isac2.alignment.space import Frames, SearchSpace, centres_from_poses
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.sac import (
    class_aligner,
    group_aligner,
    search_space,
    sharp_average,
    test_group,
)
from isac2.clustering.state import StableGroup
from isac2.images.filters import tanh_response
from isac2.images.masks import disc_mask
from isac2.poses import PoseArray
from isac2.workers import Workers

__all__ = [
    "CLEARLY",
    "SAME_VIEW",
    "ClassComparison",
    "are_whole",
    "compare_with_classes",
    "confirm_members",
    "contrast_of",
    "keep_members",
    "noise_of_similarity",
    "prove_classes",
    "recall_images",
    "reliability_of",
    "standardise_averages",
]

CLEARLY = 3.0  # standard deviations of the noise
SAME_VIEW = 0.9  # averages as alike as this, but for noise, are rivals for no image
_LARGEST_CLASS = 2  # groups' worth of images to which a class may grow
_MOST_OUTSIDE = 0.02  # share of a particle's disc that may lie outside the image as it was picked
_LEAST_CONTRAST = 0.01  # of 1 - correlation, so that equal averages can be compared


@dataclass(frozen=True)
class ClassComparison:
    """Similarity of images and classes on equal terms.

    Attributes
    ----------
    similarity : float32 (m, K)
        Of each image to each class's average, both with unit variance.
    against : float32 (m, K)
        The same to the averages with their contrast inverted: what chance alone gives.
    likeness : float64 (K, K)
        Similarity of the averages to each other.
    same_view : bool (K, K)
        Whether two averages would be alike if they were free of noise.
    noise : float
        Standard deviation that noise gives to the similarity of an image and an average.
    """

    similarity: NDArray[np.float32]
    against: NDArray[np.float32]
    likeness: NDArray[np.float64]
    same_view: NDArray[np.bool_]
    noise: float

    def lead(self, own: NDArray[np.int64]) -> NDArray[np.float64]:
        """By how many standard deviations each image prefers its class (int64 (m,)) to each other.

        Noise gives the difference of the similarities to two averages of correlation c a standard
        deviation of sqrt(2 (1 - c)) times that of one. Returns float64 (m, K), 0 for its own.
        """
        ahead = self.similarity[np.arange(len(own)), own][:, None] - self.similarity
        lead: NDArray[np.float64] = ahead / (self.noise * contrast_of(self.likeness[own]))
        lead[np.arange(len(own)), own] = 0.0
        return lead

    def lead_over_chance(self, own: NDArray[np.int64]) -> NDArray[np.float64]:
        """By how many standard deviations each image prefers its class to the inverted class."""
        image = np.arange(len(own))
        ahead = self.similarity[image, own] - self.against[image, own]
        lead: NDArray[np.float64] = ahead / (self.noise * np.sqrt(2))
        return lead


def compare_with_classes(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    poses: PoseArray,
    averages: NDArray[np.float32],
    counts: NDArray[np.int64],
    parameters: ClusteringParameters,
    workers: Workers,
) -> ClassComparison:
    """Compare images (rows int64 (m,), poses POSE (m,)) with class averages float32 (K, n, n).

    counts int64 (K,) is how many images each average is made of.

    As with `search`, what is found may only be looked at in `workers.once`.

    Notes
    -----
    White noise of unit variance correlates with an average of unit variance by 0 +- 1 / sqrt(n), n
    the number of independent pixels in the disc.
    """
    space = search_space(parameters)
    reliability = reliability_of(averages, counts, parameters)
    averages = standardise_averages(averages, space)
    both = np.concatenate([averages, -averages])
    table = search(images, rows, centres_from_poses(poses), both, space, workers)
    count = len(averages)
    middle = np.zeros((count, 2))
    likeness = search(averages, np.arange(count), middle, averages, space, workers).astype(float)
    likeness = (likeness + likeness.T) / 2
    same_view = likeness / np.sqrt(np.outer(reliability, reliability)) > SAME_VIEW
    np.fill_diagonal(same_view, val=True)
    noise = noise_of_similarity(parameters)
    return ClassComparison(table[:, :count], table[:, count:], likeness, same_view, noise)


def reliability_of(
    averages: NDArray[np.float32], counts: NDArray[np.int64], parameters: ClusteringParameters
) -> NDArray[np.float64]:
    """Share of each average's variance that is not the noise of its images, float64 (K,).

    Images have noise of unit variance, of which an average keeps one part in its number of images,
    and its low-pass filter the part within the band.
    """
    axis = np.fft.fftfreq(averages.shape[-1])
    frequency = np.hypot(axis[:, None], axis)
    response = tanh_response(frequency, parameters.highest_frequency, parameters.falloff)
    noise = float(np.square(response).mean()) / counts
    variance = averages[:, disc_mask(averages.shape[-1], parameters.radius)].var(axis=1)
    reliability: NDArray[np.float64] = np.clip(1 - noise / np.maximum(variance, 1e-12), 0.1, 1.0)
    return reliability


def _averages_and_counts(
    groups: tuple[StableGroup, ...],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Averages float32 (K, n, n) of groups, and how many images each is made of."""
    return np.stack([g.average for g in groups]), np.array([len(g.members) for g in groups])


def noise_of_similarity(parameters: ClusteringParameters) -> float:
    """Standard deviation that noise gives to the correlation of an image and an average."""
    independent = np.pi * min(parameters.radius, parameters.noise_radius or np.inf) ** 2
    return 1 / float(np.sqrt(independent))


def contrast_of(likeness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Noise of the difference of similarities to two averages so alike, in that of one."""
    contrast: NDArray[np.float64] = np.sqrt(2 * np.maximum(1 - likeness, _LEAST_CONTRAST))
    return contrast


def standardise_averages(averages: NDArray[np.float32], space: SearchSpace) -> NDArray[np.float32]:
    """Averages with zero mean and unit variance inside the disc."""
    inside = disc_mask(averages.shape[-1], space.radius)
    values = averages[:, inside]
    mean, deviation = values.mean(axis=1), values.std(axis=1)
    scaled = (averages - mean[:, None, None]) / np.maximum(deviation, 1e-12)[:, None, None]
    standard: NDArray[np.float32] = scaled.astype(np.float32)
    return standard


def belongs_elsewhere(comparison: ClassComparison, own: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each image clearly prefers another class, or chance, to its own (int64 (m,))."""
    rival = (comparison.lead(own) < -CLEARLY).any(axis=1)
    chance: NDArray[np.bool_] = comparison.lead_over_chance(own) < CLEARLY
    return rival | chance


def clearly_belongs(comparison: ClassComparison, own: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each image clearly prefers its class to chance and to every other view."""
    ahead = ((comparison.lead(own) > CLEARLY) | comparison.same_view[own]).all(axis=1)
    chance: NDArray[np.bool_] = comparison.lead_over_chance(own) > CLEARLY
    return ahead & chance


def confirm_members(
    images: NDArray[np.float32],
    groups: tuple[StableGroup, ...],
    classes: tuple[StableGroup, ...],
    parameters: ClusteringParameters,
    workers: Workers,
    frames: Frames | None = None,
) -> tuple[StableGroup, ...]:
    """Groups less the members that clearly belong to another group or class, or to none.

    Parameters
    ----------
    images : float32 (N, n, n)
    groups : tuple of StableGroup
        Groups to look at; they compete with each other.
    classes : tuple of StableGroup
        Classes found earlier, which compete too.
    parameters, workers
    frames : Frames, optional
        Edges of the picked images: a member of which a part was cut off there leaves too.
    """
    if not groups:
        return groups
    averages, counts = _averages_and_counts((*groups, *classes))
    rows = np.concatenate([g.members for g in groups])
    poses = np.concatenate([g.poses for g in groups])
    own = np.repeat(np.arange(len(groups)), [len(g.members) for g in groups])
    comparison = compare_with_classes(images, rows, poses, averages, counts, parameters, workers)
    elsewhere = workers.once(lambda: belongs_elsewhere(comparison, own))
    stays = ~elsewhere & are_whole(rows, poses, parameters, frames)
    return tuple(
        keep_members(group, stays[own == number], images, parameters)
        for number, group in enumerate(groups)
    )


def recall_images(
    images: NDArray[np.float32],
    pool: NDArray[np.int64],
    poses: PoseArray,
    classes: tuple[StableGroup, ...],
    parameters: ClusteringParameters,
    seed: tuple[int, ...],
    workers: Workers,
    frames: Frames | None = None,
) -> tuple[StableGroup, ...]:
    """Classes and those images of the pool that clearly belong to one and are stable in it.

    A class takes the most similar ones first, and grows to two groups' worth of images at most.

    Parameters
    ----------
    images : float32 (N, n, n)
    pool : int64 (m,)
        Images in no class, and their poses, POSE (m,).
    classes : tuple of StableGroup
    parameters, seed, workers
        As in `isac2.clustering.sac.sac_round`.
    frames : Frames, optional
        Edges of the picked images: what was cut off there is not recalled.
    """
    if not classes or not len(pool):
        return classes
    averages, counts = _averages_and_counts(classes)
    comparison = compare_with_classes(images, pool, poses, averages, counts, parameters, workers)
    best = workers.once(lambda: comparison.similarity.argmax(axis=1))
    recalled, best_similarity = workers.once(
        lambda: (
            clearly_belongs(comparison, best),
            comparison.similarity[np.arange(len(best)), best],
        )
    )
    space = search_space(parameters)
    aligned = align_to_assigned(
        images, pool, centres_from_poses(poses), averages, best, space, workers
    )
    recalled &= are_whole(pool, aligned.poses, parameters, frames)
    aligner = group_aligner(parameters)

    def recall(number: int) -> StableGroup:
        group = classes[number]
        new = np.flatnonzero(recalled & (best == number))
        room = max(0, _LARGEST_CLASS * parameters.images_per_group - len(group.members))
        new = new[np.argsort(-best_similarity[new], kind="stable")[:room]]
        if not len(new):
            return group
        rows = np.concatenate([group.members, pool[new]])
        starts = np.concatenate([group.poses, aligned.poses[new]])
        order = np.argsort(rows)
        tested = test_group(
            aligner, images, rows[order], starts[order], parameters, (*seed, number)
        )
        whole = are_whole(tested.members, tested.poses, parameters, frames)
        tested = keep_members(tested, whole, images, parameters)
        if len(tested.members) <= len(group.members):
            return group
        return replace(tested, main_iteration=group.main_iteration, generation=group.generation)

    return tuple(workers.map(recall, range(len(classes))))


def prove_classes(
    images: NDArray[np.float32],
    classes: tuple[StableGroup, ...],
    known: tuple[StableGroup, ...],
    parameters: ClusteringParameters,
    seed: tuple[int, ...],
    workers: Workers,
) -> tuple[StableGroup, ...]:
    """Classes less the members that are not stable when every image has its full weight.

    Parameters
    ----------
    images : float32 (N, n, n)
    classes : tuple of StableGroup
        The first ones are those of `known`, which may have grown.
    known : tuple of StableGroup
        Classes that have been proven: one that comes out smaller than it was stays what it was.
    parameters, seed, workers
        As in `isac2.clustering.sac.sac_round`.
    """
    aligner = class_aligner(parameters)

    def prove(number: int) -> StableGroup:
        group = classes[number]
        before = known[number] if number < len(known) else None
        if before is not None and np.array_equal(before.members, group.members):
            return before
        tested = test_group(
            aligner, images, group.members, group.poses, parameters, (*seed, number, 1)
        )
        stable = tested.pixel_errors < parameters.pixel_error_threshold
        if before is not None and stable.sum() < len(before.members):
            return before
        return replace(
            group,
            members=tested.members,
            poses=tested.poses,
            pixel_errors=tested.pixel_errors,
            average=tested.average,
            rms_pixel_error=tested.rms_pixel_error,
            mirror_consistency=tested.mirror_consistency,
        )

    return tuple(workers.map(prove, range(len(classes))))


def are_whole(
    rows: NDArray[np.int64],
    poses: PoseArray,
    parameters: ClusteringParameters,
    frames: Frames | None,
) -> NDArray[np.bool_]:
    """Whether nearly all of each particle lies inside the image in which it was picked."""
    if frames is None:
        return np.ones(len(rows), np.bool_)
    outside = frames.share_outside(rows, centres_from_poses(poses), parameters.radius)
    whole: NDArray[np.bool_] = outside <= _MOST_OUTSIDE
    return whole


def keep_members(
    group: StableGroup,
    stays: NDArray[np.bool_],
    images: NDArray[np.float32],
    parameters: ClusteringParameters,
) -> StableGroup:
    """The group with some of its members, and their average."""
    if stays.all():
        return group
    members, poses = group.members[stays], group.poses[stays]
    errors = group.pixel_errors[stays]
    return replace(
        group,
        members=members,
        poses=poses,
        pixel_errors=errors,
        rms_pixel_error=float(np.sqrt(np.mean(errors**2))) if len(errors) else 0.0,
        average=sharp_average(images, members, poses, parameters) if len(errors) else group.average,
    )
