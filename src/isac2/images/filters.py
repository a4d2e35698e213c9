"""Filters that act on an image's Fourier transform: low-pass and sub-pixel shift."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "end_of_pass_band",
    "fourier_shift",
    "frequency_grid",
    "tanh_low_pass",
    "tanh_response",
]


def frequency_grid(box: int) -> NDArray[np.float64]:
    """Return the absolute frequency (1/pixel) of each coefficient of a real image's transform.

    Parameters
    ----------
    box : int
        Side of the square image, pixels.

    Returns
    -------
    float64 (box, box // 2 + 1)
        In the layout of `scipy.fft.rfft2`.

    Examples
    --------
    >>> frequency_grid(4)[0].tolist()
    [0.0, 0.25, 0.5]
    """
    return np.hypot(scipy.fft.fftfreq(box)[:, None], scipy.fft.rfftfreq(box)[None, :])


def tanh_response(
    frequency: ArrayLike, cutoff: ArrayLike, falloff: ArrayLike
) -> NDArray[np.float64]:
    """Return the hyperbolic tangent low-pass filter's response.

    ``H(f) = 0.5 (tanh(k (f + f0)) - tanh(k (f - f0)))``, ``k = pi / (2 a f0)``.

    Parameters
    ----------
    frequency : float (...)
        Absolute frequency, 1/pixel. All three are broadcast against each other.
    cutoff : float (...)
        f0, 1/pixel: where the response has fallen to a half.
    falloff : float (...)
        a, as a fraction of the cut-off; the smaller, the steeper.

    Returns
    -------
    float64 (...)
        Between 0 and 1.

    Raises
    ------
    ValueError
        When the cut-off or the fall-off is not positive.

    Examples
    --------
    >>> tanh_response([0.0, 0.2, 0.5], cutoff=0.2, falloff=0.2).round(3).tolist()
    [1.0, 0.5, 0.0]
    """
    cutoff, falloff = np.asarray(cutoff, np.float64), np.asarray(falloff, np.float64)
    if cutoff.min() <= 0 or falloff.min() <= 0:
        raise ValueError(f"cut-off {cutoff} and fall-off {falloff} must be positive")
    steepness = np.pi / (2.0 * falloff * cutoff)
    distance = np.asarray(frequency, dtype=np.float64)
    return np.asarray(
        0.5 * (np.tanh(steepness * (distance + cutoff)) - np.tanh(steepness * (distance - cutoff)))
    )


def end_of_pass_band(cutoff: float, falloff: float) -> float:
    """Frequency (1/px), Nyquist's at most, beyond which `tanh_response` lets 2 % through or less.

    Examples
    --------
    >>> end_of_pass_band(0.2, 0.2)
    0.25
    >>> bool(tanh_response(np.array([0.25]), 0.2, 0.2)[0] < 0.02)
    True
    """
    return min(0.5, cutoff * (1.0 + 1.25 * falloff))


def tanh_low_pass(
    images: NDArray[np.float32], cutoff: float, falloff: float
) -> NDArray[np.float32]:
    """Low-pass images with `tanh_response`.

    Parameters
    ----------
    images : float32 (..., n, n)
    cutoff, falloff : float
        See `tanh_response`.

    Returns
    -------
    float32 (..., n, n)
    """
    box = images.shape[-1]
    response = tanh_response(frequency_grid(box), cutoff, falloff).astype(np.float32)
    return _filter(images, response)


def fourier_shift(images: NDArray[np.float32], shifts: ArrayLike) -> NDArray[np.float32]:
    """Shift images by any fraction of a pixel; what leaves on one side comes back on the other.

    Parameters
    ----------
    images : float32 (..., n, n)
    shifts : (..., 2)
        (x, y), pixels: the content moves by +x along the rows and +y down them. Broadcasts against
        the images' leading axes.

    Returns
    -------
    float32 (..., n, n)

    Examples
    --------
    >>> delta = np.zeros((4, 4), np.float32)
    >>> delta[2, 1] = 1.0
    >>> fourier_shift(delta, (1.0, 0.0)).round(5).argmax()
    np.int64(10)
    """
    box = images.shape[-1]
    offsets = np.asarray(shifts, dtype=np.float64)
    columns = np.exp(-2j * np.pi * offsets[..., :1] * scipy.fft.rfftfreq(box))  # (..., box//2+1)
    rows = np.exp(-2j * np.pi * offsets[..., 1:] * scipy.fft.fftfreq(box))  # (..., box)
    phases = rows[..., :, None] * columns[..., None, :]
    return _filter(images, phases.astype(np.complex64))


def _filter(
    images: NDArray[np.float32], response: NDArray[np.float32] | NDArray[np.complex64]
) -> NDArray[np.float32]:
    """Multiply the images' transforms by a response (..., n, n // 2 + 1)."""
    spectrum = scipy.fft.rfft2(np.asarray(images, dtype=np.float32)) * response
    return np.asarray(
        scipy.fft.irfft2(spectrum, images.shape[-2:], overwrite_x=True), dtype=np.float32
    )
