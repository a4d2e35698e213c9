"""Made-up proteins: pseudo-atoms on helices and strands, packed into domains, from a seed.

At 5 to 15 angstroms, what makes a projection look like protein is a compact body with a rough
outline, clefts between domains, and rods some 10 angstroms apart. The numbers are those of real
proteins: a residue of a helix rises by 1.5 A and turns by 100 degrees at a radius of 2.3 A; one of
a strand rises by 3.3 A; helices pack 9.5 A, strands 4.8 A apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from isac2.classes.orientations_in_class import symmetry_matrices

__all__ = ["complex_atoms", "domain_atoms", "filament_atoms", "ring_atoms", "shell_atoms"]

Points = NDArray[np.float64]
"""Positions (m, 3) in angstroms: x, y, z."""


def domain_atoms(rng: np.random.Generator, radii: tuple[float, float, float]) -> Points:
    """Fill an ellipsoid with helices and a sheet, roughly along its z axis.

    Parameters
    ----------
    rng : numpy.random.Generator
    radii : tuple of float
        Half-axes of the ellipsoid, angstroms.

    Returns
    -------
    float64 (m, 3)
        Two pseudo-atoms a residue: backbone and side chain.
    """
    offset = rng.uniform(-4, 4, 2)
    rods = []
    for x, y in _hexagonal_lattice(9.5, max(radii[:2])) + offset:
        inside = 1 - (x / radii[0]) ** 2 - (y / radii[1]) ** 2
        length = 2 * radii[2] * np.sqrt(max(inside, 0)) - rng.uniform(0, 8)
        if length < 9 or rng.random() < 0.12:
            continue
        make = _strand_pair if abs(y - offset[1]) < 5 and rng.random() < 0.6 else _helix
        tilt = Rotation.from_euler("ZX", [rng.uniform(0, 360), rng.normal(0, 14)], degrees=True)
        rods.append(_moved(tilt.apply(make(length, rng)), x, y, rng.normal(0, 2)))
    if not rods:
        rods.append(_helix(2 * radii[2], rng))
    atoms = np.concatenate(rods)
    return np.asarray(atoms + rng.normal(0, 0.6, atoms.shape))


def complex_atoms(seed: int, domains: int = 11, bend_in_degrees: float = 0.0) -> Points:
    """Return an assembly without symmetry: domains of different size, grown one onto the other.

    With the default number it is some 140 angstroms long and has about 3,500 residues. With a bend,
    the domains at one end, a third of all, are turned about a hinge: another conformation.
    """
    rng = np.random.default_rng([seed, 101])
    sizes = np.concatenate([[30.0, 26.0], rng.uniform(14, 24, domains - 2)])
    centres = [np.zeros(3)]
    for number in range(1, domains):
        centres.append(_place_beside(rng, np.array(centres), sizes[: number + 1]))
    parts = []
    for centre, size in zip(centres, sizes, strict=True):
        radii = size * rng.uniform(0.78, 1.15, 3)
        turn = Rotation.from_quat(rng.normal(size=4))
        parts.append(turn.apply(domain_atoms(rng, (radii[0], radii[1], radii[2]))) + centre)
    middle = np.concatenate(parts).mean(axis=0)
    if bend_in_degrees:
        parts = _bent(parts, np.array(centres), bend_in_degrees)
    return np.asarray(np.concatenate(parts) - middle)


def ring_atoms(seed: int) -> Points:
    """Return two stacked rings of seven subunits of three domains, as in chaperonins (D7)."""
    rng = np.random.default_rng([seed, 102])
    subunit = np.concatenate(
        [
            _moved(domain_atoms(rng, (20, 17, 21)), 37, 0, 20),
            _moved(domain_atoms(rng, (12, 10, 13)), 48, 6, 42),
            _moved(domain_atoms(rng, (19, 17, 16)), 44, -4, 61),
        ]
    )
    return _copies(subunit, symmetry_matrices("D7"))


def shell_atoms(seed: int) -> Points:
    """Return a hollow sphere of 24 bundles of helices, as in ferritins (O)."""
    rng = np.random.default_rng([seed, 103])
    bundle = domain_atoms(rng, (13, 13, 25))
    # a general direction, so that the 24 copies cover the sphere; the bundle lies along its surface
    lay = Rotation.from_euler("ZYZ", [35, 90, 0], degrees=True)
    place = Rotation.from_euler("ZY", [17, 33], degrees=True)
    return _copies(place.apply(_moved(lay.apply(bundle), 0, 0, 48)), symmetry_matrices("O"))


def filament_atoms(
    seed: int, length_in_angstroms: float, rise_in_angstroms: float, twist_in_degrees: float
) -> Points:
    """Return a helical filament along z, centred on the origin, some 75 angstroms wide."""
    rng = np.random.default_rng([seed, 104])
    subunit = _moved(domain_atoms(rng, (11, 12, 17)), 23, 0, 0)
    half = int(np.ceil(0.5 * length_in_angstroms / rise_in_angstroms))
    steps = np.arange(-half, half + 1)
    turns = Rotation.from_euler("z", steps[:, None] * twist_in_degrees, degrees=True).as_matrix()
    copies = np.einsum("sij,mj->smi", turns, subunit)
    copies[..., 2] += steps[:, None] * rise_in_angstroms
    return np.asarray(copies.reshape(-1, 3))


def _hexagonal_lattice(spacing: float, radius: float) -> NDArray[np.float64]:
    count = int(np.ceil(radius / spacing)) + 1
    i, j = np.meshgrid(np.arange(-count, count + 1), np.arange(-count, count + 1))
    points = np.stack([i + 0.5 * j, np.sqrt(0.75) * j], axis=-1).reshape(-1, 2) * spacing
    return np.asarray(points[np.hypot(points[:, 0], points[:, 1]) <= radius + spacing])


def _helix(length: float, rng: np.random.Generator) -> Points:
    """Return a helix along z: backbone at a radius of 2.3 A and side chains at 5 A."""
    residue = np.arange(max(int(length / 1.5), 4))
    angle = np.deg2rad(100.0 * residue + rng.uniform(0, 360))
    z = 1.5 * (residue - residue.mean())
    rings = [
        np.column_stack([radius * np.cos(angle + lead), radius * np.sin(angle + lead), z])
        for radius, lead in ((2.3, 0.0), (5.0, 0.3))
    ]
    return np.concatenate(rings)


def _strand_pair(length: float, rng: np.random.Generator) -> Points:
    """Return two antiparallel strands along z, 4.8 A apart, side chains to alternating sides."""
    residue = np.arange(max(int(length / 3.3), 3))
    side = np.where(residue % 2 == 0, 1.0, -1.0)
    z = 3.3 * (residue - residue.mean())
    strands = []
    for x, sense in ((-2.4, 1), (2.4, -1)):
        for reach in (0.9, 3.2):
            strands.append(np.column_stack([np.full_like(z, x), reach * side * sense, z]))
    turn = Rotation.from_euler("z", rng.uniform(-25, 25), degrees=True)
    return np.asarray(turn.apply(np.concatenate(strands)))


def _place_beside(rng: np.random.Generator, centres: Points, sizes: NDArray[np.float64]) -> Points:
    """Find a place for a domain that touches one of those there are, and overlaps none much."""
    size, others = sizes[-1], sizes[:-1]
    best, best_gap = np.zeros(3), -np.inf
    for _ in range(60):
        parent = rng.integers(len(centres))
        direction = rng.normal(size=3) * [1.0, 0.8, 0.6]
        direction /= np.linalg.norm(direction)
        place = centres[parent] + direction * 0.82 * (others[parent] + size)
        reach = np.linalg.norm(place) + size
        gap = (np.linalg.norm(centres - place, axis=1) - 0.78 * (others + size)).min()
        if reach <= 74 and gap >= 0:
            return np.asarray(place)
        if gap - max(reach - 74, 0) > best_gap:
            best, best_gap = place, gap - max(reach - 74, 0)
    return best


def _copies(subunit: Points, rotations: NDArray[np.float64]) -> Points:
    return np.asarray(np.einsum("sij,mj->smi", rotations, subunit).reshape(-1, 3))


def _moved(atoms: Points, x: float, y: float, z: float) -> Points:
    return np.asarray(atoms + np.array([x, y, z]))


def _bent(parts: list[Points], centres: Points, angle_in_degrees: float) -> list[Points]:
    """Turn the domains at one end about the domain next to them, across the assembly's length."""
    length, across = np.linalg.svd(centres - centres.mean(axis=0))[2][:2]
    order = np.argsort(centres @ length)
    arm, hinge = order[: len(order) // 3], centres[order[len(order) // 3]]
    turn = Rotation.from_rotvec(np.deg2rad(angle_in_degrees) * across)
    return [
        np.asarray(turn.apply(part - hinge) + hinge) if number in arm else part
        for number, part in enumerate(parts)
    ]
