"""Saving the state of a run so that it can go on after it was stopped at any moment.

A checkpoint is one ``.npz`` file, written atomically: arrays, a JSON document for everything small,
and a SHA-256 over both. Nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import socket
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.likely_centres import Spread
from isac2.clustering.state import IsacState, Pools, StableGroup
from isac2.errors import RunError
from isac2.files import atomic_path
from isac2.run.communication import Ranks

__all__ = [
    "DamagedStateError",
    "check_same",
    "is_as_saved",
    "load_arrays",
    "load_pools",
    "load_prealignment",
    "load_state",
    "save_arrays",
    "save_checksums",
    "save_prealignment",
    "save_state",
]

Arrays = dict[str, NDArray[Any]]

_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the same state makes the same bytes
_DOCUMENT, _CHECKSUM = "document", "checksum"
_ADDED_LATER = ("pools",)  # states without it are read too
_CHUNK_BYTES = 2**24


class DamagedStateError(RunError):
    """What was saved is not there any more, or not as it was saved."""


def check_same(ranks: Ranks, state: IsacState | Pools) -> None:
    """Check that all ranks have come to the same state.

    Raises
    ------
    RunError
        They have not: processors of different kinds may round differently.
    """
    if ranks.count == 1:
        return
    here = socket.gethostname()

    def digest() -> tuple[str, bytes]:
        arrays, document = _pack_state(state)
        arrays[_DOCUMENT] = np.frombuffer(json.dumps(document, sort_keys=True).encode(), np.uint8)
        return here, _digest(arrays)

    found = ranks.all(digest)
    others = sorted({host for host, value in found if value != found[0][1]})
    if others:
        raise RunError(
            f"{' and '.join(others)} and {found[0][0]} came to different results, which differing "
            "processors or libraries can do: use machines of one kind, and give the same command "
            "again, which goes on from the last saved point."
        )


def save_state(path: Path, state: IsacState | Pools) -> None:
    """Write the whole state of the method to `path`, or that of the pools around it."""
    arrays, document = _pack_state(state)
    save_arrays(path, arrays, document)


def _pack_state(state: IsacState | Pools) -> tuple[Arrays, dict[str, Any]]:
    """Return the state as arrays, and everything small."""
    arrays: Arrays = {}
    document: dict[str, Any] = {}
    for entry in fields(state):
        value = getattr(state, entry.name)
        if isinstance(value, np.ndarray):
            arrays[entry.name] = value
        elif isinstance(value, tuple) and all(isinstance(item, StableGroup) for item in value):
            document[entry.name] = _pack_groups(entry.name, value, arrays)
        else:
            document[entry.name] = value
    return arrays, document


def load_state(path: Path) -> IsacState:
    """Read a state of the method that `save_state` wrote.

    Raises
    ------
    DamagedStateError
        When the file is missing or damaged.
    RunError
        When it is of another version.
    """
    return IsacState(**_load_fields(path, IsacState))


def load_pools(path: Path) -> Pools:
    """Read pools that `save_state` wrote; raises as `load_state`."""
    return Pools(**_load_fields(path, Pools))


def _load_fields(path: Path, kind: type[IsacState] | type[Pools]) -> dict[str, Any]:
    arrays, document = load_arrays(path)
    values: dict[str, Any] = {}
    try:
        for entry in fields(kind):
            if entry.name in arrays:
                values[entry.name] = arrays[entry.name]
                continue
            value = document[entry.name]
            if isinstance(value, dict):
                value = _unpack_groups(entry.name, value, arrays)
            values[entry.name] = tuple(value) if isinstance(value, list) else value
    except (KeyError, ValueError) as error:
        raise RunError(
            f"{path} was saved by another version ({error}): give a new output directory."
        ) from None
    return values


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], document: Any = None) -> None:
    """Write arrays and a JSON document to one file, atomically and with a checksum."""
    text = np.frombuffer(json.dumps(document, sort_keys=True).encode(), np.uint8)
    everything = {**arrays, _DOCUMENT: text}
    checksum = np.frombuffer(_digest(everything), np.uint8)
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as archive,
    ):
        for name, array in {**everything, _CHECKSUM: checksum}.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _FIXED_DATE)
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def load_arrays(path: Path) -> tuple[Arrays, Any]:
    """Read what `save_arrays` wrote.

    Raises
    ------
    DamagedStateError
        When the file is missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays: Arrays = {name: archive[name] for name in archive.files}
        checksum = arrays.pop(_CHECKSUM).tobytes()
        if _digest(arrays) != checksum:
            raise ValueError("its checksum is wrong")
        return arrays, json.loads(arrays.pop(_DOCUMENT).tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DamagedStateError(
            f"The saved state {path} cannot be read ({error}): give the command of the run again "
            "without --restart, which goes on from the last saved point that is good."
        ) from None


def save_prealignment(path: Path, shifts: NDArray[np.float64], spread: Spread) -> None:
    """Save what centres the particles (N, 2), and how they lie around the middle, input px."""
    save_arrays(path, {"shifts": shifts, "spread": np.array([*spread.middle, spread.deviation])})


def load_prealignment(path: Path) -> tuple[NDArray[np.float64], Spread | None]:
    """Read what `save_prealignment` wrote; the spread is None where it was not kept yet.

    Raises
    ------
    DamagedStateError
        When the file is missing or damaged.
    """
    arrays, _ = load_arrays(path)
    spread = arrays.get("spread")
    return arrays["shifts"], None if spread is None else Spread(spread[:2], float(spread[2]))


def save_checksums(path: Path, file: Path) -> None:
    """Save the checksums of a large file, for `is_as_saved`."""
    save_arrays(path, {"checksums": np.fromiter(_checksums(file), np.uint32)})


def is_as_saved(path: Path, file: Path) -> bool:
    """Whether a file has the checksums that `save_checksums` wrote to `path`."""
    saved = load_arrays(path)[0]["checksums"]
    return np.array_equal(np.fromiter(_checksums(file), np.uint32), saved)


def _checksums(file: Path) -> Iterator[int]:
    """CRC-32 of a file, piece by piece: as fast as the disk."""
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            yield zlib.crc32(chunk)


def _digest(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.descr} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.digest()


def _pack_groups(name: str, groups: tuple[StableGroup, ...], arrays: Arrays) -> dict[str, Any]:
    """Put the groups' arrays, one after the other, into `arrays`; return the numbers."""
    packed: dict[str, Any] = {"count": len(groups)}
    for entry in fields(StableGroup):
        values = [getattr(group, entry.name) for group in groups]
        if values and isinstance(values[0], np.ndarray):
            arrays[f"{name}.{entry.name}"] = np.concatenate(values)
            packed[entry.name] = {"lengths": [len(value) for value in values]}
        else:
            packed[entry.name] = values
    return packed


def _unpack_groups(name: str, packed: dict[str, Any], arrays: Arrays) -> tuple[StableGroup, ...]:
    columns: dict[str, list[Any]] = {}
    for entry in fields(StableGroup):
        if entry.name not in packed and entry.name in _ADDED_LATER:
            continue
        value = packed[entry.name]
        if isinstance(value, dict):
            ends = np.cumsum(value["lengths"])
            value = np.split(arrays[f"{name}.{entry.name}"], ends[:-1])
        columns[entry.name] = value
    return tuple(
        StableGroup(**{key: values[number] for key, values in columns.items()})
        for number in range(packed["count"])
    )
