"""Columns of text: cutting lines into columns and laying columns out as lines, as array code."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["RowError", "TextColumn", "by_runs", "cut_rows", "join_rows", "text_column"]

TextColumn = NDArray[np.bytes_]
"""Text of one column, UTF-8, one value a row."""

_QUOTED = re.compile(rb"""(?<!\S)(?:"[^"\n]*"|'[^'\n]*')(?!\S)""")
_LONGEST_VALUE = 1 << 16


class RowError(ValueError):
    """Lines that do not fit their table, for one reason; they count from 0 in the text given."""

    def __init__(self, lines: Sequence[int], fault: str) -> None:
        super().__init__(f"line {lines[0]} {fault}")
        self.lines = lines
        self.fault = fault


def cut_rows(text: bytes, count: int) -> list[TextColumn]:
    """Cut lines into `count` columns at white space; quotes keep white space in a value.

    Empty lines and lines that begin with `#` are skipped.

    Parameters
    ----------
    text : bytes
        Whole lines.
    count : int
        Number of values every line must have.

    Returns
    -------
    list of bytes array (n,)
        The columns.

    Raises
    ------
    RowError
        When a line has another number of values.

    Examples
    --------
    >>> [column.tolist() for column in cut_rows(b"1 a\\n2 'b c'\\n", 2)]
    [[b'1', b'2'], [b'a', b'b c']]
    """
    buffer = np.frombuffer(text, np.uint8)
    blank = np.ones(buffer.size + 1, bool)
    np.less_equal(buffer, 32, out=blank[:-1])
    quoted = b'"' in text or b"'" in text
    if quoted:
        for match in _QUOTED.finditer(text):
            blank[match.start() : match.end()] = False
    starts = np.flatnonzero(blank[:-1] < np.concatenate(([True], blank[:-2])))
    ends = np.flatnonzero(blank > np.concatenate(([True], blank[:-1])))
    if b"#" in text:
        starts, ends = _without_comments(buffer, starts, ends)
    _check_lines(buffer, starts, count)
    if quoted:
        starts, ends = _without_quotes(buffer, starts, ends)
    return [_gather(buffer, starts[i::count], ends[i::count]) for i in range(count)]


def _without_comments(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Drop the values on lines whose first value begins with `#`."""
    if not starts.size:
        return starts, ends
    lines = np.searchsorted(np.flatnonzero(buffer == ord("\n")), starts)
    first = np.concatenate(([True], lines[1:] != lines[:-1]))
    hashed = lines[first & (buffer[starts] == ord("#"))]
    keep = ~np.isin(lines, hashed)
    return starts[keep], ends[keep]


def _check_lines(buffer: NDArray[np.uint8], starts: NDArray[np.int64], count: int) -> None:
    """Raise `RowError` unless every line that has values has `count` of them."""
    newlines = np.flatnonzero(buffer == ord("\n"))
    before = np.concatenate(([0], np.searchsorted(starts, newlines), [starts.size]))
    values = np.diff(before)
    wrong = np.flatnonzero((values != 0) & (values != count))
    if wrong.size:
        alike = wrong[values[wrong] == values[wrong[0]]]
        raise RowError(alike.tolist(), f"has {values[wrong[0]]} values for {count} columns")


def _without_quotes(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Move the limits of quoted values inside their quotes."""
    first, last = buffer[starts], buffer[ends - 1]
    pair = (first == last) & ((first == ord('"')) | (first == ord("'"))) & (ends - starts > 1)
    return starts + pair, ends - pair


def _gather(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> TextColumn:
    """Copy the values between the limits into one array of fixed-width text."""
    lengths = ends - starts
    width = int(lengths.max(initial=1))
    if width > _LONGEST_VALUE or width * lengths.size > (4 << 20) + 4 * buffer.size:
        line = int(np.count_nonzero(buffer[: starts[np.argmax(lengths)]] == ord("\n")))
        raise RowError([line], f"has a value of {width} characters")
    # A row of the windows is what follows a byte: taking whole rows is one copy a value.
    padded = np.concatenate((buffer, np.zeros(width, np.uint8)))
    values = np.lib.stride_tricks.sliding_window_view(padded, width)[starts]
    if int(lengths.min(initial=width)) < width:
        values *= np.arange(width) < lengths[:, None]
    return np.asarray(values.view(f"S{width}").ravel(), np.bytes_)


def by_runs(column: TextColumn, convert: Callable[[TextColumn], NDArray[Any]]) -> NDArray[Any]:
    """Convert a column value by value, but each run of equal neighbours only once.

    Examples
    --------
    >>> by_runs(np.array([b"1", b"1", b"2"]), lambda text: text.astype(float))
    array([1., 1., 2.])
    """
    if not len(column):
        return convert(column)
    heads = np.flatnonzero(np.concatenate(([True], column[1:] != column[:-1])))
    lengths = np.diff(np.concatenate((heads, [len(column)])))
    return np.repeat(convert(column[heads]), lengths)


def text_column(values: ArrayLike) -> TextColumn:
    """Return values as text: numbers in the shortest form that reads back exactly.

    Examples
    --------
    >>> text_column([1.5, 2.0]).tolist()
    [b'1.5', b'2.0']
    """
    array = np.asarray(values)
    if array.dtype.kind == "S":
        return array
    if array.dtype.kind == "b":
        array = array.astype(np.int8)
    if array.dtype.kind in "iuf":
        text = array.astype("S")  # as wide as the longest number there could be
        width = int(np.char.str_len(text).max(initial=1))
        return text.astype(f"S{width}")
    if not array.size:
        return np.empty(0, "S1")
    return np.asarray(np.char.encode(array.astype(str), "utf-8"), np.bytes_)


def join_rows(columns: Sequence[TextColumn]) -> bytes:
    """Lay columns out as lines, values left-aligned and separated by two blanks.

    Values that are empty or hold white space are quoted.

    Raises
    ------
    ValueError
        When a value holds a line break, or both kinds of quotes and a blank.
    """
    if not columns or not len(columns[0]):
        return b""
    parts: list[NDArray[Any]] = []
    gap = np.full((len(columns[0]), 2), ord(" "), np.uint8)
    for number, column in enumerate(columns):
        values = _as_matrix(column)
        blank = (values <= 32) & (values != 0)
        needs = blank.any(1) | (values[:, 0] == 0) | np.isin(values[:, 0], _SPECIAL)
        if number == 0:
            needs |= np.char.startswith(column, b"data_") | np.char.startswith(column, b"loop_")
        if needs.any():
            values = _as_matrix(_quote(column, needs))
        parts += [np.where(values == 0, np.uint8(32), values), gap]
    parts[-1] = np.full((len(columns[0]), 1), ord("\n"), np.uint8)
    return np.concatenate(parts, axis=1).tobytes()


_SPECIAL = np.frombuffer(b"\"'#_", np.uint8)


def _as_matrix(column: TextColumn) -> NDArray[np.uint8]:
    """View fixed-width text (n,) as bytes (n, width)."""
    return np.ascontiguousarray(column).view(np.uint8).reshape(len(column), -1)


def _quote(column: TextColumn, needs: NDArray[np.bool_]) -> TextColumn:
    """Put quotes around the values that need them."""
    quoted = column.astype(object)
    for row in np.flatnonzero(needs):
        value = quoted[row]
        mark = b'"' if b'"' not in value else b"'"
        if b"\n" in value or mark in value:
            raise ValueError(f"row {row + 1} has a value that no STAR file can hold")
        quoted[row] = mark + value + mark
    return np.array(quoted, dtype="S")
