"""`isac2 validate`: the exit code, and all faults of several files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isac2.cli.main import main
from isac2.stacks import write_mrcs


def test_good_and_bad_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = str(tmp_path / "good.mrcs"), str(tmp_path / "bad.mrcs")
    images = np.random.default_rng(1).normal(size=(3, 4, 4))
    write_mrcs(good, images)
    images[1:] = 0
    write_mrcs(bad, images)
    assert main(["validate", good]) == 0
    assert "good.mrcs: no fault found." in capsys.readouterr().out
    assert main(["validate", good, bad, str(tmp_path / "gone.star")]) == 1
    said = capsys.readouterr().out.splitlines()
    assert "images 2, 3 are unusable: all pixels are the same." in said[1]
    assert "gone.star cannot be read" in said[2]
    assert said[3] == "2 fault(s) found."
    assert main(["validate", bad, "--quick"]) == 0


def test_names_that_lead_out_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mrcs(tmp_path / "p.mrcs", np.random.default_rng(1).normal(size=(3, 4, 4)))
    star = tmp_path / "deep" / "er" / "p.star"
    star.parent.mkdir(parents=True)
    star.write_text("data_\nloop_\n_rlnImageName\n1@../../p.mrcs\n")
    assert main(["validate", str(star)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"Note: {star} names ../../p.mrcs, which leads out of its own folder."
    assert "no fault found" in said[1]
