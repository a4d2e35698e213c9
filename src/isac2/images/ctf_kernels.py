"""Compiled loops over the coefficients of transforms that the CTF multiplies."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["add_squared_ctf", "multiply_by_ctf"]


@numba.njit(nogil=True, cache=True)
def _ctf(terms: Any, u: float, v: float) -> float:
    """CTF at the frequency (u, v), 1/pixel; terms are those of `ctf_phase_terms`."""
    square = u * u + v * v
    phase = terms[0] + (terms[1] + terms[4] * square) * square
    phase += terms[2] * (u * u - v * v) + terms[3] * (2.0 * u * v)
    return np.sin(np.pi * phase)  # type: ignore[no-any-return]


@numba.njit(nogil=True, cache=True)
def _row_frequency(row: int, box: int) -> float:
    """Frequency of a row of a transform; Nyquist is positive."""
    return row / box if 2 * row <= box else (row - box) / box


@numba.njit(nogil=True, cache=True)
def multiply_by_ctf(spectra: Any, terms: Any, flipped: Any) -> None:
    """Multiply transforms complex64 (b, n, n // 2 + 1), in place, by their CTFs.

    terms float64 (b, 5); flipped bool (b,): the phases are right already, so that the CTF counts
    without its sign.
    """
    box = spectra.shape[1]
    for b in range(spectra.shape[0]):
        for j in range(box):
            v = _row_frequency(j, box)
            for i in range(spectra.shape[2]):
                value = _ctf(terms[b], i / box, v)
                spectra[b, j, i] *= np.float32(abs(value) if flipped[b] else value)


@numba.njit(nogil=True, cache=True)
def add_squared_ctf(terms: Any, groups: Any, sums: Any) -> None:
    """Add the square of each CTF, terms float64 (b, 5), to its group's sum (k, n, n // 2 + 1)."""
    box = sums.shape[1]
    for b in range(terms.shape[0]):
        total = sums[groups[b]]
        for j in range(box):
            v = _row_frequency(j, box)
            for i in range(total.shape[1]):
                value = _ctf(terms[b], i / box, v)
                total[j, i] += value * value
