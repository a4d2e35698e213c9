"""Compiled loops over the coefficients of transforms that the CTF multiplies.

The CTF is ``sin(pi p)``, p a polynomial in the frequency (`isac2.images.ctf.ctf_phase_terms`). p is
brought to the nearest half turn and the sine taken from its series, in single precision and without
branches, so that the loops are vectorised: some ten times faster than a library's sine.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["add_weighed", "multiply_by_ctf"]

_HALF, _ONE, _TWO = np.float32(0.5), np.float32(1.0), np.float32(2.0)
# of sin(pi a) in odd powers of a, to 6e-8 for a up to a half
_S1, _S3, _S5 = np.float32(3.14159265), np.float32(-5.16771278), np.float32(2.55016404)
_S7, _S9, _S11 = np.float32(-0.59926453), np.float32(0.08214589), np.float32(-0.00737043)


@numba.njit(nogil=True, cache=True)
def _ctf_row(terms: Any, v: float, box: int, out: Any) -> None:
    """CTF along one row of a transform, float32 (box // 2 + 1,), at the frequency v (1/pixel)."""
    c4 = np.float32(terms[4])
    along, across = np.float32(terms[1] + terms[2]), np.float32(terms[3] * 2.0 * v)
    first = np.float32(terms[0] + (terms[1] - terms[2]) * v * v)
    squared, step = np.float32(v * v), np.float32(1.0 / box)
    for i in range(out.size):
        u = np.float32(i) * step
        uu = u * u
        square = uu + squared
        phase = first + along * uu + across * u + c4 * square * square
        turn = phase - _TWO * np.floor(phase * _HALF + _HALF)  # -1 to 1
        size = abs(turn)
        size = min(size, _ONE - size)
        y = size * size
        value = size * (_S1 + y * (_S3 + y * (_S5 + y * (_S7 + y * (_S9 + y * _S11)))))
        out[i] = value if turn >= np.float32(0.0) else -value


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
    row = np.empty(spectra.shape[2], np.float32)
    for b in range(spectra.shape[0]):
        for j in range(box):
            _ctf_row(terms[b], _row_frequency(j, box), box, row)
            if flipped[b]:
                row = np.abs(row)
            for i in range(row.size):
                spectra[b, j, i] *= row[i]


@numba.njit(nogil=True, cache=True)
def add_weighed(
    spectra: Any, terms: Any, flipped: Any, groups: Any, sums: Any, squares: Any
) -> None:
    """Add transforms, times their CTFs, and the squares of the CTFs to their groups' sums.

    spectra, float32 (b, n, n + 2), are real and imaginary parts beside each other; terms float64
    (b, 5); flipped bool (b,) as for `multiply_by_ctf`; groups int64 (b,); sums float64
    (k, n, n + 2) and squares float64 (k, n, n // 2 + 1). Each coefficient is added in the order of
    the images, so that sums do not depend on how many come at once.
    """
    box = spectra.shape[1]
    row = np.empty(squares.shape[2], np.float32)
    for j in range(box):
        v = _row_frequency(j, box)
        for b in range(spectra.shape[0]):
            _ctf_row(terms[b], v, box, row)
            if flipped[b]:
                row = np.abs(row)
            spectrum, total, square = spectra[b, j], sums[groups[b], j], squares[groups[b], j]
            for i in range(row.size):
                c = row[i]
                total[2 * i] += c * spectrum[2 * i]
                total[2 * i + 1] += c * spectrum[2 * i + 1]
                square[i] += c * c
