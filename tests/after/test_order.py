"""`isac2 order` and `sp_chains.py`: averages of runs and of other files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac2.after.order import parameters_path
from isac2.cli.main import main, run_command
from isac2.cli.recipes.sp_chains import command
from isac2.images.transform import apply_poses
from isac2.poses import make_poses
from isac2.run.text_tables import read_table
from isac2.stacks import open_stack, read_eman_headers, read_star, write_mrcs


def test_a_run_is_ordered_as_it_ordered_itself(world: Any, tmp_path: Path) -> None:
    out = tmp_path / "ordered.hdf"
    assert main(["order", str(world.run), str(out), "--threads", "1"]) == 0
    own = world.run / "ordered_class_averages.hdf"
    np.testing.assert_allclose(open_stack(out).read(), open_stack(own).read(), atol=1e-6)
    assert parameters_path(out).read_text() == (world.run / "chains_params.txt").read_text()
    for new, old in zip(read_eman_headers(out), read_eman_headers(own), strict=True):
        np.testing.assert_array_equal(new["members"], old["members"])
        np.testing.assert_allclose(new["xform.align2d"], old["xform.align2d"], atol=1e-6)


def test_a_bare_stack_that_turns(tmp_path: Path) -> None:
    """Pictures between two extremes, turned at random, come in their order, all alike again."""
    random = np.random.default_rng(2)
    y, x = np.mgrid[:40, :40] - 20
    ends = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / c) for a, b, c in ((6, 2, 9), (-4, 5, 20))]
    blends = np.stack([(1 - t) * ends[0] + t * ends[1] for t in np.linspace(0, 1, 7)])
    mixed = np.array([3, 0, 6, 2, 5, 1, 4])
    poses = make_poses(random.uniform(0, 360, 7), 0, 0, random.integers(0, 2, 7))
    write_mrcs(tmp_path / "a.mrcs", apply_poses(blends[mixed].astype(np.float32), poses), 2.0)
    out, table = tmp_path / "o.mrcs", tmp_path / "table.txt"
    words = [str(tmp_path / "a.mrcs"), str(out), "--radius=14", "--table", str(table)]
    assert main(["order", *words]) == 0
    star = read_star(out.with_suffix(".star"))["model_classes"]
    order = mixed[star.numbers("isac2Class").astype(int) - 1].tolist()
    assert order in (list(range(7)), list(range(6, -1, -1)))
    ordered = open_stack(out).read()
    inside = x**2 + y**2 < 14**2
    for one, two in pairwise(ordered):
        assert np.corrcoef(one[inside], two[inside])[0, 1] > 0.8  # shifts are left as they are
    assert open_stack(out).pixel_size_in_angstroms == 2.0
    rows = read_table(table)
    assert rows.shape == (21, 3)
    assert rows[:, 2].max() <= 1.0 + 1e-6


def test_the_historical_command(world: Any, tmp_path: Path) -> None:
    averages = str(world.run / "class_averages.hdf")
    out, same = tmp_path / "o.hdf", tmp_path / "s.hdf"
    words = [averages, str(tmp_path / "junk.hdf"), str(out), "--circular", "--radius=14"]
    assert run_command(command, "sp_chains.py", words) == 0
    assert not (tmp_path / "junk.hdf").exists()
    assert run_command(command, "sp_chains.py", [averages, str(same), "--dd"]) == 0
    order = read_table(parameters_path(same))[:, 1].astype(int)
    np.testing.assert_array_equal(open_stack(same).read(), open_stack(averages).read(order))
    assert run_command(command, "sp_chains.py", [averages]) == 2
    assert run_command(command, "sp_chains.py", [averages, "x.hdf", "--dd", "--circular"]) == 2


def test_what_is_refused(world: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> str:
        capsys.readouterr()
        assert main(["order", *words]) == 2
        return capsys.readouterr().err

    run, out = str(world.run), str(tmp_path / "o.mrcs")
    assert "as .mrcs or .hdf" in said(run, str(tmp_path / "o.star"))
    assert "holds no class_averages.hdf" in said(str(tmp_path), out)
    assert "give a radius from 1 to" in said(run, out, "--radius=20")
    (tmp_path / "o.star").write_text("")
    assert "nothing is overwritten" in said(run, out)
