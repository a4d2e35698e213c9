"""What a run of a cryoSPARC stack writes for cryoSPARC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from isac2.poses import make_poses, transform_points
from isac2.run.directory import RunDirectory
from isac2.run.final_files import write_particle_files
from isac2.run.run_classes import Membership, RunFacts
from isac2.stacks import open_stack, write_mrcs
from isac2.stacks.cryosparc import write_cs

COUNT = 4


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "J1").mkdir()
    (tmp_path / "J2").mkdir()
    write_mrcs(tmp_path / "J1" / "a.mrcs", np.arange(64.0).reshape(COUNT, 4, 4), 2.0)
    columns: dict[str, ArrayLike] = {
        "uid": np.arange(COUNT, dtype="u8") + 100,
        "blob/path": np.array([">J1/a.mrcs"] * COUNT),
        "blob/idx": np.arange(COUNT, dtype="u4"),
        "blob/psize_A": np.full(COUNT, 2.0, "f4"),
        "odd/field": np.arange(COUNT, dtype="f4"),
    }
    write_cs(tmp_path / "J1" / "J1_particles.cs", columns)
    return tmp_path


@pytest.mark.parametrize("split", [False, True])
def test_classes_and_poses_are_in_cryosparcs_terms(project: Path, split: bool) -> None:
    stack = open_stack(project / "J1" / "J1_particles.cs")
    facts = RunFacts(
        count=COUNT,
        shrink_ratio=0.5,
        radius=10,
        target_radius=5,
        pixel_size_in_angstroms=np.full(COUNT, 2.0),
        shifts=np.array([[1.0, 0], [0, 2], [0, 0], [-1, 1]]),
    )
    members = Membership(
        np.array([0, 1, -1, 0]),
        make_poses([10, 20, 0, 40], [0.5, 0, 0, 1], [0, -0.5, 0, 1], [0, 1, 0, 1]),
        np.array([0.1, 0.2, np.nan, 0.4]),
        np.array([0.9, 0.8, np.nan, 0.6]),
    )
    write_particle_files(RunDirectory(project / "J2"), stack, members, facts, split)
    again = open_stack(project / "J2" / "particles.cs")
    np.testing.assert_array_equal(again.read(), stack.read())
    data, expected = again.metadata, members.input_poses(facts)
    assert data.class_number.tolist() == ([1, 4, 0, 2] if split else [1, 2, 0, 1])
    if split:
        expected["mirror"] = 0
    points = np.array([[3.0, 1.0]] * COUNT)
    assert data.poses is not None
    found = transform_points(data.poses, points)
    np.testing.assert_allclose(found, transform_points(expected, points), atol=1e-4)
    table = data.foreign.particles
    assert table["uid"].tolist() == [100, 101, 102, 103]
    assert table["odd/field"].tolist() == [0, 1, 2, 3]
    assert table["blob/path"][0] == b"J1/a.mrcs"
    np.testing.assert_allclose(table["isac2/pixel_error"], [0.1, 0.2, -1, 0.4], atol=1e-6)
