"""EMAN2's lists: lines, headers behind the names, and what is broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isac2.errors import InputError
from isac2.stacks import open_stack, write_eman_hdf, write_mrcs
from isac2.stacks.eman_lst import write_eman_lst


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_mrcs(tmp_path / "a b.mrcs", np.arange(48.0).reshape(3, 4, 4), 1.5)
    headers = [{"originalid": 7, "apix_x": 2.0}, {"originalid": 8, "apix_x": 2.0}]
    write_eman_hdf(tmp_path / "h.hdf", np.arange(100, 132.0).reshape(2, 4, 4), headers)
    return tmp_path


def test_lines_of_all_kinds_are_read(folder: Path) -> None:
    matrix = '"[1,0,0,3,0,1,0,-4,0,0,1,0]"'
    (folder / "x.lst").write_text(
        "#LST\n"
        "2\ta b.mrcs\n"
        "# a comment\n"
        '1 h.hdf {"originalid": 70, "xform.align2d": {"__class__": "T", "matrix": MATRIX}}\n'
        "\n"
        "0\th.hdf\tsome words\n".replace("MATRIX", matrix)
    )
    stack = open_stack(folder / "x.lst")
    assert stack.read()[:, 0, 0].tolist() == [32, 116, 100]
    assert stack.metadata.original_id.tolist() == [-1, 70, 7]
    assert stack.metadata.pixel_size_in_angstroms.tolist() == [1.5, 2.0, 2.0]
    assert stack.metadata.poses is not None
    assert stack.metadata.poses["tx"].tolist() == [0, 3, 0]
    assert stack.metadata.foreign.particles["lst_comment"].tolist() == [None, None, "some words"]


def test_lists_are_written_in_the_fast_format(folder: Path) -> None:
    (folder / "x.lst").write_text("0\th.hdf\n2\ta b.mrcs\n1\th.hdf\n")
    stack = open_stack(folder / "x.lst")
    (folder / "below").mkdir()
    headers: list[dict[str, object]] = [{"xform.align2d": np.eye(3, 4)}, {}, {"n": 1}]
    write_eman_lst(folder / "below" / "y.lst", stack, headers)
    lines = (folder / "below" / "y.lst").read_bytes().splitlines(keepends=True)
    assert lines[0] == b"#LSX\n"
    assert {len(line) for line in lines[3:]} == {int(lines[2][1:])}
    again = open_stack(folder / "below" / "y.lst")
    np.testing.assert_array_equal(again.read(), stack.read())
    assert again.metadata.original_id.tolist() == [7, -1, 8]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "lists no images"),
        ("#LST\n", "lists no images"),
        ("0\n", "line 1 is not NUMBER FILE"),
        ("x\ta b.mrcs\n", "line 1 is not NUMBER FILE"),
        ("-1\ta b.mrcs\n", "line 1 is not NUMBER FILE"),
        ("0\tgone.hdf\n", "names gone.hdf, found neither"),
        ("3\ta b.mrcs\n", "image 1 is number 4 of .*which has 3 images"),
        ("2\th.hdf\n", "has no image 3"),
        ("0\th.hdf\t{broken\n", "line 1 has broken JSON"),
        ("0\th.hdf\t" + '{"a":' * 5000 + "\n", "line 1 has broken JSON"),
        ('0\th.hdf\t{"ptcl_source_coord": "x"}\n', "image 1: "),
        ('0\th.hdf\t{"xform.align2d": {"matrix": "[x]"}}\n0\th.hdf\t{"ctf": "E1"}', "image 2: "),
        ('0\th.hdf\t{"xform.align2d": {"matrix": "[a,b,c,d,e,f,g,h,i,j,k,l]"}}', "not a readable"),
        ("0\tx.lst\n", "is not an MRC file"),
    ],
)
def test_broken_lists_end_in_one_sentence(folder: Path, text: str, fault: str) -> None:
    (folder / "x.lst").write_text(text)
    with pytest.raises(InputError, match=fault):
        open_stack(folder / "x.lst")
