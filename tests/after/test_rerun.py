"""`isac2 rerun`: another round with chosen particles, and where they come from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac2.after.choose import Choice
from isac2.after.rerun import ORIGINAL_IDS, rerun
from isac2.classes.select import Limits
from isac2.cli.main import main
from isac2.run.directory import RunDirectory
from isac2.run.displays import SilentDisplay
from isac2.run.record import read_record
from isac2.run.results import read_run
from isac2.run.text_tables import read_ids
from isac2.stacks import open_stack

FAST = {
    "target_radius": 12,
    "target_box_size": 32,
    "alignment_rounds": 11,
    "stability_alignments": 2,
    "maximum_rounds": 1,
}


def test_rounds_know_where_they_come_from(world: Any, tmp_path: Path) -> None:
    second, third = tmp_path / "second", tmp_path / "third"
    words = ["--classes", "1-3", "--img_per_grp=30", "--minimum_grp_size=10"]
    assert main(["rerun", str(world.run), str(second), *words]) == 0
    first = read_run(world.run)
    ids = np.sort(np.concatenate(first.members[:3]))
    record = read_record(RunDirectory(second).run_json)
    assert record.input.images == len(ids)
    assert record.options["img_per_grp"] == 30
    assert record.options["target_radius"] == 14
    assert record.seed == read_record(RunDirectory(world.run).run_json).seed
    assert record.provenance == {
        "verb": "rerun",
        "run": str(world.run),
        "choice": {"classes": "1-3"},
        "particles": len(ids),
        "provenance": {},
    }
    np.testing.assert_array_equal(read_ids(second / ORIGINAL_IDS), ids)
    star = open_stack(second / "particles.star")
    np.testing.assert_array_equal(star.read([5]), open_stack(world.star).read(ids[[5]]))
    # of this round in turn
    rerun(second, third, Choice(limits=Limits(minimum_size=1)), display=SilentDisplay())
    again = np.sort(np.concatenate(read_run(second).members))
    np.testing.assert_array_equal(read_ids(third / ORIGINAL_IDS), ids[again])
    provenance = read_record(RunDirectory(third).run_json).provenance
    assert provenance["provenance"] == record.provenance


def test_what_is_left_to_the_round_is_chosen_for_its_particles(
    world: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, words = tmp_path / "out", ["--img_per_grp=auto", "--thld_err=auto", "--init_iter=1"]
    assert main(["rerun", str(world.run), str(out), "--min-size=1", *words]) == 0
    record = read_record(RunDirectory(out).run_json)
    assert record.options["img_per_grp"] == 50
    assert record.options["thld_err"] == pytest.approx(0.7 * 14 / 29, abs=1e-3)
    chosen = {row["option"]: row["reason"] for row in record.choices}
    assert set(chosen) == {"img_per_grp", "thld_err", "noise_whitening"}
    assert f"groups of {record.input.images} images" in chosen["img_per_grp"]
    assert chosen["img_per_grp"] in (out / "isac2.log").read_text()
    assert main(["rerun", str(world.run), str(out), "--min-size=1", *words]) == 0


def test_the_rejected(world: Any, tmp_path: Path) -> None:
    # fewer than a group are left: which ids they are is said before
    out = tmp_path / "rest"
    choice = Choice(classes="1", reject=True, unaccounted=True)
    rerun(world.run, out, choice, settings={"maximum_rounds": 1}, display=SilentDisplay())
    ids = read_ids(out / ORIGINAL_IDS)
    np.testing.assert_array_equal(ids, np.setdiff1d(np.arange(200), read_run(world.run).members[0]))


def test_what_is_stopped_goes_on(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from isac2.after import rerun as module

    def again() -> None:
        rerun(world.run, tmp_path / "out", Choice(classes="1,2"), display=SilentDisplay())

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "run_isac", stop)
        with pytest.raises(KeyboardInterrupt):
            again()
    assert not (tmp_path / "out" / "finished").exists()
    again()
    assert (tmp_path / "out" / "finished").exists()


def test_a_run_of_sphire(shared: Path, tmp_path: Path) -> None:
    run = shared / "golden" / "sphire_run"
    stack = shared / "data" / "views_simulated" / "particles.star"
    words = {**FAST, "phase_flip": True, "images_per_group": 100, "minimum_group_size": 40}
    out = rerun(
        run, tmp_path / "out", Choice("1,2"), stack=stack, settings=words, display=SilentDisplay()
    )
    record = read_record(out.run_json)
    assert record.options["radius"] == 34
    assert record.provenance["run"] == str(run)


def test_groups_of_a_run_of_sphire_may_be_left_to_the_round(shared: Path, tmp_path: Path) -> None:
    # of two classes that are chosen: its 60 would be more than the 50 of a group
    run = shared / "golden" / "sphire_run"
    stack = shared / "data" / "views_simulated" / "particles.star"
    words = {**FAST, "images_per_group": "auto"}
    out = rerun(
        run, tmp_path / "out", Choice("1,2"), stack=stack, settings=words, display=SilentDisplay()
    )
    options = read_record(out.run_json).options
    assert (options["img_per_grp"], options["minimum_grp_size"]) == (50, 30)


def test_what_is_refused(world: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> str:
        capsys.readouterr()
        assert main(["rerun", *words]) == 2
        return capsys.readouterr().err

    run, out = str(world.run), str(tmp_path / "out")
    assert "meets what was asked for" in said(run, out, "--min-size", "500")
    assert "fewer than one group" in said(run, out, "--classes", "1", "--img_per_grp=150")
    assert "give them as --stack" in said(_sphire(tmp_path), out)
    assert not Path(out).exists()
    other = tmp_path / "other"
    shutil.copytree(world.run, other)
    assert "started differently" in said(run, str(other), "--classes", "1-4")


def _sphire(folder: Path) -> str:
    """A folder that looks like SPHIRE's."""
    from isac2.stacks import write_eman_hdf

    run = folder / "sphire"
    run.mkdir()
    (run / "README_shrink_ratio.txt").write_text("0.5\n20\n")
    write_eman_hdf(run / "class_averages.hdf", np.zeros((1, 8, 8)), [{"members": [1, 2]}])
    return str(run)
