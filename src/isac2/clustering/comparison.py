"""Images and classes held against each other on equal terms."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.search import search
from isac2.alignment.space import SearchSpace, centres_from_poses
from isac2.clustering.leave_out import OwnPart
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.sac import search_space
from isac2.images.filters import tanh_response
from isac2.images.masks import disc_mask
from isac2.poses import PoseArray
from isac2.workers import Workers

__all__ = [
    "SAME_VIEW",
    "ClassComparison",
    "compare_with_classes",
    "contrast_of",
    "noise_of_similarity",
    "reliability_of",
    "standardise_averages",
]

SAME_VIEW = 0.9  # averages as alike as this, but for noise, are rivals for no image
_LEAST_CONTRAST = 0.01  # of 1 - correlation, so that equal averages can be compared


@dataclass(frozen=True)
class ClassComparison:
    """Similarity of images and classes on equal terms.

    Attributes
    ----------
    similarity : floating (m, K)
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

    similarity: NDArray[np.floating]
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

    def lead_over_rivals(self, own: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the least lead of each image's class over one of another view, float64 (m,)."""
        lead: NDArray[np.float64] = np.where(self.same_view[own], np.inf, self.lead(own)).min(
            axis=1
        )
        return lead

    def lead_over_chance(self, own: NDArray[np.int64]) -> NDArray[np.float64]:
        """By how many standard deviations each image prefers its class to the inverted class."""
        image = np.arange(len(own))
        ahead = self.similarity[image, own] - self.against[image, own]
        lead: NDArray[np.float64] = ahead / (self.noise * np.sqrt(2))
        return lead

    def without_members(self, own: NDArray[np.int64], part: OwnPart | None) -> ClassComparison:
        """Return what is found when the first images are taken out of the averages of their own."""
        if part is None:
            return self
        similarity = self.similarity.astype(np.float64)
        members = np.arange(len(part.count))
        similarity[members, own] = part.take_out(similarity[members, own])
        return replace(self, similarity=similarity)


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
