"""BDB: what EMAN2 wrote, real and virtual; what we write; what is broken."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isac2.errors import InputError
from isac2.stacks import Stack, open_stack, write_mrcs, write_particles_star, write_stack
from isac2.stacks._berkeley import read_berkeley_tree
from isac2.stacks.eman_bdb import bdb_file
from isac2.stacks.eman_bdb_writing import pickle_header, write_eman_bdb


@pytest.fixture
def golden(shared: Path) -> Path:
    return shared / "golden" / "eman2_files"


def test_a_real_stack_of_eman2(golden: Path) -> None:
    stack = open_stack(f"bdb:{golden}/bdb_stack#particles")
    np.testing.assert_array_equal(stack.read(), np.load(golden / "expected_pixels.npy"))
    same = open_stack(golden / "particles.hdf").metadata
    for name in same.__dataclass_fields__:
        found, expected = getattr(stack.metadata, name), getattr(same, name)
        if name == "poses":
            assert found["mirror"].tolist() == expected["mirror"].tolist()
            np.testing.assert_allclose(found["alpha"], expected["alpha"], atol=1e-5)
        elif name != "foreign" and expected.dtype == object:
            assert found.tolist() == expected.tolist()
        elif name != "foreign":
            np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=name)


def test_a_virtual_stack_of_eman2(golden: Path) -> None:
    stack = open_stack(golden / "bdb_stack" / "EMAN2DB" / "virtual.bdb")
    rows = [7, 2, 11]
    np.testing.assert_array_equal(stack.read(), np.load(golden / "expected_pixels.npy")[rows])
    assert stack.metadata.original_id.tolist() == rows
    assert stack.metadata.has_ctf
    assert stack.pixel_size_in_angstroms == 2.0


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("bdb:a", "EMAN2DB/a.bdb"),
        ("bdb:d/e#a", "d/e/EMAN2DB/a.bdb"),
        ("bdb:d/a", "d/EMAN2DB/a.bdb"),
        ("bdb:/d#a", "/d/EMAN2DB/a.bdb"),
        ("d/EMAN2DB/a.bdb", "d/EMAN2DB/a.bdb"),
    ],
)
def test_names_of_stacks(name: str, file: str) -> None:
    assert bdb_file(name) == Path(file)


def test_a_missing_stack_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"EMAN2DB/gone.bdb cannot be read"):
        open_stack(f"bdb:{tmp_path}#gone")
    with pytest.raises(InputError, match="question mark"):
        open_stack(f"bdb:{tmp_path}#gone?1,2")


@pytest.fixture
def copy(golden: Path, tmp_path: Path) -> Path:
    shutil.copytree(golden / "bdb_stack" / "EMAN2DB", tmp_path / "EMAN2DB")
    for file in (tmp_path / "EMAN2DB").iterdir():
        os.chmod(file, 0o644)
    os.chmod(tmp_path / "EMAN2DB", 0o755)
    return tmp_path / "EMAN2DB"


def test_a_pickle_that_would_run_is_refused(copy: Path) -> None:
    path = copy / "virtual.bdb"
    content = path.read_bytes()
    mark = copy / "ran"
    evil = f"cos\nsystem\n(S'touch {mark}'\ntR.".encode()
    start = content.index(b"\x80\x02}q\x00(X\x06\x00\x00\x00apix_x")
    path.write_bytes(content[:start] + b"\x80\x02" + evil + content[start + 2 + len(evil) :])
    with pytest.raises(InputError, match=r"names os\.system, which is refused"):
        open_stack(path)
    assert not mark.exists()


def test_missing_pixels_are_named(copy: Path) -> None:
    pixels = copy / "particles_64x64x1"
    pixels.write_bytes(pixels.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"image 12 is number 12 of .*which has 11 images"):
        open_stack(copy / "particles.bdb")
    pixels.unlink()
    with pytest.raises(InputError, match="particles_64x64x1 cannot be read"):
        open_stack(copy / "virtual.bdb")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_files_never_do_worse_than_an_input_error(
    shared: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    source = shared / "golden" / "eman2_files" / "bdb_stack" / "EMAN2DB"
    content = bytearray((source / "virtual.bdb").read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(1, 5))):
        if content:
            at = data.draw(st.integers(0, min(len(content), 3 * 4096 + 64) - 1))
            content[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("bdb") / "virtual.bdb"
    path.write_bytes(content)
    try:
        records = read_berkeley_tree(path, "virtual")
    except InputError:
        return
    assert sum(len(key) + len(value) for key, value in records.items()) <= 10 * len(content)


def test_a_header_is_pickled_as_eman2_does(golden: Path) -> None:
    tree = read_berkeley_tree(golden / "bdb_stack" / "EMAN2DB" / "particles.bdb", "particles")
    theirs = tree[pickle.dumps(3, 2)]
    stack = open_stack(golden / "bdb_stack" / "EMAN2DB" / "particles.bdb")
    foreign = stack.metadata.foreign.particles
    ours = pickle_header({key: column[3] for key, column in foreign.items()})
    from isac2.stacks._plain_pickle import load_plain_pickle

    expected, found = load_plain_pickle(theirs), load_plain_pickle(ours)
    assert found.pop("ctf").split()[1:9] == expected.pop("ctf").split()[1:9]
    assert found == expected
    for name in (b"clibpyAligner2\nEMAN2Ctf\n", b"clibpyTransform2\nTransform\n"):
        assert name in ours
        assert name in theirs


@pytest.fixture
def source(tmp_path: Path) -> Stack:
    write_mrcs(tmp_path / "a.mrcs", np.random.default_rng(1).normal(size=(300, 4, 4)), 1.5)
    return open_stack(tmp_path / "a.mrcs")


def test_written_stacks_are_read_back(source: Stack, tmp_path: Path) -> None:
    pytest.importorskip("berkeleydb", reason="the extra 'bdb' is not installed")
    name = f"bdb:{tmp_path}#real"
    write_eman_bdb(name, source.read(), [{"apix_x": 1.5, "nr": row} for row in range(300)])
    stack = open_stack(name)
    np.testing.assert_array_equal(stack.read(), source.read())
    assert stack.metadata.foreign.particles["nr"].tolist() == list(range(300))
    names = sorted(file.name for file in (tmp_path / "EMAN2DB").iterdir())
    assert names == ["real.bdb", "real_4x4x1"]
    write_stack(f"bdb:{tmp_path}#virtual", stack.select([5, 299]))
    virtual = open_stack(f"bdb:{tmp_path}#virtual")
    np.testing.assert_array_equal(virtual.read(), source.read([5, 299]))
    assert [file.path.name for file in virtual.files] == ["real_4x4x1"]


def test_without_the_extra_the_way_out_is_named(
    source: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "berkeleydb", None)
    with pytest.raises(InputError, match=r"needs the package berkeleydb .* \.star and \.lst need"):
        write_stack(f"bdb:{tmp_path}#x", source)
    assert list((tmp_path / "EMAN2DB").iterdir()) == []


def test_a_star_can_name_the_pixels_of_a_bdb(shared: Path, tmp_path: Path) -> None:
    golden = shared / "golden" / "eman2_files"
    for name in ("particles", "virtual"):
        stack = open_stack(f"bdb:{golden}/bdb_stack#{name}")
        write_particles_star(tmp_path / "a.star", stack)
        again = open_stack(tmp_path / "a.star")
        np.testing.assert_array_equal(again.read(), stack.read())


def test_raw_pixels_of_a_wrong_size_are_refused(tmp_path: Path) -> None:
    (tmp_path / "EMAN2DB").mkdir()
    (tmp_path / "EMAN2DB" / "a_64x64x1").write_bytes(bytes(100))
    (tmp_path / "a.star").write_text("data_\nloop_\n_rlnImageName\n1@EMAN2DB/a_64x64x1\n")
    with pytest.raises(InputError, match="no image of the size that its name says"):
        open_stack(tmp_path / "a.star")
