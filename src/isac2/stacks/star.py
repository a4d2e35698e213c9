"""STAR tables as columns of bytes: exact text in, exact text out.

RELION's particle tables have one line a particle, so a million particles are some hundred megabytes
of text. The tables are cut into columns by array code, and a column stays the text it was until
somebody asks for numbers: what is not understood is written back to the letter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isac2.errors import InputError
from isac2.files import atomic_path
from isac2.stacks._regular import refuse_special_file
from isac2.stacks._text import RowError, TextColumn, by_runs, cut_rows, join_rows, text_column
from isac2.stacks.faults import Faults

__all__ = ["StarTable", "read_star", "write_star"]

_CHUNK_BYTES = 4 << 20
_WRITTEN_ROWS = 50_000
_SHOWN = 5  # lines with the same fault that are named
_MOST_KINDS_OF_LINES = 20
_REPEATED = "\0"  # takes the place of a label that is there already


@dataclass(frozen=True)
class StarTable:
    """One table of a STAR file.

    Attributes
    ----------
    columns : dict of str to bytes array (n,)
        Text of each column by its label, without the leading underscore.
    is_loop : bool
        False for a list of `label value` lines (then every column has one row).
    """

    columns: dict[str, TextColumn]
    is_loop: bool = True

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __contains__(self, label: str) -> bool:
        """Tell whether the table has a column."""
        return label in self.columns

    def numbers(self, label: str) -> NDArray[np.float64]:
        """Return a column as float64 (n,); `ValueError` names the first row that is no number."""
        column = self.columns[label]
        try:
            return by_runs(column, lambda text: text.astype(np.float64))
        except ValueError:
            for row, value in enumerate(column):
                try:
                    float(value)
                except ValueError:
                    text = value.decode("utf-8", "replace")[:40]
                    message = f"row {row + 1} of column {label} is {text!r}, not a number"
                    raise ValueError(message) from None
            raise

    def select(self, rows: NDArray[np.int64]) -> StarTable:
        """Return the table with only these rows, in this order."""
        return StarTable({name: text[rows] for name, text in self.columns.items()}, self.is_loop)


def read_star(path: str | os.PathLike[str], faults: Faults | None = None) -> dict[str, StarTable]:
    """Read the tables of a STAR file as text.

    Parameters
    ----------
    path : path-like
        The file.
    faults : Faults, optional
        Where to report what is wrong. With one that collects, lines that do not fit are left out,
        of doubled tables and columns the first is taken, and the rest of the file is read.

    Returns
    -------
    dict of str to StarTable
        Tables by the name after `data_` (which may be empty), in the file's order.

    Raises
    ------
    InputError
        When the file cannot be read, or is no STAR file; the sentence names the line.
    """
    refuse_special_file(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    if b"\0" in data:
        raise InputError(f"{path} holds binary data, so it is no STAR file.")
    tables: dict[str, StarTable] = {}
    where = f"{path} is not a readable STAR file"
    report = _Report(where, faults or Faults())
    for name, table in _parse_tables(data, report):
        if name in tables:
            report(f"there are two tables data_{name}")
        else:
            tables[name] = table
    if not tables:
        raise InputError(f"{path} is not a STAR file: it has no line that begins with data_.")
    return tables


_BLOCK = re.compile(rb"^[ \t]*data_([^\s]*)[^\n]*$", re.MULTILINE)

_VALUE = re.compile(rb"""(?:"([^"]*)"|'([^']*)')(?:\s+#.*)?|([^\s#].*?)(?:\s#.*)?""")


class _Report:
    """Reports faults of one file, those of lines not more often than anybody reads."""

    def __init__(self, where: str, faults: Faults) -> None:
        self._where = where
        self._faults = faults

    def __call__(self, fault: str) -> None:
        """Report one fault."""
        self._faults.add(f"{self._where}: {fault}.")

    def lines(self, numbers: Sequence[int], fault: str) -> None:
        """Report the same fault of several lines."""
        if not self._faults.collects:
            self(f"line {numbers[0]} {fault}")
        elif len(numbers) == 1:
            self(f"line {numbers[0]} {fault} (images are counted without it)")
        else:
            shown = ", ".join(str(number) for number in numbers[:_SHOWN])
            more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
            self(f"each of the lines {shown}{more} {fault} (images are counted without them)")


def _parse_tables(data: bytes, report: _Report) -> Iterator[tuple[str, StarTable]]:
    """Yield the name and the table of each block, as far as it can be read."""
    start = _next_block(data, 0)
    while start >= 0:
        end = _next_block(data, start + 1)
        match = _BLOCK.match(data, start)
        assert match is not None
        name = match.group(1).decode("utf-8", "replace")
        part = (match.end(), end if end >= 0 else len(data))
        yield name, _parse_block(data, part, name, report)
        start = end


def _next_block(data: bytes, position: int) -> int:
    """Return where the next line that begins with `data_` starts, at or after position; or -1."""
    while (found := data.find(b"data_", position)) >= 0:
        # No further back than needed, or a long line full of data_ takes for ever.
        newline = data.rfind(b"\n", max(0, position - 1), found)
        line = newline + 1
        if (newline >= 0 or position == 0) and not data[line:found].strip(b" \t"):
            return line
        position = found + 1
    return -1


def _parse_block(data: bytes, part: tuple[int, int], name: str, report: _Report) -> StarTable:
    """Parse what follows one `data_` line up to the next."""
    labels: list[str] = []
    values: list[bytes] = []
    is_loop = False
    position, end = part
    while position < end:
        stop = data.find(b"\n", position, end)
        stop = end if stop < 0 else stop
        words = data[position:stop].split(None, 1)
        if words and words[0] == b"loop_" and not is_loop and not labels:
            is_loop = True
        elif words and words[0].startswith(b"_"):
            labels.append(_new_label(words[0], labels, (data, position), report))
            if not is_loop:
                values.append(_single_value(words, (data, position), report))
        elif words and not words[0].startswith(b"#"):
            break
        position = stop + 1
    left = bool(data[position:end].strip())
    if not is_loop:
        if left:
            line = _line_number(data, position)
            report(f"line {line} of table data_{name} is neither loop_ nor a label")
        columns = {label: text_column([text]) for label, text in zip(labels, values, strict=True)}
        columns.pop(_REPEATED, None)
        return StarTable(columns, False)
    if not labels:
        if left:
            report(f"table data_{name} has rows but no column labels")
        return StarTable({}, True)
    columns = _parse_rows(data, (position, end), labels, report)
    columns.pop(_REPEATED, None)
    return StarTable(columns, True)


def _new_label(word: bytes, labels: list[str], place: tuple[bytes, int], report: _Report) -> str:
    """Return a column's label, another one, once reported, when it is there already."""
    label = word[1:].decode("utf-8", "replace")
    if label in labels:
        report(f"line {_line_number(*place)} repeats the column {label}")
        return _REPEATED
    return label


def _single_value(words: list[bytes], place: tuple[bytes, int], report: _Report) -> bytes:
    """Return the value of a `label value` line, without its quotes or a comment behind it."""
    match = _VALUE.fullmatch(words[1].strip()) if len(words) > 1 else None
    if match is None:
        report(f"line {_line_number(*place)} has a label without a value")
        return b""
    if match[3] is not None:
        return match[3].rstrip()
    return match[1] if match[1] is not None else match[2]


def _parse_rows(
    data: bytes, part: tuple[int, int], labels: list[str], report: _Report
) -> dict[str, TextColumn]:
    """Cut the rows of a loop into columns, a few megabytes of text at a time."""
    chunks: list[list[TextColumn]] = []
    position, end = part
    while position < end:
        stop = min(position + _CHUNK_BYTES, end)
        if stop < end:
            newline = data.find(b"\n", stop, end)
            stop = end if newline < 0 else newline + 1
        first_line = partial(_line_number, data, position)
        chunks.append(_cut_rows(data[position:stop], len(labels), first_line, report))
        position = stop
    columns = {}
    for number, label in enumerate(labels):
        parts = [chunk[number] for chunk in chunks if len(chunk[number])]
        rows = sum(len(piece) for piece in parts)
        width = max((piece.itemsize for piece in parts), default=1)
        if rows * width > (64 << 20) + 8 * (end - part[0]):
            report(f"column {label} has a value of {width} characters")
            return {label: np.empty(0, "S1") for label in labels}
        columns[label] = np.concatenate(parts) if parts else np.empty(0, "S1")
        for chunk in chunks:
            chunk[number] = np.empty(0, "S1")
    return columns


def _cut_rows(
    text: bytes, count: int, first_line: Callable[[], int], report: _Report
) -> list[TextColumn]:
    """Cut lines into columns, without those lines that do not fit, which are reported."""
    for _ in range(_MOST_KINDS_OF_LINES):
        try:
            return cut_rows(text, count)
        except RowError as error:
            first = first_line()
            report.lines([first + line for line in error.lines], error.fault)
            # Blank lines are skipped, and keep the numbers of those that follow.
            lines = text.split(b"\n")
            for line in error.lines:
                lines[line] = b""
            text = b"\n".join(lines)
    report(f"from line {first_line()} on there are more lines that do not fit")
    return [np.empty(0, "S1")] * count


def _line_number(data: bytes, position: int) -> int:
    """Return the number, from 1, of the line that a position is in."""
    return data.count(b"\n", 0, position) + 1


def write_star(
    path: str | os.PathLike[str], tables: Mapping[str, StarTable | Mapping[str, ArrayLike]]
) -> None:
    """Write tables as a STAR file, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file to write.
    tables : mapping of str to StarTable or mapping of str to array-like
        Tables by name (without `data_`); a mapping gives each column by its label. Columns of equal
        length make a loop; single values make a list of `label value` lines.

    Raises
    ------
    InputError
        When the columns of a table have different lengths, or a value cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.star"
    >>> write_star(path, {"particles": {"rlnImageName": ["1@a.mrcs"], "rlnDefocusU": [1e4]}})
    >>> read_star(path)["particles"].numbers("rlnDefocusU")
    array([10000.])
    """
    checked = {name: _as_table(table, name, path) for name, table in tables.items()}
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(b"# version 30001\n")
        for name, table in checked.items():
            file.write(f"\ndata_{name}\n\n".encode())
            try:
                for piece in _table_text(table):
                    file.write(piece)
            except ValueError as error:
                raise InputError(f"{path}: table data_{name}, {error}.") from None


def _as_table(
    table: StarTable | Mapping[str, ArrayLike], name: str, path: str | os.PathLike[str]
) -> StarTable:
    """Turn what `write_star` accepts into a table."""
    if isinstance(table, StarTable):
        return table
    arrays = {label: np.asarray(values) for label, values in table.items()}
    is_loop = not arrays or any(array.ndim for array in arrays.values())
    columns = {label: text_column(np.atleast_1d(array)) for label, array in arrays.items()}
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1 or any(array.ndim > 1 for array in arrays.values()):
        raise InputError(f"{path}: the columns of table data_{name} have different lengths.")
    return StarTable(columns, is_loop)


def _table_text(table: StarTable) -> Iterator[bytes]:
    """Yield the text of one table, some ten thousand rows at a time."""
    if not table.is_loop:
        for label, column in table.columns.items():
            yield b"_" + label.encode() + b"  " + join_rows([column])
        yield b"\n"
        return
    yield b"loop_\n"
    for number, label in enumerate(table.columns, 1):
        yield f"_{label} #{number}\n".encode()
    for start in range(0, len(table), _WRITTEN_ROWS):
        rows = slice(start, start + _WRITTEN_ROWS)
        yield join_rows([column[rows] for column in table.columns.values()])
    yield b"\n"
