"""`isac2 assign`: new particles go to the classes of their view, or to none, and to new classes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac2.after import assign as module
from isac2.after.assign import assign_particles, default_directory
from isac2.cli.main import main
from isac2.run.checkpoint import load_state, save_state
from isac2.run.directory import RunDirectory
from isac2.run.displays import SilentDisplay
from isac2.run.record import read_record
from isac2.run.results import read_run
from isac2.stacks import Stack, WriteOptions, open_stack, write_mrcs, write_stack
from isac2.stacks.joining import join_stacks


@pytest.fixture(scope="module")
def assigned(world: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of old and new particles, by the command line; tests only read it."""
    out = tmp_path_factory.mktemp("assigned") / "both"
    before = sorted((path, path.stat().st_mtime_ns) for path in world.run.rglob("*"))
    words = [str(world.new_star), str(out), "--to", str(world.run), "--new-classes", "never"]
    assert main(["assign", *words]) == 0
    assert before == sorted((path, path.stat().st_mtime_ns) for path in world.run.rglob("*"))
    return out


def test_new_particles_join_the_classes_of_their_view(world: Any, assigned: Path) -> None:
    before, after = read_run(world.run), read_run(assigned)
    old_view, new_view = (np.load(path)["view"] for path in (world.truth, world.new_truth))
    assert len(after) == len(before)
    joined = 0
    for old, members in zip(before.members, after.members, strict=True):
        views = old_view[members[members < 200]]
        commonest = np.bincount(views[views >= 0]).argmax()
        fresh = new_view[members[members >= 200] - 200]
        joined += len(fresh)
        assert (fresh == commonest).all()  # no junk, no other view
        assert len(np.intersect1d(old, members)) >= 0.9 * len(old)
    assert joined > 60
    assert (np.linalg.norm([after.poses["tx"][200:], after.poses["ty"][200:]], axis=0) < 12).all()


def test_it_is_a_run_like_any_other(world: Any, assigned: Path, tmp_path: Path) -> None:
    stack = open_stack(assigned / "particles.star")
    np.testing.assert_array_equal(stack.read([0]), open_stack(world.star).read([0]))
    np.testing.assert_array_equal(stack.read([200]), open_stack(world.new_star).read([0]))
    for name in ("finished", "report.html", "class_averages.mrcs", "ordered_class_averages.hdf"):
        assert (assigned / name).exists()
    assert main(["select", str(assigned), str(tmp_path / "ids.txt"), "--min-size", "1"]) == 0
    record = read_record(RunDirectory(assigned).run_json)
    assert record.provenance["run"] == str(world.run)
    assert record.provenance["recalled"] + record.provenance["waiting"] <= 100
    assert record.generations == read_record(RunDirectory(world.run).run_json).generations
    assert not (assigned / "state" / "new_images.npy").exists()
    words = ["assign", str(world.new_star), str(assigned), "--to", str(world.run)]
    assert main([*words, "--new-classes", "never"]) == 0  # it is finished: nothing is done


@pytest.mark.parametrize("where", ["_prepare", "_assign", "run_isac"])
def test_what_is_stopped_goes_on_to_the_same_end(
    where: str, world: Any, assigned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    def again(threads: int) -> None:
        assign_particles(
            world.new_star,
            world.run,
            tmp_path / "both",
            new_classes="never",
            settings={"threads": threads},
            display=SilentDisplay(),
        )

    with monkeypatch.context() as patch:
        patch.setattr(module, where, stop)
        with pytest.raises(KeyboardInterrupt):
            again(2)
    again(1)
    for name in ("class_averages.hdf", "all_parameters.txt", "working_images.npy"):
        assert (tmp_path / "both" / name).read_bytes() == (assigned / name).read_bytes()


def test_what_is_left_gets_classes_of_its_own(world: Any, tmp_path: Path) -> None:
    """With few classes to go to, generations find the rest: here those of one view are missing."""
    few = tmp_path / "few"
    shutil.copytree(world.run, few)
    shutil.copytree(world.star.parent, tmp_path / "particles")
    old_view = np.load(world.truth)["view"]
    saved = RunDirectory(few).clustering_state
    state = load_state(saved)
    kept = tuple(g for g in state.accounted if np.bincount(old_view[g.members] + 1).argmax() != 1)
    assert 0 < len(kept) < len(state.accounted)
    save_state(saved, replace(state, accounted=kept))
    found = assign_particles(
        world.new_star, few, tmp_path / "both", new_classes="always", display=SilentDisplay()
    )
    assert found.new_classes > 0
    after = read_run(tmp_path / "both")
    everything = np.concatenate([old_view, np.load(world.new_truth)["view"]])
    last = read_record(RunDirectory(few).run_json).generations[-1].main_iteration
    assert (tmp_path / "both" / f"main{last + 1:03d}" / "finished").exists()
    new = [everything[members] for members in after.members[len(kept) :]]
    assert any(np.bincount(views + 1).argmax() == 1 for views in new)  # the view that was missing


def test_the_next_batch(world: Any, assigned: Path, tmp_path: Path) -> None:
    third = tmp_path / "third.star"
    some = open_stack(world.new_star).select(np.arange(30))
    write_stack(third, some, WriteOptions(copy_pixels=True))
    found = assign_particles(third, assigned, tmp_path / "all", display=SilentDisplay())
    assert found.first_new == 300
    after = read_run(tmp_path / "all")
    assert len(after.class_of_particle) == 330
    # the same pictures as rows 200 to 229: hardly any may differ in what becomes of it
    same = after.class_of_particle[200:230] == after.class_of_particle[300:]
    full = np.array([len(members) for members in after.members]) >= 80  # a class takes no more
    there = after.class_of_particle[200:230]
    assert same[(there >= 0) & ~full[there]].mean() > 0.8
    chain = read_record(RunDirectory(tmp_path / "all").run_json).provenance
    assert chain["provenance"]["run"] == str(world.run)


def test_of_a_growing_table_only_what_is_new(world: Any, tmp_path: Path) -> None:
    """The table has 40 old particles, then new ones, one of them blank."""
    blank = tmp_path / "blank.mrcs"
    write_mrcs(blank, np.ones((1, 64, 64)), 3.6)
    new = open_stack(world.new_star).select(np.arange(20))
    one = open_stack(blank)
    files, last = (*new.files, one.files[0]), len(new.files)
    index, slots = new.file_index.copy(), new.slots.copy()
    index[7], slots[7] = last, 0
    with_blank = Stack(new.path, new.kind, files, index, slots, new.metadata)
    growing = tmp_path / "growing.star"
    write_stack(growing, join_stacks([open_stack(world.star).select(np.arange(40)), with_blank]))
    found = assign_particles(growing, world.run, tmp_path / "out", display=SilentDisplay())
    assert (found.first_new, found.new) == (200, 20)
    after = read_run(tmp_path / "out")
    assert len(after.class_of_particle) == 220
    assert after.class_of_particle[207] == -1
    record = read_record(found.directory.run_json)
    assert record.unusable_images == [207]


def test_a_run_without_working_images_and_of_sphire(shared: Path, tmp_path: Path) -> None:
    run = shared / "golden" / "sphire_run"
    stack = shared / "data" / "views_simulated" / "particles.star"
    new = tmp_path / "new.star"
    ids = np.loadtxt(run / "processed_images.txt", dtype=int)[:30]
    write_stack(new, open_stack(stack).select(ids), WriteOptions(copy_pixels=True))
    words = ["assign", str(new), str(tmp_path / "both"), "--to", str(run), "--stack", str(stack)]
    options = ["--CTF", "--img_per_grp=100", "--minimum_grp_size=40", "--stab_ali=2"]
    assert main([*words, *options, "--skip_ordering", "--maxit=15"]) == 0
    after = read_run(tmp_path / "both")
    there = after.class_of_particle[2000:]
    assert (there >= 0).mean() > 0.5
    assert (there == after.class_of_particle[ids])[there >= 0].mean() > 0.9


def test_default_directory() -> None:
    assert default_directory("x/day2.star", "runs/classes") == Path("runs/classes+day2")
    assert default_directory("bdb:x#day2", "classes") == Path("classes+day2")


def test_what_is_refused(
    world: Any, assigned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*words: str) -> str:
        capsys.readouterr()
        assert main(["assign", *words]) == 2
        return capsys.readouterr().err

    new, out, to = str(world.new_star), str(tmp_path / "out"), ["--to", str(world.run)]
    assert "there is no run" in said(new, out, "--to", "nothing")
    assert "in the run already" in said(str(world.star), out, *to)
    assert "was run with already" in said(new, out, *to, "--radius=20")
    assert "is no finished run" in said(new, out, "--to", str(tmp_path))
    assert "started differently" in said(new, str(assigned), *to, "--new-classes", "always")
    write_mrcs(tmp_path / "other.mrcs", np.zeros((3, 32, 32)), 3.6)
    assert "extract the new particles alike" in said(str(tmp_path / "other.mrcs"), out, *to)
    write_mrcs(tmp_path / "fine.mrcs", np.zeros((3, 64, 64)), 1.8)
    assert "has pixels of 1.8 A" in said(str(tmp_path / "fine.mrcs"), out, *to)
    unfinished = tmp_path / "unfinished"
    shutil.copytree(world.run, unfinished)
    (unfinished / "finished").unlink()
    assert "has not finished" in said(new, out, "--to", str(unfinished))
    assert not Path(out).exists()
