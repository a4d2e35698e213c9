"""Doing something now and then, beside what a run does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["repeating"]


@contextmanager
def repeating(act: Callable[[], bool], seconds: float, name: str) -> Iterator[None]:
    """Call `act` every so many seconds in a thread of its own, until the block ends.

    Parameters
    ----------
    act : callable
        Returns whether it is to be called again.
    seconds : float
    name : str
        Of the thread.
    """
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(seconds) and act():
            pass

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
