"""Images of four shapes that nobody would confuse, and of nothing, in known poses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.sac import sharp_average
from isac2.clustering.state import StableGroup
from isac2.images.transform import apply_poses
from isac2.poses import PoseArray, identity_poses, invert, make_poses

BOX, RADIUS, COPIES = 32, 12, 25

_BLOBS = (
    # x, y and weight of each shape's blobs, px from the centre; no shape equals its mirror image
    ((-7, 0, 1.0), (0, 0, 1.0), (7, 0, 1.0), (6, 7, 1.0)),
    ((0, -8, 1.0), (0, 8, 1.0), (8, -1, 1.0), (-4, 3, -1.0)),
    ((-4, -5, 1.6), (5, -6, 0.8), (1, 7, 1.0), (0, 0, -0.8)),
    ((3, 3, 1.8), (-6, 6, -0.8), (-6, -4, 0.9), (8, -4, -0.8)),
)


def draw_blobs(blobs: tuple[tuple[float, float, float], ...]) -> NDArray[np.float32]:
    """A sum of Gaussian blobs of sigma 1.8 px, zero mean and unit variance in the disc."""
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    image = sum(w * np.exp(-((x - bx) ** 2 + (y - by) ** 2) / 6.5) for bx, by, w in blobs)
    inside = np.hypot(x, y) <= RADIUS
    image = (image - image[inside].mean()) / image[inside].std() * inside
    drawn: NDArray[np.float32] = image.astype(np.float32)
    return drawn


@dataclass(frozen=True)
class KnownImages:
    """Images with a truth.

    Attributes
    ----------
    images : float32 (n, BOX, BOX)
        25 of each shape, mixed, then images of nothing but noise.
    label : int64 (n,)
        The shape an image shows, -1 for none.
    poses : POSE (n,)
        What brings each image back onto its shape.
    shapes : float32 (4, BOX, BOX)
        Without noise.
    """

    images: NDArray[np.float32]
    label: NDArray[np.int64]
    poses: PoseArray
    shapes: NDArray[np.float32]

    def rows_of(self, label: int) -> NDArray[np.int64]:
        """Images of one shape."""
        return np.flatnonzero(self.label == label)

    def group(self, rows: NDArray[np.int64], parameters: ClusteringParameters) -> StableGroup:
        """A group of some images in their true poses."""
        rows = np.sort(rows)
        return StableGroup(
            members=rows,
            poses=self.poses[rows],
            pixel_errors=np.full(len(rows), 0.25),
            average=sharp_average(self.images, rows, self.poses[rows], parameters),
            rms_pixel_error=0.25,
            mirror_consistency=1.0,
            tested=len(rows),
            main_iteration=1,
            generation=1,
        )


@pytest.fixture(scope="session")
def known() -> KnownImages:
    """100 images of four shapes at a signal-to-noise ratio of 1, and 50 of noise."""
    random = np.random.default_rng(20)
    shapes = np.stack([draw_blobs(blobs) for blobs in _BLOBS])
    label = random.permutation(np.repeat(np.arange(len(shapes)), COPIES))
    count = len(label)
    moves = make_poses(
        random.uniform(0, 360, count),
        random.uniform(-0.8, 0.8, count),
        random.uniform(-0.8, 0.8, count),
        random.integers(0, 2, count),
    )
    images = random.standard_normal((count + 50, BOX, BOX)).astype(np.float32)
    images[:count] += apply_poses(shapes[label], moves)
    return KnownImages(
        images=images,
        label=np.concatenate([label, np.full(50, -1)]),
        poses=np.concatenate([invert(moves), identity_poses(50)]),
        shapes=shapes,
    )


@pytest.fixture(scope="session")
def parameters() -> ClusteringParameters:
    """Parameters that suit `known`, and as little work as still finds the shapes."""
    return ClusteringParameters(
        radius=RADIUS,
        images_per_group=25,
        minimum_group_size=12,
        pixel_error_threshold=0.9,
        alignment_rounds=14,
        lowest_frequency=0.2,
        highest_frequency=0.3,
        maximum_rounds=3,
        stability_alignments=3,
    )


@pytest.fixture(scope="session")
def exact() -> Callable[[Any], Any]:
    """Makes of values something that is equal exactly when they are the same to the last bit."""
    return _exact


def _exact(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.descr, value.shape, value.tobytes()
    if isinstance(value, tuple):
        return tuple(_exact(item) for item in value)
    if is_dataclass(value):
        return tuple((entry.name, _exact(getattr(value, entry.name))) for entry in fields(value))
    return value
