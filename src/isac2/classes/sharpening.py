"""Adjusting the power spectrum of class averages, and the low-pass that goes with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.images.filters import frequency_grid
from isac2.images.spectra import rotational_power_spectrum

__all__ = ["Adjustment", "adjust_power", "estimate_b_factor", "protein_power"]

KINDS = ("analytical_model", "bfactor", "no_adjustment")
_FEWEST_RINGS = 3
_SMALLEST_SHARE = 1e-3


@dataclass(frozen=True)
class Adjustment:
    """What the power spectrum is to become.

    Attributes
    ----------
    kind : str
        ``analytical_model``, ``bfactor``, ``table`` or ``no_adjustment``.
    b_factor_in_square_angstroms : float or None
        For ``bfactor``: this one; None is estimated from each average.
    b_start_in_angstroms : float
        The estimate uses what is finer than this.
    table : float64 (r,) or None
        For ``table``: power at equal spacing from frequency 0 to Nyquist.
    """

    kind: str = "analytical_model"
    b_factor_in_square_angstroms: float | None = None
    b_start_in_angstroms: float = 45.0
    table: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.kind not in (*KINDS, "table") or (self.kind == "table") != (self.table is not None):
            raise InputError(f"no such adjustment: '{self.kind}' is none of {', '.join(KINDS)}.")


def protein_power(frequency_per_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotational power spectrum typical of proteins, unscaled.

    The sum of a term of the shape, which falls steeply, and one of the secondary structure, a hump
    at 1/10 A (Penczek, Methods Enzymol. 482:73, 2010; the six numbers are those in use in SPHIRE,
    for true frequencies).

    Examples
    --------
    >>> protein_power(np.array([0.0, 0.1])).round(3).tolist()
    [36315.505, 0.84]
    """
    shape = np.exp(-4.5 + 15.0 / (1.0 + frequency_per_angstrom / 0.1) ** 2)
    structure = np.exp(-1.0 - 0.5 * ((frequency_per_angstrom - 0.1) / 0.03125) ** 2)
    return np.asarray(shape + structure, dtype=np.float64)


def estimate_b_factor(
    power: NDArray[np.float64],
    share: NDArray[np.float64],
    pixel_size_in_angstroms: float,
    start_in_angstroms: float,
) -> float:
    """Estimate from a Guinier plot how fast the signal falls, square A.

    ``ln P = c - B s^2 / 2`` is fitted to the signal's power on the rings finer than the start, up
    to the first where less than half of the average is signal; each ring weighs as its share of
    signal. With fewer than three rings the answer is 0.

    Parameters
    ----------
    power : float64 (k,)
        Of the signal, on rings from frequency 0 to Nyquist.
    share : float64 (k,)
        Share of signal in the average, 0 to 1.
    pixel_size_in_angstroms, start_in_angstroms : float
    """
    frequency = np.linspace(0.0, 0.5, len(power)) / pixel_size_in_angstroms
    noisy = np.flatnonzero(share[1:] < 0.5)
    last = int(noisy[0]) + 1 if noisy.size else len(power)
    used = np.arange(len(power)) < last
    used &= (frequency >= 1.0 / start_in_angstroms) & (power > 0)
    if used.sum() < _FEWEST_RINGS:
        return 0.0
    slope = np.polyfit(frequency[used] ** 2, np.log(power[used]), 1, w=np.sqrt(share[used]))[0]
    return float(-2.0 * slope)


def adjust_power(
    average: NDArray[np.float32],
    share: NDArray[np.float64],
    pixel_size_in_angstroms: float,
    adjustment: Adjustment,
) -> tuple[NDArray[np.float32], float]:
    """Give an average the power spectrum that is asked for, as far as it is signal.

    Of a Wiener-filtered average with a share C of signal, the signal's own power is its power over
    C. Each ring is scaled so that this becomes the model's, and keeps the weight C: noise is not
    lifted where there is nothing but noise.

    Parameters
    ----------
    average : float32 (n, n)
        Wiener-filtered.
    share : float64 (n // 2 + 1,)
        ``2 c / (1 + c)``, c the correlation of its two halves ring by ring.
    pixel_size_in_angstroms : float
    adjustment : Adjustment

    Returns
    -------
    adjusted : float32 (n, n)
        Of the same variance.
    b_factor : float
        That was applied, square A; 0 where the adjustment is another.
    """
    rings = len(share)
    frequency = np.linspace(0.0, 0.5, rings) / pixel_size_in_angstroms
    power = rotational_power_spectrum(average)
    signal = power / np.maximum(share, _SMALLEST_SHARE)
    b_factor = 0.0
    if adjustment.kind == "no_adjustment":
        return average, b_factor
    if adjustment.kind == "bfactor":
        given = adjustment.b_factor_in_square_angstroms
        b_factor = given if given is not None else estimate_b_factor(
            signal, share, pixel_size_in_angstroms, adjustment.b_start_in_angstroms
        )  # fmt: skip
        factor = np.exp(0.25 * b_factor * frequency**2)
    else:
        model = protein_power(frequency)
        if adjustment.table is not None:
            places = np.linspace(0.0, 1.0, len(adjustment.table))
            model = np.interp(np.linspace(0.0, 1.0, rings), places, adjustment.table)
        factor = np.sqrt(np.divide(model, signal, out=np.zeros(rings), where=signal > 0))
        factor[0] = factor[1]
    grid = np.interp(frequency_grid(average.shape[-1]), np.linspace(0.0, 0.5, rings), factor)
    spectrum = scipy.fft.rfft2(average.astype(np.float64)) * grid
    adjusted = scipy.fft.irfft2(spectrum, average.shape)
    scale = average.std() / max(float(adjusted.std()), 1e-30)
    return np.asarray(adjusted * scale, dtype=np.float32), b_factor
