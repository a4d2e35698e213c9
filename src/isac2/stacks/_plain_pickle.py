"""Unpickling that can only make plain data: what BDB files hold, and nothing that could run.

A pickle is a program. Here it may build numbers, text, lists, tuples and dictionaries, and may name
EMAN2's two header classes, which become text and lists. Every other instruction ends in an error
before it is carried out.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

__all__ = ["load_plain_pickle"]

_INSTRUCTIONS = (
    *(
        pickle.PROTO,
        pickle.FRAME,
        pickle.STOP,
        pickle.MARK,
        pickle.POP,
        pickle.POP_MARK,
        pickle.DUP,
    ),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.INT, pickle.BININT, pickle.BININT1),
    *(pickle.BININT2, pickle.LONG, pickle.LONG1, pickle.FLOAT, pickle.BINFLOAT),
    *(pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.BINBYTES),
    *(pickle.SHORT_BINBYTES, pickle.UNICODE, pickle.BINUNICODE, pickle.SHORT_BINUNICODE),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.EMPTY_LIST, pickle.LIST, pickle.APPEND, pickle.APPENDS),
    pickle.EMPTY_DICT,
    *(pickle.GET, pickle.BINGET, pickle.LONG_BINGET, pickle.PUT, pickle.BINPUT),
    *(pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.GLOBAL, pickle.REDUCE),
)
"""Instructions that are carried out; the standard library's unpickler knows more."""


def load_plain_pickle(data: bytes, encoding: str = "latin1") -> Any:
    """Return the plain data of a pickle.

    `EMAN2Ctf` becomes EMAN2's text for it, `Transform` a list of 12 numbers.

    Raises
    ------
    ValueError
        When the pickle names or does anything else, or is broken.

    Examples
    --------
    >>> import os, pickle
    >>> load_plain_pickle(pickle.dumps({"nx": 64}, protocol=2))
    {'nx': 64}
    >>> load_plain_pickle(pickle.dumps(os.getcwd, protocol=2))
    Traceback (most recent call last):
    ValueError: it names posix.getcwd, which is refused
    """
    try:
        return _PlainUnpickler(io.BytesIO(data), encoding=encoding).load()
    except ValueError:
        raise
    except Exception as error:
        # The unpickler of the standard library raises almost anything on broken input.
        raise ValueError(f"it is broken ({type(error).__name__})") from None


def _ctf_text(values: Any) -> str:
    """Write the numbers that `EMAN2Ctf` keeps as its text."""
    if isinstance(values, str):
        return values
    return "E" + " ".join(f"{float(value):1.9g}" for value in values)


def _transform_numbers(values: Any = (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)) -> list[float]:
    """Return the 12 numbers that `Transform` keeps."""
    return [float(value) for value in values]


def _skipped(*_: Any) -> None:
    """Stand for an object that says nothing we need (the CTF of EMAN1)."""


_CLASSES: dict[str, Callable[..., Any]] = {
    "EMAN2Ctf": _ctf_text,
    "EMAN1Ctf": _skipped,
    "Transform": _transform_numbers,
}


def _refuse(unpickler: Any) -> None:
    raise ValueError("it holds an instruction that is refused")


def _set_items(unpickler: Any) -> None:
    _fill(unpickler, unpickler.pop_mark())


def _set_item(unpickler: Any) -> None:
    pair = unpickler.stack[-2:]
    del unpickler.stack[-2:]
    _fill(unpickler, pair)


def _make_dict(unpickler: Any) -> None:
    items = unpickler.pop_mark()
    unpickler.append({})
    _fill(unpickler, items)


def _fill(unpickler: Any, items: list[Any]) -> None:
    """Put keys and values into the dictionary on top of the stack."""
    target = unpickler.stack[-1]
    # Hashing a deeply nested tuple can exhaust the stack of C, so only simple keys are taken.
    if type(target) is not dict or not all(type(key) in (str, int) for key in items[::2]):
        raise ValueError("it has keys that are neither text nor numbers")
    target.update(zip(items[::2], items[1::2], strict=True))


# The C unpickler cannot be told which instructions to refuse; this is the same in Python.
class _PlainUnpickler(pickle._Unpickler):
    dispatch: ClassVar[dict[int, Callable[..., None]]] = {number: _refuse for number in range(256)}
    dispatch.update({code[0]: pickle._Unpickler.dispatch[code[0]] for code in _INSTRUCTIONS})
    dispatch[pickle.SETITEM[0]] = _set_item
    dispatch[pickle.SETITEMS[0]] = _set_items
    dispatch[pickle.DICT[0]] = _make_dict

    def find_class(self, module: str, name: str) -> Any:
        known = module.startswith("libpy") or module in ("EMAN2", "EMAN2_cppwrap")
        if not known or name not in _CLASSES:
            raise ValueError(f"it names {module}.{name}, which is refused")
        return _CLASSES[name]

    def persistent_load(self, pid: Any) -> Any:
        raise ValueError("it refers to an object outside, which is refused")
