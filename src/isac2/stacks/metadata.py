"""One table of what is known about each particle, whatever file it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isac2.poses import PoseArray

if TYPE_CHECKING:
    from isac2.images.ctf import CtfParameters

__all__ = ["ForeignTables", "Metadata", "unknown_metadata"]

_CTF_FIELDS = (
    "defocus_u_in_angstroms",
    "defocus_v_in_angstroms",
    "defocus_angle_in_degrees",
    "voltage_in_kilovolts",
    "spherical_aberration_in_millimetres",
    "amplitude_contrast",
)


@dataclass(frozen=True)
class ForeignTables:
    """The tables of the file as they were, to be written back.

    Attributes
    ----------
    kind : str
        Format they belong to: "none", "relion", "cryosparc" or "eman2".
    particles : mapping of str to array (n, ...)
        Columns of the particles' table by their own names, a row an image.
    others : mapping of str to object
        The file's other tables (RELION's optics and what it does not know).
    particles_name : str
        Name of the particles' table in the file.
    """

    kind: str = "none"
    particles: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)
    particles_name: str = "particles"

    def select(self, rows: NDArray[np.int64]) -> ForeignTables:
        """Return the tables with only these rows of the particles' table, in this order."""
        chosen = {name: column[rows] for name, column in self.particles.items()}
        return replace(self, particles=chosen)


@dataclass(frozen=True)
class Metadata:
    """What is known about each of n particles; NaN, -1 or "" where it is not known.

    Attributes
    ----------
    pixel_size_in_angstroms, voltage_in_kilovolts : float64 (n,)
        Of each particle's optics.
    spherical_aberration_in_millimetres : float64 (n,)
        Of each particle's optics.
    amplitude_contrast : float64 (n,)
        A fraction, 0 to 1.
    defocus_u_in_angstroms, defocus_v_in_angstroms, defocus_angle_in_degrees : float64 (n,)
        RELION's convention: underfocus is positive, the angle is that of U.
    phase_shift_in_degrees : float64 (n,)
        Of a phase plate.
    optics_group : int64 (n,)
        Number of the optics group.
    micrograph : object array of str (n,)
        Name of the micrograph.
    coordinate_x, coordinate_y : float64 (n,)
        Where on the micrograph, pixels.
    poses : POSE (n,) or None
        Two-dimensional poses, when the file has them.
    psi_prior_in_degrees : float64 (n,)
        In-plane angle of a filament's segment.
    tube_id : int64 (n,)
        Number of the filament on its micrograph.
    original_id : int64 (n,)
        Id a program gave to the particle earlier.
    class_number : int64 (n,)
        Two-dimensional class, from 1; 0 for a particle in no class.
    phase_flipped : bool (n,)
        The CTF's phases have been flipped in the pixels already, as far as the file says.
    foreign : ForeignTables
        The file's own tables. Where they are written back, into a file of the same kind, they win
        over the fields above.
    """

    pixel_size_in_angstroms: NDArray[np.float64]
    voltage_in_kilovolts: NDArray[np.float64]
    spherical_aberration_in_millimetres: NDArray[np.float64]
    amplitude_contrast: NDArray[np.float64]
    defocus_u_in_angstroms: NDArray[np.float64]
    defocus_v_in_angstroms: NDArray[np.float64]
    defocus_angle_in_degrees: NDArray[np.float64]
    phase_shift_in_degrees: NDArray[np.float64]
    optics_group: NDArray[np.int64]
    micrograph: NDArray[np.object_]
    coordinate_x: NDArray[np.float64]
    coordinate_y: NDArray[np.float64]
    poses: PoseArray | None
    psi_prior_in_degrees: NDArray[np.float64]
    tube_id: NDArray[np.int64]
    original_id: NDArray[np.int64]
    class_number: NDArray[np.int64]
    phase_flipped: NDArray[np.bool_]
    foreign: ForeignTables = field(default_factory=ForeignTables)

    def __len__(self) -> int:
        """Return the number of particles."""
        return len(self.optics_group)

    @property
    def has_ctf(self) -> bool:
        """Whether every particle has all that its contrast transfer function needs."""
        return not self.missing_ctf_columns()

    def missing_ctf_columns(self) -> tuple[str, ...]:
        """Return the names of the fields a CTF needs that are not known for every particle."""
        return tuple(
            name for name in _CTF_FIELDS if not bool(np.isfinite(getattr(self, name)).all())
        )

    def ctf_parameters(self, indices: NDArray[np.int64] | None = None) -> CtfParameters:
        """Return the CTF parameters of some particles (all by default).

        A phase shift that is not known is taken as zero.
        """
        from isac2.images.ctf import CtfParameters

        rows = slice(None) if indices is None else indices
        values = {name: getattr(self, name)[rows] for name in _CTF_FIELDS}
        shift = np.nan_to_num(self.phase_shift_in_degrees[rows], nan=0.0)
        return CtfParameters(**values, phase_shift_in_degrees=shift)

    def with_pixel_sizes(self, sizes: NDArray[np.float64]) -> Metadata:
        """Return the table with pixel sizes (A, (n,)) filled in where they are not known."""
        known = self.pixel_size_in_angstroms
        return replace(self, pixel_size_in_angstroms=np.where(known > 0, known, sizes))

    def select(self, rows: NDArray[np.int64]) -> Metadata:
        """Return the table of these particles only, in this order."""
        chosen = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "foreign":
                chosen[item.name] = value.select(rows)
            else:
                chosen[item.name] = None if value is None else value[rows]
        return Metadata(**chosen)


def unknown_metadata(count: int) -> Metadata:
    """Return a table of `count` particles about which nothing is known.

    Examples
    --------
    >>> unknown_metadata(2).defocus_u_in_angstroms
    array([nan, nan])
    """
    values: dict[str, Any] = {}
    for item in fields(Metadata):
        if item.name in ("optics_group", "tube_id", "original_id", "class_number"):
            values[item.name] = np.full(count, -1, np.int64)
        elif item.name == "phase_flipped":
            values[item.name] = np.zeros(count, bool)
        elif item.name == "micrograph":
            values[item.name] = np.full(count, "", object)
        elif item.name not in ("poses", "foreign"):
            values[item.name] = np.full(count, np.nan)
    return Metadata(poses=None, **values)
