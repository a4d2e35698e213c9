"""The lock of a run directory: one owner at a time, and none that has died."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from isac2.errors import InputError, RunError
from isac2.run.lock import LOCK_NAME, LockOwner, only_run_in, read_owner

HOLD = """
import sys, time
from pathlib import Path
from isac2.run.lock import only_run_in
with only_run_in(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
ELSEWHERE = LockOwner("another-machine", 77, "2020-01-01T00:00:00+00:00", "f00d", beats=3)


def test_the_second_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with only_run_in(tmp_path):
        with pytest.raises(InputError, match=r"in use by another run") as caught, _have(tmp_path):
            pass
        said = str(caught.value)
        assert f"process {os.getpid()} on {socket.gethostname()}" in said
        assert "\n" not in said
        assert read_owner(tmp_path / LOCK_NAME) is not None
    assert list(tmp_path.iterdir()) == []
    with _have(tmp_path):
        pass


def test_a_killed_owner_leaves_the_folder_to_the_next(tmp_path: Path) -> None:
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"process {holder.pid} "), _have(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert (tmp_path / LOCK_NAME).exists()
        with _have(tmp_path):
            pass


def test_a_folder_made_for_nothing_goes(tmp_path: Path) -> None:
    with only_run_in(tmp_path / "new"):
        assert (tmp_path / "new" / LOCK_NAME).exists()
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be made"), _have(tmp_path / "file" / "new"):
        pass


def test_a_folder_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*words: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(RunError, match="Read-only file system"), _have(tmp_path):
        pass


@pytest.mark.parametrize("has_locks", [True, False])
@pytest.mark.parametrize("alive", [True, False])
def test_another_machine_has_it_while_it_gives_signs_of_life(
    alive: bool, has_locks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*words: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    if not has_locks:
        monkeypatch.setattr(fcntl, "flock", no_locks)
    path = tmp_path / LOCK_NAME
    path.write_text(json.dumps(asdict(ELSEWHERE)))
    ended = threading.Event()

    def beat() -> None:
        beats = ELSEWHERE.beats
        while not ended.wait(0.05):
            beats += 1
            path.write_text(json.dumps(asdict(replace(ELSEWHERE, beats=beats))))

    thread = threading.Thread(target=beat)
    if alive:
        thread.start()
    try:
        if alive:
            with pytest.raises(InputError, match="process 77 on another-machine"), _have(tmp_path):
                pass
        else:
            with only_run_in(tmp_path, 0.05, 0.3):
                owner = read_owner(path)
                assert owner is not None
                assert owner.host == socket.gethostname()
    finally:
        ended.set()
        if alive:
            thread.join()


def test_the_owner_gives_signs_of_life(tmp_path: Path) -> None:
    with only_run_in(tmp_path, beat_seconds=0.01):
        owner = read_owner(tmp_path / LOCK_NAME)
        while owner is None or owner.beats < 2:
            owner = read_owner(tmp_path / LOCK_NAME)
        assert owner.process == os.getpid()


def _have(folder: Path) -> AbstractContextManager[None]:
    return only_run_in(folder, 5.0, 5.0)
