"""Projections of a density by central slices of its transform.

The projection of a density along z of ``r_image = A r`` has the transform
``P(kx, ky) = D(kx A[0] + ky A[1])``. The density's transform is sampled on the fine grid of a box
twice as wide as the images and interpolated linearly; what the interpolation does to the density (a
product with sinc^2) is divided out beforehand, as in RELION.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from isac2.simulate.molecule import Molecule

__all__ = ["central_slices", "project_molecule", "projection_volume", "shift_phases"]


def projection_volume(
    molecule: Molecule, size: int, pixel_size_in_angstroms: float
) -> tuple[NDArray[np.complex64], float]:
    """Return the molecule's transform, ready to be cut.

    Parameters
    ----------
    molecule : Molecule
    size : int
        Side of the transforms to be cut, pixels: twice the images' box; even.
    pixel_size_in_angstroms : float
        Of the images.

    Returns
    -------
    volume : complex64 (s, s, s // 2 + 1)
        In the layout of `scipy.fft.rfftn`; the molecule's origin is at voxel 0.
    scale : float
        Steps of `volume` for one step of the images' transforms: 1, but for maps whose voxels are
        not quite the images' pixels.
    """
    voxel_size = molecule.voxel_size_in_angstroms
    padded = max(2 * round(0.5 * size * pixel_size_in_angstroms / voxel_size), 2)
    density = _centred_in(molecule.density, padded)
    offsets = np.arange(padded) - padded // 2
    correction = (1.0 / np.sinc(offsets / padded) ** 2).astype(np.float32)
    density *= correction[:, None, None]
    density *= correction[:, None]
    density *= correction
    volume = scipy.fft.rfftn(scipy.fft.ifftshift(density), overwrite_x=True)
    return volume, padded * voxel_size / (size * pixel_size_in_angstroms)


def _centred_in(density: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return a copy cropped or padded with zeros about voxel ``n // 2``."""
    box = len(density)
    result = np.zeros((size,) * 3, np.float32)
    start = box // 2 - size // 2
    source = slice(max(start, 0), min(start + size, box))
    target = slice(source.start - start, source.stop - start)
    result[target, target, target] = density[source, source, source]
    return result


def central_slices(
    volume: NDArray[np.complex64], scale: float, matrices: NDArray[np.float64], size: int
) -> NDArray[np.complex64]:
    """Cut the transforms of projections out of a molecule's transform.

    Parameters
    ----------
    volume : complex64 (s, s, s // 2 + 1)
    scale : float
        As `projection_volume` gives them.
    matrices : float64 (n, 3, 3)
        Molecule's coordinates to the image's.
    size : int
        Side of the projections; even.

    Returns
    -------
    complex64 (n, size, size // 2 + 1)
        In the layout of `scipy.fft.rfft2`, the molecule's origin at pixel 0; zero beyond Nyquist.
    """
    slices = np.zeros((len(matrices), size, size // 2 + 1), np.complex64)
    limit = min((size // 2 - 1) * scale, volume.shape[2] - 2) / scale
    _cut(volume, np.ascontiguousarray(matrices[:, :2] * scale), np.float64(limit**2), slices)
    return slices


def project_molecule(
    molecule: Molecule,
    matrices: NDArray[np.float64],
    shifts: NDArray[np.float64],
    box: int,
    pixel_size_in_angstroms: float,
) -> NDArray[np.float32]:
    """Return clean projections of a molecule, without CTF.

    Parameters
    ----------
    molecule : Molecule
    matrices : float64 (n, 3, 3)
        Molecule's coordinates to the image's.
    shifts : float64 (n, 2)
        Where the molecule's origin lies, pixels from pixel ``box // 2``, x and y.
    box : int
        Side of the images.
    pixel_size_in_angstroms : float

    Returns
    -------
    float32 (n, box, box)
    """
    volume, scale = projection_volume(molecule, 2 * box, pixel_size_in_angstroms)
    slices = central_slices(volume, scale, matrices, 2 * box)
    slices *= shift_phases(shifts + box // 2, 2 * box)
    images = scipy.fft.irfft2(slices, (2 * box, 2 * box))[:, :box, :box]
    return np.ascontiguousarray(images, np.float32)


@numba.njit(nogil=True, cache=True)
def _cut(volume: Any, rows: Any, limit: float, slices: Any) -> None:
    """Fill `slices`; `rows` (n, 2, 3) are the image axes in the volume's steps (x, y, z)."""
    depth = volume.shape[0]
    size = slices.shape[1]
    for i in range(slices.shape[0]):
        for j in range(size):
            ky = j if j < size // 2 else j - size
            for kx in range(slices.shape[2]):
                if kx * kx + ky * ky > limit:
                    continue
                x = kx * rows[i, 0, 0] + ky * rows[i, 1, 0]
                y = kx * rows[i, 0, 1] + ky * rows[i, 1, 1]
                z = kx * rows[i, 0, 2] + ky * rows[i, 1, 2]
                # only half of the transform is kept: the other half is its conjugate
                sign = -1.0 if x < 0 else 1.0
                x, y, z = sign * x, sign * y, sign * z
                value = _interpolate(volume, depth, x, y, z)
                slices[i, j, kx] = complex(value.real, sign * value.imag)


@numba.njit(nogil=True, cache=True, inline="always")
def _interpolate(volume: Any, depth: int, x: float, y: float, z: float) -> Any:
    """Interpolate linearly between the eight neighbours; y and z wrap round."""
    x0, y0, z0 = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    fx, fy, fz = np.float32(x - x0), np.float32(y - y0), np.float32(z - z0)
    one = np.float32(1.0)
    ya, yb = y0 % depth, (y0 + 1) % depth
    za, zb = z0 % depth, (z0 + 1) % depth
    near = (one - fy) * ((one - fx) * volume[za, ya, x0] + fx * volume[za, ya, x0 + 1])
    near += fy * ((one - fx) * volume[za, yb, x0] + fx * volume[za, yb, x0 + 1])
    far = (one - fy) * ((one - fx) * volume[zb, ya, x0] + fx * volume[zb, ya, x0 + 1])
    far += fy * ((one - fx) * volume[zb, yb, x0] + fx * volume[zb, yb, x0 + 1])
    return (one - fz) * near + fz * far


def shift_phases(shifts: NDArray[np.float64], size: int) -> NDArray[np.complex64]:
    """Return the factors that move images by `shifts` (n, 2), x and y in pixels.

    Returns
    -------
    complex64 (n, size, size // 2 + 1)
    """
    x = np.exp(-2j * np.pi * shifts[:, 0, None] * scipy.fft.rfftfreq(size))
    y = np.exp(-2j * np.pi * shifts[:, 1, None] * scipy.fft.fftfreq(size))
    return np.asarray(y[:, :, None] * x[:, None, :], np.complex64)
