"""Files that are whole or not there: written beside the target, flushed, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_path", "write_text_atomic"]


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, to be renamed to `path` on success.

    The temporary name keeps the target's suffix, for writers that choose the format by it. When the
    block raises, the temporary file is removed and an existing `path` stays as it was.

    Parameters
    ----------
    path : path-like
        The file to be written; its folder must exist.

    Yields
    ------
    pathlib.Path
        Where to write; the block must create this file.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "ids.txt") as temporary:
    ...     _ = temporary.write_text("1")
    >>> [file.name for file in folder.iterdir()]
    ['ids.txt']
    """
    target = Path(path)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.tmp{target.suffix}")
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_to_disk(target.parent)


def write_text_atomic(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` (UTF-8) to `path` so that a reader sees the old file or the new one, whole."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def _flush_to_disk(path: Path) -> None:
    """Make the kernel put a file, or a folder's entries, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
