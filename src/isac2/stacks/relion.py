"""RELION's particle tables: reading 3.0 and 3.1 to 5.0, writing 3.1 and later.

Which label means what is data, below; labels that are not listed are kept as text and written back.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isac2.errors import InputError
from isac2.poses import PoseArray, poses_from_relion, relion_from_poses
from isac2.stacks._images import ImageFile, RawImages
from isac2.stacks._text import TextColumn, by_runs, text_column
from isac2.stacks.metadata import ForeignTables, Metadata, unknown_metadata
from isac2.stacks.stack import Stack
from isac2.stacks.star import StarTable, read_star, write_star

__all__ = [
    "RelionParticles",
    "metadata_of_tables",
    "read_relion_particles",
    "relion_tables",
    "split_image_name",
    "split_image_names",
    "with_pixel_sizes_of_files",
    "without_type",
    "write_particles_star",
]

NUMBERS = {
    "voltage_in_kilovolts": "rlnVoltage",
    "spherical_aberration_in_millimetres": "rlnSphericalAberration",
    "amplitude_contrast": "rlnAmplitudeContrast",
    "defocus_u_in_angstroms": "rlnDefocusU",
    "defocus_v_in_angstroms": "rlnDefocusV",
    "defocus_angle_in_degrees": "rlnDefocusAngle",
    "phase_shift_in_degrees": "rlnPhaseShift",
    "coordinate_x": "rlnCoordinateX",
    "coordinate_y": "rlnCoordinateY",
    "psi_prior_in_degrees": "rlnAnglePsiPrior",
}
"""Fields of `Metadata` that are one column of numbers, in the particles' or the optics table."""

WHOLE_NUMBERS = {
    "optics_group": "rlnOpticsGroup",
    "tube_id": "rlnHelicalTubeID",
    "original_id": "isac2OriginalId",
    "class_number": "rlnClassNumber",
}
"""Fields of `Metadata` that are one column of whole numbers."""

_OPTICS_FIELDS = {
    "pixel_size_in_angstroms": "rlnImagePixelSize",
    "voltage_in_kilovolts": "rlnVoltage",
    "spherical_aberration_in_millimetres": "rlnSphericalAberration",
    "amplitude_contrast": "rlnAmplitudeContrast",
}
_VOLTAGE = 1
_MOVED_TO_OPTICS = (
    "rlnVoltage",
    "rlnSphericalAberration",
    "rlnAmplitudeContrast",
    "rlnDetectorPixelSize",
    "rlnMagnification",
    "rlnPixelSize",
    "rlnImagePixelSize",
)
_IMAGE_LABELS = ("rlnImageName", "rlnReferenceImage")


@dataclass(frozen=True)
class RelionParticles:
    """A particles' table: where the pixels are, and what it knows.

    Attributes
    ----------
    image_paths : tuple of str
        Files named in the table.
    file_index : int32 (n,)
        Which of them each image is in.
    slots : int64 (n,)
        Number of the image in its file, from 0.
    metadata : Metadata
        Pixel sizes are NaN where the table has none.
    """

    image_paths: tuple[str, ...]
    file_index: NDArray[np.int32]
    slots: NDArray[np.int64]
    metadata: Metadata


def read_relion_particles(path: Path) -> RelionParticles:
    """Read a RELION particles' table, without looking at the pixels.

    Raises
    ------
    InputError
        When there is no such table, or its columns cannot be understood.
    """
    tables = read_star(path)
    name = next((n for n, t in tables.items() if t.is_loop and _image_label(t)), None)
    if name is None:
        raise InputError(
            f"{path} has no table with the column rlnImageName, so it lists no particles."
        )
    particles = tables.pop(name)
    if not len(particles):
        raise InputError(f"{path}: the table data_{name} has no rows.")
    try:
        paths, file_index, slots = split_image_names(particles.columns[_image_label(particles)])
        metadata = metadata_of_tables(particles, tables.get("optics"))
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from None
    foreign = ForeignTables("relion", particles.columns, tables, name or "particles")
    return RelionParticles(paths, file_index, slots, replace(metadata, foreign=foreign))


def _image_label(table: StarTable) -> str:
    """Return the label of the column that names the images, or an empty string."""
    return next((label for label in _IMAGE_LABELS if label in table), "")


def split_image_names(
    names: TextColumn,
) -> tuple[tuple[str, ...], NDArray[np.int32], NDArray[np.int64]]:
    """Split `N@path` into paths, the path of each image, and its number from 0.

    A name without `@` is the only image of its file.
    """
    count = len(names)
    text = np.ascontiguousarray(names).view(np.uint8).reshape(count, -1)
    at = np.where((text == ord("@")).any(1), (text == ord("@")).argmax(1), -1)
    slots = np.zeros(count, np.int64)
    paths = np.empty(count, names.dtype)
    for position in np.unique(at):
        rows = np.flatnonzero(at == position)
        if position >= 0:
            slots[rows] = _image_numbers(text[rows, :position], rows, names) - 1
        rest = np.ascontiguousarray(text[rows, position + 1 :])
        width = rest.shape[1]
        paths[rows] = rest.view(f"S{width}").ravel() if width else b""
    if not paths.astype(bool).all():
        raise ValueError(f"image {np.flatnonzero(paths == b'')[0] + 1} has no file name")
    heads = np.flatnonzero(np.concatenate(([True], paths[1:] != paths[:-1])))
    unique, inverse = np.unique(paths[heads], return_inverse=True)
    lengths = np.diff(np.concatenate((heads, [count])))
    file_index = np.repeat(inverse.astype(np.int32), lengths)
    files = (without_type(name.decode("utf-8", "surrogateescape")) for name in unique)
    return tuple(files), file_index, slots


def split_image_name(name: bytes) -> tuple[int, str]:
    """Split one `N@path` into the number, from 0, and the path.

    Examples
    --------
    >>> split_image_name(b"000003@a.mrcs")
    (2, 'a.mrcs')
    """
    number, _, path = name.partition(b"@") if b"@" in name else (b"1", b"@", name)
    if not (path and number.isdigit() and len(number) < 19 and int(number) > 0):
        raise ValueError(f"has the name {_shown(name)}, not NUMBER@FILE")
    return int(number) - 1, without_type(path.decode("utf-8", "surrogateescape"))


def without_type(name: str) -> str:
    """Return the file behind a name that may say its type, as RELION writes stacks named `.mrc`.

    Examples
    --------
    >>> without_type("J20/extract/a.mrc:mrcs")
    'J20/extract/a.mrc'
    """
    file, _, kind = name.rpartition(":")
    return file if file and kind in ("mrcs", "mrc") else name


def _image_numbers(
    digits: NDArray[np.uint8], rows: NDArray[np.int64], names: TextColumn
) -> NDArray[np.int64]:
    """Read columns of digits (m, width) as whole numbers, from 1."""
    wrong = ((digits < ord("0")) | (digits > ord("9"))).any(1)
    if digits.shape[1] == 0 or digits.shape[1] > 18 or wrong.any():
        row = rows[int(np.argmax(wrong))]
        raise ValueError(f"image {row + 1} has the name {_shown(names[row])}, not NUMBER@FILE")
    numbers = np.zeros(len(digits), np.int64)
    for column in digits.T:
        numbers = numbers * 10 + (column.astype(np.int64) - ord("0"))
    if (numbers < 1).any():
        row = rows[int(np.argmax(numbers < 1))]
        raise ValueError(f"image {row + 1} has the name {_shown(names[row])}; numbers start at 1")
    return numbers


def _shown(value: bytes) -> str:
    return repr(value[:80].decode("utf-8", "replace"))


def metadata_of_tables(particles: StarTable, optics: StarTable | None) -> Metadata:
    """Gather the fields of `Metadata` from the particles' and the optics table.

    Raises
    ------
    ValueError
        When a value cannot be understood; the sentence names it.
    """
    rows = _optics_rows(particles, optics)
    known: dict[str, Any] = {}
    for field, label in NUMBERS.items():
        values = _column(particles, optics, rows, label)
        if values is not None:
            known[field] = values
    for field, label in WHOLE_NUMBERS.items():
        if label in particles:
            known[field] = _whole_numbers(particles, label)
    pixel_size = _pixel_size(particles, optics, rows)
    if pixel_size is not None:
        known["pixel_size_in_angstroms"] = pixel_size
    flipped = _column(particles, optics, rows, "rlnCtfDataArePhaseFlipped")
    if flipped is not None:
        known["phase_flipped"] = flipped == 1
    if "rlnMicrographName" in particles:
        known["micrograph"] = _strings(particles.columns["rlnMicrographName"])
    metadata = _without_placeholders(replace(unknown_metadata(len(particles)), **known))
    return replace(metadata, poses=_poses(particles, metadata.pixel_size_in_angstroms))


def _without_placeholders(metadata: Metadata) -> Metadata:
    """Take the optics of 0 kV, which stand for optics that are not known, as not known."""
    none = metadata.voltage_in_kilovolts <= 0
    if not none.any():
        return metadata
    unknown: dict[str, Any] = {
        name: np.where(none, np.nan, getattr(metadata, name))
        for name in list(_OPTICS_FIELDS)[_VOLTAGE:]
    }
    return replace(metadata, **unknown)


def _optics_rows(particles: StarTable, optics: StarTable | None) -> NDArray[np.int64] | None:
    """Return each particle's row of the optics table; None without such a table."""
    if optics is None or not len(optics) or "rlnOpticsGroup" not in optics:
        return None
    groups = _whole_numbers(optics, "rlnOpticsGroup")
    if len(np.unique(groups)) != len(groups):
        raise ValueError("the table data_optics has two rows for one optics group")
    if "rlnOpticsGroup" not in particles:
        if len(groups) > 1:
            raise ValueError("the particles have no column rlnOpticsGroup, so optics are unknown")
        return np.zeros(len(particles), np.int64)
    wanted = _whole_numbers(particles, "rlnOpticsGroup")
    order = np.argsort(groups)
    places = np.minimum(np.searchsorted(groups[order], wanted), len(groups) - 1)
    rows = order[places]
    wrong = np.flatnonzero(groups[rows] != wanted)
    if wrong.size:
        raise ValueError(
            f"image {wrong[0] + 1} is in optics group {wanted[wrong[0]]}, which data_optics lacks"
        )
    return rows


def _column(
    particles: StarTable, optics: StarTable | None, rows: NDArray[np.int64] | None, label: str
) -> NDArray[np.float64] | None:
    """Return a column of the particles' table, else that of their optics, else None."""
    if label in particles:
        return particles.numbers(label)
    if optics is not None and rows is not None and label in optics:
        return optics.numbers(label)[rows]
    return None


def _pixel_size(
    particles: StarTable, optics: StarTable | None, rows: NDArray[np.int64] | None
) -> NDArray[np.float64] | None:
    """Return pixel sizes in Angstroms: of the image, else detector's (um) over magnification."""
    for label in ("rlnImagePixelSize", "rlnPixelSize"):
        values = _column(particles, optics, rows, label)
        if values is not None:
            return np.where(values > 0, values, np.nan)
    detector = _column(particles, optics, rows, "rlnDetectorPixelSize")
    magnification = _column(particles, optics, rows, "rlnMagnification")
    if detector is None or magnification is None:
        return None
    usable = (magnification > 0) & (detector > 0)
    return np.where(usable, 1e4 * detector / np.where(usable, magnification, 1.0), np.nan)


def _poses(particles: StarTable, pixel_size: NDArray[np.float64]) -> PoseArray | None:
    """Return the poses when the table has them and their unit can be known."""
    if "rlnAnglePsi" not in particles:
        return None
    zero = np.zeros(len(particles))
    psi = particles.numbers("rlnAnglePsi")
    flip = particles.numbers("rlnIsFlip") if "rlnIsFlip" in particles else zero
    if "rlnOriginXAngst" in particles and "rlnOriginYAngst" in particles:
        if not np.isfinite(pixel_size).all():
            return None
        x, y = particles.numbers("rlnOriginXAngst"), particles.numbers("rlnOriginYAngst")
        return poses_from_relion(psi, x, y, flip != 0, pixel_size)
    x = particles.numbers("rlnOriginX") if "rlnOriginX" in particles else zero
    y = particles.numbers("rlnOriginY") if "rlnOriginY" in particles else zero
    return poses_from_relion(psi, x, y, flip != 0, 1.0)


def with_pixel_sizes_of_files(metadata: Metadata, sizes: NDArray[np.float64]) -> Metadata:
    """Fill in the pixel sizes (A, (n,)) of the files, and poses that only lacked these.

    Raises
    ------
    ValueError
        When the poses are no numbers.
    """
    metadata = metadata.with_pixel_sizes(sizes)
    if metadata.poses is not None:
        return metadata
    table = StarTable(dict(metadata.foreign.particles))
    return replace(metadata, poses=_poses(table, metadata.pixel_size_in_angstroms))


def _whole_numbers(table: StarTable, label: str) -> NDArray[np.int64]:
    values = table.numbers(label)
    wrong = np.flatnonzero((values != np.floor(values)) | (np.abs(values) > 2**53))
    if wrong.size:
        raise ValueError(f"row {wrong[0] + 1} of column {label} is not a whole number")
    return values.astype(np.int64)


def _strings(column: TextColumn) -> NDArray[np.object_]:
    """Decode text; equal neighbours share one string object."""

    def decode(values: TextColumn) -> NDArray[np.object_]:
        return np.array([value.decode("utf-8", "replace") for value in values], object)

    return by_runs(column, decode)


def write_particles_star(
    path: str | os.PathLike[str],
    stack: Stack,
    columns: Mapping[str, ArrayLike] | None = None,
    names_relative_to: str | os.PathLike[str] | None = None,
) -> None:
    """Write every particle of a stack, once and in order, as a RELION 3.1+ star.

    The columns of a RELION input are kept to the letter, except that optics of a 3.0 table move
    into `data_optics`; for any other input they are made from what is known.

    Parameters
    ----------
    path : path-like
        The star to write.
    stack : Stack
        The particles.
    columns : mapping of str to array-like (n,), optional
        Columns to add or replace, by label without the underscore.
    names_relative_to : path-like, optional
        Folder from which the image names are to resolve, by default that of `path`; RELION itself
        resolves them from its project folder.

    Raises
    ------
    InputError
        When a column has another length than the stack.
    """
    folder = Path(names_relative_to) if names_relative_to is not None else Path(path).parent
    table, optics, others = relion_tables(stack.metadata, stack.box_size)
    label = next((label for label in _IMAGE_LABELS if label in table), "rlnImageName")
    table = {label: _image_names(stack, folder), **{k: v for k, v in table.items() if k != label}}
    for name, values in (columns or {}).items():
        table[name] = text_column(values)
        if len(table[name]) != len(stack):
            raise InputError(
                f"{path}: column {name} has {len(table[name])} values for {len(stack)} particles."
            )
    name = stack.metadata.foreign.particles_name
    name = "particles" if name in ("", "images") else name
    write_star(path, {"optics": optics, name: StarTable(table), **others})


def relion_tables(
    metadata: Metadata, box_size: int | None = None
) -> tuple[dict[str, TextColumn], StarTable, dict[str, StarTable]]:
    """Return the particles' columns, the optics and the other tables in RELION 3.1's layout.

    Foreign tables of RELION are kept as they are; anything else is made from what is known.
    """
    foreign = metadata.foreign
    if foreign.kind == "relion":
        table, others = dict(foreign.particles), dict(foreign.others)
    else:
        table, others = _known_columns(metadata), {}
    optics = others.pop("optics", None)
    if optics is None or "rlnOpticsGroup" not in optics:
        optics, groups = _optics(metadata, box_size)
        table = {k: v for k, v in table.items() if k not in _MOVED_TO_OPTICS}
        table["rlnOpticsGroup"] = text_column(groups)
        _use_angstroms(table, metadata)
    elif "rlnOpticsGroup" not in table:
        first = optics.columns["rlnOpticsGroup"][:1]
        table["rlnOpticsGroup"] = np.repeat(first, len(metadata))
    return table, optics, others


def _image_names(stack: Stack, folder: Path) -> TextColumn:
    """Return `N@path` of each image, the path relative to a folder."""
    start = folder.resolve()
    names = [os.path.relpath(file.path.resolve(), start) + _type_of(file) for file in stack.files]
    prefix = np.char.add(b"@", np.array([os.fsencode(name) for name in names], "S"))
    numbers = np.char.zfill((stack.slots + 1).astype("S"), 6)
    return np.char.add(numbers, prefix[stack.file_index])


def _type_of(file: ImageFile) -> str:
    """Return what RELION needs behind the name of a file.

    It takes an MRC file for a stack only if its name ends in .mrcs, or if that is said behind a
    colon; cryoSPARC's stacks end in .mrc.
    """
    raw = isinstance(file, RawImages) and file.path.parent.name != "EMAN2DB"
    return ":mrcs" if raw and file.path.suffix != ".mrcs" else ""


def _known_columns(metadata: Metadata) -> dict[str, TextColumn]:
    """Make the particles' columns of what is known about every particle."""
    table: dict[str, TextColumn] = {}
    if metadata.micrograph.astype(bool).any():
        table["rlnMicrographName"] = text_column(metadata.micrograph.astype(str))
    for field, label in NUMBERS.items():
        values = getattr(metadata, field)
        if field not in _OPTICS_FIELDS and np.isfinite(values).any():
            table[label] = text_column(values)
    for field, label in WHOLE_NUMBERS.items():
        values = getattr(metadata, field)
        if (values >= 0).any():
            table[label] = text_column(values)
    if metadata.poses is not None:
        # Without a pixel size the origins stay in pixels, as RELION 3.0 had them.
        known = bool(np.isfinite(metadata.pixel_size_in_angstroms).all())
        unit = "Angst" if known else ""
        scale = metadata.pixel_size_in_angstroms if known else 1.0
        psi, x, y, flip = relion_from_poses(metadata.poses, scale)
        table["rlnAnglePsi"] = text_column(psi)
        table[f"rlnOriginX{unit}"], table[f"rlnOriginY{unit}"] = text_column(x), text_column(y)
        table["rlnIsFlip"] = text_column(flip)
    return table


def _optics(metadata: Metadata, box_size: int | None) -> tuple[StarTable, NDArray[np.int64]]:
    """Make the optics table: one group for each set of optics; and each particle's group."""
    values = np.stack([getattr(metadata, field) for field in _OPTICS_FIELDS], axis=1)
    flipped = metadata.phase_flipped
    keyed = np.column_stack(
        [metadata.optics_group, flipped, np.where(np.isnan(values), -1.0, values)]
    )
    unique, first, group = np.unique(keyed, axis=0, return_index=True, return_inverse=True)
    numbers = np.arange(1, len(unique) + 1)
    columns: dict[str, ArrayLike] = {
        "rlnOpticsGroup": numbers,
        "rlnOpticsGroupName": [f"opticsGroup{number}" for number in numbers],
    }
    for column, label in enumerate(_OPTICS_FIELDS.values()):
        known = np.isfinite(values[:, column])
        without_optics = column >= _VOLTAGE and not np.isfinite(values[~known, _VOLTAGE]).any()
        if known.all() or without_optics:
            # RELION refuses a table without voltage and aberration; 0 kV says: not known.
            columns[label] = np.nan_to_num(values[first, column], nan=0.0)
    if flipped.any():
        columns["rlnCtfDataArePhaseFlipped"] = flipped[first].astype(np.int8)
    if box_size is not None:
        columns["rlnImageSize"] = np.full(len(numbers), box_size)
    columns["rlnImageDimensionality"] = np.full(len(numbers), 2)
    table = StarTable({label: text_column(values) for label, values in columns.items()})
    return table, numbers[group.ravel()]


def _use_angstroms(table: dict[str, TextColumn], metadata: Metadata) -> None:
    """Replace origins in pixels (RELION 3.0) by origins in Angstroms, where the unit is known."""
    pixel_size = metadata.pixel_size_in_angstroms
    for old, new in (("rlnOriginX", "rlnOriginXAngst"), ("rlnOriginY", "rlnOriginYAngst")):
        if old in table and np.isfinite(pixel_size).all():
            table[new] = text_column(table.pop(old).astype(np.float64) * pixel_size)
