"""The disk fails, or the process is killed, inside any write: the next start ends the same."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from isac2 import files
from isac2.errors import RunError
from isac2.run.directory import RunDirectory
from isac2.run.displays import SilentDisplay
from isac2.run.runner import run_isac

TIMED = {"run.json", "isac2.log", "report.html"}
MOST_STARTS = 60

# Starts a run again and again, each start in a process of its own that is killed: "inside" a write,
# the n-th start with half of its n-th file written, or "anywhere", after a random time that may be
# longer each time. Says at the end how many were killed.
KILLER = """
import os, pickle, random, signal, sys, threading
from isac2 import files
from isac2.run.displays import SilentDisplay
from isac2.run.runner import run_isac

stack, folder, settings = sys.argv[1], sys.argv[2], pickle.loads(bytes.fromhex(sys.argv[3]))
inside, moments = sys.argv[4] == "inside", random.Random(3)
flush = files._flush_to_disk

def start(number):
    left = number
    def kill(path):
        nonlocal left
        left -= path.is_file()
        if left == 0:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        flush(path)
    files._flush_to_disk = kill
    run_isac(stack, folder, settings, SilentDisplay())
    os._exit(0)

run_isac(stack, folder + "-before", settings, SilentDisplay())  # compiled once for all
for number in range(1, 500):
    child = os.fork()
    if child == 0:
        try:
            start(number if inside else 0)
        finally:
            os._exit(1)
    after = moments.uniform(0.0, 0.02 * number)
    if not inside:
        killer = threading.Timer(after, os.kill, (child, signal.SIGKILL))
        killer.start()
    ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    if not inside:
        killer.cancel()
        killer.join()
    ended = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(ended):
        print(number - 1, os.WEXITSTATUS(ended))
        break
"""


def _files(directory: RunDirectory) -> dict[str, bytes]:
    """All files of a run but those that tell times."""
    return {
        str(path.relative_to(directory.path)): path.read_bytes()
        for path in sorted(directory.path.rglob("*"))
        if path.is_file() and path.name not in TIMED
    }


def _full(path: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _broken(path: Path) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)
    raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


class Disk:
    """A disk that fails at one of its files, counted from 1."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 0
        self.fail: Callable[[Path], None] = _full
        self.fails_at_rename = False
        self._flush, self._replace = files._flush_to_disk, Path.replace
        monkeypatch.setattr(files, "_flush_to_disk", self._flush_to_disk)
        monkeypatch.setattr(Path, "replace", lambda old, new: self._rename(old, new))

    def _flush_to_disk(self, path: Path) -> None:
        self.left -= path.is_file()
        if self.left == 0 and path.is_file() and not self.fails_at_rename:
            self.fail(path)
        self._flush(path)

    def _rename(self, old: Path, new: Path) -> Path:
        if self.left == 0 and self.fails_at_rename:
            self.fail(old)
        return self._replace(old, new)


FAULTS = [(_full, False), (_broken, False), (_short, False), (_full, True), (_broken, True)]


def test_whatever_write_fails_the_next_start_ends_the_same(
    tiny: Any, finished: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, directory = Disk(monkeypatch), RunDirectory(tmp_path / "run")
    said: list[str] = []
    leftovers: list[Path] = []
    # the n-th start fails at its n-th file, so that each gets a little farther
    for number in range(1, MOST_STARTS):
        disk.left = number
        disk.fail, disk.fails_at_rename = FAULTS[number % len(FAULTS)]
        try:
            run_isac(tiny.path, directory.path, tiny.settings, SilentDisplay())
            break
        except RunError as error:
            said.append(str(error))
        leftovers += list(tmp_path.rglob("*.tmp*"))
    assert len(said) >= 10
    assert all("give the same command again" in sentence for sentence in said)
    assert not leftovers
    assert directory.finished.exists()
    assert _files(directory) == _files(finished)


@pytest.mark.parametrize("where", ["inside", "anywhere"])
def test_wherever_a_run_is_killed_the_next_start_ends_the_same(
    where: str, tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    settings = pickle.dumps(replace(tiny.settings, threads=1)).hex()
    words = [sys.executable, "-c", KILLER, str(tiny.path), str(tmp_path / "run"), settings, where]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    killed, code = (int(word) for word in done.stdout.split())
    assert (code, done.stderr) == (0, "")
    assert killed >= 10
    assert _files(RunDirectory(tmp_path / "run")) == _files(finished)


def test_a_lost_disk_is_said_in_one_sentence(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    disk.left = 2
    with pytest.raises(RunError, match="No space left on device") as caught:
        run_isac(tiny.path, tmp_path / "run", tiny.settings, SilentDisplay())
    assert "\n" not in str(caught.value)
