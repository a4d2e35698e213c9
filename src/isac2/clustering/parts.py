"""The test of stability for groups of any size, in parts that fit in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.search import align_to_assigned
from isac2.clustering.comparison import SAME_VIEW, reliability_of, standardise_averages
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.sac import (
    GroupToTest,
    class_aligner,
    search_space,
    sharp_average,
    test_group,
)
from isac2.clustering.state import StableGroup
from isac2.poses import PoseArray, compose
from isac2.workers import SerialWorkers

__all__ = ["test_in_parts"]

_LARGEST_PART = 800  # images


def test_in_parts(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    poses: PoseArray,
    parameters: ClusteringParameters,
    seed: tuple[int, ...],
) -> StableGroup | None:
    """Test a group as `isac2.clustering.sac.test_group` does, a large one in random parts.

    Each part is aligned and tested without knowledge of the others, so that their averages have to
    come out alike too: they are brought into the frame of the first.

    Returns
    -------
    StableGroup or None
        The stable images of all parts; None when averages of parts are not alike.
    """
    aligner = class_aligner(parameters)
    count = -(-len(rows) // _LARGEST_PART)
    if count == 1:
        return test_group(aligner, images, GroupToTest(rows, poses, seed), parameters)
    drawn = np.random.default_rng([*seed, count]).permutation(len(rows))
    parts = []
    for number, part in enumerate(np.array_split(drawn, count)):
        some = np.sort(part)
        group = GroupToTest(rows[some], poses[some], (*seed, number))
        parts.append(test_group(aligner, images, group, parameters))
    return _one_group(images, parts, parameters)


# Its name, that of what it does, would make pytest take it for a test where imported.
test_in_parts.__dict__["__test__"] = False


def _one_group(
    images: NDArray[np.float32], parts: list[StableGroup], parameters: ClusteringParameters
) -> StableGroup | None:
    """Parts of a group as one, in the frame of the first; None when they do not look alike."""
    averages = np.stack([part.average for part in parts])
    each, nobody = np.arange(len(parts)), np.zeros(len(parts), np.int64)
    middle = np.zeros((len(parts), 2))
    space = search_space(parameters)
    found = align_to_assigned(
        averages,
        each,
        middle,
        standardise_averages(averages[:1], space),
        nobody,
        space,
        SerialWorkers(),
    )
    sizes = np.array([len(part.members) for part in parts])
    reliability = reliability_of(averages, sizes, parameters)
    if (found.similarity < SAME_VIEW * np.sqrt(reliability * reliability[0])).any():
        return None
    turned = [
        compose(part.poses, np.repeat(found.poses[place : place + 1], len(part.poses)))
        for place, part in enumerate(parts)
    ]
    members = np.concatenate([part.members for part in parts])
    order = np.argsort(members)
    poses = np.concatenate([parts[0].poses, *turned[1:]])[order]
    errors = np.concatenate([part.pixel_errors for part in parts])[order]
    tested = np.array([part.tested for part in parts])
    mirrors = np.array([part.mirror_consistency for part in parts])
    return replace(
        parts[0],
        members=members[order],
        poses=poses,
        pixel_errors=errors,
        average=sharp_average(images, members[order], poses, parameters),
        rms_pixel_error=float(np.sqrt(np.mean(errors**2))),
        mirror_consistency=float((mirrors * tested).sum() / tested.sum()),
        tested=int(tested.sum()),
    )
