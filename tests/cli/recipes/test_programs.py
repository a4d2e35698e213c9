"""The historical programs one by one: what they do, and what they leave to others."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pytest

from isac2.cli.main import run_command
from isac2.cli.recipes import e2bdb, e2proc2d, sp_ali2d, sp_header, sp_process
from isac2.cli.recipes.e2bdb import with_equals_signs
from isac2.images.filters import tanh_low_pass
from isac2.images.transform import apply_poses
from isac2.poses import invert, make_poses, pixel_error
from isac2.stacks import (
    open_stack,
    read_eman_headers,
    write_eman_hdf,
    write_mrcs,
    write_particles_star,
)

COMMANDS: dict[str, click.Command] = {
    "e2bdb.py": e2bdb.command,
    "e2proc2d.py": e2proc2d.command,
    "sp_ali2d.py": sp_ali2d.command,
    "sp_header.py": sp_header.command,
    "sp_process.py": sp_process.command,
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with averages and particles."""
    monkeypatch.chdir(tmp_path)
    images = np.arange(96.0).reshape(6, 4, 4)
    members = [{"members": [4, 1]}, {"members": [2]}, {"members": [0, 5]}]
    write_eman_hdf("averages.hdf", images[:3], members, 3.0)
    write_eman_hdf("p.hdf", images, [{"originalid": 10 + i} for i in range(6)], 1.5)
    write_mrcs("p.mrcs", images, 1.5)
    write_particles_star("p.star", open_stack("p.mrcs"))
    return tmp_path


def call(line: str) -> int:
    program, *words = line.split()
    return run_command(COMMANDS[program], program, with_equals_signs(words))


def said(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert call(line) == 2
    return capsys.readouterr().err


def numbers(name: str) -> list[int]:
    return [int(word) for word in Path(name).read_text().split()]


def test_members() -> None:
    assert call("sp_process.py --isacselect averages.hdf ok.txt") == 0
    assert numbers("ok.txt") == [0, 1, 2, 4, 5]
    assert call("sp_process.py p.hdf averages.hdf a.txt --isacgroup=0 --params=originalid") == 0
    assert numbers("a.txt") == [14, 11]
    assert call("sp_process.py p.mrcs averages.hdf b.txt --isacgroup=0") == 0
    assert numbers("b.txt") == [4, 1]


def test_stacks_of_a_list() -> None:
    Path("ids.txt").write_text("3\n1\n")
    for number, sign in enumerate("=:"):
        assert call(f"e2bdb.py p.mrcs --makevstack{sign}{number}.star --list=ids.txt") == 0
        assert open_stack(f"{number}.star").read()[:, 0, 0].tolist() == [48, 16]


def test_images_dealt_out() -> None:
    assert call("e2proc2d.py --split=2 --first=2 --last=5 p.hdf o.hdf") == 0
    assert open_stack("o.02.hdf").read()[:, 0, 0].tolist() == [32, 64]
    assert open_stack("o.01.hdf").read()[:, 0, 0].tolist() == [48, 80]
    assert call("e2proc2d.py --first=1 averages.hdf rest.hdf") == 0
    assert [h["n_objects"] if "n_objects" in h else len(h["members"])
            for h in read_eman_headers("rest.hdf")] == [1, 2]  # fmt: skip


@pytest.mark.parametrize("name", ["p.hdf", "p.star"])
def test_alignments_go_out_and_in(name: str) -> None:
    rows = [f"{30.0 * i} {i} -1.5 {i % 2} 1.0" for i in range(6)]
    Path("in.txt").write_text("\n".join(rows))
    assert call(f"sp_header.py {name} --params=xform.align2d --import=in.txt") == 0
    assert call(f"sp_header.py {name} --params=xform.align2d --export=out.txt") == 0
    np.testing.assert_allclose(np.loadtxt("out.txt"), np.loadtxt("in.txt"), atol=2e-5)
    assert open_stack(name).read()[:, 0, 0].tolist() == [0, 16, 32, 48, 64, 80]
    assert call(f"sp_header.py {name} --params=xform.align2d --zero") == 0
    assert call(f"sp_header.py {name} --params=xform.align2d --export=zero.txt") == 0
    np.testing.assert_allclose(np.loadtxt("zero.txt"), [[0, 0, 0, 0, 1]] * 6, atol=1e-6)


def test_numbers_in_headers() -> None:
    for number, (action, expected) in enumerate(
        [("--consecutive", [0, 1, 2, 3, 4, 5]), ("--zero", [0] * 6), ("--one", [1] * 6)]
    ):
        for name in ("originalid", "active"):
            assert call(f"sp_header.py p.hdf --params={name} {action}") == 0
            assert call(f"sp_header.py p.hdf --params={name} --export={name}{number}.txt") == 0
            assert numbers(f"{name}{number}.txt") == expected
    Path("ids.txt").write_text("9\n8\n7\n6\n5\n4\n")
    assert call("sp_header.py p.hdf --params=originalid --import=ids.txt") == 0
    assert open_stack("p.hdf").metadata.original_id.tolist() == [9, 8, 7, 6, 5, 4]


@pytest.mark.parametrize("pixel_size", [2.0, 4.0])
def test_particles_find_their_pose(pixel_size: float) -> None:
    """Copies of a template, moved: the alignment undoes the move, also at other pixels."""
    random = np.random.default_rng(4)
    y, x = np.mgrid[:64, :64] - 32
    noise = random.standard_normal((1, 64, 64)).astype(np.float32)
    template = (tanh_low_pass(noise, 0.08, 0.1) * (np.hypot(x, y) < 20)).astype(np.float32)
    moves = make_poses(random.uniform(0, 360, 6), [2, -1, 0, 1, -2, 0], [0, 1, -2, 2, 0, 1],
                       [0, 1, 0, 1, 0, 1])  # fmt: skip
    images = apply_poses(np.repeat(template, 6, axis=0), moves)
    write_eman_hdf("g.hdf", images, None, 2.0)
    small = template if pixel_size == 2.0 else template[:, ::2, ::2]
    write_eman_hdf("t.hdf", small, None, pixel_size)
    assert call("sp_ali2d.py g.hdf None --ou=22 --xr=3 --ts=1 --maxit=1 --template=t.hdf") == 0
    stack = open_stack("g.hdf")
    np.testing.assert_allclose(stack.read(), images, atol=1e-6)
    found, expected = stack.metadata.poses, invert(moves)
    assert found is not None
    assert found["mirror"].tolist() == expected["mirror"].tolist()
    for one, other in zip(found, expected, strict=True):
        assert np.max(pixel_error(np.array([[one], [other]]), 20.0)[0]) < 0.5


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sp_process.py a b --phase_flip", "use the sp_process.py of SPHIRE"),
        ("sp_process.py a b", "use the sp_process.py of SPHIRE"),
        ("sp_process.py --isacselect averages.hdf", "needs two names"),
        ("sp_process.py p.hdf averages.hdf o.txt --isacgroup=3", "has the groups 0 to 2"),
        ("sp_process.py p.hdf averages.hdf o.txt --isacgroup=1 --params=x", "only originalid"),
        ("sp_process.py averages.hdf averages.hdf o.txt --isacgroup=0", "has 3 images"),
        ("sp_process.py --isacselect p.hdf o.txt", "does not know its members"),
        ("e2bdb.py p.mrcs -l", "use the e2bdb.py of EMAN2"),
        ("e2bdb.py p.mrcs", "use the e2bdb.py of EMAN2"),
        ("e2bdb.py p.mrcs --makevstack=p.star", "nothing is overwritten"),
        ("e2proc2d.py p.mrcs o.mrcs --process=filter", "use the e2proc2d.py of EMAN2"),
        ("e2proc2d.py p.mrcs o.mrcs --last=6", "has the images 0 to 5"),
        ("e2proc2d.py p.mrcs p.hdf", "nothing is overwritten"),
        ("sp_ali2d.py p.star out --template=averages.hdf", "give None in its place"),
        ("sp_ali2d.py p.star None", "use the sp_ali2d.py of SPHIRE"),
        ("sp_ali2d.py p.star None --template=averages.hdf --ou=3", "does not fit"),
        ("sp_ali2d.py p.star None --dst=90", "use the sp_ali2d.py of SPHIRE"),
        ("sp_header.py p.star --params=xform.align2d", "needs one of"),
        ("sp_header.py p.star --params=xform.align2d --print", "use the sp_header.py of SPHIRE"),
        ("sp_header.py p.star --params=xform.projection --zero", "use the sp_header.py of SPHIRE"),
        ("sp_header.py p.star --params=xform.align2d --one", "is no number"),
        ("sp_header.py p.star --params=active --one", "has no EMAN2 headers"),
        ("sp_header.py p.hdf --params=no --export=o.txt", "does not have the whole number no"),
        ("sp_header.py p.mrcs --params=xform.align2d --zero", "is a bare MRC stack"),
        ("sp_header.py p.hdf --params=originalid --import=short.txt", "cannot be read"),
    ],
)
def test_what_is_refused(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in said(line, capsys)


def test_pixels_that_are_there_are_not_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    before = Path("p.mrcs").read_bytes()
    star = Path("p.star").read_text().replace("p.mrcs", "p.hdf")
    Path("p.star").write_text(star)
    assert "which is there already" in said(
        "sp_header.py p.star --params=xform.align2d --zero", capsys
    )
    assert Path("p.mrcs").read_bytes() == before
    assert Path("p.star").read_text() == star
