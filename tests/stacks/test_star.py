"""STAR tables: text in is text out; every broken table is named by line or row."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import starfile
from hypothesis import given, settings
from hypothesis import strategies as st

from isac2.errors import InputError
from isac2.stacks import read_star, write_star
from isac2.stacks._text import cut_rows, join_rows

EXAMPLE = """
# version 30001

data_general

_rlnTiltSeries   0   # a comment
_rlnName  "two words"

data_particles

loop_
_rlnImageName #1
_rlnDefocusU #2
_rlnNote #3
000001@a.mrcs  1.5e4  'a b'
# a comment between rows
000002@a.mrcs\t-3 \tx\r

000003@a.mrcs nan ""

data_empty

loop_
_rlnNothing
"""


def test_an_example_is_cut_into_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.star"
    path.write_text(EXAMPLE)
    tables = read_star(path)
    assert list(tables) == ["general", "particles", "empty"]
    assert tables["general"].columns["rlnName"].tolist() == [b"two words"]
    assert not tables["general"].is_loop
    particles = tables["particles"]
    assert particles.columns["rlnNote"].tolist() == [b"a b", b"x", b""]
    np.testing.assert_array_equal(particles.numbers("rlnDefocusU"), [15000, -3, np.nan])
    assert len(tables["empty"]) == 0
    assert "rlnNothing" in tables["empty"]


def test_chunks_of_text_join_to_the_same_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.star"
    path.write_text(EXAMPLE)
    whole = read_star(path)["particles"].columns
    monkeypatch.setattr("isac2.stacks.star._CHUNK_BYTES", 10)
    cut = read_star(path)["particles"].columns
    assert {k: v.tolist() for k, v in cut.items()} == {k: v.tolist() for k, v in whole.items()}


def test_tables_agree_with_the_starfile_package(shared: Path) -> None:
    path = shared / "data" / "filament_simulated" / "particles.star"
    ours, theirs = read_star(path), starfile.read(path)
    for label, column in theirs["particles"].items():
        if label in ("rlnImageName", "rlnMicrographName"):
            assert ours["particles"].columns[label].astype(str).tolist() == column.tolist()
        else:
            np.testing.assert_array_equal(ours["particles"].numbers(label), column.to_numpy())


def test_the_starfile_package_reads_ours(tmp_path: Path) -> None:
    path = tmp_path / "x.star"
    write_star(
        path,
        {
            "optics": {"rlnOpticsGroup": [1], "rlnVoltage": [300.0]},
            "particles": {"rlnImageName": ["1@a b.mrcs", "2@a.mrcs"], "rlnAnglePsi": [0.1, -7e-9]},
            "general": {"rlnFinal": 1},
        },
    )
    tables = starfile.read(path)
    assert tables["particles"]["rlnImageName"].tolist() == ["1@a b.mrcs", "2@a.mrcs"]
    assert tables["particles"]["rlnAnglePsi"].tolist() == [0.1, -7e-9]
    assert tables["general"] == {"rlnFinal": 1}


VALUES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\"'"),
    max_size=12,
)


@settings(max_examples=80, deadline=None)
@given(rows=st.lists(st.tuples(VALUES, VALUES, st.floats()), min_size=1, max_size=6))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, float]]
) -> None:
    path = tmp_path_factory.mktemp("star") / "x.star"
    names, notes, numbers = (list(column) for column in zip(*rows, strict=True))
    write_star(path, {"t": {"a": np.array(names), "b": np.array(notes), "c": numbers}})
    table = read_star(path)["t"]
    # numpy drops zero characters at the end of text, which no name has
    assert [v.decode() for v in table.columns["a"]] == names
    assert [v.decode() for v in table.columns["b"]] == notes
    np.testing.assert_array_equal(table.numbers("c"), numbers)


@settings(max_examples=150, deadline=None)
@given(noise=st.binary(max_size=60), at=st.integers(0, len(EXAMPLE)))
def test_damaged_text_never_does_worse_than_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int
) -> None:
    path = tmp_path_factory.mktemp("star") / "x.star"
    text = EXAMPLE.encode()
    path.write_bytes(text[:at] + noise + text[at + len(noise) // 2 :])
    try:
        tables = read_star(path)
    except InputError:
        return
    for table in tables.values():
        assert len({len(column) for column in table.columns.values()}) <= 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no line that begins with data_"),
        ("data_\nloop_\n_a\n_b\n1 2\n3\n", "line 6 has 1 values for 2 columns"),
        ("data_\nloop_\n_a\n_a\n1 2\n", "line 4 repeats the column a"),
        ("data_x\n_a\n", "line 2 has a label without a value"),
        ("data_x\nloop_\n1 2\n", "rows but no column labels"),
        ("data_x\n1 2\n", "line 2 of table data_x is neither"),
        ("data_x\n_a 1\ndata_x\n_a 2\n", "two tables data_x"),
        ("data_x\0\n", "binary"),
    ],
)
def test_broken_tables_are_named(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "x.star"
    path.write_text(text)
    with pytest.raises(InputError, match=fault):
        read_star(path)


def test_a_number_that_is_none_is_named_by_row(tmp_path: Path) -> None:
    path = tmp_path / "x.star"
    path.write_text("data_\nloop_\n_a\n1\ntwo\n")
    with pytest.raises(ValueError, match="row 2 of column a is 'two'"):
        read_star(path)[""].numbers("a")


def test_values_that_look_like_structure_are_quoted() -> None:
    column = np.array([b"data_x", b"loop_", b"_a", b"#", b"a b", b"", b"it's"])
    assert cut_rows(join_rows([column, column]), 2)[0].tolist() == column.tolist()


@pytest.mark.parametrize("value", [b"a\nb", b"both \" and '"])
def test_a_value_no_star_can_hold_is_refused(tmp_path: Path, value: bytes) -> None:
    with pytest.raises(InputError, match="row 1 has a value that no STAR file can hold"):
        write_star(tmp_path / "x.star", {"t": {"a": np.array([value])}})
    assert list(tmp_path.iterdir()) == []


def test_columns_of_different_lengths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="different lengths"):
        write_star(tmp_path / "x.star", {"t": {"a": [1, 2], "b": [1]}})


def test_long_lines_of_hostile_text_take_no_time(tmp_path: Path) -> None:
    # Either of these took minutes: the time went with the square of the length.
    path = tmp_path / "x.star"
    path.write_bytes(b"data_x\n\n_rlnName  a" + b" " * 1_000_000 + b"b   # c\n")
    start = time.monotonic()
    assert read_star(path)["x"].columns["rlnName"][0] == b"a" + b" " * 1_000_000 + b"b"
    path.write_bytes(b"data_x\n\nloop_\n_rlnName\n1@" + b"data_" * 1_000_000 + b"\n")
    with pytest.raises(InputError, match="line 5 has a value of 5000002 characters"):
        read_star(path)
    assert time.monotonic() - start < 10.0
