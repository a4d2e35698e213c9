"""The contrast transfer function and the correction of its phases.

``CTF(k) = sin(pi lambda dz k^2 - pi/2 Cs lambda^3 k^4 + asin(Q) + phase shift)``: positive at low
frequencies, underfocus positive. ``dz`` turns with the direction, from the defocus U along the
defocus angle to V across it; the angle goes from x towards y, down the rows (RELION's terms).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

__all__ = ["CtfParameters", "ctf_2d", "ctf_phase_terms", "electron_wavelength", "phase_flip"]


@dataclass(frozen=True)
class CtfParameters:
    """What the microscope did to each of n images; every field is float64 (n,).

    Single numbers are broadcast on construction.

    Examples
    --------
    >>> ctf = CtfParameters(
    ...     defocus_u_in_angstroms=np.array([15000.0, 20000.0]),
    ...     defocus_v_in_angstroms=np.array([15500.0, 20500.0]),
    ...     defocus_angle_in_degrees=np.array([30.0, 30.0]),
    ...     voltage_in_kilovolts=np.array([300.0]),
    ...     spherical_aberration_in_millimetres=np.array([2.7]),
    ...     amplitude_contrast=np.array([0.07]),
    ...     phase_shift_in_degrees=np.array([0.0]),
    ... )
    >>> len(ctf), ctf[1:].defocus_u_in_angstroms.tolist()
    (2, [20000.0])
    """

    defocus_u_in_angstroms: NDArray[np.float64]
    defocus_v_in_angstroms: NDArray[np.float64]
    defocus_angle_in_degrees: NDArray[np.float64]
    voltage_in_kilovolts: NDArray[np.float64]
    spherical_aberration_in_millimetres: NDArray[np.float64]
    amplitude_contrast: NDArray[np.float64]
    phase_shift_in_degrees: NDArray[np.float64]

    def __post_init__(self) -> None:
        names = [field.name for field in fields(self)]
        values = [np.atleast_1d(np.asarray(getattr(self, name), np.float64)) for name in names]
        for name, value in zip(names, np.broadcast_arrays(*values), strict=True):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.defocus_u_in_angstroms)

    def __getitem__(
        self, rows: int | slice | NDArray[np.integer] | NDArray[np.bool_]
    ) -> CtfParameters:
        """Return the parameters of some of the images."""
        return CtfParameters(*(getattr(self, field.name)[rows] for field in fields(self)))


def electron_wavelength(voltage_in_kilovolts: ArrayLike) -> NDArray[np.float64]:
    """Return the relativistic wavelength of electrons, angstroms.

    Examples
    --------
    >>> electron_wavelength(300.0).round(5).item()
    0.01969
    """
    voltage = 1e3 * np.asarray(voltage_in_kilovolts, dtype=np.float64)
    return np.asarray(12.2643247 / np.sqrt(voltage * (1.0 + 0.978466e-6 * voltage)))


def ctf_phase_terms(ctf: CtfParameters, pixel_size_in_angstroms: ArrayLike) -> NDArray[np.float64]:
    """Return the CTF's phase as a polynomial in the frequency, for each image.

    With the frequency (u, v) in 1/pixel the CTF is ``sin(pi p)``,
    ``p = c0 + c1 (u^2 + v^2) + c2 (u^2 - v^2) + c3 2 u v + c4 (u^2 + v^2)^2``:
    ``dz k^2`` needs no angle at each coefficient, as ``k^2 cos 2(theta - angle)`` is quadratic.

    Parameters
    ----------
    ctf : CtfParameters
        Of n images.
    pixel_size_in_angstroms : float or (n,)

    Returns
    -------
    float64 (n, 5)
    """
    pixel_size = np.broadcast_to(np.asarray(pixel_size_in_angstroms, np.float64), (len(ctf),))
    wavelength = electron_wavelength(ctf.voltage_in_kilovolts)
    mean = 0.5 * (ctf.defocus_u_in_angstroms + ctf.defocus_v_in_angstroms)
    half_difference = 0.5 * (ctf.defocus_u_in_angstroms - ctf.defocus_v_in_angstroms)
    twice_angle = 2.0 * np.radians(ctf.defocus_angle_in_degrees)
    scale = wavelength / pixel_size**2
    aberration = 1e7 * ctf.spherical_aberration_in_millimetres  # angstroms
    return np.stack(
        [
            np.arcsin(ctf.amplitude_contrast) / np.pi + ctf.phase_shift_in_degrees / 180.0,
            scale * mean,
            scale * half_difference * np.cos(twice_angle),
            scale * half_difference * np.sin(twice_angle),
            -0.5 * aberration * wavelength**3 / pixel_size**4,
        ],
        axis=-1,
    )


def ctf_2d(box: int, pixel_size_in_angstroms: ArrayLike, ctf: CtfParameters) -> NDArray[np.float32]:
    """Return the CTF of n images at the coefficients of their transforms.

    Parameters
    ----------
    box : int
        Side of the square images, pixels.
    pixel_size_in_angstroms : float or (n,)
    ctf : CtfParameters
        Of n images.

    Returns
    -------
    float32 (n, box, box // 2 + 1)
        In the layout of `scipy.fft.rfft2`.
    """
    return np.asarray(np.sin(np.pi * _phase(box, pixel_size_in_angstroms, ctf)), np.float32)


def phase_flip(
    images: NDArray[np.float32], ctf: CtfParameters, pixel_size_in_angstroms: ArrayLike
) -> NDArray[np.float32]:
    """Turn the sign of all Fourier components that the CTF has reversed.

    The images are padded to twice their box first, with their own mean, so that the CTF is sampled
    finely enough and what it has spread over one edge does not come back at the other.

    Parameters
    ----------
    images : float32 (n, box, box)
    ctf : CtfParameters
        Of the n images.
    pixel_size_in_angstroms : float or (n,)

    Returns
    -------
    float32 (n, box, box)
    """
    box = images.shape[-1]
    means = images.mean(axis=(-2, -1), keepdims=True, dtype=np.float64).astype(np.float32)
    padded = (2 * box, 2 * box)
    spectrum = scipy.fft.rfft2(images - means, padded)  # (n, 2 box, box + 1)
    reversed_phase = np.floor(_phase(2 * box, pixel_size_in_angstroms, ctf)) % 2 == 1
    np.negative(spectrum, out=spectrum, where=reversed_phase)
    flipped = scipy.fft.irfft2(spectrum, padded, overwrite_x=True)[..., :box, :box]
    return np.asarray(flipped + means, dtype=np.float32)


def _phase(box: int, pixel_size_in_angstroms: ArrayLike, ctf: CtfParameters) -> NDArray[np.float64]:
    """Return the CTF's phase in units of pi, float64 (n, box, box // 2 + 1)."""
    c = np.moveaxis(ctf_phase_terms(ctf, pixel_size_in_angstroms), -1, 0)[..., None, None]
    u = scipy.fft.rfftfreq(box)[None, :]
    v = scipy.fft.fftfreq(box)[:, None]
    if box % 2 == 0:
        v[box // 2] = 0.5  # beside u >= 0, Nyquist is the last row of the positive frequencies
    squared = u**2 + v**2
    return np.asarray(
        c[0] + (c[1] + c[4] * squared) * squared + c[2] * (u**2 - v**2) + c[3] * (2 * u * v)
    )
