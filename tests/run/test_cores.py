"""No more cores are used than were given, whoever gives them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from isac2.run.cores import available_cores


@pytest.fixture(autouse=True)
def _sixty_four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.delenv("SLURM_CPUS_ON_NODE", raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)


V1_QUOTA, V1_PERIOD = "cpu.cfs_quota_us", "cpu.cfs_period_us"
JOB = "system.slice/job_7"


@pytest.mark.parametrize(
    ("files", "groups", "limit"),
    [
        ({}, "", 64),
        ({"cpu.max": "400000 100000"}, "0::/", 4),
        ({"cpu.max": "150000 100000"}, "0::/", 1),
        ({"cpu.max": "10000 100000"}, "0::/", 1),
        ({"cpu.max": "max 100000"}, "0::/", 64),
        ({"cpu.max": "nonsense"}, "0::/", 64),
        ({f"cpu/{V1_QUOTA}": "300000\n", f"cpu/{V1_PERIOD}": "100000\n"}, "1:cpu:/", 3),
        ({f"cpu/{V1_QUOTA}": "-1\n", f"cpu/{V1_PERIOD}": "100000\n"}, "1:cpu:/", 64),
        # deeper: the process's own group, and one around it
        ({f"{JOB}/task/cpu.max": "200000 100000"}, f"0::/{JOB}/task", 2),
        ({f"{JOB}/cpu.max": "200000 100000", f"{JOB}/task/cpu.max": "max 1"}, f"0::/{JOB}/task", 2),
        ({f"{JOB}/cpu.max": "200000 100000"}, "0::/system.slice/job_8", 64),
        (
            {f"cpu,cpuacct/j/{V1_QUOTA}": "500000", f"cpu,cpuacct/j/{V1_PERIOD}": "100000"},
            "3:cpu,cpuacct:/j\n1:name=systemd:/j",
            5,
        ),
        ({"cpu.max": "200000 100000"}, "0::/../elsewhere", 2),
        ({"cpu.max": "200000 100000"}, "no such line", 2),
    ],
)
def test_the_quota_of_every_control_group_around_is_kept(
    files: dict[str, str], groups: str, limit: int, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "own").write_text(groups)
    assert available_cores(tmp_path, tmp_path / "own") == limit


def test_slurm_and_affinity_limit_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "16")
    assert available_cores(tmp_path, tmp_path) == 16
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert available_cores(tmp_path, tmp_path) == 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5, 9}, raising=False)
    assert available_cores(tmp_path, tmp_path) == 2
