"""Telling of the compilation of the kernels, so that nobody takes it for a run that hangs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["telling_of_compilation"]

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
