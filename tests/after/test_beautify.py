"""`isac2 beautify` and `sp_compute_isac_avg.py` on runs of isac2 and of SPHIRE."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.after.beautify import read_power_table
from isac2.classes.beautify import BeautifyParameters, beautify_class
from isac2.classes.evaluate_files import read_truth
from isac2.classes.quality import soft_disc
from isac2.classes.sharpening import Adjustment
from isac2.classes.truth import true_poses
from isac2.cli.main import main, run_command
from isac2.cli.recipes.sp_compute_isac_avg import command
from isac2.errors import InputError
from isac2.images.spectra import fourier_ring_correlation
from isac2.images.transform import apply_poses
from isac2.poses import compose, invert, mean_pose
from isac2.run.results import read_run
from isac2.stacks import open_stack, read_eman_headers, read_star


def test_averages_at_full_size(world: Any, tmp_path: Path) -> None:
    out = tmp_path / "averages"
    assert main(["beautify", str(world.run), str(out), "--threads", "1"]) == 0
    averages = open_stack(out / "class_averages.hdf")
    stack = open_stack(world.star)
    before = read_eman_headers(world.run / "class_averages.hdf")
    after = read_eman_headers(out / "class_averages.hdf")
    assert averages.box_size == stack.box_size
    assert averages.pixel_size_in_angstroms == pytest.approx(stack.pixel_size_in_angstroms)
    np.testing.assert_allclose(open_stack(out / "class_averages.mrcs").read(), averages.read())
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old["members"], new["members"])
    tables = read_star(out / "class_averages.star")
    resolution = tables["model_classes"].numbers("rlnEstimatedResolution")
    np.testing.assert_allclose(resolution, [h["resolution"] for h in after], rtol=1e-4)
    curves = tables["model_class_correlation"]
    first = curves.numbers("rlnClassNumber") == 1
    np.testing.assert_allclose(
        curves.numbers("isac2RingCorrelation")[first], after[0]["frc"], atol=1e-5
    )
    assert not (out / "particles.star").exists()


def test_averages_are_as_good_as_at_the_true_poses(world: Any) -> None:
    """Correlation with the noise-free view, against that of the same particles at true poses."""
    found, truth = read_run(world.run), read_truth(world.truth)
    stack = open_stack(world.star)
    views = open_stack(world.folder / "everything" / "views.mrcs").read()
    true, how = true_poses(truth), BeautifyParameters(21, 3.6, Adjustment("no_adjustment"), None)
    assert truth.view is not None
    for members in found.members:
        view = np.bincount(truth.view[members] + 1).argmax() - 1
        same = members[truth.view[members] == view]
        images, ctf = stack.read(same), stack.metadata.ctf_parameters(same)
        here, there = found.poses[same], true[same]
        average, best = (beautify_class(images, poses, how, ctf).average for poses in (here, there))
        between = compose(invert(here), there)  # from the class's frame to the view's
        mirror = int(between["mirror"].mean() > 0.5)
        some = between[between["mirror"] == mirror]
        turned = apply_poses(average[None], mean_pose(some)[None])[0]
        ours, theirs = (_likeness(image, views[view]) for image in (turned, best))
        assert ours > theirs - 0.03
        assert ours > 0.85


def _likeness(image: NDArray[np.float32], view: NDArray[np.float32]) -> float:
    """Mean ring correlation up to 0.25/px under a soft disc."""
    mask = soft_disc(len(view), 21)
    image, view = ((i - (i * mask).sum() / mask.sum()) * mask for i in (image, view))
    return float(fourier_ring_correlation(image, view).correlation[1:17].mean())


def test_names_start_from_the_project_s_folder(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the particles' names do, as in RELION; SPHIRE's run knows no names."""
    project = tmp_path / "project"
    shutil.copytree(world.star.parent, project / "Extract")
    table = project / "Extract" / "particles.star"
    text = table.read_text().replace("@particles.mrcs", "@Extract/particles.mrcs")
    table.write_text(text)
    run = project / "Class2D"
    shutil.copytree(world.run, run)
    star = (run / "particles.star").read_text()
    (run / "particles.star").write_text(
        star.replace("@../particles/particles.mrcs", "@Extract/particles.mrcs")
    )
    monkeypatch.chdir(project)
    assert main(["beautify", "Class2D", "Average", "--navg=1"]) == 0
    names = read_star(project / "Average" / "class_averages.star")["model_classes"]
    assert names.columns["rlnReferenceImage"].tolist() == [b"000001@Average/class_averages.mrcs"]


def test_threads_and_times_change_nothing(world: Any, tmp_path: Path) -> None:
    for name, threads in (("a", "1"), ("b", "2")):
        words = [str(world.run), str(tmp_path / name), "--threads", threads]
        assert main(["beautify", *words, "--local_alignment", "--maxit=1"]) == 0
    for name in ("class_averages.mrcs", "class_averages.star", "particles.star"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_historical_command(world: Any, tmp_path: Path) -> None:
    out = tmp_path / "averages"
    words = [f"--stack={world.star}", f"--isac_dir={world.run}", f"--output_dir={out}"]
    more = ["--pw_adjustment=bfactor", "--Bfactor=100", "--fl=0.2", "--navg=2", "--noctf"]
    more += ["--pixel_size=-1.0", "--xr=-1.0", "--fh=-1.0"]  # as SPHIRE's own window writes them
    assert run_command(command, "sp_compute_isac_avg.py", [*words, *more, "--radius=20"]) == 0
    record = json.loads((out / "beautify.json").read_text())
    assert record["b_factors_in_square_angstroms"] == [100.0, 100.0]
    assert record["options"]["correct_ctf"] is False
    assert record["options"]["radius"] == 20
    assert len(open_stack(out / "class_averages.mrcs")) == 2
    assert run_command(command, "sp_compute_isac_avg.py", [*words, "--skip_local"]) == 2


def test_a_table_of_power(world: Any, tmp_path: Path) -> None:
    table = tmp_path / "power.txt"
    table.write_text("0.0 9\n0.1 3\n0.2 1\n")
    np.testing.assert_array_equal(read_power_table(table), [9, 3, 1])
    words = [str(world.run), str(tmp_path / "out"), f"--pw_adjustment={table}", "--navg=1"]
    assert main(["beautify", *words]) == 0
    table.write_text("1\n-1\n")
    with pytest.raises(InputError, match="is no power spectrum"):
        read_power_table(table)


def test_a_run_of_sphire(shared: Path, tmp_path: Path) -> None:
    run = str(shared / "golden" / "sphire_run")
    stack = str(shared / "data" / "views_simulated" / "particles.star")
    out = tmp_path / "averages"
    assert main(["beautify", run, str(out), "--stack", stack, "--navg=2", "--threads=1"]) == 0
    headers = read_eman_headers(out / "class_averages.hdf")
    assert open_stack(out / "class_averages.hdf").box_size == 96
    assert all(header["resolution"] < 10 for header in headers)  # its own average: 9.7 A at best


def test_what_is_refused(
    world: Any, tmp_path: Path, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*words: str) -> str:
        capsys.readouterr()
        assert main(["beautify", *words]) == 2
        return capsys.readouterr().err

    out = str(tmp_path / "out")
    assert "nothing is overwritten" in said(str(world.run), str(tmp_path))
    assert "there is no run" in said(str(tmp_path / "no"), out)
    assert "does not fit" in said(str(world.run), out, "--radius=99")
    assert "needs --pw_adjustment=bfactor" in said(str(world.run), out, "--Bfactor=50")
    assert "is neither" in said(str(world.run), out, "--pw_adjustment=model")
    assert "no frequency below 0.5" in said(str(world.run), out, "--fl=0.7")
    sphire = str(shared / "golden" / "sphire_run")
    assert "give them as --stack" in said(sphire, out)
    bare = str(world.folder / "particles" / "particles.mrcs")
    assert "all that the CTF needs" in said(str(world.run), out, "--stack", bare)
    assert not Path(out).exists()
