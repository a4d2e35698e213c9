"""`isac2 substack` and `sp_pipe.py isac_substack`: on SPHIRE's run, in every format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isac2.classes.evaluate_files import read_classification
from isac2.cli.main import main, run_command
from isac2.cli.recipes.sp_pipe import command
from isac2.stacks import open_stack, write_mrcs


@pytest.fixture
def stack(tmp_path: Path) -> str:
    """Small pictures in the place of the 2,000 particles."""
    write_mrcs(tmp_path / "p.mrcs", np.arange(8000.0).reshape(2000, 2, 2), 2.4)
    return str(tmp_path / "p.mrcs")


@pytest.mark.parametrize("form", ["star", "cs", "lst", "bdb"])
def test_substack(shared: Path, tmp_path: Path, stack: str, form: str) -> None:
    run, out = shared / "golden" / "sphire_run", tmp_path / "out"
    if form == "bdb":
        pytest.importorskip("berkeleydb")
        words = ["isac_substack", stack, str(run), str(out)]
        assert run_command(command, "sp_pipe.py", words) == 0
        name = f"bdb:{out}#isac_substack"
    else:
        assert main(["substack", stack, str(run), str(out), "--format", form]) == 0
        name = f"{out}/isac_substack.{form}"
    listed = (out / "isac_substack_particle_id_list.txt").read_text()
    assert listed == (run / "processed_images.txt").read_text()
    ids = np.array(listed.split(), np.int64)
    found = open_stack(name)
    assert found.read()[:, 0, 0].tolist() == (4.0 * ids).tolist()
    expected = read_classification(run, 2000)
    assert expected.poses is not None
    assert found.metadata.poses is not None
    numbers = expected.class_of_particle[ids] + 1
    np.testing.assert_array_equal(found.metadata.class_number, numbers)
    for field in ("tx", "ty", "mirror"):
        got, known = found.metadata.poses[field], expected.poses[field][ids]
        np.testing.assert_allclose(got, known, atol=1e-4)


def test_only_saved_averages(shared: Path, tmp_path: Path, stack: str) -> None:
    run, out = str(shared / "golden" / "sphire_run"), str(tmp_path / "out")
    (tmp_path / "classes.txt").write_text("2\n")
    words = [stack, run, out, f"--isac_class_avgs_path={tmp_path}/classes.txt"]
    assert main(["substack", *words, "--substack_basename=few"]) == 0
    assert set(open_stack(f"{out}/few.star").metadata.class_number.tolist()) == {2}


def test_refused(
    shared: Path, tmp_path: Path, stack: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(shared / "golden" / "sphire_run")
    assert main(["substack", stack, run, str(tmp_path)]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert main(["substack", stack, run, f"{tmp_path}/no/out"]) == 2
    assert "cannot be made" in capsys.readouterr().err
    assert run_command(command, "sp_pipe.py", ["restacking", "x"]) == 2
    assert "use the sp_pipe.py of SPHIRE" in capsys.readouterr().err
    assert run_command(command, "sp_pipe.py", ["isac_substack", "x"]) == 2
    assert "needs three names" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
