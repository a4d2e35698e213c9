"""Images and classes held against each other on equal terms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.nearest import Nearest, nearest_references, similarity_of_pairs
from isac2.alignment.space import SearchSpace
from isac2.clustering.leave_out import OwnPart
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.sac import search_space
from isac2.clustering.state import StableGroup
from isac2.images.filters import tanh_response
from isac2.images.masks import disc_mask
from isac2.workers import Workers

__all__ = [
    "SAME_VIEW",
    "ClassComparison",
    "Standing",
    "compare_with_classes",
    "contrast_of",
    "noise_of_similarity",
    "reliability_of",
    "standardise_averages",
]

SAME_VIEW = 0.9  # averages as alike as this, but for noise, are rivals for no image
_RIVALS = 8  # most similar classes that an image is weighed against
_LEAST_CONTRAST = 0.01  # of 1 - correlation, so that equal averages can be compared


@dataclass(frozen=True)
class Standing:
    """How clearly m images belong to a class of each.

    Attributes
    ----------
    number : int64 (m,)
        The class that is asked about.
    similarity : float64 (m,)
        To that class's average, less what the image itself adds to it.
    lead, over_chance : float64 (m,)
        By how many standard deviations of the noise the image prefers that class to every class of
        another view, and to chance: to the class with its contrast inverted.
    """

    number: NDArray[np.int64]
    similarity: NDArray[np.float64]
    lead: NDArray[np.float64]
    over_chance: NDArray[np.float64]


@dataclass(frozen=True)
class ClassComparison:
    """Similarity of m images to their own class, and to the others that they are most similar to.

    The columns are the most similar other classes, the most similar first, and then the image's
    own class.

    Attributes
    ----------
    index : int64 (m, k + 1)
        The classes; the last one is -1 for an image that has none.
    similarity : float64 (m, k + 1)
        To their averages, all with unit variance; to the own one without the image itself. Minus
        infinity where there is no such class.
    against : float64 (m, 2)
        To the first and the last of them with its contrast inverted: what chance alone gives.
    likeness : float64 (m, 2, k + 1)
        Similarity of the averages of the first and the last of them to each.
    same_view : bool (m, 2, k + 1)
        Whether these would be alike if they were free of noise; true of a class and itself.
    noise : float
        Standard deviation that noise gives to the similarity of an image and an average.
    """

    index: NDArray[np.int64]
    similarity: NDArray[np.float64]
    against: NDArray[np.float64]
    likeness: NDArray[np.float64]
    same_view: NDArray[np.bool_]
    noise: float

    def first(self, count: int) -> ClassComparison:
        """The first images only."""
        some = slice(count)
        return ClassComparison(
            self.index[some],
            self.similarity[some],
            self.against[some],
            self.likeness[some],
            self.same_view[some],
            self.noise,
        )

    def best(self) -> Standing:
        """In the class that each image is most similar to."""
        own_is_best = self.similarity[:, -1] >= self.similarity[:, 0]
        return self._standing(own_is_best.astype(np.int64))

    def own(self) -> Standing:
        """In each image's own class."""
        return self._standing(np.ones(len(self.index), np.int64))

    def best_is_another_view(self) -> NDArray[np.bool_]:
        """Whether the class that each image is most similar to shows another view than its own."""
        better = self.similarity[:, 0] > self.similarity[:, -1]
        another: NDArray[np.bool_] = better & ~self.same_view[:, 1, 0]
        return another

    def _standing(self, which: NDArray[np.int64]) -> Standing:
        """In the first (0) or the last (1) of the classes, whichever is asked of each image.

        Noise gives the difference of the similarities to two averages of correlation c a standard
        deviation of sqrt(2 (1 - c)) times that of one.
        """
        image, column = np.arange(len(which)), -which
        mine = self.similarity[image, column]
        ahead = mine[:, None] - self.similarity
        lead = ahead / (self.noise * contrast_of(self.likeness[image, which]))
        rivals = np.where(self.same_view[image, which], np.inf, lead)
        over_chance = (mine - self.against[image, which]) / (self.noise * np.sqrt(2))
        return Standing(self.index[image, column], mine, rivals.min(axis=1), over_chance)


def compare_with_classes(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    centres: NDArray[np.float64],
    classes: tuple[StableGroup, ...],
    parameters: ClusteringParameters,
    workers: Workers,
    part: OwnPart | None = None,
) -> ClassComparison:
    """Compare images with the classes that they are most similar to, whatever their number.

    Parameters
    ----------
    images : float32 (N, n, n)
    rows : int64 (m,)
        Which of them; the first ones are the members of the first classes, one class after the
        other, as many as `part` has.
    centres : float64 (m, 2)
        Where their search is centred, px.
    classes, parameters, workers
    part : OwnPart, optional
        What the members add to the averages of their own classes.

    Notes
    -----
    White noise of unit variance correlates with an average of unit variance by 0 +- 1 / sqrt(n), n
    the number of independent pixels in the disc.
    """
    space = search_space(parameters)
    averages = np.stack([group.average for group in classes])
    sizes = np.array([len(group.members) for group in classes])
    reliability = reliability_of(averages, sizes, parameters)
    averages = standardise_averages(averages, space)
    own = _own_classes(sizes, len(rows), 0 if part is None else len(part.count))
    found = nearest_references(images, rows, centres, averages, _RIVALS, space, workers, own)
    index = np.concatenate([found.index, own[:, None]], axis=1)
    likeness, same_view = _likeness(index, averages, reliability, space, workers)
    return ClassComparison(
        index,
        _without_members(found, own, part),
        np.stack([found.against, found.against_own], axis=1).astype(np.float64),
        likeness,
        same_view,
        noise_of_similarity(parameters),
    )


def _own_classes(sizes: NDArray[np.int64], count: int, members: int) -> NDArray[np.int64]:
    """Class of each of `count` images, of which the first `members` are in classes; -1 for none."""
    own = np.full(count, -1)
    own[:members] = np.repeat(np.arange(len(sizes)), sizes)[:members]
    return own


def _without_members(
    found: Nearest, own: NDArray[np.int64], part: OwnPart | None
) -> NDArray[np.float64]:
    """Similarities (m, k + 1), that to the own class without the image itself."""
    similarity = np.concatenate([found.similarity, found.own[:, None]], axis=1).astype(np.float64)
    if part is not None:
        members = len(part.count)
        similarity[:members, -1] = part.take_out(similarity[:members, -1])
    return similarity


def _likeness(
    index: NDArray[np.int64],
    averages: NDArray[np.float32],
    reliability: NDArray[np.float64],
    space: SearchSpace,
    workers: Workers,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Similarity of the first and the last class of each image to all of its classes.

    Returns float64 (m, 2, k + 1), and whether they would be one view without their noise. What is
    asked of no class (-1) is answered of the last one, and looked at by nobody.
    """
    asked = index[:, [0, -1]]
    first, second = np.broadcast_arrays(asked[:, :, None], index[:, None, :])
    first, second = first % len(averages), second % len(averages)
    pairs = first.ravel(), second.ravel()
    likeness = similarity_of_pairs(averages, *pairs, space, workers).reshape(first.shape)
    alike = likeness > SAME_VIEW * np.sqrt(reliability[first] * reliability[second])
    return likeness, alike | (first == second)


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
