"""The compilation of kernels is told of, once, and only when it happens."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numba
import pytest

from isac2.run import compiling
from isac2.run.compiling import make_room_for_kernels, telling_of_compilation


def test_the_first_compilation_is_told_of_and_no_other() -> None:
    told: list[str] = []
    with telling_of_compilation(told.append):
        assert told == []
        first = numba.njit(lambda x: x + 1)
        assert first(1) == 2
        assert len(told) == 1
        assert numba.njit(lambda x: x + 2)(1) == 3
    assert len(told) == 1
    assert "compiled" in told[0]
    with telling_of_compilation(told.append):
        assert first(2) == 3
    assert len(told) == 1


def test_kernels_that_cannot_be_kept_get_a_folder_for_the_time_being(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "so that it is put back in the end")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    make_room_for_kernels()  # here they can be kept
    assert "NUMBA_CACHE_DIR" not in os.environ
    monkeypatch.setattr(compiling, "_can_be_written", lambda folder: False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    make_room_for_kernels()
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    make_room_for_kernels()
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_can_be_written_when_it_can_be_made(tmp_path: Path) -> None:
    assert compiling._can_be_written(tmp_path / "not" / "there")
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o400)
    assert not compiling._can_be_written(tmp_path / "file" / "below")


def test_the_programs_run_where_nothing_can_be_kept(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only the administrator can take on another user's rights")
    tmp_path.chmod(0o755)
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    words += [sys.executable, "-c", "import isac2; isac2.classify; import isac2.images.kernels"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.pop("XDG_CACHE_HOME", None)
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
