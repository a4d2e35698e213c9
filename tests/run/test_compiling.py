"""The compilation of kernels is told of, once, and only when it happens."""

from __future__ import annotations

import numba

from isac2.run.compiling import telling_of_compilation


def test_the_first_compilation_is_told_of_and_no_other() -> None:
    told: list[str] = []
    with telling_of_compilation(told.append):
        assert told == []
        first = numba.njit(lambda x: x + 1)
        assert first(1) == 2
        assert len(told) == 1
        assert numba.njit(lambda x: x + 2)(1) == 3
    assert len(told) == 1
    assert "compiled" in told[0]
    with telling_of_compilation(told.append):
        assert first(2) == 3
    assert len(told) == 1
