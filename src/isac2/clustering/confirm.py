"""Confirming classes against each other, and recalling images that they had lost.

Equal-size assignment gives an image to a group although it likes another one better, when that one
is full; and the image may well be posed alike there every time. So, once a generation's groups are
stable, every image is compared with all classes on equal terms, a member with the average of the
others of its class: a member that belongs elsewhere, or shows more than its class does, goes back
to the pool, and an image that belongs to one class, and is stable in it, comes back. At last the
class is proven: it is tested with more weight of each image in the average, the full one unless the
class is shown clearly, so that what belongs nowhere is held back by itself. All three are
departures from the historical method.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.search import align_to_assigned
from isac2.alignment.space import Frames, centres_from_poses
from isac2.clustering.comparison import Standing, compare_with_classes
from isac2.clustering.leave_out import (
    measure_own_part,
    measure_own_parts,
    most_unexplained,
    unexplained_energies,
    unexplained_energy,
    well_explained,
)
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.sac import (
    GroupToTest,
    class_aligner,
    group_aligner,
    search_space,
    sharp_average,
    test_groups,
    weight_in_proof,
)
from isac2.clustering.state import StableGroup
from isac2.poses import PoseArray, identity_poses
from isac2.workers import SerialWorkers, Workers

__all__ = [
    "CLEARLY",
    "Candidates",
    "are_whole",
    "belongs_elsewhere",
    "clearly_belongs",
    "confirm_members",
    "keep_confirmed",
    "keep_explained",
    "keep_members",
    "members_of",
    "prove_classes",
    "recall_images",
    "take_in",
]

CLEARLY = 3.0  # standard deviations of the noise
_LARGEST_CLASS = 2  # groups' worth of images to which a class may grow
_MOST_OUTSIDE = 0.02  # share of a particle's disc that may lie outside the image as it was picked


def belongs_elsewhere(standing: Standing) -> NDArray[np.bool_]:
    """Whether each image clearly prefers another view, or chance, to its class."""
    elsewhere: NDArray[np.bool_] = (standing.lead < -CLEARLY) | (standing.over_chance < CLEARLY)
    return elsewhere


def clearly_belongs(standing: Standing, margin: float = CLEARLY) -> NDArray[np.bool_]:
    """Whether each image clearly prefers its class to chance, and by `margin` to other views."""
    clear: NDArray[np.bool_] = (standing.lead > margin) & (standing.over_chance > CLEARLY)
    return clear


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
    rows, poses, _ = members_of(groups)
    part = measure_own_parts(images, groups, parameters, workers)
    comparison = compare_with_classes(
        images, rows, centres_from_poses(poses), (*groups, *classes), parameters, workers, part
    )
    elsewhere = belongs_elsewhere(comparison.own())
    stays = ~elsewhere & are_whole(rows, poses, parameters, frames)
    return keep_confirmed(groups, stays, images, parameters, workers)


def keep_confirmed(
    groups: tuple[StableGroup, ...],
    stays: NDArray[np.bool_],
    images: NDArray[np.float32],
    parameters: ClusteringParameters,
    workers: Workers,
) -> tuple[StableGroup, ...]:
    """Groups with the members that stay (of all, bool (m,)) and that their average explains."""
    cuts = np.cumsum([len(group.members) for group in groups])[:-1]
    of_each = np.split(stays, cuts)

    def keep(number: int) -> StableGroup:
        return keep_members(groups[number], of_each[number], images, parameters)

    kept = tuple(workers.map(keep, range(len(groups))))
    return keep_explained(kept, images, parameters, workers)


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
    centres = centres_from_poses(poses)
    best = compare_with_classes(images, pool, centres, classes, parameters, workers).best()
    candidates = Candidates(pool, poses, best.number, best.similarity)
    candidates = candidates.where(clearly_belongs(best))
    return take_in(images, candidates, classes, parameters, seed, workers, frames)


@dataclass(frozen=True)
class Candidates:
    """Images to be tested with a class of each.

    Attributes
    ----------
    rows : int64 (m,)
    poses : POSE (m,)
    number : int64 (m,)
        The class.
    similarity : float64 (m,)
        To it: the most similar ones are taken first.
    """

    rows: NDArray[np.int64]
    poses: PoseArray
    number: NDArray[np.int64]
    similarity: NDArray[np.float64]

    def where(self, wanted: NDArray[np.bool_] | NDArray[np.int64]) -> Candidates:
        """Return some of them."""
        return Candidates(
            self.rows[wanted], self.poses[wanted], self.number[wanted], self.similarity[wanted]
        )


def take_in(
    images: NDArray[np.float32],
    candidates: Candidates,
    classes: tuple[StableGroup, ...],
    parameters: ClusteringParameters,
    seed: tuple[int, ...],
    workers: Workers,
    frames: Frames | None,
) -> tuple[StableGroup, ...]:
    """Classes and those of the candidates that are explained by theirs, and stable in it."""
    if not len(candidates.rows):
        return classes
    averages = np.stack([group.average for group in classes])
    centres, space = centres_from_poses(candidates.poses), search_space(parameters)
    poses = align_to_assigned(
        images, candidates.rows, centres, averages, candidates.number, space, workers
    ).poses
    candidates = replace(candidates, poses=poses)
    candidates = candidates.where(are_whole(candidates.rows, poses, parameters, frames))
    candidates = _explained_by_theirs(images, candidates, classes, parameters, workers)
    tested = _tested_together(images, candidates, classes, parameters, seed, workers, frames)
    explained = keep_explained(tested, images, parameters, workers)
    return tuple(
        after if len(after.members) > len(before.members) else before
        for before, after in zip(classes, explained, strict=True)
    )


def _explained_by_theirs(
    images: NDArray[np.float32],
    candidates: Candidates,
    classes: tuple[StableGroup, ...],
    parameters: ClusteringParameters,
    workers: Workers,
) -> Candidates:
    """Candidates of which their class's average leaves no more than of members."""

    def measure(number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        group, new = classes[number], candidates.where(candidates.number == number)
        return unexplained_energies(images, group, new.rows, new.poses, parameters)

    of_members, of_new = zip(*workers.map(measure, range(len(classes))), strict=True)
    order = np.argsort(candidates.number, kind="stable")
    explained = np.empty(len(order), np.bool_)
    explained[order] = np.concatenate(of_new) <= most_unexplained(of_members)
    return candidates.where(explained)


def _tested_together(
    images: NDArray[np.float32],
    candidates: Candidates,
    classes: tuple[StableGroup, ...],
    parameters: ClusteringParameters,
    seed: tuple[int, ...],
    workers: Workers,
    frames: Frames | None,
) -> tuple[StableGroup, ...]:
    """Classes as they were tested with their most similar candidates, where they grew by it."""
    growing, to_test = [], []
    for number, group in enumerate(classes):
        new = candidates.where(candidates.number == number)
        room = max(0, _LARGEST_CLASS * parameters.images_per_group - len(group.members))
        new = new.where(np.argsort(-new.similarity, kind="stable")[:room])
        if len(new.rows):
            growing.append(number)
            to_test.append(_with_new(group, new, (*seed, number)))
    together = test_groups(group_aligner(parameters), images, to_test, parameters, workers)

    def keep(place: int) -> StableGroup:
        return _grown(classes[growing[place]], together[place], images, parameters, frames)

    grown = dict(zip(growing, workers.map(keep, range(len(growing))), strict=True))
    return tuple(grown.get(number, group) for number, group in enumerate(classes))


def _with_new(group: StableGroup, new: Candidates, seed: tuple[int, ...]) -> GroupToTest:
    """Class and new images together."""
    rows = np.concatenate([group.members, new.rows])
    starts = np.concatenate([group.poses, new.poses])
    order = np.argsort(rows)
    return GroupToTest(rows[order], starts[order], seed)


def _grown(
    group: StableGroup,
    tested: StableGroup,
    images: NDArray[np.float32],
    parameters: ClusteringParameters,
    frames: Frames | None,
) -> StableGroup:
    """The class as it was tested with new images; as it was where it does not grow."""
    whole = are_whole(tested.members, tested.poses, parameters, frames)
    tested = keep_members(tested, whole, images, parameters)
    if len(tested.members) <= len(group.members):
        return group
    return replace(
        tested,
        main_iteration=group.main_iteration,
        generation=group.generation,
        pools=group.pools,
    )


def keep_explained(
    groups: tuple[StableGroup, ...],
    images: NDArray[np.float32],
    parameters: ClusteringParameters,
    workers: Workers,
) -> tuple[StableGroup, ...]:
    """Groups less the members of which their average leaves far more than of others."""
    energies = workers.map(lambda group: unexplained_energy(images, group, parameters), groups)
    stays = well_explained(energies)

    def keep(number: int) -> StableGroup:
        return keep_members(groups[number], stays[number], images, parameters)

    return tuple(workers.map(keep, range(len(groups))))


def members_of(
    groups: tuple[StableGroup, ...],
) -> tuple[NDArray[np.int64], PoseArray, NDArray[np.int64]]:
    """All members of groups, one group after the other, their poses, and the group of each."""
    sizes = [len(group.members) for group in groups]
    nothing = np.empty(0, np.int64), identity_poses(0)
    members = np.concatenate([nothing[0], *(group.members for group in groups)])
    poses = np.concatenate([nothing[1], *(group.poses for group in groups)])
    return members, poses, np.repeat(np.arange(len(groups)), sizes)


def prove_classes(
    images: NDArray[np.float32],
    classes: tuple[StableGroup, ...],
    known: tuple[StableGroup, ...],
    parameters: ClusteringParameters,
    seed: tuple[int, ...],
    workers: Workers,
) -> tuple[StableGroup, ...]:
    """Classes less the members that are not stable when images have more weight in the average.

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
    before = (*known, *(None for _ in classes[len(known) :]))
    changed = [
        number
        for number, (old, group) in enumerate(zip(before, classes, strict=True))
        if old is None or not np.array_equal(old.members, group.members)
    ]
    weights = workers.map(lambda k: _weight_in_proof(classes[k], images, parameters), changed)
    proven = [old or group for old, group in zip(before, classes, strict=True)]
    for weight in sorted(set(weights)):
        some = [k for k, of_this in zip(changed, weights, strict=True) if of_this == weight]
        to_test = [GroupToTest(classes[k].members, classes[k].poses, (*seed, k, 1)) for k in some]
        aligner = class_aligner(parameters, weight)
        tested = test_groups(aligner, images, to_test, parameters, workers)
        for k, found in zip(some, tested, strict=True):
            proven[k] = _proven(classes[k], before[k], found, parameters)
    return tuple(proven)


def _weight_in_proof(
    group: StableGroup, images: NDArray[np.float32], parameters: ClusteringParameters
) -> float:
    """Weight of its images when a class is proven, by how clearly they show the class."""
    part = measure_own_part(images, group, parameters)
    centres, alone = centres_from_poses(group.poses), SerialWorkers()  # classes side by side
    compared = compare_with_classes(
        images, group.members, centres, (group,), parameters, alone, part
    )
    return weight_in_proof(float(np.median(compared.own().over_chance)))


def _proven(
    group: StableGroup,
    before: StableGroup | None,
    tested: StableGroup,
    parameters: ClusteringParameters,
) -> StableGroup:
    """The class as it was tested; as it was `before` where it comes out smaller than that."""
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
