"""`isac2 compare` on runs of isac2, of SPHIRE and of other programs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac2.after.compare import compare_runs
from isac2.cli.main import main
from isac2.run.results import read_run
from isac2.run.text_tables import read_ids, read_table
from isac2.stacks import open_stack, read_star


def test_two_seeds(world: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(world.run), str(world.other_run)]
    star, ids, numbers = (str(tmp_path / name) for name in ("c.star", "c.txt", "c.json"))
    assert main(["compare", *runs, "--out", star, "--out", ids, "--json", numbers]) == 0
    assert "in the same class" in capsys.readouterr().out
    one, two = read_run(world.run), read_run(world.other_run)
    good = np.flatnonzero((one.class_of_particle >= 0) & (two.class_of_particle >= 0))
    np.testing.assert_array_equal(read_ids(Path(ids)), good)
    written, whole = open_stack(star), open_stack(world.star)
    np.testing.assert_array_equal(written.read(), whole.read(good))
    same = written.metadata.class_number == one.class_of_particle[good] + 1
    assert same.mean() > 0.5
    columns = read_star(star)["particles"]
    assert set(columns.numbers("isac2GoodIn")) == {2}
    table = tmp_path / "table.txt"
    assert main(["compare", *runs, "--particles", str(table)]) == 0
    rows = read_table(table)
    np.testing.assert_array_equal(rows[:, 0], np.arange(200))
    np.testing.assert_array_equal(np.flatnonzero(rows[:, 1] == 2), good)
    np.testing.assert_array_equal(rows[good, 3], columns.numbers("isac2SameIn"))
    assert ((rows[:, 2] > 0) == (rows[:, 3] > 0)).all()
    document = json.loads(Path(numbers).read_text())
    assert document["good_in_at_least"]["2"] == len(good)
    assert [entry["size"] for entry in document["classes"]] == [len(m) for m in one.members]
    assert document["adjusted_rand_index"][0][1] == document["adjusted_rand_index"][1][0] > 0.3


def test_a_comparison_is_kept_with_the_first_run(
    world: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(world.run, run)
    assert main(["compare", str(run), str(world.other_run), "--save"]) == 0
    assert str(run / "report.html") in capsys.readouterr().out
    rows = read_table(run / "reproducibility.txt")
    assert len(rows) == 200
    found = json.loads((run / "reproducibility.json").read_text())["classes"]
    shown = (run / "report.html").read_text()
    assert f"in common with its match in {world.other_run}" in shown
    assert f"{100 * found[0]['reproducibility']:.0f} %</td></tr>" in shown
    assert main(["compare", str(world.star), str(run), "--save"]) == 2


def test_a_star_of_another_program(world: Any) -> None:
    compared = compare_runs([world.run, world.run / "particles.star"])
    np.testing.assert_allclose(compared.comparison.reproducibility, 1.0)
    assert compared.rand_index[0, 1] == 1.0


def test_a_run_of_sphire(shared: Path, tmp_path: Path) -> None:
    run = str(shared / "golden" / "sphire_run")
    stack = str(shared / "data" / "views_simulated" / "particles.star")
    out = tmp_path / "same.star"
    assert main(["compare", run, run, "--out", str(out), "--stack", stack, "--same-class"]) == 0
    ids = read_ids(shared / "golden" / "sphire_run" / "processed_images.txt")
    np.testing.assert_array_equal(open_stack(out).slots, ids)


def test_what_is_refused(world: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> str:
        capsys.readouterr()
        assert main(["compare", *words]) == 2
        return capsys.readouterr().err

    one, two = str(world.run), str(world.other_run)
    assert "two runs or more" in said(one)
    assert "there is no run" in said(f"{one}x", two)
    assert "give 1 to 2" in said(one, two, "--min-runs=3")
    there = tmp_path / "there.txt"
    there.write_text("")
    assert "nothing is overwritten" in said(one, two, "--out", str(there))
    assert "is no run that has ended" in said(str(tmp_path), one)
    changed = tmp_path / "changed"
    changed.mkdir()
    for name in ("particles.star", "run.json"):
        text = (world.run / name).read_text().replace('"fingerprint": "', '"fingerprint": "x')
        (changed / name).write_text(text)
    assert "not of the same stack" in said(one, str(changed))
