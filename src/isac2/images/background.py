"""The noise around particles: how coloured it is, whether it is noise at all, and its whitening.

What surrounds particles of all images tells the noise's power spectrum, if nothing else is there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.sparse
import scipy.special
from numpy.typing import NDArray

from isac2.images.filters import tanh_low_pass
from isac2.images.masks import disc_mask

__all__ = ["Background", "measure_background", "recolour", "whitening_weights"]

_BLOCK = 32  # images whose transforms are in memory together
_CYCLES = 1.5  # in a radius: what is coarser is told noise or neighbours by
_FALLOFF = 0.2
_STRENGTH = 0.5  # of whitening: the rest leaves the low frequencies what holds an image's position
_BAND = 0.45  # 1/working pixel: beyond it images are not compared


@dataclass(frozen=True)
class Background:
    """What lies around the particles of a stack.

    Attributes
    ----------
    spectrum : float64 (n // 2 + 1,)
        Power at the frequencies ``k / n``, relative to that of white noise of equal variance: the
        median over the images, so that the few with something else in them do not count.
    skewness : float
        Of its coarse features, the median over the images: noise has none, and neighbouring
        particles, which are all brighter or all darker than ice, have.
    images : int
        That could be measured.
    """

    spectrum: NDArray[np.float64]
    skewness: float
    images: int

    def colour(self, ratio: float) -> float:
        """How many times its usual power in the band the noise has where it has most.

        `ratio` is how many working pixels an input pixel has.
        """
        return float(self.spectrum.max() / _usual_power(self.spectrum, ratio))


def measure_background(images: NDArray[np.float32], radius: float) -> Background:
    """Measure the noise outside the particles' disc.

    Parameters
    ----------
    images : float32 (b, n, n)
        Those that are constant, or hold no numbers, are left out.
    radius : float
        Of the particle, pixels; the box has to be wider than the disc.

    Returns
    -------
    Background

    Notes
    -----
    The autocorrelation of the pixels outside is divided by that of the mask, which leaves no trace
    of the hole, tapered by a Hann window as wide as the radius, and transformed to the average over
    directions (Blackman and Tukey, Bell Syst. Tech. J. 37:185, 1958).

    Examples
    --------
    >>> noise = np.random.default_rng(1).standard_normal((40, 32, 32), dtype=np.float32)
    >>> found = measure_background(noise, 10)
    >>> found.colour(1.0) < 1.3, bool(abs(found.skewness) < 0.2)
    (True, True)
    """
    box = images.shape[-1]
    outside = ~disc_mask(box, radius)
    reach = min(max(2, round(radius)), box // 2)
    by_distance, waves = _lag_tables(box, outside, reach)
    spectra, skewness = [np.empty((0, box // 2 + 1))], [np.empty(0)]
    for first in range(0, len(images), _BLOCK):
        values = _standardised(images[first : first + _BLOCK], outside) * outside
        if not len(values):
            continue
        products = _autocorrelation(values, reach)
        spectra.append(np.asarray(products @ by_distance) @ waves)
        coarse = tanh_low_pass(values, min(0.5, _CYCLES / radius), _FALLOFF)[:, outside]
        skewness.append(_skewness(coarse))
    found = np.concatenate(spectra)
    if not len(found):
        return Background(np.ones(box // 2 + 1), 0.0, 0)
    middle = float(np.median(np.concatenate(skewness)))
    return Background(np.maximum(np.median(found, axis=0), 0.0), middle, len(found))


def whitening_weights(spectrum: NDArray[np.float64], ratio: float) -> NDArray[np.float64]:
    """Return the factors that take noise half-way down to its usual power where it has more.

    Parameters
    ----------
    spectrum : float64 (n // 2 + 1,)
        Power of the noise at the frequencies ``k / n``.
    ratio : float
        Working pixels in an input pixel: up to 0.45 of the former's frequencies images are
        compared, and the median of the power there is what is usual.

    Returns
    -------
    float64 (n // 2 + 1,)
        The fourth root of ``usual / power``, and 1 where that is more: what is faint, as beyond
        the reach of a detector, is not amplified. The square root would make the noise white.

    Examples
    --------
    >>> whitening_weights(np.array([16.0, 1.0, 1.0, 1.0, 0.1]), 1.0).tolist()
    [0.5, 1.0, 1.0, 1.0, 1.0]
    """
    usual = _usual_power(spectrum, ratio)
    return np.asarray((usual / np.maximum(spectrum, usual)) ** (_STRENGTH / 2))


def recolour(
    images: NDArray[np.float32], weights: NDArray[np.float64], ratio: float
) -> NDArray[np.float32]:
    """Undo whitening: divide the transforms of working images by its factors.

    Parameters
    ----------
    images : float32 (..., m, m)
        Averages, for people to look at.
    weights : float64 (n // 2 + 1,)
        Factors at the input's frequencies ``k / n``, none of them 0.
    ratio : float
        Working pixels in an input pixel.

    Examples
    --------
    >>> flat = np.ones((4, 4), np.float32)
    >>> recolour(flat, np.array([0.5, 1.0, 1.0]), 1.0)[0].tolist()
    [2.0, 2.0, 2.0, 2.0]
    """
    box = images.shape[-1]
    rows, columns = scipy.fft.fftfreq(box), scipy.fft.rfftfreq(box)
    rings = np.hypot(rows[:, None], columns) * ratio * 2 * (len(weights) - 1)
    factor = np.interp(rings, np.arange(len(weights)), weights)
    changed = scipy.fft.irfft2(scipy.fft.rfft2(images) / factor, (box, box))
    return np.asarray(changed, np.float32)


def _standardised(images: NDArray[np.float32], outside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Images that can be used, with zero mean and unit variance outside the particle."""
    known = images[np.isfinite(images).all(axis=(1, 2))]
    known = known[known[:, outside].max(axis=1) > known[:, outside].min(axis=1)]
    around = known[:, outside]
    mean = around.mean(axis=1, dtype=np.float64)
    deviation = around.std(axis=1, dtype=np.float64)
    values = (known - mean[:, None, None]) / deviation[:, None, None]
    return np.asarray(values, np.float32)


def _usual_power(spectrum: NDArray[np.float64], ratio: float) -> float:
    """Median of the power over the band in which images are compared."""
    last = min(len(spectrum) - 1, max(2, round(_BAND * ratio * 2 * (len(spectrum) - 1))))
    return float(np.median(spectrum[1 : last + 1]))


def _autocorrelation(images: NDArray[np.float32], reach: int) -> NDArray[np.float64]:
    """Products of images (b, n, n) with themselves at lags up to `reach`, a row an image."""
    box = images.shape[-1]
    size = scipy.fft.next_fast_len(box + reach, real=True)
    power = np.square(np.abs(scipy.fft.rfft2(images, (size, size))))
    lags = scipy.fft.irfft2(power, (size, size))
    down = np.arange(-reach, reach + 1)
    return np.asarray(lags[:, down, : reach + 1].reshape(len(images), -1), np.float64)


def _lag_tables(
    box: int, outside: NDArray[np.bool_], reach: int
) -> tuple[scipy.sparse.csr_array[np.float64], NDArray[np.float64]]:
    """Matrices from products at all lags to sums by distance, and from these to powers."""
    x, y = np.meshgrid(np.arange(reach + 1), np.arange(-reach, reach + 1))
    squared = (x**2 + y**2).ravel()
    near = np.flatnonzero(squared < reach**2)
    distance = np.sqrt(squared[near])
    pairs = _autocorrelation(outside[None].astype(np.float32), reach)[0, near]
    taper = 0.5 + 0.5 * np.cos(np.pi * distance / reach)
    # of lags with x > 0 the opposite ones are as these
    weight = taper * np.where(x.ravel()[near] == 0, 1.0, 2.0) / np.maximum(pairs, 1.0)
    found, which = np.unique(squared[near], return_inverse=True)
    shape = (len(squared), len(found))
    sums = scipy.sparse.csr_array((weight, (near, which)), shape=shape)
    frequency = np.arange(box // 2 + 1) / box
    return sums, scipy.special.j0(2 * np.pi * np.outer(np.sqrt(found), frequency))


def _skewness(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Third moment of each row in terms of its second."""
    centred = rows - rows.mean(axis=1, keepdims=True, dtype=np.float64)
    spread = np.maximum(centred.std(axis=1), 1e-12)
    return np.asarray((centred**3).mean(axis=1) / spread**3)
