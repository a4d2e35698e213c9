"""`isac2 select`: from a run, ours or SPHIRE's, to ids and stacks; nothing is overwritten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from isac2.cli.main import main
from isac2.poses import make_poses, relion_from_poses
from isac2.stacks import open_stack, write_eman_hdf, write_mrcs, write_particles_star, write_star

CLASSES = [1, 1, 2, 2, 0, 3]
AVERAGES = np.random.default_rng(3).normal(size=(3, 4, 4)).astype(np.float32)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's directory with three classes of six particles."""
    write_mrcs(tmp_path / "p.mrcs", np.arange(96.0).reshape(6, 4, 4), 1.5)
    poses = make_poses(np.arange(6) * 50.0, np.arange(6) / 4, 1.0, [0, 1, 0, 1, 0, 0])
    psi, x, y, flip = relion_from_poses(poses, 1.5)
    folder = tmp_path / "run"
    folder.mkdir()
    columns: dict[str, ArrayLike] = {
        "rlnClassNumber": CLASSES,
        "rlnAnglePsi": psi,
        "rlnOriginXAngst": x,
        "rlnOriginYAngst": y,
        "rlnIsFlip": flip,
    }
    write_particles_star(folder / "particles.star", open_stack(tmp_path / "p.mrcs"), columns)
    headers = [
        {"members": np.flatnonzero(np.array(CLASSES) == k + 1), "pixel_error": 0.1 * k}
        for k in range(3)
    ]
    write_eman_hdf(folder / "class_averages.hdf", AVERAGES, headers, 3.0)
    write_mrcs(folder / "class_averages.mrcs", AVERAGES, 3.0)
    return folder


def select(run: Path, output: str, *options: str) -> Path:
    out = run.parent / output
    assert main(["select", str(run), str(out), *options]) == 0
    return out


def ids(run: Path, *options: str) -> list[int]:
    path = select(run, "ids.txt", *options)
    found = [int(word) for word in path.read_text().split()]
    path.unlink()
    return found


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["select", *words]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", [0, 1, 2, 3, 5]),
        ("--classes 1,3", [0, 1, 5]),
        ("--classes 1-2 --reject", [5]),
        ("--min-size 2 --max-error 0.05", [0, 1]),
        ("--max-size 1", [5]),
        ("--unaccounted", [4]),
        ("--unaccounted --classes 2", [2, 3, 4]),
    ],
)
def test_particles_of_chosen_classes(run: Path, options: str, expected: list[int]) -> None:
    assert ids(run, *options.split()) == expected


@pytest.mark.parametrize("name", ["o.star", "o.cs", "o.hdf", "o.lst"])
def test_stacks_keep_classes_and_poses(run: Path, name: str) -> None:
    stack = open_stack(select(run, name, "--classes", "2,3"))
    assert stack.read()[:, 0, 0].tolist() == [32, 48, 80]
    assert stack.metadata.poses is not None
    assert stack.metadata.poses["mirror"].tolist() == [0, 1, 0]
    assert stack.metadata.class_number.tolist() == [2, 2, 3]


@pytest.mark.parametrize("name", ["s.hdf", "s.mrcs", "s.star", "s.txt", "plain.hdf"])
def test_a_saved_selection(run: Path, name: str) -> None:
    saved = run.parent / name
    if name == "s.hdf":
        select(run, "first.txt", "--classes", "1,3", "--averages", str(saved))
    elif name == "s.star":
        write_star(
            saved, {"": {"rlnReferenceImage": [f"{k}@run/class_averages.mrcs" for k in (3, 1)]}}
        )
    elif name == "s.txt":
        saved.write_text("1\n3\n")
    elif name == "s.mrcs":
        write_mrcs(saved, AVERAGES[[2, 0]], 3.0)
    else:  # a program that has lost the headers, and changed the grey values
        write_eman_hdf(saved, 2 * AVERAGES[[2, 0]] + 1)
    assert ids(run, "--from", str(saved)) == [0, 1, 5]


def test_an_average_of_another_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mrcs(run.parent / "s.mrcs", np.stack([AVERAGES[0], AVERAGES[1].T]))
    said = refusal(capsys, str(run), f"{run}.txt", "--from", f"{run.parent}/s.mrcs")
    assert "image 2 of" in said
    assert "is no class average of" in said
    assert not Path(f"{run}.txt").exists()


def test_nothing_is_overwritten(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = select(run, "o.txt", "--classes", "1")
    before = out.read_bytes()
    assert "nothing is overwritten" in refusal(capsys, str(run), str(out), "--classes", "2")
    assert "is there already" in refusal(capsys, str(run), f"{run}/class_averages.mrcs")
    assert "is there already" in refusal(
        capsys, str(run), f"{run}/a.txt", "--averages", f"{run}/class_averages.hdf"
    )
    assert out.read_bytes() == before
    assert not (run / "a.txt").exists()


def test_partners_get_classes_and_poses(run: Path) -> None:
    write_mrcs(run.parent / "tilted.mrcs", -np.arange(96.0).reshape(6, 4, 4), 1.5)
    tilted = str(run.parent / "tilted.mrcs")
    stack = open_stack(select(run, "t.star", "--classes", "2", "--stack", tilted))
    own = open_stack(select(run, "o.star", "--classes", "2"))
    assert stack.read()[:, 0, 0].tolist() == [-32, -48]
    assert stack.metadata.class_number.tolist() == [2, 2]
    assert stack.metadata.poses is not None
    assert own.metadata.poses is not None
    for name in ("alpha", "tx", "ty", "mirror"):
        np.testing.assert_allclose(stack.metadata.poses[name], own.metadata.poses[name], atol=1e-5)


def test_what_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(run.parent / "o.txt")
    assert "not among the 3 classes" in refusal(capsys, str(run), out, "--classes", "4")
    assert "does not say the resolution" in refusal(capsys, str(run), out, "--max-resolution", "9")
    assert "meets what was asked" in refusal(capsys, str(run), out, "--min-size", "9")
    assert "there is no run" in refusal(capsys, f"{run}x", out)
    assert "holds no class_averages.hdf" in refusal(capsys, str(run.parent), out)
    write_mrcs(run.parent / "few.mrcs", np.zeros((5, 4, 4)), 1.5)
    few = str(run.parent / "few.mrcs")
    assert "has 5 images" in refusal(capsys, str(run), out, "--stack", few)


def test_a_run_of_sphire(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shared / "golden" / "sphire_run"
    stack = str(shared / "data" / "views_simulated" / "particles.star")
    for name, options in (("processed", ()), ("not_processed", ("--unaccounted",))):
        out = tmp_path / f"{name}.txt"
        assert main(["select", str(run), str(out), *options]) == 0
        assert out.read_text() == (run / f"{name}_images.txt").read_text()
    star = tmp_path / "good.star"
    saved = run / "main001" / "generation001" / "good_class_averages_001_001.hdf"
    assert main(["select", str(run), str(star), "--stack", stack, "--from", str(saved)]) == 0
    assert (open_stack(star).metadata.class_number > 0).all()
    assert "give them as --stack" in refusal(capsys, str(run), f"{tmp_path}/o.star")
    candidates = run / "main001" / "generation001" / "class_averages_001_001.hdf"
    out = tmp_path / "candidates.star"
    assert main(["select", str(candidates), str(out), "--stack", stack, "--classes", "20"]) == 0
    data = open_stack(out).metadata
    assert set(data.class_number.tolist()) == {20}
    assert data.poses is not None
    assert (data.poses["alpha"] == 0).all()  # centred only: the candidates have no poses
