"""Header values of EMAN2 as HDF5 attributes: the types EMAN2 uses, read and written quickly.

A stack of a hundred thousand images has some million attributes. h5py works out the NumPy type of
each anew, which takes far longer than reading it, so the types that EMAN2 writes are recognised by
comparing them with the few that there are; others take the long way.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from h5py import h5a, h5s, h5t
from numpy.typing import NDArray

__all__ = ["HeaderValue", "read_attribute", "write_attribute"]

HeaderValue = Any
"""int, float, str, a list or array of numbers, or a 3 x 4 matrix for `xform.*` keys."""

_TRANSFORM = np.dtype([(f"{row}{column}", "<f4") for row in range(3) for column in range(4)])


@cache
def _transform_type() -> Any:
    return h5t.py_create(_TRANSFORM, logical=True)


@cache
def _number_types() -> dict[str, Any]:
    return {"<i4": h5t.STD_I32LE, "<f4": h5t.IEEE_F32LE, "<f8": h5t.IEEE_F64LE}


def read_attribute(owner: Any, name: bytes, largest: int) -> HeaderValue:
    """Read one attribute.

    Parameters
    ----------
    owner : h5py.h5g.GroupID
        Group that has the attribute.
    name : bytes
        Its name.
    largest : int
        Bytes it may have.

    Returns
    -------
    number, str, bool, array (n,), float32 array (3, 4) or None
        None for a value of a kind that EMAN2 does not write.

    Raises
    ------
    ValueError
        When it is larger than allowed; HDF5 raises others when the file is broken.
    """
    attribute = h5a.open(owner, name)
    kind = attribute.get_type()
    group, width, stored = kind.get_class(), kind.get_size(), attribute.get_storage_size()
    if stored > largest:
        raise ValueError(f"the attribute {name.decode('utf-8', 'replace')} is absurdly large")
    if group == h5t.STRING:
        return None if kind.is_variable_str() else _read_text(attribute, kind, width)
    if group == h5t.COMPOUND:
        if not kind.equal(_transform_type()):
            return None
        matrix = np.empty(attribute.shape, _TRANSFORM)
        attribute.read(matrix, kind)
        return matrix.view("<f4").reshape(-1, 3, 4)[0] if matrix.size else None
    if group not in (h5t.INTEGER, h5t.FLOAT):
        return None
    for code, known in _number_types().items():
        if kind.equal(known):
            values = np.empty(attribute.shape, code)
            attribute.read(values, kind)
            return values.ravel()[0] if values.size == 1 else values
    return _read_other_numbers(attribute)


def _read_text(attribute: Any, kind: Any, width: int) -> str:
    """Read text of a fixed width; of several texts the first."""
    text = np.empty(attribute.shape, f"S{width}")
    if not text.size:
        return ""
    attribute.read(text, kind)
    value: bytes = text.ravel()[0]
    return value.decode("utf-8", "replace")


def _read_other_numbers(attribute: Any) -> HeaderValue:
    """Read numbers of a type that EMAN2 seldom writes; one byte, `T` or `F`, is a truth value."""
    values = np.empty(attribute.shape, attribute.dtype)
    attribute.read(values)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.itemsize == 1 and values.size == 1 and int(values.ravel()[0]) in b"TF":
        return bool(int(values.ravel()[0]) == ord("T"))
    return values.ravel()[0] if values.size == 1 else values


def write_attribute(owner: Any, name: bytes, value: HeaderValue) -> None:
    """Write one header value with EMAN2's types; an empty list is left out.

    Raises
    ------
    TypeError, ValueError
        When EMAN2 could not hold it.
    """
    if isinstance(value, str):
        text = value.encode()
        kind = h5t.C_S1.copy()
        kind.set_size(len(text) + 1)
        attribute = h5a.create(owner, name, kind, h5s.create(h5s.SCALAR))
        attribute.write(np.array(text, f"S{len(text) + 1}"), kind)
        return
    array = np.asarray(value)
    if array.shape == (3, 4):
        array = np.ascontiguousarray(array, "<f4").reshape(12).view(_TRANSFORM)
        kind = _transform_type()
    elif array.ndim > 1 or array.dtype.kind not in "biuf":
        raise TypeError(f"{name.decode()} is a {type(value).__name__}, which EMAN2 cannot hold")
    else:
        array = _as_eman_numbers(array, name)
        kind = _number_types()[array.dtype.str]
    if array.size:
        h5a.create(owner, name, kind, h5s.create_simple(array.shape)).write(array, kind)


def _as_eman_numbers(array: NDArray[Any], name: bytes) -> NDArray[Any]:
    """Return int32, float32 or (for a single double) float64, in one dimension."""
    if array.dtype.kind in "biu":
        if array.size and not -(2**31) <= int(array.min()) <= int(array.max()) < 2**31:
            raise ValueError(f"{name.decode()} does not fit into 32 bits")
        return np.atleast_1d(array.astype("<i4"))
    if array.ndim == 0 and array.dtype == np.float64:
        return array.astype("<f8").reshape(1)
    return np.atleast_1d(array.astype("<f4"))
