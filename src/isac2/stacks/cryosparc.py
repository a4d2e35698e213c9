"""cryoSPARC's tables, `.cs`: a NumPy structured array, and a second one joined on `uid`.

Nothing is unpickled: arrays of objects are refused. Field names are those of cryoSPARC 2 to 4.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import ArrayLike, NDArray

from isac2.errors import InputError
from isac2.files import atomic_path
from isac2.poses import PoseArray, cryosparc_from_poses, poses_from_cryosparc
from isac2.stacks._regular import refuse_special_file
from isac2.stacks.faults import Faults
from isac2.stacks.image_files import open_named_files
from isac2.stacks.metadata import ForeignTables, Metadata, unknown_metadata
from isac2.stacks.stack import Stack

__all__ = [
    "class_columns",
    "images_of_columns",
    "metadata_of_readable",
    "open_cryosparc",
    "pose_columns",
    "read_cs",
    "read_cs_columns",
    "write_cs",
    "write_particles_cs",
]

_LONGEST_HEADER = 1 << 17

MIRROR = "isac2/mirror"
"""Our own field: 1 where a pose holds against the mirrored average, which cryoSPARC cannot say."""

ACCOUNTED = "isac2/accounted"
"""Our own field: 0 where a particle is in no class, which cryoSPARC cannot say either."""

NUMBERS = {
    "pixel_size_in_angstroms": ("blob/psize_A", 1.0),
    "voltage_in_kilovolts": ("ctf/accel_kv", 1.0),
    "spherical_aberration_in_millimetres": ("ctf/cs_mm", 1.0),
    "amplitude_contrast": ("ctf/amp_contrast", 1.0),
    "defocus_u_in_angstroms": ("ctf/df1_A", 1.0),
    "defocus_v_in_angstroms": ("ctf/df2_A", 1.0),
    "defocus_angle_in_degrees": ("ctf/df_angle_rad", 180.0 / np.pi),
    "phase_shift_in_degrees": ("ctf/phase_shift_rad", 180.0 / np.pi),
    "psi_prior_in_degrees": ("filament/filament_pose", 180.0 / np.pi),
}
"""Fields of `Metadata` by cryoSPARC's field and the factor to our unit."""

_TOGETHER = {
    "location/center_x_frac": ("location/micrograph_shape",),
    "location/center_y_frac": ("location/micrograph_shape",),
    "location/micrograph_shape": ("location/center_x_frac", "location/center_y_frac"),
    "alignments2D/pose": ("alignments2D/shift",),
    "alignments2D/shift": ("alignments2D/pose",),
    "alignments2D/psize_A": ("alignments2D/pose", "alignments2D/shift", "blob/psize_A"),
    MIRROR: ("alignments2D/pose", "alignments2D/shift"),
    ACCOUNTED: ("alignments2D/class",),
}
"""Fields that mean something only beside others."""


def read_cs(path: Path, faults: Faults | None = None) -> NDArray[Any]:
    """Read one `.cs` file as a structured array (n,).

    With faults that are collected, a file that is cut short is read as far as it goes.

    Raises
    ------
    InputError
        When it is none, holds objects, or is shorter or longer than its header says.
    """
    refuse_special_file(path)
    try:
        with open(path, "rb") as file:
            shape, dtype = _read_header(file)
            place = file.tell()
            size = os.fstat(file.fileno()).st_size - place
            if dtype.names is None or len(shape) != 1 or dtype.hasobject:
                held = "Python objects" if dtype.hasobject else "no table"
                raise ValueError(f"it holds {held}")
            if size != shape[0] * dtype.itemsize:
                (faults or Faults()).add(
                    f"{path} is not a readable .cs file: its header promises {shape[0]} rows of "
                    f"{dtype.itemsize} bytes, but {size} bytes follow."
                )
            return np.fromfile(file, dtype, min(shape[0], size // max(1, dtype.itemsize)))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise InputError(f"{path} is not a readable .cs file: {_first_line(error)}.") from None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:200]


def _read_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the header of a .npy file, versions 1 to 3."""
    if file.read(6)[1:] == b"CSDAT":
        raise ValueError(
            "it is in cryoSPARC's stream format; save it in NumPy's (cryosparc-tools: "
            "Dataset.load(old).save(new))"
        )
    file.seek(0)
    try:
        version = npy.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = npy.read_array_header_1_0(file, _LONGEST_HEADER)
        else:
            shape, _, dtype = npy.read_array_header_2_0(file, _LONGEST_HEADER)
    except Exception as error:
        # NumPy parses the header as Python text, and raises almost anything on broken text.
        raise ValueError(f"it has a broken header ({_first_line(error)})") from None
    if any(side < 0 for side in shape):
        raise ValueError("it has a broken header")
    return shape, dtype


def open_cryosparc(path: Path, root: Path | None = None) -> Stack:
    """Open a `.cs` of particles; fields it lacks are taken from passthrough files beside it.

    Raises
    ------
    InputError
        When it is no table of particles, or names files that are missing or broken.
    """
    columns = read_cs_columns(path, Faults())
    names, slots = images_of_columns(path, columns)
    unique, inverse = np.unique(names, return_inverse=True)
    files = open_named_files(path, [str(name) for name in unique], root)
    try:
        metadata = _metadata(columns, len(names))
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(f"{path} has fields of the wrong kind: {_first_line(error)}.") from None
    headers = np.array([file.pixel_size_in_angstroms for file in files])[inverse]
    foreign = ForeignTables("cryosparc", columns)
    metadata = replace(metadata.with_pixel_sizes(headers), foreign=foreign)
    return Stack(path, "cryoSPARC table", files, inverse.astype(np.int32), slots, metadata)


def read_cs_columns(path: Path, faults: Faults) -> dict[str, NDArray[Any]]:
    """Return the fields of a `.cs`, those of its passthrough file joined.

    Raises
    ------
    InputError
        When nothing of it can be read.
    """
    table = read_cs(path, faults)
    columns = {name: table[name] for name in table.dtype.names or ()}
    passthrough = _passthrough_file(path)
    if passthrough is not None:
        try:
            _join(columns, passthrough)
        except InputError as error:
            faults.add(str(error))
    return columns


def images_of_columns(
    path: Path, columns: Mapping[str, NDArray[Any]]
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Return the name of each image's file, and the image's number in it, from 0.

    Raises
    ------
    InputError
        When the fields name no images.
    """
    if "blob/path" not in columns or "blob/idx" not in columns:
        raise InputError(f"{path} has no blob/path and blob/idx, so it lists no images.")
    stored = _text(columns["blob/path"])
    names = np.empty(stored.size, object)
    names[:] = [str(name).lstrip(">") for name in stored.ravel().tolist()]
    count = len(columns["blob/path"])
    try:
        return names.reshape(count), columns["blob/idx"].astype(np.int64).reshape(count)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} has fields of the wrong kind: {_first_line(error)}.") from None


def metadata_of_readable(
    path: Path, columns: Mapping[str, NDArray[Any]], faults: Faults
) -> Metadata:
    """Report fields that are not what they should be, and return what the others say."""
    count = len(next(iter(columns.values()), ()))
    good: dict[str, NDArray[Any]] = {}
    if "uid" in columns and len(np.unique(columns["uid"])) < count:
        faults.add(f"{path} has particles with the same uid, so cryoSPARC cannot tell them apart.")
    for name, column in columns.items():
        part = {key: good[key] for key in _TOGETHER.get(name, ()) if key in good}
        try:
            _metadata({**part, name: column}, count)
            good[name] = column
        except (ValueError, TypeError, IndexError, InputError) as error:
            faults.add(f"{path}: the field {name} is of the wrong kind ({_first_line(error)}).")
    try:
        return _metadata(good, count)
    except (ValueError, TypeError, IndexError, InputError) as error:
        faults.add(f"{path} has fields that do not go together ({_first_line(error)}).")
        return unknown_metadata(count)


def _passthrough_file(path: Path) -> Path | None:
    """Return the passthrough table of the same job and the same kind of result.

    `cryosparc_P1_J5_020_particles.cs` (to version 3) has `P1_J5_passthrough_particles.cs` beside
    it, `J5_020_particles.cs` has `J5_passthrough_particles.cs`, and `particles_selected.cs` the
    only `..._passthrough_particles_selected.cs` there is.
    """
    if "passthrough" in path.name:
        return None
    job = re.match(r"(?:.*?_)?J\d+(?=_)", path.name)
    if job is not None:
        kind = re.sub(r"^.*?J\d+_(?:\d+_)?", "", path.name)
        names = [f"{job[0]}_passthrough_{kind}"]
        names.append(names[0].removeprefix("cryosparc_"))
    else:
        names = [f"passthrough_{path.name}"]
        found = [place.name for place in path.parent.glob("*J*_passthrough_*.cs")]
        of_this = [name for name in found if re.sub(r"^.*J\d+_passthrough_", "", name) == path.name]
        names += of_this if len(of_this) == 1 else []
    places = [path.with_name(name) for name in names]
    return next((place for place in places if place.is_file()), None)


def _join(columns: dict[str, NDArray[Any]], passthrough: Path) -> None:
    """Add the fields of a passthrough table that are not there yet, joined on `uid`."""
    other = read_cs(passthrough)
    if "uid" not in columns or "uid" not in (other.dtype.names or ()):
        raise InputError(f"{passthrough} cannot be joined: there is no field uid on both sides.")
    order = np.argsort(other["uid"], kind="stable")
    known = other["uid"][order]
    places = np.minimum(np.searchsorted(known, columns["uid"]), len(known) - 1)
    if not len(known) or (known[places] != columns["uid"]).any():
        raise InputError(f"{passthrough} lacks particles of the table beside it (by uid).")
    for name in other.dtype.names or ():
        if name not in columns:
            columns[name] = other[name][order[places]]


def _text(column: NDArray[Any]) -> NDArray[np.object_]:
    """Return text, bytes or not, as Python strings."""
    if column.dtype.kind not in "SU":
        raise InputError("the field blob/path of a .cs file is not text.")
    if column.dtype.kind == "U":
        return column.astype(object)
    unique, inverse = np.unique(column, return_inverse=True)
    decoded = np.array([value.decode("utf-8", "surrogateescape") for value in unique], object)
    return decoded[inverse]


def _metadata(columns: Mapping[str, NDArray[Any]], count: int) -> Metadata:
    """Gather the fields of `Metadata`."""
    known: dict[str, Any] = {}
    for field, (name, factor) in NUMBERS.items():
        if name in columns:
            known[field] = columns[name].astype(np.float64).reshape(count) * factor
    if "ctf/exp_group_id" in columns:
        known["optics_group"] = columns["ctf/exp_group_id"].astype(np.int64).reshape(count)
    if "alignments2D/class" in columns:
        known["class_number"] = _class_numbers(columns).reshape(count)
    if "location/micrograph_path" in columns:
        known["micrograph"] = _text(columns["location/micrograph_path"]).reshape(count)
    shape = columns.get("location/micrograph_shape")
    for field, name, axis in (
        ("coordinate_x", "location/center_x_frac", 1),
        ("coordinate_y", "location/center_y_frac", 0),
    ):
        if name in columns and shape is not None:
            known[field] = columns[name].astype(np.float64).reshape(count) * shape[:, axis]
    if "filament/filament_uid" in columns:
        _, tubes = np.unique(columns["filament/filament_uid"], return_inverse=True)
        known["tube_id"] = tubes.astype(np.int64).reshape(count) + 1
    metadata = replace(unknown_metadata(count), **known)
    if "alignments2D/pose" in columns and "alignments2D/shift" in columns:
        shift = columns["alignments2D/shift"].astype(np.float64).reshape(count, 2)
        psize = columns.get("alignments2D/psize_A")
        if psize is not None and np.isfinite(metadata.pixel_size_in_angstroms).all():
            with np.errstate(divide="ignore", invalid="ignore"):  # a pose that is no number, then
                scale = psize.astype(np.float64).reshape(count) / metadata.pixel_size_in_angstroms
                shift *= scale[:, None]
        pose = columns["alignments2D/pose"].astype(np.float64).reshape(count)
        flip = columns.get(MIRROR, np.zeros(count, np.uint8)).reshape(count)
        metadata = replace(metadata, poses=poses_from_cryosparc(pose, shift, flip != 0))
    return metadata


def _class_numbers(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Return classes from 1; 0 where our own field says that a particle is in none."""
    numbers = columns["alignments2D/class"].astype(np.int64) + 1
    accounted = columns.get(ACCOUNTED)
    return numbers if accounted is None else np.where(accounted != 0, numbers, 0)


def write_cs(path: str | os.PathLike[str], columns: Mapping[str, ArrayLike]) -> None:
    """Write columns (n, ...) as a `.cs` file, whole or not at all.

    Text is stored as bytes; columns of Python objects are not written.

    Raises
    ------
    InputError
        When columns differ in length or hold objects.
    """
    arrays = {name: _storable(np.asarray(values)) for name, values in columns.items()}
    lengths = {len(array) for array in arrays.values()}
    if len(lengths) != 1 or any(array.dtype.hasobject for array in arrays.values()):
        raise InputError(f"{path}: the columns differ in length or hold Python objects.")
    dtype = np.dtype([(name, array.dtype, array.shape[1:]) for name, array in arrays.items()])
    table = np.empty(lengths.pop(), dtype)
    for name, array in arrays.items():
        table[name] = array
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        npy.write_array(file, table, allow_pickle=False)


def _storable(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind in "UO" and all(isinstance(value, str) for value in array.flat):
        return np.asarray(np.char.encode(array.astype(str), "utf-8", "surrogateescape"), np.bytes_)
    return array


def write_particles_cs(
    path: str | os.PathLike[str],
    stack: Stack,
    columns: Mapping[str, ArrayLike] | None = None,
    names_relative_to: str | os.PathLike[str] | None = None,
) -> None:
    """Write every particle of a stack, once and in order, as a cryoSPARC table.

    The fields of a cryoSPARC input are kept; for any other input they are made from what is known.

    Parameters
    ----------
    path : path-like
        The table to write.
    stack : Stack
        Images in MRC files.
    columns : mapping of str to array-like (n, ...), optional
        Fields to add or replace.
    names_relative_to : path-like, optional
        Folder from which `blob/path` is to resolve, by default that of `path`; cryoSPARC itself
        resolves it from the project's folder.
    """
    folder = Path(names_relative_to) if names_relative_to is not None else Path(path).parent
    if stack.metadata.foreign.kind == "cryosparc":
        table = dict(stack.metadata.foreign.particles)
    else:
        table = _known_columns(stack)
    names = [os.path.relpath(file.path.resolve(), folder.resolve()) for file in stack.files]
    encoded = np.array([os.fsencode(name) for name in names], np.bytes_)
    table["blob/path"] = encoded[stack.file_index]
    table["blob/idx"] = stack.slots.astype(np.uint32)
    for name, values in (columns or {}).items():
        table[name] = np.asarray(values)
        if len(table[name]) != len(stack):
            raise InputError(
                f"{path}: field {name} has {len(table[name])} values for {len(stack)} particles."
            )
    write_cs(path, {"uid": table.pop("uid"), **table})


def _known_columns(stack: Stack) -> dict[str, NDArray[Any]]:
    """Make cryoSPARC's fields of what is known about every particle."""
    metadata, count = stack.metadata, len(stack)
    table: dict[str, NDArray[Any]] = {
        "uid": _unique_ids(count),
        "blob/path": np.empty(count, "S1"),
        "blob/idx": np.empty(count, np.uint32),
        "blob/shape": np.full((count, 2), stack.box_size, np.uint32),
    }
    for field, (name, factor) in NUMBERS.items():
        values = getattr(metadata, field)
        if np.isfinite(values).all():
            table[name] = (values / factor).astype(np.float32)
    if (metadata.optics_group >= 0).all():
        table["ctf/exp_group_id"] = metadata.optics_group.astype(np.uint32)
    if metadata.micrograph.astype(bool).all():
        table["location/micrograph_path"] = _storable(metadata.micrograph)
    if metadata.poses is not None:
        table.update(pose_columns(metadata.poses, metadata.pixel_size_in_angstroms))
    if (metadata.tube_id >= 0).all():
        names = zip(metadata.micrograph.tolist(), metadata.tube_id.tolist(), strict=True)
        numbers: dict[tuple[str, int], int] = {}
        tubes = [numbers.setdefault(name, len(numbers) + 1) for name in names]
        table["filament/filament_uid"] = np.array(tubes, np.uint64)
    if (metadata.class_number >= 0).all():
        table.update(class_columns(metadata.class_number))
    return table


def class_columns(class_number: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return the fields of classes counted from 1; 0, no class, becomes one more class at the end.

    cryoSPARC counts classes from 0 and puts every particle into one.
    """
    accounted = class_number > 0
    last = int(class_number.max(initial=0))
    numbers = np.where(accounted, class_number - 1, last).astype(np.uint32)
    table: dict[str, NDArray[Any]] = {"alignments2D/class": numbers}
    if not accounted.all():
        table[ACCOUNTED] = accounted.astype(np.uint8)
    return table


def pose_columns(
    poses: PoseArray, pixel_size_in_angstroms: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """Return the `alignments2D` fields of poses (n,), and our own field where any is mirrored."""
    pose, shift, mirror = cryosparc_from_poses(poses)
    table: dict[str, NDArray[Any]] = {
        "alignments2D/pose": pose.astype(np.float32),
        "alignments2D/shift": shift.astype(np.float32),
    }
    if np.isfinite(pixel_size_in_angstroms).all():
        table["alignments2D/psize_A"] = pixel_size_in_angstroms.astype(np.float32)
    if mirror.any():
        table[MIRROR] = mirror.astype(np.uint8)
    return table


def _unique_ids(count: int) -> NDArray[np.uint64]:
    """Return distinct 64-bit numbers, always the same (the SplitMix64 sequence)."""
    with np.errstate(over="ignore"):
        state = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
