"""The compilation of the kernels: where they are kept, and telling of it.

It is told so that nobody takes it for a run that hangs.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["make_room_for_kernels", "telling_of_compilation"]

_FOLDER = "NUMBA_CACHE_DIR"
_PACKAGE = Path(__file__).parents[1]
_MESSAGE = (
    "The numerical kernels are being compiled for this machine, which happens once after an "
    "installation and takes about 20 s."
)


@contextmanager
def telling_of_compilation(tell: Callable[[str], None]) -> Iterator[None]:
    """Tell when the first kernel is compiled inside, if one is: kept ones are only loaded.

    Parameters
    ----------
    tell : callable
        Given one sentence, at most once.
    """
    # Numba takes a while to import, and only what computes needs it.
    from numba.core import event

    class FirstCompilation(event.Listener):
        """Hears of compilations as they begin."""

        told = False

        def on_start(self, event: Any) -> None:
            if not self.told:
                self.told = True
                tell(_MESSAGE)

        def on_end(self, event: Any) -> None:
            """Do nothing."""

    with event.install_listener("numba:compile", FirstCompilation()):
        yield


def make_room_for_kernels() -> None:
    """Give compiled kernels a folder for this process where they cannot be kept.

    Numba keeps them beside the program or below the user's home, and otherwise fails; on a cluster
    the one may belong to the administrator and the other not be there. To be called before the
    first kernel is imported. The folder is new and its user's alone: what is in it is executed.
    """
    if os.environ.get(_FOLDER) or any(map(_can_be_written, (_PACKAGE, _folder_of_user()))):
        return
    import shutil  # seldom needed, and not quickly imported
    import tempfile

    folder = tempfile.mkdtemp(prefix="isac2-kernels-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[_FOLDER] = folder


def _folder_of_user() -> Path:
    """Return where Numba keeps a user's kernels."""
    home = Path(os.path.expanduser("~"))
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "numba"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "numba"


def _can_be_written(folder: Path) -> bool:
    """Whether files can be made in a folder, or it can be made."""
    there = next((place for place in (folder, *folder.parents) if os.path.exists(place)), folder)
    return os.access(there, os.W_OK | os.X_OK)
