"""`isac2 info`: what it says of real and of broken files, and the sheet it draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isac2.cli.main import main
from isac2.stacks import write_mrcs


def test_a_real_stack_is_described(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(shared / "data" / "filament_simulated" / "particles.star")]) == 0
    said = capsys.readouterr().out
    for words in (
        "RELION star",
        "800\n",
        "96 x 96 px",
        "2.5 A",
        "300 kV",
        "2.7 mm",
        "CTF:                   known",
        "2D poses:              none",
        "in-plane prior",
        "filaments",
        "rlnAngleTiltPrior",
        "standard deviation",
        "#####",
    ):
        assert words in said


def test_several_stacks_are_described_as_one(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = shared / "golden" / "eman2_files"
    stacks = [str(golden / "particles.hdf"), f"bdb:{golden}/bdb_stack#virtual"]
    assert main(["info", *stacks, "--sample", "0"]) == 0
    said = capsys.readouterr().out
    assert "EMAN2 HDF and EMAN2 BDB" in said
    assert "images:                15" in said
    assert "mirrored, shifts up to" in said
    assert "standard deviation" not in said


def test_unusable_images_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(1).normal(size=(3, 4, 4))
    images[0] = 2.0
    images[1, 1, 1] = np.nan
    write_mrcs(tmp_path / "a.mrcs", images)
    assert main(["info", str(tmp_path / "a.mrcs")]) == 0
    said = capsys.readouterr().out
    assert "1 with NaN or infinite pixels, 1 constant" in said
    assert "pixel size:            unknown" in said


def test_a_montage_is_drawn(tmp_path: Path) -> None:
    write_mrcs(tmp_path / "a.mrcs", np.random.default_rng(1).normal(size=(5, 8, 8)))
    sheet = tmp_path / "sheet.png"
    assert main(["info", str(tmp_path / "a.mrcs"), "--montage", str(sheet)]) == 0
    with Image.open(sheet) as picture:
        assert picture.size == (3 * 8 + 2 * 2, 2 * 8 + 2)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["gone.star"], "gone.star cannot be read"),
        (["a.mrcs", "--montage", "x.gif"], "give the name of a .png"),
        (["a.mrcs", "--montage", "gone/x.png"], "give the name of a .png"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    fault: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_mrcs(tmp_path / "a.mrcs", np.ones((1, 4, 4)))
    assert main(["info", *arguments]) == 2
    assert fault in capsys.readouterr().err
