import json
from pathlib import Path

import pytest

from isac2.cli.main import main

SMALL = ["--preset", "tiny", "--particles", "20", "--box", "48", "--pixel-size", "5"]


def test_makes_a_stack_and_says_what_to_do_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", str(tmp_path), *SMALL, "--views", "3", "--no-mirrors"]) == 0
    assert "--radius 15 --CTF" in capsys.readouterr().out
    recipe = json.loads((tmp_path / "recipe.json").read_text())
    assert (recipe["views"], recipe["mirrors"], recipe["particles"]) == (3, False, 20)
    assert recipe["snr"] == 0.3  # the preset's


def test_helical_takes_the_filament(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", str(tmp_path), *SMALL, "--views", "helical", "--no-ctf"]) == 0
    assert "--filament_width 14" in capsys.readouterr().out
    assert "rlnAnglePsiPrior" in (tmp_path / "particles.star").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--views", "sideways"], "--views knows no 'sideways'"),
        (["--preset", "huge"], "--preset knows no 'huge'"),
        (["--junk-kinds", "noise,dust"], "--junk-kinds knows no 'dust'"),
    ],
)
def test_options_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert main(["simulate", str(tmp_path / "out"), *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
