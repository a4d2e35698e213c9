"""Classes found apart from each other: merged where they show the same view, and tested together.

Two classes show the same view when their members do not care which of the two they are in: when
the median member's preference for its own average is within the noise of one similarity. The
merged class then has to prove as stable as its parts were, or the two stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.search import align_to_assigned
from isac2.alignment.space import Frames, SearchSpace, centres_from_poses
from isac2.clustering.comparison import (
    SAME_VIEW,
    contrast_of,
    noise_of_similarity,
    reliability_of,
    standardise_averages,
)
from isac2.clustering.confidence import preference
from isac2.clustering.confirm import CLEARLY, are_whole, keep_explained, keep_members
from isac2.clustering.leave_out import OwnPart, measure_own_parts
from isac2.clustering.nearest import nearest_averages, similarity_of_pairs
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.parts import test_in_parts
from isac2.clustering.sac import search_space
from isac2.clustering.state import StableGroup
from isac2.poses import PoseArray, compose
from isac2.workers import SerialWorkers, Workers

__all__ = [
    "Standing",
    "confirm_against_all",
    "merge_classes",
    "recall_to_classes",
    "show_the_same_view",
    "stand_among",
]

_CANDIDATES = 8  # most similar classes that are looked at for each
_ALIKE_ENOUGH = 0.5  # similarity of averages below which two classes are not compared
_SAME = 1.0  # standard deviations of the noise
_MEMBERS_ASKED = 200  # of each class
_AS_STABLE = 0.9  # of the members have to be stable together
_RIVALS = 4  # classes an image is weighed against
_REACH = 3.0  # px: pools centre their averages apart from each other
_GROWTH = 2  # times its size, to which a class may grow by what is recalled

Pair = tuple[int, int]


@dataclass(frozen=True)
class Standing:
    """Where m images stand among classes, in standard deviations of the noise.

    Attributes
    ----------
    number : int64 (m,)
        The class that is asked about.
    similarity : float64 (m,)
        To that class's average, less what the image itself adds to it.
    lead, over_chance : float64 (m,)
        By how much the image prefers that class to every class of another view, and to chance.
    poses : POSE (m,)
        In that class.
    """

    number: NDArray[np.int64]
    similarity: NDArray[np.float64]
    lead: NDArray[np.float64]
    over_chance: NDArray[np.float64]
    poses: PoseArray


def stand_among(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    centres: NDArray[np.float64],
    classes: tuple[StableGroup, ...],
    parameters: ClusteringParameters,
    workers: Workers,
    part: OwnPart | None = None,
) -> Standing:
    """Weigh images against the classes that they are most similar to, whatever their number.

    `isac2.clustering.comparison` by the same rules, without a table of all images and classes.

    Parameters
    ----------
    images : float32 (N, n, n)
    rows : int64 (m,)
        Which of them, with their `centres`, float64 (m, 2).
    classes, parameters, workers
    part : OwnPart, optional
        When the rows are all members of the classes, one class after the other: what each adds to
        the average of its own class, which is then the one that is asked about; otherwise it is the
        most similar one.
    """
    space, noise = search_space(parameters), noise_of_similarity(parameters)
    averages = np.stack([group.average for group in classes])
    sizes = np.array([len(group.members) for group in classes])
    reliability = reliability_of(averages, sizes, parameters)
    averages = standardise_averages(averages, space)
    nearest = nearest_averages(images, rows, centres, averages, _RIVALS, space, workers)
    number = nearest.index[:, 0].astype(np.int64)
    if part is not None:
        number = np.repeat(np.arange(len(classes)), sizes)
    found = align_to_assigned(images, rows, centres, averages, number, space, workers)
    against = align_to_assigned(images, rows, centres, -averages, number, space, workers)
    similarity = nearest.similarity[:, 0].astype(np.float64)
    if part is not None:
        similarity = part.take_out(found.similarity)
    lead = np.full(len(rows), np.inf)
    for place in range(nearest.index.shape[1]):
        rival = nearest.index[:, place].astype(np.int64)
        likeness = similarity_of_pairs(averages, number, rival, space, workers)
        alike = likeness > SAME_VIEW * np.sqrt(reliability[number] * reliability[rival])
        ahead = (similarity - nearest.similarity[:, place]) / (noise * contrast_of(likeness))
        lead = np.where((rival == number) | alike, lead, np.minimum(lead, ahead))
    over_chance = (similarity - against.similarity) / (noise * np.sqrt(2))
    return Standing(number, similarity, lead, over_chance, found.poses)


def confirm_against_all(
    images: NDArray[np.float32],
    classes: tuple[StableGroup, ...],
    parameters: ClusteringParameters,
    workers: Workers,
    frames: Frames | None = None,
) -> tuple[StableGroup, ...]:
    """Classes less the members that clearly belong to another class, of whichever pool.

    `isac2.clustering.confirm.confirm_members` for any number of images and classes. A view that one
    pool has not told from another is told by the classes of the others. What is too small after
    that is no class.
    """
    if len(classes) < 2:
        return classes
    rows = np.concatenate([group.members for group in classes])
    poses = np.concatenate([group.poses for group in classes])
    part = measure_own_parts(images, classes, parameters, workers)
    centres = centres_from_poses(poses)
    standing = stand_among(images, rows, centres, classes, parameters, workers, part)
    stays = (standing.lead >= -CLEARLY) & (standing.over_chance >= CLEARLY)
    stays &= are_whole(rows, poses, parameters, frames)

    def keep(number: int) -> StableGroup:
        return keep_members(classes[number], stays[standing.number == number], images, parameters)

    kept = tuple(workers.map(keep, range(len(classes))))
    kept = keep_explained(kept, images, parameters, workers)
    threshold, smallest = parameters.pixel_error_threshold, parameters.minimum_group_size
    return tuple(g for g in kept if (g.pixel_errors < threshold).sum() > smallest)


def merge_classes(
    images: NDArray[np.float32],
    classes: tuple[StableGroup, ...],
    parameters: ClusteringParameters,
    seed: tuple[int, ...],
    workers: Workers,
    notify: Callable[[str], None],
) -> tuple[StableGroup, ...]:
    """Merge classes of different pools that show the same view, pair by pair, until none is left.

    Parameters
    ----------
    images : float32 (N, n, n)
    classes : tuple of StableGroup
        With the pools that found them; a merged class has at most one of each pool.
    parameters, seed, workers, notify
        As for `isac2.clustering.sac.sac_round`.
    """
    # pairs are refused by name, and a merged class has a new one
    named = dict(enumerate(classes))
    refused: set[Pair] = set()
    turn, next_name = 0, len(classes)
    while pairs := _pairs(named, refused, parameters, workers):
        notify(f"testing {len(pairs)} pairs of classes together")
        join = partial(_join, images, named, parameters, (*seed, turn))
        for pair, merged in zip(pairs, workers.map(join, pairs), strict=True):
            if merged is None:
                refused.add(pair)
                continue
            del named[pair[0]], named[pair[1]]
            named[next_name] = merged
            next_name += 1
        turn += 1
    return tuple(
        sorted(named.values(), key=lambda g: (g.main_iteration, g.generation, g.members[0]))
    )


def _pairs(
    named: Mapping[int, StableGroup],
    refused: set[Pair],
    parameters: ClusteringParameters,
    workers: Workers,
) -> list[Pair]:
    """Pairs of classes (by name) that may be one: alike, of different pools, each in one pair."""
    if len(named) < 2:
        return []
    names, groups = list(named), list(named.values())
    space = _wide(parameters)
    averages = standardise_averages(np.stack([group.average for group in groups]), space)
    each, middle = np.arange(len(groups)), np.zeros((len(groups), 2))
    count = _CANDIDATES + 1  # the first is the class itself
    nearest = nearest_averages(averages, each, middle, averages, count, space, workers)
    first = np.repeat(each, nearest.index.shape[1])
    second, alike = nearest.index.ravel().astype(np.int64), nearest.similarity.ravel()
    found: list[Pair] = []
    taken: set[int] = set()
    for place in np.argsort(-alike, kind="stable"):
        a, b = sorted((int(first[place]), int(second[place])))
        pair = names[a], names[b]
        if a == b or alike[place] < _ALIKE_ENOUGH or {a, b} & taken or pair in refused:
            continue
        if not np.intersect1d(groups[a].pools, groups[b].pools).size:
            found.append(pair)
            taken |= {a, b}
    return found


def _join(
    images: NDArray[np.float32],
    named: Mapping[int, StableGroup],
    parameters: ClusteringParameters,
    seed: tuple[int, ...],
    pair: Pair,
) -> StableGroup | None:
    """Two classes as one; None when they show different views, or are not stable together."""
    first, second = named[pair[0]], named[pair[1]]
    if not show_the_same_view(images, first, second, parameters):
        return None
    turn = _turn(second.average, first.average, parameters)
    rows = np.concatenate([first.members, second.members])
    poses = np.concatenate([first.poses, compose(second.poses, np.repeat(turn, len(second.poses)))])
    order = np.argsort(rows)
    tested = test_in_parts(images, rows[order], poses[order], parameters, (*seed, *pair))
    if tested is None or len(tested.members) < _AS_STABLE * len(rows):
        return None
    return replace(
        tested,
        main_iteration=first.main_iteration,
        generation=first.generation,
        pools=np.union1d(first.pools, second.pools),
    )


def show_the_same_view(
    images: NDArray[np.float32],
    first: StableGroup,
    second: StableGroup,
    parameters: ClusteringParameters,
) -> bool:
    """Whether the members of two classes do not care which of the two they are in."""
    averages = standardise_averages(np.stack([first.average, second.average]), _wide(parameters))
    one, two = np.zeros(1, np.int64), np.ones(1, np.int64)
    likeness = similarity_of_pairs(averages, one, two, _wide(parameters), SerialWorkers())
    noise = noise_of_similarity(parameters) * float(contrast_of(likeness)[0])
    ahead = []
    for own, other in ((first, second.average), (second, first.average)):
        turn = _turn(own.average, other, parameters)
        ahead.append(preference(images, own, other, turn, parameters, _MEMBERS_ASKED))
    return bool(np.median(np.concatenate(ahead)) < _SAME * noise)


def _wide(parameters: ClusteringParameters) -> SearchSpace:
    """Translations between averages that were centred apart from each other."""
    space = search_space(parameters)
    reach = max(_REACH, space.x_range), max(_REACH, space.y_range)
    return replace(space, x_range=reach[0], y_range=reach[1])


def _turn(
    average: NDArray[np.float32], onto: NDArray[np.float32], parameters: ClusteringParameters
) -> PoseArray:
    """What brings one average onto another, POSE (1,)."""
    first, middle = np.zeros(1, np.int64), np.zeros((1, 2))
    found = align_to_assigned(
        average[None], first, middle, onto[None], first, _wide(parameters), SerialWorkers()
    )
    return found.poses


def recall_to_classes(
    images: NDArray[np.float32],
    rest: NDArray[np.int64],
    classes: tuple[StableGroup, ...],
    parameters: ClusteringParameters,
    seed: tuple[int, ...],
    workers: Workers,
    frames: Frames | None,
) -> tuple[StableGroup, ...]:
    """Classes and those images of the rest that clearly belong to one and are stable in it.

    `isac2.clustering.confirm.recall_images` for any number of images and classes; a class may grow
    to twice its size.
    """
    if not classes or not len(rest):
        return classes
    middle = np.zeros((len(rest), 2))
    standing = stand_among(images, rest, middle, classes, parameters, workers)
    clear = (standing.lead > CLEARLY) & (standing.over_chance > CLEARLY)
    clear &= are_whole(rest, standing.poses, parameters, frames)

    def recall(number: int) -> StableGroup:
        group = classes[number]
        new = np.flatnonzero(clear & (standing.number == number))
        room = (_GROWTH - 1) * len(group.members)
        new = new[np.argsort(-standing.similarity[new], kind="stable")[:room]]
        if not len(new):
            return group
        rows = np.concatenate([group.members, rest[new]])
        starts = np.concatenate([group.poses, standing.poses[new]])
        order = np.argsort(rows)
        tested = test_in_parts(images, rows[order], starts[order], parameters, (*seed, number))
        if tested is None:
            return group
        return replace(
            tested,
            main_iteration=group.main_iteration,
            generation=group.generation,
            pools=group.pools,
        )

    tested = tuple(workers.map(recall, range(len(classes))))
    explained = keep_explained(tested, images, parameters, workers)
    return tuple(
        after if len(after.members) > len(before.members) else before
        for before, after in zip(classes, explained, strict=True)
    )
