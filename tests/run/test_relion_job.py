"""Jobs of RELION: what is in their folder, however they end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from isac2.errors import RunError
from isac2.run import relion_job
from isac2.run.relion_job import as_relion_job, write_job_files
from isac2.run.stopping import RunStopped, stopping_on_signals


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_job_that_ends_well_says_so(tmp_path: Path) -> None:
    job = tmp_path / "External" / "job001"
    with as_relion_job(job):
        assert names(job) == []
    assert names(job) == ["RELION_JOB_EXIT_SUCCESS"]


def test_a_job_that_fails_says_so_and_old_signs_are_gone(tmp_path: Path) -> None:
    (tmp_path / "RELION_JOB_EXIT_SUCCESS").touch()
    with pytest.raises(RunError), as_relion_job(tmp_path):
        raise RunError("no")
    assert names(tmp_path) == ["RELION_JOB_EXIT_FAILURE"]


def test_relion_can_abort_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relion_job, "_WATCH_SECONDS", 0.05)

    def work() -> None:
        (tmp_path / "RELION_JOB_ABORT_NOW").touch()
        time.sleep(30)

    with pytest.raises(RunStopped), stopping_on_signals(), as_relion_job(tmp_path):
        work()
    assert names(tmp_path) == ["RELION_JOB_EXIT_ABORTED"]


def test_a_run_without_classes_has_no_outputs(tmp_path: Path) -> None:
    (tmp_path / "isac2_data.star").touch()
    write_job_files(tmp_path, tmp_path)
    assert names(tmp_path) == []
