"""Every verb that computes, launched as several processes: the same bytes as one, said once."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from isac2.cli.main import main

TIMED = {"run.json", "isac2.log", "report.html"}

COMMANDS = [
    "beautify classes OUT --navg 3",
    "separate classes OUT --filtrad 15 --nvec 2",
    "order classes OUT/o.mrcs",
    "assign new/particles.star OUT/run --to classes --new-classes always",
    "rerun classes OUT/run --classes 1-3",
]


def files(folder: Path) -> dict[str, bytes]:
    """All files but those that tell times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in TIMED
    }


def on_two_ranks(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run `isac2` with these words as two processes."""
    beside = Path(sys.executable).with_name("mpirun")
    if not beside.exists() or find_spec("mpi4py") is None:
        pytest.skip("no mpirun or no mpi4py here: pip install 'isac2[mpi]'")
    launcher = [str(beside), "--oversubscribe", "--bind-to", "none", "-np", "2"]
    start = "import sys; from isac2.cli.main import main; sys.exit(main())"
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }
    return subprocess.run(
        [*launcher, sys.executable, "-c", start, *words],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.split()[0]))
def test_two_ranks(
    command: str, world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    one, two = tmp_path / "one", tmp_path / "two"
    if "OUT/" in command:
        one.mkdir()
        two.mkdir()
    done = on_two_ranks(command.replace("OUT", str(two)).split())
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(str(two)) in (1, 2)  # the first rank alone says where things are
    assert main(command.replace("OUT", str(one)).split()) == 0
    found, expected = files(two), files(one)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def test_a_mistake_is_said_once(world: Any, tmp_path: Path) -> None:
    done = on_two_ranks(["beautify", str(world.run), str(tmp_path)])
    assert done.returncode == 2
    assert done.stderr.count("nothing is overwritten") == 1
