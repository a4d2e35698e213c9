"""How far the classes of a finished run can be believed, particle by particle.

Three questions are asked of the final classes, none of which has steered the run:

- Are they stable again, in independent alignments that have not been seen before?
- By how much is a particle more similar to its class than to the next best one?
- How much of a group of unrelated particles passes for stable? That is what chance gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.special
from numpy.typing import NDArray

from isac2.alignment.nearest import nearest_references, similarity_of_pairs
from isac2.alignment.search import search
from isac2.alignment.space import centres_from_poses
from isac2.clustering.comparison import contrast_of, noise_of_similarity, standardise_averages
from isac2.clustering.leave_out import measure_own_part, measure_own_parts
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.sac import (
    GroupToTest,
    align_independently,
    class_aligner,
    in_batches,
    search_space,
)
from isac2.clustering.stability import test_stability
from isac2.clustering.state import StableGroup
from isac2.poses import PoseArray, compose, identity_poses
from isac2.workers import SerialWorkers, Workers

__all__ = [
    "ClassConfidence",
    "RandomGroups",
    "judge_classes",
    "mirror_agreement",
    "most_frequent_rate",
    "preference",
    "test_random_groups",
]

_RETEST, _RANDOM = 1, 2  # name the two kinds of test among all that draw from a seed
_CONFIDENCE = 0.95
_BLOCK = 256  # images moved at a time


@dataclass(frozen=True)
class ClassConfidence:
    """What is found out about one class of m members.

    Attributes
    ----------
    pixel_errors : float64 (m,)
        Of each member in the new test, working px; infinite where its mirror disagrees.
    mirror_agreement : float64 (m,)
        Share of the new alignments that agree on its mirror, 0.5 to 1.
    margin : float64 (m,)
        By how many standard deviations of the noise the member is more similar to its class than to
        `second_class`; infinite where there is only one class.
    second_class : int64 (m,)
        The most similar of the other classes, from 0; -1 where there is none.
    stable_again : int
        Members that are stable in the new test too.
    """

    pixel_errors: NDArray[np.float64]
    mirror_agreement: NDArray[np.float64]
    margin: NDArray[np.float64]
    second_class: NDArray[np.int64]
    stable_again: int

    @property
    def stable_share(self) -> float:
        """Share of the members that is stable again."""
        return self.stable_again / max(1, len(self.margin))


@dataclass(frozen=True)
class RandomGroups:
    """Groups of particles drawn at random, put to the same test.

    Attributes
    ----------
    size : int
        Images in each.
    stable : int64 (g,)
        How many of them came out stable.
    """

    size: int
    stable: NDArray[np.int64]

    def chance(self, stable: int, size: int) -> float:
        """Probability that at least so many of a random group of `size` images are stable.

        The groups' counts are taken for draws from one beta-binomial distribution, whose mean and
        variance are theirs: it allows for groups that differ more than single images would, and
        carries what was seen on groups of one size over to another.
        """
        if not stable:
            return 1.0
        groups = len(self.stable)
        share = (self.stable.sum() + 0.5) / (groups * self.size + 1)
        spread = self.stable.var(ddof=1) if groups > 1 else 0.0
        single = self.size * share * (1 - share)
        alike = (spread / single - 1) / max(1, self.size - 1)  # correlation within a group
        if alike <= 0:
            return float(scipy.special.bdtrc(stable - 1, size, share))
        total = 1 / min(alike, 0.999) - 1
        return _beta_binomial_tail(stable, size, share * total, (1 - share) * total)

    def passing(self, minimum: int) -> tuple[int, float]:
        """How many groups would be classes, and the highest rate that this is compatible with."""
        passed = int((self.stable > minimum).sum())
        return passed, most_frequent_rate(passed, len(self.stable))


def most_frequent_rate(passed: int, tried: int) -> float:
    """Upper 95 % limit of a rate (Clopper and Pearson, Biometrika 26:404, 1934).

    Examples
    --------
    >>> round(most_frequent_rate(0, 20), 3)  # 1 - 0.05 ** (1 / 20)
    0.139
    """
    if passed >= tried:
        return 1.0
    return float(scipy.special.betaincinv(passed + 1, tried - passed, _CONFIDENCE))


def _beta_binomial_tail(least: int, size: int, a: float, b: float) -> float:
    """Probability of at least `least` of `size`; scipy.stats has it, but takes a second to load.

    Examples
    --------
    >>> round(_beta_binomial_tail(2, 3, 1.0, 1.0), 6)  # 0, 1, 2 and 3 are equally likely
    0.5
    """
    betaln, log_gamma = scipy.special.betaln, scipy.special.gammaln
    found = np.arange(least, size + 1)
    ways = log_gamma(size + 1) - log_gamma(found + 1) - log_gamma(size - found + 1)
    return float(min(1.0, np.exp(ways + betaln(found + a, size - found + b) - betaln(a, b)).sum()))


def judge_classes(
    images: NDArray[np.float32],
    classes: tuple[StableGroup, ...],
    parameters: ClusteringParameters,
    seed: int,
    workers: Workers,
) -> list[ClassConfidence]:
    """Test every class anew, and measure each member's margin.

    Parameters
    ----------
    images : float32 (N, n, n)
    classes : tuple of StableGroup
    parameters : ClusteringParameters
    seed : int
        Of the run; what is drawn here is drawn for nothing else.
    workers : Workers
    """
    if not classes:
        return []
    tested = _align_and_test(
        images,
        [
            GroupToTest(group.members, group.poses, (seed, _RETEST, 0, 0, number))
            for number, group in enumerate(classes)
        ],
        parameters,
        workers,
    )
    margin, second = _margins(images, classes, parameters, workers)
    cuts = np.cumsum([len(group.members) for group in classes])[:-1]
    threshold = parameters.pixel_error_threshold
    return [
        ClassConfidence(errors, mirrors, lead, other, int((errors < threshold).sum()))
        for (errors, mirrors), lead, other in zip(
            tested, np.split(margin, cuts), np.split(second, cuts), strict=True
        )
    ]


def test_random_groups(
    images: NDArray[np.float32],
    usable: NDArray[np.int64],
    count: int,
    parameters: ClusteringParameters,
    seed: int,
    workers: Workers,
) -> RandomGroups:
    """Put groups of particles drawn at random (rows int64 (n,)) to the hardest test of a class."""
    size = min(parameters.images_per_group, len(usable))
    names = [(seed, _RANDOM, 0, 0, number) for number in range(count)]
    drawn = [np.random.default_rng(name).choice(usable, size, replace=False) for name in names]
    groups = [
        GroupToTest(np.sort(rows), identity_poses(size), name)
        for rows, name in zip(drawn, names, strict=True)
    ]
    tested = _align_and_test(images, groups, parameters, workers)
    stable = [int((errors < parameters.pixel_error_threshold).sum()) for errors, _ in tested]
    return RandomGroups(size, np.array(stable, np.int64))


# Its name would make pytest take it for a test where it is imported.
test_random_groups.__dict__["__test__"] = False


def _align_and_test(
    images: NDArray[np.float32],
    groups: Sequence[GroupToTest],
    parameters: ClusteringParameters,
    workers: Workers,
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Pixel error and mirror agreement of each image in independent alignments of its group."""
    aligner = class_aligner(parameters)

    def test(
        some: Sequence[GroupToTest],
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        return [
            (
                test_stability(
                    aligned, parameters.radius, parameters.pixel_error_threshold
                ).all_pixel_errors,
                mirror_agreement(aligned),
            )
            for aligned in align_independently(aligner, images, some, parameters)
        ]

    return in_batches(test, aligner, groups, workers)


def mirror_agreement(runs: PoseArray) -> NDArray[np.float64]:
    """Share of the alignments (L, m) that agree on each image's mirror, up to flips of whole runs.

    Examples
    --------
    The second run is flipped as a whole; the last image follows in neither of the others.

    >>> from isac2.poses import make_poses
    >>> mirror_agreement(make_poses(0, 0, 0, [[0, 1, 0, 1], [1, 0, 1, 1], [0, 1, 0, 0]]))
    array([1.        , 1.        , 1.        , 0.66666667])
    """
    differs = runs["mirror"] != runs["mirror"][-1]
    codes, counts = np.unique(differs, axis=1, return_counts=True)
    flips = codes[:, counts.argmax()]
    mirrored = (runs["mirror"] ^ flips[:, None].astype(np.int8)).mean(axis=0)
    agreement: NDArray[np.float64] = np.maximum(mirrored, 1 - mirrored)
    return agreement


def _margins(
    images: NDArray[np.float32],
    classes: tuple[StableGroup, ...],
    parameters: ClusteringParameters,
    workers: Workers,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Margin of each member of all classes to its second-best class, and which that is."""
    space = search_space(parameters)
    rows = np.concatenate([group.members for group in classes])
    own = np.repeat(np.arange(len(classes)), [len(group.members) for group in classes])
    if len(classes) == 1:
        return np.full(len(rows), np.inf), np.full(len(rows), -1, np.int64)
    averages = standardise_averages(np.stack([group.average for group in classes]), space)
    centres = centres_from_poses(np.concatenate([group.poses for group in classes]))
    nearest = nearest_references(images, rows, centres, averages, 1, space, workers, own)
    mine = measure_own_parts(images, classes, parameters, workers).take_out(nearest.own)
    second = nearest.index[:, 0]
    likeness = similarity_of_pairs(averages, own, second, space, workers)
    ahead = mine - nearest.similarity[:, 0]
    return ahead / (noise_of_similarity(parameters) * contrast_of(likeness)), second


def preference(
    images: NDArray[np.float32],
    group: StableGroup,
    other: NDArray[np.float32],
    turn: PoseArray,
    parameters: ClusteringParameters,
    most: int,
) -> NDArray[np.float64]:
    """How much more similar members are to the others of their class than to another average.

    Parameters
    ----------
    images : float32 (N, n, n)
    group : StableGroup
    other : float32 (n, n)
    turn : POSE (1,)
        What brings the class's average onto the other.
    parameters : ClusteringParameters
    most : int
        Members that are asked, evenly spread.

    Returns
    -------
    float64 (min(m, most),)
    """
    count = len(group.members)
    some = slice(None, None, -(-count // most))
    space = search_space(parameters)
    rows, poses = group.members[some], group.poses[some]
    averages = standardise_averages(np.stack([group.average, other]), space)
    places = poses, compose(poses, np.repeat(turn, len(poses)))
    own, others = (
        search(images, rows, centres_from_poses(place), one[None], space, SerialWorkers())[:, 0]
        for place, one in zip(places, averages, strict=True)
    )
    return measure_own_part(images, group, parameters, some).take_out(own) - others
