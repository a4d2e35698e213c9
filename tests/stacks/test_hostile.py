"""What every format has to withstand: cuts at any byte, loops of links, names from far away."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from isac2.errors import InputError
from isac2.stacks import check_stack, open_stack, read_star, write_eman_hdf, write_mrcs
from isac2.stacks.checking import examine_stack
from isac2.stacks.cryosparc import write_cs

NAMES = ["a.mrcs", "a.mrcs.gz", "a.hdf", "a.cs"]


def write_file(path: Path) -> None:
    """Write three images, or a table of them, in the format of the name."""
    images = np.random.default_rng(1).normal(size=(3, 4, 4)).astype(np.float32)
    if path.suffix == ".hdf":
        write_eman_hdf(path, images, [{"members": [1, 2]}] * 3)
        return
    write_mrcs(path.with_name("p.mrcs"), images, 1.5)
    content = path.with_name("p.mrcs").read_bytes()
    if path.suffix == ".cs":
        write_cs(path, {"uid": [1, 2], "blob/path": [b"p.mrcs"] * 2, "blob/idx": [0, 1]})
    else:
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_file(path)
    content = path.read_bytes()
    open_stack(path).read()
    for length in range(0, len(content), max(1, len(content) // 400)):
        path.write_bytes(content[:length])
        with pytest.raises(InputError) as error:
            open_stack(path).read()
        assert name in str(error.value)
        assert "\n" not in str(error.value)
    path.write_bytes(content[:-1])
    with pytest.raises(InputError):
        open_stack(path).read()


def test_a_star_cut_at_any_byte_is_whole_rows_or_refused(tmp_path: Path) -> None:
    write_mrcs(tmp_path / "p.mrcs", np.ones((3, 4, 4)), 1.5)
    text = "data_particles\nloop_\n_rlnImageName #1\n_rlnOdd #2\n" + "".join(
        f"{number}@p.mrcs end{number}\n" for number in (1, 2, 3)
    )
    path = tmp_path / "x.star"
    for length in range(len(text)):
        path.write_text(text[:length])
        try:
            rows = len(open_stack(path))
        except InputError:
            continue
        assert rows == len(read_star(path)["particles"])


@pytest.mark.parametrize("name", ["x.star", "x.cs", "x.lst"])
def test_links_that_lead_in_a_circle_are_missing_files(tmp_path: Path, name: str) -> None:
    (tmp_path / "p.mrcs").symlink_to(tmp_path / "q.mrcs")
    (tmp_path / "q.mrcs").symlink_to(tmp_path / "p.mrcs")
    table = tmp_path / name
    if name == "x.star":
        table.write_text("data_\nloop_\n_rlnImageName\n1@p.mrcs\n")
    elif name == "x.lst":
        table.write_text("0\tp.mrcs\n")
    else:
        write_cs(table, {"uid": [1], "blob/path": [b"p.mrcs"], "blob/idx": [0]})
    with pytest.raises(InputError, match=f"{name} names p.mrcs, found neither"):
        open_stack(table)
    assert "names p.mrcs, which is not found" in check_stack(table)[0]


@pytest.mark.parametrize(
    "name", ["../../../../../../../../etc/passwd", "/etc/passwd", "/dev/null", "a\0b", "x" * 5000]
)
def test_names_from_far_away_give_nothing_away(tmp_path: Path, name: str) -> None:
    write_cs(tmp_path / "x.cs", {"uid": [1], "blob/path": [name.encode()], "blob/idx": [0]})
    with pytest.raises(InputError) as error:
        open_stack(tmp_path / "x.cs")
    assert "root:" not in str(error.value)
    found = examine_stack(tmp_path / "x.cs")
    assert found.sentences
    told = [*found.sentences, *found.remarks]
    assert any("leads out of" in words or "not found" in words for words in told)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.mrcs")
    (tmp_path / "EMAN2DB").mkdir()
    os.mkfifo(tmp_path / "EMAN2DB" / "p.bdb")
    for name in (tmp_path / "p.mrcs", "/dev/zero", f"bdb:{tmp_path}#p"):
        with pytest.raises(InputError, match="is no regular file"):
            open_stack(name)
        assert "is no regular file" in check_stack(name)[0]


def test_pixels_may_be_in_hdf_files_too(tmp_path: Path) -> None:
    write_eman_hdf(tmp_path / "h.hdf", np.arange(48.0).reshape(3, 4, 4), None, 2.0)
    (tmp_path / "x.star").write_text("data_\nloop_\n_rlnImageName\n3@h.hdf\n1@h.hdf\n")
    assert open_stack(tmp_path / "x.star").read()[:, 0, 0].tolist() == [32, 0]


def absurd_mrc() -> bytes:
    header = bytearray(1024)
    header[0:16] = np.array([30000, 30000, 30000, 2], "<i4").tobytes()
    return bytes(header)


def absurd_cs() -> bytes:
    dtype = "[('blob/path', 'S8'), ('blob/idx', '<u4'), ('big', '<f4', (10000, 10000))]"
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': (99999999,)}}".encode()
    text = text.ljust(246) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("name", "make"), [("x.mrcs", absurd_mrc), ("x.cs", absurd_cs), ("x.gz", None)]
)
def test_absurd_sizes_are_refused_before_memory_is_taken(
    tmp_path: Path, name: str, make: Callable[[], bytes] | None
) -> None:
    content = gzip.compress(absurd_mrc()) if make is None else make()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"cut short|promises"):
        open_stack(tmp_path / name)
