"""`isac2 suggest`: what it says can be run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isac2.cli.main import main
from isac2.run.suggestion import read_sample, suggest
from isac2.simulate import PRESETS, simulate_stack
from isac2.stacks import open_stack, write_mrcs


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suggest") / "tiny"
    return simulate_stack(PRESETS["tiny"].with_changes(particles=150), folder).star


def test_the_command_that_it_prints_is_a_run(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["suggest", str(tiny), "--threads=1"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"Time: +about \S+ .* with 1 threads", said)
    assert [path.name for path in tmp_path.iterdir()] == ["radius_particles.png"]
    with Image.open("radius_particles.png") as picture:
        assert picture.mode == "RGB"
        assert len(picture.getcolors(1 << 20) or ()) > 50
    words = shlex.split(said.splitlines()[-1])
    assert words[:2] == ["isac2", "run"]
    assert words[2] == str(tiny)
    assert "--CTF" in words
    radius = next(int(w.partition("=")[2]) for w in words if w.startswith("--radius="))
    assert 15 <= radius <= 24  # 21 holds every atom; 17 holds 99 % of what is seen
    faster = ["--target_radius=8", "--target_nx=24", "--init_iter=1", "--maxit=3"]
    assert main([*words[1:], *faster]) == 0


def test_dark_particles_and_a_missing_ctf_are_told(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mrcs(tmp_path / "dark.mrcs", -open_stack(tiny).read(), 3.6)
    picture = tmp_path / "p.png"
    assert main(["suggest", str(tmp_path / "dark.mrcs"), "--picture", str(picture)]) == 0
    said = capsys.readouterr().out
    assert "particles are darker than what is around them" in said
    assert "the table has no CTF" in said
    assert "--CTF" not in said.splitlines()[-1]
    assert picture.exists()


def test_what_cannot_be_measured_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mrcs(tmp_path / "flat.mrcs", np.ones((3, 16, 16), np.float32), 1.0)
    assert main(["suggest", str(tmp_path / "flat.mrcs"), "--picture", str(tmp_path / "p.png")]) == 2
    assert "fewer than two of 3 images can be used" in capsys.readouterr().err
    assert main(["suggest", str(tmp_path / "flat.mrcs"), "--picture", "none/p.png"]) == 2
    assert not (tmp_path / "p.png").exists()


@pytest.mark.parametrize(
    ("name", "radius", "width"),
    [
        ("apoferritin_real", 42, None),
        ("views_simulated", 34, None),
        ("mix_simulated", 30, None),
        ("filament_simulated", None, 28),
    ],
)
def test_known_stacks(shared: Path, name: str, radius: int | None, width: int | None) -> None:
    stack = open_stack(shared / "data" / name / "particles.star")
    found = suggest(stack, read_sample(stack, 200))
    if radius is not None:
        assert found.settings.radius == pytest.approx(radius, rel=0.12)
        assert found.filament_width is None
    if width is not None:
        assert found.settings.filament_width == pytest.approx(width, rel=0.12)
    assert not found.is_dark
