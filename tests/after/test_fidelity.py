"""Averages in true poses must show what the simulator says they show, and in wrong ones less."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.after.fidelity import measure_fidelity
from isac2.classes.evaluate_files import read_truth
from isac2.classes.fidelity import Fidelity
from isac2.classes.truth import true_poses
from isac2.cli.main import main
from isac2.errors import InputError
from isac2.poses import PoseArray, compose, make_poses
from isac2.simulate import PRESETS, simulate_stack
from isac2.stacks import open_stack, write_stack
from isac2.stacks.selection import with_classes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fidelity")
    simulate_stack(PRESETS["tiny"].with_changes(particles=200), made)
    return made


def _scored(folder: Path, classes: NDArray[np.int64], poses: PoseArray, out: Path) -> Fidelity:
    star = out / "found.star"
    write_stack(star, with_classes(open_stack(folder / "particles.star"), classes + 1, poses))
    return measure_fidelity(star, folder)


def test_true_poses_are_better_than_moved_ones(folder: Path, tmp_path: Path) -> None:
    truth = read_truth(folder / "truth.npz")
    assert truth.view is not None
    classes, right = np.where(truth.junk == 0, truth.view, -1), true_poses(truth)
    # a star's 2D poses know no mirror: images and mirrored images in classes of their own
    classes = np.where((classes >= 0) & (right["mirror"] == 1), classes + 5, classes)
    unmirrored = compose(right, make_poses(np.zeros(200), 0.0, 0.0, right["mirror"]))
    made = []
    moved = compose(unmirrored, make_poses(np.full(200, 70.0), 2.0, -1.0, 0))
    rng = np.random.default_rng(1)
    x, y = rng.normal(0, 1.5, (2, 200))
    shaken = compose(unmirrored, make_poses(np.zeros(200), x, y, 0))
    for number, found in enumerate((unmirrored, moved, shaken)):
        out = tmp_path / str(number)
        out.mkdir()
        made.append(_scored(folder, classes, found, out))
    best, turned, worse = made
    assert len(best.averages) == 10
    assert best.resolution_in_angstroms is not None
    assert best.mean_correlation is not None
    assert turned.mean_correlation is not None
    assert worse.mean_correlation is not None
    assert best.resolution_in_angstroms < 14
    assert turned.mean_correlation == pytest.approx(best.mean_correlation, abs=0.03)
    assert worse.mean_correlation < best.mean_correlation - 0.1


def test_the_command_line_prints_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = read_truth(folder / "truth.npz")
    assert truth.view is not None
    classes = np.where(truth.junk == 0, truth.view, -1)
    stack = with_classes(open_stack(folder / "particles.star"), classes + 1, true_poses(truth))
    write_stack(tmp_path / "found.star", stack)
    words = [str(tmp_path / "found.star"), str(folder / "truth.npz")]
    assert main(["evaluate", *words, "--averages", "--json", str(tmp_path / "s.json")]) == 0
    assert "agreement with clean views" in capsys.readouterr().out
    assert '"mean_correlation"' in (tmp_path / "s.json").read_text("utf-8")


def test_a_folder_that_is_no_simulation_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no recipe\.json"):
        measure_fidelity(folder / "particles.star", tmp_path)
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(InputError, match="not the recipe of a simulation"):
        measure_fidelity(folder / "particles.star", tmp_path)
