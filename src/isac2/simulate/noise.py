"""Noise of unit variance, each image's its own whatever is made with it."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

__all__ = ["coloured_amplitudes", "image_generators", "noise_images"]

_NOISE_STREAM = 2


def image_generators(seed: int, images: range, stream: int) -> list[np.random.Generator]:
    """Return a random generator an image, from the seed, the image's number and a stream's."""
    return [np.random.default_rng([seed, stream, number]) for number in images]


def coloured_amplitudes(box: int) -> NDArray[np.float32]:
    """Return the amplitudes (box, box // 2 + 1) that colour white noise, with unit variance.

    The power is a constant and twice as much again that falls as ``1 / (1 + (f / 0.06)^2)``: that
    of ice and detector as one sees it in micrographs, most of it below 0.1/pixel.
    """
    squared = scipy.fft.fftfreq(box)[:, None] ** 2 + scipy.fft.rfftfreq(box) ** 2
    power = 1.0 + 8.0 / (1.0 + squared / 0.06**2)
    columns = np.full(box // 2 + 1, 2.0)
    columns[[0, -1]] = 1.0  # the half transform holds these once
    return np.asarray(np.sqrt(power * box**2 / (power * columns).sum()), np.float32)


def noise_images(
    seed: int, images: range, box: int, amplitudes: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Make noise of mean 0 and variance 1.

    Parameters
    ----------
    seed : int
    images : range
        Numbers of the images in the stack.
    box : int
        Even.
    amplitudes : float32 (box, box // 2 + 1), optional
        What to multiply the transforms with; white noise without it.

    Returns
    -------
    float32 (n, box, box)
    """
    noise = np.empty((len(images), box, box), np.float32)
    for image, rng in zip(noise, image_generators(seed, images, _NOISE_STREAM), strict=True):
        rng.standard_normal(dtype=np.float32, out=image)
    if amplitudes is None:
        return noise
    spectrum = scipy.fft.rfft2(noise) * amplitudes
    return np.asarray(scipy.fft.irfft2(spectrum, (box, box)), np.float32)
