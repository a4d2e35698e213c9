"""A run's particles with classes and poses, also where mirrors were written as classes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac2.after.source import make_new_folder, open_classified_run, with_pixel_size
from isac2.errors import InputError
from isac2.run.results import read_run
from isac2.stacks import open_stack, write_stack
from isac2.stacks.selection import split_mirrored_classes


def test_a_run_of_ours(world: Any) -> None:
    found, known = open_classified_run(world.run), read_run(world.run)
    assert found.radius == 21
    assert found.ctf_problem(np.arange(200)) is None
    for name in ("alpha", "tx", "ty", "mirror"):
        members = known.class_of_particle >= 0
        difference = found.poses[name][members].astype(float) - known.poses[name][members]
        np.testing.assert_allclose((difference + 180) % 360 - 180, 0, atol=1e-4)


def test_mirrors_that_were_split_come_back(world: Any, tmp_path: Path) -> None:
    run = tmp_path / "classes"
    shutil.copytree(world.run, run)
    shutil.copytree(world.star.parent, tmp_path / "particles")
    stack = open_stack(run / "particles.star")
    (run / "particles.star").unlink()
    write_stack(run / "particles.star", split_mirrored_classes(stack))
    found, known = open_classified_run(run), open_classified_run(world.run)
    members = np.concatenate(known.table.members)
    for name in ("alpha", "tx", "ty", "mirror"):
        np.testing.assert_allclose(found.poses[name][members], known.poses[name][members])


def test_another_pixel_size(world: Any) -> None:
    found = with_pixel_size(open_classified_run(world.run), 2.5)
    assert found.particles.pixel_size_in_angstroms == 2.5
    assert with_pixel_size(found, None) is found


def test_what_is_missing_is_said(world: Any, tmp_path: Path) -> None:
    bare = world.star.with_name("particles.mrcs")
    problem = open_classified_run(world.run, bare).ctf_problem(np.arange(3))
    assert problem is not None
    assert "defocus_u" in problem
    with pytest.raises(InputError, match="nothing is overwritten"):
        make_new_folder(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        make_new_folder(tmp_path / "file" / "folder")
