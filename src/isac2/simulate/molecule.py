"""What is projected: a density on a grid, from pseudo-atoms or from a map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.simulate.pseudo_atoms import (
    complex_atoms,
    filament_atoms,
    ring_atoms,
    shell_atoms,
)

__all__ = [
    "FILAMENT_RISE_IN_ANGSTROMS",
    "FILAMENT_TWIST_IN_DEGREES",
    "Molecule",
    "built_in_molecule",
    "density_of_atoms",
    "is_built_in",
    "resampled_map",
]

FILAMENT_RISE_IN_ANGSTROMS = 9.5
FILAMENT_TWIST_IN_DEGREES = 71.0

_SYMMETRIES = {"complex": "C1", "bent": "C1", "ring": "D7", "shell": "O", "filament": "helical"}
_BEND_IN_DEGREES = 30.0
_ATOM_SIGMA_IN_ANGSTROMS = 1.9


@dataclass(frozen=True)
class Molecule:
    """A density whose origin is voxel ``n // 2`` on every axis.

    Attributes
    ----------
    name : str
    density : float32 (n, n, n)
        Indexed ``[z, y, x]``; protein is positive.
    voxel_size_in_angstroms : float
    radius_in_angstroms : float
        The sphere of this radius holds the molecule; for a filament, the cylinder.
    symmetry : str
        Point group, ``helical``, or ``C1`` when nothing is known.
    """

    name: str
    density: NDArray[np.float32]
    voxel_size_in_angstroms: float
    radius_in_angstroms: float
    symmetry: str = "C1"


def is_built_in(name: str) -> bool:
    """Tell whether a molecule's name (``complex`` or ``complex:7``) is one of ours."""
    return name.partition(":")[0] in _SYMMETRIES


def built_in_molecule(name: str, box: int, voxel_size_in_angstroms: float) -> Molecule:
    """Make one of the built-in molecules.

    Parameters
    ----------
    name : str
        ``complex``, ``bent`` (the complex of that seed in another conformation), ``ring``,
        ``shell`` or ``filament``; ``:7`` behind it chooses another seed.
    box : int
        Side of the density, voxels. A filament goes through the whole box.
    voxel_size_in_angstroms : float

    Raises
    ------
    InputError
        When the name or its seed is not understood.

    Examples
    --------
    >>> built_in_molecule("ring", 32, 8.0).symmetry
    'D7'
    """
    kind, _, seed_text = name.partition(":")
    if kind not in _SYMMETRIES or not (seed_text or "1").isdigit():
        raise InputError(
            f"there is no molecule '{name}': give {', '.join(_SYMMETRIES)} (with ':7' behind it "
            "for another seed) or a map (.mrc)."
        )
    seed = int(seed_text or "1")
    if kind == "filament":
        length = box * voxel_size_in_angstroms
        atoms = filament_atoms(seed, length, FILAMENT_RISE_IN_ANGSTROMS, FILAMENT_TWIST_IN_DEGREES)
        distances = np.hypot(atoms[:, 0], atoms[:, 1])
    else:
        makers: dict[str, Callable[[int], NDArray[np.float64]]] = {
            "complex": complex_atoms,
            "bent": partial(complex_atoms, bend_in_degrees=_BEND_IN_DEGREES),
            "ring": ring_atoms,
            "shell": shell_atoms,
        }
        atoms = makers[kind](seed)
        distances = np.linalg.norm(atoms, axis=1)
    return Molecule(
        name=name,
        density=density_of_atoms(atoms, box, voxel_size_in_angstroms),
        voxel_size_in_angstroms=voxel_size_in_angstroms,
        radius_in_angstroms=float(distances.max() + 2 * _ATOM_SIGMA_IN_ANGSTROMS),
        symmetry=_SYMMETRIES[kind],
    )


def density_of_atoms(
    atoms: NDArray[np.float64], box: int, voxel_size_in_angstroms: float
) -> NDArray[np.float32]:
    """Sum a Gaussian an atom onto a grid.

    Parameters
    ----------
    atoms : float64 (m, 3)
        x, y, z in angstroms from the grid's centre; what lies outside the grid is left out.
    box : int
        Side of the grid, voxels.
    voxel_size_in_angstroms : float

    Returns
    -------
    float32 (box, box, box)
        Each whole atom adds up to 1. The Gaussian's sigma is 1.9 A, and at least 0.7 voxels so that
        the grid can carry it.
    """
    sigma = max(_ATOM_SIGMA_IN_ANGSTROMS / voxel_size_in_angstroms, 0.7)
    reach = int(np.ceil(3.0 * sigma))
    around = np.arange(-reach, reach + 1)
    places = atoms[:, ::-1] / voxel_size_in_angstroms + box // 2  # (m, 3): z, y, x
    nearest = np.rint(places).astype(np.int64)
    inside = ((nearest >= reach) & (nearest < box - reach)).all(axis=1)
    places, nearest = places[inside], nearest[inside]
    density = np.zeros(box**3)
    for start in range(0, len(places), 4096):
        rows = slice(start, start + 4096)
        index = nearest[rows, :, None] + around  # (m, 3, k)
        weight = np.exp(-0.5 * ((index - places[rows, :, None]) / sigma) ** 2)
        weight /= weight.sum(axis=2, keepdims=True)
        cube = (index[:, 0, :, None, None] * box + index[:, 1, None, :, None]) * box + index[
            :, 2, None, None, :
        ]
        values = (
            weight[:, 0, :, None, None] * weight[:, 1, None, :, None] * weight[:, 2, None, None, :]
        )
        density += np.bincount(cube.ravel(), values.ravel(), minlength=box**3)
    return density.reshape(box, box, box).astype(np.float32)


def resampled_map(
    name: str,
    volume: NDArray[np.float32],
    voxel_size_in_angstroms: float,
    pixel_size_in_angstroms: float,
) -> Molecule:
    """Make a molecule of a density map, its voxels brought near the images' pixel size.

    The map is cropped, or padded with zeros, in Fourier space to the nearest even box; what is left
    of the difference (below one box-th) stays in the molecule's voxel size.

    Raises
    ------
    InputError
        When the map is not cubic, has no positive density or non-finite voxels.
    """
    if volume.ndim != 3 or len(set(volume.shape)) != 1:
        raise InputError(f"the map '{name}' is {volume.shape}: give a cubic one.")
    if not np.isfinite(volume).all() or volume.max() <= 0:
        raise InputError(f"the map '{name}' has no density above 0, or voxels that are no numbers.")
    box = len(volume)
    new_box = max(2 * round(0.5 * box * voxel_size_in_angstroms / pixel_size_in_angstroms), 8)
    density = _fourier_resized(volume, new_box)
    voxel_size = voxel_size_in_angstroms * box / new_box
    return Molecule(name, density, voxel_size, _radius(density) * voxel_size)


def _fourier_resized(volume: NDArray[np.float32], new_box: int) -> NDArray[np.float32]:
    """Return the band-limited interpolation of a cube on another grid, centres kept."""
    box = len(volume)
    spectrum = scipy.fft.fftn(scipy.fft.ifftshift(volume.astype(np.complex64)))
    low = min(box, new_box)
    kept = np.concatenate([np.arange((low + 1) // 2), np.arange(-((low - 1) // 2), 0)])
    result = np.zeros((new_box,) * 3, np.complex64)
    result[np.ix_(kept % new_box, kept % new_box, kept % new_box)] = spectrum[
        np.ix_(kept % box, kept % box, kept % box)
    ]
    real = scipy.fft.fftshift(scipy.fft.ifftn(result, overwrite_x=True).real)
    return np.asarray(real * (new_box / box) ** 3, np.float32)


def _radius(density: NDArray[np.float32]) -> float:
    """Return the radius, voxels, that holds 99 % of the squared density."""
    offsets = np.arange(len(density)) - len(density) // 2
    squared_radius = offsets[:, None, None] ** 2 + offsets[:, None] ** 2 + offsets**2
    shells = np.rint(np.sqrt(squared_radius)).astype(np.int64)
    power = np.bincount(shells.ravel(), np.square(density, dtype=np.float64).ravel()).cumsum()
    return float(np.searchsorted(power, 0.99 * power[-1]) + 1)
