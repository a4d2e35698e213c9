"""Files that can be read to their end."""

from __future__ import annotations

import os
import stat

from isac2.errors import InputError

__all__ = ["refuse_special_file"]


def refuse_special_file(path: str | os.PathLike[str]) -> None:
    """Raise `InputError` for a pipe, a socket or a device.

    Opening a pipe would wait for somebody who writes, and a device may never end. Folders, and
    files that are not there, are left to whoever opens them.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{os.fspath(path)} is no regular file: give a file.")
