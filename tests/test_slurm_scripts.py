"""The scripts for Slurm, run with stand-ins for its programs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from isac2.run.options import option_table

DOCS = Path(__file__).resolve().parents[1] / "docs"


def _stand_in(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("name", ["slurm-cpu.sh", "slurm-gpu.sh"])
@pytest.mark.parametrize(("code", "requeued"), [(0, False), (1, False), (75, True)])
def test_a_run_whose_time_is_over_is_put_back_into_the_queue(
    name: str, code: int, requeued: bool, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "activate").write_text("")
    _stand_in(tmp_path / "srun", f'echo "$@" > "{tmp_path}/srun.txt"; exit {code}')
    _stand_in(tmp_path / "scontrol", f'echo "$@" > "{tmp_path}/scontrol.txt"')
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "ISAC2_ENVIRONMENT": str(tmp_path),
        "SLURM_CPUS_PER_TASK": "6",
        "SLURM_JOB_ID": "17",
    }
    words = ["bash", str(DOCS / name), "in.star", "out folder", "--radius=120", "--CTF"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, "")
    asked = (tmp_path / "srun.txt").read_text().split(" sp_isac2.py ")[1].split()
    assert asked[:3] == ["in.star", "out", "folder"]
    known = {f"--{option.name}" for option in option_table().values()}
    assert {word.split("=")[0] for word in asked if word.startswith("--")} <= known
    assert (tmp_path / "scontrol.txt").exists() == requeued
    if requeued:
        assert (tmp_path / "scontrol.txt").read_text() == "requeue 17\n"
