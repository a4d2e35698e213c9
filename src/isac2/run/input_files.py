"""Whether the input has changed under a run: size and time of change of its files.

A run reads the pixels twice, for the pre-alignment and for the working images, and needs them no
more after that. What was read of a file that changed meanwhile would be neither the old data nor
the new; so nothing of it is kept.
"""

from __future__ import annotations

import os
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path

from isac2.errors import RunError
from isac2.run.checkpoint import load_arrays, save_arrays
from isac2.run.directory import RunDirectory
from isac2.stacks import Stack

__all__ = ["FileMark", "check_unchanged", "mark_files", "note_changes"]


@dataclass(frozen=True)
class FileMark:
    """A file as it was: size in bytes, time of change in ns."""

    path: str
    size: int
    changed: int


def mark_files(stack: Stack) -> tuple[FileMark, ...]:
    """Note how the files of a stack are now, its table first.

    Raises
    ------
    RunError
        One of them is lost.
    """
    paths = [stack.path, *(file.path for file in stack.files)]
    # a stack may have a name that is no file, such as an EMAN2 "bdb:" address
    return tuple(_mark(path) for path in dict.fromkeys(paths) if path != stack.path or _is(path))


def check_unchanged(marks: tuple[FileMark, ...]) -> None:
    """Check that files are still as they were.

    Raises
    ------
    RunError
        One has changed or is lost.
    """
    for before in marks:
        if _mark(Path(before.path)) != before:
            raise RunError(
                f"{before.path} has changed while the run was reading it: put it back as it was, "
                "or wait until it is complete, and give the same command again."
            )


def note_changes(directory: RunDirectory, marks: tuple[FileMark, ...]) -> str:
    """Compare the files with what they were when the run began, and say what that means.

    While the images are still to be read, what was found in the older ones is forgotten.

    Returns
    -------
    str
        Empty when nothing has changed; the files may have been moved.
    """
    saved = directory.input_state
    before: list[list[object]] = []
    if saved.exists():
        before = load_arrays(saved)[1]
    changed = [
        mark
        for mark, old in zip(marks, before, strict=False)
        if [mark.size, mark.changed] != old[1:]
    ]
    if not changed and len(before) == len(marks):
        return ""
    save_arrays(saved, {}, [astuple(mark) for mark in marks])
    if not changed:
        return ""
    last = max(changed, key=lambda mark: mark.changed)
    when = datetime.fromtimestamp(last.changed / 1e9).astimezone().isoformat(timespec="seconds")
    said = f"{last.path} was changed since the run began (at {when})"
    if directory.working_images.exists():
        return f"{said}: the run goes on with the images as it has read them"
    for path in (directory.prealignment_state, directory.spectrum_state):
        path.unlink(missing_ok=True)
    return f"{said}: what was found in the older images is done anew"


def _mark(path: Path) -> FileMark:
    try:
        found = os.stat(path)
    except OSError as error:
        raise RunError(
            f"{path} cannot be read any more ({error.strerror}): put it back, and give the same "
            "command again, which goes on from the last saved point."
        ) from None
    return FileMark(str(path), found.st_size, found.st_mtime_ns)


def _is(path: Path) -> bool:
    return Path(path).is_file()
