"""Runs of several ranks: the same bytes, and what happens when one of them comes to harm."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from isac2.run.directory import RunDirectory
from isac2.run.record import read_record

PROGRAM = Path(__file__).with_name("mpi_program.py")
TIMED = {"run.json", "isac2.log", "report.html"}
LONGEST_SECONDS = 300
KILLS = 10  # as many again, and more, are those of one process in test_faults


@pytest.fixture(scope="session")
def mpirun() -> list[str]:
    """The launcher with what it needs to start more ranks than cores, also as root in a container.

    The one beside Python is preferred: it belongs to the MPI that mpi4py finds there.
    """
    beside = Path(sys.executable).with_name("mpirun")
    found = str(beside) if beside.exists() else shutil.which("mpirun")
    if found is None or find_spec("mpi4py") is None:
        pytest.skip("no mpirun or no mpi4py here: pip install 'isac2[mpi]'")
    return [found, "--oversubscribe", "--bind-to", "none", "-np"]


def _launch(words: list[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }
    for _ in range(3):
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=LONGEST_SECONDS, env=environment
        )
        # on a machine that is very busy mpirun may not get its own server going in time
        if "failed to start. We cannot continue" not in " ".join(done.stderr.split()):
            break
    return done


def _run(
    mpirun: list[str], ranks: int, tiny: Any, folder: Path, harm: str = "0 none", threads: int = 1
) -> subprocess.CompletedProcess[str]:
    settings = pickle.dumps(replace(tiny.settings, threads=threads)).hex()
    program = [sys.executable, str(PROGRAM), str(tiny.path), str(folder), settings]
    return _launch([*mpirun, str(ranks), *program, *harm.split()])


def _files(folder: Path) -> dict[str, bytes]:
    """All files of a run but those that tell times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in TIMED
    }


def test_ranks_tell_each_other_values_and_errors(mpirun: list[str], tmp_path: Path) -> None:
    program = [sys.executable, str(PROGRAM.with_name("mpi_checks.py")), str(tmp_path)]
    done = _launch([*mpirun, "3", *program])
    assert (done.returncode, done.stdout) == (0, "all is well\n"), done.stderr


@pytest.mark.parametrize(("ranks", "threads"), [(1, 1), (2, 1), (2, 2), (3, 1), (4, 2)])
def test_the_result_does_not_depend_on_ranks_and_threads(
    ranks: int, threads: int, mpirun: list[str], tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    done = _run(mpirun, ranks, tiny, tmp_path / "run", threads=threads)
    assert (done.returncode, done.stderr) == (0, "")
    assert _files(tmp_path / "run") == _files(finished.path)
    record = read_record(RunDirectory(tmp_path / "run").run_json)
    assert (record.ranks, record.threads) == (ranks, threads)
    received = [phase.get("received_bytes", 0) > 0 for phase in record.phases]
    assert received == [ranks > 1] * len(record.phases)


def test_the_historical_command_line_runs_under_mpirun(
    mpirun: list[str], tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    options = read_record(finished.run_json).options
    words = [
        f"--{name}={value}"
        for name, value in options.items()
        if value is not None and not isinstance(value, bool) and name not in ("restart", "threads")
    ]
    program = str(Path(sys.executable).with_name("sp_isac2.py"))
    done = _launch([*mpirun, "2", program, str(tiny.path), str(tmp_path / "run"), *words])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Class averages:") == 1
    assert done.stderr.count("pre-alignment: a rank worked ") == 1
    assert _files(tmp_path / "run") == _files(finished.path)
    again = _launch([*mpirun, "3", program, str(tiny.path), str(tmp_path / "run"), *words])
    assert again.returncode == 0
    assert again.stderr.count("is finished") == 1


def test_an_error_that_all_ranks_find_is_said_once(
    mpirun: list[str], tiny: Any, tmp_path: Path
) -> None:
    missing = replace(tiny, path=tmp_path / "missing.mrcs")
    done = _run(mpirun, 3, missing, tmp_path / "run")
    assert done.returncode == 2
    assert done.stderr.count("Error: ") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("rank", [0, 2])
def test_an_error_of_one_rank_ends_all_with_its_message(
    rank: int, mpirun: list[str], tiny: Any, tmp_path: Path
) -> None:
    done = _run(mpirun, 3, tiny, tmp_path / "run", f"{rank} raises")
    assert done.returncode == 1
    assert done.stderr.count("Error: The sky fell on this rank: stay inside.") == 1
    assert not RunDirectory(tmp_path / "run").lock.exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_rank_stops_all(
    rank: int, mpirun: list[str], tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    done = _run(mpirun, 2, tiny, tmp_path / "run", f"{rank} stops")
    assert done.returncode == 143
    said = "Stopped by SIGTERM; the same command goes on from the last saved point."
    assert done.stderr.count(said) == 1
    assert _run(mpirun, 3, tiny, tmp_path / "run").returncode == 0
    assert _files(tmp_path / "run") == _files(finished.path)


def test_whichever_rank_is_killed_and_whenever_the_next_start_ends_the_same(
    mpirun: list[str], tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    moments, killed, folder = random.Random(4), 0, tmp_path / "run0"
    for number in range(1, 30):
        ranks = moments.choice([2, 3])
        harm = f"{moments.randrange(ranks)} killed {moments.uniform(0.0, 1.5)}"
        if number % 2:
            harm = f"0 writes {moments.randrange(1, 12)}"
        done = _run(mpirun, ranks, tiny, folder, harm)
        if done.returncode:
            killed += 1
            assert "signal" in done.stderr.lower()
        else:
            # it came to its end before its time: another one
            assert _files(folder) == _files(finished.path)
            folder = tmp_path / f"run{number}"
        if killed == KILLS:
            break
    assert killed == KILLS
    assert _run(mpirun, 3, tiny, folder).returncode == 0
    assert _files(folder) == _files(finished.path)


def test_pools_do_not_depend_on_ranks(mpirun: list[str], tiny: Any, tmp_path: Path) -> None:
    settings = replace(tiny.settings, images_per_group=12, pool_size=36, threads=1)
    pools = replace(tiny, settings=settings)
    for ranks in (1, 3):
        done = _run(mpirun, ranks, pools, tmp_path / f"run{ranks}")
        assert (done.returncode, done.stderr) == (0, "")
    assert _files(tmp_path / "run1") == _files(tmp_path / "run3")
    assert read_record(RunDirectory(tmp_path / "run3").run_json).pools[0]["pools"] == 2
