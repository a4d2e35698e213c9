import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import starfile

from isac2.cli.main import main


def _run_and_truth(folder: Path) -> tuple[Path, Path]:
    names = [f"{number}@a.mrcs" for number in range(1, 5)]
    table = pd.DataFrame({"rlnImageName": names, "rlnClassNumber": [1, 1, 2, 0]})
    starfile.write({"particles": table}, folder / "run.star")
    np.savez(folder / "truth.npz", junk=[0, 0, 0, 1], view=[0, 0, 1, -1])
    return folder / "run.star", folder / "truth.npz"


def test_prints_a_table_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, truth = _run_and_truth(tmp_path)
    scores = tmp_path / "scores.json"
    assert main(["evaluate", str(run), str(truth), "--json", str(scores), "--classes"]) == 0
    assert "2 of 2" in capsys.readouterr().out
    assert json.loads(scores.read_text())["purity"] == 1.0


def test_a_missing_truth_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = _run_and_truth(tmp_path)
    assert main(["evaluate", str(run), str(tmp_path / "no.npz")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: there is no truth file")
    assert len(said.splitlines()) == 1
