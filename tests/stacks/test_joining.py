"""Several stacks as one: pixels, metadata, and RELION's optics groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isac2.errors import InputError
from isac2.stacks import open_stack, read_star, write_eman_hdf, write_mrcs, write_particles_star

STAR = """
data_optics
loop_
_rlnOpticsGroup
_rlnVoltage
_rlnSphericalAberration
_rlnAmplitudeContrast
_rlnImagePixelSize
{group} {voltage} 2.7 0.1 1.5

data_particles
loop_
_rlnImageName
_rlnOpticsGroup
_rlnOdd
_rlnOnly{voltage}
2@a.mrcs {group} {voltage}x 1
1@a.mrcs {group} y 2
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_mrcs(tmp_path / "a.mrcs", np.arange(32.0).reshape(2, 4, 4), 1.5)
    (tmp_path / "one.star").write_text(STAR.format(group=1, voltage=300))
    (tmp_path / "two.star").write_text(STAR.format(group=1, voltage=200))
    write_eman_hdf(tmp_path / "h.hdf", np.ones((1, 4, 4)), [{"originalid": 5, "apix_x": 1.5}])
    write_mrcs(tmp_path / "big.mrcs", np.ones((2, 6, 6)), 1.5)
    return tmp_path


def test_stars_are_joined_with_new_optics_groups(folder: Path) -> None:
    stack = open_stack([folder / "one.star", folder / "two.star"])
    assert stack.read()[:, 0, 0].tolist() == [16, 0, 16, 0]
    assert stack.metadata.voltage_in_kilovolts.tolist() == [300, 300, 200, 200]
    assert stack.metadata.optics_group.tolist() == [1, 1, 2, 2]
    write_particles_star(folder / "both.star", stack)
    tables = read_star(folder / "both.star")
    assert tables["particles"].columns["rlnOdd"].tolist() == [b"300x", b"y", b"200x", b"y"]
    assert "rlnOnly300" not in tables["particles"]
    assert tables["optics"].numbers("rlnVoltage").tolist() == [300, 200]
    again = open_stack(folder / "both.star")
    assert again.metadata.voltage_in_kilovolts.tolist() == [300, 300, 200, 200]


def test_different_formats_share_what_the_table_knows(folder: Path) -> None:
    stack = open_stack([folder / "h.hdf", folder / "a.mrcs", folder / "one.star"])
    assert len(stack) == 5
    assert stack.pixel_size_in_angstroms == 1.5
    assert stack.metadata.original_id.tolist() == [5, -1, -1, -1, -1]
    assert stack.metadata.foreign.kind == "none"
    np.testing.assert_array_equal(stack.read([4, 0])[:, 0, 0], [0, 1])


def test_headers_of_eman2_are_joined(folder: Path) -> None:
    write_eman_hdf(folder / "i.hdf", np.ones((1, 4, 4)), [{"odd": "x"}])
    foreign = open_stack([folder / "h.hdf", folder / "i.hdf"]).metadata.foreign
    assert foreign.particles["odd"].tolist() == [None, "x"]


def test_sizes_must_agree(folder: Path) -> None:
    with pytest.raises(InputError, match=r"big.mrcs: images are 6 x 6 pixels.*\(image 3 of"):
        open_stack([folder / "a.mrcs", folder / "big.mrcs"])
    with pytest.raises(InputError, match="no particle stack is given"):
        open_stack([])
