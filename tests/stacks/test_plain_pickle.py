"""Pickles in BDB files are data: whatever else they name or do is refused, and nothing runs."""

from __future__ import annotations

import os
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isac2.stacks._plain_pickle import load_plain_pickle

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(value=PLAIN, protocol=st.integers(0, 4))
def test_plain_data_comes_back(value: Any, protocol: int) -> None:
    assert load_plain_pickle(pickle.dumps(value, protocol)) == value


class Runs:
    """Unpickling this calls a function with arguments."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("depth", [0, 1])
def test_nothing_runs(tmp_path: Path, protocol: int, depth: int) -> None:
    mark = tmp_path / "it ran"
    for value in (
        Runs(os.mkdir, str(mark)),
        Runs(os.system, f"touch '{mark}'"),
        Runs(eval, f"open({str(mark)!r}, 'w')"),
    ):
        content = pickle.dumps({"nx": value} if depth else value, protocol)
        with pytest.raises(ValueError, match="refused"):
            load_plain_pickle(content)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "os system",
        "libpyAligner2 system",
        "builtins EMAN2Ctf",
        "EMAN2 Transform.__class__",
        "libpy ",
    ],
)
def test_other_names_are_refused(name: str) -> None:
    module, _, attribute = name.partition(" ")
    content = f"c{module}\n{attribute}\n(tR.".encode()
    with pytest.raises(ValueError, match="refused"):
        load_plain_pickle(content)


def test_names_from_the_stack_are_refused() -> None:
    content = b"\x80\x04\x8c\x02os\x8c\x06system\x93."  # STACK_GLOBAL
    with pytest.raises(ValueError, match="refused"):
        load_plain_pickle(content)


@pytest.mark.parametrize(
    "name",
    str.split(
        "STACK_GLOBAL BUILD INST OBJ NEWOBJ NEWOBJ_EX PERSID BINPERSID EXT1 EXT2 EXT4 BYTEARRAY8 "
        "NEXT_BUFFER EMPTY_SET FROZENSET LONG4"
    ),
)
def test_instructions_that_no_header_needs_are_refused(name: str) -> None:
    code = next(op.code for op in pickletools.opcodes if op.name == name)
    with pytest.raises(ValueError, match="refused"):
        load_plain_pickle(b"\x80\x02}" + code.encode("latin1") + b"\0\0\0\0\0\0\0\0\n\n.")


def test_headers_of_eman2_become_plain() -> None:
    ctf = b"\x80\x02clibpyAligner2\nEMAN2Ctf\n](G?\xf8\0\0\0\0\0\0K\x02e\x85R."
    assert load_plain_pickle(ctf) == "E1.5 2"
    turn = b"\x80\x02cEMAN2\nTransform\n](" + b"K\x01" * 12 + b"e\x85R."
    assert load_plain_pickle(turn) == [1.0] * 12
    assert load_plain_pickle(b"\x80\x02clibpyTransform2\nTransform\n)R.")[0] == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02}\x85}s.",  # a dictionary as a key
        b"\x80\x02}K\x01)" + b"\x85" * 100_000 + b"K\x02s.",  # a key nested deeply enough to crash
        b"\x80\x02r\xff\xff\xff\xff.",
        b"\x80\x02X\xff\xff\xff\x7fabc.",
        b"\x80\x02K\x01)R.",  # calling a number
    ],
)
def test_broken_pickles_are_value_errors(content: bytes) -> None:
    with pytest.raises(ValueError, match="it "):
        load_plain_pickle(content)


@settings(max_examples=300)
@given(st.binary(max_size=40))
def test_noise_is_data_or_a_value_error(content: bytes) -> None:
    try:
        load_plain_pickle(b"\x80\x02" + content)
    except ValueError:
        return
