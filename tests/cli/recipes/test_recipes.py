"""The manual page's recipes, from the shell, as `docs/recipes.md` has them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from isac2.cli.main import main
from isac2.images.transform import average_in_poses
from isac2.stacks import open_stack, read_eman_headers, write_mrcs

PAGE = Path(__file__).resolve().parents[3] / "docs" / "recipes.md"
PROGRAMS = Path(sys.executable).parent
SIMULATE = ["--preset=tiny", "--particles=180", "--views=4", "--box=40", "--pixel-size=6"]
RUN = ["--radius=12", "--CTF", "--img_per_grp=18", "--minimum_grp_size=8", "--target_radius=12"]
FAST = ["--target_nx=32", "--maxit=15", "--init_iter=1", "--rand_seed=1", "--skip_ordering"]


def recipe(name: str) -> str:
    """Return the shell lines of a recipe of the page."""
    pattern = rf"<!-- recipe: {name} -->\n```console\n(.*?)^```"
    block = re.search(pattern, PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert block is not None
    return re.sub(r"^\$ ", "", block.group(1), flags=re.MULTILINE)


def shell(lines: str, folder: Path) -> str:
    """Run lines in a shell that stops at the first that fails; return what it said."""
    if not (PROGRAMS / "sp_process.py").exists():
        pytest.skip("the programs are not installed beside the interpreter")
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", lines],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def ids(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of ours, particles and the tilted partners beside it."""
    pytest.importorskip("berkeleydb")
    folder = tmp_path_factory.mktemp("recipes")
    assert main(["simulate", str(folder), *SIMULATE]) == 0
    star = str(folder / "particles.star")
    assert main(["run", star, str(folder / "classes"), *RUN, *FAST]) == 0
    write_mrcs(folder / "tilted.mrcs", -open_stack(star).read(), 6.0)
    return folder / "classes"


def test_selected_averages(run: Path) -> None:
    shell(recipe("select"), run)
    assert ids(run / "ok.txt") == ids(run / "processed_images.txt")
    chosen = open_stack(f"bdb:{run}#select1")
    expected = open_stack(run / "particles.star").read(ids(run / "ok.txt"))
    np.testing.assert_array_equal(chosen.read(), expected)


def test_from_a_group_to_the_tilted_partners(run: Path) -> None:
    """Group 2 of generation 1 in the place of 12 and 3; otherwise letter by letter."""
    words = recipe("rct") + recipe("partners")
    words = words.replace("12", "02").replace("_3.hdf", "_1.hdf")
    words = words.replace("generation3", "generation1").replace("--ou=28", "--ou=12")
    folder = run / "main001" / "generation001"
    stacks = "".join(
        f"isac2 convert ../../../{file} bdb:{name}\n"
        for file, name in (("particles.star", "test"), ("tilted.mrcs", "tilted"))
    )
    said = shell(f"{stacks}mkdir RCT\n{words}", folder)
    assert "holds no xform.align2d" in said

    header = read_eman_headers(folder / "class_averages_generation_1.hdf")[2]
    members = np.asarray(header["members"]).tolist()
    assert ids(folder / "list3_02.txt") == members
    template = folder / "group3_02.02.hdf"
    assert read_eman_headers(template)[0]["members"].tolist() == members
    group = open_stack(f"bdb:{folder}/RCT#group3_02")
    np.testing.assert_array_equal(group.read(), open_stack(run / "particles.star").read(members))
    assert group.metadata.poses is not None
    own = average_in_poses(group.read(), group.metadata.poses).ravel()
    blind = group.read().mean(axis=0).ravel()
    average = open_stack(template).read()[0]  # of the same pixels, as both radii are 12
    middle = (slice(8, -8), slice(8, -8))
    assert average.shape == (32, 32)

    def likeness(image: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
        inner = image.reshape(40, 40)[4:36, 4:36]
        return float(np.corrcoef(inner[middle].ravel(), average[middle].ravel())[0, 1])

    assert likeness(own) > likeness(blind)

    tilted = open_stack(folder / "RCT" / "tilted3_02.star")
    np.testing.assert_array_equal(tilted.read(), -group.read())
    assert tilted.metadata.poses is not None
    for name in ("alpha", "tx", "ty", "mirror"):
        difference = tilted.metadata.poses[name] - group.metadata.poses[name]
        np.testing.assert_allclose((difference + 180.0) % 360.0, 180.0, atol=1e-3)


def test_a_run_of_sphire_in_the_old_folders(shared: Path, tmp_path: Path) -> None:
    """The seed's own folders and numbers; SPHIRE's averages, so without the new alignment."""
    pytest.importorskip("berkeleydb")
    golden = shared / "golden" / "sphire_run"
    folder = tmp_path / "isac" / "generation_0003"
    folder.mkdir(parents=True)
    good = golden / "main001" / "generation001" / "good_class_averages_001_001.hdf"
    shutil.copyfile(good, folder / "class_averages_generation_3.hdf")
    shutil.copyfile(golden / "class_averages.hdf", tmp_path / "isac" / "class_averages.hdf")
    write_mrcs(tmp_path / "p.mrcs", np.arange(2000 * 16.0).reshape(2000, 4, 4), 2.4)
    shell("isac2 convert ../p.mrcs bdb:data\n" + recipe("select"), tmp_path / "isac")
    assert ids(tmp_path / "isac" / "ok.txt") == ids(golden / "processed_images.txt")
    stacks = "isac2 convert ../../p.mrcs bdb:test\nmkdir RCT\n"
    lines = [line for line in recipe("rct").splitlines() if not line.startswith("sp_ali2d.py")]
    shell(stacks + "\n".join(lines), folder)
    members = np.asarray(read_eman_headers(good)[12]["members"]).tolist()
    assert ids(folder / "list3_12.txt") == members
    first = open_stack(f"bdb:{folder}/RCT#group3_12").read()[:, 0, 0]
    assert first.tolist() == [16.0 * member for member in members]
    np.testing.assert_array_equal(
        open_stack(folder / "group3_12.12.hdf").read(), open_stack(good).read([12])
    )
