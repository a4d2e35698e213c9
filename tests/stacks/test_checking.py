"""Every fault of a stack is told, whatever its format."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from isac2.errors import InputError
from isac2.stacks import check_stack, open_stack, write_eman_hdf, write_mrcs, write_stack
from isac2.stacks.checking import examine_stack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = np.random.default_rng(1).normal(size=(6, 4, 4)).astype(np.float32)
    write_mrcs(tmp_path / "good.mrcs", images, 1.5)
    images[1] = 7.0
    images[3, 0, 0] = np.nan
    images[4] = np.inf
    with np.errstate(invalid="ignore"):
        write_mrcs(tmp_path / "bad.mrcs", images, 1.5)
    write_mrcs(tmp_path / "wide.mrcs", np.zeros((1, 4, 5)), 1.5)
    write_mrcs(tmp_path / "big.mrcs", np.ones((1, 6, 6)), 1.5)
    return tmp_path


def test_a_good_stack_has_no_fault(folder: Path, shared: Path) -> None:
    for name in ("a.star", "a.cs", "a.lst", "a.hdf"):
        write_stack(folder / name, open_stack(folder / "good.mrcs"))
        assert check_stack(folder / name) == []
    golden = shared / "golden" / "eman2_files"
    assert check_stack(f"bdb:{golden}/bdb_stack#virtual") == []
    assert check_stack(golden / "compressed_8bit.hdf") == []
    assert check_stack(shared / "data" / "filament_simulated" / "particles.star") == []


def test_unusable_images_are_counted_and_named(folder: Path) -> None:
    faults = check_stack(folder / "bad.mrcs")
    assert [fault.partition(": ")[2] for fault in faults] == [
        "images 4, 5 are unusable: pixels that are NaN or infinite.",
        "image 2 is unusable: all pixels are the same.",
    ]
    assert check_stack(folder / "bad.mrcs", read_pixels=False) == []


STAR = """
data_optics
loop_
_rlnOpticsGroup
_rlnVoltage
1 300
1 many
data_particles
loop_
_rlnImageName
_rlnOpticsGroup
_rlnDefocusU
1@good.mrcs 1 10000
7@good.mrcs 1 deep
1@good.mrcs 2 deeper
1@gone.mrcs 1 0
0@good.mrcs 1 0
1@wide.mrcs 1 0
1@big.mrcs 1 0
2@bad.mrcs 1 0
1@../../../outside.mrcs 1 0
1@cut.mrcs 1 0
"""


def test_all_faults_of_a_star_are_told_at_once(folder: Path) -> None:
    (folder / "x.star").write_text(STAR)
    content = (folder / "good.mrcs").read_bytes()
    (folder / "cut.mrcs").write_bytes(content[:-1])
    found = examine_stack(folder / "x.star")
    assert found.remarks == [
        f"{folder / 'x.star'} names ../../../outside.mrcs, which leads out of its own folder."
    ]
    faults = "\n".join(check_stack(folder / "x.star"))
    for words in (
        "row 2 of rlnVoltage in data_optics is 'many', not a number",
        "row 2 of rlnDefocusU in data_particles is 'deep', not a number (and 1 more rows)",
        "data_optics has two rows for the optics group 1",
        "data_optics lacks the optics group 2",
        "image 5 has the name '0@good.mrcs', not NUMBER@FILE",
        "names gone.mrcs, which is not found",
        "names ../../../outside.mrcs, which is not found",
        "cut.mrcs is cut short",
        "wide.mrcs: images are 5 x 4 pixels, but must be square",
        "big.mrcs: images are 6 pixels wide, most others 4",
        "image 2 is beyond the end of",
        "image 3 is listed a second time",
        "all pixels are the same",
        "images 1, 4, 5, 6, 7 and 3 more are without a part of the defocus",
        "images 2, 3 are without a defocus, though others have one",
        "images 1, 4, 5, 6, 7 and 3 more are given a defocus, but no spherical aberration",
        "but no amplitude contrast, so the CTF is not known",
    ):
        assert words in faults
    assert len(faults.splitlines()) == 17


BROKEN_STAR = """
data_optics
loop_
_rlnOpticsGroup
_rlnVoltage
_rlnVoltage
1 300 300
data_particles
loop_
_rlnImageName
_rlnOpticsGroup
1@good.mrcs 1
2@good.mrcs
3@good.mrcs 1 7
4@gone.mrcs 1
5@good.mrcs
9@good.mrcs 1
data_particles
data_more
what
"""


def test_a_star_that_cannot_be_parsed_is_read_as_far_as_it_can_be(folder: Path) -> None:
    (folder / "x.star").write_text(BROKEN_STAR)
    faults = check_stack(folder / "x.star")
    expected = (
        "line 6 repeats the column rlnVoltage",
        "each of the lines 13, 16 has 1 values for 2 columns (images are counted without them)",
        "line 14 has 3 values for 2 columns (images are counted without it)",
        "there are two tables data_particles",
        "line 20 of table data_more is neither loop_ nor a label",
        "names gone.mrcs, which is not found",
        "image 3 is beyond the end of",
    )
    for fault, words in zip(faults, expected, strict=True):
        assert words in fault
    with pytest.raises(InputError, match="line 6 repeats the column rlnVoltage"):
        open_stack(folder / "x.star")


@pytest.mark.parametrize(
    ("columns", "row", "fault"),
    [
        ("_rlnDefocusU", "1e9", "given the defocus U 1e+09 A, which cannot be"),
        ("_rlnDefocusU", "1e4", "image 1 is without a part of the defocus"),
        ("_rlnVoltage", "3", "image 1 is given the voltage 3 kV, which cannot be"),
        ("_rlnAmplitudeContrast", "7", "image 1 is given the amplitude contrast 7, which"),
    ],
)
def test_values_no_microscope_gives_are_told(
    folder: Path, columns: str, row: str, fault: str
) -> None:
    text = f"data_\nloop_\n_rlnImageName\n{columns}\n1@good.mrcs {row}\n"
    (folder / "x.star").write_text(text)
    assert any(fault in sentence for sentence in check_stack(folder / "x.star"))


def test_all_faults_of_an_hdf_are_told_at_once(folder: Path) -> None:
    path = folder / "x.hdf"
    write_eman_hdf(path, np.random.default_rng(1).normal(size=(5, 4, 4)))
    with h5py.File(path, "r+") as file:
        images = file["MDF/images"]
        del images["1"]
        del images["2/image"]
        del images["3/image"]
        images["3"].create_dataset("image", data=np.zeros((5, 5), "f4"))
        images["4"].attrs["EMAN.ctf"] = np.bytes_("E1 2 3")
    faults = check_stack(path)
    assert len(faults) == 4
    for number, words in enumerate(
        (
            "image 2 of 5 is missing",
            "image 3: cannot be read as EMAN2 HDF (the dataset with the pixels is missing)",
            "image 4 is 5 x 5 pixels",
            "image 5: the CTF 'E1 2 3' does not have eight numbers",
        )
    ):
        assert words in faults[number]


def test_all_faults_of_a_list_are_told_at_once(folder: Path) -> None:
    (folder / "x.lst").write_text(
        "0\tgood.mrcs\nx y\n1\tgone.mrcs\n9\tgood.mrcs\t{\n8\tgood.mrcs\n"
    )
    faults = "\n".join(check_stack(folder / "x.lst"))
    assert len(faults.splitlines()) == 4
    for words in ("line 2 is not NUMBER FILE", "line 4 has broken JSON", "gone.mrcs", "beyond"):
        assert words in faults


def test_all_faults_of_a_bdb_are_told_at_once(folder: Path, shared: Path) -> None:
    source = shared / "golden" / "eman2_files" / "bdb_stack" / "EMAN2DB"
    shutil.copytree(source, folder / "EMAN2DB")
    os.chmod(folder / "EMAN2DB", 0o755)
    path = folder / "EMAN2DB" / "virtual.bdb"
    os.chmod(path, 0o644)
    content = path.read_bytes()
    content = content.replace(b"clibpyAligner2\n", b"clibpyAligner9\n", 1)
    content = content.replace(b"clibpyAligner2\nEMAN2Ctf", b"cposixposixpos\nEMAN2Ctf", 1)
    path.write_bytes(content.replace(b"particles_64x64x1*", b"particles_64x64x9*", 1))
    faults = check_stack(path)
    assert len(faults) == 3
    assert "which is refused" in faults[0]
    assert "no header" in faults[1]
    assert "particles_64x64x9 cannot be read" in faults[2]
    os.chmod(folder / "EMAN2DB" / "particles_64x64x1", 0o644)
    (folder / "EMAN2DB" / "particles_64x64x1").unlink()
    faults = check_stack(folder / "EMAN2DB" / "particles.bdb")
    assert len(faults) == 1
    assert "particles_64x64x1 cannot be read" in faults[0]


def test_a_file_of_which_nothing_can_be_read_is_one_fault(folder: Path) -> None:
    assert "cannot be read" in check_stack(folder / "gone.star")[0]
    assert "is a folder" in check_stack(folder)[0]
    (folder / "x.cs").write_bytes(b"hello")
    assert "not a readable .cs" in check_stack(folder / "x.cs")[0]
    (folder / "x.star").write_text("data_\nloop_\n_a\n1\n")
    assert "no table with the column rlnImageName" in check_stack(folder / "x.star")[0]


def test_implausible_values_are_told_beside_other_faults(folder: Path) -> None:
    rows = "".join(f"{i + 1}@bad.mrcs 5 nan\n" for i in range(6))
    (folder / "a.star").write_text(
        f"data_\n\nloop_\n_rlnImageName\n_rlnVoltage\n_rlnAnglePsi\n{rows}"
    )
    faults = "\n".join(check_stack(folder / "a.star"))
    assert "images 4, 5 are unusable" in faults
    assert "voltage 5 kV, which cannot be" in faults
    assert "images 1, 2, 3, 4, 5 and 1 more are given a pose that is no number" in faults


MANY_FAULTS = """
data_optics
loop_
_rlnOpticsGroup
_rlnVoltage
1 3000
data_particles
loop_
_rlnImageName
_rlnOpticsGroup
_rlnClassNumber
_rlnAnglePsi
nothing@bad.mrcs 1 1 0
7@good.mrcs 1 1.5 0
2@bad.mrcs 9 1 turned
3@bad.mrcs 1 1 nan
"""


def test_values_are_looked_at_whatever_else_is_wrong_with_a_star(folder: Path) -> None:
    (folder / "x.star").write_text(MANY_FAULTS)
    assert [fault.partition(": ")[2] for fault in check_stack(folder / "x.star")] == [
        "row 3 of rlnAnglePsi in data_particles is 'turned', not a number.",
        "row 2 of rlnClassNumber in data_particles is '1.5', not a whole number.",
        "data_optics lacks the optics group 9.",
        "image 1 has the name 'nothing@bad.mrcs', not NUMBER@FILE.",
        f"image 2 is beyond the end of {folder / 'good.mrcs'}, which has 6.",
        "image 3 is unusable: all pixels are the same.",
        "images 1, 2, 3, 4 are given the voltage 3000 kV, which cannot be.",
        "images 3, 4 are given a pose that is no number.",
    ]


def test_images_of_an_hdf_keep_their_numbers_when_one_is_missing(folder: Path) -> None:
    path = folder / "x.hdf"
    ctf = {"ctf": "E90 0 0 0 10 3000 2.7 1.5 0 0 0"}
    images = np.random.default_rng(1).normal(size=(4, 4, 4))
    images[2] = np.nan
    write_eman_hdf(path, images, [{}, {}, {}, ctf])
    with h5py.File(path, "r+") as file:
        del file["MDF/images/1"]
        file["MDF/images/3"].attrs["EMAN.class_id"] = np.bytes_("first")
        file["MDF/images/3"].attrs["EMAN.segment_angle"] = np.bytes_("up")
    faults = "\n".join(check_stack(path))
    assert len(faults.splitlines()) == 8
    for words in (
        "image 2 of 4 is missing",
        "image 4: invalid literal for int() with base 10: 'first'",
        "image 4: could not convert string to float: 'up'",
        "image 3 is unusable: pixels that are NaN",
        "image 4 is given the voltage 3000 kV",
        "image 4 is given the defocus U 900000 A",
        "image 4 is given the defocus V 900000 A",
        "images 1, 3 are without a defocus",
    ):
        assert words in faults


def test_all_faults_of_a_cs_are_told_at_once(folder: Path) -> None:
    write_stack(folder / "good.cs", open_stack(folder / "bad.mrcs"))
    table = np.load(folder / "good.cs")
    fields = [(name, table.dtype[name]) for name in table.dtype.names]
    added = [("ctf/accel_kv", "f4"), ("ctf/cs_mm", "S4"), ("alignments2D/shift", "f4")]
    wrong = np.zeros(len(table), [*fields, ("alignments2D/pose", "f4"), *added])
    for name in table.dtype.names:
        wrong[name] = table[name]
    wrong["uid"] = 7
    wrong["blob/idx"][2] = 99
    wrong["ctf/accel_kv"] = [5, 300, 300, 300, 300, 300]
    wrong["ctf/cs_mm"] = b"much"
    with open(folder / "x.cs", "wb") as file:
        np.save(file, wrong)
        file.truncate(file.tell() - 1)
    expected = (
        "its header promises 6 rows of",
        "particles with the same uid",
        "the field ctf/cs_mm is of the wrong kind",
        "the field alignments2D/shift is of the wrong kind",
        "image 3 is beyond the end of",
        "images 4, 5 are unusable: pixels that are NaN",
        "image 2 is unusable: all pixels are the same",
        "image 1 is given the voltage 5 kV",
    )
    for fault, words in zip(check_stack(folder / "x.cs"), expected, strict=True):
        assert words in fault


@pytest.mark.parametrize(
    "field", ["alignments2D/psize_A", "ctf/exp_group_id", "isac2/mirror", "location/center_x_frac"]
)
def test_a_field_of_a_cs_with_too_many_values_is_told(field: str, folder: Path) -> None:
    write_stack(folder / "good.cs", open_stack(folder / "good.mrcs"))
    table = np.load(folder / "good.cs")
    more = [("location/micrograph_shape", "u4", (2,)), ("alignments2D/pose", "f4")]
    more += [("alignments2D/shift", "f4", (2,)), (field, "f4", (3,))]
    wrong = np.zeros(
        len(table), [*((name, table.dtype[name]) for name in table.dtype.names), *more]
    )
    for name in table.dtype.names:
        wrong[name] = table[name]
    with open(folder / "x.cs", "wb") as file:
        np.save(file, wrong)
    (fault,) = check_stack(folder / "x.cs")
    assert f"the field {field} is of the wrong kind" in fault
    with pytest.raises(InputError, match="fields of the wrong kind"):
        open_stack(folder / "x.cs")


def test_a_cs_without_images_is_still_looked_at(folder: Path) -> None:
    with open(folder / "x.cs", "wb") as file:
        np.save(file, np.zeros(2, [("uid", "u8"), ("ctf/accel_kv", "f4")]))
    faults = check_stack(folder / "x.cs")
    assert [fault.partition("x.cs")[2].lstrip(": ") for fault in faults] == [
        "has particles with the same uid, so cryoSPARC cannot tell them apart.",
        "has no blob/path and blob/idx, so it lists no images.",
        "images 1, 2 are given the voltage 0 kV, which cannot be.",
    ]


def test_a_file_without_a_single_image_is_one_fault(folder: Path) -> None:
    (folder / "x.lst").write_text("words\n")
    assert len(check_stack(folder / "x.lst")) == 1
    for number, fields in enumerate(([], [("uid", "u8"), ("blob/path", "S3"), ("blob/idx", "i4")])):
        with open(folder / f"{number}.cs", "wb") as file:
            np.save(file, np.zeros(0, fields))
        assert len(check_stack(folder / f"{number}.cs")) == 1
    write_eman_hdf(folder / "x.hdf", np.zeros((1, 4, 4)))
    with h5py.File(folder / "x.hdf", "r+") as file:
        del file["MDF/images/0/image"]
    assert len(check_stack(folder / "x.hdf")) == 1
