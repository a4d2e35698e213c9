"""SAC: one generation's stable alignment and clustering, round by round.

A round is equal-size K-means with alignment, from low to high resolution, and then the test of
each group's stability by independent reference-free alignments. What is stable makes the references
of the next round, until the groups stop changing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.centre_together import align_averages_together
from isac2.alignment.reference_free import Group, ReferenceFreeAligner, ReferenceFreeSchedule
from isac2.alignment.search import angular_coefficients, search_assign_align
from isac2.alignment.space import SearchSpace, centres_from_poses
from isac2.clustering.assign import assign_equal_sizes
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.stability import test_stability
from isac2.clustering.state import StableGroup
from isac2.clustering.symmetry import bring_together, symmetry_operations
from isac2.images.filters import end_of_pass_band, tanh_low_pass
from isac2.images.transform import average_in_poses
from isac2.poses import PoseArray, compose, make_poses
from isac2.workers import Workers

__all__ = [
    "GroupToTest",
    "SacRound",
    "agreement",
    "align_independently",
    "class_aligner",
    "group_aligner",
    "has_converged",
    "in_batches",
    "random_references",
    "sac_round",
    "search_space",
    "sharp_average",
    "test_group",
    "test_groups",
    "weight_in_proof",
]

_STEP = 0.05  # 1/px, from a cut-off of K-means to the next
_KEPT_FOR_REFERENCE = 5
_ENOUGH_AGREEMENT = 0.5
_STILL_GROWING = 0.05
_NEARLY_ALL = 0.95  # of the images, when stable, are all that can be hoped for
_OWN_WEIGHT = 0.3
"""Of an image in the average that it is aligned to when its group is tested: with 1 faint images
stay wherever they happen to begin, with 0 what belongs nowhere is posed alike every time."""
_PROOFS = ((6.7, 1.0), (8.9, 0.6), (np.inf, _OWN_WEIGHT))
"""Up to how many standard deviations of the noise by which the median member prefers its class to
chance, and an image's weight when the class is proven."""
_SYMMETRY_FREQUENCY = 0.3  # 1/px: the detail that decides whether an average is symmetric

Notify = Callable[[str], None]
Result = TypeVar("Result")


@dataclass(frozen=True)
class SacRound:
    """Outcome of a round: the groups, and the pose of every image of the pool."""

    groups: tuple[StableGroup, ...]
    poses: PoseArray


def search_space(parameters: ClusteringParameters) -> SearchSpace:
    """Rings and translations that the parameters ask for."""
    return SearchSpace(
        radius=parameters.radius,
        inner_radius=parameters.inner_radius,
        ring_step=parameters.ring_step,
        x_range=parameters.x_range,
        y_range=parameters.y_range,
        translation_step=parameters.translation_step,
        device=parameters.device,
    )


def sac_round(
    images: NDArray[np.float32],
    pool: NDArray[np.int64],
    poses: PoseArray,
    references: NDArray[np.float32],
    parameters: ClusteringParameters,
    seed: tuple[int, ...],
    workers: Workers,
    notify: Notify,
) -> SacRound:
    """Cluster the pool around the references, and keep of each group what is stable.

    K-means is run as often as the parameters ask for between two tests (``--iter_reali``).

    Parameters
    ----------
    images : float32 (N, n, n)
    pool : int64 (m,)
        Images to cluster.
    poses : POSE (m,)
        Their present poses.
    references : float32 (K, n, n)
    parameters : ClusteringParameters
    seed : tuple of int
        Names this round among all rounds of all runs: all its randomness comes from it.
    workers : Workers
    notify : callable
        Told, in words, what begins.
    """
    assigned = np.zeros(len(pool), np.int64)
    for frequency in low_pass_ladder(parameters) * parameters.stability_interval:
        notify(f"clustering at {frequency:.2f}/px")
        assigned, poses, references = equal_size_k_means_pass(
            images, pool, poses, references, frequency, parameters, seed, workers
        )
    notify("testing stability")
    return stable_groups(images, pool, poses, assigned, len(references), parameters, seed, workers)


def low_pass_ladder(parameters: ClusteringParameters) -> list[float]:
    """Cut-offs FL, FL + 0.05, ..., FH of the passes of one K-means, both ends included.

    Examples
    --------
    >>> low_pass_ladder(ClusteringParameters(lowest_frequency=0.2, highest_frequency=0.3))
    [0.2, 0.25, 0.3]
    """
    lowest, highest = parameters.lowest_frequency, parameters.highest_frequency
    # where FH is no whole number of steps above FL, the last step is a shorter one
    steps = int(np.ceil((highest - lowest) / _STEP - 1e-6))
    return [*(round(lowest + _STEP * step, 6) for step in range(steps)), highest]


def random_references(
    images: NDArray[np.float32],
    pool: NDArray[np.int64],
    count: int,
    generator: np.random.Generator,
) -> NDArray[np.float32]:
    """`count` distinct random images of the pool, float32 (count, n, n)."""
    chosen = generator.choice(len(pool), size=count, replace=False)
    return np.asarray(images[pool[chosen]], dtype=np.float32)


def equal_size_k_means_pass(
    images: NDArray[np.float32],
    pool: NDArray[np.int64],
    poses: PoseArray,
    references: NDArray[np.float32],
    frequency: float,
    parameters: ClusteringParameters,
    seed: tuple[int, ...],
    workers: Workers,
) -> tuple[NDArray[np.int64], PoseArray, NDArray[np.float32]]:
    """One pass of equal-size K-means: similarity, assignment, centred averages.

    Returns
    -------
    assigned : int64 (m,)
        Group of each image of the pool.
    poses : POSE (m,)
    averages : float32 (K, n, n)
    """
    space = search_space(parameters)
    limit = end_of_pass_band(frequency, parameters.falloff)
    references = tanh_low_pass(references, frequency, parameters.falloff)
    centres = centres_from_poses(poses)
    assigned, aligned = search_assign_align(
        images, pool, centres, references,
        lambda similarity: assign_equal_sizes(
            similarity, len(pool) // len(references), parameters.assignment
        ),
        space, workers, limit,
    )  # fmt: skip
    poses = aligned.poses
    groups = [np.flatnonzero(assigned == k) for k in range(len(references))]
    averages = average_groups(images, pool, poses, groups, workers)
    averages = tanh_low_pass(averages, frequency, parameters.falloff)
    averages, moves = centre_averages(averages, poses, groups, parameters, seed)
    shifts = make_poses(0.0, moves[assigned, 0], moves[assigned, 1], 0)
    return assigned, compose(poses, shifts), averages


def average_groups(
    images: NDArray[np.float32],
    pool: NDArray[np.int64],
    poses: PoseArray,
    groups: list[NDArray[np.int64]],
    workers: Workers,
) -> NDArray[np.float32]:
    """Average of each group's images (positions in the pool) in their poses, float32 (K, n, n)."""

    def average(members: NDArray[np.int64]) -> NDArray[np.float32]:
        return average_in_poses(images[pool[members]], poses[members])

    return np.stack(workers.map(average, groups))


def centre_averages(
    averages: NDArray[np.float32],
    poses: PoseArray,
    groups: list[NDArray[np.int64]],
    parameters: ClusteringParameters,
    seed: tuple[int, ...],
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Move the mean shift out of every average, then centre all averages on each other.

    Returns the averages, moved, and the moves made, float64 (K, 2) px.
    """
    drift = np.stack([_mean_shift(poses[members]) for members in groups])
    return align_averages_together(averages, -drift, search_space(parameters), seed)


def _mean_shift(poses: PoseArray) -> NDArray[np.float64]:
    """Mean shift of poses in the frame of their average, float64 (2,)."""
    x = np.where(poses["mirror"] == 1, -poses["tx"], poses["tx"])
    return np.array([x.mean(), poses["ty"].mean()])


def stable_groups(
    images: NDArray[np.float32],
    pool: NDArray[np.int64],
    poses: PoseArray,
    assigned: NDArray[np.int64],
    count: int,
    parameters: ClusteringParameters,
    seed: tuple[int, ...],
    workers: Workers,
) -> SacRound:
    """Test every group's stability; the stable images take the poses that they keep coming to."""
    to_test = []
    for number in range(count):
        members = assigned == number
        to_test.append(GroupToTest(pool[members], poses[members], (*seed, number)))
    groups = test_groups(group_aligner(parameters), images, to_test, parameters, workers)
    new_poses = poses.copy()
    for group in groups:
        new_poses[np.searchsorted(pool, group.members)] = group.poses
    return SacRound(groups, new_poses)


def group_aligner(parameters: ClusteringParameters) -> ReferenceFreeAligner:
    """What aligns groups reference-free while classes are looked for, as the parameters ask."""
    return ReferenceFreeAligner(search_space(parameters), _schedule(parameters), _OWN_WEIGHT)


def class_aligner(
    parameters: ClusteringParameters, own_weight: float = 1.0
) -> ReferenceFreeAligner:
    """What aligns classes that are proven (see `weight_in_proof`) or judged: images have weight."""
    return ReferenceFreeAligner(search_space(parameters), _schedule(parameters), own_weight)


def weight_in_proof(lead: float) -> float:
    """Weight of an image in the average that it is aligned to when its class is proven.

    `lead` is by how many standard deviations the class's median member prefers it to chance. Its
    own weight holds an image back that belongs nowhere, and also one that looks nearly alike in
    several poses: the more clearly a class is shown, the less its members have to be held back.

    Examples
    --------
    >>> [weight_in_proof(lead) for lead in (4.0, 6.0, 7.0, 20.0)]
    [1.0, 1.0, 0.6, 0.3]
    """
    return next(weight for most, weight in _PROOFS if not lead > most)


def _schedule(parameters: ClusteringParameters) -> ReferenceFreeSchedule:
    """Rounds of the alignments that test a group."""
    return ReferenceFreeSchedule(
        rounds=parameters.alignment_rounds,
        last_cutoff=min(parameters.highest_frequency, parameters.stability_frequency),
        falloff=parameters.falloff,
        discrete_angle=parameters.discrete_angle,
    )


@dataclass(frozen=True)
class GroupToTest:
    """Images that are to be aligned independently several times.

    Attributes
    ----------
    rows : int64 (m,)
        The group's images, ascending.
    poses : POSE (m,)
        Their present poses; the shifts are kept, the angles and mirrors drawn anew.
    seed : tuple of int
        Names this test among all tests of all runs.
    """

    rows: NDArray[np.int64]
    poses: PoseArray
    seed: tuple[int, ...]


def test_groups(
    aligner: ReferenceFreeAligner,
    images: NDArray[np.float32],
    groups: Sequence[GroupToTest],
    parameters: ClusteringParameters,
    workers: Workers,
) -> tuple[StableGroup, ...]:
    """Test several groups as `test_group` does each."""

    def test(some: Sequence[GroupToTest]) -> list[StableGroup]:
        aligned = align_independently(aligner, images, some, parameters)
        return [
            _stable_group(images, group.rows, runs, parameters)
            for group, runs in zip(some, aligned, strict=True)
        ]

    return tuple(in_batches(test, aligner, groups, workers))


def in_batches(
    test: Callable[[Sequence[GroupToTest]], list[Result]],
    aligner: ReferenceFreeAligner,
    groups: Sequence[GroupToTest],
    workers: Workers,
) -> list[Result]:
    """Test groups in the batches that the aligner asks for; what comes of each, in their order."""
    batches = aligner.batches([len(group.rows) for group in groups])
    found = workers.map(lambda some: test(groups[some]), batches)
    return [result for batch in found for result in batch]


def test_group(
    aligner: ReferenceFreeAligner,
    images: NDArray[np.float32],
    group: GroupToTest,
    parameters: ClusteringParameters,
) -> StableGroup:
    """Align a group independently several times; keep the images that come out the same.

    Parameters
    ----------
    aligner : ReferenceFreeAligner
        From `group_aligner` or `class_aligner`.
    images : float32 (N, n, n)
    group : GroupToTest
    parameters
        As in `sac_round`.
    """
    aligned = align_independently(aligner, images, [group], parameters)[0]
    return _stable_group(images, group.rows, aligned, parameters)


# Their names, the method's own words, would make pytest take them for tests where imported.
test_group.__dict__["__test__"] = False
test_groups.__dict__["__test__"] = False


def _stable_group(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    aligned: PoseArray,
    parameters: ClusteringParameters,
) -> StableGroup:
    """The images of a group (rows) that its alignments, POSE (L, m), pose alike."""
    outcome = test_stability(aligned, parameters.radius, parameters.pixel_error_threshold)
    kept = outcome.keep_at_least(_KEPT_FOR_REFERENCE)
    members = rows[kept.stable]
    return StableGroup(
        members=members,
        poses=kept.poses,
        pixel_errors=kept.pixel_errors,
        average=sharp_average(images, members, kept.poses, parameters),
        rms_pixel_error=kept.rms_pixel_error,
        mirror_consistency=outcome.mirror_consistency,
        tested=len(rows),
    )


def align_independently(
    aligner: ReferenceFreeAligner,
    images: NDArray[np.float32],
    groups: Sequence[GroupToTest],
    parameters: ClusteringParameters,
) -> list[PoseArray]:
    """Poses of groups from several alignments of each, at once, a POSE (L, m) a group.

    Where an average has a symmetry of its own, its images are brought to one of the places that
    are the same.
    """
    runs = range(parameters.stability_alignments)
    aligned = aligner.align_groups(
        images,
        [
            Group(
                group.rows,
                centres_from_poses(group.poses),
                [np.random.default_rng([*group.seed, run]) for run in runs],
            )
            for group in groups
        ],
    )
    for number, group in enumerate(groups):
        symmetry = average_symmetry(images, group.rows, aligned[number][-1], parameters)
        if len(symmetry) > 1:
            aligned[number] = bring_together(aligned[number], symmetry)
    return aligned


def average_symmetry(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    poses: PoseArray,
    parameters: ClusteringParameters,
) -> PoseArray:
    """Operations that leave the average of images (rows) in their poses as it is, POSE (s,)."""
    halves = average_in_poses(images[rows], poses, np.arange(len(rows)) % 2, 2)
    halves = tanh_low_pass(halves, _SYMMETRY_FREQUENCY, parameters.falloff)
    coefficients, orders = angular_coefficients(halves, search_space(parameters))
    return symmetry_operations(coefficients[:, 0], coefficients[:, 1], orders)


def sharp_average(
    images: NDArray[np.float32],
    members: NDArray[np.int64],
    poses: PoseArray,
    parameters: ClusteringParameters,
) -> NDArray[np.float32]:
    """Average of images in their poses, low-passed at the highest frequency, float32 (n, n)."""
    average = average_in_poses(images[members], poses)
    return tanh_low_pass(average, parameters.highest_frequency, parameters.falloff)


def agreement(before: tuple[StableGroup, ...], after: tuple[StableGroup, ...]) -> float:
    """Share of stable images that two tests have in common, |common| / |union| over the groups."""
    common = sum(
        len(np.intersect1d(a.members, b.members)) for a, b in zip(before, after, strict=True)
    )
    total = sum(len(a.members) + len(b.members) for a, b in zip(before, after, strict=True))
    return common / (total - common) if total else 0.0


def has_converged(
    agreements: tuple[float, ...], stable_share: float, parameters: ClusteringParameters
) -> bool:
    """Whether the groups have stopped changing, cannot gain more, or were tested often enough.

    Parameters
    ----------
    agreements : tuple of float
        Agreement of each test with the one before; the first test, which has none, counts 0.
    stable_share : float
        Share of all images that the last test found stable.
    parameters : ClusteringParameters
    """
    if len(agreements) >= parameters.maximum_rounds:
        return True
    if len(agreements) < 2:
        return False
    if stable_share >= _NEARLY_ALL:
        return True
    growth = agreements[-1] - agreements[-2]
    return agreements[-1] > _ENOUGH_AGREEMENT and 0.0 < growth < _STILL_GROWING
