"""`isac2 convert`: files in, files out, parts of them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isac2.cli.main import main
from isac2.poses import make_poses, relion_from_poses, transform_points
from isac2.stacks import open_stack, write_mrcs, write_particles_star


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Something that looks like a run's directory: particles with classes and poses."""
    write_mrcs(tmp_path / "p.mrcs", np.arange(96.0).reshape(6, 4, 4), 1.5)
    poses = make_poses(np.arange(6) * 50.0, np.arange(6) / 4, 1.0, [0, 1, 0, 1, 0, 0])
    psi, x, y, flip = relion_from_poses(poses, 1.5)
    (tmp_path / "run").mkdir()
    write_particles_star(
        tmp_path / "run" / "particles.star",
        open_stack(tmp_path / "p.mrcs"),
        {
            "rlnClassNumber": [1, 1, 2, 2, 0, 0],
            "rlnAnglePsi": psi,
            "rlnOriginXAngst": x,
            "rlnOriginYAngst": y,
            "rlnIsFlip": flip,
        },
    )
    return tmp_path / "run"


@pytest.mark.parametrize("name", ["o.star", "o.cs", "o.hdf", "o.lst"])
def test_a_run_is_exported(run: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = run.parent / name
    assert main(["convert", str(run), str(out), "--accounted-only"]) == 0
    assert capsys.readouterr().out == f"4 images written to {out}\n"
    stack, expected = (
        open_stack(out),
        open_stack(run / "particles.star").metadata.select(np.arange(4)),
    )
    assert stack.metadata.class_number.tolist() == [1, 1, 2, 2]
    assert stack.metadata.poses is not None
    assert expected.poses is not None
    np.testing.assert_allclose(
        transform_points(stack.metadata.poses, [[3.0, 1.0]] * 4),
        transform_points(expected.poses, [[3.0, 1.0]] * 4),
        atol=1e-4,
    )


@pytest.mark.parametrize("name", ["o.star", "o.cs", "o.hdf", "o.lst"])
def test_mirrored_members_become_classes(run: Path, name: str) -> None:
    first, second = str(run.parent / f"first_{name}"), str(run.parent / f"second_{name}")
    assert main(["convert", str(run), first]) == 0
    assert open_stack(first).metadata.class_number.tolist() == [1, 1, 2, 2, 0, 0]
    assert main(["convert", first, second, "--split-mirrors"]) == 0
    data = open_stack(second).metadata
    assert data.class_number.tolist() == [1, 2, 3, 4, 0, 0]
    assert data.poses is not None
    assert data.poses["mirror"].tolist() == [0] * 6
    before = open_stack(run / "particles.star").metadata.poses
    assert before is not None
    moved, same = transform_points(data.poses, [[3.0, 1.0]] * 6), before.copy()
    same["mirror"] = 0
    np.testing.assert_allclose(moved, transform_points(same, [[3.0, 1.0]] * 6), atol=1e-4)


def test_chosen_images_in_their_order(run: Path) -> None:
    out = run.parent / "o.mrcs"
    (run / "ids.txt").write_text("4\n2\n")
    assert main(["convert", str(run.parent / "p.mrcs"), str(out), "--list", f"{run}/ids.txt"]) == 0
    assert open_stack(out).read()[:, 0, 0].tolist() == [64, 32]


def test_several_stacks_become_one(run: Path) -> None:
    source, out = str(run.parent / "p.mrcs"), str(run.parent / "o.hdf")
    assert main(["convert", source, str(run), out]) == 0
    assert len(open_stack(out)) == 12


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["p.mrcs", "x.tif"], "what to write is told by the ending"),
        (["gone.mrcs", "x.star"], "gone.mrcs cannot be read"),
        (["p.mrcs", "x.star", "--list", "gone.txt"], "gone.txt cannot be read"),
        (["p.mrcs", "x.star", "--list", "six.txt"], "entry 2 is '6', not the number of an image"),
        (["p.mrcs", "x.star", "--list", "none.txt"], "names no image"),
        (["p.mrcs", "x.star", "--accounted-only"], "no image that is in a class"),
        (["p.mrcs", "x.star", "--split-mirrors"], "no classes with poses"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_writes_nothing(
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    fault: str,
) -> None:
    monkeypatch.chdir(run.parent)
    (run.parent / "six.txt").write_text("0 6")
    (run.parent / "none.txt").write_text("")
    before = sorted(run.parent.iterdir())
    assert main(["convert", *arguments]) == 2
    assert fault in capsys.readouterr().err
    assert sorted(run.parent.iterdir()) == before


def test_nothing_is_overwritten_unless_told_to(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = str(run.parent / "p.mrcs"), run.parent / "o.hdf"
    out.write_text("precious")
    assert main(["convert", source, str(out)]) == 2
    assert "o.hdf is there already, and nothing is overwritten" in capsys.readouterr().err
    assert out.read_text() == "precious"
    assert main(["convert", source, str(out), "--overwrite"]) == 0
    assert len(open_stack(out)) == 6
