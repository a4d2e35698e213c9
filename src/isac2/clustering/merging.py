"""Classes found apart from each other: merged where they show the same view, and tested together.

Two classes show the same view when their members do not care which of the two they are in: when
the median member's preference for its own average is within the noise of one similarity. The
merged class then has to prove as stable as its parts were, or the two stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.nearest import nearest_references, similarity_of_pairs
from isac2.alignment.search import align_to_assigned
from isac2.alignment.space import Frames, SearchSpace, centres_from_poses
from isac2.clustering.comparison import (
    compare_with_classes,
    contrast_of,
    noise_of_similarity,
    standardise_averages,
)
from isac2.clustering.confidence import preference
from isac2.clustering.confirm import (
    are_whole,
    belongs_elsewhere,
    clearly_belongs,
    keep_explained,
    keep_members,
)
from isac2.clustering.leave_out import measure_own_parts
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.parts import test_in_parts
from isac2.clustering.sac import search_space
from isac2.clustering.state import StableGroup
from isac2.poses import PoseArray, compose
from isac2.workers import SerialWorkers, Workers

__all__ = [
    "confirm_against_all",
    "merge_classes",
    "recall_to_classes",
    "show_the_same_view",
]

_CANDIDATES = 8  # most similar classes that are looked at for each
_ALIKE_ENOUGH = 0.5  # similarity of averages below which two classes are not compared
_SAME = 1.0  # standard deviations of the noise
_MEMBERS_ASKED = 200  # of each class
_AS_STABLE = 0.9  # of the members have to be stable together
_REACH = 3.0  # px: pools centre their averages apart from each other
_GROWTH = 2  # times its size, to which a class may grow by what is recalled

Pair = tuple[int, int]


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
    standing = compare_with_classes(images, rows, centres, classes, parameters, workers, part).own()
    stays = ~belongs_elsewhere(standing) & are_whole(rows, poses, parameters, frames)

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
    nearest = nearest_references(
        averages, each, middle, averages, _CANDIDATES, space, workers, own=each
    )
    first = np.repeat(each, nearest.index.shape[1])
    second, alike = nearest.index.ravel(), nearest.similarity.ravel()
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
    best = compare_with_classes(images, rest, middle, classes, parameters, workers).best()
    clear = np.flatnonzero(clearly_belongs(best))
    rows, number, similarity = rest[clear], best.number[clear], best.similarity[clear]
    averages, space = np.stack([group.average for group in classes]), search_space(parameters)
    poses = align_to_assigned(images, rows, middle[clear], averages, number, space, workers).poses
    whole = are_whole(rows, poses, parameters, frames)

    def recall(some: int) -> StableGroup:
        group = classes[some]
        new = np.flatnonzero(whole & (number == some))
        room = (_GROWTH - 1) * len(group.members)
        new = new[np.argsort(-similarity[new], kind="stable")[:room]]
        if not len(new):
            return group
        together = np.concatenate([group.members, rows[new]])
        starts = np.concatenate([group.poses, poses[new]])
        order = np.argsort(together)
        tested = test_in_parts(images, together[order], starts[order], parameters, (*seed, some))
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
