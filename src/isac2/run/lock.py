"""One run in one folder at a time: a lock that dies with its owner, also on a network file system.

The kernel's lock on a file ends with the process that holds it, however that ends. Some network
file systems have no such locks, or keep them to one machine: so the owner also writes a sign of
life into the file, and whoever finds another machine's name there first watches whether it moves.
No clocks of two machines are ever compared.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from uuid import uuid4

from isac2.errors import InputError, RunError
from isac2.run.repeating import repeating

__all__ = ["LOCK_NAME", "LockOwner", "only_run_in", "read_owner"]

LOCK_NAME = "lock"
_BEAT_SECONDS, _WATCH_SECONDS = 5.0, 20.0
_SIZE = 512  # bytes: a file of one length is never seen half new and half old
_ATTEMPTS = 10
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@dataclass(frozen=True)
class LockOwner:
    """Who has a folder: machine, process, since when (ISO 8601), and signs of life so far."""

    host: str
    process: int
    started: str
    token: str
    beats: int = 0

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, started {self.started}"


@contextmanager
def only_run_in(
    folder: Path, beat_seconds: float = _BEAT_SECONDS, watch_seconds: float = _WATCH_SECONDS
) -> Iterator[None]:
    """Have a folder, which is made if need be, to oneself for a `with` block.

    A folder that was made here and is empty in the end is removed.

    Parameters
    ----------
    folder : pathlib.Path
    beat_seconds : float
        Time between two signs of life.
    watch_seconds : float
        How long another machine's sign of life is waited for before its owner counts as dead.

    Raises
    ------
    InputError
        Another run has the folder, or it cannot be made.
    RunError
        Nothing can be written there.
    """
    made = _make(folder)
    path = folder / LOCK_NAME
    try:
        descriptor, owner = _take(path, watch_seconds)
        try:
            with _beating(descriptor, owner, beat_seconds):
                yield
        finally:
            # removed before it is let go: nobody else can have it then
            with suppress(OSError):
                path.unlink(missing_ok=True)
            os.close(descriptor)
    finally:
        if made:
            with suppress(OSError):
                folder.rmdir()


def read_owner(path: Path) -> LockOwner | None:
    """Return who wrote a lock file, or None when there is none or it says nothing."""
    try:
        return LockOwner(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _make(folder: Path) -> bool:
    """Make a folder; whether it was not there."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise InputError(
            f"{folder} cannot be made ({error.strerror}): give another folder for the output."
        ) from None
    return True


def _take(path: Path, watch_seconds: float) -> tuple[int, LockOwner]:
    """Lock the file and sign it; its descriptor holds the lock."""
    mine = LockOwner(
        socket.gethostname(),
        os.getpid(),
        datetime.now().astimezone().isoformat(timespec="seconds"),
        uuid4().hex,
    )
    for _ in range(_ATTEMPTS):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError as error:
            raise RunError(
                f"Nothing can be written to {path.parent} ({error.strerror}): make it writable, "
                "or give another folder for the output."
            ) from None
        try:
            if _is_taken(descriptor, path, mine, watch_seconds):
                return descriptor, mine
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise _refusal(path)


def _is_taken(descriptor: int, path: Path, mine: LockOwner, watch_seconds: float) -> bool:
    """Try to become the file's owner; False when its last owner has just removed it."""
    locked = _lock(descriptor)
    if locked is False:
        raise _refusal(path)
    before = read_owner(path)
    elsewhere = before is not None and (locked is None or before.host != mine.host)
    if elsewhere and _is_alive(path, before, watch_seconds):
        raise _refusal(path)
    if not _is_same_file(descriptor, path):
        return False
    _sign(descriptor, mine)
    if locked is None:
        # of two that begin in the same moment the one that signed last has it
        time.sleep(min(1.0, watch_seconds))
        after = read_owner(path)
        if after is not None and after.token != mine.token:
            raise _refusal(path)
    return True


def _lock(descriptor: int) -> bool | None:
    """Whether the kernel gives the lock; None where the file system has none."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        # on Linux this is a lock of the whole file at the server where the file is on NFS
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        return False
    return True


def _is_alive(path: Path, seen: LockOwner | None, watch_seconds: float) -> bool:
    """Watch a file until its owner gives a sign of life, or has had the time for it."""
    end = time.monotonic() + watch_seconds
    while time.monotonic() < end:
        time.sleep(min(0.5, watch_seconds / 10))
        now = read_owner(path)
        if not path.exists():
            return False
        if now is not None and now != seen:
            return True
    return False


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _sign(descriptor: int, owner: LockOwner) -> None:
    """Write the owner, so that other machines see it."""
    text = json.dumps(asdict(owner)).encode().ljust(_SIZE - 1) + b"\n"
    with suppress(OSError):  # a full disk: the kernel's lock still holds
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, text)
        os.fsync(descriptor)


def _beating(descriptor: int, owner: LockOwner, seconds: float) -> AbstractContextManager[None]:
    """Give signs of life."""
    beats = count(1)

    def beat() -> bool:
        _sign(descriptor, replace(owner, beats=next(beats)))
        return True

    return repeating(beat, seconds, "isac2-lock")


def _refusal(path: Path) -> InputError:
    owner = read_owner(path)
    who = str(owner) if owner else "another process"
    return InputError(
        f"{path.parent} is in use by another run ({who}): wait until it ends ('isac2 status "
        f"{path.parent}' tells how far it is), or give another folder for the output."
    )
