"""The page's data: what JavaScript draws, as one JSON document of lists and packed arrays."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.report.checks import bright_centre, has_rings, is_off_centre, touches_the_edge
from isac2.report.data import (
    ChainTable,
    MemberSample,
    MemberTable,
    ReportData,
    RingCorrelationTable,
)
from isac2.report.pictures import picture_address, sheets_of_images, to_bytes

__all__ = ["MOST_MEMBERS", "payload", "script_json"]

FORMAT = 1
MOST_MEMBERS = 300_000
"""Above this many members the page leaves out what it would say about each (17 bytes a member)."""

_LARGEST = {np.dtype(kind): np.iinfo(kind).max for kind in (np.uint8, np.uint16, np.int16)}


def payload(data: ReportData) -> dict[str, Any]:
    """Return everything the page's JavaScript needs, ready for `script_json`.

    Lists have one entry a class, in the classes' order; numbers not known are None. Packed arrays
    are base64 of little-endian integers, with the scale in the name's place below.
    """
    return {
        "format": FORMAT,
        "title": data.title,
        "stack": data.stack,
        "particles": data.particle_count,
        "pixelSize": _number(data.pixel_size_in_angstroms),
        "radius": _number(data.radius),
        "isFinished": data.is_finished,
        "classes": _classes(data),
        "chain": _chain(data.chain),
        "members": _members(data.members),
        "ringCorrelation": _ring_correlation(data.ring_correlation),
        "sample": _sample(data.sample),
        "generations": [
            {
                "main": row.main_iteration,
                "generation": row.generation,
                "images": row.images,
                "accounted": row.accounted,
            }
            for row in data.generations
        ],
        "phases": [{"name": row.name, "seconds": _number(row.seconds)} for row in data.phases],
        "initialAverage": _initial_average(data),
        "forming": _forming(data.forming),
    }


def script_json(document: Any) -> str:
    """Write a document as JSON that is safe inside a script element.

    Examples
    --------
    >>> script_json({"title": "</script><b>"})
    '{"title":"\\\\u003c/script\\\\u003e\\\\u003cb\\\\u003e"}'
    """
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _number(value: float, digits: int = 4) -> float | None:
    """Return a float that JSON can carry."""
    return round(float(value), digits) if math.isfinite(value) else None


def _numbers(values: NDArray[np.floating]) -> list[float | None]:
    return [_number(value) for value in values.tolist()]


def _packed(values: NDArray[Any], kind: type, scale: float = 1.0) -> str:
    """Scale, round and clip numbers to integers; what is not finite becomes the largest."""
    largest = _LARGEST[np.dtype(kind)]
    scaled = np.rint(np.nan_to_num(values * scale, nan=largest, posinf=largest))
    clipped = np.clip(scaled, np.iinfo(kind).min, largest)
    return _base64(clipped.astype(np.dtype(kind).newbyteorder("<")))


def _base64(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


def _classes(data: ReportData) -> dict[str, Any]:
    classes = data.classes
    sheets = sheets_of_images(classes.averages)
    off_centre: list[float | None] = [None] * len(classes.sizes)
    flags: list[list[str]] = [[] for _ in range(len(classes.sizes))]
    if math.isfinite(data.radius) and len(classes.sizes):
        centres = bright_centre(classes.averages, data.radius)
        off_centre = _numbers(np.hypot(centres[:, 0], centres[:, 1]))
        for name, found in (
            ("off centre", is_off_centre(classes.averages, data.radius)),
            ("bright at the edge of the disc", touches_the_edge(classes.averages, data.radius)),
            ("mostly rings", has_rings(classes.averages, data.radius)),
        ):
            for number in np.flatnonzero(found):
                flags[number].append(name)
    return {
        "box": sheets.box,
        "sheets": sheets.addresses,
        "window": sheets.windows.tolist(),
        "size": classes.sizes.tolist(),
        "tested": classes.tested.tolist(),
        "resolution": _numbers(classes.resolution_in_angstroms),
        "error": _numbers(classes.rms_pixel_error),
        "mirror": _numbers(classes.mirror_consistency),
        "main": classes.main_iteration.tolist(),
        "generation": classes.generation.tolist(),
        "offCentre": off_centre,
        "flags": flags,
    }


def _chain(chain: ChainTable | None) -> dict[str, Any] | None:
    if chain is None:
        return None
    return {
        "order": chain.order.tolist(),
        "alpha": _numbers(chain.alpha),
        "mirror": chain.mirror.tolist(),
    }


def _members(members: MemberTable | None) -> dict[str, str] | None:
    """Pack ids (int32) and, in hundredths of pixels, thousandths and parts of a turn, the rest."""
    if members is None or len(members.ids) > MOST_MEMBERS:
        return None
    turns = np.mod(members.poses["alpha"] / 360.0, 1.0)
    return {
        "ids": _base64(members.ids.astype("<i4")),
        "error": _packed(members.pixel_errors, np.uint16, 1000.0),
        "alpha": _packed(turns, np.uint16, 65535.0),
        "tx": _packed(members.poses["tx"], np.int16, 100.0),
        "ty": _packed(members.poses["ty"], np.int16, 100.0),
        "mirror": _packed(members.poses["mirror"], np.uint8),
    }


def _ring_correlation(table: RingCorrelationTable | None) -> dict[str, Any] | None:
    """Pack curves as bytes, 0 for -1 and 254 for 1."""
    if table is None or len(table.frequency) < 2:
        return None
    return {
        "step": _number(table.frequency[1] - table.frequency[0], 8),
        "rings": len(table.frequency),
        "curves": _packed((np.nan_to_num(table.correlation) + 1.0), np.uint8, 127.0),
    }


def _sample(sample: MemberSample | None) -> dict[str, Any] | None:
    if sample is None or len(sample.images) == 0:
        return None
    sheets = sheets_of_images(sample.images, lossy=True)
    return {
        "box": sheets.box,
        "sheets": sheets.addresses,
        "window": sheets.windows.tolist(),
        "member": sample.member.tolist(),
    }


def _forming(averages: NDArray[np.float32] | None) -> dict[str, Any] | None:
    if averages is None or len(averages) == 0:
        return None
    sheets = sheets_of_images(averages)
    return {
        "box": sheets.box,
        "sheets": sheets.addresses,
        "window": sheets.windows.tolist(),
        "count": len(averages),
    }


def _initial_average(data: ReportData) -> dict[str, Any] | None:
    average = data.initial_average
    if average is None:
        return None
    greys, _ = to_bytes(average[np.newaxis])
    centre = None
    if math.isfinite(data.radius):
        centre = _numbers(bright_centre(average[np.newaxis], data.radius)[0])
    return {"box": average.shape[-1], "address": picture_address(greys[0]), "centre": centre}
