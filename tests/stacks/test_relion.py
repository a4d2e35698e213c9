"""RELION's particle tables: 3.0 and 3.1, where names resolve, what is written."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isac2.errors import InputError
from isac2.poses import poses_from_relion
from isac2.stacks import open_stack, read_star, write_mrcs, write_particles_star, write_star

STAR_31 = """
data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnVoltage #3
_rlnSphericalAberration #4
_rlnAmplitudeContrast #5
_rlnImagePixelSize #6
2 b 200 1.4 0.1 1.25
1 a 300 2.7 0.07 1.25

data_particles

loop_
_rlnImageName #1
_rlnOpticsGroup #2
_rlnDefocusU #3
_rlnDefocusV #4
_rlnDefocusAngle #5
_rlnMicrographName #6
_rlnOddity #7
_rlnAnglePsi #8
_rlnOriginXAngst #9
_rlnOriginYAngst #10
000003@p.mrcs 1 10000 9000 45 m1.mrc 007.10 90 2.5 0
000001@p.mrcs 2 20000 19000 50 m2.mrc +1 0 0 -1.25
"""

STAR_30 = """
data_

loop_
_rlnImageName
_rlnVoltage
_rlnSphericalAberration
_rlnAmplitudeContrast
_rlnDetectorPixelSize
_rlnMagnification
_rlnDefocusU
_rlnDefocusV
_rlnDefocusAngle
_rlnAnglePsi
_rlnOriginX
_rlnOriginY
1@p.mrcs 300 2.7 0.1 5.0 40000 10000 9000 45 90 2 0
3@p.mrcs 300 2.7 0.1 5.0 40000 11000 9000 45 0 0 -1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = np.arange(3 * 16, dtype=np.float32).reshape(3, 4, 4)
    write_mrcs(tmp_path / "p.mrcs", images, 9.0)
    (tmp_path / "new.star").write_text(STAR_31)
    (tmp_path / "old.star").write_text(STAR_30)
    return tmp_path


def test_optics_groups_are_joined(folder: Path) -> None:
    stack = open_stack(folder / "new.star")
    data = stack.metadata
    assert stack.pixel_size_in_angstroms == 1.25
    assert data.voltage_in_kilovolts.tolist() == [300, 200]
    assert data.amplitude_contrast.tolist() == [0.07, 0.1]
    assert data.micrograph.tolist() == ["m1.mrc", "m2.mrc"]
    assert data.has_ctf
    assert stack.read([0, 1])[:, 0, 0].tolist() == [32, 0]
    expected = poses_from_relion([90, 0], [2, 0], [0, -1], 0, 1.0)
    np.testing.assert_array_equal(data.poses, expected)


def test_the_old_layout_gives_the_same_fields(folder: Path) -> None:
    stack = open_stack(folder / "old.star")
    assert stack.pixel_size_in_angstroms == 1.25
    assert stack.metadata.has_ctf
    assert stack.metadata.defocus_u_in_angstroms.tolist() == [10000, 11000]
    expected = poses_from_relion([90, 0], [2, 0], [0, -1], 0, 1.0)
    np.testing.assert_array_equal(stack.metadata.poses, expected)


def test_ctf_parameters_are_those_of_the_chosen_images(folder: Path) -> None:
    ctf = open_stack(folder / "new.star").metadata.ctf_parameters(np.array([1]))
    assert ctf.defocus_u_in_angstroms.tolist() == [20000]
    assert ctf.voltage_in_kilovolts.tolist() == [200]
    assert ctf.phase_shift_in_degrees.tolist() == [0]


def test_missing_ctf_columns_are_named(folder: Path) -> None:
    (folder / "x.star").write_text("data_\nloop_\n_rlnImageName\n_rlnDefocusU\n1@p.mrcs 1e4\n")
    metadata = open_stack(folder / "x.star").metadata
    assert not metadata.has_ctf
    assert "voltage_in_kilovolts" in metadata.missing_ctf_columns()
    assert "defocus_u_in_angstroms" not in metadata.missing_ctf_columns()


def test_foreign_columns_are_written_back_to_the_letter(folder: Path) -> None:
    out = folder / "deeper" / "out.star"
    out.parent.mkdir()
    stack = open_stack(folder / "new.star")
    write_particles_star(out, stack, {"rlnClassNumber": [4, 0], "rlnAnglePsi": [1.5, 2.5]})
    table = read_star(out)["particles"].columns
    assert table["rlnOddity"].tolist() == [b"007.10", b"+1"]
    assert table["rlnDefocusU"].tolist() == [b"10000", b"20000"]
    assert table["rlnClassNumber"].tolist() == [b"4", b"0"]
    assert table["rlnAnglePsi"].tolist() == [b"1.5", b"2.5"]
    assert table["rlnImageName"][0] == b"000003@../p.mrcs"
    assert read_star(out)["optics"].columns["rlnVoltage"].tolist() == [b"200", b"300"]
    again = open_stack(out)
    np.testing.assert_array_equal(again.read(), stack.read())
    assert again.metadata.has_ctf


def test_the_old_layout_is_written_as_the_new_one(folder: Path) -> None:
    stack = open_stack(folder / "old.star")
    write_particles_star(folder / "out.star", stack)
    tables = read_star(folder / "out.star")
    assert list(tables) == ["optics", "particles"]
    assert "rlnVoltage" not in tables["particles"]
    assert "rlnMagnification" not in tables["particles"]
    assert tables["optics"].numbers("rlnImagePixelSize").tolist() == [1.25]
    assert tables["particles"].numbers("rlnOriginXAngst").tolist() == [2.5, 0]
    again = open_stack(folder / "out.star").metadata
    np.testing.assert_array_equal(again.poses, stack.metadata.poses)
    assert again.has_ctf


def test_a_bare_stack_becomes_a_star(folder: Path) -> None:
    stack = open_stack(folder / "p.mrcs")
    write_particles_star(folder / "out.star", stack, {"rlnClassNumber": [1, 2, 3]})
    again = open_stack(folder / "out.star")
    assert read_star(folder / "out.star")["optics"].numbers("rlnVoltage").tolist() == [0]
    assert np.isnan(again.metadata.voltage_in_kilovolts).all()
    assert np.isnan(again.metadata.amplitude_contrast).all()
    assert again.pixel_size_in_angstroms == 9.0
    np.testing.assert_array_equal(again.read(), stack.read())


def test_a_column_of_the_wrong_length_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="rlnClassNumber has 1 values for 3 particles"):
        write_particles_star(
            folder / "o.star", open_stack(folder / "p.mrcs"), {"rlnClassNumber": [1]}
        )


def test_names_resolve_from_root_star_and_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = folder / "a" / "b"
    elsewhere.mkdir(parents=True)
    os.replace(folder / "new.star", elsewhere / "new.star")
    images = np.ones((3, 4, 4), np.float32)
    assert open_stack(elsewhere / "new.star").read([0])[0, 0, 0] == 32  # a folder above the star
    (folder / "work").mkdir()
    write_mrcs(folder / "work" / "p.mrcs", images, 1.0)
    monkeypatch.chdir(folder / "work")
    assert open_stack(elsewhere / "new.star").read([0])[0, 0, 0] == 1
    write_mrcs(elsewhere / "p.mrcs", images * 2, 1.0)
    assert open_stack(elsewhere / "new.star").read([0])[0, 0, 0] == 2
    assert open_stack(elsewhere / "new.star", root=folder).read([0])[0, 0, 0] == 32


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("000003@p.mrcs", "000003@gone.mrcs", "names gone.mrcs, found neither"),
        ("000003@p.mrcs", "000004@p.mrcs", "image 1 is number 4 of .*p.mrcs, which has 3 images"),
        ("000003@p.mrcs", "0@p.mrcs", "image 1 has the name '0@p.mrcs'; numbers start at 1"),
        ("000003@p.mrcs", "x@p.mrcs", "image 1 has the name 'x@p.mrcs', not NUMBER@FILE"),
        ("000003@p.mrcs", "@p.mrcs", "not NUMBER@FILE"),
        ("000003@p.mrcs", "99999999999999999999@p.mrcs", "not NUMBER@FILE"),
        ("000003@p.mrcs", "3@", "image 1 has no file name"),
        ("p.mrcs 2 ", "p.mrcs 3 ", "image 2 is in optics group 3, which data_optics lacks"),
        ("p.mrcs 2 ", "p.mrcs 1.5 ", "row 2 of column rlnOpticsGroup is not a whole number"),
        (" 10000 ", " deep ", "row 1 of column rlnDefocusU is 'deep', not a number"),
        ("2 b", "1 b", "two rows for one optics group"),
        ("_rlnImageName", "_rlnImage", "no table with the column rlnImageName"),
    ],
)
def test_broken_tables_end_in_one_sentence(folder: Path, old: str, new: str, fault: str) -> None:
    path = folder / "broken.star"
    path.write_text(STAR_31.replace(old, new))
    with pytest.raises(InputError, match=fault) as error:
        open_stack(path)
    assert "broken.star" in str(error.value)


def test_an_empty_table_is_refused(folder: Path) -> None:
    write_star(folder / "x.star", {"particles": {"rlnImageName": np.empty(0, "S1")}})
    with pytest.raises(InputError, match="has no rows"):
        open_stack(folder / "x.star")


def test_phases_flipped_before_are_known_and_written(folder: Path) -> None:
    text = STAR_31.replace(
        "_rlnImagePixelSize #6", "_rlnImagePixelSize #6\n_rlnCtfDataArePhaseFlipped"
    )
    text = text.replace("2 b 200 1.4 0.1 1.25", "2 b 200 1.4 0.1 1.25 1")
    (folder / "x.star").write_text(text.replace("1 a 300 2.7 0.07 1.25", "1 a 300 2.7 0.07 1.25 0"))
    metadata = open_stack(folder / "x.star").metadata
    assert metadata.phase_flipped.tolist() == [False, True]
    stack = open_stack(folder / "p.mrcs")
    stack.metadata = replace(stack.metadata, phase_flipped=np.array([True, False, True]))
    write_particles_star(folder / "y.star", stack)
    assert open_stack(folder / "y.star").metadata.phase_flipped.tolist() == [True, False, True]
