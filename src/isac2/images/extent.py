"""How large the particles in a stack are, from a sample of their images, before any alignment.

Particles lie roughly in the middle of their boxes. So the mean of all images is a blob that ends
where a round particle does; and where views differ, images differ from each other more than noise
does, as far out as the longest view reaches. The radius is the larger of the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from isac2.images.filters import fourier_shift, tanh_low_pass
from isac2.images.masks import pixel_offsets
from isac2.images.transform import apply_poses
from isac2.poses import make_poses

__all__ = ["Extent", "centre_blobs", "filament_width", "particle_extent", "ring_means"]

_CUTOFF, _FALLOFF = 0.15, 0.3  # 1/px, in boxes of about 64 px: blobs, no detail
_FILAMENT_CUTOFF = 0.1  # the blur leaves a margin for the mask that the width is for
_ROUNDS = 4
_REACH = 0.1  # of the box: how far a particle may lie off the middle
_TEMPLATE_EDGE = 0.36  # of the box
_LEVEL, _LEAST_LEVEL, _MOST_LEVEL = 0.1, 0.05, 0.2
"""Where a profile has fallen to this share of its height the particle ends; and its limits."""
_OUTERMOST = 0.47  # of the box: the last ring that is believed


@dataclass(frozen=True)
class Extent:
    """Size of the particles, pixels of the images.

    Attributes
    ----------
    radius, least, most : float
        Estimate and its limits: where the profiles have fallen to a tenth of their height, to a
        fifth and to a twentieth.
    is_dark : bool
        Whether particles are darker than what is around them.
    average : float32 (n, n)
        Mean of the images, low-passed and centred.
    centres : float64 (m, 2)
        Where the particle is in each image, x and y from the middle.
    """

    radius: float
    least: float
    most: float
    is_dark: bool
    average: NDArray[np.float32]
    centres: NDArray[np.float64]


def particle_extent(images: NDArray[np.float32]) -> Extent:
    """Estimate the radius of the particles in a sample of images.

    Parameters
    ----------
    images : float32 (m, n, n)
        Normalised, phases flipped, resampled to a box n of about 64 px; some hundreds.

    Returns
    -------
    Extent

    Raises
    ------
    ValueError
        When there are fewer than two images.
    """
    if len(images) < 2:
        raise ValueError(f"{len(images)} images are not enough to see where particles end")
    low = tanh_low_pass(images, _CUTOFF, _FALLOFF)
    is_dark = _is_dark(ring_means(low.mean(axis=0)))
    if is_dark:
        low = -low
    centres = centre_blobs(low)
    centred = fourier_shift(low, -centres)
    last = int(_OUTERMOST * images.shape[-1])
    mean = ring_means(centred.mean(axis=0))[: last + 1]
    spread = ring_means(centred.var(axis=0))[: last + 1]
    most, radius, least = (
        max(_end_of_mean(mean, level), _end_of_spread(spread, mean, level))
        for level in (_LEAST_LEVEL, _LEVEL, _MOST_LEVEL)
    )
    return Extent(radius, least, most, is_dark, centred.mean(axis=0), centres)


def ring_means(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean of the pixels at each whole distance from the centre ``n // 2``, float64 (n // 2,).

    Examples
    --------
    >>> image = np.zeros((6, 6))
    >>> image[3, 3] = 5.0
    >>> ring_means(image).tolist()
    [5.0, 0.0, 0.0]
    """
    offset = pixel_offsets(image.shape[-1])
    ring = np.rint(np.hypot(offset[:, None], offset[None, :])).astype(np.int64).ravel()
    sums = np.bincount(ring, weights=np.asarray(image, np.float64).ravel())
    means: NDArray[np.float64] = (sums / np.bincount(ring))[: image.shape[-1] // 2]
    return means


def _is_dark(mean: NDArray[np.float64]) -> bool:
    """Whether the profile's largest departure from its outer end is downwards.

    Every ring counts by its size: a bright particle has a darker rim from the missing low
    frequencies, which is fainter but longer.
    """
    outside = np.median(mean[-len(mean) // 4 :])
    inside = mean[: -len(mean) // 4] - outside
    return bool(-inside.min() > inside.max())


def centre_blobs(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Find where each image looks most like the rotational average of all.

    Parameters
    ----------
    images : float32 (m, n, n)
        Low-passed; particles bright.

    Returns
    -------
    float64 (m, 2)
        x and y from the middle, whole pixels, at most a tenth of the box.
    """
    box = images.shape[-1]
    reach, middle = max(1, int(_REACH * box)), box // 2
    offset = pixel_offsets(box)
    distance = np.hypot(offset[:, None], offset[None, :])
    window = slice(middle - reach, middle + reach + 1)
    transforms = scipy.fft.rfft2(images)
    centres = np.zeros((len(images), 2))
    for _ in range(_ROUNDS):
        mean = ring_means(fourier_shift(images, -centres).mean(axis=0))
        template = np.interp(distance, np.arange(len(mean)), mean)
        template = (template - template.mean()) * (distance <= _TEMPLATE_EDGE * box)
        match = scipy.fft.rfft2(scipy.fft.ifftshift(template)).conj()
        likeness = scipy.fft.irfft2(transforms * match, s=(box, box))[:, window, window]
        best = likeness.reshape(len(images), -1).argmax(axis=1)
        centres = np.stack(np.divmod(best, 2 * reach + 1)[::-1], axis=1) - float(reach)
    return centres


def _end_of_mean(mean: NDArray[np.float64], level: float) -> float:
    """Where the mean falls, beyond its crest, to a share of the way down to its trough."""
    crest = int(mean.argmax())
    trough = crest + int(mean[crest:].argmin())
    limit = mean[trough] + level * (mean[crest] - mean[trough])
    return _crossing(mean, crest, trough, limit)


def _end_of_spread(spread: NDArray[np.float64], mean: NDArray[np.float64], level: float) -> float:
    """Where images differ from each other hardly more than noise does; 0 if they never do more.

    Outwards of the mean's edge the spread falls to that of the noise, or rises again where
    neighbours come in.
    """
    edge = round(_end_of_mean(mean, 0.5))
    end = edge
    while end + 1 < len(spread) and spread[end + 1 : end + 3].min() < spread[end]:
        end += 1
    height = float(spread[: edge + 1].max() - spread[end])
    if height <= level * spread[end] or end == edge:
        return 0.0
    return _crossing(spread, edge, end, spread[end] + level * height)


def _crossing(values: NDArray[np.float64], first: int, last: int, limit: float) -> float:
    """Where, between two places, values fall to a limit: interpolated linearly."""
    below = np.flatnonzero(values[first : last + 1] <= limit)
    if not len(below):
        return float(last)
    at = first + int(below[0])
    if at == first:
        return float(first)
    before, after = values[at - 1], values[at]
    return at - 1 + float((before - limit) / (before - after))


def filament_width(images: NDArray[np.float32], axis_angles: ArrayLike) -> float:
    """Estimate the width that holds filaments in a sample of their segments, pixels of the images.

    Parameters
    ----------
    images : float32 (m, n, n)
        Normalised, phases flipped, resampled to a box n of about 64 px; filaments bright.
    axis_angles : (m,)
        Directions of the axes, degrees, as in `isac2.images.masks.rectangle_mask`.
    """
    low = tanh_low_pass(images, _FILAMENT_CUTOFF, _FALLOFF)
    # The pose turns by -alpha in these coordinates (y down): what lies along the angle is brought
    # onto the rows.
    angles = np.asarray(axis_angles, dtype=np.float64)
    turned = apply_poses(low, make_poses(angles, 0.0, 0.0, 0))
    box = images.shape[-1]
    inside = slice(box // 4, box - box // 4)  # what turned in from the corners is left out
    across = turned[:, :, inside].mean(axis=2)  # (m, n)
    reach = max(1, int(_REACH * box))
    profile = across.mean(axis=0)
    for _ in range(_ROUNDS):
        template = profile - profile.mean()
        moves = np.arange(-reach, reach + 1)
        likeness = np.stack([np.roll(across, -move, axis=1) @ template for move in moves])
        best = moves[likeness.argmax(axis=0)]
        columns = (np.arange(box)[None, :] + best[:, None]) % box
        profile = np.take_along_axis(across, columns, axis=1).mean(axis=0)
        profile = (profile + np.roll(profile[::-1], 1 - box % 2)) / 2  # no up or down
    half = profile[box // 2 :][: int(_OUTERMOST * box)]
    return 2.0 * _end_of_mean(half.astype(np.float64), _LEVEL)
