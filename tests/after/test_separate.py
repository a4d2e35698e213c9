"""`isac2 separate` and `sp_eval_isac.py` on runs of isac2 and of SPHIRE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac2.cli.main import main, run_command
from isac2.cli.recipes.sp_eval_isac import command
from isac2.images.transform import apply_poses, average_in_poses
from isac2.run.results import read_run
from isac2.run.text_tables import read_ids, read_table
from isac2.stacks import open_stack, read_eman_headers, read_star, write_eman_hdf, write_mrcs


def test_stacks_and_lists(world: Any, tmp_path: Path) -> None:
    out = tmp_path / "parts"
    assert main(["separate", str(world.run), str(out), "--classes", "2,3"]) == 0
    known, whole = read_run(world.run), open_stack(world.star)
    assert sorted(path.name for path in out.iterdir()) == [
        "class_002.star",
        "class_002.txt",
        "class_003.star",
        "class_003.txt",
        "classmap.txt",
        "separate.json",
    ]
    for number in (2, 3):
        ids = read_ids(out / f"class_{number:03d}.txt")
        np.testing.assert_array_equal(ids, known.members[number - 1])
        stack = open_stack(out / f"class_{number:03d}.star")
        assert set(stack.metadata.class_number.tolist()) == {number}
        np.testing.assert_array_equal(stack.read([1]), whole.read(ids[[1]]))
        assert stack.metadata.poses is not None
        np.testing.assert_allclose(stack.metadata.poses["tx"], known.poses["tx"][ids], atol=1e-4)
    table = read_table(out / "classmap.txt")
    assert table.shape == (len(known.members[1]) + len(known.members[2]), 2)


def test_images_are_processed(world: Any, tmp_path: Path) -> None:
    out = tmp_path / "parts"
    options = [
        "--ctf=flip",
        "--filtrad=15",
        "--shrink=2",
        "--align=pose",
        "--nvec=2",
        "--threads=1",
    ]
    assert main(["separate", str(world.run), str(out), "--classes=1,2", *options]) == 0
    stack = open_stack(out / "class_002.star")
    images = stack.read()
    assert stack.box_size == 32
    assert stack.pixel_size_in_angstroms == pytest.approx(7.2)
    assert stack.metadata.phase_flipped.all()
    assert stack.metadata.poses is not None
    assert not stack.metadata.poses["alpha"].any()
    averages, variances = (
        open_stack(out / f"{name}.mrcs").read() for name in ("averages", "variances")
    )
    np.testing.assert_allclose(averages[1], images.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(variances[1], images.var(axis=0), atol=1e-3)
    table = read_star(out / "eigenimages.star")["eigenimages"]
    assert table.numbers("rlnClassNumber").tolist() == [1, 1, 2, 2]
    share = table.numbers("isac2VarianceShare")
    assert (share > 0).all()
    assert (share < 0.6).all()
    factors = read_table(out / "class_001_factors.txt")
    np.testing.assert_array_equal(factors[:, 0], read_ids(out / "class_001.txt"))
    np.testing.assert_allclose(factors[:, 1].std(ddof=1), 1.0, rtol=1e-4)


def test_poses_that_are_left_give_the_same_average(world: Any, tmp_path: Path) -> None:
    for align in ("none", "centre", "pose"):
        words = [str(world.run), str(tmp_path / align), "--classes=1", "--filtrad=12"]
        assert main(["separate", *words, "--align", align]) == 0
    averages = [
        open_stack(tmp_path / a / "averages.mrcs").read()[0] for a in ("none", "centre", "pose")
    ]
    stack = open_stack(tmp_path / "centre" / "class_001.star")
    poses = stack.metadata.poses
    assert poses is not None
    mean = apply_poses(stack.read(), poses).mean(axis=0)
    np.testing.assert_allclose(mean, averages[1], atol=2e-3)
    inside = slice(16, 48)
    for average in averages[1:]:
        pair = average[inside, inside].ravel(), averages[0][inside, inside].ravel()
        assert np.corrcoef(*pair)[0, 1] > 0.99


def test_astigmatism_turns_with_aligned_images(world: Any, tmp_path: Path) -> None:
    """Flipping phases before or after the alignment is the same where the angles are right."""
    run = str(world.run)
    assert main(["separate", run, str(tmp_path / "a"), "--classes=1", "--align=pose"]) == 0
    before, after = open_stack(tmp_path / "a" / "class_001.star"), read_run(world.run)
    ids = after.members[0]
    old = open_stack(world.star).metadata.defocus_angle_in_degrees[ids]
    sign = np.where(after.poses["mirror"][ids] != 0, -1, 1)
    expected = (sign * (old - after.poses["alpha"][ids])) % 180
    new = before.metadata.defocus_angle_in_degrees
    difference = (new - expected + 90) % 180 - 90
    np.testing.assert_allclose(difference, 0, atol=1e-3)


def test_the_historical_command(world: Any, tmp_path: Path) -> None:
    run, out = world.run, tmp_path / "out"
    averages = read_eman_headers(run / "class_averages.hdf")
    pixels = open_stack(run / "class_averages.hdf").read()
    saved = tmp_path / "saved.hdf"
    write_eman_hdf(saved, pixels[[0, 2]], [averages[0], averages[2]])
    words = [str(saved), str(world.star), str(out), f"--align_isac_dir={run}", "--shrink=2"]
    assert run_command(command, "sp_eval_isac.py", words) == 0
    assert {path.name for path in (out / "ClassDocs").iterdir()} == {
        "sel_class_000.txt",
        "sel_class_002.txt",
    }
    stack = open_stack(out / "Stacks" / "stkclass_002.mrcs")
    assert (len(stack), stack.box_size) == (len(averages[2]["members"]), 32)
    whole = [str(run / "class_averages.hdf"), str(tmp_path / "all"), f"--particles={world.star}"]
    assert run_command(command, "sp_eval_isac.py", whole) == 0
    assert (tmp_path / "all" / "Stacks" / "stkclass_000.star").exists()
    assert run_command(command, "sp_eval_isac.py", [str(saved)]) == 2
    assert run_command(command, "sp_eval_isac.py", [*whole, "--applyparams=all"]) == 2


def test_a_run_of_sphire(shared: Path, tmp_path: Path) -> None:
    run = str(shared / "golden" / "sphire_run")
    star = str(shared / "data" / "views_simulated" / "particles.star")
    out = tmp_path / "parts"
    words = [run, str(out), "--stack", star, "--classes=1", "--align=pose", "--ctf=flip"]
    assert main(["separate", *words]) == 0
    average = open_stack(out / "averages.mrcs").read()[0]
    own = open_stack(shared / "golden" / "sphire_run" / "class_averages.hdf").read([0])
    from isac2.images.resample import crop_or_pad, resample

    small = crop_or_pad(resample(average, 29 / 34), 76)
    y, x = np.mgrid[:76, :76] - 38
    inside = x**2 + y**2 < 29**2
    assert np.corrcoef(small[inside], own[0][inside])[0, 1] > 0.9
    members = open_stack(out / "class_001.star")
    poses = members.metadata.poses
    assert poses is not None
    np.testing.assert_allclose(average_in_poses(members.read(), poses), average, atol=1e-4)


def test_what_is_refused(world: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> str:
        capsys.readouterr()
        assert main(["separate", str(world.run), *words]) == 2
        return capsys.readouterr().err

    out = str(tmp_path / "out")
    assert "nothing is overwritten" in said(str(tmp_path))
    assert "meets what was asked for" in said(out, "--min-size=500")
    assert "give more than 7.2" in said(out, "--filtrad=5")
    assert "leaves nothing" in said(out, "--shrink=20")
    bare = str(world.star.with_name("particles.mrcs"))
    assert "does not say" in said(out, "--ctf=flip", "--stack", bare)
    write_mrcs(tmp_path / "mask.mrcs", np.ones((1, 8, 8)))
    assert "draw the mask" in said(out, "--nvec=1", f"--mask_binary={tmp_path}/mask.mrcs")
    assert not Path(out).exists()
