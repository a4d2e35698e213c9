"""EMAN2's image headers: dictionaries of numbers, text, lists and transforms, and what they mean.

The same keys are found in HDF attributes, in BDB records and behind the names in LST files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isac2.poses import eman_matrix_from_poses, poses_from_eman_matrix
from isac2.stacks._eman_attributes import HeaderValue
from isac2.stacks.metadata import ForeignTables, Metadata, unknown_metadata

__all__ = [
    "HeaderValue",
    "format_eman_ctf",
    "headers_from_metadata",
    "metadata_from_headers",
    "metadata_of_readable",
    "parse_eman_ctf",
]

_DEGREES = 180.0 / math.pi

_CTF_FIELDS = (
    "defocus_u_in_angstroms",
    "defocus_v_in_angstroms",
    "defocus_angle_in_degrees",
    "phase_shift_in_degrees",
    "amplitude_contrast",
    "voltage_in_kilovolts",
    "spherical_aberration_in_millimetres",
)

PIXEL_KEYS = frozenset(
    """
    nx ny nz apix_x apix_y apix_z is_complex is_complex_x is_complex_ri is_fftodd is_fftpad npad
    datatype HostEndian ImageEndian changecount minimum maximum mean sigma mean_nonzero
    sigma_nonzero square_sum data_path data_n data_source stored_renderbits stored_rendermin
    stored_rendermax stored_truncated render_compress_level render_min render_max
    """.split()  # noqa: SIM905
)
"""Keys that describe the pixels as stored, so they are made anew when pixels are written."""


def parse_eman_ctf(text: str) -> dict[str, float]:
    """Read EMAN2's CTF string in RELION's terms.

    Parameters
    ----------
    text : str
        `E<defocus um> <difference um> <angle deg> <B A^2> <amplitude %> <kV> <Cs mm> <A/px> ...`

    Returns
    -------
    dict of str to float
        Fields of `Metadata`.

    Raises
    ------
    ValueError
        When the text is not of this kind.

    Amplitude percentages beyond 100 stand for phases beyond a quarter of a turn (phase plates);
    they become a phase shift without amplitude contrast.

    Examples
    --------
    >>> ctf = parse_eman_ctf("E1.5 0.02 33 0 10 300 2.7 2 0 0 0")
    >>> ctf["defocus_u_in_angstroms"], ctf["defocus_angle_in_degrees"], ctf["amplitude_contrast"]
    (14900.0, 12.0, 0.1)
    """
    if not text.startswith("E"):
        raise ValueError(f"the CTF {text[:40]!r} is not one of EMAN2")
    try:
        numbers = [float(word) for word in text[1:].split()[:8]]
    except ValueError:
        raise ValueError(f"the CTF {text[:40]!r} holds something else than numbers") from None
    if len(numbers) < 8 or not np.isfinite(numbers).all():
        raise ValueError(f"the CTF {text[:40]!r} does not have eight numbers")
    defocus, difference, angle, _, percent, voltage, aberration, pixel_size = numbers
    contrast, shift = percent / 100.0, 0.0
    if contrast > 1.0 or contrast <= -1.0:
        contrast, shift = 0.0, _phase_of_percent(percent) * _DEGREES
    return {
        # EMAN2 computes in float32; a thousandth of an Angstrom is below its rounding.
        "defocus_u_in_angstroms": round(1e4 * (defocus - difference / 2.0), 3),
        "defocus_v_in_angstroms": round(1e4 * (defocus + difference / 2.0), 3),
        "defocus_angle_in_degrees": 45.0 - angle,
        "phase_shift_in_degrees": shift,
        "amplitude_contrast": contrast,
        "voltage_in_kilovolts": voltage,
        "spherical_aberration_in_millimetres": aberration,
        "pixel_size_in_angstroms": pixel_size,
    }


def _phase_of_percent(percent: float) -> float:
    """Return the phase, radians, that an amplitude percentage beyond 100 stands for."""
    if percent > 0:
        return math.pi - math.asin(max(-1.0, 2.0 - percent / 100.0))
    return -math.pi - math.asin(min(1.0, -2.0 - percent / 100.0))


def _percent_of_phase(phase: float) -> float:
    """Return the amplitude percentage that stands for a phase in radians; inverse of the above."""
    phase = math.remainder(phase, 2.0 * math.pi)
    if phase > math.pi / 2.0:
        return 100.0 * (2.0 - math.sin(phase))
    if phase < -math.pi / 2.0:
        return -100.0 * (2.0 + math.sin(phase))
    return 100.0 * math.sin(phase)


def format_eman_ctf(
    defocus_u_in_angstroms: float,
    defocus_v_in_angstroms: float,
    defocus_angle_in_degrees: float,
    phase_shift_in_degrees: float,
    amplitude_contrast: float,
    voltage_in_kilovolts: float,
    spherical_aberration_in_millimetres: float,
    pixel_size_in_angstroms: float,
) -> str:
    """Write a CTF as EMAN2's string; the inverse of `parse_eman_ctf`.

    EMAN2 keeps the difference of the defoci positive, so U and V may come back exchanged and the
    angle turned by 90 degrees, which is the same CTF.

    Examples
    --------
    >>> format_eman_ctf(14900.0, 15100.0, 12.0, 0.0, 0.1, 300.0, 2.7, 2.0)
    'E1.5 0.02 33 0 10 300 2.7 2 0 0 0'
    """
    defocus = (defocus_u_in_angstroms + defocus_v_in_angstroms) / 2e4
    difference = (defocus_v_in_angstroms - defocus_u_in_angstroms) / 1e4
    angle = 45.0 - defocus_angle_in_degrees
    if difference < 0:
        difference, angle = -difference, angle + 90.0
    percent = 100.0 * amplitude_contrast
    if math.isfinite(phase_shift_in_degrees) and phase_shift_in_degrees != 0.0:
        phase = math.asin(max(-1.0, min(1.0, amplitude_contrast)))
        percent = _percent_of_phase(phase + phase_shift_in_degrees / _DEGREES)
    numbers = [defocus, difference, angle, 0.0, percent, voltage_in_kilovolts]
    numbers += [spherical_aberration_in_millimetres, pixel_size_in_angstroms]
    return "E" + " ".join(f"{number:1.9g}" for number in numbers) + " 0 0 0"


def metadata_from_headers(headers: Sequence[Mapping[str, HeaderValue]]) -> Metadata:
    """Gather what EMAN2's headers of n images say.

    The pixel size is `apix_x`, unless that is EMAN2's default of 1 and the CTF knows better.

    Raises
    ------
    ValueError
        When a header has a value of the wrong kind; the sentence names the image, from 1.
    """
    metadata = unknown_metadata(len(headers))
    columns = {name: getattr(metadata, name) for name in (*_CTF_FIELDS, "pixel_size_in_angstroms")}
    for name in ("coordinate_x", "coordinate_y", "psi_prior_in_degrees"):
        columns[name] = getattr(metadata, name)
    for name in ("micrograph", "original_id", "tube_id", "class_number", "phase_flipped"):
        columns[name] = getattr(metadata, name)
    matrices = np.tile(np.eye(3, 4), (len(headers), 1, 1))
    tubes: dict[str, int] = {}
    has_poses = False
    for row, header in enumerate(headers):
        try:
            for name, value in _header_fields(header, tubes).items():
                columns[name][row] = value
            if "xform.align2d" in header:
                matrices[row] = header["xform.align2d"]
                has_poses = True
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"image {row + 1}: {error}") from None
    poses = poses_from_eman_matrix(matrices) if has_poses else None
    foreign = ForeignTables("eman2", _columns_of(headers))
    return replace(metadata, poses=poses, foreign=foreign, **columns)


def metadata_of_readable(
    headers: Mapping[int, Mapping[str, HeaderValue]], report: Callable[[str], None]
) -> Metadata:
    """Gather what can be understood of headers by their images' numbers, reporting the rest."""
    try:
        return metadata_from_headers(list(headers.values()))
    except ValueError:
        good: list[dict[str, HeaderValue]] = []
        for number, header in headers.items():
            good.append({})
            for key, value in header.items():
                try:
                    metadata_from_headers([{key: value}])
                    good[-1][key] = value
                except ValueError as error:
                    report(f"image {number + 1}: {str(error).partition(': ')[2]}")
        return metadata_from_headers(good)


def _header_fields(header: Mapping[str, HeaderValue], tubes: dict[str, int]) -> dict[str, Any]:
    """Return the fields of `Metadata` that one header knows."""
    fields: dict[str, Any] = {}
    if "ctf" in header and str(header["ctf"]).startswith("E"):
        fields.update(parse_eman_ctf(str(header["ctf"])))
    from_ctf = fields.pop("pixel_size_in_angstroms", math.nan)
    pixel_size = float(header.get("apix_x", math.nan))
    if not pixel_size > 0 or (pixel_size == 1.0 and from_ctf > 0):
        pixel_size = from_ctf
    if pixel_size > 0:
        fields["pixel_size_in_angstroms"] = pixel_size
    if "ptcl_source_coord" in header:
        x, y = (float(value) for value in list(header["ptcl_source_coord"])[:2])
        fields["coordinate_x"], fields["coordinate_y"] = x, y
    if "ptcl_source_image" in header:
        fields["micrograph"] = str(header["ptcl_source_image"])
    if "segment_angle" in header:
        fields["psi_prior_in_degrees"] = float(header["segment_angle"])
    if "ctf_applied" in header:
        fields["phase_flipped"] = int(header["ctf_applied"]) == 1
    if "class_id" in header:
        fields["class_number"] = int(header["class_id"]) + 1
    if "originalid" in header:
        fields["original_id"] = int(header["originalid"])
    for key in ("filament_id", "filament"):
        if key in header:
            name = str(header[key])
            fields["tube_id"] = tubes.setdefault(name, len(tubes) + 1)
            break
    return fields


def _columns_of(headers: Sequence[Mapping[str, HeaderValue]]) -> dict[str, NDArray[np.object_]]:
    """Turn headers into columns of objects, None where a header lacks a key."""
    columns: dict[str, NDArray[np.object_]] = {}
    for row, header in enumerate(headers):
        for key, value in header.items():
            if key not in columns:
                columns[key] = np.full(len(headers), None, object)
            columns[key][row] = value
    return columns


def headers_from_metadata(
    metadata: Metadata, columns: Mapping[str, ArrayLike] | None = None
) -> list[dict[str, HeaderValue]]:
    """Make EMAN2's headers of what is known; the inverse of `metadata_from_headers`.

    Foreign keys of an EMAN2 input are kept, but for those that describe the stored pixels.

    Parameters
    ----------
    metadata : Metadata
        Of n images.
    columns : mapping of str to array-like (n, ...), optional
        Keys to add or replace.
    """
    headers: list[dict[str, HeaderValue]] = [{} for _ in range(len(metadata))]
    if metadata.foreign.kind == "eman2":
        for key, column in metadata.foreign.particles.items():
            if key in PIXEL_KEYS:
                continue
            for header, value in zip(headers, column, strict=True):
                if value is not None:
                    header[key] = value
    else:
        _add_known(headers, metadata)
    for header, pixel_size in zip(headers, metadata.pixel_size_in_angstroms, strict=True):
        if np.isfinite(pixel_size):
            header.update(apix_x=pixel_size, apix_y=pixel_size, apix_z=pixel_size)
    for key, values in (columns or {}).items():
        for header, value in zip(headers, np.asarray(values), strict=True):
            header[key] = value
    return headers


def _add_known(headers: list[dict[str, HeaderValue]], metadata: Metadata) -> None:
    """Fill headers with what the table knows."""
    ctf = np.stack([getattr(metadata, name) for name in _CTF_FIELDS], axis=1)
    pixel_size = np.nan_to_num(metadata.pixel_size_in_angstroms, nan=0.0)
    matrices = None if metadata.poses is None else eman_matrix_from_poses(metadata.poses)
    without_shift = [i for i, name in enumerate(_CTF_FIELDS) if name != "phase_shift_in_degrees"]
    has_ctf = np.isfinite(ctf[:, without_shift]).all(axis=1)
    for row, header in enumerate(headers):
        if has_ctf[row]:
            values = dict(zip(_CTF_FIELDS, map(float, ctf[row]), strict=True))
            header["ctf"] = format_eman_ctf(
                **values, pixel_size_in_angstroms=float(pixel_size[row])
            )
            header["ctf_applied"] = int(metadata.phase_flipped[row])
        if np.isfinite(metadata.coordinate_x[row] + metadata.coordinate_y[row]):
            place = [metadata.coordinate_x[row], metadata.coordinate_y[row]]
            whole = all(value == round(value) for value in place)
            header["ptcl_source_coord"] = [round(v) for v in place] if whole else place
        if metadata.micrograph[row]:
            header["ptcl_source_image"] = str(metadata.micrograph[row])
        if np.isfinite(metadata.psi_prior_in_degrees[row]):
            header["segment_angle"] = float(metadata.psi_prior_in_degrees[row])
        if metadata.tube_id[row] >= 0:
            header["filament_id"] = f"{metadata.micrograph[row]}:{metadata.tube_id[row]}"
        if metadata.original_id[row] >= 0:
            header["originalid"] = int(metadata.original_id[row])
        if metadata.class_number[row] >= 0:
            header["class_id"] = int(metadata.class_number[row]) - 1
        if matrices is not None:
            header["xform.align2d"] = matrices[row]
