"""Resolution of a class average and similarity of its members."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.classes.quality import measure_quality
from isac2.images.filters import tanh_low_pass
from isac2.images.transform import apply_poses
from isac2.poses import identity_poses, invert, make_poses


@pytest.fixture
def particle() -> NDArray[np.float32]:
    """Something with detail up to about 0.2/px inside a disc of radius 20."""
    random = np.random.default_rng(3)
    noise = random.standard_normal((1, 64, 64)).astype(np.float32)
    return np.asarray(tanh_low_pass(noise, 0.2, 0.05)[0], dtype=np.float32)


def test_resolution_is_where_the_signal_ends(particle: NDArray[np.float32]) -> None:
    random = np.random.default_rng(4)
    noise = 3 * particle.std() * random.standard_normal((60, 64, 64)).astype(np.float32)
    quality = measure_quality(particle + noise, identity_poses(60), particle, 20)
    # the mask blurs by a ring or two
    assert quality.resolution_frequency == pytest.approx(0.21, abs=0.03)


def test_more_noise_is_worse_resolution(particle: NDArray[np.float32]) -> None:
    random = np.random.default_rng(4)
    noise = random.standard_normal((20, 64, 64)).astype(np.float32)
    found = [
        measure_quality(particle + scale * noise, identity_poses(20), particle, 20)
        for scale in (0.1, 1.0, 10.0)
    ]
    frequencies = [quality.resolution_frequency for quality in found]
    assert frequencies == sorted(frequencies, reverse=True)
    assert frequencies[0] > frequencies[-1]


def test_members_are_compared_in_their_poses(particle: NDArray[np.float32]) -> None:
    poses = make_poses([0, 90, 200], [0, 2, -1], [0, 1, 3], [0, 1, 0])
    images = apply_poses(np.stack([particle] * 3), invert(poses))
    similarity = measure_quality(images, poses, particle, 20).similarity
    assert similarity.min() > 0.97
    unmoved = measure_quality(images, identity_poses(3), particle, 20).similarity
    assert unmoved[0] > 0.99
    assert unmoved[1:].max() < 0.5


def test_small_and_empty_members_have_numbers() -> None:
    blank = np.zeros((1, 16, 16), np.float32)
    quality = measure_quality(blank, identity_poses(1), blank[0], 5)
    assert (quality.resolution_frequency, quality.similarity.tolist()) == (0.0, [0.0])
    assert quality.ring_correlation.tolist() == [0.0] * 9
