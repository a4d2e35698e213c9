"""`isac2 view` as a process: prints its address, answers, ends with Ctrl-C."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from isac2.cli.main import main
from isac2.stacks import write_eman_hdf


@pytest.fixture
def run(tmp_path: Path) -> Path:
    averages = np.random.default_rng(0).normal(size=(2, 8, 8)).astype(np.float32)
    headers = [{"members": np.array([0, 1])}, {"members": np.array([2])}]
    write_eman_hdf(tmp_path / "class_averages.hdf", averages, headers, 1.0)
    return tmp_path


def test_view_answers_until_it_is_interrupted(run: Path) -> None:
    command = [sys.executable, "-c", "from isac2.cli.main import main; raise SystemExit(main())"]
    with subprocess.Popen(
        [*command, "view", str(run), "--no-browser"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            found = re.fullmatch(
                r"View: +(http://127\.0\.0\.1:\d+/[\w-]{32}/)\n", process.stdout.readline()
            )
            assert found is not None
            with urllib.request.urlopen(found[1], timeout=30) as answer:
                assert b'id="picker"' in answer.read()
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()
    assert rest.endswith("Ended.\n")
    assert [path.name for path in run.iterdir()] == ["class_averages.hdf"]


def test_view_refuses_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", str(tmp_path), "--no-browser"]) == 2
    assert "is not the directory of a run" in capsys.readouterr().err


def test_view_says_that_a_port_is_taken(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from isac2.view.server import _listening

    with _listening(0) as taken:
        port = taken.getsockname()[1]
        assert main(["view", str(run), "--no-browser", f"--port={port}"]) == 2
    assert f"--port={port} cannot be used" in capsys.readouterr().err


def test_view_says_what_to_install(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["view", str(run), "--no-browser"]) == 2
    assert "pip install 'isac2[view]'" in capsys.readouterr().err
